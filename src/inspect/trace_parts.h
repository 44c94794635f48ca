/* What the files of trace share. Only src/inspect/trace*.c include this. */
#ifndef INSPECT_TRACE_PARTS_H
#define INSPECT_TRACE_PARTS_H

#include <stdarg.h>
#include <stdio.h>

#include "inspect/trace.h"

#define TRACE_FILTERS 16
#define TRACE_TEXT 400
#define TRACE_PENDING 8

enum trace_kind { TRACE_BIOS, TRACE_IO, TRACE_EXIT, TRACE_INSN, TRACE_KINDS };

/* One filter: numbers from FIRST to LAST, or a name. */
struct trace_filter {
	uint64_t first, last;
	int function; /* bios: AH, -1: any */
	char name[24];
};

struct trace_select {
	bool on;
	bool count, fold; /* bios alone */
	unsigned nfilters;
	struct trace_filter filter[TRACE_FILTERS];
};

/* A call that has begun. */
struct trace_call {
	unsigned vector;
	uint64_t flags_at;
	uint64_t began; /* guest ns */
	uint8_t drive;	/* DL as called */
	bool open;
	char args[TRACE_TEXT];
};

struct trace_counts; /* trace_bios.c */
struct trace_fold;   /* trace_fold.c */

struct tracer {
	struct machine *m;
	FILE *out;
	int error; /* errno of the first line that could not be written */
	struct trace_select select[TRACE_KINDS];
	struct trace_call call[TRACE_PENDING];
	struct trace_counts *counts;
	struct trace_fold *fold;
	uint64_t slept_at; /* instructions at the last HLT */
	/* insn: the instruction that is about to run. */
	struct vcpu_gprs gpr;
	struct vcpu_sregs sregs;
	uint64_t instructions;
	char insn[160];
};

/* Text that is put together piece by piece, and cut where it is full. */
struct trace_text {
	char *at;
	size_t left;
};

void tracer_put(struct trace_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line with the guest time NS before it. */
void tracer_line(struct tracer *t, uint64_t ns, const char *text);

/* trace_decode.c: a call as "INT 13h AH=42h extended_read(...)", without what it returns. */
void tracer_decode_call(struct trace_text *text, const struct bios_event *e, struct memory *mem);
/* " = ...", what it returns, or where it goes; true: it failed. */
bool tracer_decode_result(struct trace_text *text, const struct bios_event *e, struct memory *mem,
    enum bios_result result);

/* trace_bios.c */
int tracer_bios_init(struct tracer *t);
void tracer_bios_call(void *opaque, const struct bios_event *e);
void tracer_bios_done(void *opaque, const struct bios_event *e, enum bios_result result);
void tracer_bios_end(struct tracer *t);

/* trace_fold.c: calls that tell one thing together, as one line. */
struct trace_fold *tracer_fold_new(void);
/* A call that is done, with its LINE: kept for later, or written. */
void tracer_fold_call(
    struct tracer *t, const struct bios_event *e, const struct trace_call *call, const char *line);
/* Write what is kept. */
void tracer_fold_end(struct tracer *t);

/* trace_insn.c */
void tracer_insn_before(void *opaque);
void tracer_insn_after(void *opaque);

#endif
