/* Guest time and timers: order, re-arming, what a running CPU is told. */
#include "unit.h"

#include <string.h>

#include "fake.h"

static struct fake_clock fake;
static struct timer timers[4];
static char fired[64];
static uint64_t told;

static void
note(void *opaque, uint64_t deadline)
{
	size_t len = strlen(fired);

	(void)deadline;
	fired[len] = (char)('a' + ((struct timer *)opaque - timers));
}

static void
again(void *opaque, uint64_t deadline)
{
	note(opaque, deadline);
	timer_arm(&fake.clock, opaque, deadline + 10);
}

static void
tell(void *opaque, uint64_t deadline)
{
	(void)opaque;
	told = deadline;
}

static int
setup(void **state)
{
	(void)state;
	fake_clock_init(&fake);
	for (size_t i = 0; i < COUNT(timers); i++)
		timer_init(&timers[i], note, &timers[i]);
	memset(fired, 0, sizeof(fired));
	told = 0;
	return (0);
}

static void
fires_in_order(void **state)
{
	(void)state;
	assert_true(clock_next(&fake.clock) == CLOCK_NEVER);
	timer_arm(&fake.clock, &timers[0], 300);
	timer_arm(&fake.clock, &timers[1], 100);
	timer_arm(&fake.clock, &timers[2], 200);
	timer_arm(&fake.clock, &timers[3], 200); /* the same time: first armed, first fired */
	assert_int_equal(clock_next(&fake.clock), 100);
	assert_false(clock_fire(&fake.clock, 99));
	assert_true(clock_fire(&fake.clock, 250));
	assert_string_equal(fired, "bcd");
	assert_int_equal(clock_next(&fake.clock), 300);
	assert_true(timers[1].deadline == CLOCK_NEVER);
}

static void
rearm_and_cancel(void **state)
{
	(void)state;
	timer_arm(&fake.clock, &timers[0], 100);
	timer_arm(&fake.clock, &timers[1], 200);
	timer_arm(&fake.clock, &timers[0], 300);
	assert_int_equal(clock_next(&fake.clock), 200);
	timer_cancel(&fake.clock, &timers[1]);
	assert_int_equal(clock_next(&fake.clock), 300);
	timer_cancel(&fake.clock, &timers[1]); /* not armed: nothing happens */
	timer_arm(&fake.clock, &timers[0], CLOCK_NEVER);
	assert_true(clock_next(&fake.clock) == CLOCK_NEVER);
	assert_false(clock_fire(&fake.clock, 1000));
	assert_string_equal(fired, "");
}

static void
rearm_in_the_past(void **state)
{
	(void)state;
	timer_init(&timers[0], again, &timers[0]);
	timer_arm(&fake.clock, &timers[0], 100);
	/* Far too late: each call fires it once, there is no storm inside one call. */
	assert_true(clock_fire(&fake.clock, 1000));
	assert_string_equal(fired, "a");
	assert_int_equal(clock_next(&fake.clock), 110);
	assert_true(clock_fire(&fake.clock, 1000));
	assert_string_equal(fired, "aa");
}

static void
running_cpu_is_told(void **state)
{
	(void)state;
	fake.clock.sooner = tell;
	timer_arm(&fake.clock, &timers[0], 500);
	assert_int_equal(told, 500);
	timer_arm(&fake.clock, &timers[1], 600);
	assert_int_equal(told, 500);
	timer_arm(&fake.clock, &timers[2], 400);
	assert_int_equal(told, 400);
}

static void
reads_its_source(void **state)
{
	(void)state;
	fake.now = 12345;
	assert_int_equal(clock_now(&fake.clock), 12345);
}

static void
multiply_and_divide(void **state)
{
	(void)state;
	assert_int_equal(mul_div(7, 3, 2), 10);
	/* A year of ns in ticks of the 8254: the product needs 75 bits. */
	assert_int_equal(
	    mul_div(31536000ull * NS_PER_SEC, 1193182, NS_PER_SEC), 31536000ull * 1193182);
	assert_true(mul_div(UINT64_MAX, UINT64_MAX, UINT64_MAX) == UINT64_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(fires_in_order, setup),
	    cmocka_unit_test_setup(rearm_and_cancel, setup),
	    cmocka_unit_test_setup(rearm_in_the_past, setup),
	    cmocka_unit_test_setup(running_cpu_is_told, setup),
	    cmocka_unit_test_setup(reads_its_source, setup),
	    cmocka_unit_test_setup(multiply_and_divide, setup),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
