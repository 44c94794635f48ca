/* Guest time and timers: a short sorted list, since a PC has a handful of them. */
#include "bus/clock.h"

#include <stddef.h>
#include <time.h>

void
clock_init(struct clock *clock, uint64_t (*source)(void *opaque), void *opaque)
{
	*clock = (struct clock){.source = source, .opaque = opaque};
}

uint64_t
clock_now(const struct clock *clock)
{
	return (clock->source(clock->opaque));
}

uint64_t
clock_next(const struct clock *clock)
{
	return (clock->timers != NULL ? clock->timers->deadline : CLOCK_NEVER);
}

bool
clock_fire(struct clock *clock, uint64_t now)
{
	struct timer *due = clock->timers, *last = NULL;

	/* Take all due ones off first: one that re-arms itself in the past waits for the next call. */
	while (clock->timers != NULL && clock->timers->deadline <= now) {
		last = clock->timers;
		clock->timers = last->next;
	}
	if (last == NULL)
		return (false);
	last->next = NULL;
	while (due != NULL) {
		struct timer *timer = due;
		uint64_t deadline = timer->deadline;

		due = timer->next;
		timer->next = NULL;
		timer->deadline = CLOCK_NEVER;
		timer->fire(timer->opaque, deadline);
	}
	return (true);
}

void
timer_init(struct timer *timer, void (*fire)(void *opaque, uint64_t deadline), void *opaque)
{
	*timer = (struct timer){.deadline = CLOCK_NEVER, .fire = fire, .opaque = opaque};
}

void
timer_cancel(struct clock *clock, struct timer *timer)
{
	for (struct timer **link = &clock->timers; *link != NULL; link = &(*link)->next) {
		if (*link == timer) {
			*link = timer->next;
			break;
		}
	}
	timer->next = NULL;
	timer->deadline = CLOCK_NEVER;
}

void
timer_arm(struct clock *clock, struct timer *timer, uint64_t deadline)
{
	struct timer **link;

	timer_cancel(clock, timer);
	if (deadline == CLOCK_NEVER)
		return;
	for (link = &clock->timers; *link != NULL && (*link)->deadline <= deadline;)
		link = &(*link)->next;
	timer->deadline = deadline;
	timer->next = *link;
	*link = timer;
	if (clock->timers == timer && clock->sooner != NULL)
		clock->sooner(clock->sooner_opaque, deadline);
}

uint64_t
mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	return ((uint64_t)((unsigned __int128)a * b / c));
}

uint64_t
host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec);
}
