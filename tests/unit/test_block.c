/* Disk images: refusals, reading and writing, the overlay, locks, geometries. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/block.h"
#include "block/overlay.h"

static char folder[64];
static char image[96];

static int
make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/hyve86-test-block-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return (-1);
	snprintf(image, sizeof(image), "%s/image", folder);
	return (0);
}

static int
remove_folder(void **state)
{
	(void)state;
	chmod(image, 0600);
	unlink(image);
	return (rmdir(folder));
}

/* An image of SIZE bytes whose sectors begin with their number. */
static void
make_image(uint64_t size)
{
	int fd = open(image, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	for (uint32_t i = 0; i < size / BLOCK_SECTOR && i < 64; i++)
		assert_int_equal(pwrite(fd, &i, sizeof(i), (off_t)i * BLOCK_SECTOR), sizeof(i));
	close(fd);
}

static void
put_bytes(uint64_t offset, const void *bytes, size_t len)
{
	int fd = open(image, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)offset), len);
	close(fd);
}

static struct block *
open_image(int flags)
{
	struct block_error err;
	struct block *block = block_open(image, flags, &err);

	if (block == NULL)
		fail_msg("%s", err.text);
	return (block);
}

static void
assert_refused(const char *path, int error, const char *text)
{
	struct block_error err;

	assert_null(block_open(path, 0, &err));
	assert_int_equal(err.error, error);
	assert_string_equal(err.text, text);
}

/* Root may open anything: be somebody else meanwhile. */
static void
be_nobody(bool on)
{
	if (getuid() != 0)
		return;
	if (on)
		assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(seteuid(on ? 65534 : 0), 0);
}

static void
refusals(void **state)
{
	char missing[96];

	(void)state;
	snprintf(missing, sizeof(missing), "%s/missing", folder);
	assert_refused(missing, ENOENT, "no such file");
	assert_refused(folder, EISDIR, "is a directory");
	assert_refused("/dev/null", EINVAL, "is neither a file nor a block device");
	make_image(0);
	assert_refused(image, 0, "is empty");
	make_image(1000);
	assert_refused(image, 0, "its size, 1000 bytes, is not a multiple of 512");
	make_image(1024);
	put_bytes(0, "QFI\xfb", 4);
	assert_refused(image, 0, "is a qcow2 image; only raw images can be used");
	make_image(1024);
	chmod(image, 0);
	be_nobody(true);
	assert_refused(image, EACCES, "permission denied");
	be_nobody(false);
}

static void
directory_refused_read_only(void **state)
{
	struct block_error err;

	(void)state;
	/* Folders do open for reading. */
	assert_null(block_open(folder, BLOCK_RO, &err));
	assert_string_equal(err.text, "is a directory");
}

static void
fifo_refused(void **state)
{
	struct block_error err;

	(void)state;
	assert_int_equal(mkfifo(image, 0600), 0);
	assert_null(block_open(image, BLOCK_RO, &err));
	assert_string_equal(err.text, "is neither a file nor a block device");
}

static void
reads_and_writes(void **state)
{
	uint8_t buf[3 * BLOCK_SECTOR], back[3 * BLOCK_SECTOR];
	struct block *block;

	(void)state;
	make_image(8 * BLOCK_SECTOR);
	block = open_image(0);
	assert_int_equal(block_sectors(block), 8);
	assert_false(block_readonly(block));
	assert_string_equal(block_path(block), image);
	assert_int_equal(block_read(block, 5, 3, buf), 0);
	assert_int_equal(buf[0], 5);
	assert_int_equal(buf[2 * BLOCK_SECTOR], 7);
	memset(buf, 0xa5, sizeof(buf));
	assert_int_equal(block_write(block, 5, 3, buf), 0);
	assert_int_equal(block_flush(block), 0);
	block_close(block);
	block = open_image(0);
	assert_int_equal(block_read(block, 5, 3, back), 0);
	assert_memory_equal(back, buf, sizeof(buf));
	assert_int_equal(block_read(block, 4, 1, back), 0);
	assert_int_equal(back[0], 4);
	assert_int_equal(back[4], 0);
	block_close(block);
}

static void
beyond_the_end(void **state)
{
	uint8_t buf[2 * BLOCK_SECTOR];
	struct block *block;

	(void)state;
	make_image(8 * BLOCK_SECTOR);
	block = open_image(0);
	memset(buf, 0x11, sizeof(buf));
	assert_int_equal(block_read(block, 7, 2, buf), EINVAL);
	assert_int_equal(buf[0], 0x11);
	assert_int_equal(block_write(block, 7, 2, buf), EINVAL);
	assert_int_equal(block_read(block, 8, 1, buf), EINVAL);
	assert_int_equal(block_read(block, UINT64_MAX, 2, buf), EINVAL);
	assert_int_equal(block_stats(block)->errors, 4);
	assert_int_equal(block_read(block, 7, 1, buf), 0);
	assert_int_equal(buf[0], 7);
	block_close(block);
	make_image(8 * BLOCK_SECTOR);
}

static void
file_cut_while_open(void **state)
{
	uint8_t buf[BLOCK_SECTOR];
	struct block *block;

	(void)state;
	make_image(8 * BLOCK_SECTOR);
	block = open_image(0);
	assert_int_equal(truncate(image, 4 * BLOCK_SECTOR), 0);
	assert_int_equal(block_read(block, 6, 1, buf), EIO);
	block_close(block);
}

static void
statistics(void **state)
{
	uint8_t buf[4 * BLOCK_SECTOR] = {0};
	struct block *block;

	(void)state;
	make_image(8 * BLOCK_SECTOR);
	block = open_image(0);
	block_read(block, 0, 4, buf);
	block_read(block, 0, 1, buf);
	block_write(block, 0, 2, buf);
	assert_int_equal(block_stats(block)->read_ops, 2);
	assert_int_equal(block_stats(block)->read_bytes, 5 * BLOCK_SECTOR);
	assert_int_equal(block_stats(block)->write_ops, 1);
	assert_int_equal(block_stats(block)->write_bytes, 2 * BLOCK_SECTOR);
	assert_int_equal(block_stats(block)->errors, 0);
	block_close(block);
}

static void
read_only(void **state)
{
	uint8_t buf[BLOCK_SECTOR] = {0};
	struct block *block;

	(void)state;
	make_image(8 * BLOCK_SECTOR);
	block = open_image(BLOCK_RO);
	assert_true(block_readonly(block));
	assert_int_equal(block_write(block, 0, 1, buf), EROFS);
	assert_int_equal(block_read(block, 3, 1, buf), 0);
	assert_int_equal(buf[0], 3);
	block_close(block);
	chmod(image, 0444);
	be_nobody(true);
	block = open_image(0);
	be_nobody(false);
	assert_true(block_readonly(block));
	assert_int_equal(block_write(block, 0, 1, buf), EROFS);
	assert_int_equal(block_flush(block), 0);
	block_close(block);
}

static void
ephemeral(void **state)
{
	uint8_t buf[16 * BLOCK_SECTOR], back[16 * BLOCK_SECTOR];
	struct block *block;

	(void)state;
	make_image(64 * BLOCK_SECTOR);
	chmod(image, 0400); /* the file need not be writable */
	block = open_image(BLOCK_EPHEMERAL);
	assert_false(block_readonly(block));
	memset(buf, 0x5a, sizeof(buf));
	/* A write that starts and ends inside chunks of the overlay. */
	assert_int_equal(block_write(block, 5, 9, buf), 0);
	assert_int_equal(block_read(block, 0, 16, back), 0);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(back[i * BLOCK_SECTOR], i >= 5 && i < 14 ? 0x5a : i);
	assert_int_equal(back[6 * BLOCK_SECTOR - 1], 0x5a);
	assert_int_equal(block_write(block, 60, 5, buf), EINVAL);
	block_close(block);
	block = open_image(BLOCK_RO);
	assert_int_equal(block_read(block, 5, 1, back), 0);
	assert_int_equal(back[0], 5);
	block_close(block);
	/* Read-only stays read-only. */
	block = open_image(BLOCK_RO | BLOCK_EPHEMERAL);
	assert_int_equal(block_write(block, 5, 1, buf), EROFS);
	block_close(block);
}

static void
overlay_grows(void **state)
{
	struct overlay *overlay = overlay_new();
	uint8_t sector[BLOCK_SECTOR] = {0};

	(void)state;
	assert_non_null(overlay);
	/* Far apart, so that each has a chunk of its own. */
	for (uint64_t i = 0; i < 1000; i++) {
		memcpy(sector, &i, sizeof(i));
		assert_int_equal(overlay_put(overlay, i << 20 | 3, sector), 0);
	}
	for (uint64_t i = 0; i < 1000; i++) {
		assert_non_null(overlay_get(overlay, i << 20 | 3));
		assert_memory_equal(overlay_get(overlay, i << 20 | 3), &i, sizeof(i));
		assert_null(overlay_get(overlay, i << 20 | 2));
	}
	assert_null(overlay_get(overlay, 1000ull << 20 | 3));
	overlay_free(overlay);
	overlay_free(NULL);
}

static void
writers_do_not_share(void **state)
{
	struct block *first, *second;
	struct block_error err;

	(void)state;
	make_image(8 * BLOCK_SECTOR);
	first = open_image(0);
	assert_null(block_open(image, 0, &err));
	assert_int_equal(err.error, EBUSY);
	assert_string_equal(err.text, "is in use by another virtual machine");
	assert_null(block_open(image, BLOCK_RO, &err));
	assert_string_equal(
	    err.text, "is in use by another virtual machine, which may write to it");
	block_close(first);
	first = open_image(BLOCK_EPHEMERAL);
	second = open_image(BLOCK_RO);
	assert_null(block_open(image, 0, &err));
	block_close(first);
	block_close(second);
	block_close(open_image(0));
}

static void
floppy_formats(void **state)
{
	static const struct {
		uint64_t sectors;
		unsigned type, cylinders, heads, per_track;
	} cases[] = {
	    {1, 1, 40, 1, 8},
	    {320, 1, 40, 1, 8},
	    {720, 1, 40, 2, 9},
	    {1440, 3, 80, 2, 9},
	    {1441, 2, 80, 2, 15},
	    {2400, 2, 80, 2, 15},
	    {2401, 4, 80, 2, 18},
	    {2880, 4, 80, 2, 18},
	    {2881, 5, 80, 2, 36},
	    {5760, 5, 80, 2, 36},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct floppy_format *format = floppy_format_for(cases[i].sectors);

		assert_non_null(format);
		assert_int_equal(format->drive_type, cases[i].type);
		assert_int_equal(format->geometry.cylinders, cases[i].cylinders);
		assert_int_equal(format->geometry.heads, cases[i].heads);
		assert_int_equal(format->geometry.sectors, cases[i].per_track);
	}
	assert_null(floppy_format_for(5761));
}

static struct block_geometry
geometry_of(uint64_t sectors, const uint8_t *entries, unsigned nentries)
{
	static const uint8_t signature[2] = {0x55, 0xaa};
	struct block_geometry geometry;
	struct block *block;

	make_image(sectors * BLOCK_SECTOR);
	if (nentries > 0)
		put_bytes(0x1be, entries, 16 * nentries);
	put_bytes(510, signature, 2);
	block = open_image(BLOCK_RO);
	geometry = block_disk_geometry(block);
	block_close(block);
	return (geometry);
}

static void
assert_geometry(struct block_geometry g, unsigned cylinders, unsigned heads, unsigned sectors)
{
	assert_int_equal(g.cylinders, cylinders);
	assert_int_equal(g.heads, heads);
	assert_int_equal(g.sectors, sectors);
}

static void
geometry_assisted(void **state)
{
	(void)state;
	assert_geometry(geometry_of(100, NULL, 0), 1, 16, 63);
	assert_geometry(geometry_of(20 * 1008, NULL, 0), 20, 16, 63);
	assert_geometry(geometry_of(1024 * 1008, NULL, 0), 1024, 16, 63);
	assert_geometry(geometry_of(1024 * 1008 + 1, NULL, 0), 512, 32, 63);
	assert_geometry(geometry_of(1024ull * 128 * 63, NULL, 0), 1024, 128, 63);
	assert_geometry(geometry_of(1024ull * 128 * 63 + 1, NULL, 0), 514, 255, 63);
	assert_geometry(geometry_of(64ull << 21, NULL, 0), 1024, 255, 63);
}

static void
geometry_from_table(void **state)
{
	/* One partition from 0/1/1 to 19/7/17: 8 heads of 17 sectors. */
	static const uint8_t cylinder_end[16] = {
	    0x80, 1, 1, 0, 6, 7, 17, 19, 17, 0, 0, 0, 0x8f, 0x0a, 0, 0};
	/* From LBA 2048 (0/32/33) over 2048 sectors, ends at 0/65/1: 255 heads of 63, mid-cylinder. */
	static const uint8_t aligned[16] = {
	    0x80, 32, 33, 0, 0x83, 65, 1, 0, 0, 8, 0, 0, 0, 8, 0, 0};
	/* As many tools write it for what lies beyond cylinder 1023. */
	static const uint8_t clamped[16] = {
	    0x80, 32, 33, 0, 0x83, 254, 0xff, 0xff, 0, 8, 0, 0, 0, 0, 0, 2};
	/* Nothing fits: CHS fields of zeros. */
	static const uint8_t nonsense[16] = {0x80, 0, 0, 0, 6, 0, 0, 0, 63, 0, 0, 0, 0, 8, 0, 0};
	/* Starts where 255 heads of 63 would have it, but ends elsewhere. */
	static const uint8_t broken[16] = {0x80, 32, 33, 0, 0x83, 65, 2, 0, 0, 8, 0, 0, 0, 8, 0, 0};
	/* Not a table: 01 is no status. */
	static const uint8_t code[16] = {
	    0x01, 1, 1, 0, 6, 7, 17, 19, 17, 0, 0, 0, 0x8f, 0x0a, 0, 0};
	/* Two that do not agree. */
	static const uint8_t two[32] = {0x80, 1, 1, 0, 6, 7, 17, 9, 17, 0, 0, 0, 0x3f, 5, 0, 0, 0,
	    0, 1, 10, 6, 15, 17, 19, 0x50, 5, 0, 0, 0x50, 5, 0, 0};
	/* A protective entry says nothing. */
	static const uint8_t protective[16] = {
	    0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};

	(void)state;
	assert_geometry(geometry_of(20 * 8 * 17, cylinder_end, 1), 20, 8, 17);
	assert_geometry(geometry_of(255 * 63 * 3, aligned, 1), 3, 255, 63);
	assert_geometry(geometry_of(64ull << 20, clamped, 1), 1024, 255, 63);
	/* The image may be smaller than what LBA-assist gives 255 heads. */
	assert_geometry(geometry_of(4ull << 20, clamped, 1), 261, 255, 63);
	assert_geometry(geometry_of(20 * 1008, nonsense, 1), 20, 16, 63);
	assert_geometry(geometry_of(20 * 1008, protective, 1), 20, 16, 63);
	assert_geometry(geometry_of(20 * 1008, broken, 1), 20, 16, 63);
	assert_geometry(geometry_of(20 * 1008, code, 1), 20, 16, 63);
	assert_geometry(geometry_of(20 * 1008, two, 2), 20, 16, 63);
}

static int
check(uint64_t sectors, const uint8_t *entry, struct block_error *err)
{
	static const uint8_t signature[2] = {0x55, 0xaa};
	struct block *block;
	int result;

	make_image(sectors * BLOCK_SECTOR);
	put_bytes(0x1be + 16, entry, 16);
	put_bytes(510, signature, 2);
	block = open_image(BLOCK_RO);
	result = block_check_partitions(block, err);
	block_close(block);
	return (result);
}

static void
partitions_inside(void **state)
{
	static const uint8_t entry[16] = {0, 1, 1, 0, 6, 7, 17, 19, 16, 0, 0, 0, 48, 0, 0, 0};
	static const uint8_t huge[16] = {
	    0, 1, 1, 0, 6, 7, 17, 19, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t code[16] = {0xeb, 1, 1, 0, 6, 7, 17, 19, 16, 0, 0, 0, 48, 0, 0, 0};
	struct block_error err;

	(void)state;
	assert_int_equal(check(64, entry, &err), 0);
	assert_int_equal(check(63, entry, &err), -1);
	assert_string_equal(err.text,
	    "partition 2 reaches to sector 63, but the image ends at sector 62: it was cut short");
	assert_int_equal(check(63, huge, &err), -1);
	/* No partition table: boot code. */
	assert_int_equal(check(63, code, &err), 0);
}

static void
gpt_inside(void **state)
{
	static const uint8_t protective[16] = {
	    0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
	static const uint64_t last_usable = 100, far = 1ull << 32;
	struct block_error err;
	struct block *block;

	(void)state;
	assert_int_equal(check(101, protective, &err), 0);
	put_bytes(512, "EFI PART", 8);
	put_bytes(512 + 48, &last_usable, 8);
	block = open_image(BLOCK_RO);
	assert_int_equal(block_check_partitions(block, &err), 0);
	block_close(block);
	assert_int_equal(truncate(image, 100 * BLOCK_SECTOR), 0);
	block = open_image(BLOCK_RO);
	assert_int_equal(block_check_partitions(block, &err), -1);
	assert_string_equal(err.text,
	    "its GPT reaches to sector 100, but the image ends at sector 99: it was cut short");
	block_close(block);
	put_bytes(512 + 48, &far, 8);
	block = open_image(BLOCK_RO);
	assert_int_equal(block_check_partitions(block, &err), -1);
	block_close(block);
}

static void
no_signature(void **state)
{
	static const uint8_t huge[16] = {
	    0x80, 1, 1, 0, 6, 7, 17, 19, 17, 0, 0, 0, 0xff, 0xff, 0xff, 0};
	static const uint8_t halves[2][2] = {{0x55, 0xab}, {0x54, 0xaa}};
	struct block_error err;
	struct block *block;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		make_image(64 * BLOCK_SECTOR);
		put_bytes(0x1be, huge, 16);
		put_bytes(510, halves[i], 2);
		block = open_image(BLOCK_RO);
		assert_int_equal(block_check_partitions(block, &err), 0);
		assert_int_equal(block_disk_geometry(block).heads, 16);
		block_close(block);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(refusals),
	    CASE(directory_refused_read_only),
	    CASE(fifo_refused),
	    CASE(reads_and_writes),
	    CASE(beyond_the_end),
	    CASE(file_cut_while_open),
	    CASE(statistics),
	    CASE(read_only),
	    CASE(ephemeral),
	    cmocka_unit_test(overlay_grows),
	    CASE(writers_do_not_share),
	    cmocka_unit_test(floppy_formats),
	    CASE(geometry_assisted),
	    CASE(geometry_from_table),
	    CASE(partitions_inside),
	    CASE(gpt_inside),
	    CASE(no_signature),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
