/* PC16550D: registers, FIFOs, interrupt priorities, loop-back, modem lines. */
#include "unit.h"

#include <string.h>

#include "device/ns16550.h"
#include "fake.h"

static struct fake_clock fake;
static struct ns16550 uart;
static struct fake_line irq;
static char sent[256];
static unsigned rooms;

static void
take(void *opaque, uint8_t byte)
{
	size_t len = strlen(sent);

	(void)opaque;
	if (len < sizeof(sent) - 1)
		sent[len] = (char)byte;
}

static void
room(void *opaque)
{
	(void)opaque;
	rooms++;
}

static uint8_t
get(unsigned reg)
{
	return ((uint8_t)ns16550_ports.read(&uart, (uint16_t)reg, 1));
}

static void
put(unsigned reg, unsigned value)
{
	ns16550_ports.write(&uart, (uint16_t)reg, 1, value);
}

static int
setup(void **state)
{
	(void)state;
	memset(sent, 0, sizeof(sent));
	rooms = 0;
	fake_clock_init(&fake);
	ns16550_init(&uart, 0, &fake.clock, fake_line_connect(&irq));
	uart.tx = take;
	uart.room = room;
	put(3, 0x03); /* 8N1 */
	put(4, 0x0b); /* DTR, RTS, OUT2 */
	get(6);
	return (0);
}

static void
after_reset(void **state)
{
	(void)state;
	ns16550_reset(&uart);
	assert_int_equal(get(1), 0);
	assert_int_equal(get(2), 0x01);
	assert_int_equal(get(3), 0);
	assert_int_equal(get(4), 0);
	assert_int_equal(get(5), 0x60);
	assert_int_equal(get(6), 0xb0);
	assert_int_equal(get(7), 0);
	assert_false(irq.level);
}

static void
scratch_and_divisor(void **state)
{
	(void)state;
	put(7, 0x5a);
	assert_int_equal(get(7), 0x5a);
	put(3, 0x83);
	put(0, 0x01);
	put(1, 0x00);
	assert_int_equal(get(0), 0x01);
	assert_int_equal(get(1), 0x00);
	assert_int_equal(ns16550_baud(&uart), 115200);
	put(0, 0x80);
	put(1, 0x01);
	assert_int_equal(ns16550_baud(&uart), 300);
	put(0, 0);
	put(1, 0);
	assert_int_equal(ns16550_baud(&uart), 115200);
	put(3, 0x03);
	assert_int_equal(get(1), 0);
	assert_string_equal(sent, "");
	/* Only the bits that exist. */
	put(1, 0xff);
	assert_int_equal(get(1), 0x0f);
	put(4, 0xff);
	assert_int_equal(get(4), 0x1f);
}

static void
transmit(void **state)
{
	(void)state;
	put(0, 'o');
	assert_int_equal(get(5), 0x60);
	put(0, 'k');
	assert_string_equal(sent, "ok");
	put(3, 0x02); /* 7 bits */
	put(0, 0x80 | 'x');
	assert_string_equal(sent, "okx");
}

static void
transmit_interrupts(void **state)
{
	(void)state;
	put(1, 0x02);
	assert_true(irq.level); /* it is empty from the start */
	put(1, 0x00);
	assert_false(irq.level);
	put(0, 'a');
	assert_false(irq.level);
	put(1, 0x02);
	assert_true(irq.level); /* enabled while empty */
	assert_int_equal(get(2), 0x02);
	assert_false(irq.level); /* reading IIR cleared it */
	assert_int_equal(get(2), 0x01);
	irq.rises = 0;
	put(0, 'b');
	assert_int_equal(irq.rises, 1);
	put(0, 'c'); /* a new edge for each */
	assert_int_equal(irq.rises, 2);
	put(1, 0x02); /* was enabled already */
	get(2);
	put(1, 0x02);
	assert_false(irq.level);
}

static void
receive_without_fifo(void **state)
{
	(void)state;
	put(1, 0x01);
	assert_int_equal(ns16550_rx_room(&uart), 1);
	ns16550_rx(&uart, 'a');
	assert_true(irq.level);
	assert_int_equal(ns16550_rx_room(&uart), 0);
	assert_int_equal(rooms, 0);
	assert_int_equal(get(5), 0x61);
	assert_int_equal(get(2), 0x04);
	assert_int_equal(get(0), 'a');
	assert_int_equal(rooms, 1);
	assert_false(irq.level);
	assert_int_equal(get(5), 0x60);
	assert_int_equal(get(0), 'a');
	/* Overrun: the newer one stays. */
	ns16550_rx(&uart, 'b');
	ns16550_rx(&uart, 'c');
	assert_int_equal(get(5), 0x63);
	assert_int_equal(get(5), 0x61);
	assert_int_equal(get(0), 'c');
}

static void
receive_with_fifo(void **state)
{
	(void)state;
	put(2, 0x81); /* trigger at 8 */
	put(1, 0x01);
	assert_int_equal(get(2), 0xc1);
	assert_int_equal(ns16550_rx_room(&uart), 16);
	for (unsigned i = 0; i < 7; i++)
		ns16550_rx(&uart, (uint8_t)('a' + i));
	assert_false(irq.level);
	assert_int_equal(ns16550_rx_room(&uart), 9);
	ns16550_rx(&uart, 'h');
	assert_true(irq.level);
	assert_int_equal(get(2), 0xc4);
	assert_int_equal(get(0), 'a');
	assert_false(irq.level); /* below the trigger again */
	for (unsigned i = 0; i < 9; i++)
		ns16550_rx(&uart, (uint8_t)('i' + i));
	assert_int_equal(ns16550_rx_room(&uart), 0);
	ns16550_rx(&uart, '!'); /* lost */
	assert_int_equal(get(5), 0x63);
	for (unsigned i = 1; i < 17; i++)
		assert_int_equal(get(0), 'a' + i);
	assert_int_equal(get(5), 0x60);
}

static void
trigger_levels(void **state)
{
	static const unsigned levels[4] = {1, 4, 8, 14};

	(void)state;
	put(1, 0x01);
	for (unsigned i = 0; i < 4; i++) {
		put(2, 0x03 | i << 6);
		for (unsigned n = 1; n <= levels[i]; n++) {
			assert_false(irq.level);
			ns16550_rx(&uart, 'x');
		}
		assert_true(irq.level);
		put(2, 0x03 | i << 6); /* clears the FIFO */
		assert_int_equal(get(5) & 1, 0);
	}
}

static void
character_timeout(void **state)
{
	(void)state;
	put(2, 0xc1); /* trigger at 14 */
	put(1, 0x01);
	ns16550_rx(&uart, 'a');
	ns16550_rx(&uart, 'b');
	/* 4 characters of 10 bits at 9600 baud: 4.17 ms */
	fake_clock_run(&fake, 4100000);
	assert_false(irq.level);
	ns16550_rx(&uart, 'c'); /* starts it anew */
	fake_clock_run(&fake, 4100000);
	assert_false(irq.level);
	fake_clock_run(&fake, 100000);
	assert_true(irq.level);
	assert_int_equal(get(2), 0xcc);
	assert_int_equal(get(2), 0xcc);
	assert_int_equal(get(0), 'a');
	assert_false(irq.level);
	fake_clock_run(&fake, 4200000);
	assert_int_equal(get(2), 0xcc);
	get(0);
	get(0);
	fake_clock_run(&fake, 10000000);
	assert_int_equal(get(2), 0xc1);
}

static void
fifo_control(void **state)
{
	(void)state;
	ns16550_rx(&uart, 'a');
	put(2, 0x01); /* changing the mode clears */
	assert_int_equal(get(5), 0x60);
	ns16550_rx(&uart, 'b');
	put(2, 0x01);
	assert_int_equal(get(5), 0x61);
	put(2, 0xc2); /* without bit 0 the FIFOs are off and the rest does not count */
	assert_int_equal(get(2), 0x01);
	assert_int_equal(get(5), 0x60);
	put(2, 0x03);
	assert_int_equal(get(2), 0xc1);
}

static void
priorities(void **state)
{
	(void)state;
	put(1, 0x0f);
	put(0, 'x');
	ns16550_set_modem(&uart, NS16550_DSR | NS16550_DCD);
	ns16550_rx(&uart, 'a');
	ns16550_rx(&uart, 'b');
	assert_int_equal(get(2), 0x06); /* line status */
	assert_int_equal(get(5) & 0x02, 0x02);
	assert_int_equal(get(2), 0x04); /* data */
	get(0);
	assert_int_equal(get(2), 0x02); /* transmitter */
	assert_int_equal(get(2), 0x00); /* modem */
	assert_int_equal(get(6), 0xa1);
	assert_int_equal(get(2), 0x01);
	assert_false(irq.level);
}

static void
out2_gates(void **state)
{
	(void)state;
	put(4, 0x03);
	put(1, 0x01);
	ns16550_rx(&uart, 'a');
	assert_false(irq.level);
	assert_int_equal(get(2), 0x04);
	put(4, 0x0b);
	assert_true(irq.level);
	put(4, 0x1b); /* loop-back makes the pin inactive */
	assert_false(irq.level);
}

static void
loopback(void **state)
{
	(void)state;
	put(4, 0x10);
	assert_int_equal(get(6) & 0xf0, 0);
	put(0, 'z');
	assert_string_equal(sent, "");
	assert_int_equal(get(5), 0x61);
	assert_int_equal(get(0), 'z');
	assert_int_equal(ns16550_rx_room(&uart), 0);
	ns16550_rx(&uart, 'q'); /* the line is cut off */
	assert_int_equal(get(5), 0x60);
	/* RTS, DTR, OUT1, OUT2 appear as CTS, DSR, RI, DCD. */
	put(4, 0x12);
	assert_int_equal(get(6), 0x11);
	put(4, 0x11);
	assert_int_equal(get(6), 0x23);
	put(4, 0x14);
	assert_int_equal(get(6), 0x42);
	put(4, 0x18);
	assert_int_equal(get(6), 0x8c); /* RI's trailing edge */
	rooms = 0;
	put(4, 0x0b);
	assert_int_equal(rooms, 1);
	assert_int_equal(get(6) & 0xf0, 0xb0);
}

static void
modem_lines(void **state)
{
	(void)state;
	put(1, 0x08);
	assert_int_equal(get(6), 0xb0);
	ns16550_set_modem(&uart, 0xb0);
	assert_false(irq.level);
	ns16550_set_modem(&uart, 0xf0); /* RI comes: nothing yet */
	assert_false(irq.level);
	ns16550_set_modem(&uart, 0x30);
	assert_true(irq.level);
	assert_int_equal(get(2), 0x00);
	assert_int_equal(get(6), 0x3c);
	assert_false(irq.level);
}

static void
state_is_kept(void **state)
{
	struct section section = ns16550_section(&uart);
	struct ns16550_state saved;
	struct ns16550 second;

	(void)state;
	ns16550_init(&second, 1, &fake.clock, uart.irq);
	assert_string_equal(ns16550_section(&second).id, "ns16550.1");
	assert_string_equal(section.id, "ns16550.0");
	put(2, 0xc1);
	put(1, 0x01);
	ns16550_rx(&uart, 'a');
	memcpy(&saved, section.data, section.size);
	ns16550_reset(&uart);
	memcpy(section.data, &saved, section.size);
	assert_int_equal(section.restored(section.owner), 0);
	assert_false(irq.level);
	fake_clock_run(&fake, 4200000);
	assert_true(irq.level);
	assert_int_equal(get(0), 'a');
}

static void
any_state_is_safe(void **state)
{
	struct section section = ns16550_section(&uart);
	uint32_t seed = 5;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		uint8_t *bytes = section.data;

		for (unsigned i = 0; i < section.size; i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(round % 3 == 0 ? 0xff : seed >> 24);
		}
		section.restored(section.owner);
		for (unsigned reg = 0; reg < 8; reg++) {
			ns16550_rx(&uart, 'x');
			get(reg);
			put(reg, seed >> reg);
		}
		fake_clock_run(&fake, 1000);
	}
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
	    CASE(after_reset),
	    CASE(scratch_and_divisor),
	    CASE(transmit),
	    CASE(transmit_interrupts),
	    CASE(receive_without_fifo),
	    CASE(receive_with_fifo),
	    CASE(trigger_levels),
	    CASE(character_timeout),
	    CASE(fifo_control),
	    CASE(priorities),
	    CASE(out2_gates),
	    CASE(loopback),
	    CASE(modem_lines),
	    CASE(state_is_kept),
	    CASE(any_state_is_safe),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
