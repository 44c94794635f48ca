/*
 * Executables: ELF for i386 and x86-64 (System V ABI, chapters 4 and 5). Segments go to their
 * physical addresses; an entry point that is given as a virtual address inside a segment is turned
 * into the physical one.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "loader/loader.h"

#define SEGMENTS_MAX 64

/* The fields of both classes that matter here. */
struct elf_header {
	bool is64;
	uint64_t entry;
	uint64_t phoff;
	unsigned phentsize;
	unsigned phnum;
};

struct elf_segment {
	uint32_t type;
	uint64_t offset, vaddr, paddr, filesz, memsz;
};

#define TAKE_HEADER(out, bits, bytes) \
	do { \
		Elf##bits##_Ehdr raw; \
		memcpy(&raw, bytes, sizeof(raw)); \
		(out)->entry = raw.e_entry; \
		(out)->phoff = raw.e_phoff; \
		(out)->phentsize = raw.e_phentsize; \
		(out)->phnum = raw.e_phnum; \
	} while (0)

#define TAKE_SEGMENT(out, bits, bytes) \
	do { \
		Elf##bits##_Phdr raw; \
		memcpy(&raw, bytes, sizeof(raw)); \
		(out)->type = raw.p_type; \
		(out)->offset = raw.p_offset; \
		(out)->vaddr = raw.p_vaddr; \
		(out)->paddr = raw.p_paddr; \
		(out)->filesz = raw.p_filesz; \
		(out)->memsz = raw.p_memsz; \
	} while (0)

/* 1 when it is no ELF file. */
static int
read_header(struct elf_header *header, const struct loader_file *file, struct vmm_error *err)
{
	uint16_t machine;

	if (file->size < EI_NIDENT || memcmp(file->data, ELFMAG, SELFMAG) != 0)
		return (1);
	header->is64 = file->data[EI_CLASS] == ELFCLASS64;
	if (file->size < (header->is64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
		return (vmm_fail(err, ENOEXEC, "%s: it is cut", file->path));
	memcpy(&machine, file->data + offsetof(Elf32_Ehdr, e_machine), sizeof(machine));
	if (machine != (header->is64 ? EM_X86_64 : EM_386))
		return (vmm_fail(err, ENOEXEC, "%s: it is for another processor", file->path));
	if (header->is64)
		TAKE_HEADER(header, 64, file->data);
	else
		TAKE_HEADER(header, 32, file->data);
	if (header->phnum == 0 || header->phnum > SEGMENTS_MAX ||
	    header->phentsize < (header->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) ||
	    header->phoff > file->size ||
	    header->phnum * header->phentsize > file->size - header->phoff)
		return (
		    vmm_fail(err, ENOEXEC, "%s: its program headers make no sense", file->path));
	return (0);
}

static struct elf_segment
read_segment(const struct elf_header *header, const struct loader_file *file, unsigned index)
{
	const uint8_t *at = file->data + header->phoff + index * header->phentsize;
	struct elf_segment segment;

	if (header->is64)
		TAKE_SEGMENT(&segment, 64, at);
	else
		TAKE_SEGMENT(&segment, 32, at);
	return (segment);
}

int
loader_elf(struct vmctx *ctx, const struct loader_file *file, struct loader_kernel *kernel,
    struct vmm_error *err)
{
	struct elf_header header = {0};
	bool translated = false;
	int error = read_header(&header, file, err);

	if (error != 0)
		return (error);
	kernel->kind = header.is64 ? LOADER_ELF64 : LOADER_ELF32;
	kernel->entry = header.entry;
	kernel->end = 0;
	for (unsigned i = 0; i < header.phnum; i++) {
		struct elf_segment segment = read_segment(&header, file, i);

		if (segment.type != PT_LOAD || segment.memsz == 0)
			continue;
		if (loader_copy(ctx, file, segment.paddr, segment.offset, segment.filesz,
			segment.memsz, err) != 0)
			return (-1);
		if (segment.paddr + segment.memsz > kernel->end)
			kernel->end = segment.paddr + segment.memsz;
		if (!translated && header.entry - segment.vaddr < segment.memsz) {
			kernel->entry = header.entry - segment.vaddr + segment.paddr;
			translated = true;
		}
	}
	if (kernel->end == 0)
		return (vmm_fail(err, ENOEXEC, "%s: it has nothing to load", file->path));
	return (0);
}
