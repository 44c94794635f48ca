/*
 * IN, OUT, HLT: the last op of their trace. RIP and the count are brought up to date before the
 * bus is called, since who answers may look at the CPU, stop it, or send it elsewhere (the pseudo
 * BIOS does).
 */
#include "cpu/insn.h"
#include "cpu/watch.h"

static uint16_t
port_of(const struct op *op, const struct vcpu_state *s)
{
	return ((uint16_t)(op->imm >= 0 ? (uint64_t)op->imm : RDX(s)));
}

/* The access needs somebody outside: leave with RIP at the instruction. */
static const struct trace *
inout_exit(struct cpu *c, const struct op *op, struct vcpu_state *s, bool in)
{
	c->inout = (struct cpu_inout){
	    .port = port_of(op, s),
	    .bytes = op->size,
	    .in = in,
	    .value = (uint32_t)(RAX(s) & size_mask(op->size)),
	};
	c->exit = CPU_EXIT_INOUT;
	c->left -= op->idx;
	s->gpr.rip = op_rip(op, s);
	return (NULL);
}

static void
before_bus(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	s->gpr.rip = op_next_rip(op, s) & c->ip_mask;
	c->left -= op->idx + 1;
}

/* RIP is in the state, wherever it leads now. */
static const struct trace *
after_bus(struct cpu *c, struct vcpu_state *s)
{
	if (c->attention != 0 || c->left < TRACE_MAX)
		return (NULL);
	return (jcache_find(c, s->gpr.rip));
}

static const struct trace *
op_in(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint16_t port = port_of(op, s);

	if (!io_allowed(c, port, op->size))
		return (op_fault(c, op, s));
	if (c->bus == NULL)
		return (inout_exit(c, op, s, true));
	before_bus(c, op, s);
	if (unlikely(c->watch_kinds & WATCH_PORT))
		watch_port(c, port, op->size);
	gpr_write(&RAX(s), op->size, bus_in(c->bus, port, op->size));
	return (after_bus(c, s));
}

static const struct trace *
op_out(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint16_t port = port_of(op, s);

	if (!io_allowed(c, port, op->size))
		return (op_fault(c, op, s));
	if (c->bus == NULL)
		return (inout_exit(c, op, s, false));
	before_bus(c, op, s);
	if (unlikely(c->watch_kinds & WATCH_PORT))
		watch_port(c, port, op->size);
	bus_out(c->bus, port, op->size, (uint32_t)(RAX(s) & size_mask(op->size)));
	return (after_bus(c, s));
}

static const struct trace *
op_hlt(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	if (c->cpl != 0) {
		fault(c, VEC_GP, CAUSE_PRIVILEGE);
		return (op_fault(c, op, s));
	}
	before_bus(c, op, s);
	s->events.activity = VCPU_HLT;
	return (NULL);
}

const struct family fam_in = {.fn = {[FORM_RR] = {op_in, NULL, NULL, NULL}}};
const struct family fam_out = {.fn = {[FORM_RR] = {op_out, NULL, NULL, NULL}}};
const struct family fam_hlt = {.fn = {[FORM_RR] = {op_hlt, NULL, NULL, NULL}}};
