/* 8254 programmable interval timer; section titles are those of the data sheet. */
#include "device/i8254.h"

#include <string.h>

/* No guest needs IRQ0 more often, and the host could not deliver it: 100 kHz. */
#define EDGE_SPACING_NS 10000u

#define STATUS_OUT 0x80u
#define STATUS_NULL 0x40u

/* Number of the tick at guest time 0, so that a start half a period earlier is not below 0. */
#define TICK_BASE 0x100000u

/* Ticks of CLK since power-on, from TICK_BASE on. */
static uint64_t
ticks_now(const struct i8254 *chip)
{
	return (mul_div(clock_now(chip->clock), I8254_HZ, NS_PER_SEC) + TICK_BASE);
}

/* The first ns at which TICK has been reached. */
static uint64_t
tick_to_ns(uint64_t tick)
{
	uint64_t ns;

	tick = tick > TICK_BASE ? tick - TICK_BASE : 0;
	ns = mul_div(tick, NS_PER_SEC, I8254_HZ);

	return (mul_div(ns, I8254_HZ, NS_PER_SEC) < tick ? ns + 1 : ns);
}

static bool
periodic(const struct i8254_counter *c)
{
	return (c->mode == 2 || c->mode == 3);
}

/* Modes in which only a rising GATE starts the count. */
static bool
needs_trigger(const struct i8254_counter *c)
{
	return (c->mode == 1 || c->mode == 5);
}

/* Clocks for which OUT is high in mode 3: one more than it is low when the count is odd. */
static uint32_t
high_half(uint32_t count)
{
	return ((count + 1) / 2);
}

/* Whether the counting element works on a count. */
static bool
counting(const struct i8254_counter *c)
{
	return (c->loaded && (!needs_trigger(c) || c->triggered));
}

/* Ticks since the count was loaded. */
static uint64_t
elapsed(const struct i8254_counter *c, uint64_t now)
{
	if (!c->running)
		return (c->paused);
	return (now > c->start ? now - c->start : 0);
}

/* The level of OUT after ELAPSED ticks. */
static bool
out_level(const struct i8254_counter *c, uint64_t now)
{
	uint64_t d = elapsed(c, now);

	if (!counting(c))
		return (c->mode != 0);
	switch (c->mode) {
	case 0:
	case 1:
		return (d >= c->count || (c->mode == 1 && c->running && now < c->start));
	case 2:
		return (!c->running || d % c->count != c->count - 1);
	case 3:
		return (!c->running || d % c->count < high_half(c->count));
	default: /* 4, 5: low for one clock */
		return (d != c->count);
	}
}

static uint16_t
to_bcd(uint32_t value)
{
	return ((uint16_t)(value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 |
	    value / 1000 % 10 << 12));
}

/* What the counting element holds. */
static uint16_t
element(const struct i8254_counter *c, uint64_t now)
{
	uint64_t d = elapsed(c, now), value;
	uint64_t modulus = c->bcd ? 10000 : 65536;

	if (c->mode == 3) {
		/* Counts down by two, from an even number, once for each half of the square. */
		d %= c->count;
		if (d >= high_half(c->count))
			d -= high_half(c->count);
		value = (c->count & ~1u) - 2 * d;
	} else if (c->mode == 2) {
		value = c->count - d % c->count;
	} else {
		value = c->count + modulus * 2 - d % modulus;
	}
	value %= modulus;
	return (c->bcd ? to_bcd((uint32_t)value) : (uint16_t)value);
}

/* Let a count that waited for the end of a period take effect when that has come. */
static void
settle(struct i8254_counter *c, uint64_t now)
{
	bool was_high;

	if (c->change == CLOCK_NEVER || now < c->change)
		return;
	/* Mode 3: the half that comes next starts with the new count. */
	was_high = c->mode == 3 && (c->change - c->start) % c->count == high_half(c->count);
	c->count = c->next;
	c->start = c->change - (was_high ? high_half(c->count) : 0);
	c->change = CLOCK_NEVER;
}

/* The tick of the next rising edge of OUT after NOW; CLOCK_NEVER if there is none. */
static uint64_t
next_rise(const struct i8254_counter *c, uint64_t now)
{
	uint64_t d = elapsed(c, now), end;

	if (!counting(c) || !c->running)
		return (CLOCK_NEVER);
	switch (c->mode) {
	case 0:
	case 1:
		end = c->count;
		break;
	case 2:
	case 3:
		end = now < c->start ? c->count : (d / c->count + 1) * c->count;
		break;
	default:
		end = (uint64_t)c->count + 1;
		break;
	}
	if (!periodic(c) && now >= c->start + end)
		return (CLOCK_NEVER);
	end += c->start;
	/* A count that takes effect earlier moves the edge. */
	if (c->change != CLOCK_NEVER && c->change < end)
		return (c->change + (c->next - high_half(c->next)));
	return (end);
}

static void
arm(struct i8254 *chip, uint64_t earliest)
{
	uint64_t rise = next_rise(&chip->s.counter[0], ticks_now(chip));
	uint64_t deadline;

	if (rise == CLOCK_NEVER) {
		timer_cancel(chip->clock, &chip->timer);
		return;
	}
	deadline = tick_to_ns(rise);
	timer_arm(chip->clock, &chip->timer, deadline > earliest ? deadline : earliest);
}

/* OUT0 rises: give the line a rising edge and leave it high. */
static void
fire(void *opaque, uint64_t deadline)
{
	struct i8254 *chip = opaque;
	struct i8254_counter *c = &chip->s.counter[0];

	(void)deadline;
	settle(c, ticks_now(chip));
	line_set(&chip->out0, false);
	line_set(&chip->out0, true);
	arm(chip, clock_now(chip->clock) + EDGE_SPACING_NS);
}

/* Counter N was changed by the guest: bring OUT0 and its timer up to date. */
static void
changed(struct i8254 *chip, unsigned n)
{
	const struct i8254_counter *c = &chip->s.counter[0];

	if (n != 0)
		return;
	line_set(&chip->out0, periodic(c) || out_level(c, ticks_now(chip)));
	arm(chip, 0);
}

/* (Re)start with the count written last; it is loaded with the next CLK. */
static void
load(struct i8254_counter *c, uint64_t now)
{
	c->count = c->next;
	c->start = now + 1;
	c->paused = 0;
	c->change = CLOCK_NEVER;
}

/* The tick at which a count written now takes effect: the end of the period or half period. */
static uint64_t
period_end(const struct i8254_counter *c, uint64_t now)
{
	uint64_t d = elapsed(c, now), base = d - d % c->count;

	if (now < c->start)
		return (CLOCK_NEVER);
	if (c->mode == 3 && d - base < high_half(c->count) && c->count > 1)
		return (c->start + base + high_half(c->count));
	return (c->start + base + c->count);
}

/* A whole count was written. */
static void
new_count(struct i8254_counter *c, uint32_t value, uint64_t now)
{
	bool first = !c->loaded;

	if (c->bcd)
		value = (value & 15) + (value >> 4 & 15) * 10 + (value >> 8 & 15) * 100 +
		    (value >> 12 & 15) * 1000;
	if (value == 0)
		value = c->bcd ? 10000 : 65536;
	c->next = value;
	c->loaded = 1;
	c->running = c->gate || needs_trigger(c);
	if (needs_trigger(c)) {
		/* Taken over by the next trigger; until the first one it is what is read back. */
		if (!c->triggered)
			c->count = value;
	} else if (periodic(c) && !first && c->running && now >= c->start) {
		c->change = period_end(c, now);
	} else {
		load(c, now);
	}
}

static void
write_counter(struct i8254 *chip, unsigned n, uint8_t value)
{
	struct i8254_counter *c = &chip->s.counter[n];
	uint64_t now = ticks_now(chip);

	settle(c, now);
	if (c->access == 1) {
		new_count(c, value, now);
	} else if (c->access == 2) {
		new_count(c, (uint32_t)value << 8, now);
	} else if (!c->write_high) {
		c->low = value;
		c->write_high = 1;
		/* "Writing the first byte disables counting. OUT is set low immediately." */
		if (c->mode == 0)
			c->loaded = 0;
	} else {
		c->write_high = 0;
		new_count(c, (uint32_t)value << 8 | c->low, now);
	}
	changed(chip, n);
}

static void
latch_count(struct i8254_counter *c, uint64_t now)
{
	/* "A second latch command before the count is read is ignored." */
	if (c->latched != 0)
		return;
	c->latch = element(c, now);
	c->latched = c->access == 3 ? 2 : 1;
}

/* Status byte, "Read-Back Command". */
static void
latch_status(struct i8254_counter *c, uint64_t now)
{
	bool null;

	if (c->status_latched)
		return;
	null = !c->loaded || c->change != CLOCK_NEVER ||
	    (needs_trigger(c) ? !c->triggered || c->count != c->next : now < c->start);
	c->status = (uint8_t)((unsigned)c->access << 4 | (unsigned)c->mode << 1 | c->bcd);
	if (out_level(c, now))
		c->status |= STATUS_OUT;
	if (null)
		c->status |= STATUS_NULL;
	c->status_latched = 1;
}

static void
read_back(struct i8254 *chip, uint8_t value)
{
	uint64_t now = ticks_now(chip);

	for (unsigned n = 0; n < I8254_COUNTERS; n++) {
		struct i8254_counter *c = &chip->s.counter[n];

		if ((value >> (n + 1) & 1) == 0)
			continue;
		settle(c, now);
		if ((value & 0x20) == 0)
			latch_count(c, now);
		if ((value & 0x10) == 0)
			latch_status(c, now);
	}
}

static void
write_control(struct i8254 *chip, uint8_t value)
{
	unsigned n = value >> 6;
	struct i8254_counter *c;
	uint8_t mode = value >> 1 & 7;

	if (n == 3) {
		read_back(chip, value);
		return;
	}
	c = &chip->s.counter[n];
	settle(c, ticks_now(chip));
	if ((value & 0x30) == 0) {
		latch_count(c, ticks_now(chip));
		return;
	}
	c->access = value >> 4 & 3;
	c->mode = mode > 5 ? mode - 4 : mode; /* 6 and 7 are 2 and 3 */
	c->bcd = value & 1;
	c->loaded = c->triggered = 0;
	c->write_high = c->read_high = 0;
	c->latched = c->status_latched = 0;
	c->change = CLOCK_NEVER;
	changed(chip, n);
}

void
i8254_write(struct i8254 *chip, unsigned reg, uint8_t value)
{
	if (reg < I8254_COUNTERS)
		write_counter(chip, reg, value);
	else if (reg == I8254_CONTROL)
		write_control(chip, value);
}

uint8_t
i8254_read(struct i8254 *chip, unsigned reg)
{
	struct i8254_counter *c;
	uint64_t now = ticks_now(chip);
	uint16_t value;
	bool high;

	if (reg >= I8254_COUNTERS)
		return (0xff); /* the control word cannot be read */
	c = &chip->s.counter[reg];
	settle(c, now);
	if (c->status_latched) {
		c->status_latched = 0;
		return (c->status);
	}
	value = c->latched != 0 ? c->latch : element(c, now);
	if (c->latched != 0)
		c->latched--;
	high = c->access == 2 || (c->access == 3 && c->read_high);
	if (c->access == 3)
		c->read_high ^= 1;
	return ((uint8_t)(high ? value >> 8 : value));
}

/* A rising GATE in modes 1 and 5. */
static void
trigger(struct i8254_counter *c, uint64_t now)
{
	bool low = c->mode == 1 && !out_level(c, now);

	load(c, now);
	c->triggered = 1;
	/* Retriggered: OUT stays low. */
	if (low)
		c->start = now;
}

/* "Gate Pin Operations Summary". */
void
i8254_set_gate(struct i8254 *chip, unsigned counter, bool level)
{
	struct i8254_counter *c;
	uint64_t now = ticks_now(chip);

	if (counter >= I8254_COUNTERS || chip->s.counter[counter].gate == level)
		return;
	c = &chip->s.counter[counter];
	settle(c, now);
	c->gate = level;
	if (!c->loaded)
		return;
	if (needs_trigger(c)) {
		if (level)
			trigger(c, now);
	} else if (!level) {
		c->paused = elapsed(c, now);
		c->change = CLOCK_NEVER;
		c->running = 0;
	} else if (periodic(c)) {
		c->running = 1;
		load(c, now);
	} else {
		c->running = 1;
		c->start = now - c->paused;
	}
	changed(chip, counter);
}

bool
i8254_out(const struct i8254 *chip, unsigned counter)
{
	struct i8254_counter c;
	uint64_t now = ticks_now(chip);

	if (counter >= I8254_COUNTERS)
		return (false);
	c = chip->s.counter[counter];
	settle(&c, now);
	return (out_level(&c, now));
}

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	(void)size;
	return (i8254_read(opaque, reg & 3u));
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	(void)size;
	i8254_write(opaque, reg & 3u, (uint8_t)value);
}

const struct port_ops i8254_ports = {.read = port_read, .write = port_write};

void
i8254_init(struct i8254 *chip, struct clock *clock, struct line out0)
{
	memset(chip, 0, sizeof(*chip));
	chip->clock = clock;
	chip->out0 = out0;
	timer_init(&chip->timer, fire, chip);
	i8254_reset(chip);
}

void
i8254_reset(struct i8254 *chip)
{
	timer_cancel(chip->clock, &chip->timer);
	memset(&chip->s, 0, sizeof(chip->s));
	for (unsigned n = 0; n < I8254_COUNTERS; n++) {
		struct i8254_counter *c = &chip->s.counter[n];

		c->count = c->next = 65536;
		c->change = CLOCK_NEVER;
		c->access = 3;
		c->gate = n != 2;
	}
	line_set(&chip->out0, false);
}

static void
sanitise(struct i8254_counter *c, uint64_t now)
{
	if (c->mode > 5)
		c->mode = 0;
	if (c->access < 1 || c->access > 3)
		c->access = 3;
	if (c->count < 1 || c->count > 65536)
		c->count = 65536;
	if (c->next < 1 || c->next > 65536)
		c->next = c->count;
	if (c->start > now + 65536)
		c->start = now;
	if (c->paused > now)
		c->paused = 0;
	if (c->change != CLOCK_NEVER &&
	    (!periodic(c) || c->change < c->start || c->change > now + 65536))
		c->change = CLOCK_NEVER;
	c->bcd &= 1;
	c->gate = c->gate != 0;
	c->running = c->running != 0;
	c->loaded = c->loaded != 0;
	c->triggered = c->triggered != 0;
	c->read_high &= 1;
	if (c->latched > 2)
		c->latched = 0;
}

static int
restored(void *owner)
{
	struct i8254 *chip = owner;

	for (unsigned n = 0; n < I8254_COUNTERS; n++)
		sanitise(&chip->s.counter[n], ticks_now(chip));
	changed(chip, 0);
	return (0);
}

struct section
i8254_section(struct i8254 *chip)
{
	return ((struct section){
	    .id = "i8254",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .restored = restored,
	    .owner = chip,
	});
}
