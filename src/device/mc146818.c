/* MC146818A real-time clock and CMOS; section titles are those of the data sheet. */
#include "device/mc146818.h"

#include <string.h>

#define A_UIP 0x80u
#define A_RS 0x0fu
#define A_DV_RESET 0x60u /* both bits: the divider is held in reset */
#define B_SET 0x80u
#define B_PIE 0x40u
#define B_AIE 0x20u
#define B_UIE 0x10u
#define B_SQWE 0x08u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define C_IRQF 0x80u
#define C_PF 0x40u
#define C_AF 0x20u
#define C_UF 0x10u
#define D_VRT 0x80u
#define HOUR_PM 0x80u
#define ALARM_ANY 0xc0u /* both bits: don't care */

/* "Update Cycle": UIP rises 244 us before an update that takes 1984 us. */
#define UPDATE_NS (1984000u + 244000u)
#define BASE_HZ 32768u
#define DAY 86400

struct moment {
	int second, minute, hour;
	int weekday; /* 1 = Sunday */
	int day, month;
	int year; /* all four digits */
};

/* Days since 1970-01-01 of a date of the Gregorian calendar; MONTH and DAY may be out of range. */
static int64_t
days_of_date(int64_t year, int month, int day)
{
	int64_t era, year_of_era, day_of_year;

	/* Years that begin in March put the leap day at the end. */
	month--;
	year += month / 12;
	month = month % 12 + 1;
	if (month <= 2) {
		year--;
		month += 12;
	}
	era = (year >= 0 ? year : year - 399) / 400;
	year_of_era = year - era * 400;
	day_of_year = (153 * (month - 3) + 2) / 5 + day - 1;
	return (era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	    day_of_year - 719468);
}

static void
date_of_days(int64_t days, struct moment *m)
{
	int64_t era, day_of_era, year_of_era, day_of_year, month;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = days - era * 146097;
	year_of_era =
	    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	m->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
	m->month = (int)(month < 10 ? month + 3 : month - 9);
	m->year = (int)(year_of_era + era * 400 + (m->month <= 2));
}

/* ns since the divider's last reset, modulo what guest time 0 is off a whole second. */
static uint64_t
divider(const struct mc146818 *chip, uint64_t now)
{
	return (now + chip->s.phase);
}

/* Seconds since 1970 that the clock shows at guest time NOW. */
static int64_t
seconds_at(const struct mc146818 *chip, uint64_t now)
{
	return (
	    chip->clock->wall_offset + chip->s.offset + (int64_t)(divider(chip, now) / NS_PER_SEC));
}

/* No updates: the guest sets the time, or the divider is held in reset. */
static bool
stopped(const struct mc146818 *chip)
{
	return (
	    (chip->s.cmos[RTC_B] & B_SET) != 0 || (chip->s.cmos[RTC_A] & A_DV_RESET) == A_DV_RESET);
}

static uint8_t
encode(const struct mc146818 *chip, int value)
{
	if ((chip->s.cmos[RTC_B] & B_BINARY) != 0)
		return ((uint8_t)value);
	return ((uint8_t)(value / 10 << 4 | value % 10));
}

static int
decode(const struct mc146818 *chip, uint8_t value)
{
	if ((chip->s.cmos[RTC_B] & B_BINARY) != 0)
		return (value);
	return ((value >> 4) * 10 + (value & 15));
}

static uint8_t
encode_hour(const struct mc146818 *chip, int hour)
{
	if ((chip->s.cmos[RTC_B] & B_24H) != 0)
		return (encode(chip, hour));
	return (
	    (uint8_t)(encode(chip, hour % 12 != 0 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0)));
}

static int
decode_hour(const struct mc146818 *chip, uint8_t value)
{
	if ((chip->s.cmos[RTC_B] & B_24H) != 0)
		return (decode(chip, value));
	return (decode(chip, value & 0x7f) % 12 + ((value & HOUR_PM) != 0 ? 12 : 0));
}

/* Days from year 0 to 1970, and in 10000 years, after which the four digits begin anew. */
#define DAYS_TO_1970 719528
#define DAYS_10000 3652425

static struct moment
moment_of(const struct mc146818 *chip, int64_t seconds)
{
	struct moment m;
	int64_t days = seconds / DAY;
	int64_t rest = seconds % DAY;

	if (rest < 0) {
		rest += DAY;
		days--;
	}
	days = ((days + DAYS_TO_1970) % DAYS_10000 + DAYS_10000) % DAYS_10000 - DAYS_TO_1970;
	date_of_days(days, &m);
	m.second = (int)(rest % 60);
	m.minute = (int)(rest / 60 % 60);
	m.hour = (int)(rest / 3600);
	/* 1970-01-01 was a Thursday. */
	m.weekday = (int)(((days + 4) % 7 + 7 + chip->s.weekday) % 7) + 1;
	return (m);
}

/* Bring the time registers up to date, unless they stand still. */
static void
show_time(struct mc146818 *chip, uint64_t now)
{
	uint8_t *cmos = chip->s.cmos;
	struct moment m;

	if (stopped(chip))
		return;
	m = moment_of(chip, seconds_at(chip, now));
	cmos[RTC_SECONDS] = encode(chip, m.second);
	cmos[RTC_MINUTES] = encode(chip, m.minute);
	cmos[RTC_HOURS] = encode_hour(chip, m.hour);
	cmos[RTC_WEEKDAY] = encode(chip, m.weekday);
	cmos[RTC_DAY] = encode(chip, m.day);
	cmos[RTC_MONTH] = encode(chip, m.month);
	cmos[RTC_YEAR] = encode(chip, m.year % 100);
	cmos[RTC_CENTURY] = (uint8_t)(m.year / 1000 % 10 << 4 | m.year / 100 % 10);
}

/* The clock goes on from what the time registers say. */
static void
take_time(struct mc146818 *chip, uint64_t now)
{
	const uint8_t *cmos = chip->s.cmos;
	int century = (cmos[RTC_CENTURY] >> 4) * 10 + (cmos[RTC_CENTURY] & 15);
	int weekday = decode(chip, cmos[RTC_WEEKDAY]);
	int64_t days, seconds;

	days = days_of_date(century * 100 + decode(chip, cmos[RTC_YEAR]),
	    decode(chip, cmos[RTC_MONTH]) + (cmos[RTC_MONTH] == 0), decode(chip, cmos[RTC_DAY]));
	seconds = days * DAY + decode_hour(chip, cmos[RTC_HOURS]) * 3600 +
	    decode(chip, cmos[RTC_MINUTES]) * 60 + decode(chip, cmos[RTC_SECONDS]);
	chip->s.offset = 0;
	chip->s.offset = seconds - seconds_at(chip, now);
	chip->s.weekday = 0;
	chip->s.weekday = (uint8_t)((weekday + 7 - moment_of(chip, seconds).weekday % 7) % 7);
}

/* Base clocks between periodic interrupts, "Register A", table 5; 0 = none. */
static uint64_t
periodic_clocks(const struct mc146818 *chip)
{
	unsigned rs = chip->s.cmos[RTC_A] & A_RS;

	if (rs == 0 || (chip->s.cmos[RTC_A] & A_DV_RESET) == A_DV_RESET)
		return (0);
	return (1ull << (rs < 3 ? rs + 6 : rs - 1));
}

static bool
alarm_matches(const struct mc146818 *chip, unsigned reg, int value)
{
	uint8_t alarm = chip->s.cmos[reg];

	if ((alarm & ALARM_ANY) == ALARM_ANY)
		return (true);
	return ((reg == RTC_HOURS_ALARM ? decode_hour(chip, alarm) : decode(chip, alarm)) == value);
}

/* The first second from FROM on that the alarm's seconds match; 60 if there is none. */
static int
alarm_second(const struct mc146818 *chip, int from)
{
	while (from < 60 && !alarm_matches(chip, RTC_SECONDS_ALARM, from))
		from++;
	return (from);
}

/* Seconds from the second AFTER to the next alarm, at least 1; 0 if it never comes. */
static int64_t
seconds_to_alarm(const struct mc146818 *chip, int64_t after)
{
	int64_t first = ((after + 1) % DAY + DAY) % DAY, at;
	int second;

	if (alarm_second(chip, 0) == 60)
		return (0);
	for (int step = 0; step <= 24; step++) {
		int hour = (int)(first / 3600 + step) % 24;
		int minute = step == 0 ? (int)(first / 60 % 60) : 0;

		if (!alarm_matches(chip, RTC_HOURS_ALARM, hour))
			continue;
		for (; minute < 60; minute++) {
			if (!alarm_matches(chip, RTC_MINUTES_ALARM, minute))
				continue;
			second = alarm_second(
			    chip, step == 0 && minute == first / 60 % 60 ? (int)(first % 60) : 0);
			if (second == 60)
				continue; /* none is left in this minute */
			at = hour * 3600 + minute * 60 + second;
			return ((at - first + DAY) % DAY + 1);
		}
	}
	return (0);
}

static void
drive(struct mc146818 *chip)
{
	uint8_t *cmos = chip->s.cmos;
	bool irq = (cmos[RTC_B] & cmos[RTC_C] & (C_PF | C_AF | C_UF)) != 0;

	cmos[RTC_C] = (uint8_t)((cmos[RTC_C] & ~C_IRQF) | (irq ? C_IRQF : 0));
	line_set(&chip->irq, irq);
}

/* Compute the flags of register C up to NOW. */
static void
catch_up(struct mc146818 *chip, uint64_t now)
{
	uint64_t clocks = periodic_clocks(chip), seen = divider(chip, chip->s.seen);
	int64_t old = seconds_at(chip, chip->s.seen), seconds = seconds_at(chip, now), wait;
	uint8_t flags = 0;

	if (clocks != 0 &&
	    mul_div(seen, BASE_HZ, NS_PER_SEC) / clocks !=
		mul_div(divider(chip, now), BASE_HZ, NS_PER_SEC) / clocks)
		flags |= C_PF;
	if (!stopped(chip) && seconds > old) {
		flags |= C_UF;
		wait = (chip->s.cmos[RTC_C] & C_AF) == 0 ? seconds_to_alarm(chip, old) : 0;
		if (wait != 0 && wait <= seconds - old)
			flags |= C_AF;
	}
	chip->s.seen = now;
	chip->s.cmos[RTC_C] |= flags;
	drive(chip);
}

/* The guest ns at which the divider reaches D. */
static uint64_t
divider_to_ns(const struct mc146818 *chip, uint64_t d)
{
	return (d > chip->s.phase ? d - chip->s.phase : 0);
}

/* The next guest ns at which a flag is set that is enabled to interrupt. */
static uint64_t
next_event(const struct mc146818 *chip, uint64_t now)
{
	uint64_t clocks = periodic_clocks(chip), d = divider(chip, now), at = CLOCK_NEVER, t;
	uint8_t enabled = chip->s.cmos[RTC_B];
	int64_t wait = 0;

	if ((enabled & B_PIE) != 0 && clocks != 0) {
		t = (mul_div(d, BASE_HZ, NS_PER_SEC) / clocks + 1) * clocks;
		at = divider_to_ns(chip, mul_div(t, NS_PER_SEC, BASE_HZ) + 1);
	}
	if (stopped(chip))
		return (at);
	if ((enabled & B_UIE) != 0)
		wait = 1;
	else if ((enabled & B_AIE) != 0)
		wait = seconds_to_alarm(chip, seconds_at(chip, now));
	if (wait == 0)
		return (at);
	t = divider_to_ns(chip, (d / NS_PER_SEC + (uint64_t)wait) * NS_PER_SEC);
	return (t < at ? t : at);
}

/* While IRQ is up nothing more can happen to it: no timer then. */
static void
arm(struct mc146818 *chip, uint64_t now)
{
	uint64_t at = (chip->s.cmos[RTC_C] & C_IRQF) != 0 ? CLOCK_NEVER : next_event(chip, now);

	if (at != chip->timer.deadline)
		timer_arm(chip->clock, &chip->timer, at);
}

static void
fire(void *opaque, uint64_t deadline)
{
	struct mc146818 *chip = opaque;
	uint64_t now = clock_now(chip->clock);

	(void)deadline;
	catch_up(chip, now);
	arm(chip, now);
}

static bool
is_time(unsigned reg)
{
	return (reg == RTC_CENTURY ||
	    (reg <= RTC_YEAR && reg != RTC_SECONDS_ALARM && reg != RTC_MINUTES_ALARM &&
		reg != RTC_HOURS_ALARM));
}

static void
write_a(struct mc146818 *chip, uint8_t value, uint64_t now)
{
	bool was_stopped = stopped(chip);
	bool was_reset = (chip->s.cmos[RTC_A] & A_DV_RESET) == A_DV_RESET;

	chip->s.cmos[RTC_A] = value & 0x7f;
	/* "The first update cycle begins one-half second later" than the divider's release. */
	if (was_reset && (value & A_DV_RESET) != A_DV_RESET)
		chip->s.phase = (uint32_t)((NS_PER_SEC * 3 / 2 - now % NS_PER_SEC) % NS_PER_SEC);
	if (was_stopped && !stopped(chip))
		take_time(chip, now);
}

static void
write_b(struct mc146818 *chip, uint8_t value, uint64_t now)
{
	bool was_stopped = stopped(chip);

	/* "SET ... clears UIE". */
	if ((value & B_SET) != 0)
		value &= (uint8_t)~B_UIE;
	chip->s.cmos[RTC_B] = value;
	if (was_stopped && !stopped(chip))
		take_time(chip, now);
}

void
mc146818_put(struct mc146818 *chip, unsigned reg, uint8_t value)
{
	uint64_t now = clock_now(chip->clock);

	if (reg >= MC146818_CMOS)
		return;
	if (reg > RTC_D && reg != RTC_CENTURY) {
		chip->s.cmos[reg] = value;
		return;
	}
	catch_up(chip, now);
	show_time(chip, now);
	if (reg == RTC_A) {
		write_a(chip, value, now);
	} else if (reg == RTC_B) {
		write_b(chip, value, now);
	} else if (reg != RTC_C && reg != RTC_D) {
		chip->s.cmos[reg] = value;
		if (is_time(reg) && !stopped(chip))
			take_time(chip, now);
	}
	drive(chip);
	arm(chip, now);
}

uint8_t
mc146818_get(struct mc146818 *chip, unsigned reg)
{
	uint64_t now = clock_now(chip->clock);
	uint8_t value;

	if (reg >= MC146818_CMOS)
		return (0xff);
	if (is_time(reg))
		show_time(chip, now);
	value = chip->s.cmos[reg];
	if (reg == RTC_A && !stopped(chip) &&
	    divider(chip, now) % NS_PER_SEC >= NS_PER_SEC - UPDATE_NS)
		value |= A_UIP;
	if (reg == RTC_C) {
		catch_up(chip, now);
		value = chip->s.cmos[RTC_C];
		chip->s.cmos[RTC_C] = 0;
		drive(chip);
		arm(chip, now);
	}
	return (value);
}

bool
mc146818_nmi_masked(const struct mc146818 *chip)
{
	return ((chip->s.index & 0x80) != 0);
}

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	struct mc146818 *chip = opaque;

	(void)size;
	/* The index port cannot be read. */
	return ((reg & 1) == 0 ? 0xff : mc146818_get(chip, chip->s.index & 0x7f));
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	struct mc146818 *chip = opaque;

	(void)size;
	if ((reg & 1) == 0)
		chip->s.index = (uint8_t)value;
	else
		mc146818_put(chip, chip->s.index & 0x7f, (uint8_t)value);
}

const struct port_ops mc146818_ports = {.read = port_read, .write = port_write};

void
mc146818_init(struct mc146818 *chip, struct clock *clock, struct line irq)
{
	memset(chip, 0, sizeof(*chip));
	chip->clock = clock;
	chip->irq = irq;
	timer_init(&chip->timer, fire, chip);
	chip->s.cmos[RTC_A] = 0x26; /* 32768 Hz, periodic rate 1024 Hz */
	chip->s.cmos[RTC_B] = B_24H;
	chip->s.cmos[RTC_D] = D_VRT;
	chip->s.seen = clock_now(clock);
}

void
mc146818_reset(struct mc146818 *chip)
{
	catch_up(chip, clock_now(chip->clock));
	chip->s.cmos[RTC_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
	chip->s.cmos[RTC_C] = 0;
	chip->s.index = 0;
	drive(chip);
	timer_cancel(chip->clock, &chip->timer);
}

static int
restored(void *owner)
{
	struct mc146818 *chip = owner;
	uint64_t now = clock_now(chip->clock);
	struct mc146818_state *s = &chip->s;
	const int64_t limit = 400000000000; /* more than 9999 years */

	if (s->offset < -limit || s->offset > limit)
		s->offset = 0;
	if (s->seen > now)
		s->seen = now;
	s->phase %= (uint32_t)NS_PER_SEC;
	s->weekday %= 7;
	s->cmos[RTC_A] &= 0x7f;
	s->cmos[RTC_C] &= C_PF | C_AF | C_UF;
	s->cmos[RTC_D] = D_VRT;
	catch_up(chip, now);
	arm(chip, now);
	return (0);
}

struct section
mc146818_section(struct mc146818 *chip)
{
	return ((struct section){
	    .id = "mc146818",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .restored = restored,
	    .owner = chip,
	});
}
