/* The trace of BIOS calls: a line when a call is done, with what it was called with. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/trace_parts.h"

#define NAMES 256
#define SHOWN_NS 1000000u /* a call that takes less guest time does not wait */

struct trace_count {
	struct bios_count service;
	uint64_t calls, errors;
};

struct trace_counts {
	unsigned n;
	struct trace_count count[NAMES];
};

int
tracer_bios_init(struct tracer *t)
{
	const struct trace_select *select = &t->select[TRACE_BIOS];

	if (select->count)
		t->counts = calloc(1, sizeof(*t->counts));
	if (select->fold)
		t->fold = tracer_fold_new();
	return ((select->count && t->counts == NULL) || (select->fold && t->fold == NULL) ? -1 : 0);
}

static bool
selected(const struct tracer *t, const struct bios_event *e)
{
	const struct trace_select *select = &t->select[TRACE_BIOS];
	unsigned ah = (unsigned)(e->state->gpr.reg[GPR_RAX] >> 8) & 0xff;

	for (unsigned i = 0; i < select->nfilters; i++) {
		const struct trace_filter *f = &select->filter[i];

		if (e->vector >= f->first && e->vector <= f->last &&
		    (f->function < 0 || f->function == (int)ah))
			return (true);
	}
	return (select->nfilters == 0);
}

/* The call that E is about, NULL when it has not begun. */
static struct trace_call *
open_call(struct tracer *t, const struct bios_event *e)
{
	for (unsigned i = 0; i < TRACE_PENDING; i++)
		if (t->call[i].open && t->call[i].vector == e->vector &&
		    t->call[i].flags_at == e->flags_at)
			return (&t->call[i]);
	return (NULL);
}

/* A place for a call: a free one, or that of the call which began first. */
static struct trace_call *
new_call(struct tracer *t)
{
	struct trace_call *oldest = &t->call[0];

	for (unsigned i = 0; i < TRACE_PENDING; i++) {
		if (!t->call[i].open)
			return (&t->call[i]);
		if (t->call[i].began < oldest->began)
			oldest = &t->call[i];
	}
	return (oldest);
}

void
tracer_bios_call(void *opaque, const struct bios_event *e)
{
	struct tracer *t = opaque;
	struct trace_call *call;
	struct trace_text text;

	if (open_call(t, e) != NULL || !selected(t, e))
		return;
	call = new_call(t);
	call->open = true;
	call->vector = e->vector;
	call->flags_at = e->flags_at;
	call->began = clock_now(&t->m->clock);
	call->drive = (uint8_t)e->state->gpr.reg[GPR_RDX];
	call->args[0] = '\0';
	text = (struct trace_text){call->args, sizeof(call->args)};
	if (t->counts == NULL)
		tracer_decode_call(&text, e, t->m->mem);
}

static void
count_call(struct tracer *t, const struct bios_event *e, bool failed)
{
	struct trace_counts *counts = t->counts;
	unsigned i;

	for (i = 0; i < counts->n; i++)
		if (memcmp(&counts->count[i].service, e->counted, sizeof(*e->counted)) == 0)
			break;
	if (i == NAMES)
		return;
	if (i == counts->n)
		counts->count[counts->n++].service = *e->counted;
	counts->count[i].calls++;
	counts->count[i].errors += failed;
}

void
tracer_bios_done(void *opaque, const struct bios_event *e, enum bios_result result)
{
	struct tracer *t = opaque;
	struct trace_call *call = open_call(t, e);
	struct trace_text text;
	char line[2 * TRACE_TEXT];
	uint64_t spent;
	bool failed;

	if (call == NULL || result == BIOS_WAIT)
		return;
	call->open = false;
	text = (struct trace_text){line, sizeof(line)};
	tracer_put(&text, "%s", call->args);
	failed = tracer_decode_result(&text, e, t->m->mem, result);
	if (t->counts != NULL) {
		count_call(t, e, failed);
		return;
	}
	spent = clock_now(&t->m->clock) - call->began;
	if (spent >= SHOWN_NS)
		tracer_put(&text, " <%" PRIu64 ".%06" PRIu64 " s>", spent / 1000000000,
		    spent / 1000 % 1000000);
	if (t->fold != NULL)
		tracer_fold_call(t, e, call, line);
	else
		tracer_line(t, call->began, line);
}

static int
more_calls(const void *a, const void *b)
{
	const struct trace_count *x = a, *y = b;

	if (x->calls != y->calls)
		return (x->calls < y->calls ? 1 : -1);
	return (memcmp(&x->service, &y->service, sizeof(x->service)));
}

static void
print_counts(struct tracer *t)
{
	struct trace_counts *counts = t->counts;
	uint64_t calls = 0, errors = 0;
	char name[80];

	qsort(counts->count, counts->n, sizeof(counts->count[0]), more_calls);
	fprintf(t->out, "%10s %8s  service\n", "calls", "errors");
	for (unsigned i = 0; i < counts->n; i++) {
		const struct trace_count *c = &counts->count[i];

		bios_count_name(&c->service, name, sizeof(name));
		fprintf(t->out, "%10" PRIu64 " %8" PRIu64 "  %s\n", c->calls, c->errors, name);
		calls += c->calls;
		errors += c->errors;
	}
	fprintf(t->out, "%10" PRIu64 " %8" PRIu64 "  in all\n", calls, errors);
}

void
tracer_bios_end(struct tracer *t)
{
	char line[TRACE_TEXT + 32];

	if (t->fold != NULL)
		tracer_fold_end(t);
	for (unsigned i = 0; i < TRACE_PENDING; i++) {
		if (!t->call[i].open || t->counts != NULL)
			continue;
		snprintf(line, sizeof(line), "%s <unfinished: it waits>", t->call[i].args);
		tracer_line(t, t->call[i].began, line);
	}
	if (t->counts != NULL)
		print_counts(t);
	free(t->counts);
	free(t->fold);
}
