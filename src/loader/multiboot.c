/*
 * Multiboot kernels: Multiboot Specification 0.6.96, 3.1 (header), 3.2 (machine state), 3.3
 * (information structure). One module; drives and video modes are not offered.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "loader/loader.h"

#define HEADER_MAGIC 0x1badb002u
#define HEADER_SEARCH 8192u
#define FLAG_ADDRESSES (1u << 16)
/* Bits below 16 that must be understood: page alignment and memory information are. */
#define FLAGS_REQUIRED 0x0000fffcu
#define INFO_MEMORY 1u
#define INFO_CMDLINE 4u
#define INFO_MODULES 8u
#define INFO_MMAP 64u
/* What is told to the kernel, in a page of its own: offsets in it. */
#define MODULE_OFFSET 0x180u
#define MMAP_OFFSET 0x200u
#define MMAP_ENTRIES 3
#define CMDLINE_OFFSET 0x400u
#define CMDLINE_MAX 0xc00u
#define LOW_END 0x9fc00u /* where the BIOS keeps its data */
#define MB 0x100000ull

struct header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
};

struct module {
	uint32_t start, end, string, reserved;
};

struct mmap_entry {
	uint32_t size; /* of the rest */
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

/* The header's offset in FILE, or -1. */
static long
find_header(const struct loader_file *file, struct header *header)
{
	size_t end = file->size < HEADER_SEARCH ? file->size : HEADER_SEARCH;

	memset(header, 0, sizeof(*header));
	for (size_t at = 0; at + 12 <= end; at += 4) {
		size_t have = file->size - at < sizeof(*header) ? file->size - at : sizeof(*header);

		memcpy(header, file->data + at, have);
		if (header->magic == HEADER_MAGIC &&
		    header->magic + header->flags + header->checksum == 0 &&
		    ((header->flags & FLAG_ADDRESSES) == 0 || have == sizeof(*header)))
			return ((long)at);
	}
	return (-1);
}

bool
loader_is_multiboot(const struct loader_file *file)
{
	struct header header;

	return (find_header(file, &header) >= 0);
}

/* Load by the addresses in the header (3.1.3). */
static int
load_by_addresses(struct vmctx *ctx, const struct loader_file *file, const struct header *header,
    size_t offset, struct loader_kernel *kernel, struct vmm_error *err)
{
	uint64_t before = (uint64_t)header->header_addr - header->load_addr;
	uint64_t size;

	if (header->load_addr > header->header_addr || before > offset)
		return (
		    vmm_fail(err, ENOEXEC, "%s: its multiboot header makes no sense", file->path));
	size = file->size - (offset - before);
	if (header->load_end_addr > header->load_addr &&
	    header->load_end_addr - header->load_addr < size)
		size = header->load_end_addr - header->load_addr;
	kernel->entry = header->entry_addr;
	kernel->end = header->load_addr + size;
	if (header->bss_end_addr > kernel->end)
		kernel->end = header->bss_end_addr;
	return (loader_copy(ctx, file, header->load_addr, offset - before, size,
	    kernel->end - header->load_addr, err));
}

static unsigned
fill_mmap(struct mmap_entry *map, uint64_t low_size, uint64_t high_size)
{
	unsigned n = 0;

	map[n++] = (struct mmap_entry){.length = low_size < LOW_END ? low_size : LOW_END};
	if (low_size > MB)
		map[n++] = (struct mmap_entry){.base = MB, .length = low_size - MB};
	if (high_size > 0)
		map[n++] = (struct mmap_entry){.base = MEMORY_HIGH_BASE, .length = high_size};
	for (unsigned i = 0; i < n; i++) {
		map[i].size = sizeof(map[i]) - sizeof(map[i].size);
		map[i].type = 1;
	}
	return (n);
}

/* The next SIZE bytes that are free from *END on, in whole pages, clear of the BIOS's memory. */
static uint64_t
take_pages(uint64_t *end, uint64_t size)
{
	uint64_t at = (*end + X86_PAGE_MASK) & ~(uint64_t)X86_PAGE_MASK;

	if (at < MB && at + size > LOW_END)
		at = MB;
	*end = at + size;
	return (at);
}

static int
place_module(struct vmctx *ctx, const struct loader_file *file, uint64_t *end,
    struct module *module, struct vmm_error *err)
{
	uint64_t at = take_pages(end, file->size);

	if (*end > UINT32_MAX)
		return (vmm_fail(err, ENOMEM, "%s: too little memory for it", file->path));
	*module = (struct module){.start = (uint32_t)at, .end = (uint32_t)*end};
	return (loader_copy(ctx, file, at, 0, file->size, file->size, err));
}

/* The information structure for KERNEL and its MODULE (end 0: none), behind both. */
static int
write_info(struct vmctx *ctx, const char *cmdline, struct module *module,
    struct loader_kernel *kernel, struct vmm_error *err)
{
	struct memory *mem = vmm_memory(ctx, err);
	uint32_t at = (uint32_t)take_pages(&kernel->end, X86_PAGE_SIZE);
	struct mmap_entry map[MMAP_ENTRIES];
	struct info info = {.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MMAP,
	    .cmdline = at + CMDLINE_OFFSET,
	    .mmap_addr = at + MMAP_OFFSET};
	uint64_t low_size, high_size;

	if (mem == NULL)
		return (-1);
	if (strlen(cmdline) >= CMDLINE_MAX)
		return (vmm_fail(err, E2BIG, "the kernel's command line is too long"));
	vmm_memory_sizes(ctx, &low_size, &high_size);
	if (module->end != 0) {
		info.flags |= INFO_MODULES;
		info.mods_count = 1;
		info.mods_addr = at + MODULE_OFFSET;
		/* Its string is empty: the field behind the pointer is 0. */
		module->string = info.mods_addr + (uint32_t)offsetof(struct module, reserved);
	}
	info.mem_lower = (uint32_t)((low_size < LOW_END ? low_size : LOW_END) >> 10);
	info.mem_upper = low_size > MB ? (uint32_t)((low_size - MB) >> 10) : 0;
	info.mmap_length = (uint32_t)(fill_mmap(map, low_size, high_size) * sizeof(map[0]));
	if (!memory_load(mem, at, &info, sizeof(info)) ||
	    !memory_load(mem, at + MODULE_OFFSET, module, sizeof(*module)) ||
	    !memory_load(mem, at + MMAP_OFFSET, map, info.mmap_length) ||
	    !memory_load(mem, at + CMDLINE_OFFSET, cmdline, strlen(cmdline) + 1))
		return (vmm_fail(err, ENOMEM, "%s: too little memory", vmm_name(ctx)));
	kernel->info = at;
	return (0);
}

int
loader_multiboot(struct vmctx *ctx, const struct loader_file *file,
    const struct loader_file *module_file, const char *cmdline, struct loader_kernel *kernel,
    struct vmm_error *err)
{
	struct module module = {0};
	struct header header;
	long offset = find_header(file, &header);
	int error;

	if (offset < 0)
		return (1);
	if (header.flags & FLAGS_REQUIRED)
		return (vmm_fail(err, ENOEXEC,
		    "%s: it asks for multiboot features %#x that are not offered", file->path,
		    header.flags & FLAGS_REQUIRED));
	if (header.flags & FLAG_ADDRESSES)
		error = load_by_addresses(ctx, file, &header, (size_t)offset, kernel, err);
	else
		error = loader_elf(ctx, file, kernel, err);
	if (error > 0)
		return (
		    vmm_fail(err, ENOEXEC, "%s: a multiboot kernel, but no ELF file", file->path));
	if (error < 0 ||
	    (module_file != NULL &&
		place_module(ctx, module_file, &kernel->end, &module, err) != 0) ||
	    write_info(ctx, cmdline != NULL ? cmdline : "", &module, kernel, err) != 0)
		return (-1);
	kernel->kind = LOADER_MULTIBOOT;
	return (0);
}
