/*
 * Loaders: a file's bytes into the memory of a VM, and the registers it starts with. All of them
 * run between vmm_begin(VMM_LOAD or VMM_WRITE) and vmm_end(); the file is untrusted.
 */
#ifndef LOADER_LOADER_H
#define LOADER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/vmm.h"

#define LOADER_ROM_SIZE 0x10000u /* a pseudo BIOS of exactly this size is a ROM at F0000 */
#define LOADER_RAW_MAX 0x5000u	 /* a smaller one goes to 0, below its GDT */
#define LOADER_FILE_MAX (1ull << 30)
#define LOADER_FLAT_ADDRESS 0x100000u

/* A file in this process. */
struct loader_file {
	const char *path; /* for messages */
	uint8_t *data;
	size_t size;
};

/* What a kernel turned out to be. */
enum loader_kind { LOADER_FLAT, LOADER_ELF32, LOADER_ELF64, LOADER_MULTIBOOT };

struct loader_kernel {
	enum loader_kind kind;
	uint64_t entry;
	uint64_t end;  /* first byte behind what was loaded */
	uint32_t info; /* LOADER_MULTIBOOT: its information structure */
};

/* Read the file PATH, which must not be empty. Free with loader_close(). */
int loader_open(struct loader_file *file, const char *path, struct vmm_error *err);
void loader_close(struct loader_file *file);

/* Whether FILE has the size of a pseudo BIOS. */
int loader_check_bios(const struct loader_file *file, struct vmm_error *err);
/*
 * Load a pseudo BIOS and set vCPU 0's registers: 64 KB as ROM at F0000, entered at F000:FFF0; else
 * at 0, entered at RIP 0 by the preset of vm_setup_bios_registers(), with its GDT at 5000h.
 */
int loader_bios(struct vmctx *ctx, const struct loader_file *file, struct vmm_error *err);
/* The built-in ROM as a file; false when out of memory. */
bool loader_builtin_bios(struct loader_file *file);

/*
 * Load FILE by its content (multiboot header, ELF, else flat at FLAT_ADDRESS) and set vCPU 0's
 * registers: the i386 preset, or the 64-bit one with an identity map of the first 4 GB for a
 * 64-bit ELF file. CMDLINE may be NULL.
 */
int loader_kernel(struct vmctx *ctx, const struct loader_file *file, uint64_t flat_address,
    const char *cmdline, struct loader_kernel *kernel, struct vmm_error *err);

/* Where a real-mode program starts: at CODE_SEGMENT:0, all other segments and the stack set. */
struct loader_entry {
	uint16_t code_segment;
	uint16_t data_segment;
	uint16_t stack_pointer;
};

/* Whether FILE is a Linux kernel with a boot header. */
bool loader_is_linux(const struct loader_file *file);
/*
 * Load a bzImage, INITRD and CMDLINE (both may be NULL) for its 16-bit entry; ENTRY says where the
 * BIOS is to start it. KERNEL's bytes are changed (its header is filled in).
 */
int loader_linux(struct vmctx *ctx, const struct loader_file *kernel,
    const struct loader_file *initrd, const char *cmdline, struct loader_entry *entry,
    struct vmm_error *err);

/* What EAX holds when a multiboot kernel starts; EBX has loader_kernel.info. */
#define LOADER_MULTIBOOT_MAGIC 0x2badb002u

/* Whether FILE, or as much of it as SIZE says (8 KB will do), has a multiboot header. */
bool loader_is_multiboot(const struct loader_file *file);
/* Steps of loader_kernel(). Each loads its kind of file; 1 when FILE is not of that kind. */
/* MODULE and CMDLINE may be NULL. */
int loader_multiboot(struct vmctx *ctx, const struct loader_file *file,
    const struct loader_file *module, const char *cmdline, struct loader_kernel *kernel,
    struct vmm_error *err);
int loader_elf(struct vmctx *ctx, const struct loader_file *file, struct loader_kernel *kernel,
    struct vmm_error *err);
/* Copy SIZE bytes to GPA, then zeros up to MEMORY_SIZE. */
int loader_copy(struct vmctx *ctx, const struct loader_file *file, uint64_t gpa, size_t offset,
    uint64_t size, uint64_t memory_size, struct vmm_error *err);

#endif
