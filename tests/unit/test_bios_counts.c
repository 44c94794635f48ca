/* Calls counted by service. */
#include "unit.h"

#include <string.h>

#include "bios/counts.h"

static void
add(struct bios_counts *counts, uint8_t vector, uint16_t function, bool whole, unsigned times)
{
	const struct bios_count service = {.vector = vector, .function = function, .whole = whole};

	for (unsigned i = 0; i < times; i++)
		bios_counts_add(counts, &service);
}

static void
by_service_in_order(void **unused)
{
	static const struct {
		uint64_t calls;
		const char *name;
	} expected[] = {
	    {3, "int 13h ah=02h read"},
	    {1, "int 13h ah=42h extended_read"},
	    {2, "int 15h ax=e820h memory_map"},
	};
	const struct bios_count *sorted[BIOS_COUNTS];
	struct bios_counts counts = {0};
	char name[64];

	(void)unused;
	add(&counts, 0x15, 0xe820, true, 2);
	add(&counts, 0x13, 0x42, false, 1);
	add(&counts, 0x13, 0x02, false, 3);
	assert_int_equal(bios_counts_sorted(&counts, sorted), COUNT(expected));
	for (size_t i = 0; i < COUNT(expected); i++) {
		bios_count_name(sorted[i], name, sizeof(name));
		assert_string_equal(name, expected[i].name);
		assert_int_equal(sorted[i]->calls, expected[i].calls);
	}
	assert_int_equal(counts.others, 0);
}

static void
names_of_what_is_not_there(void **unused)
{
	const struct bios_count unknown = {
	    .calls = 1, .vector = 0x13, .function = 0x77, .unknown = 1};
	const struct bios_count plain = {.calls = 1, .vector = 0x12, .plain = 1};
	char name[64];

	(void)unused;
	bios_count_name(&unknown, name, sizeof(name));
	assert_string_equal(name, "int 13h ah=77h (not served)");
	bios_count_name(&plain, name, sizeof(name));
	assert_string_equal(name, "int 12h memory_size");
}

/* A guest that calls more than there is place for. */
static void
full_table(void **unused)
{
	const struct bios_count *sorted[BIOS_COUNTS];
	struct bios_counts counts = {0};
	uint64_t sum = 0;
	unsigned n;

	(void)unused;
	for (unsigned vector = 0x10; vector < 0x14; vector++)
		for (unsigned function = 0; function < 256; function++)
			add(&counts, (uint8_t)vector, (uint16_t)function, false, 2);
	n = bios_counts_sorted(&counts, sorted);
	assert_int_equal(n, BIOS_COUNTS);
	for (unsigned i = 0; i < n; i++)
		sum += sorted[i]->calls;
	assert_int_equal(sum + counts.others, 4 * 256 * 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_service_in_order),
	    cmocka_unit_test(names_of_what_is_not_there),
	    cmocka_unit_test(full_table),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
