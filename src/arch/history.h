/*
 * What a virtual CPU did last: the branches it took and the exceptions it raised, for those who ask
 * why it died. Plain data: a section of the state file.
 */
#ifndef ARCH_HISTORY_H
#define ARCH_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_FAULTS 16
#define HISTORY_BRANCHES 16

/* What a fault was raised for. */
enum cpu_cause {
	CAUSE_NONE,
	CAUSE_INSTRUCTION, /* the instruction raises it: #DE, #BP, #OF, #BR, #UD, INT n */
	CAUSE_FETCH_LIMIT, /* instruction fetch beyond CS.limit */
	CAUSE_LENGTH,	   /* more than 15 bytes */
	CAUSE_SEG_LIMIT,   /* operand beyond a segment's limit */
	CAUSE_SEG_RIGHTS,  /* segment not readable / writable / unusable */
	CAUSE_IDT_LIMIT,   /* vector beyond IDTR.limit */
	CAUSE_GATE,	   /* gate of the wrong type or DPL, or not present */
	CAUSE_SELECTOR,	   /* null selector, beyond its table, wrong type, DPL, not present */
	CAUSE_STACK,	   /* no room on the stack */
	CAUSE_TSS,	   /* TSS too small or of the wrong type */
	CAUSE_PRIVILEGE,   /* CPL or IOPL too low */
	CAUSE_PAGE,	   /* page walk failed */
	CAUSE_ALIGNMENT,   /* operand not at a multiple of its size */
	CAUSE_RESERVED,	   /* reserved bit or invalid value written to a system register */
	CAUSE_DOUBLE,	   /* a contributory fault while delivering another */
};

/* One delivered (or attempted) exception. */
struct cpu_fault {
	uint64_t rip;	  /* of the instruction */
	uint64_t address; /* offset, linear address or selector that failed, by cause */
	uint64_t limit;	  /* what it was checked against */
	uint64_t count;	  /* instructions retired before */
	uint32_t error;
	uint16_t cs;
	uint8_t vector;
	uint8_t cause; /* enum cpu_cause */
	uint8_t seg;   /* enum x86_seg_index for CAUSE_SEG_* */
	bool has_error;
	uint8_t pad[6];
};

/* A branch whose target is not in the instruction: indirect, RET, far, IRET, an event. */
struct cpu_branch {
	uint64_t from; /* linear addresses */
	uint64_t to;
	uint32_t bits; /* width of the code at FROM: 16, 32, 64 */
	uint32_t pad;
};

/* What is missing of a death, on an engine that was not told of it. */
enum history_gap {
	HISTORY_WHOLE,
	HISTORY_NO_FAULTS, /* the exceptions that led there */
	HISTORY_NO_STATE,  /* and the registers: those there are are of the last entry */
};

struct vcpu_history {
	struct cpu_fault faults[HISTORY_FAULTS]; /* the newest last */
	struct cpu_branch branches[HISTORY_BRANCHES];
	uint32_t nfaults;
	uint32_t nbranches;
	uint32_t gap; /* enum history_gap */
	uint32_t pad;
};

#endif
