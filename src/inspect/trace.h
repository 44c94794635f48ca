/*
 * Traces: what a guest asks of the BIOS, of ports, of the engine; every instruction. A line a call,
 * as strace does it. A trace hangs on the observers of a machine, which knows nothing of it.
 */
#ifndef INSPECT_TRACE_H
#define INSPECT_TRACE_H

#include <stdio.h>

#include "machine/machine.h"
#include "vmm/error.h"

struct tracer;

/*
 * A trace as SPEC says: KIND[:FILTER..][,KIND..][:FILE]. KIND is bios, io, exit or insn; a part with
 * a slash in it is the output file (default: standard error). With OUT, which is given up, the lines
 * go there, and SPEC names no file. NULL with ERR.
 */
struct tracer *tracer_open(const char *spec, FILE *out, struct vmm_error *err);
/* Hang T on M's observers, between stretches of guest code. 0, or -1 with ERR. */
int tracer_attach(struct tracer *t, struct machine *m, struct vmm_error *err);
/* What was traced so far is in the file; to be called now and then. */
void tracer_flush(struct tracer *t);
/*
 * Leave M; tell what is unfinished, and counts if they were asked for; then close. 0, or -1 with ERR when the
 * file could not be written. NULL is allowed.
 */
int tracer_close(struct tracer *t, struct vmm_error *err);

#endif
