/* Loaders: pseudo BIOS files by size, kernels by content, and files that make no sense. */
#include "vm_fixture.h"

#include <elf.h>
#include <errno.h>

#include "loader/loader.h"

#define MB (1u << 20)

/* A VM with 4 MB, locked for loading. */
static int
load_setup(void **state)
{
	if (vm_setup(state) != 0 || vm_setup_memory(*state, 0, 4 * MB, NULL) != 0)
		return (-1);
	return (vmm_begin(*state, VMM_LOAD, NULL));
}

static int
load_teardown(void **state)
{
	vmm_end(*state, true, NULL);
	return (vm_teardown(state));
}

static uint64_t
reg(struct vmctx *ctx, int number)
{
	uint64_t value;

	assert_int_equal(vm_get_register(ctx, 0, number, &value), 0);
	return (value);
}

static void
sizes_of_a_pseudo_bios(void **unused)
{
	static const size_t good[] = {1, 3, 0x5000, 0x10000};
	static const size_t bad[] = {0, 0x5001, 0xffff, 0x10001, 0x20000};
	struct vmm_error err;

	(void)unused;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(
		    loader_check_bios(&(struct loader_file){.size = good[i]}, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    loader_check_bios(&(struct loader_file){.path = "x", .size = bad[i]}, &err),
		    -1);
}

static void
a_raw_bios_goes_to_zero(void **state)
{
	uint8_t code[] = {0x0f, 0x01, 0xc1};
	struct loader_file file = {.path = "p", .data = code, .size = sizeof(code)};
	struct memory *mem = vmm_memory(*state, NULL);
	uint64_t gdt[3];

	assert_int_equal(loader_bios(*state, &file, NULL), 0);
	assert_int_equal(vmm_firmware(*state), VMM_FW_RAW);
	assert_int_equal(memory_get32(mem, 0), 0x00c1010f);
	assert_true(memory_read(mem, 0x5000, gdt, sizeof(gdt)));
	assert_true(gdt[1] == 0x0020980000000000);
	assert_int_equal(reg(*state, VM_REG_GUEST_RIP), 0);
}

static void
a_rom_goes_below_one_megabyte(void **state)
{
	static uint8_t rom[LOADER_ROM_SIZE];
	struct loader_file file = {.path = "p", .data = rom, .size = sizeof(rom)};

	rom[0] = 0x11;
	rom[LOADER_ROM_SIZE - 1] = 0x22;
	assert_int_equal(loader_bios(*state, &file, NULL), 0);
	assert_int_equal(vmm_firmware(*state), VMM_FW_ROM);
	assert_int_equal(memory_get8(vmm_memory(*state, NULL), 0xf0000), 0x11);
	assert_int_equal(memory_get8(vmm_memory(*state, NULL), 0xfffff), 0x22);
	assert_int_equal(reg(*state, VM_REG_GUEST_RIP), 0xfff0);
	assert_int_equal(reg(*state, VM_REG_GUEST_CS), 0xf000);
}

static void
a_flat_program(void **state)
{
	uint8_t code[] = {0xf4};
	struct loader_file file = {.path = "p", .data = code, .size = sizeof(code)};
	struct loader_kernel kernel;

	assert_int_equal(loader_kernel(*state, &file, 0x200000, NULL, &kernel, NULL), 0);
	assert_int_equal(kernel.kind, LOADER_FLAT);
	assert_int_equal(memory_get8(vmm_memory(*state, NULL), 0x200000), 0xf4);
	assert_int_equal(reg(*state, VM_REG_GUEST_RIP), 0x200000);
	assert_int_equal(reg(*state, VM_REG_GUEST_CR0), 0x21);
	assert_int_equal(loader_kernel(*state, &file, 4 * MB, NULL, &kernel, NULL), -1);
}

/* An executable with one segment of 4 bytes at physical 1 MB, virtual 3 GB + 1 MB, 64 KB in memory. */
struct elf32 {
	Elf32_Ehdr header;
	Elf32_Phdr segment;
	uint8_t code[4];
};

static struct elf32
make_elf32(void)
{
	return ((struct elf32){
	    .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_entry = 0xc0100002,
		.e_phoff = offsetof(struct elf32, segment),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 1},
	    .segment = {.p_type = PT_LOAD,
		.p_offset = offsetof(struct elf32, code),
		.p_vaddr = 0xc0100000,
		.p_paddr = MB,
		.p_filesz = 4,
		.p_memsz = 65536},
	    .code = {1, 2, 3, 4},
	});
}

static void
an_elf_file(void **state)
{
	struct elf32 elf = make_elf32();
	struct loader_file file = {.path = "p", .data = (uint8_t *)&elf, .size = sizeof(elf)};
	struct memory *mem = vmm_memory(*state, NULL);
	struct loader_kernel kernel;

	memory_put32(mem, MB + 4, 0xffffffff);
	assert_int_equal(loader_kernel(*state, &file, 0, NULL, &kernel, NULL), 0);
	assert_int_equal(kernel.kind, LOADER_ELF32);
	assert_int_equal(kernel.entry, MB + 2); /* from virtual to physical */
	assert_int_equal(kernel.end, MB + 65536);
	assert_int_equal(memory_get32(mem, MB), 0x04030201);
	assert_int_equal(memory_get32(mem, MB + 4), 0); /* .bss */
	assert_int_equal(reg(*state, VM_REG_GUEST_RIP), MB + 2);
}

static void
a_64_bit_elf_file(void **state)
{
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segment;
	} elf = {
	    .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_entry = MB,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1},
	    .segment = {.p_type = PT_LOAD, .p_vaddr = MB, .p_paddr = MB, .p_memsz = 16},
	};
	struct loader_file file = {.path = "p", .data = (uint8_t *)&elf, .size = sizeof(elf)};
	struct memory *mem = vmm_memory(*state, NULL);
	struct loader_kernel kernel;
	uint64_t cr3;

	assert_int_equal(loader_kernel(*state, &file, 0, NULL, &kernel, NULL), 0);
	assert_int_equal(kernel.kind, LOADER_ELF64);
	assert_int_equal(reg(*state, VM_REG_GUEST_EFER), 0x500);
	cr3 = reg(*state, VM_REG_GUEST_CR3);
	/* PML4, page directory pointer table, third directory's first page: 3 GB. */
	assert_int_equal(memory_get32(mem, cr3), (cr3 + 0x1000) | 3);
	assert_int_equal(memory_get32(mem, cr3 + 0x1000 + 3 * 8), (cr3 + 0x5000) | 3);
	assert_int_equal(memory_get32(mem, cr3 + 0x5000), 0xc0000083);
}

/* Multiboot 0.6.96, 3.1: magic, flags, checksum; with addresses (bit 16). */
struct multiboot {
	uint32_t magic, flags, checksum, header_addr, load_addr, load_end, bss_end, entry;
	uint8_t code[4];
};

static struct multiboot
make_multiboot(uint32_t flags)
{
	return ((struct multiboot){.magic = 0x1badb002,
	    .flags = flags,
	    .checksum = 0u - 0x1badb002u - flags,
	    .header_addr = MB,
	    .load_addr = MB,
	    .bss_end = MB + 4096,
	    .entry = MB + 32,
	    .code = {0xf4}});
}

static void
a_multiboot_kernel(void **state)
{
	struct multiboot image = make_multiboot(0x10003);
	struct loader_file file = {.path = "p", .data = (uint8_t *)&image, .size = sizeof(image)};
	struct memory *mem = vmm_memory(*state, NULL);
	struct loader_kernel kernel;
	uint64_t info;
	char line[8] = "";

	assert_int_equal(loader_kernel(*state, &file, 0, "a=b", &kernel, NULL), 0);
	assert_int_equal(kernel.kind, LOADER_MULTIBOOT);
	assert_int_equal(memory_get8(mem, MB + 32), 0xf4);
	assert_int_equal(reg(*state, VM_REG_GUEST_RIP), MB + 32);
	assert_int_equal(reg(*state, VM_REG_GUEST_RAX), 0x2badb002);
	info = reg(*state, VM_REG_GUEST_RBX);
	assert_true(info >= MB + sizeof(image)); /* not in its way, wherever it lies */
	assert_int_equal(memory_get32(mem, info), 1 | 4 | 64);
	assert_int_equal(memory_get32(mem, info + 4), 639);
	assert_int_equal(memory_get32(mem, info + 8), 3 * 1024);
	assert_true(memory_read(mem, memory_get32(mem, info + 16), line, 4));
	assert_string_equal(line, "a=b");
	assert_int_equal(memory_get32(mem, info + 44), 48); /* two entries of 24 bytes */
}

static void
wrong_kernels_are_refused(void **state)
{
	struct elf32 elf = make_elf32();
	struct multiboot image = make_multiboot(0x10004); /* wants a video mode */
	struct loader_file file = {.path = "p", .data = (uint8_t *)&image, .size = sizeof(image)};
	struct loader_kernel kernel;
	struct vmm_error err;

	assert_int_equal(loader_kernel(*state, &file, 0, NULL, &kernel, &err), -1);
	assert_non_null(strstr(err.text, "multiboot"));
	image = make_multiboot(0x10003);
	image.load_addr = 2 * MB; /* behind its own header */
	assert_int_equal(loader_kernel(*state, &file, 0, NULL, &kernel, &err), -1);
	file.data = (uint8_t *)&elf;
	for (size_t size = 8; size < sizeof(elf); size++) {
		file.size = size;
		loader_kernel(*state, &file, 4 * MB, NULL, &kernel, &err); /* and does not crash */
	}
	file.size = sizeof(elf);
	elf.segment.p_memsz = 0xfffff000;
	assert_int_equal(loader_kernel(*state, &file, 0, NULL, &kernel, &err), -1);
	elf = make_elf32();
	elf.segment.p_paddr = 0xfffffff0;
	assert_int_equal(loader_kernel(*state, &file, 0, NULL, &kernel, &err), -1);
	assert_non_null(strstr(err.text, "fit"));
	elf = make_elf32();
	elf.segment.p_offset = 0xffffff00;
	assert_int_equal(loader_kernel(*state, &file, 0, NULL, &kernel, &err), -1);
	assert_non_null(strstr(err.text, "cut"));
	elf = make_elf32();
	elf.header.e_machine = EM_ARM;
	assert_int_equal(loader_kernel(*state, &file, 0, NULL, &kernel, &err), -1);
	assert_non_null(strstr(err.text, "processor"));
}

/* Bytes changed at random: refused or loaded, never a crash. */
static void
random_headers_do_no_harm(void **state)
{
	struct loader_kernel kernel;
	unsigned seed = 12345;

	for (int round = 0; round < 2000; round++) {
		struct elf32 elf = make_elf32();
		struct loader_file file = {
		    .path = "p", .data = (uint8_t *)&elf, .size = sizeof(elf)};

		for (int i = 0; i < 3; i++) {
			size_t at = 16 + (size_t)rand_r(&seed) % (sizeof(elf) - 16);

			file.data[at] = (uint8_t)rand_r(&seed);
		}
		loader_kernel(*state, &file, 0x200000, NULL, &kernel, NULL);
	}
}

static void
files_are_looked_at(void **unused)
{
	struct loader_file file;
	struct vmm_error err;
	char path[128];
	FILE *out;

	(void)unused;
	assert_int_equal(loader_open(&file, "/nowhere/file", &err), -1);
	assert_non_null(strstr(err.text, "No such file"));
	assert_int_equal(loader_open(&file, vm_folder, &err), -1);
	assert_non_null(strstr(err.text, "not a file"));
	snprintf(path, sizeof(path), "%s/x", vm_folder);
	out = fopen(path, "w");
	assert_non_null(out);
	assert_int_equal(loader_open(&file, path, &err), -1);
	assert_non_null(strstr(err.text, "empty"));
	fputs("data", out);
	fclose(out);
	assert_int_equal(loader_open(&file, path, &err), 0);
	assert_int_equal(file.size, 4);
	loader_close(&file);
}

int
main(void)
{
#define LOADING(test) cmocka_unit_test_setup_teardown(test, load_setup, load_teardown)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sizes_of_a_pseudo_bios),
	    LOADING(a_raw_bios_goes_to_zero),
	    LOADING(a_rom_goes_below_one_megabyte),
	    LOADING(a_flat_program),
	    LOADING(an_elf_file),
	    LOADING(a_64_bit_elf_file),
	    LOADING(a_multiboot_kernel),
	    LOADING(wrong_kernels_are_refused),
	    LOADING(random_headers_do_no_harm),
	    cmocka_unit_test_setup_teardown(files_are_looked_at, folder_setup, folder_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
