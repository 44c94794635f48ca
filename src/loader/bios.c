/*
 * Pseudo BIOS files: the 64 KB ROM, and the small program at 0 of the project's first days, three
 * bytes of VMCALL with a GDT at 5000h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bios/rom.h"
#include "loader/loader.h"

_Static_assert(LOADER_ROM_SIZE == ROM_SIZE, "a pseudo BIOS has one size");

#define ROM_END (ROM_BASE + ROM_SIZE)
#define RAW_GDT 0x5000u
#define RAW_GDT_ENTRIES 3

bool
loader_builtin_bios(struct loader_file *file)
{
	file->path = "pseudobios.bin (built in)";
	file->size = LOADER_ROM_SIZE;
	file->data = malloc(LOADER_ROM_SIZE);
	if (file->data == NULL)
		return (false);
	memcpy(file->data, bios_rom, LOADER_ROM_SIZE);
	return (true);
}

int
loader_check_bios(const struct loader_file *file, struct vmm_error *err)
{
	if (file->size == LOADER_ROM_SIZE || (file->size > 0 && file->size <= LOADER_RAW_MAX))
		return (0);
	return (vmm_fail(err, EINVAL,
	    "%s: a pseudo BIOS has exactly %u bytes, or at most %u, and this one has %zu",
	    file->path, LOADER_ROM_SIZE, LOADER_RAW_MAX, file->size));
}

static int
load_rom(struct vmctx *ctx, const struct loader_file *file, struct vmm_error *err)
{
	uint64_t low_size, high_size;

	vmm_memory_sizes(ctx, &low_size, &high_size);
	if (low_size < ROM_END)
		return (vmm_fail(err, EINVAL,
		    "%s: the pseudo BIOS needs 1 MB of low memory at least", vmm_name(ctx)));
	if (loader_copy(ctx, file, ROM_BASE, 0, file->size, file->size, err) != 0)
		return (-1);
	vmm_set_firmware(ctx, VMM_FW_ROM);
	if (vm_setup_boot_registers(ctx, 0) != 0)
		return (vmm_fail(err, errno, "%s: %s", vmm_name(ctx), strerror(errno)));
	return (0);
}

static int
load_raw(struct vmctx *ctx, const struct loader_file *file, struct vmm_error *err)
{
	struct memory *mem = vmm_memory(ctx, err);
	uint64_t gdt[RAW_GDT_ENTRIES];

	if (mem == NULL || loader_copy(ctx, file, 0, 0, file->size, file->size, err) != 0)
		return (-1);
	vm_setup_bios_gdt(gdt);
	if (!memory_load(mem, RAW_GDT, gdt, sizeof(gdt)))
		return (vmm_fail(
		    err, ENOMEM, "%s: its GDT does not fit into guest memory", file->path));
	vmm_set_firmware(ctx, VMM_FW_RAW);
	if (vm_setup_bios_registers(ctx, 0, 0, 0, RAW_GDT, 0) != 0)
		return (vmm_fail(err, errno, "%s: %s", vmm_name(ctx), strerror(errno)));
	return (0);
}

int
loader_bios(struct vmctx *ctx, const struct loader_file *file, struct vmm_error *err)
{
	if (loader_check_bios(file, err) != 0)
		return (-1);
	return (
	    file->size == LOADER_ROM_SIZE ? load_rom(ctx, file, err) : load_raw(ctx, file, err));
}
