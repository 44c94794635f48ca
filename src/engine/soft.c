/*
 * The soft engine: VM entry through src/vmx's checks, then the built-in CPU, then its exit told in
 * VT-x's words (SDM vol. 3C, 25.9 and 28.2).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "engine/engine.h"

static int
soft_create(struct vcpu *vcpu)
{
	const struct engine_world *w = &vcpu->world;
	const struct cpu_config config = {
	    .model = w->cpu_model != 0 ? (enum cpu_model)(w->cpu_model - 1) : CPU_X86_64,
	    .vmcall_exits = vcpu->options & ENGINE_OPT_HYPERCALL,
	    .exit_on_hole = w->bus == NULL,
	    .track_writes = vcpu->options & ENGINE_OPT_WRITTEN,
	    .int_ack = w->int_ack,
	    .int_ack_opaque = w->int_ack_opaque,
	    .apic = w->apic,
	    .ferr = w->ferr,
	    .ferr_opaque = w->ferr_opaque,
	    .tsc = w->tsc,
	    .tsc_opaque = w->tsc_opaque,
	    .random_seed = w->random_seed,
	};

	vcpu->engine = cpu_create(vcpu->state, w->mem, w->bus, &config);
	if (vcpu->engine == NULL) {
		errno = ENOMEM;
		return (-1);
	}
	return (0);
}

static void
soft_destroy(struct vcpu *vcpu)
{
	cpu_destroy(vcpu->engine);
	vcpu->engine = NULL;
}

/* The exits that VT-x has a reason for, with the length of the instruction at RIP. */
static void
vmx_exit(struct vcpu *vcpu, enum engine_exit kind, uint32_t reason, bool length)
{
	vcpu->exit.kind = kind;
	vcpu->exit.reason = reason;
	if (length)
		vcpu->exit.instruction_length = cpu_instruction_length(vcpu->engine);
}

static void
inout_exit(struct vcpu *vcpu)
{
	const struct cpu_inout *io = cpu_inout(vcpu->engine);

	vcpu_exit_for_port(vcpu,
	    &(struct engine_inout){
		.port = io->port, .bytes = io->bytes, .in = io->in, .value = io->value});
	vcpu->exit.instruction_length = cpu_instruction_length(vcpu->engine);
}

/*
 * Length of the instruction in memory at CS:RIP, whatever CS.limit says: what the field holds after
 * a triple fault on the processor that src/vmx models (the manual leaves it undefined there).
 */
static uint32_t
length_beyond_limit(struct vcpu *vcpu)
{
	struct x86_segment *cs = &vcpu->state->sregs.seg[SEG_CS];
	const struct x86_segment saved = *cs;
	uint32_t length;

	cs->limit = UINT32_MAX;
	cpu_push(vcpu->engine, VCPU_SREGS);
	length = cpu_instruction_length(vcpu->engine);
	*cs = saved;
	cpu_push(vcpu->engine, VCPU_SREGS);
	return (length);
}

static void
describe_exit(struct vcpu *vcpu, enum cpu_exit why)
{
	struct cpu *cpu = vcpu->engine;

	switch (why) {
	case CPU_EXIT_HLT:
		vmx_exit(vcpu, ENGINE_HLT, VMX_EXIT_HLT, false);
		vcpu->exit.instruction_length = 1;
		break;
	case CPU_EXIT_TRIPLE_FAULT:
		/* The fault leaves RF set in the saved RFLAGS (SDM vol. 3C, 28.3.3). */
		vcpu->state->gpr.rflags |= RFLAGS_RF;
		vmx_exit(vcpu, ENGINE_TRIPLE_FAULT, VMX_EXIT_TRIPLE_FAULT, false);
		vcpu->exit.instruction_length = length_beyond_limit(vcpu);
		break;
	case CPU_EXIT_HYPERCALL:
		vmx_exit(vcpu, ENGINE_HYPERCALL, VMX_EXIT_VMCALL, true);
		break;
	case CPU_EXIT_STOP:
		vcpu->exit.kind = ENGINE_STOPPED;
		break;
	case CPU_EXIT_INOUT:
		inout_exit(vcpu);
		break;
	case CPU_EXIT_PAGING:
		vmx_exit(vcpu, ENGINE_PAGING, VMX_EXIT_EPT_VIOLATION, true);
		vcpu->exit.gpa = cpu_hole_address(cpu);
		break;
	case CPU_EXIT_DEBUG:
		vcpu->exit.kind = ENGINE_DEBUG;
		vcpu->exit.watch = cpu_watch_hit(cpu);
		break;
	case CPU_EXIT_VARIES:
		vcpu->exit.kind = ENGINE_VARIES;
		break;
	case CPU_EXIT_ERROR:
		vcpu->exit.kind = ENGINE_ERROR;
		snprintf(vcpu->exit.text, sizeof(vcpu->exit.text), "%s", cpu_error(cpu));
		break;
	case CPU_EXIT_NONE:
	case CPU_EXIT_BUDGET:
		vcpu->exit.kind = ENGINE_CANCELED;
		break;
	}
}

static void
soft_run(struct vcpu *vcpu, uint64_t budget)
{
	struct cpu *cpu = vcpu->engine;
	enum cpu_exit why;

	if (!vcpu_enter(vcpu))
		return;
	vcpu->exit = (struct engine_exit_info){.rip = vcpu->state->gpr.rip};
	cpu_stop_varying(cpu, vcpu->options & ENGINE_OPT_VARIES);
	why = cpu_run(cpu, budget);
	cpu_pull(cpu);
	vcpu->exit.rip = vcpu->state->gpr.rip;
	describe_exit(vcpu, why);
	vcpu_note_exit(vcpu);
}

static void
soft_pull(struct vcpu *vcpu, unsigned groups)
{
	if (groups & VCPU_GPR)
		cpu_pull(vcpu->engine);
}

static void
soft_push(struct vcpu *vcpu, unsigned groups)
{
	cpu_push(vcpu->engine, groups);
}

static void
soft_kick(struct vcpu *vcpu)
{
	cpu_kick(vcpu->engine);
}

static void
soft_stop(struct vcpu *vcpu)
{
	cpu_stop(vcpu->engine);
}

static void
soft_set_intr(struct vcpu *vcpu, bool level)
{
	cpu_set_intr(vcpu->engine, level);
}

static void
soft_raise_nmi(struct vcpu *vcpu)
{
	cpu_raise_nmi(vcpu->engine);
}

static int
soft_watch(struct vcpu *vcpu, const struct cpu_watch *list, unsigned n)
{
	return (cpu_watch(vcpu->engine, list, n));
}

static void
soft_history(const struct vcpu *vcpu, struct vcpu_history *out)
{
	cpu_history(vcpu->engine, out);
}

_Static_assert(CPU_WRITTEN_MAX <= ENGINE_WRITTEN_MAX, "they fit");

static int
soft_written(struct vcpu *vcpu, uint64_t *pages)
{
	return (cpu_written(vcpu->engine, pages));
}

static uint64_t
soft_instructions(const struct vcpu *vcpu)
{
	return (cpu_instructions(vcpu->engine));
}

const struct engine_ops engine_soft = {
    .name = "soft",
    .create = soft_create,
    .destroy = soft_destroy,
    .run = soft_run,
    .pull = soft_pull,
    .push = soft_push,
    .kick = soft_kick,
    .stop = soft_stop,
    .set_intr = soft_set_intr,
    .raise_nmi = soft_raise_nmi,
    .instructions = soft_instructions,
    .watch = soft_watch,
    .history = soft_history,
    .written = soft_written,
};
