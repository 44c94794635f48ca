/* See lockstep.h: the engine's operations, and how the two come together. */
#include "engine/lockstep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/lockstep_parts.h"

#define COMPARED VCPU_ALL
#define SCAN_EXITS 4096	     /* between two looks at all of memory */
#define FREE_MAX 50000000ull /* instructions that the leader may be ahead */
#define SLICE_NS 20000000ull /* the follower runs so long before the machine is asked */
#define SLICE_INSNS 1000000u
/* The follower may take so long for each instruction of the leader, and to begin with. */
#define LOST_NS_INSN 5000u
#define LOST_NS 10000000000ull
#define TRY_NS 1000000000u /* to meet where the leader has not come to an exit */
#define COME_TRIES 50	   /* slices */
#define STEP_TRIES 16
/*
 * A follower that does not count is brought to where an interrupt may be let in by breakpoints: that
 * is for soon behind an exit, or else, in a guest that makes none, for after a while.
 */
#define NEAR_INSNS 5000u
#define FAR_INSNS 20000000u
#define WINDOW_EXACT 256 /* instructions to look at one by one for an interrupt window */

static uint64_t
host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
}

static struct vcpu *
leader_of(struct pair *p)
{
	return (&p->side[LOCKSTEP_LEADER].vcpu);
}

static struct vcpu *
follower_of(struct pair *p)
{
	return (&p->side[LOCKSTEP_FOLLOWER].vcpu);
}

static bool
found(const struct pair *p)
{
	return (p->ls->report.what != LOCKSTEP_SAME);
}

void
lockstep_found(struct pair *p, enum lockstep_what what)
{
	struct lockstep_report *r = &p->ls->report;

	if (found(p))
		return;
	r->what = what;
	r->exits = p->ls->exits;
	r->checked = p->scanned;
	r->instructions = vcpu_instructions(leader_of(p));
	vcpu_pull(follower_of(p), VCPU_ALL);
	r->side[LOCKSTEP_LEADER].state = p->point;
	r->side[LOCKSTEP_FOLLOWER].state = *follower_of(p)->state;
	for (unsigned i = 0; i < 2; i++)
		r->side[i].name = p->ls->engines[i]->name;
}

/*
 * Kicks, and signals for another vCPU of this thread, end a run before it did anything. An event may
 * be all that is delivered: then RIP moves.
 */
void
lockstep_step(struct vcpu *vcpu)
{
	uint64_t n = vcpu_instructions(vcpu), rip;

	vcpu_pull(vcpu, VCPU_GPR);
	rip = vcpu->state->gpr.rip;
	for (unsigned tries = 0; tries < STEP_TRIES; tries++) {
		vcpu_run(vcpu, 1);
		vcpu_pull(vcpu, VCPU_GPR);
		if (vcpu->exit.kind != ENGINE_CANCELED || vcpu_instructions(vcpu) != n ||
		    vcpu->state->gpr.rip != rip)
			break;
	}
}

/* --- the leader ------------------------------------------------------------------------------------- */

/* Where both are the same: this is what the next difference is looked for from. */
static void
met(struct pair *p)
{
	p->lag = LAG_NONE;
	p->nlog = p->next = 0;
	p->waited = p->given_up = 0;
}

static void
mark_start(struct pair *p)
{
	vcpu_pull(leader_of(p), VCPU_ALL);
	p->start = *p->outer->state;
	for (unsigned i = 0; i < 2; i++)
		p->start_count[i] = vcpu_instructions(&p->side[i].vcpu);
}

static uint64_t
leader_distance(struct pair *p)
{
	return (vcpu_instructions(leader_of(p)) - p->start_count[LOCKSTEP_LEADER]);
}

static uint64_t
follower_distance(struct pair *p)
{
	return (vcpu_instructions(follower_of(p)) - p->start_count[LOCKSTEP_FOLLOWER]);
}

/* Where the leader has come to. */
static void
look_at_leader(struct pair *p)
{
	struct vcpu *leader = leader_of(p);

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

static void
run_leader(struct pair *p, uint64_t budget)
{
	if (p->lag == LAG_NONE)
		mark_start(p);
	vcpu_run(leader_of(p), budget);
	look_at_leader(p);
}

/* --- the follower ----------------------------------------------------------------------------------- */

static struct lockstep_access
not_the_same(struct pair *p, const struct lockstep_access *access, enum lockstep_what what)
{
	struct lockstep_report *r = &p->ls->report;

	if (!found(p)) {
		lockstep_found(p, what);
		r->side[LOCKSTEP_FOLLOWER].has_access = true;
		r->side[LOCKSTEP_FOLLOWER].access = *access;
		if (p->next < p->nlog) {
			r->side[LOCKSTEP_LEADER].has_access = true;
			r->side[LOCKSTEP_LEADER].access = p->log[p->next];
		} else {
			r->side[LOCKSTEP_LEADER].has_exit = true;
			r->side[LOCKSTEP_LEADER].exit = leader_of(p)->exit.kind;
		}
	}
	vcpu_stop(follower_of(p));
	return ((struct lockstep_access){.value = UINT64_MAX});
}

static bool
same_access(const struct lockstep_access *a, const struct lockstep_access *b)
{
	return (a->kind == b->kind && a->write == b->write && a->address == b->address &&
	    (a->size == b->size || a->size == 0) && (!a->write || a->value == b->value));
}

/*
 * The follower's instruction makes one access more than the leader's has so far: a string
 * instruction, of which the leader makes one element at a time.
 */
static bool
ask_leader(struct pair *p)
{
	unsigned before = p->nlog;

	if (p->nlog == 0 || p->next < p->nlog || p->nested || p->overflow)
		return (p->next < p->nlog);
	if (p->nlog == LOG_MAX)
		p->nlog = p->next = before = 0;
	p->nested = true;
	run_leader(p, 1);
	p->nested = false;
	return (p->nlog > before);
}

/* What was pushed into the leader would hide that the follower was another before. */
static bool
same_before(struct pair *p)
{
	unsigned groups = p->during.groups & (VCPU_GPR | VCPU_SREGS);
	struct vcpu *follower = follower_of(p);
	struct vcpu_state before = p->before;

	if (groups == 0)
		return (true);
	vcpu_pull(follower, groups);
	/* At an access engines are on the instruction or behind it. */
	before.gpr.rip = follower->state->gpr.rip;
	if (lockstep_differs(&before, follower->state, groups) == NULL)
		return (true);
	lockstep_found(p, LOCKSTEP_REGISTERS);
	p->ls->report.side[LOCKSTEP_LEADER].state.gpr = before.gpr;
	p->ls->report.side[LOCKSTEP_LEADER].state.sregs = before.sregs;
	return (false);
}

struct lockstep_access
lockstep_follow(struct pair *p, struct lockstep_access access)
{
	const struct lockstep_access none = {.value = UINT64_MAX};
	struct lockstep_access *logged;

	if (found(p))
		return (none);
	if (p->next == p->nlog && !ask_leader(p))
		return (not_the_same(p, &access, LOCKSTEP_EXTRA));
	logged = &p->log[p->next];
	if (!same_access(logged, &access))
		return (not_the_same(p, &access, LOCKSTEP_ACCESS));
	p->next++;
	p->ls->accesses++;
	if (p->next < p->nlog)
		return (*logged);
	if (same_before(p))
		lockstep_apply(p, &p->during);
	vcpu_stop(follower_of(p));
	return (*logged);
}

/* Whether the exits of both are the same; the leader came to one that is an exit of the seam. */
static bool
is_exit(enum engine_exit kind)
{
	return (kind != ENGINE_CANCELED && kind != ENGINE_STOPPED && kind != ENGINE_VARIES);
}

static void
differing_exit(struct pair *p, enum lockstep_what what)
{
	struct lockstep_report *r = &p->ls->report;

	lockstep_found(p, what);
	if (p->next < p->nlog) {
		r->side[LOCKSTEP_LEADER].has_access = true;
		r->side[LOCKSTEP_LEADER].access = p->log[p->next];
	} else {
		r->side[LOCKSTEP_LEADER].has_exit = true;
		r->side[LOCKSTEP_LEADER].exit = leader_of(p)->exit.kind;
	}
	r->side[LOCKSTEP_FOLLOWER].has_exit = true;
	r->side[LOCKSTEP_FOLLOWER].exit = follower_of(p)->exit.kind;
}

/* Instructions that the follower has to make yet, of an engine that counts. */
static uint64_t
missing(struct pair *p)
{
	uint64_t done = follower_distance(p), distance = leader_distance(p);

	return (done < distance ? distance - done : 0);
}

static bool
same_registers_quietly(struct pair *p)
{
	vcpu_pull(follower_of(p), VCPU_ALL);
	return (lockstep_differs(&p->point, follower_of(p)->state, COMPARED) == NULL);
}

/*
 * To the leader's instruction by counting. A delivery of an event is none: the leader may have made
 * one behind the last.
 */
static bool
count_to_point(struct pair *p)
{
	struct vcpu *follower = follower_of(p);
	uint64_t n = missing(p);
	struct vcpu_state there;

	if (n > 0) {
		vcpu_run(follower, n < SLICE_INSNS ? n : SLICE_INSNS);
		if (is_exit(follower->exit.kind))
			differing_exit(p, LOCKSTEP_EXIT);
		return (found(p));
	}
	if (same_registers_quietly(p))
		return (true);
	there = *follower->state;
	n = vcpu_instructions(follower);
	vcpu_run(follower, 1);
	if (vcpu_instructions(follower) == n && same_registers_quietly(p))
		return (true);
	lockstep_found(p, LOCKSTEP_REGISTERS);
	p->ls->report.side[LOCKSTEP_FOLLOWER].state = there;
	return (true);
}

static uint64_t
linear_rip(const struct vcpu_state *s)
{
	const struct x86_segment *cs = &s->sregs.seg[SEG_CS];

	if ((s->sregs.efer & EFER_LMA) && (cs->access & AR_L))
		return (s->gpr.rip);
	return ((uint32_t)(cs->base + s->gpr.rip));
}

void
lockstep_run_to(struct vcpu *vcpu, const struct vcpu_state *point, uint64_t budget)
{
	const struct cpu_watch watch = {
	    .address = linear_rip(point), .bytes = 1, .kinds = WATCH_EXEC};

	/*
	 * It may stand there already. Elsewhere RF would hide the breakpoint, if the next instruction
	 * is one that the engine emulates: not all clear RF then.
	 */
	vcpu_pull(vcpu, VCPU_GPR | VCPU_SREGS);
	if (linear_rip(vcpu->state) == watch.address)
		vcpu->state->gpr.rflags |= RFLAGS_RF;
	else
		vcpu->state->gpr.rflags &= ~(uint64_t)RFLAGS_RF;
	vcpu_push(vcpu, VCPU_GPR);
	if (vcpu_watch(vcpu, &watch, 1) != 0) {
		vcpu->exit = (struct engine_exit_info){
		    .kind = ENGINE_ERROR, .text = "no breakpoint can be had"};
		return;
	}
	vcpu_run(vcpu, budget);
	vcpu_watch(vcpu, NULL, 0);
	vcpu_pull(vcpu, VCPU_ALL);
}

void
lockstep_come_to(struct vcpu *vcpu, const struct vcpu_state *point)
{
	for (unsigned tries = 0; tries < COME_TRIES; tries++) {
		lockstep_run_to(vcpu, point, SLICE_INSNS);
		if (vcpu->exit.kind != ENGINE_CANCELED || vcpu->state->gpr.rip == point->gpr.rip)
			break;
	}
}

/*
 * To the leader's instruction by a breakpoint: it may be passed many times before the registers and
 * the memory are the leader's. Where the leader stopped before what varies, it is the first time.
 */
static bool
watch_to_point(struct pair *p)
{
	struct vcpu *follower = follower_of(p);
	bool first = leader_of(p)->exit.kind == ENGINE_VARIES;

	if (same_registers_quietly(p) && (first || lockstep_seems_same(p)))
		return (true);
	lockstep_run_to(follower, &p->point, SLICE_INSNS);
	if (follower->exit.kind == ENGINE_DEBUG) {
		if (first && !same_registers_quietly(p))
			lockstep_found(p, LOCKSTEP_REGISTERS);
	} else if (is_exit(follower->exit.kind)) {
		differing_exit(p, LOCKSTEP_EXIT);
	}
	return (found(p));
}

/* On to the access or exit that the leader is at. True: there, or found that it is not. */
static bool
run_to_exit(struct pair *p)
{
	struct vcpu *follower = follower_of(p);
	enum engine_exit want = leader_of(p)->exit.kind, kind;
	uint64_t n = follower->ops->timed ? SLICE_INSNS : missing(p) + 1;

	vcpu_run(follower, n < SLICE_INSNS ? n : SLICE_INSNS);
	if (found(p))
		return (true);
	kind = follower->exit.kind;
	if (p->next == p->nlog && kind == want && is_exit(kind))
		return (true);
	if (p->next == p->nlog && !is_exit(want) && !is_exit(kind) && p->nlog > 0 &&
	    (kind == ENGINE_STOPPED || !follower->ops->timed))
		return (follower->ops->timed || missing(p) == 0);
	if (is_exit(kind) || (!follower->ops->timed && follower_distance(p) > leader_distance(p)))
		differing_exit(p, p->next < p->nlog ? LOCKSTEP_MISSING : LOCKSTEP_EXIT);
	return (found(p));
}

static bool
go_on(struct pair *p)
{
	enum engine_exit kind = leader_of(p)->exit.kind;

	if (p->nlog == 0 && (kind == ENGINE_CANCELED || kind == ENGINE_VARIES))
		return (follower_of(p)->ops->timed ? watch_to_point(p) : count_to_point(p));
	return (run_to_exit(p));
}

/*
 * Behind the last element of a string instruction engines are on it still or behind it. On to where
 * the leader is, if that is all.
 */
static bool
settle(struct pair *p)
{
	struct vcpu *follower = follower_of(p);
	struct vcpu_state point = p->point;

	point.gpr.rip = follower->state->gpr.rip;
	if (!follower->ops->timed || p->nlog == 0 ||
	    lockstep_differs(&point, follower->state, COMPARED) != NULL)
		return (false);
	lockstep_come_to(follower, &p->point);
	return (!found(p) && same_registers_quietly(p));
}

/* Both are at the same place: is all the same there? */
static void
compare(struct pair *p)
{
	if (!same_registers_quietly(p) && !settle(p)) {
		lockstep_found(p, LOCKSTEP_REGISTERS);
		return;
	}
	lockstep_apply(p, &p->after);
	if (lockstep_same_memory(p, p->ls->exits - p->scanned >= SCAN_EXITS))
		p->ls->exits++;
}

/* Let the follower come to the leader. True: there, or a difference was found; false: not yet. */
static bool
meet(struct pair *p)
{
	uint64_t began = host_ns(), now = began;
	bool there = false;

	while (!there && now - began < SLICE_NS) {
		there = go_on(p);
		now = host_ns();
	}
	p->waited += now - began;
	if (!there && p->lag == LAG_FREE && p->waited > TRY_NS) {
		/* Not here, which may be in the middle of a long loop; somewhere later. */
		p->waited = 0;
		p->given_up = leader_distance(p);
	} else if (!there && p->waited > LOST_NS + leader_distance(p) * LOST_NS_INSN) {
		differing_exit(p, LOCKSTEP_LOST);
	}
	if (!there && !found(p))
		return (false);
	if (!found(p))
		compare(p);
	if (found(p))
		lockstep_narrow(p);
	else
		met(p);
	return (true);
}

/* --- what varies ------------------------------------------------------------------------------------- */

void
lockstep_step_varying(struct vcpu *leader)
{
	leader->options &= ~(unsigned)ENGINE_OPT_VARIES;
	lockstep_step(leader);
	leader->options |= ENGINE_OPT_VARIES;
}

/* They are those that change in either; and RDRAND's carry. */
void
lockstep_take_results(
    const struct vcpu_state *before, const struct vcpu_state *leader, struct vcpu *follower)
{
	struct vcpu_gprs *other = &follower->state->gpr;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		if (leader->gpr.reg[i] != before->gpr.reg[i] || other->reg[i] != before->gpr.reg[i])
			other->reg[i] = leader->gpr.reg[i];
	other->rflags = (other->rflags & ~(uint64_t)RFLAGS_CF) | (leader->gpr.rflags & RFLAGS_CF);
	vcpu_push(follower, VCPU_GPR);
}

/*
 * Both have met before an instruction whose answer varies: the registers that it writes become the
 * leader's.
 */
static void
step_varying(struct pair *p)
{
	struct vcpu *follower = follower_of(p);

	mark_start(p);
	lockstep_step_varying(leader_of(p));
	look_at_leader(p);
	if (p->lag != LAG_FREE || p->point.gpr.rip == p->start.gpr.rip)
		return;
	if (follower->ops->timed)
		lockstep_come_to(follower, &p->point);
	else
		lockstep_step(follower);
	if (found(p))
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
		vcpu_raise_nmi(leader_of(p));
		vcpu_raise_nmi(follower_of(p));
	}
	if (!interrupt_waits(p) || events->nmi_pending)
		return;
	events->inject_vector = (uint8_t)p->outer->world.int_ack(p->outer->world.int_ack_opaque);
	events->inject_type = EVENT_HW_INTR;
	events->inject_has_error = 0;
	events->activity = VCPU_ACTIVE;
	vcpu_push(leader_of(p), VCPU_EVENTS);
	lockstep_pushed(p, VCPU_EVENTS);
}

static bool
is_near(struct pair *p)
{
	return (p->lag == LAG_NONE || leader_distance(p) < NEAR_INSNS);
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
	    (follower_of(p)->ops->timed && !is_near(p))) {
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

	vcpu->exit = leader_of(p)->exit;
	if (vcpu->exit.kind == ENGINE_VARIES)
		vcpu->exit.kind = ENGINE_CANCELED;
	if (!found(p))
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
	if (p->lag == LAG_DUE || !follower_of(p)->ops->timed || p->after.groups != 0 ||
	    p->after.map || p->after.nranges != 0)
		return (true);
	if (interrupt_waits(p) || p->nmi)
		return (is_near(p) || leader_distance(p) > p->given_up + FAR_INSNS);
	return (leader_distance(p) > p->given_up + FREE_MAX);
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
	if (found(p)) {
		tell_exit(p);
		return;
	}
	if (must_meet(p)) {
		if (!meet(p))
			return;
		if (leader_of(p)->exit.kind != ENGINE_CANCELED || found(p)) {
			tell_exit(p);
			return;
		}
	}
	take_entry(p);
	varies = p->lag == LAG_NONE && leader_of(p)->exit.kind == ENGINE_VARIES &&
	    vcpu->state->gpr.rip == p->point.gpr.rip;
	if (p->lag == LAG_NONE && !varies)
		let_interrupts_in(p);
	if (sleeps(p)) {
		vcpu->exit = leader_of(p)->exit;
		vcpu->exit.kind = ENGINE_HLT;
		return;
	}
	if (varies)
		step_varying(p);
	else
		run_leader(p, within_window(p, budget));
	if (p->overflow || (must_meet(p) && meet(p)))
		tell_exit(p);
}

static void
pair_pull(struct vcpu *vcpu, unsigned groups)
{
	struct pair *p = vcpu->engine;

	vcpu_pull(leader_of(p), groups);
}

static void
pair_push(struct vcpu *vcpu, unsigned groups)
{
	struct pair *p = vcpu->engine;

	vcpu_push(leader_of(p), groups);
	lockstep_pushed(p, groups);
}

static void
pair_kick(struct vcpu *vcpu)
{
	struct pair *p = vcpu->engine;

	vcpu_kick(leader_of(p));
	vcpu_kick(follower_of(p));
}

static void
pair_stop(struct vcpu *vcpu)
{
	struct pair *p = vcpu->engine;

	vcpu_stop(leader_of(p));
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

	return (vcpu_instructions(leader_of(p)));
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

	vcpu_history(leader_of(p), out);
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

	if (p == NULL || found(p) || p->overflow)
		return (false);
	if (p->lag != LAG_NONE && !meet(p))
		return (false);
	if (!found(p))
		(void)lockstep_same_memory(p, true);
	return (!found(p));
}
