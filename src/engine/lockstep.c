/* See lockstep.h: the engine's operations, and how the two come together. */
#include "engine/lockstep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/lockstep_parts.h"

#define FREE_MAX 50000000ull /* instructions that the leader may be ahead */
/*
 * A follower that does not count is brought to where an interrupt may be let in by breakpoints: that
 * is for soon behind an exit, or else, in a guest that makes none, for after a while.
 */
#define NEAR_INSNS 5000u
#define FAR_INSNS 20000000u
#define WINDOW_EXACT 256 /* instructions to look at one by one for an interrupt window */

/* --- the leader ------------------------------------------------------------------------------------- */

static void
mark_start(struct pair *p)
{
	vcpu_pull(lockstep_leader(p), VCPU_ALL);
	p->start = *p->outer->state;
	for (unsigned i = 0; i < 2; i++)
		p->start_count[i] = vcpu_instructions(&p->side[i].vcpu);
}

uint64_t
lockstep_distance(struct pair *p)
{
	return (vcpu_instructions(lockstep_leader(p)) - p->start_count[LOCKSTEP_LEADER]);
}

/* Where the leader has come to. */
static void
look_at_leader(struct pair *p)
{
	struct vcpu *leader = lockstep_leader(p);

	vcpu_pull(leader, VCPU_ALL);
	p->point = *p->outer->state;
	if (p->overflow) {
		leader->exit.kind = ENGINE_ERROR;
		snprintf(leader->exit.text, sizeof(leader->exit.text),
		    "more than %d accesses to devices by one instruction", LOG_MAX);
	}
	/* An access of the last run may have asked for a stop that comes only now. */
	if (p->nlog == 0 && leader->exit.kind == ENGINE_STOPPED)
		leader->exit.kind = ENGINE_CANCELED;
	p->lag = p->nlog == 0 && leader->exit.kind == ENGINE_CANCELED ? LAG_FREE : LAG_DUE;
}

void
lockstep_run_leader(struct pair *p, uint64_t budget)
{
	if (p->lag == LAG_NONE)
		mark_start(p);
	vcpu_run(lockstep_leader(p), budget);
	look_at_leader(p);
}

/* --- what varies ------------------------------------------------------------------------------------- */

/*
 * Both have met before an instruction whose answer varies: the registers that it writes become the
 * leader's.
 */
static void
step_varying(struct pair *p)
{
	struct vcpu *follower = lockstep_follower(p);

	mark_start(p);
	lockstep_step_varying(lockstep_leader(p));
	look_at_leader(p);
	if (p->lag != LAG_FREE || p->point.gpr.rip == p->start.gpr.rip)
		return;
	if (follower->ops->timed)
		lockstep_come_to(follower, &p->point);
	else
		lockstep_step(follower);
	if (lockstep_is_found(p))
		return;
	vcpu_pull(follower, VCPU_ALL);
	if (follower->state->gpr.rip != p->point.gpr.rip) {
		lockstep_found(p, LOCKSTEP_REGISTERS);
		lockstep_narrow(p);
		return;
	}
	lockstep_take_results(&p->start, &p->point, follower);
	p->ls->varied++;
}

/* --- interrupts -------------------------------------------------------------------------------------- */

static bool
may_interrupt(const struct pair *p)
{
	const struct vcpu_state *s = p->outer->state;

	return ((s->gpr.rflags & RFLAGS_IF) && s->events.inject_type == EVENT_NONE &&
	    !(s->events.interruptibility & (SHADOW_STI | SHADOW_MOVSS)) &&
	    s->events.pending_debug == 0 && s->events.activity <= VCPU_HLT);
}

static bool
interrupt_waits(const struct pair *p)
{
	return (p->intr && p->outer->world.int_ack != NULL && may_interrupt(p));
}

/* Both have met. */
static void
let_interrupts_in(struct pair *p)
{
	struct vcpu_events *events = &p->outer->state->events;

	if (p->nmi) {
		p->nmi = false;
		vcpu_raise_nmi(lockstep_leader(p));
		vcpu_raise_nmi(lockstep_follower(p));
	}
	if (!interrupt_waits(p) || events->nmi_pending)
		return;
	events->inject_vector = (uint8_t)p->outer->world.int_ack(p->outer->world.int_ack_opaque);
	events->inject_type = EVENT_HW_INTR;
	events->inject_has_error = 0;
	events->activity = VCPU_ACTIVE;
	vcpu_push(lockstep_leader(p), VCPU_EVENTS);
	lockstep_pushed(p, VCPU_EVENTS);
}

static bool
is_near(struct pair *p)
{
	return (p->lag == LAG_NONE || lockstep_distance(p) < NEAR_INSNS);
}

/*
 * While INTR waits for the guest to let it in, the leader is looked at after each instruction, later
 * less often.
 */
static uint64_t
within_window(struct pair *p, uint64_t budget)
{
	uint64_t most = budget;

	if (!p->intr || p->outer->world.int_ack == NULL ||
	    (lockstep_follower(p)->ops->timed && !is_near(p))) {
		p->window = 0;
	} else {
		most = p->window < WINDOW_EXACT ? 1 : p->window / 16;
		most = most < budget ? most : budget;
		p->window += most;
	}
	/* The delivery of an event alone is nothing that every engine can stop behind. */
	return (most == 1 && p->outer->state->events.inject_type != EVENT_NONE ? 2 : most);
}

/* --- the engine's operations -------------------------------------------------------------------------- */

static int
pair_create(struct vcpu *vcpu)
{
	struct lockstep *ls = vcpu->world.lockstep;
	struct pair *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		errno = ENOMEM;
		return (-1);
	}
	vcpu->engine = p;
	p->outer = vcpu;
	p->ls = ls;
	ls->pair = p;
	if (lockstep_world_init(p) == 0)
		return (0);
	for (unsigned i = 0; i < 2; i++)
		if (p->side[i].vcpu.exit.text[0] != '\0')
			vcpu->exit = p->side[i].vcpu.exit;
	lockstep_world_fini(p);
	free(p);
	vcpu->engine = NULL;
	ls->pair = NULL;
	return (-1);
}

static void
pair_destroy(struct vcpu *vcpu)
{
	struct pair *p = vcpu->engine;

	if (p == NULL)
		return;
	p->ls->pair = NULL;
	lockstep_world_fini(p);
	free(p);
	vcpu->engine = NULL;
}

static void
canceled(struct vcpu *vcpu)
{
	vcpu->exit =
	    (struct engine_exit_info){.kind = ENGINE_CANCELED, .rip = vcpu->state->gpr.rip};
}

/* What the run comes back with, once both have met. */
static void
tell_exit(struct pair *p)
{
	struct vcpu *vcpu = p->outer;

	vcpu->exit = lockstep_leader(p)->exit;
	if (vcpu->exit.kind == ENGINE_VARIES)
		vcpu->exit.kind = ENGINE_CANCELED;
	if (!lockstep_is_found(p))
		return;
	vcpu->exit.kind = ENGINE_ERROR;
	snprintf(vcpu->exit.text, sizeof(vcpu->exit.text), "the engines differ");
}

/* Whether the follower must come now. */
static bool
must_meet(struct pair *p)
{
	if (p->lag == LAG_NONE)
		return (false);
	if (p->lag == LAG_DUE || !lockstep_follower(p)->ops->timed || p->after.groups != 0 ||
	    p->after.map || p->after.nranges != 0)
		return (true);
	if (interrupt_waits(p) || p->nmi)
		return (is_near(p) || lockstep_distance(p) > p->given_up + FAR_INSNS);
	return (lockstep_distance(p) > p->given_up + FREE_MAX);
}

/* HLT goes on until something wakes it. */
static bool
sleeps(struct pair *p)
{
	const struct vcpu_events *events = &p->outer->state->events;

	return (p->lag == LAG_NONE && events->activity == VCPU_HLT && !events->nmi_pending &&
	    events->inject_type == EVENT_NONE && events->pending_debug == 0);
}

static void
take_entry(struct pair *p)
{
	struct vcpu *vcpu = p->outer;

	if (!vcpu->entry_unchecked)
		return;
	vcpu->entry_unchecked = false;
	for (unsigned i = 0; i < 2; i++)
		p->side[i].vcpu.entry_unchecked = true;
	if (vcpu->vmx != NULL)
		p->side[LOCKSTEP_FOLLOWER].vmx = *vcpu->vmx;
}

static void
pair_run(struct vcpu *vcpu, uint64_t budget)
{
	struct pair *p = vcpu->engine;
	bool varies;

	canceled(vcpu);
	if (lockstep_is_found(p)) {
		tell_exit(p);
		return;
	}
	if (must_meet(p)) {
		if (!lockstep_meet(p))
			return;
		if (lockstep_leader(p)->exit.kind != ENGINE_CANCELED || lockstep_is_found(p)) {
			tell_exit(p);
			return;
		}
	}
	take_entry(p);
	varies = p->lag == LAG_NONE && lockstep_leader(p)->exit.kind == ENGINE_VARIES &&
	    vcpu->state->gpr.rip == p->point.gpr.rip;
	if (p->lag == LAG_NONE && !varies)
		let_interrupts_in(p);
	if (sleeps(p)) {
		vcpu->exit = lockstep_leader(p)->exit;
		vcpu->exit.kind = ENGINE_HLT;
		return;
	}
	if (varies)
		step_varying(p);
	else
		lockstep_run_leader(p, within_window(p, budget));
	if (p->overflow || (must_meet(p) && lockstep_meet(p)))
		tell_exit(p);
}

static void
pair_pull(struct vcpu *vcpu, unsigned groups)
{
	struct pair *p = vcpu->engine;

	vcpu_pull(lockstep_leader(p), groups);
}

static void
pair_push(struct vcpu *vcpu, unsigned groups)
{
	struct pair *p = vcpu->engine;

	vcpu_push(lockstep_leader(p), groups);
	lockstep_pushed(p, groups);
}

static void
pair_kick(struct vcpu *vcpu)
{
	struct pair *p = vcpu->engine;

	vcpu_kick(lockstep_leader(p));
	vcpu_kick(lockstep_follower(p));
}

static void
pair_stop(struct vcpu *vcpu)
{
	struct pair *p = vcpu->engine;

	vcpu_stop(lockstep_leader(p));
}

static void
pair_set_intr(struct vcpu *vcpu, bool level)
{
	struct pair *p = vcpu->engine;

	p->intr = level;
}

static void
pair_raise_nmi(struct vcpu *vcpu)
{
	struct pair *p = vcpu->engine;

	p->nmi = true;
}

static uint64_t
pair_instructions(const struct vcpu *vcpu)
{
	struct pair *p = vcpu->engine;

	return (vcpu_instructions(lockstep_leader(p)));
}

/* There is no debugger of two. */
static int
pair_watch(struct vcpu *vcpu, const struct cpu_watch *list, unsigned n)
{
	(void)vcpu;
	(void)list;
	return (n == 0 ? 0 : -1);
}

static void
pair_history(const struct vcpu *vcpu, struct vcpu_history *out)
{
	struct pair *p = vcpu->engine;

	vcpu_history(lockstep_leader(p), out);
}

const struct engine_ops engine_lockstep = {
    .name = "lockstep",
    .create = pair_create,
    .destroy = pair_destroy,
    .run = pair_run,
    .pull = pair_pull,
    .push = pair_push,
    .kick = pair_kick,
    .stop = pair_stop,
    .set_intr = pair_set_intr,
    .raise_nmi = pair_raise_nmi,
    .instructions = pair_instructions,
    .watch = pair_watch,
    .history = pair_history,
};

bool
lockstep_finish(struct lockstep *ls)
{
	struct pair *p = ls->pair;

	if (p == NULL || lockstep_is_found(p) || p->overflow)
		return (false);
	if (p->lag != LAG_NONE && !lockstep_meet(p))
		return (false);
	if (!lockstep_is_found(p))
		(void)lockstep_same_memory(p, true);
	return (!lockstep_is_found(p));
}
