/* 8237A: registers through the flip-flop, masks, transfers in all directions, page registers. */
#include "unit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/i8237.h"

static struct memory mem;
static struct i8237 dma;
static int fd;

static int
setup(void **state)
{
	(void)state;
	fd = memfd_create("test", MFD_CLOEXEC);
	if (fd < 0 || memory_init(&mem, fd, 2u << 20, 0, true) != 0)
		return (-1);
	i8237_init(&dma, &mem);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	memory_fini(&mem);
	return (close(fd));
}

static void
put(unsigned reg, unsigned value)
{
	i8237_low_ports.write(&dma, (uint16_t)reg, 1, value);
}

static uint8_t
get(unsigned reg)
{
	return ((uint8_t)i8237_low_ports.read(&dma, (uint16_t)reg, 1));
}

static void
program(unsigned channel, unsigned mode, unsigned address, unsigned count)
{
	put(12, 0);
	put(11, mode << 2 | channel);
	put(channel * 2, address);
	put(channel * 2, address >> 8);
	put(channel * 2 + 1, count);
	put(channel * 2 + 1, count >> 8);
	put(10, channel);
}

static void
registers(void **state)
{
	(void)state;
	put(13, 0);
	for (unsigned reg = 0; reg < 8; reg++) {
		put(reg, 0x34 + reg);
		put(reg, 0x12);
	}
	for (unsigned reg = 0; reg < 8; reg++) {
		assert_int_equal(get(reg), 0x34 + reg);
		assert_int_equal(get(reg), 0x12);
	}
	/* One read leaves the flip-flop at the high byte; clearing it helps. */
	get(0);
	assert_int_equal(get(1), 0x12);
	get(0);
	put(12, 0);
	assert_int_equal(get(1), 0x35);
}

static void
masks(void **state)
{
	(void)state;
	assert_int_equal(get(15), 0xff);
	put(10, 0x02);
	assert_int_equal(get(15), 0xfb);
	put(10, 0x06);
	assert_int_equal(get(15), 0xff);
	put(14, 0);
	assert_int_equal(get(15), 0xf0);
	put(15, 0x05);
	assert_int_equal(get(15), 0xf5);
	put(13, 0); /* master clear masks all */
	assert_int_equal(get(15), 0xff);
	put(9, 0x06);
	assert_int_equal(get(8), 0x40);
	put(9, 0x02);
	assert_int_equal(get(8), 0x00);
}

static void
device_to_memory(void **state)
{
	char buf[16] = "0123456789abcde";
	bool ended;

	(void)state;
	program(2, 0x11, 0x2000, 9); /* single, write */
	i8237_page_ports.write(&dma, 1, 1, 0x01);
	assert_int_equal(i8237_run(&dma, 2, buf, 4, &ended), 4);
	assert_false(ended);
	assert_int_equal(get(4), 0x04);
	assert_int_equal(get(4), 0x20);
	assert_int_equal(get(5), 5);
	assert_int_equal(get(5), 0);
	assert_int_equal(i8237_run(&dma, 2, buf + 4, 12, &ended), 6);
	assert_true(ended);
	assert_memory_equal(mem.base + 0x12000, "0123456789\0", 11);
	assert_int_equal(get(8), 0x04);
	assert_int_equal(get(8), 0x00); /* reading it cleared it */
	assert_int_equal(get(15), 0xff);
	assert_int_equal(i8237_run(&dma, 2, buf, 4, NULL), 0);
	/* The count has gone past 0. */
	assert_int_equal(get(5), 0xff);
	assert_int_equal(get(5), 0xff);
}

static void
memory_to_device(void **state)
{
	char buf[8] = "";

	(void)state;
	memory_write(&mem, 0x2000, "abcdefgh", 8);
	program(1, 0x12, 0x2000, 7);
	assert_int_equal(i8237_run(&dma, 1, buf, 8, NULL), 8);
	assert_memory_equal(buf, "abcdefgh", 8);
	/* Downwards. */
	program(1, 0x1a, 0x2007, 7);
	assert_int_equal(i8237_run(&dma, 1, buf, 8, NULL), 8);
	assert_memory_equal(buf, "hgfedcba", 8);
	/* Nothing there: all ones. */
	program(1, 0x12, 0, 7);
	i8237_page_ports.write(&dma, 3, 1, 0xff);
	assert_int_equal(i8237_run(&dma, 1, buf, 8, NULL), 8);
	assert_memory_equal(buf, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
}

static void
verify_only_counts(void **state)
{
	char buf[8] = "xxxxxxx";
	bool ended;

	(void)state;
	program(2, 0x10, 0x2000, 7);
	assert_int_equal(i8237_run(&dma, 2, buf, 8, &ended), 8);
	assert_true(ended);
	assert_string_equal(buf, "xxxxxxx");
	assert_int_equal(memory_get32(&mem, 0x2000), 0);
}

static void
autoinitialize(void **state)
{
	(void)state;
	program(1, 0x15, 0x2000, 3);
	assert_int_equal(i8237_run(&dma, 1, "abcdefgh", 8, NULL), 4);
	assert_int_equal(get(15), 0xfd); /* not masked */
	assert_int_equal(i8237_run(&dma, 1, "ABCDEFGH", 2, NULL), 2);
	assert_memory_equal(mem.base + 0x2000, "ABcd", 4);
	assert_int_equal(get(2), 0x02);
}

static void
wraps_inside_its_page(void **state)
{
	(void)state;
	program(3, 0x11, 0xfffe, 3);
	i8237_page_ports.write(&dma, 2, 1, 0x01);
	assert_int_equal(i8237_run(&dma, 3, "abcd", 4, NULL), 4);
	assert_memory_equal(mem.base + 0x1fffe, "ab", 2);
	assert_memory_equal(mem.base + 0x10000, "cd", 2);
	assert_int_equal(memory_get16(&mem, 0x20000), 0);
	/* The data may end before the count does. */
	program(3, 0x11, 0xfffe, 7);
	assert_int_equal(i8237_run(&dma, 3, "ABCD", 4, NULL), 4);
	assert_memory_equal(mem.base + 0x10000, "CD\0\0", 4);
}

static void
words(void **state)
{
	static const uint16_t setup_writes[][2] = {
	    {24, 0}, {22, 0x45}, {4, 0x00}, {4, 0x80}, {6, 1}, {6, 0}, {20, 1}};

	(void)state;
	for (size_t i = 0; i < COUNT(setup_writes); i++)
		i8237_high_ports.write(&dma, setup_writes[i][0], 1, setup_writes[i][1]);
	/* Bit 0 of the page does not count; the address is in words. */
	i8237_page_ports.write(&dma, 11, 1, 0x03);
	assert_int_equal(i8237_run(&dma, 5, "abcdef", 6, NULL), 4);
	assert_memory_equal(mem.base + 0x30000, "abcd\0\0", 6);
	/* The count is one of words. */
	assert_int_equal(i8237_high_ports.read(&dma, 16, 1), 0x02);
	assert_int_equal(get(8), 0);
}

static void
not_allowed(void **state)
{
	(void)state;
	program(2, 0x11, 0x2000, 9);
	put(8, 0x04); /* controller off */
	assert_int_equal(i8237_run(&dma, 2, "abcd", 4, NULL), 0);
	put(8, 0x00);
	put(11, 0xc2); /* cascade */
	assert_int_equal(i8237_run(&dma, 2, "abcd", 4, NULL), 0);
	assert_int_equal(i8237_run(&dma, 8, "abcd", 4, NULL), 0);
}

static void
state_is_kept(void **state)
{
	struct section section = i8237_section(&dma);
	struct i8237_state saved;

	(void)state;
	assert_string_equal(section.id, "i8237");
	program(2, 0x11, 0x2000, 9);
	memcpy(&saved, section.data, section.size);
	i8237_reset(&dma);
	memcpy(section.data, &saved, section.size);
	assert_int_equal(section.restored(section.owner), 0);
	assert_int_equal(i8237_run(&dma, 2, "abcd", 4, NULL), 4);
	memset(section.data, 0xff, section.size);
	assert_int_equal(section.restored(section.owner), 0);
	put(14, 0);
	for (unsigned ch = 0; ch < 8; ch++) {
		uint8_t buf[64] = {0};

		i8237_run(&dma, ch, buf, sizeof(buf), NULL);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(registers),
	    CASE(masks),
	    CASE(device_to_memory),
	    CASE(memory_to_device),
	    CASE(verify_only_counts),
	    CASE(autoinitialize),
	    CASE(wraps_inside_its_page),
	    CASE(words),
	    CASE(not_allowed),
	    CASE(state_is_kept),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
