/*
 * The built-in CPU: an x86 in C that needs no virtualization hardware. It runs in place on a
 * struct vcpu_state, sees memory through src/bus/memory.h and ports through src/bus/bus.h, and
 * knows nothing of VMX, chips or firmware.
 *
 * How it works (details: internal.h): code is decoded once (Zydis) into traces of plain records,
 * one per instruction, each with its handler; handlers call the next one in tail position.
 * Memory goes through a software TLB of host pointers. Flags are lazy.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/history.h"
#include "arch/vcpu_state.h"
#include "arch/watch.h"
#include "bus/apic.h"
#include "bus/bus.h"
#include "bus/memory.h"

/* Processor generations, in order: what an instruction needs at least (insn.def). */
enum cpu_model { CPU_8086, CPU_286, CPU_386, CPU_486, CPU_PENTIUM, CPU_P6, CPU_X86_64 };

/* The model by its name on the command line ("286", "x86-64"); -1: no such one. */
int cpu_model_by_name(const char *name);

enum cpu_exit {
	CPU_EXIT_NONE,
	CPU_EXIT_BUDGET,       /* ran as many instructions as allowed, or was kicked */
	CPU_EXIT_HLT,	       /* HLT done; RIP behind it; no interrupt was acceptable */
	CPU_EXIT_TRIPLE_FAULT, /* shutdown; RIP at the instruction that began it */
	CPU_EXIT_HYPERCALL,    /* VMCALL while config.vmcall_exits; RIP at it */
	CPU_EXIT_STOP,	       /* cpu_stop() was called by somebody on the bus */
	CPU_EXIT_INOUT,	       /* a port access and no bus; RIP at the instruction */
	CPU_EXIT_PAGING,       /* an access to no memory while config.exit_on_hole */
	CPU_EXIT_DEBUG,	       /* a debugger's breakpoint: cpu_watch() */
	CPU_EXIT_VARIES,       /* before RDTSC or the like, cpu_stop_varying(); RIP at it */
	CPU_EXIT_ERROR,	       /* something this build does not have: error says what */
};

struct cpu_config {
	enum cpu_model model;
	bool vmcall_exits;
	bool exit_on_hole;
	bool track_writes; /* for cpu_written() */
	/* INTA: asks the interrupt controller for the vector, when INTR is high and acceptable. */
	int (*int_ack)(void *opaque);
	void *int_ack_opaque;
	struct apic_port apic; /* empty: the processor has no local APIC */
	/* FERR#: an x87 exception waits while CR0.NE is 0 (the board's IRQ 13); may be NULL. */
	void (*ferr)(void *opaque);
	void *ferr_opaque;
	/* What RDRAND's numbers come from: the same ones for the same seed. */
	uint64_t random_seed;
	/* Time stamp counter now; NULL counts instructions. */
	uint64_t (*tsc)(void *opaque);
	void *tsc_opaque;
};

struct cpu_inout {
	uint16_t port;
	uint8_t bytes;
	bool in;
	uint32_t value;
};

struct cpu; /* internal.h */

/* NULL when memory is short. STATE, MEM and BUS (may be NULL) must outlive the CPU. */
struct cpu *cpu_create(
    struct vcpu_state *state, struct memory *mem, struct bus *bus, const struct cpu_config *config);
void cpu_destroy(struct cpu *cpu);
/* Run at most BUDGET instructions; says why it came back. */
enum cpu_exit cpu_run(struct cpu *cpu, uint64_t budget);
/*
 * Whether runs end, from now on, before an instruction that answers by time, chance or model: RDTSC,
 * RDTSCP, RDPMC, RDMSR, RDRAND, CPUID. At first they do not.
 */
void cpu_stop_varying(struct cpu *cpu, bool on);
/* Make the state's RFLAGS real (they are lazy while running). */
void cpu_pull(struct cpu *cpu);
/* Take over GROUPS (enum vcpu_group) of the state that somebody else has changed. */
void cpu_push(struct cpu *cpu, unsigned groups);
/* Somebody wrote to guest memory without telling: decoded code and translations are looked up again. */
void cpu_forget(struct cpu *cpu);
/* From another thread or a signal handler: return from cpu_run soon. */
void cpu_kick(struct cpu *cpu);
/* From a bus handler: return from cpu_run with CPU_EXIT_STOP after this instruction. */
void cpu_stop(struct cpu *cpu);
void cpu_set_intr(struct cpu *cpu, bool level);
void cpu_raise_nmi(struct cpu *cpu);
/*
 * The N breakpoints of LIST, and no others, are a debugger's from now on: before an instruction
 * with WATCH_EXEC, else behind the instruction that made the access, cpu_run returns
 * CPU_EXIT_DEBUG. 0, or -1: too many.
 */
int cpu_watch(struct cpu *cpu, const struct cpu_watch *list, unsigned n);
/* The breakpoint of the last CPU_EXIT_DEBUG. */
struct cpu_watch cpu_watch_hit(const struct cpu *cpu);
uint64_t cpu_instructions(const struct cpu *cpu);
/*
 * The physical pages (numbers) that anybody has written to since the last call, some more than once,
 * to PAGES of CPU_WRITTEN_MAX. How many; -1 when they were more, or config.track_writes is off.
 */
#define CPU_WRITTEN_MAX 256
int cpu_written(struct cpu *cpu, uint64_t *pages);
const struct cpu_inout *cpu_inout(const struct cpu *cpu);
/* Guest-physical address of the last CPU_EXIT_PAGING. */
uint64_t cpu_hole_address(const struct cpu *cpu);
/* The text behind CPU_EXIT_ERROR. */
const char *cpu_error(const struct cpu *cpu);
/* The last faults and branches. */
void cpu_history(const struct cpu *cpu, struct vcpu_history *out);
/*
 * What CPUID answers on MODEL to LEAF and SUBLEAF: EAX, EBX, ECX, EDX. APIC: it has a local APIC.
 * Bits that follow the state (OSXSAVE) are 0, MONITOR and APIC as after a reset.
 */
void cpu_identify(
    enum cpu_model model, bool apic, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/* Bits of leaf 1 ECX that are features of the local APIC: x2APIC and the TSC deadline. */
#define CPU_LEAF1_ECX_APIC (1u << 21 | 1u << 24)
/* Length in bytes of the instruction at CS:RIP, 0 when it cannot be fetched or decoded. */
unsigned cpu_instruction_length(struct cpu *cpu);

#endif
