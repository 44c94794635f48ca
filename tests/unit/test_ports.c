/* The one-register chips: port 92h, the POST latch, the debug ports. */
#include "unit.h"

#include "device/debugcon.h"
#include "device/debugexit.h"
#include "device/port92.h"
#include "device/portcf9.h"
#include "device/portf0.h"
#include "device/post80.h"
#include "fake.h"

static void
fast_a20_and_reset(void **state)
{
	struct fake_line a20, reset;
	struct port92 chip;

	(void)state;
	port92_init(&chip, fake_line_connect(&a20), fake_line_connect(&reset));
	assert_int_equal(port92_ports.read(&chip, 0, 1), 0);
	port92_ports.write(&chip, 0, 1, 0x02);
	assert_true(a20.level);
	assert_int_equal(port92_ports.read(&chip, 0, 1), 0x02);
	assert_int_equal(reset.rises, 0);
	port92_ports.write(&chip, 0, 1, 0x03);
	assert_int_equal(reset.rises, 1);
	assert_false(reset.level);
	port92_ports.write(&chip, 0, 1, 0x01); /* still 1: no second reset */
	assert_int_equal(reset.rises, 1);
	assert_false(a20.level);
	port92_ports.write(&chip, 0, 1, 0x00);
	port92_ports.write(&chip, 0, 1, 0x01);
	assert_int_equal(reset.rises, 2);
	port92_follow_a20(&chip, true);
	assert_int_equal(port92_ports.read(&chip, 0, 1), 0x03);
	port92_reset(&chip);
	assert_int_equal(port92_ports.read(&chip, 0, 1), 0);
	assert_string_equal(port92_section(&chip).id, "port92");
}

static void
post_latch(void **state)
{
	struct post80 chip;

	(void)state;
	post80_init(&chip);
	post80_ports.write(&chip, 0, 1, 0x5a);
	assert_int_equal(post80_ports.read(&chip, 0, 1), 0x5a);
	post80_reset(&chip);
	assert_int_equal(post80_ports.read(&chip, 0, 1), 0);
	assert_string_equal(post80_section(&chip).id, "post80");
}

static void
reset_control(void **state)
{
	static struct bus bus;
	struct fake_line reset;
	struct portcf9 chip;

	(void)state;
	portcf9_init(&chip, fake_line_connect(&reset));
	bus_attach(&bus, "portcf9", &portcf9_ports, &chip, 0xcf8, 4, 0);
	bus_out(&bus, 0xcf9, 1, 0x02);
	assert_int_equal(bus_in(&bus, 0xcf9, 1), 0x02);
	assert_int_equal(reset.rises, 0);
	/* PCI's configuration address is not meant. */
	bus_out(&bus, 0xcf8, 4, 0x80000400);
	bus_out(&bus, 0xcf8, 2, 0x0400);
	bus_out(&bus, 0xcf9, 2, 0x0004);
	assert_int_equal(reset.rises, 0);
	assert_int_equal(bus_in(&bus, 0xcf8, 4), 0xffffffff);
	bus_out(&bus, 0xcf9, 1, 0x06);
	assert_int_equal(reset.rises, 1);
	assert_false(reset.level);
	bus_out(&bus, 0xcf9, 1, 0xff); /* still 1; what is reserved reads 0 */
	assert_int_equal(reset.rises, 1);
	assert_int_equal(bus_in(&bus, 0xcf9, 1), 0x06);
	portcf9_reset(&chip);
	assert_int_equal(bus_in(&bus, 0xcf9, 1), 0);
	assert_string_equal(portcf9_section(&chip).id, "portcf9");
}

static void
coprocessor_latch(void **state)
{
	struct fake_line irq;
	struct portf0 chip;

	(void)state;
	portf0_init(&chip, fake_line_connect(&irq));
	portf0_error(&chip);
	assert_true(irq.level);
	irq.level = false;
	portf0_section(&chip).restored(&chip);
	assert_true(irq.level);
	portf0_ports.write(&chip, 0, 1, 0);
	assert_false(irq.level);
	portf0_error(&chip);
	portf0_reset(&chip);
	assert_false(irq.level);
	assert_string_equal(portf0_section(&chip).id, "portf0");
}

static void
keep_byte(void *opaque, uint8_t byte)
{
	*(unsigned *)opaque = *(unsigned *)opaque * 256 + byte;
}

static void
debug_console(void **state)
{
	unsigned seen = 0;
	struct debugcon chip = {.put = keep_byte, .opaque = &seen};

	(void)state;
	assert_int_equal(debugcon_ports.read(&chip, 0, 1), 0xe9);
	debugcon_ports.write(&chip, 0, 1, 'h');
	debugcon_ports.write(&chip, 0, 1, 'i');
	assert_int_equal(seen, 'h' * 256 + 'i');
	chip.put = NULL;
	debugcon_ports.write(&chip, 0, 1, '!');
}

static void
keep_value(void *opaque, uint32_t value)
{
	*(uint32_t *)opaque = value;
}

static void
debug_exit(void **state)
{
	uint32_t value = 0;
	struct debugexit chip = {.ended = keep_value, .opaque = &value};
	static struct bus bus;

	(void)state;
	bus_attach(&bus, "debugexit", &debugexit_ports, &chip, 0xf4, 4, 0);
	bus_out(&bus, 0xf4, 1, 0x31);
	assert_int_equal(value, 0x31);
	bus_out(&bus, 0xf4, 4, 0x12345678);
	assert_int_equal(value, 0x12345678);
	assert_int_equal(bus_in(&bus, 0xf4, 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fast_a20_and_reset),
	    cmocka_unit_test(post_latch),
	    cmocka_unit_test(reset_control),
	    cmocka_unit_test(coprocessor_latch),
	    cmocka_unit_test(debug_console),
	    cmocka_unit_test(debug_exit),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
