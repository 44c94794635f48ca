/* The state file: what is written is read back, and nothing damaged is taken. */
#include "vm_fixture.h"

#include <errno.h>

#include "vmm/statefile.h"

struct data {
	uint32_t number;
	char text[20];
};

static struct data first = {0x12345678, "first"};
static struct data second = {7, "second"};

static const struct section sections[] = {
    {.id = "first", .version = 3, .size = sizeof(first), .data = &first},
    {.id = "sixteen-letters.", .version = 1, .size = sizeof(second), .data = &second},
    {.id = "empty", .version = 1, .size = 0, .data = &first},
};

#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

/* SIZE bytes copied, as statefile_parse takes them over. */
static uint8_t *
copy_of(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size + 1);

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	return (copy);
}

static void
crc_is_the_usual_one(void **unused)
{
	(void)unused;
	assert_int_equal(crc32_update(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32_update(crc32_update(0, "1234", 4), "56789", 5), 0xcbf43926);
}

static void
sections_come_back(void **unused)
{
	struct data out = {0};
	struct section wanted = {.id = "first", .version = 3, .size = sizeof(out), .data = &out};
	struct statefile file;
	struct vmm_error err;
	size_t size;
	uint8_t *bytes = statefile_build(sections, SECTIONS, STATEFILE_RUNNING, &size);

	(void)unused;
	assert_int_equal(statefile_parse(&file, bytes, size, &err), 0);
	assert_int_equal(file.count, SECTIONS);
	assert_int_equal(file.flags, STATEFILE_RUNNING);
	assert_non_null(statefile_find(&file, "sixteen-letters."));
	assert_null(statefile_find(&file, "sixteen"));
	assert_int_equal(statefile_restore(&file, &wanted, &err), 1);
	assert_memory_equal(&out, &first, sizeof(out));
	statefile_free(&file);
}

static int
refuse(void *owner)
{
	(void)owner;
	return (-1);
}

static void
sections_that_do_not_fit_are_refused(void **unused)
{
	struct data out = {0};
	struct section wanted = {.id = "first", .version = 4, .size = sizeof(out), .data = &out};
	struct statefile file;
	struct vmm_error err;
	size_t size;
	uint8_t *bytes = statefile_build(sections, SECTIONS, 0, &size);

	(void)unused;
	assert_int_equal(statefile_parse(&file, bytes, size, &err), 0);
	assert_int_equal(statefile_restore(&file, &wanted, &err), -1);
	assert_non_null(strstr(err.text, "section first is of version 3"));
	wanted.version = 3;
	wanted.size = 4;
	assert_int_equal(statefile_restore(&file, &wanted, &err), -1);
	assert_non_null(strstr(err.text, "bytes"));
	wanted.size = sizeof(out);
	wanted.restored = refuse;
	assert_int_equal(statefile_restore(&file, &wanted, &err), -1);
	assert_non_null(strstr(err.text, "makes no sense"));
	snprintf(wanted.id, sizeof(wanted.id), "other");
	assert_int_equal(statefile_restore(&file, &wanted, &err), 0);
	statefile_free(&file);
}

static void
every_cut_is_refused(void **unused)
{
	struct statefile file;
	struct vmm_error err;
	size_t size;
	uint8_t *bytes = statefile_build(sections, SECTIONS, 0, &size);

	(void)unused;
	for (size_t cut = 0; cut < size; cut++) {
		assert_int_equal(statefile_parse(&file, copy_of(bytes, cut), cut, &err), -1);
		assert_int_equal(err.error, EBADMSG);
		assert_non_null(strstr(err.text, "cut"));
	}
	free(bytes);
}

static void
every_flipped_bit_is_refused(void **unused)
{
	struct statefile file;
	struct vmm_error err;
	size_t size;
	uint8_t *bytes = statefile_build(sections, SECTIONS, 0, &size);

	(void)unused;
	for (size_t bit = 0; bit < 8 * size; bit++) {
		uint8_t *bad = copy_of(bytes, size);

		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(statefile_parse(&file, bad, size, &err), -1);
		assert_int_equal(err.error, EBADMSG);
	}
	free(bytes);
}

static void
bytes_behind_the_end_are_refused(void **unused)
{
	struct statefile file;
	struct vmm_error err;
	size_t size;
	uint8_t *bytes = statefile_build(sections, SECTIONS, 0, &size);
	uint8_t *longer = copy_of(bytes, size);

	(void)unused;
	longer[size] = 0;
	assert_int_equal(statefile_parse(&file, longer, size + 1, &err), -1);
	assert_non_null(strstr(err.text, "too long"));
	free(bytes);
}

static void
another_version_says_so(void **unused)
{
	struct statefile file;
	struct vmm_error err;
	size_t size;
	uint8_t *bytes = statefile_build(sections, SECTIONS, 0, &size);

	(void)unused;
	bytes[8] = 9;
	assert_int_equal(statefile_parse(&file, bytes, size, &err), -1);
	assert_string_equal(err.text, "it is of version 9, this program reads version 1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(crc_is_the_usual_one),
	    cmocka_unit_test(sections_come_back),
	    cmocka_unit_test(sections_that_do_not_fit_are_refused),
	    cmocka_unit_test(every_cut_is_refused),
	    cmocka_unit_test(every_flipped_bit_is_refused),
	    cmocka_unit_test(bytes_behind_the_end_are_refused),
	    cmocka_unit_test(another_version_says_so),
	};

	return (cmocka_run_group_tests(tests, folder_setup, folder_teardown));
}
