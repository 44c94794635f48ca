/*
 * Faults as values: noted in c->fault where they are found, delivered here, with the rules for
 * double fault and shutdown (SDM vol. 3A, table 6-5). Never recursive.
 */
#include "cpu/deliver.h"
#include "cpu/internal.h"

static const uint32_t has_error_code = 1u << VEC_DF | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS |
    1u << VEC_GP | 1u << VEC_PF | 1u << VEC_AC;

bool
fault_at(struct cpu *c, unsigned vector, uint32_t error, enum cpu_cause cause, uint64_t address,
    uint64_t limit)
{
	c->fault.vector = (uint8_t)vector;
	c->fault.error = error;
	c->fault.has_error = vector < 32 && (has_error_code >> vector & 1);
	c->fault.cause = (uint8_t)cause;
	c->fault.address = address;
	c->fault.limit = limit;
	return (false);
}

enum op_result
fault_code(struct cpu *c, unsigned vector, uint32_t error, enum cpu_cause cause)
{
	fault_at(c, vector, error, cause, error, 0);
	return (OP_FAULT);
}

enum op_result
fault(struct cpu *c, unsigned vector, enum cpu_cause cause)
{
	return (fault_code(c, vector, 0, cause));
}

/* Into the ring that explain reads. */
static void
record(struct cpu *c, const struct pending_fault *f)
{
	c->faults[c->nfaults++ % HISTORY_FAULTS] = (struct cpu_fault){
	    .rip = c->s->gpr.rip,
	    .address = f->address,
	    .limit = f->limit,
	    .count = cpu_instructions(c),
	    .error = f->error,
	    .cs = c->s->sregs.seg[SEG_CS].selector,
	    .vector = f->vector,
	    .cause = f->cause,
	    .seg = f->seg,
	    .has_error = f->has_error,
	};
}

/* Classes of table 6-5. */
enum fault_class { BENIGN, CONTRIBUTORY, PAGE };

static enum fault_class
class_of(unsigned vector)
{
	switch (vector) {
	case VEC_DE:
	case VEC_TS:
	case VEC_NP:
	case VEC_SS:
	case VEC_GP:
		return (CONTRIBUTORY);
	case VEC_PF:
		return (PAGE);
	default:
		return (BENIGN);
	}
}

static bool
makes_double_fault(unsigned first, unsigned second)
{
	enum fault_class a = class_of(first), b = class_of(second);

	return ((a == CONTRIBUTORY && b == CONTRIBUTORY) || (a == PAGE && b != BENIGN));
}

static void
shut_down(struct cpu *c)
{
	c->s->events.activity = VCPU_SHUTDOWN;
	c->exit = CPU_EXIT_TRIPLE_FAULT;
}

/* An event is worth an instruction: else a guest that faults for ever would use up no budget. */
static void
use_budget(struct cpu *c)
{
	c->left--;
	c->deliveries++;
}

/*
 * Deliver c->fault, raised while delivering PREVIOUS (-1: by an instruction), until something is
 * delivered or the CPU shuts down.
 */
static void
deliver_chain(struct cpu *c, int previous)
{
	c->trap_cancel = true;
	for (;;) {
		struct pending_fault f = c->fault;

		record(c, &f);
		if (previous == VEC_DF) {
			shut_down(c);
			return;
		}
		if (previous >= 0 && makes_double_fault((unsigned)previous, f.vector)) {
			f = (struct pending_fault){.vector = VEC_DF, .has_error = true};
			f.cause = CAUSE_DOUBLE;
			c->fault = f;
			record(c, &f);
		}
		if (f.vector == VEC_PF)
			c->s->sregs.cr2 = f.cr2;
		if (f.vector == VEC_DB)
			c->s->debug.dr7 &= ~(uint64_t)DR7_GD;
		if (deliver(c,
			&(struct delivery){.vector = f.vector,
			    .kind = EVENT_HW_EXCEPTION,
			    .has_error = f.has_error,
			    .error = f.error,
			    .return_rip = c->s->gpr.rip})) {
			attention_update(c);
			return;
		}
		if (c->exit != CPU_EXIT_NONE)
			return;
		previous = f.vector;
	}
}

void
fault_deliver(struct cpu *c)
{
	/* An instruction that faults has not hit its data breakpoints. */
	c->s->events.pending_debug = 0;
	c->debugger_hit = false;
	use_budget(c);
	deliver_chain(c, -1);
}

void
interrupt_deliver(struct cpu *c, unsigned vector, bool nmi)
{
	c->s->events.activity = VCPU_ACTIVE;
	use_budget(c);
	if (!deliver(c,
		&(struct delivery){.vector = vector,
		    .kind = nmi ? EVENT_NMI : EVENT_HW_INTR,
		    .return_rip = c->s->gpr.rip}) &&
	    c->exit == CPU_EXIT_NONE)
		deliver_chain(c, 256); /* an external interrupt is benign */
}

enum op_result
interrupt_software(struct cpu *c, unsigned vector, enum vcpu_event_type type, uint64_t next_rip)
{
	if (!deliver(c, &(struct delivery){.vector = vector, .kind = type, .return_rip = next_rip}))
		return (OP_FAULT);
	c->trap_cancel = true;
	return (OP_JUMP);
}
