/* MC146818A: time and its formats, setting it, the three interrupts, CMOS. */
#include "unit.h"

#include <string.h>
#include <time.h>

#include "device/mc146818.h"
#include "fake.h"

#define MS 1000000ull

static struct fake_clock fake;
static struct mc146818 rtc;
static struct fake_line irq8;

static int
setup(void **state)
{
	(void)state;
	fake_clock_init(&fake);
	/* 1999-12-31 23:59:50, a Friday */
	fake.clock.wall_offset = 946684790;
	mc146818_init(&rtc, &fake.clock, fake_line_connect(&irq8));
	return (0);
}

static uint8_t
get(unsigned reg)
{
	mc146818_ports.write(&rtc, 0, 1, reg);
	return ((uint8_t)mc146818_ports.read(&rtc, 1, 1));
}

static void
put(unsigned reg, unsigned value)
{
	mc146818_ports.write(&rtc, 0, 1, reg);
	mc146818_ports.write(&rtc, 1, 1, value);
}

static void
assert_time(unsigned hour, unsigned minute, unsigned second)
{
	assert_int_equal(get(RTC_HOURS), hour);
	assert_int_equal(get(RTC_MINUTES), minute);
	assert_int_equal(get(RTC_SECONDS), second);
}

static void
assert_date(unsigned century, unsigned year, unsigned month, unsigned day, unsigned weekday)
{
	assert_int_equal(get(RTC_CENTURY), century);
	assert_int_equal(get(RTC_YEAR), year);
	assert_int_equal(get(RTC_MONTH), month);
	assert_int_equal(get(RTC_DAY), day);
	assert_int_equal(get(RTC_WEEKDAY), weekday);
}

static void
tells_the_time(void **state)
{
	(void)state;
	assert_time(0x23, 0x59, 0x50);
	assert_date(0x19, 0x99, 0x12, 0x31, 6);
	fake_clock_to(&fake, 9999 * MS);
	assert_time(0x23, 0x59, 0x59);
	fake_clock_to(&fake, 10000 * MS);
	assert_time(0x00, 0x00, 0x00);
	assert_date(0x20, 0x00, 0x01, 0x01, 7);
}

static void
formats(void **state)
{
	(void)state;
	put(RTC_B, 0x06); /* binary, 24 hours */
	assert_time(23, 59, 50);
	assert_date(0x19, 99, 12, 31, 6);
	put(RTC_B, 0x04); /* binary, 12 hours */
	assert_int_equal(get(RTC_HOURS), 0x80 | 11);
	put(RTC_B, 0x00);
	assert_int_equal(get(RTC_HOURS), 0x91);
	fake_clock_to(&fake, 10000 * MS);
	assert_int_equal(get(RTC_HOURS), 0x12); /* midnight */
	fake_clock_run(&fake, 12 * 3600 * NS_PER_SEC);
	assert_int_equal(get(RTC_HOURS), 0x92); /* noon */
}

static void
agrees_with_the_calendar(void **state)
{
	(void)state;
	put(RTC_B, 0x06);
	/* Odd steps through two and a half centuries, leap years and all. */
	for (time_t t = -1000000000; t < 7000000000; t += 86399 * 13) {
		struct tm tm;

		fake.clock.wall_offset = t;
		gmtime_r(&t, &tm);
		assert_time((unsigned)tm.tm_hour, (unsigned)tm.tm_min, (unsigned)tm.tm_sec);
		assert_int_equal(get(RTC_DAY), tm.tm_mday);
		assert_int_equal(get(RTC_MONTH), tm.tm_mon + 1);
		assert_int_equal(get(RTC_YEAR), tm.tm_year % 100);
		assert_int_equal(get(RTC_WEEKDAY), tm.tm_wday + 1);
	}
}

static void
set_time(unsigned century, unsigned year, unsigned month, unsigned day, unsigned hour,
    unsigned minute, unsigned second)
{
	put(RTC_B, 0x82);
	put(RTC_CENTURY, century);
	put(RTC_YEAR, year);
	put(RTC_MONTH, month);
	put(RTC_DAY, day);
	put(RTC_HOURS, hour);
	put(RTC_MINUTES, minute);
	put(RTC_SECONDS, second);
	put(RTC_B, 0x02);
}

static void
setting_the_time(void **state)
{
	(void)state;
	fake_clock_to(&fake, 300 * MS);
	put(RTC_B, 0x82);
	fake_clock_run(&fake, 60000 * MS);
	assert_time(0x23, 0x59, 0x50); /* SET: it stands still */
	assert_int_equal(get(RTC_A) & 0x80, 0);
	set_time(0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x59);
	put(RTC_WEEKDAY, 4);
	assert_time(0x23, 0x59, 0x59);
	fake_clock_run(&fake, 699 * MS); /* the divider went on meanwhile */
	assert_time(0x23, 0x59, 0x59);
	fake_clock_run(&fake, 1 * MS);
	assert_time(0, 0, 0);
	assert_date(0x20, 0x24, 0x02, 0x29, 5);
	fake_clock_run(&fake, 86400 * NS_PER_SEC);
	assert_date(0x20, 0x24, 0x03, 0x01, 6);
	/* A day of the week that is not the date's is kept as well. */
	put(RTC_WEEKDAY, 2);
	assert_date(0x20, 0x24, 0x03, 0x01, 2);
	fake_clock_run(&fake, 86400 * NS_PER_SEC);
	assert_date(0x20, 0x24, 0x03, 0x02, 3);
	put(RTC_DAY, 0x01);
	put(RTC_WEEKDAY, 6);
	/* The host's clock may be changed; the guest's distance from it stays. */
	fake.clock.wall_offset += 86400;
	assert_date(0x20, 0x24, 0x03, 0x02, 7);
}

/* The day before the first of year 0 is the last of year 9999: there are four digits. */
static void
years_begin_anew(void **state)
{
	(void)state;
	set_time(0, 0, 0x01, 0, 0x12, 0, 0);
	fake_clock_run(&fake, 1000 * MS);
	assert_int_equal(get(RTC_CENTURY), 0x99);
	assert_int_equal(get(RTC_YEAR), 0x99);
	assert_int_equal(get(RTC_MONTH), 0x12);
	assert_int_equal(get(RTC_DAY), 0x31);
}

static void
setting_one_register(void **state)
{
	(void)state;
	put(RTC_MINUTES, 0x30);
	assert_time(0x23, 0x30, 0x50);
	fake_clock_to(&fake, 10000 * MS);
	assert_time(0x23, 0x31, 0x00);
}

static void
setting_12_hour_time(void **state)
{
	(void)state;
	put(RTC_B, 0x80);
	put(RTC_HOURS, 0x92);
	put(RTC_B, 0x00);
	assert_int_equal(get(RTC_HOURS), 0x92);
	put(RTC_B, 0x02);
	assert_int_equal(get(RTC_HOURS), 0x12);
	put(RTC_B, 0x80);
	put(RTC_HOURS, 0x12);
	put(RTC_B, 0x00);
	put(RTC_B, 0x02);
	assert_int_equal(get(RTC_HOURS), 0x00);
	put(RTC_MONTH, 0x00); /* no such month: January */
	assert_int_equal(get(RTC_MONTH), 0x01);
}

static void
odd_values_do_no_harm(void **state)
{
	(void)state;
	for (unsigned value = 0; value < 256; value += 3) {
		for (unsigned reg = 0; reg <= RTC_YEAR; reg++)
			put(reg, value);
		put(RTC_CENTURY, value);
		fake_clock_run(&fake, NS_PER_SEC);
		get(RTC_HOURS);
		get(RTC_C);
	}
}

static void
divider_reset(void **state)
{
	(void)state;
	fake_clock_to(&fake, 300 * MS);
	put(RTC_A, 0x76);
	fake_clock_run(&fake, 5000 * MS);
	assert_time(0x23, 0x59, 0x50);
	put(RTC_A, 0x26);
	/* The first update comes half a second after the release. */
	fake_clock_run(&fake, 499 * MS);
	assert_time(0x23, 0x59, 0x50);
	fake_clock_run(&fake, 1 * MS);
	assert_time(0x23, 0x59, 0x51);
	fake_clock_run(&fake, 999 * MS);
	assert_time(0x23, 0x59, 0x51);
	fake_clock_run(&fake, 1 * MS);
	assert_time(0x23, 0x59, 0x52);
}

static void
update_in_progress(void **state)
{
	(void)state;
	assert_int_equal(get(RTC_A), 0x26);
	fake_clock_to(&fake, 997 * MS);
	assert_int_equal(get(RTC_A), 0x26);
	/* At least 244 us before the registers change. */
	fake_clock_to(&fake, 1000 * MS - 244000);
	assert_int_equal(get(RTC_A), 0xa6);
	fake_clock_to(&fake, 1000 * MS - 1);
	assert_int_equal(get(RTC_A), 0xa6);
	assert_time(0x23, 0x59, 0x50);
	fake_clock_to(&fake, 1000 * MS);
	assert_int_equal(get(RTC_A), 0x26);
	assert_time(0x23, 0x59, 0x51);
	put(RTC_A, 0xa5); /* UIP cannot be written */
	assert_int_equal(get(RTC_A), 0x25);
}

static void
update_interrupt(void **state)
{
	(void)state;
	assert_true(clock_next(&fake.clock) == CLOCK_NEVER);
	put(RTC_B, 0x12);
	fake_clock_to(&fake, 999 * MS);
	assert_false(irq8.level);
	fake_clock_to(&fake, 1000 * MS);
	assert_true(irq8.level);
	/* Without a reader nothing more happens, and nothing is armed. */
	assert_true(clock_next(&fake.clock) == CLOCK_NEVER);
	assert_int_equal(get(RTC_C) & 0x90, 0x90);
	assert_false(irq8.level);
	assert_int_equal(get(RTC_C), 0);
	fake_clock_to(&fake, 5500 * MS);
	assert_int_equal(irq8.rises, 2);
	/* SET clears UIE. */
	put(RTC_B, 0x92);
	assert_int_equal(get(RTC_B), 0x82);
	get(RTC_C);
	put(RTC_B, 0x02);
	fake_clock_run(&fake, 5000 * MS);
	assert_int_equal(irq8.rises, 2);
}

static void
flags_without_interrupts(void **state)
{
	(void)state;
	get(RTC_C);
	fake_clock_to(&fake, 1500 * MS);
	assert_int_equal(get(RTC_C) & 0xd0, 0x50); /* PF, UF, no IRQF */
	assert_int_equal(get(RTC_C), 0);
	assert_int_equal(irq8.rises, 0);
	/* Enabling an interrupt whose flag is up raises IRQ at once. */
	fake_clock_to(&fake, 2500 * MS);
	put(RTC_B, 0x12);
	assert_true(irq8.level);
	put(RTC_B, 0x02);
	assert_false(irq8.level);
}

static void
periodic_interrupt(void **state)
{
	unsigned count = 0;

	(void)state;
	get(RTC_C);
	put(RTC_B, 0x42); /* 1024 Hz */
	for (unsigned i = 0; i < 10000; i++) {
		fake_clock_run(&fake, 100000);
		if (irq8.level) {
			assert_int_equal(get(RTC_C) & 0xc0, 0xc0);
			count++;
		}
	}
	assert_in_range(count, 1023, 1025);
	put(RTC_A, 0x2f); /* 2 Hz */
	get(RTC_C);
	irq8.rises = 0;
	fake_clock_run(&fake, 499 * MS);
	assert_int_equal(irq8.rises, 0);
	fake_clock_run(&fake, 2 * MS);
	assert_int_equal(irq8.rises, 1);
	get(RTC_C);
	put(RTC_A, 0x20); /* none */
	fake_clock_run(&fake, 5000 * MS);
	assert_int_equal(irq8.rises, 1);
	/* Rates 1 and 2 are 256 and 128 Hz. */
	put(RTC_A, 0x21);
	fake_clock_run(&fake, 4 * MS);
	assert_int_equal(irq8.rises, 2);
}

static void
no_storm_after_a_jump(void **state)
{
	(void)state;
	put(RTC_A, 0x23); /* 8192 Hz */
	put(RTC_B, 0x72);
	fake_clock_jump(&fake, 100000 * NS_PER_SEC);
	assert_int_equal(irq8.rises, 1);
	assert_int_equal(get(RTC_C) & 0xd0, 0xd0);
	fake_clock_run(&fake, 1 * MS);
	assert_int_equal(irq8.rises, 2);
}

static void
alarm_at_a_time(void **state)
{
	(void)state;
	put(RTC_SECONDS_ALARM, 0x05);
	put(RTC_MINUTES_ALARM, 0x01);
	put(RTC_HOURS_ALARM, 0x00);
	put(RTC_B, 0x22);
	fake_clock_to(&fake, 74999 * MS);
	assert_false(irq8.level);
	fake_clock_to(&fake, 75000 * MS);
	assert_true(irq8.level);
	assert_time(0x00, 0x01, 0x05);
	assert_int_equal(get(RTC_C) & 0xa0, 0xa0);
	/* The next day again. */
	fake_clock_run(&fake, 86399 * NS_PER_SEC);
	assert_false(irq8.level);
	fake_clock_run(&fake, NS_PER_SEC);
	assert_true(irq8.level);
}

static void
alarm_dont_care(void **state)
{
	(void)state;
	put(RTC_SECONDS_ALARM, 0x30);
	put(RTC_MINUTES_ALARM, 0xc0);
	put(RTC_HOURS_ALARM, 0xff);
	put(RTC_B, 0x22);
	for (unsigned i = 0; i < 3; i++) {
		fake_clock_to(&fake, (40 + 60 * i) * NS_PER_SEC - 1);
		assert_false(irq8.level);
		fake_clock_run(&fake, 1);
		assert_true(irq8.level);
		get(RTC_C);
	}
	put(RTC_SECONDS_ALARM, 0xff);
	irq8.rises = 0;
	fake_clock_run(&fake, NS_PER_SEC);
	assert_int_equal(irq8.rises, 1);
	/* One that never comes. */
	put(RTC_SECONDS_ALARM, 0x75);
	get(RTC_C);
	assert_true(clock_next(&fake.clock) == CLOCK_NEVER);
}

static void
alarm_earlier_in_the_hour(void **state)
{
	(void)state;
	/* Passed already today: minute 59, second 40, at 23 h. */
	put(RTC_SECONDS_ALARM, 0x40);
	put(RTC_MINUTES_ALARM, 0x59);
	put(RTC_HOURS_ALARM, 0x23);
	put(RTC_B, 0x22);
	assert_int_equal(clock_next(&fake.clock), (86400 - 10) * NS_PER_SEC);
	put(RTC_MINUTES_ALARM, 0x58);
	put(RTC_SECONDS_ALARM, 0x55);
	assert_int_equal(clock_next(&fake.clock), (86400 - 55) * NS_PER_SEC);
	/* Second 0 of the minute that runs: tomorrow. */
	put(RTC_MINUTES_ALARM, 0x59);
	put(RTC_SECONDS_ALARM, 0x00);
	assert_int_equal(clock_next(&fake.clock), (86400 - 50) * NS_PER_SEC);
	put(RTC_MINUTES_ALARM, 0x58);
	put(RTC_SECONDS_ALARM, 0x55);
	/* The flag alone comes without a timer too. */
	put(RTC_B, 0x02);
	get(RTC_C);
	fake_clock_jump(&fake, (86400 - 56) * NS_PER_SEC);
	assert_int_equal(get(RTC_C) & 0x20, 0);
	fake_clock_jump(&fake, (86400 - 50) * NS_PER_SEC);
	assert_int_equal(get(RTC_C) & 0x20, 0x20);
}

static void
cmos_and_ports(void **state)
{
	(void)state;
	put(0x10, 0x40);
	put(0x7f, 0xaa);
	assert_int_equal(get(0x10), 0x40);
	assert_int_equal(get(0x7f), 0xaa);
	assert_int_equal(mc146818_ports.read(&rtc, 0, 1), 0xff);
	assert_false(mc146818_nmi_masked(&rtc));
	mc146818_ports.write(&rtc, 0, 1, 0x8f);
	assert_true(mc146818_nmi_masked(&rtc));
	mc146818_put(&rtc, 0x0f, 0x05);
	assert_int_equal(mc146818_ports.read(&rtc, 1, 1), 0x05);
	put(RTC_D, 0);
	assert_int_equal(get(RTC_D), 0x80); /* the battery is good, and it cannot be written */
	put(RTC_C, 0xff);
	assert_int_equal(get(RTC_C) & 0x80, 0);
}

static void
reset_pin(void **state)
{
	(void)state;
	put(0x10, 0x40);
	put(RTC_B, 0x72);
	fake_clock_to(&fake, 1500 * MS);
	assert_true(irq8.level);
	mc146818_reset(&rtc);
	assert_false(irq8.level);
	assert_int_equal(get(RTC_B), 0x02);
	assert_int_equal(get(0x10), 0x40);
	assert_time(0x23, 0x59, 0x51);
	assert_true(clock_next(&fake.clock) == CLOCK_NEVER);
}

static void
state_is_kept(void **state)
{
	struct section section = mc146818_section(&rtc);
	struct mc146818_state saved;

	(void)state;
	assert_string_equal(section.id, "mc146818");
	set_time(0x20, 0x24, 0x02, 0x28, 0x10, 0x20, 0x30);
	put(0x20, 0x77);
	put(RTC_B, 0x12);
	memcpy(&saved, section.data, section.size);
	mc146818_init(&rtc, &fake.clock, rtc.irq);
	memcpy(section.data, &saved, section.size);
	assert_int_equal(section.restored(section.owner), 0);
	assert_time(0x10, 0x20, 0x30);
	assert_int_equal(get(0x20), 0x77);
	fake_clock_run(&fake, 1000 * MS);
	assert_true(irq8.level);
}

static void
any_state_is_safe(void **state)
{
	struct section section = mc146818_section(&rtc);
	uint32_t seed = 7;

	(void)state;
	for (unsigned round = 0; round < 500; round++) {
		uint8_t *bytes = section.data;

		timer_cancel(&fake.clock, &rtc.timer);
		for (unsigned i = 0; i < section.size; i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(round % 3 == 0 ? 0xff : seed >> 24);
		}
		section.restored(section.owner);
		for (unsigned reg = 0; reg < 14; reg++)
			put(reg, get(reg));
		fake_clock_run(&fake, 3 * MS);
	}
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
	    CASE(tells_the_time),
	    CASE(formats),
	    CASE(agrees_with_the_calendar),
	    CASE(setting_the_time),
	    CASE(years_begin_anew),
	    CASE(setting_one_register),
	    CASE(setting_12_hour_time),
	    CASE(odd_values_do_no_harm),
	    CASE(divider_reset),
	    CASE(update_in_progress),
	    CASE(update_interrupt),
	    CASE(flags_without_interrupts),
	    CASE(periodic_interrupt),
	    CASE(no_storm_after_a_jump),
	    CASE(alarm_at_a_time),
	    CASE(alarm_dont_care),
	    CASE(alarm_earlier_in_the_hour),
	    CASE(cmos_and_ports),
	    CASE(reset_pin),
	    CASE(state_is_kept),
	    CASE(any_state_is_safe),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
