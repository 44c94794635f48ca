/* Measuring engines: what --engine auto goes by. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/measure.h"

static int
refuse(struct vcpu *vcpu)
{
	snprintf(vcpu->exit.text, sizeof(vcpu->exit.text), "not today");
	errno = ENODEV;
	return (-1);
}

static int
create_nothing(struct vcpu *vcpu)
{
	(void)vcpu;
	return (0);
}

static void
destroy_nothing(struct vcpu *vcpu)
{
	(void)vcpu;
}

/* Time is up, and nothing was done. */
static void
run_nowhere(struct vcpu *vcpu, uint64_t budget)
{
	const struct timespec slice = {.tv_nsec = 5000000};

	(void)budget;
	nanosleep(&slice, NULL);
	vcpu->exit = (struct engine_exit_info){.kind = ENGINE_CANCELED};
}

static void
run_to_an_error(struct vcpu *vcpu, uint64_t budget)
{
	(void)budget;
	vcpu->exit = (struct engine_exit_info){.kind = ENGINE_ERROR, .text = "it broke"};
}

static void
test_built_in_cpu(void **state)
{
	char why[160] = "";

	(void)state;
	/* Any machine that runs this test does a million a second. */
	assert_true(engine_measure(&engine_soft, why, sizeof(why)) > 1000000);
	assert_string_equal(why, "");
}

static void
test_engines_that_do_not_work(void **state)
{
	static const struct {
		struct engine_ops ops;
		const char *word;
	} cases[] = {
	    {{.name = "refuses", .create = refuse}, "not today"},
	    {{.name = "slow",
		 .create = create_nothing,
		 .destroy = destroy_nothing,
		 .run = run_nowhere},
		"too slow"},
	    {{.name = "broken",
		 .create = create_nothing,
		 .destroy = destroy_nothing,
		 .run = run_to_an_error},
		"it broke"},
	};
	char why[160];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		why[0] = '\0';
		assert_int_equal(engine_measure(&cases[i].ops, why, sizeof(why)), 0);
		assert_non_null(strstr(why, cases[i].word));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_built_in_cpu),
	    cmocka_unit_test(test_engines_that_do_not_work),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
