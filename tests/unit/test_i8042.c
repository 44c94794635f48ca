/* 8042 and AT keyboard: scan codes both ways, commands of either, A20, reset, interrupts, pacing. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "device/i8042.h"
#include "fake.h"

static struct fake_clock fake;
static struct i8042 kbc;
static struct fake_line irq1, irq12, a20, reset;

static void
command(uint8_t value)
{
	i8042_ports.write(&kbc, 4, 1, value);
}

static void
data(uint8_t value)
{
	i8042_ports.write(&kbc, 0, 1, value);
}

static uint8_t
status(void)
{
	return ((uint8_t)i8042_ports.read(&kbc, 4, 1));
}

/* The next byte, as a polling guest waits for it. */
static uint8_t
get(void)
{
	for (unsigned i = 0; (status() & I8042_OBF) == 0; i++) {
		if (i > 1000)
			fail_msg("no byte came");
		fake_clock_run(&fake, 1000);
	}
	return ((uint8_t)i8042_ports.read(&kbc, 0, 1));
}

static void
assert_nothing(void)
{
	fake_clock_run(&fake, 10000000);
	assert_int_equal(status() & I8042_OBF, 0);
}

static void
assert_bytes(const char *hex)
{
	char text[128] = "";

	for (unsigned i = 0; i < strlen(hex) / 3 + 1; i++)
		snprintf(text + strlen(text), 4, i ? " %02x" : "%02x", get());
	assert_string_equal(text, hex);
	assert_nothing();
}

static int
setup(void **state)
{
	(void)state;
	fake_clock_init(&fake);
	i8042_init(&kbc, &fake.clock);
	kbc.irq1 = fake_line_connect(&irq1);
	kbc.irq12 = fake_line_connect(&irq12);
	kbc.a20 = fake_line_connect(&a20);
	kbc.reset = fake_line_connect(&reset);
	command(0x60);
	data(0x65);
	fake_clock_run(&fake, 1000000);
	return (0);
}

static void
press(const char *set1)
{
	for (; *set1 != 0; set1++)
		assert_true(i8042_key_scancode(&kbc, (uint8_t)*set1));
}

static void
translated_codes(void **state)
{
	(void)state;
	press("\x1e\x9e"); /* A */
	assert_bytes("1e 9e");
	press("\xe0\x48\xe0\xc8"); /* up */
	assert_bytes("e0 48 e0 c8");
	press("\xe1\x1d\x45\xe1\x9d\xc5"); /* Pause */
	assert_bytes("e1 1d 45 e1 9d c5");
}

static void
every_code_comes_through(void **state)
{
	(void)state;
	for (unsigned code = 1; code < 0x80; code++) {
		if (code == 0x60 || code == 0x61)
			continue; /* their break codes would be prefixes */
		assert_true(i8042_key_scancode(&kbc, (uint8_t)code));
		assert_true(i8042_key_scancode(&kbc, (uint8_t)(code | 0x80)));
		assert_int_equal(get(), code);
		assert_int_equal(get(), code | 0x80);
	}
	assert_true(i8042_key_scancode(&kbc, 0)); /* no key */
	assert_nothing();
}

static void
set_2_untranslated(void **state)
{
	(void)state;
	command(0x60);
	data(0x25);
	press("\x1e\x9e\x41"); /* A, F7 */
	assert_bytes("1c f0 1c 83");
	press("\xe0\x48\xe0\xc8");
	assert_bytes("e0 75 e0 f0 75");
	press("\xe1\x1d\x45\xe1\x9d\xc5");
	assert_bytes("e1 14 77 e1 f0 14 f0 77");
}

static void
set_1_from_the_keyboard(void **state)
{
	(void)state;
	command(0x60);
	data(0x25);
	data(0xf0);
	assert_bytes("fa");
	data(0x01);
	assert_bytes("fa");
	press("\x1e\x9e\xe0\x48");
	assert_bytes("1e 9e e0 48");
	data(0xf0);
	data(0x00);
	assert_bytes("fa fa 01");
	data(0xf0);
	data(0x03);
	assert_bytes("fa fe");
}

static void
interrupt_for_each_byte(void **state)
{
	(void)state;
	press("\x1e");
	assert_true(irq1.level);
	press("\x9e");
	assert_int_equal(irq1.rises, 1);
	assert_int_equal(status(), I8042_OBF | I8042_SYS | I8042_UNLOCKED);
	assert_int_equal(i8042_ports.read(&kbc, 0, 1), 0x1e);
	assert_false(irq1.level);
	/* The same byte again until the next has come over the cable. */
	assert_int_equal(i8042_ports.read(&kbc, 0, 1), 0x1e);
	fake_clock_run(&fake, I8042_BYTE_NS - 1);
	assert_int_equal(status() & I8042_OBF, 0);
	fake_clock_run(&fake, 1);
	assert_true(irq1.level);
	assert_int_equal(irq1.rises, 2);
	assert_int_equal(i8042_ports.read(&kbc, 0, 1), 0x9e);
	assert_int_equal(irq12.rises, 0);
	/* Answers of the keyboard come with an interrupt, without polling. */
	fake_clock_run(&fake, 1000000);
	data(0xf4);
	assert_false(irq1.level);
	fake_clock_run(&fake, I8042_BYTE_NS);
	assert_true(irq1.level);
	assert_bytes("fa");
	/* One who polls sees a byte that is due though no timer fired yet. */
	press("\x1e\x1f");
	i8042_ports.read(&kbc, 0, 1);
	fake.now += I8042_BYTE_NS;
	assert_int_equal(status() & I8042_OBF, I8042_OBF);
	assert_int_equal(get(), 0x1f);
	fake_clock_run(&fake, 1000000);
	irq1.rises = 2;
	/* Interrupts off. */
	command(0x60);
	data(0x64);
	press("\x1e");
	fake_clock_run(&fake, 1000000);
	assert_int_equal(irq1.rises, 2);
	assert_int_equal(get(), 0x1e);
}

static void
buffer_is_bounded(void **state)
{
	unsigned taken = 0;

	(void)state;
	while (i8042_key_scancode(&kbc, 0x1e) && taken < 100)
		taken++;
	assert_in_range(taken, I8042_SCAN_MAX - 2, I8042_SCAN_MAX + 1);
	for (unsigned i = 0; i < taken; i++)
		assert_int_equal(get(), 0x1e);
	assert_nothing();
	assert_true(i8042_key_scancode(&kbc, 0x1e));
}

static void
keyboard_held_off(void **state)
{
	(void)state;
	command(0xad);
	press("\x1e");
	assert_nothing();
	command(0x20);
	assert_bytes("75");
	assert_int_equal(irq1.rises, 0); /* what the controller says then is for polling */
	command(0xae);
	assert_true(irq1.level);
	assert_bytes("1e");
	command(0xad);
	data(0xee); /* a write to the keyboard turns it on */
	assert_bytes("ee");
	command(0x20);
	assert_bytes("65");
}

static void
self_tests(void **state)
{
	(void)state;
	i8042_reset(&kbc);
	assert_int_equal(status(), I8042_UNLOCKED);
	command(0xaa);
	assert_bytes("55");
	assert_int_equal(status(), I8042_UNLOCKED | I8042_SYS | I8042_CMD);
	command(0xab);
	assert_bytes("00");
	command(0xa9);
	assert_bytes("00");
	command(0xa4);
	assert_bytes("f1");
	command(0xc0);
	assert_bytes("b0");
	command(0xe0);
	assert_bytes("00");
	command(0xa1); /* not known */
	assert_nothing();
}

static void
controller_memory(void **state)
{
	(void)state;
	command(0x20);
	assert_bytes("65");
	command(0x60);
	assert_int_equal(status() & I8042_CMD, I8042_CMD);
	data(0x47);
	assert_int_equal(status() & I8042_CMD, 0);
	command(0x20);
	assert_bytes("47");
	command(0x71);
	data(0x99);
	command(0x31);
	assert_bytes("99");
	command(0x30);
	assert_bytes("00");
}

static void
gate_a20(void **state)
{
	(void)state;
	command(0xd0);
	assert_int_equal(get() & 0xcf, 0xcf);
	command(0xd1);
	data(0xdd);
	assert_false(a20.level);
	command(0xd0);
	assert_int_equal(get() & 0x03, 0x01);
	command(0xd1);
	data(0xdf);
	assert_true(a20.level);
	command(0xdd);
	assert_false(a20.level);
	command(0xdf);
	assert_true(a20.level);
	assert_int_equal(reset.rises, 0);
	i8042_follow_a20(&kbc, false);
	command(0xd0);
	assert_int_equal(get() & 0x02, 0);
	fake_clock_run(&fake, 1000000);
	press("\x1e");
	command(0xd0); /* while a byte waits, bit 4 */
	assert_int_equal(get(), 0x1e);
	assert_int_equal(get(), 0xdd);
	fake_clock_run(&fake, 1000000);
	press("\x1e");
	fake_clock_run(&fake, 1000000);
}

static void
resets(void **state)
{
	(void)state;
	command(0xfe);
	assert_int_equal(reset.rises, 1);
	assert_false(reset.level);
	command(0xff); /* pulses nothing */
	assert_int_equal(reset.rises, 1);
	command(0xf0);
	assert_int_equal(reset.rises, 2);
	command(0xd1);
	data(0xfe);
	assert_int_equal(reset.rises, 3);
}

static void
keyboard_commands(void **state)
{
	(void)state;
	data(0xee);
	assert_bytes("ee");
	data(0xed);
	assert_bytes("fa");
	data(0x05);
	assert_bytes("fa");
	assert_int_equal(i8042_leds(&kbc), 5);
	data(0xf3);
	data(0x20);
	assert_bytes("fa fa");
	assert_int_equal(kbc.s.typematic, 0x20);
	data(0xf2);
	assert_bytes("fa ab 41"); /* 83h translated */
	data(0xf7);
	assert_bytes("fa");
	data(0xfd);
	data(0x1c);
	assert_bytes("fa fa");
	data(0xff);
	assert_bytes("fa aa");
	assert_int_equal(i8042_leds(&kbc), 0);
	data(0x13);
	assert_bytes("fe");
	data(0xf2);
	fake_clock_run(&fake, 1000000);
	assert_bytes("fa ab 41");
	data(0xfe);
	assert_bytes("41"); /* the last again */
}

static void
command_in_place_of_an_option(void **state)
{
	(void)state;
	data(0xed);
	assert_bytes("fa");
	data(0xf4);
	assert_bytes("fa");
	assert_int_equal(i8042_leds(&kbc), 0);
	data(0x01); /* no longer an option */
	assert_bytes("fe");
}

static void
scanning_off(void **state)
{
	(void)state;
	data(0xf5);
	assert_bytes("fa");
	press("\x1e\x9e");
	assert_nothing();
	data(0xf4);
	assert_bytes("fa");
	data(0xf3);
	data(0x10);
	assert_bytes("fa fa");
	press("\x1e\x1f");
	data(0xf6);		       /* defaults: typing and rate are forgotten */
	assert_int_equal(get(), 0x1e); /* it was out already */
	assert_bytes("fa");
	assert_int_equal(kbc.s.typematic, 0x2b);
	press("\x1f");
	assert_bytes("1f");
}

static void
answers_before_scan_codes(void **state)
{
	(void)state;
	press("\x1e\x1f\x20");
	data(0xed);
	assert_bytes("1e fa 1f 20");
}

static void
answers_are_bounded(void **state)
{
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		data(0xf2);
	for (unsigned i = 0; i < 1000; i++) {
		fake_clock_run(&fake, I8042_BYTE_NS);
		if ((status() & I8042_OBF) != 0) {
			i8042_ports.read(&kbc, 0, 1);
			count++;
		}
	}
	assert_in_range(count, 1, 2 * I8042_REPLY_MAX);
	for (unsigned i = 0; i < 100; i++)
		command(0x20);
	for (count = 0; (status() & I8042_OBF) != 0; count++)
		i8042_ports.read(&kbc, 0, 1);
	assert_in_range(count, 1, I8042_REPLY_MAX + 1);
}

static void
no_mouse(void **state)
{
	(void)state;
	command(0x60);
	data(0x47);
	command(0xa7);
	command(0x20);
	assert_bytes("67");
	command(0xa8);
	command(0x20);
	assert_bytes("47");
	/* The loop-back by which drivers find the port. */
	command(0xd3);
	data(0x5a);
	assert_int_equal(
	    status() & (I8042_OBF | I8042_AUX_OBF | I8042_TIMEOUT), I8042_OBF | I8042_AUX_OBF);
	assert_true(irq12.level);
	assert_false(irq1.level);
	assert_bytes("5a");
	assert_false(irq12.level);
	assert_int_equal(status() & I8042_AUX_OBF, 0);
	/* What is sent to the mouse times out. */
	command(0xd4);
	data(0xf2);
	assert_int_equal(status() & (I8042_AUX_OBF | I8042_TIMEOUT), I8042_AUX_OBF | I8042_TIMEOUT);
	assert_bytes("fe");
	assert_int_equal(status() & I8042_TIMEOUT, 0);
	irq1.rises = 0;
	command(0xd2);
	data(0x77);
	assert_int_equal(irq1.rises, 1);
	assert_bytes("77");
}

static void
state_is_kept(void **state)
{
	struct section section = i8042_section(&kbc);
	struct i8042_state saved;

	(void)state;
	assert_string_equal(section.id, "i8042");
	press("\x1e\x9e\x1f");
	memcpy(&saved, section.data, section.size);
	i8042_reset(&kbc);
	assert_false(irq1.level);
	memcpy(section.data, &saved, section.size);
	assert_int_equal(section.restored(section.owner), 0);
	assert_true(irq1.level);
	assert_int_equal(get(), 0x1e);
	/* Between two bytes: the timer is armed again. */
	memcpy(&saved, section.data, section.size);
	i8042_reset(&kbc);
	memcpy(section.data, &saved, section.size);
	assert_int_equal(section.restored(section.owner), 0);
	assert_false(irq1.level);
	fake_clock_run(&fake, I8042_BYTE_NS);
	assert_true(irq1.level);
	assert_bytes("9e 1f");
}

static void
any_state_is_safe(void **state)
{
	struct section section = i8042_section(&kbc);
	uint32_t seed = 3;

	(void)state;
	for (unsigned round = 0; round < 1000; round++) {
		uint8_t *bytes = section.data;

		for (unsigned i = 0; i < section.size; i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(round % 3 == 0 ? 0xff : seed >> (round % 3 * 8));
			if (round % 4 == 1)
				bytes[i] &= 15;
		}
		section.restored(section.owner);
		for (unsigned i = 0; i < 256; i += 7) {
			command((uint8_t)i);
			data((uint8_t)(i * 3));
			i8042_key_scancode(&kbc, (uint8_t)i);
			i8042_ports.read(&kbc, 0, 1);
			fake_clock_run(&fake, I8042_BYTE_NS / 2);
		}
	}
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
	    CASE(translated_codes),
	    CASE(every_code_comes_through),
	    CASE(set_2_untranslated),
	    CASE(set_1_from_the_keyboard),
	    CASE(interrupt_for_each_byte),
	    CASE(buffer_is_bounded),
	    CASE(keyboard_held_off),
	    CASE(self_tests),
	    CASE(controller_memory),
	    CASE(gate_a20),
	    CASE(resets),
	    CASE(keyboard_commands),
	    CASE(command_in_place_of_an_option),
	    CASE(scanning_off),
	    CASE(answers_before_scan_codes),
	    CASE(answers_are_bounded),
	    CASE(no_mouse),
	    CASE(state_is_kept),
	    CASE(any_state_is_safe),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
