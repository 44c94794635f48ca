/*
 * Folded traces: calls that tell one thing together become one line. A screen is painted character
 * by character, a key is asked for thousands of times, a file is read track by track.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/trace_parts.h"

#define COLUMNS 80
#define GRAPHIC '\1' /* in place of a character that is no ASCII */

enum fold_kind { FOLD_NONE, FOLD_TEXT, FOLD_POLL, FOLD_READ, FOLD_DRIVE };

/* Services that fold, and into what. */
static const struct {
	uint8_t vector;
	const char *name;
	enum fold_kind kind;
} foldable[] = {
    {0x10, "teletype", FOLD_TEXT},
    {0x10, "write_character", FOLD_TEXT},
    {0x10, "write_character_attribute", FOLD_TEXT},
    {0x10, "set_cursor", FOLD_TEXT},
    {0x10, "get_cursor", FOLD_TEXT},
    {0x10, "cursor_shape", FOLD_TEXT},
    {0x10, "read_character", FOLD_TEXT},
    {0x16, "check", FOLD_POLL},
    {0x16, "extended_check", FOLD_POLL},
    {0x16, "shift", FOLD_POLL},
    {0x16, "extended_shift", FOLD_POLL},
    {0x1a, "get_ticks", FOLD_POLL},
    {0x1a, "get_time", FOLD_POLL},
    {0x13, "read", FOLD_READ},
    {0x13, "extended_read", FOLD_READ},
    {0x13, "extensions", FOLD_DRIVE},
    {0x13, "parameters", FOLD_DRIVE},
    {0x13, "drive_parameters", FOLD_DRIVE},
    {0x13, "type", FOLD_DRIVE},
};

struct trace_fold {
	enum fold_kind kind;
	unsigned calls;
	uint64_t began, last;	   /* guest ns */
	char line[2 * TRACE_TEXT]; /* the first call's */
	/* What was painted: one row of text, or graphic characters alone on many rows. */
	char text[COLUMNS];
	unsigned columns;
	bool ink;		 /* there is a letter among them */
	int row, last_row;	 /* -1: not known */
	uint8_t drive;		 /* that is read or asked about */
	uint64_t sectors;	 /* read */
	char answer[TRACE_TEXT]; /* what is known about the drive */
};

struct trace_fold *
tracer_fold_new(void)
{
	return (calloc(1, sizeof(struct trace_fold)));
}

static uint8_t
reg8(const struct bios_event *e, enum x86_gpr reg, unsigned shift)
{
	return ((uint8_t)(e->state->gpr.reg[reg] >> shift));
}

static bool
is(const struct bios_event *e, const char *name)
{
	return (strcmp(e->name, name) == 0);
}

static bool
writes(const struct bios_event *e)
{
	return (strncmp(e->name, "write", 5) == 0 || is(e, "teletype"));
}

static enum fold_kind
kind_of(const struct tracer *t, const struct bios_event *e)
{
	uint16_t flags = memory_get16(t->m->mem, e->flags_at);

	for (size_t i = 0; e->name != NULL && i < sizeof(foldable) / sizeof(foldable[0]); i++) {
		if (foldable[i].vector != e->vector || !is(e, foldable[i].name))
			continue;
		/* A key that is there, and a read that fails, are told by themselves. */
		if (foldable[i].kind == FOLD_POLL && strstr(e->name, "check") != NULL &&
		    !(flags & RFLAGS_ZF))
			return (FOLD_NONE);
		if (foldable[i].kind == FOLD_READ && (flags & RFLAGS_CF))
			return (FOLD_NONE);
		return (foldable[i].kind);
	}
	return (FOLD_NONE);
}

/* --- telling ------------------------------------------------------------------------------------------- */

static void
put_text(struct trace_text *text, const struct trace_fold *f)
{
	static const char edge[] = {' ', GRAPHIC, '\0'};
	unsigned from = 0, to = f->columns;

	while (to > 0 && strchr(edge, f->text[to - 1]) != NULL)
		to--;
	while (from < to && strchr(edge, f->text[from]) != NULL)
		from++;
	if (f->ink) {
		tracer_put(text, "INT 10h text \"");
		for (unsigned i = from; i < to; i++)
			tracer_put(text, "%c", f->text[i] == GRAPHIC ? '.' : f->text[i]);
		tracer_put(text, "\"");
	} else if (memchr(f->text, GRAPHIC, f->columns) != NULL) {
		tracer_put(text, "INT 10h lines");
	} else {
		tracer_put(text, f->columns > 0 ? "INT 10h blanks" : "INT 10h cursor");
	}
	if (f->row >= 0 && f->last_row > f->row)
		tracer_put(text, " on rows %d to %d", f->row, f->last_row);
	else if (f->row >= 0)
		tracer_put(text, " on row %d", f->row);
}

static void
put_poll(struct trace_text *text, const struct trace_fold *f)
{
	uint64_t spent = f->last - f->began;

	tracer_put(text,
	    "%.7s asks again and again, and no key comes, for %" PRIu64 ".%03" PRIu64 " s", f->line,
	    spent / 1000000000, spent / 1000000 % 1000);
}

/* Write what is kept. */
static void
flush(struct tracer *t)
{
	struct trace_fold *f = t->fold;
	char line[3 * TRACE_TEXT];
	struct trace_text text = {line, sizeof(line)};

	if (f->calls == 1)
		tracer_line(t, f->began, f->line);
	if (f->calls < 2) {
		f->calls = 0;
		return;
	}
	switch (f->kind) {
	case FOLD_TEXT:
		put_text(&text, f);
		break;
	case FOLD_POLL:
		put_poll(&text, f);
		break;
	case FOLD_READ:
		tracer_put(&text, "%s, and so on: %" PRIu64 " sectors", f->line, f->sectors);
		break;
	default:
		tracer_put(&text, "INT 13h asks what drive %02Xh is: %s", f->drive,
		    f->answer[0] != '\0' ? f->answer : "there is none");
		break;
	}
	tracer_put(&text, " (%u calls)", f->calls);
	tracer_line(t, f->began, line);
	f->calls = 0;
}

/* --- keeping -------------------------------------------------------------------------------------------- */

static void
begin(struct trace_fold *f, enum fold_kind kind, const struct trace_call *call, const char *line)
{
	f->kind = kind;
	f->began = call->began;
	f->columns = 0;
	f->ink = false;
	f->row = f->last_row = -1;
	f->sectors = 0;
	f->answer[0] = '\0';
	snprintf(f->line, sizeof(f->line), "%s", line);
}

static bool
is_ink(uint8_t ch)
{
	return (isgraph(ch) != 0);
}

/* Whether a call begins what is another line of text. */
static bool
leaves_row(const struct trace_fold *f, const struct bios_event *e)
{
	uint8_t al = reg8(e, GPR_RAX, 0), dh = reg8(e, GPR_RDX, 8);

	if (is(e, "teletype") && f->ink)
		return (al == '\n' || al == '\r');
	if (is(e, "set_cursor") && f->ink)
		return (f->last_row >= 0 && f->last_row != dh);
	/* The first letter behind rows without. */
	return (writes(e) && is_ink(al) && !f->ink && f->last_row > f->row);
}

static void
add_text(struct trace_fold *f, const struct bios_event *e)
{
	uint8_t al = reg8(e, GPR_RAX, 0);
	unsigned count = is(e, "teletype") ? 1 : (uint16_t)e->state->gpr.reg[GPR_RCX];

	if (is(e, "set_cursor") || is(e, "get_cursor")) {
		f->last_row = reg8(e, GPR_RDX, 8);
		if (f->row < 0 || f->columns == 0)
			f->row = f->last_row;
	}
	if (!writes(e) || (is(e, "teletype") && iscntrl(al)))
		return;
	f->ink |= is_ink(al);
	while (count-- > 0 && f->columns < COLUMNS)
		f->text[f->columns++] = isprint(al) ? (char)al : GRAPHIC;
}

static void
add_read(struct tracer *t, const struct bios_event *e)
{
	const struct vcpu_state *s = e->state;
	uint64_t packet = s->sregs.seg[SEG_DS].base + (uint16_t)s->gpr.reg[GPR_RSI];

	t->fold->sectors +=
	    is(e, "read") ? reg8(e, GPR_RAX, 0) : memory_get16(t->m->mem, packet + 2);
}

static void
add_answer(struct trace_fold *f, const char *line)
{
	const char *answer = strstr(line, ") = ");

	if (answer != NULL && strncmp(answer + 4, "error", 5) != 0)
		snprintf(f->answer, sizeof(f->answer), "%s", answer + 4);
}

static bool
goes_with(
    const struct trace_fold *f, enum fold_kind kind, const struct bios_event *e, uint8_t drive)
{
	if (kind != f->kind)
		return (false);
	if (kind == FOLD_TEXT)
		return (!leaves_row(f, e));
	return ((kind != FOLD_READ && kind != FOLD_DRIVE) || f->drive == drive);
}

void
tracer_fold_call(
    struct tracer *t, const struct bios_event *e, const struct trace_call *call, const char *line)
{
	struct trace_fold *f = t->fold;
	enum fold_kind kind = kind_of(t, e);

	if (f->calls > 0 && !goes_with(f, kind, e, call->drive))
		flush(t);
	if (kind == FOLD_NONE) {
		tracer_line(t, call->began, line);
		return;
	}
	if (f->calls == 0)
		begin(f, kind, call, line);
	f->calls++;
	f->last = call->began;
	f->drive = call->drive;
	if (kind == FOLD_TEXT)
		add_text(f, e);
	if (kind == FOLD_READ)
		add_read(t, e);
	if (kind == FOLD_DRIVE)
		add_answer(f, line);
}

void
tracer_fold_end(struct tracer *t)
{
	flush(t);
}
