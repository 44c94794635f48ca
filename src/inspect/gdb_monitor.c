/* See gdb_monitor.h. */
#include "inspect/gdb_monitor.h"

#include <inttypes.h>
#include <string.h>

#include "inspect/explain.h"
#include "inspect/walk.h"

#define RANGES_MAX 4096 /* of "monitor info mem" */

static void
monitor_registers(FILE *out, const struct subject *s)
{
	const struct vcpu_sregs *sr = &s->state.sregs;

	explain_where(out, s);
	fprintf(out, "\n");
	explain_instruction(out, s);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		fprintf(out, "%s %04x base %" PRIx64 " limit %x access %x\n", segment_names[i],
		    sr->seg[i].selector, sr->seg[i].base, sr->seg[i].limit, sr->seg[i].access);
	fprintf(out,
	    "gdtr %" PRIx64 "/%x idtr %" PRIx64 "/%x cr0 %" PRIx64 " cr3 %" PRIx64 " cr4 %" PRIx64
	    " efer %" PRIx64 "\n",
	    sr->gdtr.base, sr->gdtr.limit, sr->idtr.base, sr->idtr.limit, sr->cr0, sr->cr3, sr->cr4,
	    sr->efer);
}

static void
monitor_explain(FILE *out, const struct subject *s)
{
	explain_where(out, s);
	fprintf(out, "\n");
	explain_instruction(out, s);
	explain_why(out, s);
	explain_branches(out, s, HISTORY_BRANCHES);
}

static void
monitor_bios(FILE *out, const struct subject *s)
{
	explain_bios_calls(out, s, BIOS_RECENT);
}

/* Linear addresses from START to END, and where they lead. */
struct range {
	uint64_t start, end, to;
	bool open;
};

/* Print R if there is one, and begin anew. */
static bool
end_range(FILE *out, struct range *r)
{
	bool printed = r->open;

	if (printed)
		fprintf(
		    out, "%08" PRIx64 "-%08" PRIx64 " -> %08" PRIx64 "\n", r->start, r->end, r->to);
	r->open = false;
	return (printed);
}

/* Linear ranges of the low 4 GB that are mapped, with where they lead. */
static void
monitor_memory(FILE *out, const struct subject *s)
{
	struct range r = {0};
	unsigned printed = 0;
	uint64_t pa, span;

	if (!(s->state.sregs.cr0 & CR0_PG)) {
		fprintf(out, "no paging: linear addresses are physical ones\n");
		return;
	}
	for (uint64_t lin = 0; lin < MEMORY_HIGH_BASE; lin += span) {
		bool there = walk_span(s, lin, &pa, &span);

		if (!there || pa != r.to + (lin - r.start))
			printed += end_range(out, &r);
		if (printed == RANGES_MAX) {
			fprintf(out, "and so on\n");
			return;
		}
		if (there && !r.open)
			r = (struct range){.start = lin, .to = pa, .open = true};
		r.end = lin + span - 1;
	}
	end_range(out, &r);
}

static void monitor_help(FILE *out, const struct subject *s);

static const struct {
	const char *name;
	void (*run)(FILE *out, const struct subject *s);
	const char *help;
} monitors[] = {
    {"bios", monitor_bios, "the last BIOS calls"},
    {"explain", monitor_explain, "what the next instruction does, and why, and what led here"},
    {"help", monitor_help, "this"},
    {"info mem", monitor_memory, "which linear addresses are mapped, and where to"},
    {"info registers", monitor_registers, "mode, segments and their limits, tables"},
};
#define MONITORS (sizeof(monitors) / sizeof(monitors[0]))

static void
monitor_help(FILE *out, const struct subject *s)
{
	(void)s;
	for (size_t i = 0; i < MONITORS; i++)
		fprintf(out, "monitor %-16s %s\n", monitors[i].name, monitors[i].help);
}

void
gdb_monitor(FILE *out, const struct subject *s, const char *name)
{
	for (size_t i = 0; i < MONITORS; i++) {
		if (strcmp(monitors[i].name, name) != 0)
			continue;
		monitors[i].run(out, s);
		return;
	}
	fprintf(out, "no such command; monitor help lists them\n");
}
