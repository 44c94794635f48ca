/*
 * Stand-ins for what surrounds a chip: a clock that moves only when told to, and a wire that
 * remembers what was driven on it.
 */
#ifndef FAKE_H
#define FAKE_H

#include "bus/clock.h"
#include "bus/line.h"

struct fake_clock {
	struct clock clock;
	uint64_t now;
};

static inline uint64_t
fake_clock_source(void *opaque)
{
	return (((struct fake_clock *)opaque)->now);
}

static inline void
fake_clock_init(struct fake_clock *fake)
{
	fake->now = 0;
	clock_init(&fake->clock, fake_clock_source, fake);
}

/* Go to guest time THEN, stopping at each deadline on the way as a machine would. */
static inline void
fake_clock_to(struct fake_clock *fake, uint64_t then)
{
	while (clock_next(&fake->clock) <= then) {
		if (clock_next(&fake->clock) > fake->now)
			fake->now = clock_next(&fake->clock);
		clock_fire(&fake->clock, fake->now);
	}
	fake->now = then;
}

static inline void
fake_clock_run(struct fake_clock *fake, uint64_t ns)
{
	fake_clock_to(fake, fake->now + ns);
}

/* Go to THEN at once, and fire what is due there, as after the host was suspended. */
static inline void
fake_clock_jump(struct fake_clock *fake, uint64_t then)
{
	fake->now = then;
	clock_fire(&fake->clock, then);
}

struct fake_line {
	bool level;
	unsigned rises, falls;
};

static inline void
fake_line_set(void *opaque, int number, bool level)
{
	struct fake_line *fake = opaque;

	(void)number;
	if (level && !fake->level)
		fake->rises++;
	if (!level && fake->level)
		fake->falls++;
	fake->level = level;
}

static inline struct line
fake_line_connect(struct fake_line *fake)
{
	*fake = (struct fake_line){.level = false};
	return ((struct line){.set = fake_line_set, .opaque = fake});
}

#endif
