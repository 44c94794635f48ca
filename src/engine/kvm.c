/*
 * The KVM engine: a vCPU of Linux KVM behind the engine seam. The interrupt chips are ours, so that
 * a VM can move between engines; KVM is given one vector at a time, when the guest can take it.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/kvm.h"

#define NO_ADDRESS UINT64_MAX

int
kvm_failed(struct vcpu *vcpu, const char *what)
{
	const char *why = strerror(errno), *advice = "; use --engine soft";

	/* What failed first is the cause of the rest. */
	if (vcpu->exit.kind == ENGINE_ERROR)
		return (-1);
	vcpu->exit.kind = ENGINE_ERROR;
	if (errno == EFAULT && strcmp(what, "KVM_RUN") == 0) {
		why = "guest memory is not there: is its file system full?";
		advice = "";
	}
	snprintf(vcpu->exit.text, sizeof(vcpu->exit.text), "%s: %s%s", what, why, advice);
	return (-1);
}

/* --- entering the guest --------------------------------------------------------------------------------- */

/* KVM_EXIT_* only has the local APIC's task priority by run->cr8. */
static void
follow_cr8(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	if (k->run->cr8 == k->cr8)
		return;
	k->cr8 = k->run->cr8;
	if (vcpu->world.apic.write_cr8 != NULL)
		vcpu->world.apic.write_cr8(vcpu->world.apic.opaque, k->cr8);
}

/*
 * For kvm_find_death(). The top of the stack too: a guest that dies has often overwritten what the
 * BIOS returned by.
 */
static void
remember_entry(const struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	const struct kvm_sregs *sregs = &k->run->s.regs.sregs;
	uint64_t sp_mask = sregs->ss.db ? UINT32_MAX : UINT16_MAX;

	k->entry_regs = k->run->s.regs.regs;
	k->entry_sregs = *sregs;
	k->entry_unfinished = k->unfinished;
	k->entry_stack_at = sregs->ss.base + (k->entry_regs.rsp & sp_mask);
	k->has_entry_stack = !(sregs->cr0 & CR0_PG) &&
	    memory_read(vcpu->world.mem, k->entry_stack_at, k->entry_stack, sizeof(k->entry_stack));
}

/* The registers were not taken over: they stay the vCPU's, for who looks at them or goes on. */
static int
state_refused(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	k->dirty = k->had;
	k->run->kvm_dirty_regs = 0;
	if (vcpu->exit.kind != ENGINE_ERROR)
		snprintf(vcpu->exit.text, sizeof(vcpu->exit.text),
		    "KVM refuses this state of the vCPU (KVM_RUN: %s); --engine soft may take it",
		    strerror(EINVAL));
	vcpu->exit.kind = ENGINE_ERROR;
	return (-1);
}

int
kvm_enter_guest(struct vcpu *vcpu, bool complete_only)
{
	struct kvm_engine *k = vcpu->engine;
	bool refused = k->run->kvm_dirty_regs != 0;
	int error;

	if (!complete_only)
		remember_entry(vcpu);
	k->run->cr8 = k->cr8;
	atomic_store(&k->inside, true);
	__atomic_store_n(
	    &k->run->immediate_exit, complete_only || atomic_load(&k->kicked), __ATOMIC_SEQ_CST);
	error = ioctl(k->cpu, KVM_RUN, 0) != 0 ? errno : 0;
	atomic_store(&k->inside, false);
	if (error == EINVAL && refused)
		return (state_refused(vcpu));
	k->unfinished = false;
	k->had = k->dirty = 0;
	k->run->kvm_dirty_regs = 0;
	k->exit_rip = k->run->s.regs.regs.rip;
	k->exit_cs_base = k->run->s.regs.sregs.cs.base;
	follow_cr8(vcpu);
	errno = error;
	if (error == 0 || error == EINTR)
		return (error != 0);
	return (kvm_failed(vcpu, "KVM_RUN"));
}

/*
 * Have KVM finish the instruction of the last exit, so that the registers are those behind it. It
 * may exit again on the way, if it has more to ask for.
 */
static bool
complete(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	int result;

	while (k->unfinished) {
		result = kvm_enter_guest(vcpu, true);
		if (result < 0)
			return (false);
		if (result == 0 && !kvm_handle_exit(vcpu)) {
			if (vcpu->exit.kind != ENGINE_STOPPED)
				return (false);
			k->stopped = true; /* once it is done */
		}
	}
	return (true);
}

/*
 * Hand over what was changed. KVM finishes the last exit's instruction after it has taken the
 * registers: it skips an OUT whose RIP is unchanged, which is what is wanted; who moved RIP away
 * wants it left there.
 */
static bool
hand_over(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	const struct vcpu_state *s = vcpu->state;
	unsigned dirty = k->dirty;
	bool moved = ((dirty & VCPU_GPR) && s->gpr.rip != k->exit_rip) ||
	    ((dirty & VCPU_SREGS) && s->sregs.seg[SEG_CS].base != k->exit_cs_base);

	if (k->unfinished && moved) {
		struct vcpu_state wanted = *s;

		if (!complete(vcpu))
			return (false);
		*vcpu->state = wanted;
		k->dirty = dirty;
		k->had |= dirty;
	}
	if (k->map_changed && kvm_update_slots(vcpu) != 0)
		return (false);
	return (k->dirty == 0 || kvm_push_groups(vcpu) == 0);
}

/* Whether the guest takes an interrupt before its next instruction. */
static bool
can_interrupt(const struct vcpu *vcpu)
{
	const struct kvm_engine *k = vcpu->engine;

	/* Somebody wrote FLAGS since KVM told: the instruction that asked for it is over. */
	if (k->run->kvm_dirty_regs & KVM_SYNC_X86_REGS)
		return (k->unfinished && (k->run->s.regs.regs.rflags & RFLAGS_IF));
	return (k->run->if_flag && k->run->ready_for_interrupt_injection);
}

/* Give the guest an interrupt that waits, or have KVM tell when it can take it. */
static bool
inject(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	struct kvm_interrupt irq;
	int vector;

	k->entry_vector = -1;
	k->run->request_interrupt_window = 0;
	if (k->nmi && ioctl(k->cpu, KVM_NMI, 0) != 0)
		return (kvm_failed(vcpu, "KVM_NMI") == 0);
	k->nmi = false;
	if (!k->intr)
		return (true);
	if (!can_interrupt(vcpu)) {
		k->run->request_interrupt_window = 1;
		return (true);
	}
	vector = vcpu->world.int_ack != NULL ? vcpu->world.int_ack(vcpu->world.int_ack_opaque) : -1;
	if (vector < 0)
		return (true);
	irq.irq = (uint32_t)vector;
	if (ioctl(k->cpu, KVM_INTERRUPT, &irq) != 0)
		return (kvm_failed(vcpu, "KVM_INTERRUPT") == 0);
	k->entry_vector = vector;
	vcpu->counts.interrupts++;
	k->run->request_interrupt_window = k->intr;
	return (true);
}

/* Whether something waits to be delivered that the engine which ran before left, or a user. */
static bool
event_waits(const struct vcpu *vcpu)
{
	const struct kvm_engine *k = vcpu->engine;
	const struct vcpu_events *e = &vcpu->state->events;

	return ((k->dirty & VCPU_EVENTS) &&
	    (e->inject_type != EVENT_NONE || e->pending_debug != 0 ||
		(e->nmi_pending && !(e->interruptibility & SHADOW_NMI))));
}

/* HLT ends with an interrupt that is not masked, with an NMI, and with what waits. */
static bool
stays_halted(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	struct vcpu_state *s = vcpu->state;

	if (s->events.activity != VCPU_HLT)
		return (false);
	kvm_pull_groups(vcpu, VCPU_GPR);
	if (!k->nmi && !event_waits(vcpu) && !(k->intr && (s->gpr.rflags & RFLAGS_IF)))
		return (true);
	s->events.activity = VCPU_ACTIVE;
	return (false);
}

/*
 * KVM has no place for a software interrupt's length, nor for a trap that waits: the built-in CPU
 * delivers these.
 */
static bool
needs_built_in(const struct vcpu *vcpu)
{
	const struct kvm_engine *k = vcpu->engine;
	const struct vcpu_events *e = &vcpu->state->events;

	return (!k->unfinished && (k->dirty & VCPU_EVENTS) &&
	    (e->inject_type >= EVENT_SW_INTR || e->pending_debug != 0));
}

static void
halted(struct vcpu *vcpu)
{
	vcpu->exit.kind = ENGINE_HLT;
	vcpu->exit.reason = VMX_EXIT_HLT;
	vcpu->exit.instruction_length = 1;
}

/* One entry and what comes of it. False: the run is over. */
static bool
turn(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	int result;

	if (stays_halted(vcpu)) {
		halted(vcpu);
		return (false);
	}
	if (needs_built_in(vcpu))
		return (kvm_lend(vcpu));
	if (!hand_over(vcpu) || !kvm_go_on(vcpu) || !inject(vcpu))
		return (false);
	vcpu->counts.entries++;
	result = kvm_enter_guest(vcpu, false);
	if (result == 0)
		return (kvm_handle_exit(vcpu));
	if (result < 0)
		return (false);
	vcpu->counts.signals++;
	atomic_store(&k->kicked, false);
	vcpu->exit.kind = ENGINE_CANCELED;
	return (false);
}

/* --- running on ------------------------------------------------------------------------------------------ */

/* Enter until an exit ends the run, or with STEP until one instruction is done. */
static bool
go(struct vcpu *vcpu, bool step)
{
	struct kvm_engine *k = vcpu->engine;
	bool on;

	k->stepping = step;
	do
		on = turn(vcpu);
	while (on && !(step && k->unfinished));
	return (on);
}

/*
 * A breakpoint where the guest stands does not stop it again: step over it first. (RF would do, but
 * where KVM emulates it does not look at it.) False: the run is over.
 */
static bool
pass_breakpoint(struct vcpu *vcpu, bool step)
{
	struct kvm_engine *k = vcpu->engine;
	uint64_t at;
	bool stands = false;

	if (k->nwatches == 0)
		return (kvm_set_debug(vcpu, step, NO_ADDRESS));
	kvm_pull_groups(vcpu, VCPU_GPR | VCPU_SREGS);
	at = vcpu_linear_rip(vcpu->state);
	for (unsigned i = 0; i < k->nwatches; i++)
		stands |= kvm_stops_at(&k->watch[i], at);
	if (!stands || step)
		return (kvm_set_debug(vcpu, step, at));
	if (!kvm_set_debug(vcpu, true, at))
		return (false);
	k->stepped = false;
	return ((go(vcpu, true) || k->stepped) && kvm_set_debug(vcpu, false, NO_ADDRESS));
}

/* --- the operations ------------------------------------------------------------------------------------------ */

/* The caller does what the instruction asked for: KVM must forget it, the registers stay. */
static void
drop_instruction(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	struct vcpu_gprs gpr = vcpu->state->gpr;

	if (!complete(vcpu))
		return;
	vcpu->state->gpr = gpr;
	k->had |= VCPU_GPR;
	k->dirty |= VCPU_GPR;
}

/* The registers, and the exit, as everybody may look at them between two runs. */
static void
finish(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	const struct engine_exit_info why = vcpu->exit;

	if (why.kind == ENGINE_INOUT || why.kind == ENGINE_PAGING)
		drop_instruction(vcpu);
	else if (k->unfinished && hand_over(vcpu) && complete(vcpu)) {
		vcpu->exit = why;
		if (why.kind == ENGINE_CANCELED)
			kvm_go_on(vcpu);
	}
	kvm_pull_groups(vcpu, VCPU_GPR | VCPU_SREGS);
	vcpu->exit.rip = vcpu->state->gpr.rip;
	vcpu_note_exit(vcpu);
}

static void
kvm_run_vcpu(struct vcpu *vcpu, uint64_t budget)
{
	struct kvm_engine *k = vcpu->engine;
	uint64_t signals = vcpu->counts.signals;
	bool step = budget == 1;

	k->dirty |= vcpu->entry_unchecked ? VCPU_SREGS : 0;
	if (!vcpu_enter(vcpu))
		return;
	vcpu->exit = (struct engine_exit_info){.kind = ENGINE_CANCELED};
	k->stopped = false;
	if (kvm_take_thread(vcpu) != 0) {
		finish(vcpu);
		return;
	}
	kvm_start_slice(k, step ? UINT64_MAX : budget);
	if (pass_breakpoint(vcpu, step))
		go(vcpu, step);
	kvm_start_slice(k, UINT64_MAX);
	kvm_drain_signals();
	finish(vcpu);
	k->steps += step && vcpu->counts.signals == signals;
}

static void
kvm_destroy(struct vcpu *vcpu)
{
	memory_unlisten(vcpu->world.mem, vcpu->engine);
	kvm_end(vcpu->engine);
	vcpu->engine = NULL;
}

static void
kvm_pull(struct vcpu *vcpu, unsigned groups)
{
	struct kvm_engine *k = vcpu->engine;

	if (k->lending)
		vcpu_pull(&k->lent, groups);
	else
		kvm_pull_groups(vcpu, groups);
}

static void
kvm_push(struct vcpu *vcpu, unsigned groups)
{
	struct kvm_engine *k = vcpu->engine;

	if (k->lending)
		vcpu_push(&k->lent, groups);
	k->dirty |= groups;
	k->had |= groups;
}

static void
kvm_kick(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	atomic_store(&k->kicked, true);
	__atomic_store_n(&k->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (k->lending)
		vcpu_kick(&k->lent);
	if (atomic_load(&k->inside))
		pthread_kill(k->thread, KVM_KICK_SIGNAL);
}

static void
kvm_stop(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	k->stopped = true;
	if (k->lending)
		vcpu_stop(&k->lent);
}

static void
kvm_set_intr(struct vcpu *vcpu, bool level)
{
	struct kvm_engine *k = vcpu->engine;

	k->intr = level;
	if (k->lending)
		vcpu_set_intr(&k->lent, level);
}

static void
kvm_raise_nmi(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	k->nmi = true;
}

static void
kvm_history(const struct vcpu *vcpu, struct vcpu_history *out)
{
	const struct kvm_engine *k = vcpu->engine;

	*out = k->history;
}

/* KVM does not count them. */
static uint64_t
kvm_instructions(const struct vcpu *vcpu)
{
	const struct kvm_engine *k = vcpu->engine;

	return (k->steps);
}

const struct engine_ops engine_kvm = {
    .name = "kvm",
    .timed = true,
    .create = kvm_make,
    .destroy = kvm_destroy,
    .run = kvm_run_vcpu,
    .pull = kvm_pull,
    .push = kvm_push,
    .kick = kvm_kick,
    .stop = kvm_stop,
    .set_intr = kvm_set_intr,
    .raise_nmi = kvm_raise_nmi,
    .instructions = kvm_instructions,
    .watch = kvm_watch,
    .history = kvm_history,
};
