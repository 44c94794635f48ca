/* 8254: the waveforms of all modes, reading back, gates, edges of OUT0; port 61h, which reads it. */
#include "unit.h"

#include <string.h>

#include "device/i8254.h"
#include "device/port61.h"
#include "fake.h"

static struct fake_clock fake;
static struct i8254 pit;
static struct fake_line irq0;

/* To the first ns of input clock tick TICK. */
static void
to_tick(uint64_t tick)
{
	uint64_t ns = mul_div(tick, NS_PER_SEC, I8254_HZ);

	if (mul_div(ns, I8254_HZ, NS_PER_SEC) < tick)
		ns++;
	fake_clock_to(&fake, ns);
}

static int
setup(void **state)
{
	(void)state;
	fake_clock_init(&fake);
	i8254_init(&pit, &fake.clock, fake_line_connect(&irq0));
	to_tick(1000);
	return (0);
}

static void
program(unsigned counter, unsigned mode, unsigned count)
{
	i8254_write(&pit, 3, (uint8_t)(counter << 6 | 0x30 | mode << 1));
	i8254_write(&pit, counter, (uint8_t)count);
	i8254_write(&pit, counter, (uint8_t)(count >> 8));
}

static unsigned
latched(unsigned counter)
{
	unsigned low;

	i8254_write(&pit, 3, (uint8_t)(counter << 6));
	low = i8254_read(&pit, counter);
	return (low | (unsigned)i8254_read(&pit, counter) << 8);
}

static uint8_t
status_of(unsigned counter)
{
	i8254_write(&pit, 3, (uint8_t)(0xe0 | 2u << counter));
	return (i8254_read(&pit, counter));
}

/* OUT at each of the next ticks as a string of H and L. */
static const char *
wave(unsigned counter, uint64_t first, unsigned ticks)
{
	static char text[64];

	for (unsigned i = 0; i < ticks; i++) {
		to_tick(first + i);
		text[i] = i8254_out(&pit, counter) ? 'H' : 'L';
	}
	text[ticks] = 0;
	return (text);
}

static void
mode0_interrupt_on_terminal_count(void **state)
{
	(void)state;
	program(0, 0, 4);
	assert_false(irq0.level);
	/* Loaded with the next CLK, N clocks from there: N + 1 after the write. */
	assert_string_equal(wave(0, 1000, 8), "LLLLLHHH");
	assert_int_equal(irq0.rises, 1);
	/* It goes on counting, past 0. */
	assert_int_equal(latched(0), (uint16_t)(4 - 6));
	to_tick(200000);
	assert_int_equal(irq0.rises, 1);
	/* Writing a new count lowers OUT again. */
	i8254_write(&pit, 0, 2);
	assert_false(i8254_out(&pit, 0));
	assert_false(irq0.level);
	to_tick(200500);
	assert_false(i8254_out(&pit, 0)); /* half a count counts nothing */
	i8254_write(&pit, 0, 0);
	assert_string_equal(wave(0, 200500, 5), "LLLHH");
	assert_int_equal(irq0.rises, 2);
}

static void
mode0_gate_suspends(void **state)
{
	(void)state;
	i8254_set_gate(&pit, 2, true);
	program(2, 0, 10);
	to_tick(1005);
	assert_int_equal(latched(2), 6);
	i8254_set_gate(&pit, 2, false);
	to_tick(2000);
	assert_int_equal(latched(2), 6);
	assert_false(i8254_out(&pit, 2));
	i8254_set_gate(&pit, 2, true);
	assert_string_equal(wave(2, 2004, 4), "LLHH");
	/* A count that is written while GATE is low waits for it. */
	i8254_set_gate(&pit, 2, false);
	program(2, 0, 3);
	to_tick(3000);
	assert_int_equal(latched(2), 3);
	i8254_set_gate(&pit, 2, true);
	assert_string_equal(wave(2, 3001, 3), "LLH");
}

static void
mode1_one_shot(void **state)
{
	(void)state;
	program(2, 1, 3);
	assert_string_equal(wave(2, 1000, 4), "HHHH");
	i8254_set_gate(&pit, 2, true);
	assert_string_equal(wave(2, 1003, 6), "HLLLHH");
	/* Retriggered in the middle: the pulse is prolonged. */
	i8254_set_gate(&pit, 2, false);
	i8254_set_gate(&pit, 2, true);
	to_tick(1011);
	assert_false(i8254_out(&pit, 2));
	i8254_set_gate(&pit, 2, false); /* does not stop it */
	i8254_set_gate(&pit, 2, true);
	assert_string_equal(wave(2, 1011, 5), "LLLHH");
	/* A new count is for the next trigger. */
	i8254_set_gate(&pit, 2, false);
	i8254_set_gate(&pit, 2, true);
	i8254_write(&pit, 2, 1);
	i8254_write(&pit, 2, 0);
	assert_string_equal(wave(2, 1015, 5), "HLLLH");
	i8254_set_gate(&pit, 2, false);
	i8254_set_gate(&pit, 2, true);
	assert_string_equal(wave(2, 1019, 3), "HLH");
}

static void
mode2_rate_generator(void **state)
{
	(void)state;
	program(0, 2, 3);
	assert_true(irq0.level); /* the control word sets OUT high */
	assert_string_equal(wave(0, 1000, 11), "HHHLHHLHHLH");
	to_tick(1011);
	assert_int_equal(latched(0), 2);
	to_tick(1012);
	assert_int_equal(latched(0), 1);
	to_tick(1013);
	assert_int_equal(latched(0), 3); /* never 0 */
}

static void
mode2_new_count_waits(void **state)
{
	(void)state;
	program(0, 2, 4);
	to_tick(1002);
	i8254_write(&pit, 0, 2);
	i8254_write(&pit, 0, 0);
	assert_int_equal(status_of(0) & 0x40, 0x40); /* null count: not taken over yet */
	assert_string_equal(wave(0, 1002, 8), "HHLHLHLH");
	assert_int_equal(status_of(0) & 0x40, 0);
	i8254_write(&pit, 0, 7);
	i8254_write(&pit, 0, 0);
	to_tick(1012);
	assert_int_equal(latched(0), 6); /* the new one, since 1011 */
	/* The same of a counter that no timer watches. */
	setup(state);
	i8254_set_gate(&pit, 2, true);
	program(2, 2, 4);
	to_tick(1002);
	i8254_write(&pit, 2, 6);
	i8254_write(&pit, 2, 0);
	to_tick(1004);
	assert_int_equal(status_of(2) & 0x40, 0x40);
	to_tick(1005);
	assert_int_equal(status_of(2) & 0x40, 0);
	assert_int_equal(latched(2), 6);
	i8254_write(&pit, 2, 4);
	i8254_write(&pit, 2, 0);
	to_tick(1012);
	i8254_write(&pit, 2, 8); /* after the change: half a count changes nothing */
	assert_string_equal(wave(2, 1012, 4), "HHLH");
}

static void
mode2_gate(void **state)
{
	(void)state;
	i8254_set_gate(&pit, 2, true);
	program(2, 2, 3);
	to_tick(1003);
	assert_false(i8254_out(&pit, 2));
	i8254_set_gate(&pit, 2, false);
	assert_true(i8254_out(&pit, 2)); /* at once */
	assert_string_equal(wave(2, 1003, 5), "HHHHH");
	i8254_write(&pit, 2, 4);
	i8254_write(&pit, 2, 0);
	i8254_set_gate(&pit, 2, true); /* starts anew, with what was written last */
	assert_string_equal(wave(2, 1007, 6), "HHHHLH");
	/* A count that waited for the period's end waits no longer. */
	i8254_write(&pit, 2, 3);
	i8254_write(&pit, 2, 0);
	i8254_set_gate(&pit, 2, false);
	to_tick(1020);
	assert_int_equal(status_of(2) & 0x40, 0);
	to_tick(1027);
	i8254_set_gate(&pit, 2, true);
	assert_string_equal(wave(2, 1027, 6), "HHHLHH");
}

static void
mode3_square_wave(void **state)
{
	(void)state;
	program(0, 3, 4);
	assert_string_equal(wave(0, 1001, 9), "HHLLHHLLH");
	program(2, 3, 5);
	i8254_set_gate(&pit, 2, true);
	/* Odd: one clock more high than low. */
	assert_string_equal(wave(2, 1010, 11), "HHHLLHHHLLH");
}

static void
mode3_counts_by_two(void **state)
{
	static const unsigned even[] = {6, 4, 2, 6, 4, 2, 6};
	static const unsigned odd[] = {4, 2, 0, 4, 2, 4};

	(void)state;
	program(0, 3, 6);
	for (unsigned i = 0; i < COUNT(even); i++) {
		to_tick(1001 + i);
		assert_int_equal(latched(0), even[i]);
	}
	to_tick(2000);
	program(0, 3, 5);
	for (unsigned i = 0; i < COUNT(odd); i++) {
		to_tick(2001 + i);
		assert_int_equal(latched(0), odd[i]);
	}
}

static void
mode3_new_count_at_half(void **state)
{
	(void)state;
	program(0, 3, 8);
	to_tick(1002);
	i8254_write(&pit, 0, 4);
	i8254_write(&pit, 0, 0);
	/* The high half ends as it was, then two low, two high... */
	assert_string_equal(wave(0, 1001, 10), "HHHHLLHHLL");
	/* In the high half of a later period. */
	setup(state);
	program(0, 3, 8);
	to_tick(1001 + 16);
	i8254_write(&pit, 0, 4);
	i8254_write(&pit, 0, 0);
	assert_string_equal(wave(0, 1017, 10), "HHHHLLHHLL");
	/* The edges follow. */
	setup(state);
	program(0, 3, 800);
	to_tick(1001 + 1600);
	i8254_write(&pit, 0, 400 & 0xff);
	i8254_write(&pit, 0, 400 >> 8);
	irq0.rises = 0;
	to_tick(1001 + 1600 + 400 + 199);
	assert_int_equal(irq0.rises, 0);
	to_tick(1001 + 1600 + 400 + 200);
	assert_int_equal(irq0.rises, 1);
	to_tick(1001 + 1600 + 400 + 599);
	assert_int_equal(irq0.rises, 1);
	to_tick(1001 + 1600 + 400 + 600);
	assert_int_equal(irq0.rises, 2);
	setup(state);
	program(0, 3, 8);
	to_tick(1002);
	i8254_write(&pit, 0, 4);
	i8254_write(&pit, 0, 0);
	to_tick(1010);
	/* And in the low half. */
	i8254_write(&pit, 0, 6);
	i8254_write(&pit, 0, 0);
	assert_string_equal(wave(0, 1010, 7), "LHHHLLL");
}

static void
mode4_software_strobe(void **state)
{
	(void)state;
	program(0, 4, 3);
	assert_true(irq0.level);
	assert_string_equal(wave(0, 1000, 8), "HHHHLHHH");
	to_tick(100000);
	assert_int_equal(irq0.rises, 2); /* the control word's, the strobe's end */
	program(0, 4, 3);
	irq0.rises = 0;
	to_tick(100004);
	assert_int_equal(irq0.rises, 0);
	to_tick(100005);
	assert_int_equal(irq0.rises, 1);
	to_tick(200000);
	/* A new count while counting starts over. */
	program(0, 4, 3);
	to_tick(200002);
	i8254_write(&pit, 0, 3);
	i8254_write(&pit, 0, 0);
	assert_string_equal(wave(0, 200002, 6), "HHHHLH");
}

static void
mode5_hardware_strobe(void **state)
{
	(void)state;
	program(2, 5, 3);
	assert_string_equal(wave(2, 1000, 6), "HHHHHH");
	i8254_set_gate(&pit, 2, true);
	assert_string_equal(wave(2, 1005, 7), "HHHHLHH");
	i8254_set_gate(&pit, 2, false);
	i8254_set_gate(&pit, 2, true);
	to_tick(1013);
	i8254_set_gate(&pit, 2, false);
	i8254_set_gate(&pit, 2, true);
	assert_string_equal(wave(2, 1013, 6), "HHHHLH");
}

static void
modes_6_and_7(void **state)
{
	(void)state;
	program(0, 6, 3);
	assert_int_equal(status_of(0) & 0x0e, 0x04);
	program(0, 7, 3);
	assert_int_equal(status_of(0) & 0x0e, 0x06);
}

static void
zero_is_the_largest(void **state)
{
	(void)state;
	program(0, 2, 0);
	to_tick(1001);
	assert_int_equal(latched(0), 0);
	to_tick(1002);
	assert_int_equal(latched(0), 0xffff);
	to_tick(1001 + 65535);
	assert_false(i8254_out(&pit, 0));
	to_tick(1001 + 65536);
	assert_true(i8254_out(&pit, 0));
}

static void
bcd(void **state)
{
	(void)state;
	i8254_write(&pit, 3, 0x35); /* counter 0, both bytes, mode 2, BCD */
	i8254_write(&pit, 0, 0x00);
	i8254_write(&pit, 0, 0x20);
	to_tick(1001);
	assert_int_equal(latched(0), 0x2000);
	to_tick(1002);
	assert_int_equal(latched(0), 0x1999);
	to_tick(1001 + 1999);
	assert_int_equal(latched(0), 0x0001);
	to_tick(1001 + 2000);
	assert_int_equal(latched(0), 0x2000);
	i8254_write(&pit, 3, 0x31); /* mode 0: passes 0 to 9999 */
	i8254_write(&pit, 0, 0x02);
	i8254_write(&pit, 0, 0x00);
	to_tick(3001 + 4);
	assert_int_equal(latched(0), 0x9999);
	i8254_write(&pit, 3, 0x35);
	i8254_write(&pit, 0, 0x54);
	i8254_write(&pit, 0, 0x76);
	to_tick(3006);
	assert_int_equal(latched(0), 0x7654);
	to_tick(3006 + 7653);
	assert_int_equal(latched(0), 0x0001);
	setup(state);
	to_tick(3005);
	i8254_write(&pit, 3, 0x35); /* 0 stands for 10000 */
	i8254_write(&pit, 0, 0);
	i8254_write(&pit, 0, 0);
	to_tick(3005 + 1 + 10000);
	assert_true(i8254_out(&pit, 0));
	to_tick(3005 + 10000);
	to_tick(3005 + 1 + 19999);
	assert_false(i8254_out(&pit, 0));
}

static void
byte_access(void **state)
{
	(void)state;
	i8254_write(&pit, 3, 0x14); /* low byte only, mode 2 */
	i8254_write(&pit, 0, 10);
	to_tick(1004);
	assert_int_equal(i8254_read(&pit, 0), 7);
	assert_int_equal(i8254_read(&pit, 0), 7);
	i8254_write(&pit, 3, 0x24); /* high byte only */
	i8254_write(&pit, 0, 2);
	to_tick(1005);
	assert_int_equal(i8254_read(&pit, 0), 2);
	to_tick(1006);
	assert_int_equal(i8254_read(&pit, 0), 1);
	i8254_write(&pit, 3, 0x00); /* latched: one byte */
	to_tick(1300);
	assert_int_equal(i8254_read(&pit, 0), 1);
	assert_int_equal(i8254_read(&pit, 0), 0);
}

static void
latch_holds(void **state)
{
	(void)state;
	program(0, 2, 1000);
	to_tick(1001);
	i8254_write(&pit, 3, 0x00);
	to_tick(1500);
	i8254_write(&pit, 3, 0x00); /* ignored: the first was not read */
	assert_int_equal(i8254_read(&pit, 0), 1000 & 0xff);
	assert_int_equal(i8254_read(&pit, 0), 1000 >> 8);
	to_tick(1501);
	assert_int_equal(i8254_read(&pit, 0), 500 & 0xff);
	assert_int_equal(i8254_read(&pit, 0), 500 >> 8);
}

static void
read_back(void **state)
{
	(void)state;
	program(0, 2, 100);
	i8254_write(&pit, 3, 0x74); /* counter 1: both, mode 2 */
	to_tick(1011);
	/* Status and count of 0 and 1; of 2 nothing. */
	i8254_write(&pit, 3, 0xc6);
	to_tick(1050);
	assert_int_equal(i8254_read(&pit, 0), 0xb4); /* OUT, both bytes, mode 2 */
	assert_int_equal(i8254_read(&pit, 0), 90);
	assert_int_equal(i8254_read(&pit, 0), 0);
	assert_int_equal(i8254_read(&pit, 1), 0xf4); /* null count: none was written */
	assert_false(pit.s.counter[2].status_latched);
	assert_int_equal(i8254_read(&pit, 3), 0xff);
	/* Null count lasts until the next CLK. */
	program(0, 2, 100);
	assert_int_equal(status_of(0), 0xf4);
	to_tick(1051);
	assert_int_equal(status_of(0), 0xb4);
	program(0, 0, 100);
	to_tick(1060);
	assert_int_equal(status_of(0), 0x30);
}

static void
irq0_rate(void **state)
{
	(void)state;
	program(0, 3, 0);
	irq0.rises = 0;
	to_tick(1001 + 65536 * 18 - 1);
	assert_int_equal(irq0.rises, 17);
	to_tick(1001 + 65536 * 18);
	assert_int_equal(irq0.rises, 18);
	/* No drift: an hour has 65543 whole periods. */
	irq0.rises = 0;
	fake_clock_run(&fake, 3600 * NS_PER_SEC);
	assert_in_range(irq0.rises, 65543, 65544);
}

static void
irq0_after_a_jump(void **state)
{
	(void)state;
	program(0, 2, 1193);
	fake_clock_run(&fake, 10000000);
	irq0.rises = 0;
	fake_clock_jump(&fake, fake.now + 3600 * NS_PER_SEC);
	assert_int_equal(irq0.rises, 1);
	/* And on the old grid from there. */
	assert_true(clock_next(&fake.clock) > fake.now);
	assert_true(clock_next(&fake.clock) < fake.now + 1001000);
	fake_clock_run(&fake, 10000000);
	assert_in_range(irq0.rises, 10, 12);
}

static void
irq0_is_bounded(void **state)
{
	(void)state;
	/* The fastest that can be programmed does not keep the host busy. */
	for (unsigned mode = 2; mode <= 3; mode++) {
		for (unsigned count = 1; count <= 2; count++) {
			program(0, mode, count);
			irq0.rises = 0;
			fake_clock_run(&fake, 1000000);
			assert_in_range(irq0.rises, 50, 101);
		}
	}
}

static void
irq0_one_shot_once(void **state)
{
	(void)state;
	program(0, 0, 1000);
	fake_clock_run(&fake, NS_PER_SEC);
	assert_int_equal(irq0.rises, 1);
	assert_true(clock_next(&fake.clock) == CLOCK_NEVER);
	program(0, 2, 1000);
	i8254_write(&pit, 3, 0x34); /* a control word stops it */
	assert_true(clock_next(&fake.clock) == CLOCK_NEVER);
}

static void
other_counters_leave_irq0(void **state)
{
	(void)state;
	i8254_set_gate(&pit, 2, true);
	program(1, 2, 18);
	program(2, 3, 100);
	fake_clock_run(&fake, NS_PER_SEC);
	assert_int_equal(irq0.rises, 0);
}

static void
speaker_port(void **state)
{
	struct port61 port;
	unsigned toggles = 0;
	uint32_t last, value;

	(void)state;
	port61_init(&port, &fake.clock, &pit);
	program(2, 0, 100);
	assert_int_equal(port61_ports.read(&port, 0, 1) & 0x2f, 0x00);
	to_tick(2000);
	assert_int_equal(port61_ports.read(&port, 0, 1) & 0x20, 0); /* no gate, no count */
	port61_ports.write(&port, 0, 1, 0xf1);
	assert_int_equal(port61_ports.read(&port, 0, 1) & 0xef, 0x01);
	to_tick(2099);
	assert_int_equal(port61_ports.read(&port, 0, 1) & 0x20, 0);
	to_tick(2100);
	assert_int_equal(port61_ports.read(&port, 0, 1) & 0xef, 0x21);
	/* The refresh bit changes 66 times in a millisecond. */
	last = port61_ports.read(&port, 0, 1);
	for (unsigned i = 0; i < 1000; i++) {
		fake_clock_run(&fake, 1000);
		value = port61_ports.read(&port, 0, 1);
		toggles += ((value ^ last) & PORT61_REFRESH) != 0;
		last = value;
	}
	assert_in_range(toggles, 66, 67);
	port61_reset(&port);
	assert_false(pit.s.counter[2].gate);
}

static void
state_is_kept(void **state)
{
	struct section section = i8254_section(&pit);
	struct i8254_state saved;

	(void)state;
	assert_string_equal(section.id, "i8254");
	program(0, 2, 1000);
	to_tick(1501);
	memcpy(&saved, section.data, section.size);
	i8254_reset(&pit);
	assert_true(clock_next(&fake.clock) == CLOCK_NEVER);
	assert_false(irq0.level);
	memcpy(section.data, &saved, section.size);
	assert_int_equal(section.restored(section.owner), 0);
	assert_int_equal(latched(0), 500);
	irq0.rises = 0;
	to_tick(2000);
	assert_int_equal(irq0.rises, 0);
	to_tick(2001);
	assert_int_equal(irq0.rises, 1);
}

static void
any_state_is_safe(void **state)
{
	struct section section = i8254_section(&pit);
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		uint8_t *bytes = section.data;

		for (unsigned i = 0; i < section.size; i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(round % 3 == 0 ? 0xff : seed >> 24);
			if (round % 3 == 1)
				bytes[i] &= 3;
		}
		section.restored(section.owner);
		for (unsigned n = 0; n < 3; n++) {
			i8254_read(&pit, n);
			latched(n);
			status_of(n);
			i8254_out(&pit, n);
			i8254_set_gate(&pit, n, round & 1);
			i8254_write(&pit, n, (uint8_t)round);
		}
		fake_clock_run(&fake, 100000);
	}
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
	    CASE(mode0_interrupt_on_terminal_count),
	    CASE(mode0_gate_suspends),
	    CASE(mode1_one_shot),
	    CASE(mode2_rate_generator),
	    CASE(mode2_new_count_waits),
	    CASE(mode2_gate),
	    CASE(mode3_square_wave),
	    CASE(mode3_counts_by_two),
	    CASE(mode3_new_count_at_half),
	    CASE(mode4_software_strobe),
	    CASE(mode5_hardware_strobe),
	    CASE(modes_6_and_7),
	    CASE(zero_is_the_largest),
	    CASE(bcd),
	    CASE(byte_access),
	    CASE(latch_holds),
	    CASE(read_back),
	    CASE(irq0_rate),
	    CASE(irq0_after_a_jump),
	    CASE(irq0_is_bounded),
	    CASE(irq0_one_shot_once),
	    CASE(other_counters_leave_irq0),
	    CASE(speaker_port),
	    CASE(state_is_kept),
	    CASE(any_state_is_safe),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
