/* Guest memory: the map, A20, copies by others than the CPU, listeners. */
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/memory.h"

#define MB (1ull << 20)

static struct memory mem;
static int fd;
static unsigned nchanged, nwritten;
static uint64_t last_gpa, last_size;

static void
on_changed(void *opaque, uint64_t gpa, uint64_t size)
{
	(void)opaque;
	nchanged++;
	last_gpa = gpa;
	last_size = size;
}

static void
on_written(void *opaque, uint64_t gpa, uint64_t size)
{
	(void)opaque;
	nwritten++;
	last_gpa = gpa;
	last_size = size;
}

static int
setup(void **state)
{
	static const struct memory_listener listener = {on_changed, on_written, NULL};

	(void)state;
	fd = memfd_create("test", MFD_CLOEXEC);
	if (fd < 0 || memory_init(&mem, fd, 4 * MB, 1 * MB, true) != 0)
		return (-1);
	nchanged = nwritten = 0;
	return (memory_listen(&mem, &listener));
}

static int
teardown(void **state)
{
	(void)state;
	memory_fini(&mem);
	return (close(fd));
}

static void
what_is_where(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(memory_page(&mem, 0).type, MEM_RAM);
	assert_ptr_equal(memory_page(&mem, 0x1234).host, mem.base + 0x1000);
	assert_int_equal(memory_page(&mem, 4 * MB - 1).type, MEM_RAM);
	assert_int_equal(memory_page(&mem, 4 * MB).type, MEM_NONE);
	assert_int_equal(memory_page(&mem, MEMORY_HIGH_BASE).type, MEM_RAM);
	assert_int_equal(memory_page(&mem, MEMORY_HIGH_BASE + MB).type, MEM_NONE);
	assert_int_equal(memory_page(&mem, UINT64_MAX).type, MEM_NONE);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, MEMORY_HIGH_BASE + MB);
	assert_true(st.st_blocks * 512 < (off_t)MB); /* sparse */
}

static void
wrong_sizes(void **state)
{
	struct memory other;

	(void)state;
	assert_int_equal(memory_init(&other, fd, 4097, 0, true), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(memory_init(&other, fd, MEMORY_HIGH_BASE + 4096, 0, true), -1);
	assert_int_equal(errno, EINVAL);
}

static void
regions_lie_over(void **state)
{
	static const struct mem_region rom = {
	    .gpa = 0xf0000, .size = 0x10000, .type = MEM_ROM, .name = "rom"};
	static const struct mem_region hole = {
	    .gpa = 0x100000000ull + MB, .size = 4096, .type = MEM_RAM, .name = "hole"};
	uint8_t byte = 0x55;

	(void)state;
	assert_int_equal(memory_add_region(&mem, &rom), 0);
	assert_int_equal(nchanged, 1);
	assert_int_equal(last_gpa, 0xf0000);
	assert_int_equal(memory_page(&mem, 0xeffff).type, MEM_RAM);
	assert_int_equal(memory_page(&mem, 0xf0000).type, MEM_ROM);
	assert_false(memory_write(&mem, 0xf0000, &byte, 1));
	assert_true(memory_load(&mem, 0xf0000, &byte, 1));
	assert_int_equal(memory_get8(&mem, 0xf0000), 0x55);
	memory_put8(&mem, 0xf0000, 1);
	assert_int_equal(memory_get8(&mem, 0xf0000), 0x55);
	memory_set_type(&mem, "rom", MEM_RAM);
	assert_int_equal(nchanged, 2);
	memory_put8(&mem, 0xf0000, 1);
	assert_int_equal(memory_get8(&mem, 0xf0000), 1);
	memory_set_type(&mem, "rom", MEM_RAM);
	assert_int_equal(nchanged, 2); /* no change, no notice */
	memory_move(&mem, "rom", 0xe0000, MEM_ROM);
	assert_int_equal(nchanged, 4); /* where it was and where it is */
	assert_int_equal(memory_page(&mem, 0xe0000).type, MEM_ROM);
	assert_int_equal(memory_page(&mem, 0xff000).type, MEM_RAM);
	memory_move(&mem, "rom", 0xe0000, MEM_ROM);
	assert_int_equal(nchanged, 4);
	/* RAM that nothing stands behind is nothing. */
	assert_int_equal(memory_add_region(&mem, &hole), 0);
	assert_int_equal(memory_page(&mem, hole.gpa).type, MEM_NONE);
}

static void
region_table_full(void **state)
{
	static const struct mem_region region = {.gpa = 0, .size = 4096, .name = "x"};
	unsigned n = mem.nregions;

	(void)state;
	for (; n < MEMORY_REGIONS_MAX; n++)
		assert_int_equal(memory_add_region(&mem, &region), 0);
	assert_int_equal(memory_add_region(&mem, &region), -1);
	assert_int_equal(errno, ENOSPC);
}

static void
copies(void **state)
{
	static const struct mem_region mmio = {
	    .gpa = 0xa0000, .size = 0x10000, .type = MEM_MMIO, .name = "vga"};
	char buf[8] = "";

	(void)state;
	/* Across a page boundary. */
	assert_true(memory_write(&mem, 0x1ffd, "boundary", 8));
	assert_true(memory_read(&mem, 0x1ffd, buf, 8));
	assert_memory_equal(buf, "boundary", 8);
	assert_memory_equal(mem.base + 0x1ffd, "boundary", 8);
	assert_int_equal(nwritten, 1);
	assert_int_equal(last_gpa, 0x1ffd);
	assert_int_equal(last_size, 8);
	/* Never into a device, never past the end. */
	memory_add_region(&mem, &mmio);
	assert_false(memory_write(&mem, 0x9fffc, "boundary", 8));
	assert_memory_equal(mem.base + 0x9fffc, "boun\0\0\0\0", 8);
	assert_false(memory_read(&mem, 0xafffc, buf, 8));
	assert_false(memory_read(&mem, 4 * MB - 4, buf, 8));
	assert_false(memory_read(&mem, UINT64_MAX - 3, buf, 8));
	assert_true(memory_read(&mem, 4 * MB - 8, buf, 8));
}

static void
a20_gate(void **state)
{
	(void)state;
	assert_true(memory_get_a20(&mem));
	memory_put8(&mem, 0x10, 0xaa);
	memory_put8(&mem, MB + 0x10, 0xbb);
	assert_int_equal(memory_get8(&mem, 0x10), 0xaa);
	nchanged = 0;
	memory_set_a20(&mem, false);
	assert_int_equal(nchanged, 1);
	assert_int_equal(memory_get8(&mem, MB + 0x10), 0xaa);
	assert_int_equal(memory_get8(&mem, 3 * MB + 0x10), memory_get8(&mem, 2 * MB + 0x10));
	memory_put8(&mem, MB + 0x10, 0xcc);
	assert_int_equal(last_gpa, 0x10); /* who listens hears where it really went */
	memory_set_a20(&mem, false);
	assert_int_equal(nchanged, 1);
	memory_set_a20(&mem, true);
	assert_int_equal(memory_get8(&mem, 0x10), 0xcc);
	assert_int_equal(memory_get8(&mem, MB + 0x10), 0xbb);
}

static void
a20_wraps_inside_a_copy(void **state)
{
	char buf[4];

	(void)state;
	memory_write(&mem, MB - 2, "endX", 4);
	memory_write(&mem, 0, "01", 2);
	memory_set_a20(&mem, false);
	assert_true(memory_read(&mem, MB - 2, buf, 4));
	assert_memory_equal(buf, "en01", 4);
	nwritten = 0;
	assert_true(memory_write(&mem, MB - 2, "wrap", 4));
	assert_int_equal(nwritten, 2);
	assert_int_equal(last_gpa, 0);
	assert_memory_equal(mem.base, "ap", 2);
}

static void
spans(void **state)
{
	(void)state;
	assert_ptr_equal(memory_span(&mem, 0x500, 0x2000), mem.base + 0x500);
	assert_null(memory_span(&mem, 0x500, 0));
	assert_null(memory_span(&mem, 4 * MB - 16, 17));
	assert_non_null(memory_span(&mem, 4 * MB - 16, 16));
	assert_true(memory_is_ram(&mem, 0, 4 * MB));
	assert_false(memory_is_ram(&mem, 0, 4 * MB + 1));
	assert_false(memory_is_ram(&mem, UINT64_MAX - 3, 8));
	memory_set_a20(&mem, false);
	assert_null(memory_span(&mem, MB - 4, 8)); /* in two pieces now */
	assert_ptr_equal(memory_span(&mem, MB + 4, 8), mem.base + 4);
}

static void
words(void **state)
{
	(void)state;
	memory_put32(&mem, 0x600, 0x12345678);
	assert_int_equal(memory_get16(&mem, 0x600), 0x5678);
	assert_int_equal(memory_get8(&mem, 0x603), 0x12);
	memory_put16(&mem, 0x601, 0xabcd);
	assert_int_equal(memory_get32(&mem, 0x600), 0x12abcd78);
	assert_int_equal(memory_get32(&mem, 8 * MB), 0);
	memory_put32(&mem, 8 * MB, 1);
}

/* A map as another memory of the same sizes has it. */
static void
a_map_taken_whole(void **state)
{
	struct mem_region regions[MEMORY_REGIONS_MAX];
	unsigned n = mem.nregions;

	(void)state;
	memcpy(regions, mem.regions, sizeof(regions));
	regions[n] =
	    (struct mem_region){.gpa = 0x90000, .size = 0x1000, .type = MEM_NONE, .name = "hidden"};
	nchanged = 0;
	memory_take_map(&mem, regions, n + 1, false);
	assert_int_equal(nchanged, 1);
	assert_false(memory_get_a20(&mem));
	assert_int_equal(memory_page(&mem, 0x90000).type, MEM_NONE);
	memory_take_map(&mem, regions, n, true);
	assert_true(memory_get_a20(&mem));
	assert_int_equal(memory_page(&mem, 0x90000).type, MEM_RAM);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(what_is_where),
	    CASE(wrong_sizes),
	    CASE(regions_lie_over),
	    CASE(region_table_full),
	    CASE(copies),
	    CASE(a20_gate),
	    CASE(a20_wraps_inside_a_copy),
	    CASE(spans),
	    CASE(words),
	    CASE(a_map_taken_whole),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
