/* A debugger's breakpoints and steps, by the processor's debug registers (SDM vol. 3B, 17.2). */
#include <sys/ioctl.h>

#include <string.h>

#include "engine/kvm.h"

#define DEBUG_REGISTERS 4

/* DR7's bits for WATCH as breakpoint I (SDM vol. 3B, 17.2.4). */
static uint64_t
dr7_of(const struct cpu_watch *watch, unsigned i)
{
	uint64_t type = watch->kinds & WATCH_READ ? 3 : watch->kinds & WATCH_WRITE ? 1 : 0;
	uint64_t length = type == 0 ? 0 : watch->bytes == 8 ? 2 : watch->bytes - 1;

	return (2ull << i * 2 | (type | length << 2) << (16 + i * 4));
}

bool
kvm_stops_at(const struct cpu_watch *watch, uint64_t at)
{
	return ((watch->kinds & WATCH_EXEC) && watch->address == at);
}

bool
kvm_set_debug(struct vcpu *vcpu, bool step, uint64_t except)
{
	struct kvm_engine *k = vcpu->engine;
	struct kvm_guest_debug debug = {0};
	unsigned n = 0;

	for (unsigned i = 0; i < k->nwatches; i++) {
		if (k->watch[i].kinds & WATCH_PORT)
			continue;
		/* exit_debug() counts on each having a register. */
		debug.arch.debugreg[n] = k->watch[i].address;
		if (!kvm_stops_at(&k->watch[i], except))
			debug.arch.debugreg[7] |= dr7_of(&k->watch[i], n);
		n++;
	}
	if (n > 0)
		debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
	if (step)
		debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	if (debug.control == 0 && k->debug == 0)
		return (true);
	k->debug = debug.control;
	return (ioctl(k->cpu, KVM_SET_GUEST_DEBUG, &debug) == 0 ||
	    kvm_failed(vcpu, "KVM_SET_GUEST_DEBUG") == 0);
}

int
kvm_watch(struct vcpu *vcpu, const struct cpu_watch *list, unsigned n)
{
	struct kvm_engine *k = vcpu->engine;
	unsigned registers = 0;

	if (n > CPU_WATCH_MAX)
		return (-1);
	for (unsigned i = 0; i < n; i++) {
		uint32_t bytes = list[i].bytes;

		if (list[i].kinds & WATCH_PORT)
			continue;
		if (!(list[i].kinds & WATCH_EXEC) &&
		    (bytes == 0 || bytes > 8 || (bytes & (bytes - 1)) != 0 ||
			list[i].address % bytes != 0))
			return (-1);
		registers++;
	}
	if (registers > DEBUG_REGISTERS)
		return (-1);
	if (n > 0)
		memcpy(k->watch, list, n * sizeof(*list));
	k->nwatches = n;
	return (0);
}
