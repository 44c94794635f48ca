/*
 * After KVM_EXIT_SHUTDOWN: which instruction did it, and by which exceptions. KVM does not tell, and
 * on AMD it has reset the registers before anybody could look. But nothing left the guest since the
 * last entry, so the built-in CPU goes the same way again from there, on a copy of memory.
 */
#include <sys/ioctl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/clock.h"
#include "engine/kvm.h"

#define TRY_CHUNK 100000u   /* instructions between two looks at the clock */
#define TRY_NS 500000000ull /* the longest attempt */

/* What KVM left after a shutdown on AMD: the registers of a reset. */
static bool
was_reset(const struct kvm_engine *k)
{
	return (k->run->s.regs.regs.rip == 0xfff0 && k->run->s.regs.sregs.cs.selector == 0xf000);
}

/* The vCPU as it entered last, with the interrupt that it was given. */
static void
entry_state(const struct vcpu *vcpu, struct vcpu_state *out)
{
	const struct kvm_engine *k = vcpu->engine;

	*out = *vcpu->state;
	kvm_regs_to(&k->entry_regs, &out->gpr);
	kvm_sregs_to(&k->entry_sregs, &out->sregs);
	out->events = (struct vcpu_events){.inject_type = EVENT_NONE};
	if (k->entry_vector < 0)
		return;
	out->events.inject_type = EVENT_HW_INTR;
	out->events.inject_vector = (uint8_t)k->entry_vector;
}

/* A CPU of its own, without ports or devices: nobody was asked on the way. */
struct attempt {
	struct vcpu_state state;
	struct memory mem;
	struct vcpu vcpu;
	struct vmx vmx;
};

/* The instruction of the last exit is still to be finished: go behind it with what it was given. */
static bool
finish_port(const struct kvm_engine *k, struct attempt *a)
{
	const struct engine_inout *io = &a->vcpu.exit.inout;
	uint64_t *rax = &a->state.gpr.reg[GPR_RAX];
	uint64_t mask = io->bytes == 4 ? UINT64_MAX : (1ull << 8 * io->bytes) - 1;

	if (a->vcpu.exit.kind != ENGINE_INOUT || !k->entry_unfinished ||
	    a->vcpu.exit.instruction_length == 0)
		return (false);
	if (io->in)
		*rax = (*rax & ~mask) | (k->answer & mask);
	a->state.gpr.rip += a->vcpu.exit.instruction_length;
	vcpu_push(&a->vcpu, VCPU_GPR);
	return (true);
}

/* Run A to its death, at most BUDGET instructions. False: it does not die, or asks for somebody. */
static bool
run_to_death(const struct kvm_engine *k, struct attempt *a, uint64_t budget)
{
	uint64_t began = host_ns(), chunk;
	bool first = true;

	a->vcpu.entry_unchecked = false;
	do {
		chunk = budget < TRY_CHUNK ? budget : TRY_CHUNK;
		vcpu_run(&a->vcpu, first ? 1 : chunk);
		if (first && finish_port(k, a))
			a->vcpu.exit.kind = ENGINE_CANCELED;
		budget -= first ? 1 : chunk;
		first = false;
	} while (a->vcpu.exit.kind == ENGINE_CANCELED && budget > 0 && host_ns() - began < TRY_NS);
	return (a->vcpu.exit.kind == ENGINE_TRIPLE_FAULT);
}

/* Run what is in A to its death: from the last entry on, or one instruction. */
static bool
try_death(const struct vcpu *dead, struct attempt *a, bool from_entry)
{
	const struct engine_world world = {.mem = &a->mem};
	struct kvm_engine *k = dead->engine;
	bool died;

	a->vmx = *dead->vmx;
	if (memory_copy(&a->mem, dead->world.mem) != 0)
		return (false);
	if (from_entry && k->has_entry_stack)
		memory_write(&a->mem, k->entry_stack_at, k->entry_stack, sizeof(k->entry_stack));
	died = vcpu_create(&a->vcpu, &engine_soft, &a->state, &a->vmx, &world, dead->options) == 0;
	if (died) {
		died = run_to_death(k, a, from_entry ? UINT64_MAX : 1);
		if (died)
			vcpu_history(&a->vcpu, &k->history);
		vcpu_destroy(&a->vcpu);
	}
	memory_fini(&a->mem);
	return (died);
}

/* Where KVM kept the registers, they must be the ones that the attempt ends with. */
static bool
agrees(const struct kvm_engine *k, const struct attempt *a)
{
	return (was_reset(k) ||
	    (a->state.gpr.rip == k->run->s.regs.regs.rip &&
		a->state.sregs.seg[SEG_CS].base == k->run->s.regs.sregs.cs.base));
}

static bool
found(struct vcpu *vcpu, struct attempt *a)
{
	struct kvm_engine *k = vcpu->engine;

	entry_state(vcpu, &a->state);
	if (try_death(vcpu, a, true) && agrees(k, a))
		return (true);
	if (was_reset(k))
		return (false);
	/* From the registers that KVM has: the last instruction alone. */
	a->state = *vcpu->state;
	a->state.events = (struct vcpu_events){.inject_type = EVENT_NONE};
	return (try_death(vcpu, a, false));
}

/*
 * Linux's kvm-amd makes a new VMCB after a shutdown, and forgets the root of the nested page tables
 * there unless the guest had paging on: the next KVM_RUN would fault for ever, and not even die.
 * Another CR3 has the root loaded.
 */
static void
reload_nested_root(const struct kvm_engine *k)
{
	struct kvm_sregs sregs = k->run->s.regs.sregs;

	sregs.cr3 ^= 0x1000;
	ioctl(k->cpu, KVM_SET_SREGS, &sregs);
}

void
kvm_find_death(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	struct attempt *a = calloc(1, sizeof(*a));
	bool reset = was_reset(k);

	if (reset)
		reload_nested_root(k);
	/* These survive. */
	kvm_pull_groups(vcpu, VCPU_FPU | VCPU_MSR | VCPU_DEBUG);
	vcpu->state->events = (struct vcpu_events){.inject_type = EVENT_NONE};
	k->had = VCPU_ALL;
	k->dirty = VCPU_ALL;
	kvm_regs_to(reset ? &k->entry_regs : &k->run->s.regs.regs, &vcpu->state->gpr);
	kvm_sregs_to(reset ? &k->entry_sregs : &k->run->s.regs.sregs, &vcpu->state->sregs);
	if (a != NULL && found(vcpu, a)) {
		*vcpu->state = a->state;
		vcpu->exit.instruction_length = a->vcpu.exit.instruction_length;
	} else {
		k->history =
		    (struct vcpu_history){.gap = reset ? HISTORY_NO_STATE : HISTORY_NO_FAULTS};
	}
	free(a);
}
