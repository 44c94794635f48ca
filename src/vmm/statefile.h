/*
 * The state file of a VM: a header, a table of sections, and the sections' bytes one after the
 * other. All numbers are little-endian.
 *
 *	offset	bytes	header
 *	0	8	magic "HYVE86VM"
 *	8	4	version of this layout
 *	12	4	flags (enum statefile_flags)
 *	16	4	number of sections
 *	20	4	CRC-32 of the header (with this field 0) and the table
 *	24	8	length of the file
 *
 *	offset	bytes	table entry
 *	0	16	id, NUL-padded
 *	16	4	version of the section's layout
 *	20	4	length
 *	24	4	CRC-32 of the section's bytes
 *	28	4	0
 *
 * There is no byte that no CRC covers. The file is replaced as a whole, by rename. A section that
 * nobody registered is kept and written back.
 */
#ifndef VMM_STATEFILE_H
#define VMM_STATEFILE_H

#include <stddef.h>
#include <stdint.h>

#include "bus/section.h"
#include "vmm/error.h"

#define STATEFILE_VERSION 1
#define STATEFILE_HEADER_SIZE 32
#define STATEFILE_SECTIONS_MAX 256

enum statefile_flags {
	STATEFILE_RUNNING = 1, /* written when a run starts, cleared when it ends cleanly */
	STATEFILE_VOLATILE = 2 /* the VM goes with the process that runs it */
};

/* One section in a file that was read. */
struct statefile_entry {
	char id[SECTION_ID_MAX + 1];
	uint32_t version;
	uint32_t size;
	const uint8_t *data; /* in the statefile's bytes */
};

/* A file that was read and found whole. */
struct statefile {
	uint32_t flags;
	unsigned count;
	struct statefile_entry entries[STATEFILE_SECTIONS_MAX];
	uint8_t *bytes; /* owned */
};

/*
 * Check the SIZE bytes at BYTES, which STATE takes over (malloc'ed; freed on failure too). 0, or -1
 * with ERR's text saying what is wrong ("the file is cut: ..."), without a name in front.
 */
int statefile_parse(struct statefile *state, uint8_t *bytes, size_t size, struct vmm_error *err);
/* Read the file NAME in the directory DIRFD. */
int statefile_read(struct statefile *state, int dirfd, const char *name, struct vmm_error *err);
/* Read the header of that file to HEADER, as it stands. 0, or -1 with errno. */
int statefile_peek(uint8_t header[STATEFILE_HEADER_SIZE], int dirfd, const char *name);
void statefile_free(struct statefile *state);
const struct statefile_entry *statefile_find(const struct statefile *state, const char *id);
/*
 * Copy the section of that id and version into SECTION's data and call its restored(). 1 when done,
 * 0 when the file has no such section, -1 with ERR when it does not fit.
 */
int statefile_restore(
    const struct statefile *state, const struct section *section, struct vmm_error *err);

/* The bytes of a file with COUNT sections, malloc'ed, *SIZE of them; NULL when out of memory. */
uint8_t *statefile_build(
    const struct section *sections, unsigned count, uint32_t flags, size_t *size);
/* Write them to NAME in DIRFD, by a temporary file and rename. 0, or -1 with errno. */
int statefile_write(int dirfd, const char *name, const void *bytes, size_t size);

/* CRC-32 as in IEEE 802.3 and zlib, continued from CRC (0 at the start). */
uint32_t crc32_update(uint32_t crc, const void *data, size_t size);

#endif
