/*
 * The engine seam: something that runs one virtual CPU until the world outside the CPU is needed.
 *
 * Port and memory-mapped I/O are synchronous calls to the attached bus and memory map. Interrupts
 * are wires: INTR is a level, and the vector is asked for by int_ack() at the instant of delivery;
 * nothing is queued. Everything else is an exit, described as VT-x describes it.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/history.h"
#include "arch/vcpu_state.h"
#include "arch/watch.h"
#include "bus/apic.h"
#include "bus/bus.h"
#include "bus/memory.h"
#include "vmx/vmx.h"

enum engine_exit {
	ENGINE_CANCELED,  /* budget used up, or engine_kick() */
	ENGINE_HYPERCALL, /* VMCALL with hypercall exits on; RIP still at it */
	ENGINE_HLT,	  /* RIP behind the HLT; with nothing pending the CPU sleeps */
	ENGINE_TRIPLE_FAULT,
	ENGINE_ENTRY_FAILED, /* vmx.failed says which rules */
	ENGINE_DEBUG,	     /* breakpoint or single step of a debugger */
	ENGINE_STOPPED,	     /* somebody on the bus asked for it: vcpu_stop() */
	ENGINE_INOUT,	     /* only without a bus */
	ENGINE_PAGING,	     /* access to no memory; only without a bus */
	ENGINE_VARIES,	     /* before RDTSC or the like: ENGINE_OPT_VARIES */
	ENGINE_ERROR,	     /* the engine itself failed; text says why */
};

struct engine_inout {
	uint16_t port;
	uint8_t bytes;
	bool in;
	uint32_t value;
};

/* How the last run ended. */
struct engine_exit_info {
	enum engine_exit kind;
	uint32_t reason; /* VMX basic exit reason, bit 31 for a failed entry */
	uint32_t instruction_length;
	uint64_t qualification;
	uint64_t rip;
	struct engine_inout inout;
	uint64_t gpa;		/* ENGINE_PAGING */
	struct cpu_watch watch; /* ENGINE_DEBUG: the breakpoint */
	char text[128];		/* ENGINE_ERROR */
};

/* What the machine gives to a vCPU. All may be NULL or empty for library users without a board. */
struct engine_world {
	struct memory *mem; /* never NULL */
	struct bus *bus;
	int cpu_model; /* enum cpu_model of src/cpu plus 1; 0: the newest */
	/* The interrupt controller's answer to INTA: a vector 0..255. Called when INTR is high. */
	int (*int_ack)(void *opaque);
	void *int_ack_opaque;
	struct apic_port apic; /* empty: no local APIC */
	/* FERR#: an x87 exception waits while CR0.NE is 0. */
	void (*ferr)(void *opaque);
	void *ferr_opaque;
	/* The time stamp counter at this instant. NULL: counts instructions. */
	uint64_t (*tsc)(void *opaque);
	void *tsc_opaque;
	uint64_t random_seed;	   /* of RDRAND, where the engine makes its numbers */
	struct lockstep *lockstep; /* which engines: engine_lockstep's */
};

enum engine_option {
	ENGINE_OPT_HYPERCALL = 1, /* VMCALL exits; else it is #UD */
	/*
	 * End run() with ENGINE_VARIES before an instruction that answers by time, chance or model
	 * (RDTSC, RDRAND, CPUID, RDMSR ...). Looked at by each run(). Not every engine can.
	 */
	ENGINE_OPT_VARIES = 2,
	ENGINE_OPT_WRITTEN = 4, /* keep what written() tells */
};

/* What an engine that leaves the host's user space counts. */
struct engine_counts {
	uint64_t entries;     /* into the guest */
	uint64_t ports;	      /* exits for port accesses, by instruction or by string */
	uint64_t mmio;	      /* for memory that no memory is behind */
	uint64_t msrs;	      /* for MSRs of the local APIC */
	uint64_t windows;     /* because the guest could take an interrupt again */
	uint64_t halts;	      /* HLT */
	uint64_t signals;     /* because time was up, or by vcpu_kick() */
	uint64_t interrupts;  /* delivered */
	uint64_t state_calls; /* system calls that read or set registers */
	uint64_t lent;	      /* times the built-in CPU went on where the engine could not */
};

/* What an instruction is taken to need, for engines that measure a budget in time. */
#define ENGINE_INSTRUCTION_NS 4u

struct vcpu;

#define ENGINE_WRITTEN_MAX 256

struct engine_ops {
	const char *name;
	/* It cannot count instructions: a budget is host time, ENGINE_INSTRUCTION_NS for each. */
	bool timed;
	/* 0, or -1 with errno; vcpu->exit.text says more, or stays empty. */
	int (*create)(struct vcpu *vcpu);
	void (*destroy)(struct vcpu *vcpu);
	/*
	 * Run for at most BUDGET instructions (UINT64_MAX: no limit; 1: exactly one, of timed
	 * engines too). Fills vcpu->exit; GPR and SREGS of the state are up to date then.
	 */
	void (*run)(struct vcpu *vcpu, uint64_t budget);
	/* Bring the groups of vcpu->state up to date / take over those marked dirty. */
	void (*pull)(struct vcpu *vcpu, unsigned groups);
	void (*push)(struct vcpu *vcpu, unsigned groups);
	/* From any thread or signal handler: make run() return soon with ENGINE_CANCELED. */
	void (*kick)(struct vcpu *vcpu);
	/*
	 * From a bus handler: end run() with ENGINE_STOPPED behind this instruction. From ferr(): before
	 * the instruction that found the exception.
	 */
	void (*stop)(struct vcpu *vcpu);
	/* Level of INTR changed; an NMI edge came. */
	void (*set_intr)(struct vcpu *vcpu, bool level);
	void (*raise_nmi)(struct vcpu *vcpu);
	/* Instructions retired since creation; of timed engines those that ran alone. */
	uint64_t (*instructions)(const struct vcpu *vcpu);
	/*
	 * A debugger's breakpoints from now on. 0, or -1: too many, or of a kind not to be had. LIST is
	 * never NULL, even if N is 0.
	 */
	int (*watch)(struct vcpu *vcpu, const struct cpu_watch *list, unsigned n);
	/* What the CPU did last, as far as the engine sees it. */
	void (*history)(const struct vcpu *vcpu, struct vcpu_history *out);
	/*
	 * The pages (numbers) of guest memory written to since the last call, to PAGES of
	 * ENGINE_WRITTEN_MAX. How many; -1: more, or unknown. NULL: the engine cannot tell.
	 */
	int (*written)(struct vcpu *vcpu, uint64_t *pages);
};

struct vcpu {
	const struct engine_ops *ops;
	struct vcpu_state *state;
	struct vmx *vmx; /* controls and the exit fields, for checks and vmmctl */
	struct engine_world world;
	unsigned options;     /* enum engine_option */
	bool entry_unchecked; /* the first run, or a state set from outside: check VM entry */
	struct engine_exit_info exit;
	struct engine_counts counts;
	void *engine; /* the engine's own */
};

extern const struct engine_ops engine_soft;	/* the built-in CPU */
extern const struct engine_ops engine_kvm;	/* Linux KVM */
extern const struct engine_ops engine_lockstep; /* both: lockstep.h */

/*
 * Prepare VCPU on engine OPS. STATE, VMX and what WORLD points to stay the caller's and must live
 * as long as the vCPU. 0, or -1 with errno and the reason in VCPU->exit.text: vcpu_destroy() does
 * nothing then.
 */
int vcpu_create(struct vcpu *vcpu, const struct engine_ops *ops, struct vcpu_state *state,
    struct vmx *vmx, const struct engine_world *world, unsigned options);
void vcpu_destroy(struct vcpu *vcpu);
/* Run until an exit or until BUDGET instructions are done; the exit is in vcpu->exit. */
void vcpu_run(struct vcpu *vcpu, uint64_t budget);
/* Before reading or changing, and after changing, the groups (enum vcpu_group) of vcpu->state. */
void vcpu_pull(struct vcpu *vcpu, unsigned groups);
void vcpu_push(struct vcpu *vcpu, unsigned groups);
void vcpu_kick(struct vcpu *vcpu);
void vcpu_stop(struct vcpu *vcpu);
void vcpu_set_intr(struct vcpu *vcpu, bool level);
void vcpu_raise_nmi(struct vcpu *vcpu);
uint64_t vcpu_instructions(const struct vcpu *vcpu);
/* A debugger's N breakpoints from now on: at them run() ends with ENGINE_DEBUG. 0 or -1. */
int vcpu_watch(struct vcpu *vcpu, const struct cpu_watch *list, unsigned n);
void vcpu_history(const struct vcpu *vcpu, struct vcpu_history *out);
/* See struct engine_ops; -1 where that is not known. */
int vcpu_written(struct vcpu *vcpu, uint64_t *pages);

/* For engines. */

/*
 * If the state is not known to be good (entry_unchecked): do what VM entry checks, and fill in the
 * exit when it fails. Whether the guest may run.
 */
bool vcpu_enter(struct vcpu *vcpu);
/* An access to a port that the caller answers (SDM vol. 3C, table 28-5). */
void vcpu_exit_for_port(struct vcpu *vcpu, const struct engine_inout *io);
/* Let vmmctl see vcpu->exit, if it is one of VT-x. */
void vcpu_note_exit(struct vcpu *vcpu);

#endif
