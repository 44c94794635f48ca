/*
 * Which instruction it was: both engines anew, on private copies of memory as it was when they last
 * met, one instruction at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/lockstep_parts.h"

#define STEPS_MAX 1000000u    /* to be made by both */
#define STEPS_MAX_SLOW 20000u /* with an engine that counts nothing */
#define ROUNDS_MAX 1000000u
#define LAST LOCKSTEP_STEPS

/* One engine that is tried again. */
struct trial {
	struct vcpu vcpu;
	struct vcpu_state state;
	struct vmx vmx;
	struct memory mem;
	struct bus bus;
	bool access; /* it came to one */
	bool varies; /* its last instruction was one whose answer varies */
};

static void
reached(struct trial *t)
{
	t->access = true;
	vcpu_stop(&t->vcpu);
}

static uint32_t
port_read(void *chip, uint16_t port, unsigned size)
{
	(void)port;
	(void)size;
	reached(chip);
	return (UINT32_MAX);
}

static void
port_write(void *chip, uint16_t port, unsigned size, uint32_t value)
{
	(void)port;
	(void)size;
	(void)value;
	reached(chip);
}

static uint64_t
mmio_read(void *opaque, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	reached(opaque);
	return (UINT64_MAX);
}

static void
mmio_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	(void)size;
	(void)value;
	reached(opaque);
}

static bool
read_msr(void *opaque, uint32_t number, uint64_t *value)
{
	(void)number;
	*value = 0;
	reached(opaque);
	return (true);
}

static bool
write_msr(void *opaque, uint32_t number, uint64_t value)
{
	(void)number;
	(void)value;
	reached(opaque);
	return (true);
}

static void
write_cr8(void *opaque, uint64_t value)
{
	(void)value;
	reached(opaque);
}

static void
tsc_changed(void *opaque)
{
	(void)opaque;
}

static int
trial_init(struct trial *t, struct pair *p, unsigned side)
{
	static const struct port_ops ports = {port_read, port_write, 4};
	static const struct mmio_ops mmio = {mmio_read, mmio_write};
	struct engine_world world = p->side[side].vcpu.world;
	unsigned options = p->outer->options;

	if (side == LOCKSTEP_LEADER)
		options |= ENGINE_OPT_VARIES;
	if (memory_copy(&t->mem, &p->shadow) != 0)
		return (-1);
	for (unsigned i = 0; i < t->mem.nregions; i++) {
		if (t->mem.regions[i].ops == NULL)
			continue;
		t->mem.regions[i].ops = &mmio;
		t->mem.regions[i].opaque = t;
	}
	(void)bus_attach(&t->bus, "trial", &ports, t, 0, BUS_PORTS, 0);
	t->state = p->start;
	t->vmx = p->side[LOCKSTEP_FOLLOWER].vmx;
	world.mem = &t->mem;
	world.bus = world.bus != NULL ? &t->bus : NULL;
	if (world.apic.write_cr8 != NULL)
		world.apic = (struct apic_port){read_msr, write_msr, write_cr8, tsc_changed, t};
	world.ferr = NULL;
	if (vcpu_create(&t->vcpu, p->ls->engines[side], &t->state, &t->vmx, &world, options) != 0)
		return (-1);
	vcpu_push(&t->vcpu, VCPU_ALL);
	t->vcpu.entry_unchecked = false;
	return (0);
}

static void
trial_fini(struct trial *t)
{
	vcpu_destroy(&t->vcpu);
	memory_fini(&t->mem);
}

static bool
goes_on(const struct trial *t)
{
	return (!t->access && t->vcpu.exit.kind == ENGINE_CANCELED);
}

/*
 * The leader runs one instruction. A string instruction and a loop of one count as one: breakpoints
 * do not see their rounds.
 */
static void
step_leader(struct trial *t)
{
	uint64_t rip = t->state.gpr.rip;

	t->varies = false;
	for (unsigned i = 0; i < ROUNDS_MAX && t->state.gpr.rip == rip && goes_on(t); i++) {
		lockstep_step(&t->vcpu);
		if (t->vcpu.exit.kind != ENGINE_VARIES)
			continue;
		t->varies = true;
		lockstep_step_varying(&t->vcpu);
	}
	vcpu_pull(&t->vcpu, VCPU_ALL);
}

/*
 * The follower comes after it: by counting, or, where single steps would run through the handler of
 * an interrupt, by a breakpoint.
 */
static void
step_follower(struct trial *t, const struct trial *leader)
{
	uint64_t rip = t->state.gpr.rip;

	if (!t->vcpu.ops->timed) {
		for (unsigned i = 0; i < ROUNDS_MAX && t->state.gpr.rip == rip && goes_on(t); i++)
			lockstep_step(&t->vcpu);
		vcpu_pull(&t->vcpu, VCPU_ALL);
		return;
	}
	lockstep_come_to(&t->vcpu, &leader->state);
	if (t->vcpu.exit.kind == ENGINE_DEBUG)
		t->vcpu.exit.kind = ENGINE_CANCELED;
}

static void
remember(struct lockstep_report *r, const struct vcpu_state *before)
{
	if (r->nsteps == LAST) {
		memmove(&r->step[0], &r->step[1], (LAST - 1) * sizeof(r->step[0]));
		r->nsteps--;
	}
	r->step[r->nsteps++] = *before;
}

static bool
trials_differ(const struct lockstep_report *r, const struct trial *a, const struct trial *b)
{
	uint64_t size = LOCKSTEP_BYTES;

	if (lockstep_differs(&a->state, &b->state, VCPU_ALL) != NULL)
		return (true);
	if (r->what != LOCKSTEP_MEMORY)
		return (false);
	if (r->gpa % PAGE + size > PAGE)
		size = PAGE - r->gpa % PAGE;
	return (memcmp(a->mem.base + r->gpa, b->mem.base + r->gpa, size) != 0);
}

/* The leader alone: what it ran last. */
static void
list_last(struct lockstep_report *r, struct trial *leader)
{
	if (r->steps > LAST)
		vcpu_run(&leader->vcpu, r->steps - LAST);
	vcpu_pull(&leader->vcpu, VCPU_ALL);
	for (unsigned i = 0; i < LAST && goes_on(leader); i++) {
		remember(r, &leader->state);
		step_leader(leader);
	}
}

static void
step_both(struct lockstep_report *r, struct trial *leader, struct trial *follower)
{
	r->stepped = true;
	for (uint64_t i = 0; i <= r->steps; i++) {
		const struct vcpu_state before = leader->state;

		remember(r, &before);
		step_leader(leader);
		step_follower(follower, leader);
		if (leader->varies && leader->state.gpr.rip == follower->state.gpr.rip)
			lockstep_take_results(&before, &leader->state, &follower->vcpu);
		if (trials_differ(r, leader, follower) || leader->access != follower->access) {
			r->reproduced = true;
			r->behind[LOCKSTEP_LEADER] = leader->state;
			r->behind[LOCKSTEP_FOLLOWER] = follower->state;
			return;
		}
		if (!goes_on(leader) || !goes_on(follower))
			return;
	}
}

void
lockstep_narrow(struct pair *p)
{
	struct lockstep_report *r = &p->ls->report;
	uint64_t most = p->ls->engines[LOCKSTEP_FOLLOWER]->timed ? STEPS_MAX_SLOW : STEPS_MAX;
	struct trial *leader = calloc(1, sizeof(*leader)), *follower = calloc(1, sizeof(*follower));

	r->steps = r->instructions - p->start_count[LOCKSTEP_LEADER];
	if (leader != NULL && follower != NULL && trial_init(leader, p, LOCKSTEP_LEADER) == 0) {
		if (r->steps <= most && trial_init(follower, p, LOCKSTEP_FOLLOWER) == 0)
			step_both(r, leader, follower);
		else
			list_last(r, leader);
	}
	if (leader != NULL)
		trial_fini(leader);
	if (follower != NULL)
		trial_fini(follower);
	free(leader);
	free(follower);
}
