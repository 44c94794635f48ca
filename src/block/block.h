/*
 * Disk images: sectors of 512 bytes, one interface for BIOS, chips and loaders. Raw files, plus an
 * overlay in memory for --ephemeral. Errors are errno values; nothing here prints or exits.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_SECTOR 512u

enum block_open_flags {
	BLOCK_RO = 1,	     /* guest writes fail with EROFS */
	BLOCK_EPHEMERAL = 2, /* guest writes stay in memory */
};

/* Why an image was refused: the line for the user, without the file's name. */
struct block_error {
	int error; /* errno value, 0 when the content is at fault */
	char text[160];
};

struct block_stats {
	uint64_t read_ops, read_bytes, write_ops, write_bytes, errors;
};

struct block; /* opaque */

/*
 * Open the image at PATH. A file that can only be opened for reading becomes BLOCK_RO by itself.
 * NULL with ERR filled: missing, a directory, empty, not a multiple of 512 bytes, ...
 */
struct block *block_open(const char *path, int flags, struct block_error *err);
void block_close(struct block *block);

uint64_t block_sectors(const struct block *block);
bool block_readonly(const struct block *block);
const char *block_path(const struct block *block);
const struct block_stats *block_stats(const struct block *block);

/* COUNT sectors from LBA. 0 or an errno value: EINVAL beyond the end (nothing done), EROFS, EIO,
 * ENOSPC. */
int block_read(struct block *block, uint64_t lba, uint32_t count, void *buf);
int block_write(struct block *block, uint64_t lba, uint32_t count, const void *buf);
int block_flush(struct block *block);

/* Cylinders, heads, sectors per track. */
struct block_geometry {
	uint32_t cylinders;
	uint32_t heads;
	uint32_t sectors;
};

/* A standard floppy format: media type as in CMOS 10h, and its geometry. */
struct floppy_format {
	uint8_t drive_type; /* CMOS byte 10h nibble: 1=360K 2=1.2M 3=720K 4=1.44M 5=2.88M */
	struct block_geometry geometry;
};

/* The standard format with at least SECTORS sectors; NULL when larger than 2.88 MB. */
const struct floppy_format *floppy_format_for(uint64_t sectors);
/*
 * The geometry a BIOS gives a hard disk: from its partition table when entries agree on one (end
 * CHS of a partition on a cylinder boundary), else 16 heads by 63 sectors up to 1024 cylinders,
 * then LBA-assisted translation (32..255 heads). Phoenix EDD 1.1, 4.1.
 */
struct block_geometry block_disk_geometry(struct block *block);
/*
 * Whether the partitions of a hard disk image lie inside it, as they do not when it was cut short:
 * 0, or -1 with ERR filled. An image without a partition table passes.
 */
int block_check_partitions(struct block *block, struct block_error *err);

#endif
