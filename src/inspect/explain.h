/* Why a guest died, in words. */
#ifndef INSPECT_EXPLAIN_H
#define INSPECT_EXPLAIN_H

#include <stdio.h>

#include "inspect/subject.h"

/*
 * Tell to OUT what S was executing, which check failed, the chain of exceptions up to shutdown, what
 * the values should be, and what came before. 0, or -1 when memory is short.
 */
int explain(FILE *out, const struct subject *s);

/* Parts of it, for the failure dump. */

/* The check that failed and what came of it. 0, or -1 when memory is short. */
int explain_why(FILE *out, const struct subject *s);
/* "0000:7c00 (linear 7c00), real mode". */
void explain_where(FILE *out, const struct subject *s);
/* The instruction at CS:RIP with its bytes, one line. */
void explain_instruction(FILE *out, const struct subject *s);
/* The last COUNT BIOS calls, one a line, the newest last. */
void explain_bios_calls(FILE *out, const struct subject *s, unsigned count);
void explain_branches(FILE *out, const struct subject *s, unsigned count);

/* explain_fault.c: what the matter is with fault F of subject S, as a phrase; may print a table or a
 * walk below it. */
void explain_fault(FILE *out, const struct subject *s, const struct cpu_fault *f);
/* "#GP(0)", in real mode "#GP" (there are no error codes); others as "interrupt 20h". */
const char *explain_vector(
    const struct subject *s, const struct cpu_fault *f, char *buf, size_t size);

#endif
