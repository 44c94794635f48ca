/*
 * Captured tests that say nothing about a processor: of what a later generation defines otherwise
 * than the part they were taken from, and damaged ones. Each has a reason that a reader can check.
 */
#ifndef MOO_LEFT_OUT_H
#define MOO_LEFT_OUT_H

#include "file.h"

/* How a test ended on the built-in CPU, otherwise than on hardware. */
struct outcome {
	int raised;	/* the exception of its instruction, or -1 */
	bool ended;	/* it came to its HLT: what follows is known */
	uint32_t regs;	/* the registers that differ: bits by enum moo_reg */
	uint32_t flags; /* the flags that differ */
};

/*
 * Why test T of a part that FROM_386 is not about is left out, as an index for left_out_reason; -1
 * if it is not. FROM_386: the CPU that runs it is a 386 or later, and the test from before that.
 */
int left_out(const struct moo_test *t, const struct outcome *o, bool from_386);
/* The reason, and where to read it; NULL behind the last one. */
const char *left_out_reason(unsigned index);

#endif
