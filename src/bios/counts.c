/* Calls by service: a small hash table, which a guest can fill but not overflow. */
#include "bios/counts.h"

#include <stdio.h>
#include <stdlib.h>

#include "bios/services.h"

static bool
is_same(const struct bios_count *a, const struct bios_count *b)
{
	return (a->vector == b->vector && a->function == b->function && a->whole == b->whole &&
	    a->plain == b->plain && a->unknown == b->unknown);
}

void
bios_counts_add(struct bios_counts *counts, const struct bios_count *service)
{
	unsigned hash = service->vector * 31u + service->function * 7u;

	for (unsigned i = 0; i < BIOS_COUNTS; i++) {
		struct bios_count *count = &counts->count[(hash + i) % BIOS_COUNTS];

		if (count->calls == 0) {
			*count = *service;
			count->calls = 1;
			return;
		}
		if (is_same(count, service)) {
			count->calls++;
			return;
		}
	}
	counts->others++;
}

/* The service's name in the table; NULL: nobody has heard of it. */
static const char *
service_name(const struct bios_count *count)
{
	const struct bios_interrupt *in = bios_interrupt_of(count->vector);

	if (in == NULL || in->services == NULL)
		return (in != NULL ? in->name : NULL);
	for (const struct bios_service *sv = in->services; sv->name != NULL; sv++)
		if (sv->function == count->function && sv->whole == (count->whole != 0))
			return (sv->name);
	return (NULL);
}

void
bios_count_name(const struct bios_count *count, char *buf, size_t size)
{
	const char *name = service_name(count);
	char function[16] = "";

	if (!count->plain)
		snprintf(function, sizeof(function), count->whole ? " ax=%04xh" : " ah=%02xh",
		    (unsigned)count->function);
	snprintf(buf, size, "int %02xh%s%s%s%s", (unsigned)count->vector, function,
	    name != NULL ? " " : "", name != NULL ? name : "",
	    count->unknown ? " (not served)" : "");
}

/* A function in AX stands behind all others of its AH. */
static unsigned
order_of(const struct bios_count *count)
{
	unsigned function = count->whole ? count->function : (unsigned)count->function << 8;

	return ((unsigned)count->vector << 16 | function);
}

static int
compare(const void *a, const void *b)
{
	unsigned first = order_of(*(const struct bios_count *const *)a);
	unsigned second = order_of(*(const struct bios_count *const *)b);

	return ((first > second) - (first < second));
}

unsigned
bios_counts_sorted(const struct bios_counts *counts, const struct bios_count **out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BIOS_COUNTS; i++)
		if (counts->count[i].calls != 0)
			out[n++] = &counts->count[i];
	qsort(out, n, sizeof(*out), compare);
	return (n);
}
