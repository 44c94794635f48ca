/* The engine seam: thin calls through the engine's operations. */
#include "engine/engine.h"

#include <string.h>

int
vcpu_create(struct vcpu *vcpu, const struct engine_ops *ops, struct vcpu_state *state,
    struct vmx *vmx, const struct engine_world *world, unsigned options)
{
	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->ops = ops;
	vcpu->state = state;
	vcpu->vmx = vmx;
	vcpu->world = *world;
	vcpu->options = options;
	vcpu->entry_unchecked = true;
	return (ops->create(vcpu));
}

void
vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->ops != NULL)
		vcpu->ops->destroy(vcpu);
	vcpu->ops = NULL;
}

void
vcpu_run(struct vcpu *vcpu, uint64_t budget)
{
	vcpu->ops->run(vcpu, budget);
}

void
vcpu_pull(struct vcpu *vcpu, unsigned groups)
{
	vcpu->ops->pull(vcpu, groups);
}

void
vcpu_push(struct vcpu *vcpu, unsigned groups)
{
	vcpu->ops->push(vcpu, groups);
}

void
vcpu_kick(struct vcpu *vcpu)
{
	vcpu->ops->kick(vcpu);
}

void
vcpu_stop(struct vcpu *vcpu)
{
	vcpu->ops->stop(vcpu);
}

void
vcpu_set_intr(struct vcpu *vcpu, bool level)
{
	vcpu->ops->set_intr(vcpu, level);
}

void
vcpu_raise_nmi(struct vcpu *vcpu)
{
	vcpu->ops->raise_nmi(vcpu);
}

int
vcpu_watch(struct vcpu *vcpu, const struct cpu_watch *list, unsigned n)
{
	return (vcpu->ops->watch(vcpu, list, n));
}

void
vcpu_history(const struct vcpu *vcpu, struct vcpu_history *out)
{
	vcpu->ops->history(vcpu, out);
}

uint64_t
vcpu_instructions(const struct vcpu *vcpu)
{
	return (vcpu->ops->instructions(vcpu));
}
