/* Try the next instruction of a subject out, on a CPU and memory of its own. */
#ifndef INSPECT_REPLAY_H
#define INSPECT_REPLAY_H

#include "inspect/subject.h"

struct replay {
	bool died;    /* it ends in shutdown */
	bool vmcall;  /* it is VMCALL, which leaves the guest */
	bool unknown; /* what it needs is not known: at guest-physical UNKNOWN_AT */
	uint64_t unknown_at;
	bool supposed;	  /* the bytes are not known: one too long for CS.limit was tried */
	unsigned nfaults; /* what it raises, in order, up to #DF; none: it runs */
	struct cpu_fault fault[HISTORY_FAULTS];
};

/*
 * Run one instruction of S, and what comes of it. S itself does not change, but for its memory's
 * private copy. 0, or -1 when memory is short.
 */
int replay_next(const struct subject *s, struct replay *r);

/* What a guest that goes on for ever does. */
struct replay_loop {
	unsigned instructions; /* of one round; 0: it is none, or a long one */
	uint64_t low, high;    /* RIP of the first and the last of them by address */
	bool port;	       /* it asks PORT each time round, or writes to it */
	bool in;
	uint16_t number;
};

/*
 * Follow S, which has memory, until it comes back to where it is now, without devices: what a port
 * answers is all ones. 0, or -1 when memory is short.
 */
int replay_loop(const struct subject *s, struct replay_loop *loop);

#endif
