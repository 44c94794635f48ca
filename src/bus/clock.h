/*
 * Guest time and timers. The clock counts nanoseconds of guest time from 0 at power-on; where they
 * come from (the host's clock or the instruction count) is the machine's choice. Chips read it and
 * arm timers on it; the machine fires those that are due and asks for the next deadline.
 */
#ifndef BUS_CLOCK_H
#define BUS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_NEVER UINT64_MAX
#define NS_PER_SEC 1000000000ull

struct timer {
	uint64_t deadline; /* guest ns; CLOCK_NEVER when not armed */
	void (*fire)(void *opaque, uint64_t deadline);
	void *opaque;
	struct timer *next; /* in the clock's list, by deadline */
};

struct clock {
	uint64_t (*source)(void *opaque); /* guest ns now; never goes back */
	void *opaque;
	struct timer *timers; /* armed ones, earliest first */
	/* Called when the earliest deadline moved forward, so that a running CPU is told. */
	void (*sooner)(void *opaque, uint64_t deadline);
	void *sooner_opaque;
	int64_t wall_offset; /* seconds since 1970 (UTC) at guest time 0 */
};

void clock_init(struct clock *clock, uint64_t (*source)(void *opaque), void *opaque);
/* Guest time now, in ns. */
uint64_t clock_now(const struct clock *clock);
/* Earliest deadline, CLOCK_NEVER if none. */
uint64_t clock_next(const struct clock *clock);
/* Fire every timer due at guest time NOW, each once, in order; returns whether any fired. */
bool clock_fire(struct clock *clock, uint64_t now);

/* Prepare a timer that calls FIRE(OPAQUE, deadline); not armed. */
void timer_init(struct timer *timer, void (*fire)(void *opaque, uint64_t deadline), void *opaque);
/* (Re)arm for DEADLINE (guest ns; in the past = as soon as possible; CLOCK_NEVER = disarm). */
void timer_arm(struct clock *clock, struct timer *timer, uint64_t deadline);
void timer_cancel(struct clock *clock, struct timer *timer);

/* The host's clock, in ns: it never goes back, and has nothing to do with guest time. */
uint64_t host_ns(void);

/* A * B / C without overflow in between, rounded down; C must not be 0. */
uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c);

#endif
