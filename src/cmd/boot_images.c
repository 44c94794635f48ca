/* The images of hyve86 boot: opened, told by their content, given drive numbers. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/boot.h"
#include "cmd/cmd.h"

#define FLOPPY_SECTORS_MAX 5760u /* 2.88 MB */
#define KERNEL_MAGIC_AT 0x202	 /* Linux boot protocol: "HdrS" */
#define ISO_SECTOR 64u		 /* of 512 bytes: the volume descriptors begin at 32 KB */

/* Kinds of files that this build cannot boot, by what they begin with. */
static const struct {
	uint32_t sector;
	uint16_t offset;
	const char *bytes;
	const char *what;
} foreign[] = {
    {ISO_SECTOR, 1, "CD001", "a CD-ROM image; CD-ROMs are not in this build"},
    {0, 0, "\177ELF", "an ELF file; direct boot is not in this build (try bhyveload)"},
};

static const char *
foreign_kind(struct block *block)
{
	uint8_t sector[BLOCK_SECTOR];

	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (block_sectors(block) > foreign[i].sector &&
		    block_read(block, foreign[i].sector, 1, sector) == 0 &&
		    memcmp(sector + foreign[i].offset, foreign[i].bytes,
			strlen(foreign[i].bytes)) == 0)
			return (foreign[i].what);
	return (NULL);
}

/* Small and with the mark of a boot sector: a floppy, whatever else it may be (an ISO, say). */
static bool
is_boot_floppy(struct block *block)
{
	uint8_t sector[BLOCK_SECTOR];

	return (block_sectors(block) <= FLOPPY_SECTORS_MAX &&
	    block_read(block, 0, 1, sector) == 0 && sector[510] == 0x55 && sector[511] == 0xaa);
}

/*
 * Is the file a Linux kernel? A raw memtest86+ is one and a floppy image too: what can be a floppy
 * is one, unless it begins as kernels do (an EFI program, which is no boot sector).
 */
static bool
is_kernel(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t head[2 * BLOCK_SECTOR] = {0};
	struct stat st = {0};
	ssize_t n;

	if (fd < 0)
		return (false);
	n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? pread(fd, head, sizeof(head), 0) : -1;
	close(fd);
	if (n != sizeof(head) || memcmp(head + KERNEL_MAGIC_AT, "HdrS", 4) != 0)
		return (false);
	return (memcmp(head, "MZ", 2) == 0 || st.st_size % BLOCK_SECTOR != 0 ||
	    st.st_size > (off_t)FLOPPY_SECTORS_MAX * BLOCK_SECTOR);
}

static int
refuse(const struct boot_options *opts, const struct boot_image *image, const char *why)
{
	return (cmd_error(opts->command, "%s: %s", image->path, why));
}

static int
open_one(struct boot_options *opts, struct boot_image *image)
{
	int flags = (image->readonly ? BLOCK_RO : 0) | (opts->ephemeral ? BLOCK_EPHEMERAL : 0);
	struct block_error err;
	const char *kind;

	image->block = block_open(image->path, flags, &err);
	if (image->block == NULL)
		return (refuse(opts, image, err.text));
	if (image->kind == IMAGE_BY_CONTENT) {
		kind = foreign_kind(image->block);
		if (kind != NULL && !is_boot_floppy(image->block))
			return (refuse(opts, image, kind));
		image->kind =
		    block_sectors(image->block) <= FLOPPY_SECTORS_MAX ? IMAGE_FLOPPY : IMAGE_DISK;
	}
	if (image->kind == IMAGE_FLOPPY && block_sectors(image->block) > FLOPPY_SECTORS_MAX)
		return (refuse(opts, image, "larger than a 2.88 MB floppy; use --disk"));
	if (image->kind == IMAGE_DISK && block_check_partitions(image->block, &err) != 0)
		return (refuse(opts, image, err.text));
	return (STATUS_OK);
}

int
boot_open_images(struct boot_options *opts)
{
	unsigned floppies = 0, disks = 0;

	for (unsigned i = 0; i < opts->nimages; i++) {
		struct boot_image *image = &opts->images[i];

		if (image->kind == IMAGE_BY_CONTENT && opts->kernel == NULL &&
		    is_kernel(image->path)) {
			opts->kernel = image->path;
			continue;
		}
		if (open_one(opts, image) != STATUS_OK)
			return (STATUS_ERROR);
		if (image->kind == IMAGE_FLOPPY && floppies == BIOS_FLOPPIES)
			return (refuse(opts, image, "there are two floppy drives"));
		if (image->kind == IMAGE_DISK && disks == BIOS_DISKS)
			return (refuse(opts, image, "there are eight hard disks"));
		image->drive = (uint8_t)(image->kind == IMAGE_FLOPPY ? floppies++ : 0x80 + disks++);
	}
	return (STATUS_OK);
}

void
boot_close_images(struct boot_options *opts)
{
	for (unsigned i = 0; i < opts->nimages; i++)
		if (opts->images[i].block != NULL)
			block_close(opts->images[i].block);
}
