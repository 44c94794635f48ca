/* The port bus: who answers, register numbers, splitting of wide accesses, observers. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "bus/bus.h"

struct recorder {
	char log[256];
	uint8_t regs[16];
};

static void
record(struct recorder *chip, char what, unsigned reg, unsigned size, uint32_t value)
{
	char line[32];

	snprintf(line, sizeof(line), "%c%u.%u=%x ", what, reg, size, value);
	strncat(chip->log, line, sizeof(chip->log) - strlen(chip->log) - 1);
}

static uint32_t
chip_read(void *opaque, uint16_t reg, unsigned size)
{
	struct recorder *chip = opaque;
	uint32_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)chip->regs[(reg + i) & 15] << i * 8;
	record(chip, 'r', reg, size, value);
	return (value);
}

static void
chip_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	record(opaque, 'w', reg, size, value);
}

static const struct port_ops byte_ops = {chip_read, chip_write, 0};
static const struct port_ops word_ops = {chip_read, chip_write, 2};
static const struct port_ops long_ops = {chip_read, chip_write, 4};
static const struct port_ops deaf_ops = {NULL, NULL, 1};

static struct bus bus;
static struct recorder one, two;

static int
setup(void **state)
{
	(void)state;
	memset(&bus, 0, sizeof(bus));
	one = (struct recorder){.regs = {0x10, 0x11, 0x12, 0x13, 0x14}};
	two = (struct recorder){.regs = {0x20, 0x21, 0x22, 0x23}};
	return (0);
}

static void
nobody_home(void **state)
{
	(void)state;
	assert_int_equal(bus_in(&bus, 0x300, 1), 0xff);
	assert_int_equal(bus_in(&bus, 0x300, 2), 0xffff);
	assert_int_equal(bus_in(&bus, 0xffff, 4), 0xffffffff);
	bus_out(&bus, 0x300, 4, 1);
	assert_null(bus_port_name(&bus, 0x300));
}

static void
registers_not_ports(void **state)
{
	(void)state;
	assert_int_equal(bus_attach(&bus, "one", &byte_ops, &one, 0x40, 4, 0), 0);
	assert_int_equal(bus_attach(&bus, "two", &byte_ops, &two, 0x62, 2, 2), 0);
	assert_int_equal(bus_in(&bus, 0x42, 1), 0x12);
	assert_int_equal(bus_in(&bus, 0x63, 1), 0x23);
	assert_int_equal(bus_in(&bus, 0x44, 1), 0xff);
	assert_string_equal(bus_port_name(&bus, 0x43), "one");
	assert_string_equal(bus_port_name(&bus, 0x62), "two");
	assert_string_equal(two.log, "r3.1=23 ");
}

static void
wide_accesses_split(void **state)
{
	(void)state;
	bus_attach(&bus, "one", &byte_ops, &one, 0x40, 4, 0);
	bus_attach(&bus, "two", &word_ops, &two, 0x44, 4, 0);
	assert_int_equal(bus_in(&bus, 0x40, 4), 0x13121110);
	assert_string_equal(one.log, "r0.1=10 r1.1=11 r2.1=12 r3.1=13 ");
	bus_out(&bus, 0x44, 4, 0xaabbccdd);
	assert_string_equal(two.log, "w0.2=ccdd w2.2=aabb ");
	/* Across two chips, and past the second into nothing. */
	assert_int_equal(bus_in(&bus, 0x43, 2), 0x2013);
	assert_int_equal(bus_in(&bus, 0x46, 4), 0xffff2322);
}

static void
wide_chip_takes_all(void **state)
{
	(void)state;
	bus_attach(&bus, "one", &long_ops, &one, 0x40, 8, 0);
	bus_out(&bus, 0x40, 4, 0x12345678);
	bus_out(&bus, 0x41, 1, 0x1ff);
	assert_string_equal(one.log, "w0.4=12345678 w1.1=ff ");
	assert_int_equal(bus_in(&bus, 0x40, 1), 0x10);
}

static void
later_takes_over(void **state)
{
	(void)state;
	bus_attach(&bus, "one", &byte_ops, &one, 0x80, 16, 0);
	bus_attach(&bus, "two", &byte_ops, &two, 0x80, 1, 0);
	assert_string_equal(bus_port_name(&bus, 0x80), "two");
	assert_string_equal(bus_port_name(&bus, 0x81), "one");
	assert_int_equal(bus_in(&bus, 0x81, 1), 0x11);
}

static void
deaf_chip(void **state)
{
	(void)state;
	bus_attach(&bus, "deaf", &deaf_ops, NULL, 0x80, 1, 0);
	assert_int_equal(bus_in(&bus, 0x80, 1), 0xff);
	bus_out(&bus, 0x80, 1, 3);
}

static void
table_full(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BUS_RANGES_MAX; i++)
		assert_int_equal(bus_attach(&bus, "one", &byte_ops, &one, (uint16_t)i, 1, 0), 0);
	assert_int_equal(bus_attach(&bus, "two", &byte_ops, &two, 0x100, 1, 0), -1);
	assert_int_equal(bus_in(&bus, BUS_RANGES_MAX - 1, 1), 0x10);
	memset(&bus, 0, sizeof(bus));
	assert_int_equal(bus_attach(&bus, "two", &byte_ops, &two, 0xffff, 2, 0), -1);
	assert_int_equal(bus_attach(&bus, "two", &byte_ops, &two, 0xffff, 1, 0), 0);
}

static void
saw_access(void *opaque, uint16_t port, unsigned size, bool write, uint32_t value)
{
	(void)port;
	record(opaque, write ? 'O' : 'I', port, size, value);
}

static void
saw_unassigned(void *opaque, uint16_t port, unsigned size, bool write, uint32_t value)
{
	(void)port;
	record(opaque, write ? 'o' : 'i', port, size, value);
}

static void
observers(void **state)
{
	struct recorder seen = {.log = ""};

	(void)state;
	bus.observer = (struct bus_observer){saw_access, saw_unassigned, &seen};
	bus_attach(&bus, "one", &byte_ops, &one, 64, 4, 0);
	bus_in(&bus, 64, 2);
	bus_out(&bus, 65, 1, 9);
	bus_out(&bus, 70, 2, 7);
	assert_string_equal(seen.log, "I64.2=1110 O65.1=9 o70.2=7 O70.2=7 ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(nobody_home, setup),
	    cmocka_unit_test_setup(registers_not_ports, setup),
	    cmocka_unit_test_setup(wide_accesses_split, setup),
	    cmocka_unit_test_setup(wide_chip_takes_all, setup),
	    cmocka_unit_test_setup(later_takes_over, setup),
	    cmocka_unit_test_setup(deaf_chip, setup),
	    cmocka_unit_test_setup(table_full, setup),
	    cmocka_unit_test_setup(observers, setup),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
