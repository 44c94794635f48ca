/* One instruction, or to a certain one, whatever else ends runs on the way. */
#include "engine/lockstep_parts.h"

#define COME_TRIES 50 /* slices */
#define STEP_TRIES 16

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

void
lockstep_run_to(struct vcpu *vcpu, const struct vcpu_state *point, uint64_t budget)
{
	const struct cpu_watch watch = {
	    .address = vcpu_linear_rip(point), .bytes = 1, .kinds = WATCH_EXEC};

	/*
	 * It may stand there already. Elsewhere RF would hide the breakpoint, if the next instruction
	 * is one that the engine emulates: not all clear RF then.
	 */
	vcpu_pull(vcpu, VCPU_GPR | VCPU_SREGS);
	if (vcpu_linear_rip(vcpu->state) == watch.address)
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
	vcpu_watch(vcpu, &watch, 0);
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
