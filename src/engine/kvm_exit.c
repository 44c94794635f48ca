/* What each exit of KVM_RUN asks for. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bus/clock.h"
#include "engine/kvm.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LEND_FIRST 1u
#define LEND_MAX 100000u /* instructions */

static bool
engine_error(struct vcpu *vcpu, const char *what, uint64_t number)
{
	vcpu->exit.kind = ENGINE_ERROR;
	snprintf(vcpu->exit.text, sizeof(vcpu->exit.text), "%s %#" PRIx64, what, number);
	return (false);
}

bool
kvm_go_on(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	if (!k->stopped)
		return (true);
	k->stopped = false;
	vcpu->exit.kind = ENGINE_STOPPED;
	return (false);
}

/* --- ports ------------------------------------------------------------------------------------------- */

/* Bytes of the IN or OUT at the linear address AT (SDM vol. 2), 0 when there is none. */
static unsigned
port_instruction_at(const struct vcpu *vcpu, uint64_t at)
{
	uint8_t code[4] = {0}; /* an operand-size prefix, opcode, port */
	unsigned prefix;

	memory_read(vcpu->world.mem, at, code, sizeof(code));
	prefix = code[0] == 0x66;
	switch (code[prefix] & 0xfc) {
	case 0xe4:
		return (prefix + 2);
	case 0xec:
	case 0x6c:
		return (prefix + 1);
	default:
		return (0);
	}
}

/* RIP of the access in the run page: KVM may have gone past an OUT. */
static void
find_port_instruction(struct vcpu *vcpu)
{
	struct vcpu_state *s = vcpu->state;
	uint64_t at = vcpu_linear_rip(s);
	unsigned length = port_instruction_at(vcpu, at);

	for (unsigned back = 1; length == 0 && back <= 3; back++)
		if (port_instruction_at(vcpu, at - back) == back) {
			length = back;
			s->gpr.rip -= back;
		}
	vcpu->exit.instruction_length = length;
	vcpu->exit.rip = s->gpr.rip;
}

/* Without a bus the caller does it. */
static bool
leave_for_port(struct vcpu *vcpu, const void *data)
{
	const struct kvm_engine *k = vcpu->engine;
	const struct kvm_run *run = k->run;
	struct engine_inout io = {
	    .port = run->io.port, .bytes = run->io.size, .in = run->io.direction == KVM_EXIT_IO_IN};

	kvm_pull_groups(vcpu, VCPU_GPR | VCPU_SREGS);
	if (!io.in)
		memcpy(&io.value, data, run->io.size);
	vcpu_exit_for_port(vcpu, &io);
	find_port_instruction(vcpu);
	return (false);
}

/* A debugger waits for this port. */
static bool
port_is_watched(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	const struct kvm_run *run = k->run;

	for (unsigned i = 0; i < k->nwatches; i++) {
		const struct cpu_watch *w = &k->watch[i];

		if (!(w->kinds & WATCH_PORT) || run->io.port + run->io.size <= w->address ||
		    run->io.port >= w->address + w->bytes)
			continue;
		vcpu->exit.kind = ENGINE_DEBUG;
		vcpu->exit.watch = *w;
		return (true);
	}
	return (false);
}

static bool
exit_io(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	const struct kvm_run *run = k->run;
	uint8_t *data = (uint8_t *)k->run + run->io.data_offset;
	uint16_t port = run->io.port;
	uint8_t size = run->io.size;
	bool in = run->io.direction == KVM_EXIT_IO_IN;

	vcpu->counts.ports++;
	k->unfinished = true;
	if ((size != 1 && size != 2 && size != 4) || run->io.data_offset > k->run_size ||
	    run->io.count > (k->run_size - run->io.data_offset) / size)
		return (engine_error(
		    vcpu, "KVM_EXIT_IO outside of the run page:", run->io.data_offset));
	if (vcpu->world.bus == NULL)
		return (leave_for_port(vcpu, data));
	for (uint32_t i = run->io.count; i > 0; i--, data += size) {
		uint32_t value = 0;

		if (in) {
			value = bus_in(vcpu->world.bus, port, size);
			k->answer = value;
			memcpy(data, &value, size);
		} else {
			memcpy(&value, data, size);
			bus_out(vcpu->world.bus, port, size, value);
		}
	}
	return (!port_is_watched(vcpu) && kvm_go_on(vcpu));
}

/* --- memory that is no slot ------------------------------------------------------------------------------ */

/* SIZE bytes, a power of two within one page, at GPA. False: there is nothing, and no board. */
static bool
mmio_access(struct vcpu *vcpu, uint64_t gpa, uint8_t *data, unsigned size, bool write)
{
	struct memory *mem = vcpu->world.mem;
	struct mem_page page = memory_page(mem, gpa);
	uint64_t value = 0, offset;

	if (page.type == MEM_MMIO) {
		offset = (gpa & mem->a20_mask) - page.region->gpa;
		memcpy(&value, data, size);
		if (write) {
			mem->mmio_writes++;
			page.region->ops->write(page.region->opaque, offset, size, value);
			return (true);
		}
		mem->mmio_reads++;
		value = page.region->ops->read(page.region->opaque, offset, size);
		memcpy(data, &value, size);
		return (true);
	}
	/* RAM comes here while A20 is off; ROM when it is written to, which does nothing. */
	if (write ? memory_write(mem, gpa, data, size) : memory_read(mem, gpa, data, size))
		return (true);
	if (!write)
		memset(data, 0xff, size);
	return (page.type == MEM_ROM || vcpu->world.bus != NULL);
}

static bool
leave_for_hole(struct vcpu *vcpu, uint64_t gpa)
{
	kvm_pull_groups(vcpu, VCPU_GPR | VCPU_SREGS);
	vcpu->exit.kind = ENGINE_PAGING;
	vcpu->exit.reason = VMX_EXIT_EPT_VIOLATION;
	vcpu->exit.gpa = gpa;
	vcpu->exit.rip = vcpu->state->gpr.rip;
	return (false);
}

static bool
exit_mmio(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	uint64_t gpa = k->run->mmio.phys_addr;
	uint8_t *data = k->run->mmio.data;
	unsigned left = k->run->mmio.len <= 8 ? k->run->mmio.len : 8;
	bool write = k->run->mmio.is_write;

	vcpu->counts.mmio++;
	k->unfinished = true;
	for (unsigned size; left > 0; gpa += size, data += size, left -= size) {
		/* The largest piece that is aligned, as the bus would see it. */
		for (size = 8; size > left || gpa % size != 0;)
			size /= 2;
		if (!mmio_access(vcpu, gpa, data, size, write))
			return (leave_for_hole(vcpu, gpa));
	}
	return (kvm_go_on(vcpu));
}

/* --- MSRs ---------------------------------------------------------------------------------------------------- */

/*
 * The guest's counter may run at another rate than the board's, which the local APIC compares a
 * deadline with: the same span of time from now.
 */
static uint64_t
board_deadline(struct vcpu *vcpu, uint64_t value)
{
	const struct kvm_engine *k = vcpu->engine;
	uint64_t offset, now, board;

	if (value == 0 || vcpu->world.tsc == NULL || kvm_pull_groups(vcpu, VCPU_MSR) != 0)
		return (value);
	board = vcpu->world.tsc(vcpu->world.tsc_opaque);
	offset = vcpu->state->msr.tsc_offset;
	now = board + offset; /* what RDTSC gives */
	if (value <= now)
		return (value);
	return (now + mul_div(value - now, KVM_BOARD_TSC_KHZ, k->tsc_khz));
}

static bool
exit_rdmsr(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	const struct apic_port *apic = &vcpu->world.apic;
	uint64_t value = 0;

	vcpu->counts.msrs++;
	k->unfinished = true;
	k->run->msr.error =
	    apic->read_msr == NULL || !apic->read_msr(apic->opaque, k->run->msr.index, &value);
	k->run->msr.data = value;
	return (kvm_go_on(vcpu));
}

static bool
exit_wrmsr(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	const struct apic_port *apic = &vcpu->world.apic;
	uint32_t number = k->run->msr.index;
	uint64_t value = k->run->msr.data;

	vcpu->counts.msrs++;
	k->unfinished = true;
	if (number == MSR_TSC_DEADLINE)
		value = board_deadline(vcpu, value);
	k->run->msr.error =
	    apic->write_msr == NULL || !apic->write_msr(apic->opaque, number, value);
	if (number == MSR_APIC_BASE && !k->run->msr.error) {
		kvm_pull_groups(vcpu, VCPU_SREGS);
		vcpu->state->sregs.apic_base = value;
		k->dirty |= VCPU_SREGS;
	}
	return (kvm_go_on(vcpu));
}

/* --- what KVM cannot do ------------------------------------------------------------------------------------- */

static bool
make_lent(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	if (!k->has_lent)
		k->has_lent = vcpu_create(&k->lent, &engine_soft, vcpu->state, vcpu->vmx,
				  &vcpu->world, vcpu->options) == 0;
	if (!k->has_lent)
		return (engine_error(vcpu, "no memory for the built-in CPU", 0));
	return (true);
}

/* A step goes past breakpoints, all else stops at them. */
static void
lend_watches(struct kvm_engine *k)
{
	unsigned n = k->stepping ? 0 : k->nwatches;

	if (n != 0 || k->lent_watches != 0)
		vcpu_watch(&k->lent, k->watch, n);
	k->lent_watches = n;
}

/*
 * Twice as many instructions as last time, when it was needed again at once: a guest may stay where
 * KVM cannot follow.
 */
bool
kvm_lend(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	if (!make_lent(vcpu) || kvm_pull_groups(vcpu, VCPU_ALL) != 0)
		return (false);
	k->lend = k->lend < LEND_FIRST ? LEND_FIRST : k->lend < LEND_MAX ? k->lend * 2 : k->lend;
	vcpu->counts.lent++;
	cpu_forget(k->lent.engine); /* the guest may have written to code and page tables */
	vcpu_push(&k->lent, VCPU_ALL);
	k->lent.entry_unchecked = false;
	k->lending = true;
	vcpu_set_intr(&k->lent, k->intr);
	lend_watches(k);
	vcpu_run(&k->lent, k->stepping ? 1 : k->lend);
	k->lending = false;
	k->had = k->dirty = VCPU_ALL;
	k->stepped = k->stepping && k->lent.exit.kind == ENGINE_CANCELED;
	if (k->lent.exit.kind == ENGINE_CANCELED)
		return (!k->stepping);
	vcpu->exit = k->lent.exit;
	vcpu_history(&k->lent, &k->history);
	return (false);
}

static bool
exit_internal(struct vcpu *vcpu)
{
	const struct kvm_engine *k = vcpu->engine;
	uint32_t why = k->run->internal.suberror;

	if (why == KVM_INTERNAL_ERROR_EMULATION || why == KVM_INTERNAL_ERROR_SIMUL_EX ||
	    why == KVM_INTERNAL_ERROR_DELIVERY_EV)
		return (kvm_lend(vcpu));
	return (engine_error(vcpu, "KVM_EXIT_INTERNAL_ERROR", why));
}

/* --- ends ----------------------------------------------------------------------------------------------------- */

static bool
exit_hlt(struct vcpu *vcpu)
{
	vcpu->counts.halts++;
	vcpu->state->events.activity = VCPU_HLT;
	return (true); /* which looks whether an interrupt ends it */
}

static bool
exit_shutdown(struct vcpu *vcpu)
{
	kvm_find_death(vcpu);
	vcpu->exit.kind = ENGINE_TRIPLE_FAULT;
	vcpu->exit.reason = VMX_EXIT_TRIPLE_FAULT;
	return (false);
}

static bool
exit_fail_entry(struct vcpu *vcpu)
{
	const struct kvm_engine *k = vcpu->engine;
	uint64_t reason = k->run->fail_entry.hardware_entry_failure_reason;

	/* The checks of src/vmx passed: it is for something that they do not know. */
	vcpu->exit.kind = ENGINE_ENTRY_FAILED;
	vcpu->exit.reason = VMX_EXIT_ENTRY_GUEST_STATE | VMX_EXIT_ENTRY_FAILURE;
	snprintf(vcpu->exit.text, sizeof(vcpu->exit.text),
	    "the processor refused to enter the guest: KVM_EXIT_FAIL_ENTRY %#" PRIx64, reason);
	return (false);
}

/* Breakpoints bring every #DB to us: this one is the guest's (its TF, or INT1). */
static bool
give_back_debug(struct vcpu *vcpu, uint64_t dr6)
{
	struct kvm_engine *k = vcpu->engine;
	struct vcpu_events *events = &vcpu->state->events;

	if (kvm_pull_groups(vcpu, VCPU_EVENTS | VCPU_DEBUG) != 0)
		return (false);
	vcpu->state->debug.dr6 = dr6;
	events->inject_type = EVENT_HW_EXCEPTION;
	events->inject_vector = VEC_DB;
	events->inject_has_error = 0;
	k->dirty |= VCPU_EVENTS | VCPU_DEBUG;
	return (true);
}

static bool
exit_debug(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	uint64_t hit = k->run->debug.arch.dr6;
	unsigned n = 0;

	vcpu->exit.kind = ENGINE_CANCELED;
	k->stepped = (k->debug & KVM_GUESTDBG_SINGLESTEP) != 0;
	for (unsigned i = 0; i < k->nwatches; i++) {
		if (k->watch[i].kinds & WATCH_PORT)
			continue;
		if (hit >> n++ & 1) {
			vcpu->exit.kind = ENGINE_DEBUG;
			vcpu->exit.watch = k->watch[i];
			k->stepped = false;
			return (false);
		}
	}
	return (!k->stepped && give_back_debug(vcpu, hit));
}

static bool
exit_window(struct vcpu *vcpu)
{
	vcpu->counts.windows++;
	return (true);
}

static bool
exit_nothing(struct vcpu *vcpu)
{
	(void)vcpu;
	return (true);
}

static bool (*const handlers[])(struct vcpu *vcpu) = {
    [KVM_EXIT_IO] = exit_io,
    [KVM_EXIT_MMIO] = exit_mmio,
    [KVM_EXIT_X86_RDMSR] = exit_rdmsr,
    [KVM_EXIT_X86_WRMSR] = exit_wrmsr,
    [KVM_EXIT_HLT] = exit_hlt,
    [KVM_EXIT_SHUTDOWN] = exit_shutdown,
    [KVM_EXIT_FAIL_ENTRY] = exit_fail_entry,
    [KVM_EXIT_INTERNAL_ERROR] = exit_internal,
    [KVM_EXIT_DEBUG] = exit_debug,
    [KVM_EXIT_IRQ_WINDOW_OPEN] = exit_window,
    [KVM_EXIT_SET_TPR] = exit_nothing, /* follow_cr8() has seen it */
    [KVM_EXIT_INTR] = exit_nothing,
};

bool
kvm_handle_exit(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	uint32_t why = k->run->exit_reason;

	if (why >= COUNT(handlers) || handlers[why] == NULL)
		return (engine_error(vcpu, "an exit of KVM_RUN that hyve86 does not know:", why));
	if (handlers[why] != exit_internal)
		k->lend = 0;
	return (handlers[why](vcpu));
}
