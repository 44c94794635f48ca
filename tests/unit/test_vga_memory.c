/* The VGA's planes: the window's ways, the write and read modes, and the text that lies in two of them. */
#include "unit.h"

#include <sys/mman.h>

#include <string.h>
#include <unistd.h>

#include "device/vga.h"
#include "fake.h"

static struct fake_clock fake;
static struct vga vga;
static struct bus bus;
static struct memory mem;

static void
set(uint16_t port, unsigned index, unsigned value)
{
	bus_out(&bus, port, 2, index | value << 8);
}

static int
setup(void **state)
{
	int fd = memfd_create("memory", MFD_CLOEXEC), failed;
	struct mem_region window;

	(void)state;
	failed = fd < 0 || memory_init(&mem, fd, 0x100000, 0, true) != 0;
	if (fd >= 0)
		close(fd);
	fake_clock_init(&fake);
	vga_init(&vga, &fake.clock, &mem);
	window = vga_window(&vga);
	memset(&bus, 0, sizeof(bus));
	bus_attach(&bus, "vga", &vga_ports, &vga, VGA_FIRST_PORT, VGA_PORTS, 0);
	return (failed || memory_add_region(&mem, &window) != 0);
}

static int
teardown(void **state)
{
	(void)state;
	memory_fini(&mem);
	return (0);
}

/* Sequential addresses, all planes written, the window at A0000 of 64 KB. */
static void
go_planar(void)
{
	set(0x3c4, 2, 0x0f);
	set(0x3c4, 4, 0x06);
	set(0x3ce, 6, 0x04);
	set(0x3ce, 5, 0x00);
}

static void
put(uint64_t gpa, unsigned size, uint64_t value)
{
	struct mem_page page = memory_page(&mem, gpa);

	assert_int_equal(page.type, MEM_MMIO);
	page.region->ops->write(page.region->opaque, gpa - page.region->gpa, size, value);
}

static uint64_t
get(uint64_t gpa, unsigned size)
{
	struct mem_page page = memory_page(&mem, gpa);

	assert_int_equal(page.type, MEM_MMIO);
	return (page.region->ops->read(page.region->opaque, gpa - page.region->gpa, size));
}

static void
ram_while_text(void **state)
{
	(void)state;
	assert_int_equal(memory_page(&mem, 0xb8000).type, MEM_RAM);
	assert_int_equal(memory_page(&mem, 0xa0000).type, MEM_RAM);
	go_planar();
	assert_int_equal(memory_page(&mem, 0xb8000).type, MEM_MMIO);
	set(0x3c4, 4, 0x02);
	assert_int_equal(memory_page(&mem, 0xb8000).type, MEM_RAM);
	go_planar();
	vga_reset(&vga);
	assert_int_equal(memory_page(&mem, 0xa0000).type, MEM_RAM);
}

/* What a font loader does; the text stays. */
static void
font(void **state)
{
	(void)state;
	memory_put16(&mem, 0xb8000, 0x1f41);
	go_planar();
	set(0x3c4, 2, 0x04);
	put(0xa0000 + 'A' * 32, 4, 0x7e818199);
	assert_int_equal(vga_glyph(&vga, 0, 'A')[0], 0x99);
	assert_int_equal(vga_glyph(&vga, 0, 'A')[3], 0x7e);
	set(0x3ce, 4, 2);
	assert_int_equal(get(0xa0000 + 'A' * 32, 4), 0x7e818199);
	put(0xa0000 + 0x6000 + 1, 1, 0x55);
	assert_int_equal(vga_glyph(&vga, 3, 0)[1], 0x55);
	set(0x3c4, 4, 0x02);
	assert_int_equal(memory_get16(&mem, 0xb8000), 0x1f41);
}

static void
on_written(void *opaque, uint64_t gpa, uint64_t size)
{
	uint64_t *last = opaque;

	assert_int_equal(size, 1);
	*last = gpa;
}

/*
 * Characters are plane 0's even bytes, attributes those of plane 1; as memory, others are told that
 * it is written to.
 */
static void
text_is_in_the_planes(void **state)
{
	uint64_t last = 0;
	const struct memory_listener listener = {.written = on_written, .opaque = &last};

	(void)state;
	memory_put16(&mem, 0xb8004, 0x1f41);
	go_planar();
	set(0x3ce, 4, 0);
	assert_int_equal(get(0xa0004, 1), 0x41);
	set(0x3ce, 4, 1);
	assert_int_equal(get(0xa0004, 1), 0x1f);
	set(0x3c4, 2, 0x01);
	assert_int_equal(memory_listen(&mem, &listener), 0);
	put(0xa0004, 2, 0x7742);
	memory_unlisten(&mem, &last);
	assert_int_equal(last, 0xb8004);
	set(0x3c4, 4, 0x02);
	assert_int_equal(memory_get16(&mem, 0xb8004), 0x1f42);
	bus_out(&bus, 0x3c2, 1, 0x66); /* monochrome: at B0000 */
	go_planar();
	put(0xa0004, 1, 0x43);
	set(0x3c4, 4, 0x02);
	assert_int_equal(memory_get8(&mem, 0xb0004), 0x43);
	assert_int_equal(memory_get8(&mem, 0xb8004), 0x42);
}

static void
windows(void **state)
{
	(void)state;
	go_planar();
	set(0x3c4, 2, 0x04);
	set(0x3ce, 4, 2);
	put(0xa1001, 1, 0x12);
	assert_int_equal(get(0xb1001, 1), 0xff); /* 64 KB at A0000 */
	set(0x3ce, 6, 0x00);			 /* 128 KB: the planes twice */
	assert_int_equal(get(0xb1001, 1), 0x12);
	set(0x3ce, 6, 0x0c); /* 32 KB at B8000 */
	assert_int_equal(get(0xb9001, 1), 0x12);
	assert_int_equal(get(0xa1001, 1), 0xff);
	put(0xa1001, 1, 0x13);
	assert_int_equal(get(0xb9001, 1), 0x12);
	set(0x3ce, 6, 0x08); /* 32 KB at B0000 */
	assert_int_equal(get(0xb1001, 1), 0x12);
	assert_int_equal(get(0xb9001, 1), 0xff);
}

static void
expect_planes(unsigned offset, uint32_t bytes)
{
	for (unsigned p = 0; p < 4; p++)
		assert_int_equal(vga.plane[p][offset], bytes >> (24 - p * 8) & 0xff);
}

static void
write_modes(void **state)
{
	(void)state;
	go_planar();
	set(0x3ce, 3, 0x01); /* turned by one */
	put(0xa0001, 1, 0x81);
	expect_planes(1, 0xc0c0c0c0);
	set(0x3ce, 3, 0x00);
	set(0x3ce, 1, 0x0c); /* planes 2 and 3 by set/reset */
	set(0x3ce, 0, 0x04);
	put(0xa0001, 1, 0x11);
	expect_planes(1, 0x1111ff00);
	set(0x3ce, 1, 0x00);
	get(0xa0001, 1); /* the latches */
	set(0x3ce, 8, 0x0f);
	put(0xa0003, 1, 0xaa);
	expect_planes(3, 0x1a1afa0a);
	set(0x3ce, 8, 0xff);
	for (unsigned function = 1; function < 4; function++) { /* and, or, exclusive or */
		static const uint32_t results[4] = {0, 0x11113300, 0x3333ff33, 0x2222cc33};

		set(0x3ce, 3, function << 3);
		put(0xa0005, 1, 0x33);
		expect_planes(5, results[function]);
	}
	set(0x3ce, 3, 0x00);
	set(0x3ce, 5, 0x01); /* the latches themselves */
	put(0xa0007, 1, 0x99);
	expect_planes(7, 0x1111ff00);
	set(0x3ce, 5, 0x02); /* a colour */
	set(0x3ce, 8, 0xf0);
	put(0xa0009, 1, 0x05);
	expect_planes(9, 0xf101ff00);
	set(0x3ce, 5, 0x03); /* set/reset where the bits say */
	set(0x3ce, 0, 0x03);
	put(0xa000b, 1, 0x3c);
	expect_planes(11, 0x3131cf00);
	set(0x3ce, 5, 0x08); /* where the colour is 3, planes 2 and 3 not counted */
	set(0x3ce, 2, 0x03);
	set(0x3ce, 7, 0x03);
	assert_int_equal(get(0xa000b, 1), 0x31);
	set(0x3ce, 7, 0x07);
	assert_int_equal(get(0xa000b, 1), 0x30);
}

/* Chain 4: the lowest two bits of an address are the plane's number. */
static void
chained(void **state)
{
	(void)state;
	go_planar();
	set(0x3c4, 4, 0x0e);
	put(0xa4004, 4, 0x44332211);
	put(0xa8008, 4, 0x88776655);
	assert_int_equal(vga.plane[2][0x4004], 0x33);
	expect_planes(0x8008, 0x55667788);
	assert_int_equal(get(0xa8008, 4), 0x88776655);
	assert_int_equal(get(0xa4004, 4), 0x44332211);
}

/* A VM that was stopped while a font was loaded goes on with it. */
static void
window_is_kept(void **state)
{
	struct section section = vga_section(&vga), memory = vga_memory_section(&vga);
	static struct vga_state saved;

	(void)state;
	assert_string_equal(memory.id, "vga.memory");
	assert_int_equal(memory.size, 0x40000);
	go_planar();
	memcpy(&saved, section.data, section.size);
	vga_reset(&vga);
	memcpy(section.data, &saved, section.size);
	assert_int_equal(section.restored(section.owner), 0);
	assert_int_equal(memory_page(&mem, 0xa0000).type, MEM_MMIO);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(ram_while_text),
	    CASE(font),
	    CASE(text_is_in_the_planes),
	    CASE(windows),
	    CASE(write_modes),
	    CASE(chained),
	    CASE(window_is_kept),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
