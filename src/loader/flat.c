/*
 * Direct boot: a kernel by its content, or a flat program, and the registers it starts with. Below
 * 1 MB lie the tables that the presets need.
 */
#include <errno.h>
#include <string.h>

#include "loader/loader.h"

#define GDT_ADDRESS 0x5000u /* its TSS follows at 6000h */
#define STACK_TOP 0x8000u
#define PAGE_TABLES 0x10000u
#define LARGE_PAGE (2ull << 20)
#define GIGABYTES 4u
#define ENTRIES 512u
/* Page table entries, SDM vol. 3A, 4.5: present, writable; page size. */
#define ENTRY_TABLE 0x3ull
#define ENTRY_LARGE 0x83ull

/* An identity map of the first 4 GB: one PML4, one page directory pointer table, 4 directories. */
static int
write_page_tables(struct vmctx *ctx, struct vmm_error *err)
{
	struct memory *mem = vmm_memory(ctx, err);
	uint64_t pdpt = PAGE_TABLES + X86_PAGE_SIZE;
	uint64_t table[ENTRIES] = {pdpt | ENTRY_TABLE};
	bool ok;

	if (mem == NULL)
		return (-1);
	ok = memory_load(mem, PAGE_TABLES, table, sizeof(table));
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = i < GIGABYTES ? (pdpt + (i + 1) * X86_PAGE_SIZE) | ENTRY_TABLE : 0;
	ok = ok && memory_load(mem, pdpt, table, sizeof(table));
	for (unsigned k = 0; k < GIGABYTES; k++) {
		for (unsigned i = 0; i < ENTRIES; i++)
			table[i] = ((uint64_t)k * ENTRIES + i) * LARGE_PAGE | ENTRY_LARGE;
		ok = ok && memory_load(mem, pdpt + (k + 1) * X86_PAGE_SIZE, table, sizeof(table));
	}
	if (!ok)
		return (
		    vmm_fail(err, ENOMEM, "%s: too little memory for page tables", vmm_name(ctx)));
	return (0);
}

static int
set_registers_64(struct vmctx *ctx, const struct loader_kernel *kernel, struct vmm_error *err)
{
	struct memory *mem = vmm_memory(ctx, err);
	uint64_t gdt[3];

	if (mem == NULL || write_page_tables(ctx, err) != 0)
		return (-1);
	vm_setup_freebsd_gdt(gdt);
	if (!memory_load(mem, GDT_ADDRESS, gdt, sizeof(gdt)) ||
	    vm_setup_freebsd_registers(
		ctx, 0, kernel->entry, PAGE_TABLES, GDT_ADDRESS, STACK_TOP) != 0)
		return (vmm_fail(err, errno, "%s: cannot set its registers", vmm_name(ctx)));
	return (0);
}

static int
set_registers_32(struct vmctx *ctx, const struct loader_kernel *kernel, struct vmm_error *err)
{
	if (kernel->entry > UINT32_MAX)
		return (vmm_fail(err, ENOEXEC, "%s: its entry point is above 4 GB", vmm_name(ctx)));
	if (vm_setup_freebsd_registers_i386(
		ctx, 0, (uint32_t)kernel->entry, GDT_ADDRESS, STACK_TOP) != 0)
		return (vmm_fail(err, errno, "%s: cannot set its registers: %s", vmm_name(ctx),
		    strerror(errno)));
	return (0);
}

int
loader_kernel(struct vmctx *ctx, const struct loader_file *file, uint64_t flat_address,
    const char *cmdline, struct loader_kernel *kernel, struct vmm_error *err)
{
	struct vcpu_state *state = vmm_vcpu_state(ctx, 0);
	int error = loader_multiboot(ctx, file, NULL, cmdline, kernel, err);

	if (error > 0)
		error = loader_elf(ctx, file, kernel, err);
	if (error > 0) {
		*kernel = (struct loader_kernel){
		    .kind = LOADER_FLAT, .entry = flat_address, .end = flat_address + file->size};
		error = loader_copy(ctx, file, flat_address, 0, file->size, file->size, err);
	}
	if (error != 0)
		return (-1);
	vmm_set_firmware(ctx, VMM_FW_DIRECT);
	if (kernel->kind == LOADER_MULTIBOOT) {
		state->gpr.reg[GPR_RAX] = LOADER_MULTIBOOT_MAGIC;
		state->gpr.reg[GPR_RBX] = kernel->info;
	}
	if (kernel->kind == LOADER_ELF64)
		return (set_registers_64(ctx, kernel, err));
	return (set_registers_32(ctx, kernel, err));
}
