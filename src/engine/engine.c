/* The engine seam: thin calls through the engine's operations. */
#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>
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
	if (ops->create(vcpu) == 0)
		return (0);
	if (vcpu->exit.text[0] == '\0')
		snprintf(vcpu->exit.text, sizeof(vcpu->exit.text), "%s", strerror(errno));
	vcpu->ops = NULL;
	return (-1);
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

int
vcpu_written(struct vcpu *vcpu, uint64_t *pages)
{
	return (vcpu->ops->written != NULL ? vcpu->ops->written(vcpu, pages) : -1);
}

uint64_t
vcpu_instructions(const struct vcpu *vcpu)
{
	return (vcpu->ops->instructions(vcpu));
}

/* --- VM entry and exit, as VT-x has them -------------------------------------------------------------- */

/* The rule that lets the guest not enter, NULL when it can. */
static const struct vmx_rule *
broken_rule(const struct vcpu *vcpu)
{
	struct vmx_guest guest = vmx_guest(vcpu->state, vcpu->vmx);
	uint64_t at;

	if (vmx_pdptes_at(&guest, &at))
		guest.has_pdptes =
		    memory_read(vcpu->world.mem, at, guest.pdpte, sizeof(guest.pdpte));
	return (vmx_check_entry(&guest));
}

/* The guest cannot enter: exit 33 with the failure bit, as the SDM's chapter on VM entries says. */
static void
entry_failed(struct vcpu *vcpu, const struct vmx_rule *rule)
{
	vcpu->exit = (struct engine_exit_info){
	    .kind = ENGINE_ENTRY_FAILED,
	    .reason = VMX_EXIT_ENTRY_GUEST_STATE | VMX_EXIT_ENTRY_FAILURE,
	    .qualification = vmx_rule_qualification(rule),
	    .rip = vcpu->state->gpr.rip,
	};
}

void
vcpu_exit_for_port(struct vcpu *vcpu, const struct engine_inout *io)
{
	vcpu->exit.kind = ENGINE_INOUT;
	vcpu->exit.reason = VMX_EXIT_IO;
	vcpu->exit.qualification = (io->bytes - 1u) | (io->in ? 8u : 0u) | (uint64_t)io->port << 16;
	vcpu->exit.inout = *io;
}

void
vcpu_note_exit(struct vcpu *vcpu)
{
	struct vmx *vmx = vcpu->vmx;

	if (vcpu->exit.kind == ENGINE_DEBUG || vcpu->exit.kind == ENGINE_CANCELED ||
	    vcpu->exit.kind == ENGINE_STOPPED || vcpu->exit.kind == ENGINE_VARIES ||
	    vcpu->exit.kind == ENGINE_ERROR)
		return;
	vmx->exit_reason = vcpu->exit.reason;
	vmx->exit_qualification = vcpu->exit.qualification;
	vmx->exit_instruction_length = vcpu->exit.instruction_length;
	vmx->guest_physical_address = vcpu->exit.gpa;
}

bool
vcpu_enter(struct vcpu *vcpu)
{
	const struct vmx_rule *broken;

	if (!vcpu->entry_unchecked)
		return (true);
	vcpu->state->sregs.cr0 |= CR0_ET;
	broken = broken_rule(vcpu);
	if (broken != NULL) {
		entry_failed(vcpu, broken);
		vcpu_note_exit(vcpu);
		return (false);
	}
	vcpu->vmx->entered = 1;
	vcpu->entry_unchecked = false;
	return (true);
}
