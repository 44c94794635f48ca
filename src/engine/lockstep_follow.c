/*
 * The follower: on to where the leader is, by counting, by breakpoints or to the next exit; and the
 * comparison there.
 */
#include "bus/clock.h"
#include "engine/lockstep_parts.h"

#define COMPARED VCPU_ALL
#define SCAN_EXITS 4096	     /* between two looks at all of memory */
#define SLICE_NS 20000000ull /* the follower runs so long before the machine is asked */
/* The follower may take so long for each instruction of the leader, and to begin with. */
#define LOST_NS_INSN 5000u
#define LOST_NS 10000000000ull
#define TRY_NS 1000000000u /* to meet where the leader has not come to an exit */

static uint64_t
follower_distance(struct pair *p)
{
	return (vcpu_instructions(lockstep_follower(p)) - p->start_count[LOCKSTEP_FOLLOWER]);
}

void
lockstep_found(struct pair *p, enum lockstep_what what)
{
	struct lockstep_report *r = &p->ls->report;

	if (lockstep_is_found(p))
		return;
	r->what = what;
	r->exits = p->ls->exits;
	r->checked = p->scanned;
	r->instructions = vcpu_instructions(lockstep_leader(p));
	vcpu_pull(lockstep_follower(p), VCPU_ALL);
	r->side[LOCKSTEP_LEADER].state = p->point;
	r->side[LOCKSTEP_FOLLOWER].state = *lockstep_follower(p)->state;
	for (unsigned i = 0; i < 2; i++)
		r->side[i].name = p->ls->engines[i]->name;
}

/* What the leader did where the follower did something else. */
static void
tell_leader(struct pair *p)
{
	struct lockstep_side *leader = &p->ls->report.side[LOCKSTEP_LEADER];

	leader->has_access = p->next < p->nlog;
	leader->has_exit = !leader->has_access;
	if (leader->has_access)
		leader->access = p->log[p->next];
	else
		leader->exit = lockstep_leader(p)->exit.kind;
}

static struct lockstep_access
not_the_same(struct pair *p, const struct lockstep_access *access, enum lockstep_what what)
{
	struct lockstep_report *r = &p->ls->report;

	if (!lockstep_is_found(p)) {
		lockstep_found(p, what);
		r->side[LOCKSTEP_FOLLOWER].has_access = true;
		r->side[LOCKSTEP_FOLLOWER].access = *access;
		tell_leader(p);
	}
	vcpu_stop(lockstep_follower(p));
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
	lockstep_run_leader(p, 1);
	p->nested = false;
	return (p->nlog > before);
}

/* What was pushed into the leader would hide that the follower was another before. */
static bool
same_before(struct pair *p)
{
	unsigned groups = p->during.groups & (VCPU_GPR | VCPU_SREGS);
	struct vcpu *follower = lockstep_follower(p);
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

	if (lockstep_is_found(p))
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
	vcpu_stop(lockstep_follower(p));
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
	tell_leader(p);
	r->side[LOCKSTEP_FOLLOWER].has_exit = true;
	r->side[LOCKSTEP_FOLLOWER].exit = lockstep_follower(p)->exit.kind;
}

/* Instructions that the follower has to make yet, of an engine that counts. */
static uint64_t
missing(struct pair *p)
{
	uint64_t done = follower_distance(p), distance = lockstep_distance(p);

	return (done < distance ? distance - done : 0);
}

static bool
same_registers_quietly(struct pair *p)
{
	vcpu_pull(lockstep_follower(p), VCPU_ALL);
	return (lockstep_differs(&p->point, lockstep_follower(p)->state, COMPARED) == NULL);
}

/*
 * To the leader's instruction by counting. A delivery of an event is none: the leader may have made
 * one behind the last.
 */
static bool
count_to_point(struct pair *p)
{
	struct vcpu *follower = lockstep_follower(p);
	uint64_t n = missing(p);
	struct vcpu_state there;

	if (n > 0) {
		vcpu_run(follower, n < SLICE_INSNS ? n : SLICE_INSNS);
		if (is_exit(follower->exit.kind))
			differing_exit(p, LOCKSTEP_EXIT);
		return (lockstep_is_found(p));
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

/*
 * To the leader's instruction by a breakpoint: it may be passed many times before the registers and
 * the memory are the leader's. Where the leader stopped before what varies, it is the first time.
 */
static bool
watch_to_point(struct pair *p)
{
	struct vcpu *follower = lockstep_follower(p);
	bool first = lockstep_leader(p)->exit.kind == ENGINE_VARIES;

	if (same_registers_quietly(p) && (first || lockstep_seems_same(p)))
		return (true);
	lockstep_run_to(follower, &p->point, SLICE_INSNS);
	if (follower->exit.kind == ENGINE_DEBUG) {
		if (first && !same_registers_quietly(p))
			lockstep_found(p, LOCKSTEP_REGISTERS);
	} else if (is_exit(follower->exit.kind)) {
		differing_exit(p, LOCKSTEP_EXIT);
	}
	return (lockstep_is_found(p));
}

/* On to the access or exit that the leader is at. True: there, or found that it is not. */
static bool
run_to_exit(struct pair *p)
{
	struct vcpu *follower = lockstep_follower(p);
	enum engine_exit want = lockstep_leader(p)->exit.kind, kind;
	uint64_t n = follower->ops->timed ? SLICE_INSNS : missing(p) + 1;

	vcpu_run(follower, n < SLICE_INSNS ? n : SLICE_INSNS);
	if (lockstep_is_found(p))
		return (true);
	kind = follower->exit.kind;
	if (p->next == p->nlog && kind == want && is_exit(kind))
		return (true);
	if (p->next == p->nlog && !is_exit(want) && !is_exit(kind) && p->nlog > 0 &&
	    (kind == ENGINE_STOPPED || !follower->ops->timed))
		return (follower->ops->timed || missing(p) == 0);
	if (is_exit(kind) || (!follower->ops->timed && follower_distance(p) > lockstep_distance(p)))
		differing_exit(p, p->next < p->nlog ? LOCKSTEP_MISSING : LOCKSTEP_EXIT);
	return (lockstep_is_found(p));
}

static bool
go_on(struct pair *p)
{
	enum engine_exit kind = lockstep_leader(p)->exit.kind;

	if (p->nlog == 0 && (kind == ENGINE_CANCELED || kind == ENGINE_VARIES))
		return (lockstep_follower(p)->ops->timed ? watch_to_point(p) : count_to_point(p));
	return (run_to_exit(p));
}

/*
 * Behind the last element of a string instruction engines are on it still or behind it. On to where
 * the leader is, if that is all.
 */
static bool
settle(struct pair *p)
{
	struct vcpu *follower = lockstep_follower(p);
	struct vcpu_state point = p->point;

	point.gpr.rip = follower->state->gpr.rip;
	if (!follower->ops->timed || p->nlog == 0 ||
	    lockstep_differs(&point, follower->state, COMPARED) != NULL)
		return (false);
	lockstep_come_to(follower, &p->point);
	return (!lockstep_is_found(p) && same_registers_quietly(p));
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

/* Where both are the same: this is what the next difference is looked for from. */
static void
met(struct pair *p)
{
	p->lag = LAG_NONE;
	p->nlog = p->next = 0;
	p->waited = p->given_up = 0;
}

bool
lockstep_meet(struct pair *p)
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
		p->given_up = lockstep_distance(p);
	} else if (!there && p->waited > LOST_NS + lockstep_distance(p) * LOST_NS_INSN) {
		differing_exit(p, LOCKSTEP_LOST);
	}
	if (!there && !lockstep_is_found(p))
		return (false);
	if (!lockstep_is_found(p))
		compare(p);
	if (lockstep_is_found(p))
		lockstep_narrow(p);
	else
		met(p);
	return (true);
}
