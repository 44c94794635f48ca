/*
 * An engine that is two: one guest on both, from the same state. The first, the leader, has the
 * machine's state and memory; the second, the follower, has its own of both. They meet at every
 * exit: port and memory-mapped I/O, MSRs of the local APIC, HLT and the other exits of the seam.
 * There what both ask for is compared, and all registers and the memory that was written; the
 * access is made once, on the machine's bus, and what came of it is given to both.
 *
 * Interrupts are let in where both have met, by injection, never by INTR. What answers by time,
 * chance or model (RDTSC, RDRAND, CPUID, RDMSR ...) is executed by both; where only the registers
 * that it writes differ, the leader's are taken over.
 *
 * One thread runs both: the leader goes to its next exit, then the follower comes after it.
 */
#ifndef ENGINE_LOCKSTEP_H
#define ENGINE_LOCKSTEP_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/vcpu_state.h"
#include "engine/engine.h"

enum { LOCKSTEP_LEADER, LOCKSTEP_FOLLOWER };

/* What was found to differ. */
enum lockstep_what {
	LOCKSTEP_SAME,
	LOCKSTEP_ACCESS,    /* both made an access, not the same one */
	LOCKSTEP_MISSING,   /* the follower came to something else than the leader's access */
	LOCKSTEP_EXTRA,	    /* the follower made an access where the leader makes none */
	LOCKSTEP_EXIT,	    /* their exits are not the same */
	LOCKSTEP_REGISTERS, /* all else was the same; but their registers are not ... */
	LOCKSTEP_MEMORY,    /* ... or what they wrote to memory */
	LOCKSTEP_LOST,	    /* the follower does not come to where the leader is */
};

enum lockstep_kind {
	LOCKSTEP_PORT,
	LOCKSTEP_MMIO,
	LOCKSTEP_MSR,
};

/* What a CPU asks of the world outside. */
struct lockstep_access {
	enum lockstep_kind kind;
	bool write;
	unsigned size;	  /* bytes */
	uint64_t address; /* port, guest-physical address, MSR */
	uint64_t value;	  /* written; of the leader also what was read */
};

/* One of the two, where they differ. */
struct lockstep_side {
	const char *name; /* of the engine */
	struct vcpu_state state;
	bool has_access;
	struct lockstep_access access;
	enum engine_exit exit;
	bool has_exit;
};

#define LOCKSTEP_STEPS 16
#define LOCKSTEP_BYTES 16

struct lockstep_report {
	enum lockstep_what what;
	uint64_t exits;	       /* that were met at before */
	uint64_t instructions; /* of the leader, since the beginning */
	struct lockstep_side side[2];
	/* LOCKSTEP_MEMORY */
	uint64_t gpa; /* first byte that differs */
	uint8_t bytes[2][LOCKSTEP_BYTES];
	uint64_t differing; /* bytes in that page */
	uint64_t checked;   /* this address was last known to be the same at that exit */
	/* What led there: the last instructions since they last met, the newest last. */
	unsigned nsteps;
	struct vcpu_state step[LOCKSTEP_STEPS]; /* before each */
	uint64_t steps;	 /* instructions since they last met, of the leader */
	bool stepped;	 /* both were stepped through them again ... */
	bool reproduced; /* ... and behind the newest of STEP they differ: BEHIND */
	struct vcpu_state behind[2];
};

struct lockstep {
	const struct engine_ops *engines[2]; /* the leader must know ENGINE_OPT_VARIES */
	/* Results. */
	struct lockstep_report report;
	uint64_t exits;	   /* where both met */
	uint64_t accesses; /* that both made */
	uint64_t varied;   /* instructions whose results were taken over */
	uint64_t pages;	   /* of memory compared */
	struct pair *pair; /* lockstep_parts.h; NULL: not running */
};

/*
 * At the end of a run: compare all of memory. False when they differ, or when the follower is still
 * behind the leader.
 */
bool lockstep_finish(struct lockstep *ls);

/* Names of what struct vcpu_state holds, for people and for comparing. */
struct lockstep_register {
	const char *name;
	uint16_t offset;
	uint8_t size;
	uint8_t group;	  /* enum vcpu_group */
	uint64_t ignored; /* bits that are not compared */
};
extern const struct lockstep_register lockstep_registers[];
extern const unsigned lockstep_nregisters;
uint64_t lockstep_register_get(const struct lockstep_register *reg, const struct vcpu_state *s);
/* The bits of REG that differ and are compared. */
uint64_t lockstep_register_diff(
    const struct lockstep_register *reg, const struct vcpu_state *a, const struct vcpu_state *b);

#endif
