/*
 * Raw disk images: a file or a block device, read and written in place, or with the guest's writes
 * kept in memory. Who writes holds an exclusive flock on the file, who reads a shared one.
 */
#include "block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/overlay.h"

struct block {
	int fd;
	bool readonly;
	char *path;
	uint64_t sectors;
	struct overlay *overlay; /* BLOCK_EPHEMERAL only */
	struct block_stats stats;
};

/* Files whose first bytes say that they are no raw image: better refused than booted. */
static const struct {
	const char *magic;
	size_t size;
	const char *what;
} foreign_formats[] = {
    {"QFI\xfb", 4, "a qcow2 image"},
    {"KDMV", 4, "a VMDK image"},
    {"vhdxfile", 8, "a VHDX image"},
    {"\x1f\x8b\x08", 3, "compressed (gzip)"},
    {"\xfd"
     "7zXZ",
	6, "compressed (xz)"},
};

__attribute__((format(printf, 3, 4))) static int
refuse(struct block_error *err, int error, const char *format, ...)
{
	va_list args;

	err->error = error;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return (-1);
}

static int
refuse_open(struct block_error *err, int error)
{
	switch (error) {
	case ENOENT:
		return (refuse(err, error, "no such file"));
	case EISDIR:
		return (refuse(err, error, "is a directory"));
	case EACCES:
	case EPERM:
		return (refuse(err, error, "permission denied"));
	default:
		return (refuse(err, error, "cannot be opened: %s", strerror(error)));
	}
}

/* Open for writing if that is wanted and possible, else for reading. */
static int
open_file(struct block *block, int flags, struct block_error *err)
{
	/* O_NONBLOCK: a FIFO must be refused, not waited for. */
	int mode = O_CLOEXEC | O_NONBLOCK;

	block->readonly = (flags & BLOCK_RO) != 0;
	if ((flags & (BLOCK_RO | BLOCK_EPHEMERAL)) == 0) {
		block->fd = open(block->path, O_RDWR | mode);
		if (block->fd >= 0)
			return (0);
		if (errno != EACCES && errno != EPERM && errno != EROFS && errno != ETXTBSY)
			return (refuse_open(err, errno));
		block->readonly = true;
	}
	block->fd = open(block->path, O_RDONLY | mode);
	return (block->fd >= 0 ? 0 : refuse_open(err, errno));
}

static int
measure(struct block *block, struct block_error *err)
{
	struct stat st;
	uint64_t bytes;

	if (fstat(block->fd, &st) != 0)
		return (refuse_open(err, errno));
	if (S_ISDIR(st.st_mode))
		return (refuse_open(err, EISDIR));
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(block->fd, BLKGETSIZE64, &bytes) != 0)
			return (refuse_open(err, errno));
	} else if (S_ISREG(st.st_mode)) {
		bytes = (uint64_t)st.st_size;
	} else {
		return (refuse(err, EINVAL, "is neither a file nor a block device"));
	}
	if (bytes == 0)
		return (refuse(err, 0, "is empty"));
	if (bytes % BLOCK_SECTOR != 0)
		return (refuse(err, 0, "its size, %llu bytes, is not a multiple of 512",
		    (unsigned long long)bytes));
	block->sectors = bytes / BLOCK_SECTOR;
	return (0);
}

/* Keep writers apart from everybody else; file systems without locks are let through. */
static int
lock_file(const struct block *block, int flags, struct block_error *err)
{
	bool writer = !block->readonly && (flags & BLOCK_EPHEMERAL) == 0;

	if (flock(block->fd, (writer ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return (0);
	return (refuse(err, EBUSY, "is in use by another virtual machine%s",
	    writer ? "" : ", which may write to it"));
}

static int
check_format(const struct block *block, struct block_error *err)
{
	char head[8];

	if (pread(block->fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return (refuse(err, EIO, "cannot be read"));
	for (size_t i = 0; i < sizeof(foreign_formats) / sizeof(foreign_formats[0]); i++)
		if (memcmp(head, foreign_formats[i].magic, foreign_formats[i].size) == 0)
			return (refuse(
			    err, 0, "is %s; only raw images can be used", foreign_formats[i].what));
	return (0);
}

struct block *
block_open(const char *path, int flags, struct block_error *err)
{
	struct block *block = calloc(1, sizeof(*block));

	*err = (struct block_error){.error = 0};
	if (block == NULL || (block->path = strdup(path)) == NULL) {
		free(block);
		refuse(err, ENOMEM, "out of memory");
		return (NULL);
	}
	block->fd = -1;
	if (open_file(block, flags, err) != 0 || measure(block, err) != 0 ||
	    lock_file(block, flags, err) != 0 || check_format(block, err) != 0) {
		block_close(block);
		return (NULL);
	}
	if ((flags & BLOCK_EPHEMERAL) != 0 && !block->readonly) {
		block->overlay = overlay_new();
		if (block->overlay == NULL) {
			refuse(err, ENOMEM, "out of memory");
			block_close(block);
			return (NULL);
		}
	}
	return (block);
}

void
block_close(struct block *block)
{
	if (block == NULL)
		return;
	if (block->fd >= 0)
		close(block->fd);
	overlay_free(block->overlay);
	free(block->path);
	free(block);
}

uint64_t
block_sectors(const struct block *block)
{
	return (block->sectors);
}

bool
block_readonly(const struct block *block)
{
	return (block->readonly);
}

const char *
block_path(const struct block *block)
{
	return (block->path);
}

const struct block_stats *
block_stats(const struct block *block)
{
	return (&block->stats);
}

static bool
in_range(const struct block *block, uint64_t lba, uint32_t count)
{
	return (lba <= block->sectors && count <= block->sectors - lba);
}

static int
read_file(const struct block *block, uint64_t lba, size_t bytes, uint8_t *buf)
{
	off_t at = (off_t)(lba * BLOCK_SECTOR);

	while (bytes > 0) {
		ssize_t done = pread(block->fd, buf, bytes, at);

		if (done < 0 && errno == EINTR)
			continue;
		/* An early end: somebody cut the file while we had it open. */
		if (done <= 0)
			return (EIO);
		buf += done;
		at += done;
		bytes -= (size_t)done;
	}
	return (0);
}

static int
write_file(const struct block *block, uint64_t lba, size_t bytes, const uint8_t *buf)
{
	off_t at = (off_t)(lba * BLOCK_SECTOR);

	while (bytes > 0) {
		ssize_t done = pwrite(block->fd, buf, bytes, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return (done < 0 && (errno == ENOSPC || errno == EDQUOT) ? ENOSPC : EIO);
		buf += done;
		at += done;
		bytes -= (size_t)done;
	}
	return (0);
}

static int
write_overlay(struct block *block, uint64_t lba, uint32_t count, const uint8_t *buf)
{
	for (uint32_t i = 0; i < count; i++)
		if (overlay_put(block->overlay, lba + i, buf + (size_t)i * BLOCK_SECTOR) != 0)
			return (ENOSPC);
	return (0);
}

static void
read_overlay(const struct block *block, uint64_t lba, uint32_t count, uint8_t *buf)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *sector = overlay_get(block->overlay, lba + i);

		if (sector != NULL)
			memcpy(buf + (size_t)i * BLOCK_SECTOR, sector, BLOCK_SECTOR);
	}
}

int
block_read(struct block *block, uint64_t lba, uint32_t count, void *buf)
{
	size_t bytes = (size_t)count * BLOCK_SECTOR;
	int error = in_range(block, lba, count) ? read_file(block, lba, bytes, buf) : EINVAL;

	if (error != 0) {
		block->stats.errors++;
		return (error);
	}
	if (block->overlay != NULL)
		read_overlay(block, lba, count, buf);
	block->stats.read_ops++;
	block->stats.read_bytes += bytes;
	return (0);
}

int
block_write(struct block *block, uint64_t lba, uint32_t count, const void *buf)
{
	size_t bytes = (size_t)count * BLOCK_SECTOR;
	int error;

	if (!in_range(block, lba, count))
		error = EINVAL;
	else if (block->readonly)
		error = EROFS;
	else if (block->overlay != NULL)
		error = write_overlay(block, lba, count, buf);
	else
		error = write_file(block, lba, bytes, buf);
	if (error != 0) {
		block->stats.errors++;
		return (error);
	}
	block->stats.write_ops++;
	block->stats.write_bytes += bytes;
	return (0);
}

int
block_flush(struct block *block)
{
	if (block->readonly || block->overlay != NULL)
		return (0);
	return (fdatasync(block->fd) == 0 || errno == EINVAL ? 0 : EIO);
}
