/* Far jumps, calls and returns. SDM vol. 3A, 5.8; vol. 2A and 2B, CALL, JMP, RET. */
#include "cpu/internal.h"
#include "cpu/long.h"
#include "cpu/tss.h"

#define GATE_PARAMS_MAX 31

static enum op_result
limit_fault(struct cpu *c, uint64_t offset, uint32_t limit)
{
	c->fault.seg = SEG_CS;
	fault_at(c, VEC_GP, 0, CAUSE_FETCH_LIMIT, offset, limit);
	return (OP_FAULT);
}

static enum op_result
selector_fault(struct cpu *c, unsigned vector, uint16_t selector)
{
	fault_at(c, vector, selector & 0xfffcu, CAUSE_SELECTOR, selector, 0);
	return (OP_FAULT);
}

/* A code segment that may be jumped to directly at the current privilege. */
static bool
direct_code_ok(struct cpu *c, uint16_t selector, const struct x86_segment *cs)
{
	unsigned dpl = segment_dpl(cs->access);

	if (!code_size_ok(c, cs) ||
	    (cs->access & AR_TYPE_CONFORM ? dpl > c->cpl
					  : dpl != c->cpl || SEL_RPL(selector) > c->cpl))
		return (selector_fault(c, VEC_GP, selector), false);
	if (!(cs->access & AR_P))
		return (selector_fault(c, VEC_NP, selector), false);
	return (true);
}

static enum op_result
jump_to_code(struct cpu *c, uint16_t selector, uint64_t descriptor, uint64_t offset)
{
	struct x86_segment cs = segment_from_descriptor(selector, descriptor);

	if (!direct_code_ok(c, selector, &cs))
		return (OP_FAULT);
	offset &= offset_mask(c, &cs);
	if (!target_ok(c, &cs, offset))
		return (limit_fault(c, offset, cs.limit));
	if (!descriptor_mark_accessed(c, selector, descriptor))
		return (OP_FAULT);
	cs.access |= AR_TYPE_ACCESSED;
	code_segment_set(c, &cs, c->cpl);
	c->s->gpr.rip = offset;
	return (OP_JUMP);
}

/* A call gate taken apart. */
struct call_gate {
	uint16_t selector;
	uint32_t offset;
	unsigned params;
	unsigned size;
};

/* The gate or TSS at SELECTOR may be used at this privilege and is present. */
static bool
system_ok(struct cpu *c, uint16_t selector, uint32_t access)
{
	if (segment_dpl(access) < c->cpl || segment_dpl(access) < SEL_RPL(selector))
		return (selector_fault(c, VEC_GP, selector), false);
	if (!(access & AR_P))
		return (selector_fault(c, VEC_NP, selector), false);
	return (true);
}

static struct call_gate
gate_from(uint64_t descriptor)
{
	struct call_gate g = {
	    .selector = (uint16_t)(descriptor >> 16),
	    .offset = (uint32_t)(descriptor & 0xffff),
	    .params = (unsigned)(descriptor >> 32) & GATE_PARAMS_MAX,
	    .size = (descriptor >> 40 & 0xf) == SYS_CALL_GATE32 ? 4 : 2,
	};

	if (g.size == 4)
		g.offset |= (uint32_t)(descriptor >> 32) & 0xffff0000u;
	return (g);
}

/* The code segment behind a call gate. */
static bool
gate_code(struct cpu *c, const struct call_gate *g, struct x86_segment *cs, uint64_t *descriptor)
{
	if (SEL_IS_NULL(g->selector)) {
		fault_at(c, VEC_GP, 0, CAUSE_SELECTOR, g->selector, 0);
		return (false);
	}
	if (!descriptor_read(c, g->selector, VEC_GP, descriptor))
		return (false);
	*cs = segment_from_descriptor(g->selector, *descriptor);
	if (!(cs->access & AR_S) || !(cs->access & AR_TYPE_CODE) ||
	    segment_dpl(cs->access) > c->cpl)
		return (selector_fault(c, VEC_GP, g->selector), false);
	if (!(cs->access & AR_P))
		return (selector_fault(c, VEC_NP, g->selector), false);
	return (true);
}

/* A call through a gate to more privilege: new stack, parameters copied (vol. 3A, 5.8.5). */
static enum op_result
call_inner(
    struct cpu *c, const struct call_gate *g, const struct x86_segment *cs, uint64_t next_rip)
{
	struct vcpu_state *s = c->s;
	const struct vcpu_sregs saved = s->sregs;
	uint64_t frame[GATE_PARAMS_MAX + 4], params[GATE_PARAMS_MAX], sp;
	unsigned target = segment_dpl(cs->access), n = 0;
	struct stack st = stack_begin(c);
	struct x86_segment ss;

	for (unsigned i = 0; i < g->params; i++)
		if (!stack_pop(c, &st, g->size, &params[i]))
			return (OP_FAULT);
	if (!tss_stack(c, target, 0, &ss, &sp))
		return (OP_FAULT);
	frame[n++] = s->sregs.seg[SEG_SS].selector;
	frame[n++] = RSP(s);
	for (unsigned i = g->params; i-- > 0;)
		frame[n++] = params[i];
	frame[n++] = s->sregs.seg[SEG_CS].selector;
	frame[n++] = next_rip;
	segment_set(c, SEG_SS, &ss);
	set_cpl(c, target);
	st.sp = sp;
	for (unsigned i = 0; i < n; i++) {
		if (!stack_push(c, &st, g->size, frame[i])) {
			s->sregs = saved;
			cpu_sregs_changed(c);
			return (OP_FAULT);
		}
	}
	stack_commit(c, &st);
	code_segment_set(c, cs, target);
	s->gpr.rip = g->offset;
	return (OP_JUMP);
}

static enum op_result
through_gate(struct cpu *c, uint64_t raw, bool call, uint64_t next_rip)
{
	struct call_gate g = gate_from(raw);
	struct x86_segment cs;
	uint64_t descriptor;
	struct stack st = stack_begin(c);
	bool conforming;

	if (!gate_code(c, &g, &cs, &descriptor))
		return (OP_FAULT);
	conforming = cs.access & AR_TYPE_CONFORM;
	if (!call && !conforming && segment_dpl(cs.access) != c->cpl)
		return (selector_fault(c, VEC_GP, g.selector));
	if (g.offset > cs.limit)
		return (limit_fault(c, g.offset, cs.limit));
	if (!descriptor_mark_accessed(c, g.selector, descriptor))
		return (OP_FAULT);
	cs.access |= AR_TYPE_ACCESSED;
	if (call && !conforming && segment_dpl(cs.access) < c->cpl)
		return (call_inner(c, &g, &cs, next_rip));
	if (call) {
		if (!stack_push(c, &st, g.size, c->s->sregs.seg[SEG_CS].selector) ||
		    !stack_push(c, &st, g.size, next_rip))
			return (OP_FAULT);
		stack_commit(c, &st);
	}
	code_segment_set(c, &cs, c->cpl);
	c->s->gpr.rip = g.offset;
	return (OP_JUMP);
}

/* Far JMP or CALL to a system descriptor: call gate, task gate or TSS. */
static enum op_result
to_system(struct cpu *c, uint16_t selector, uint64_t descriptor, bool call, uint64_t next_rip)
{
	uint32_t access = (uint32_t)(descriptor >> 40);
	unsigned type = access & AR_TYPE;

	if (long_mode(c)) { /* no other gates, no task switches */
		if (type == SYS_CALL_GATE32)
			return (call_gate64(c, selector, descriptor, call, next_rip));
		return (selector_fault(c, VEC_GP, selector));
	}
	switch (type) {
	case SYS_CALL_GATE16:
	case SYS_CALL_GATE32:
		if (!system_ok(c, selector, access))
			return (OP_FAULT);
		return (through_gate(c, descriptor, call, next_rip));
	case SYS_TASK_GATE:
	case SYS_TSS16:
	case SYS_TSS32:
		if (!system_ok(c, selector, access))
			return (OP_FAULT);
		if (type == SYS_TASK_GATE)
			selector = (uint16_t)(descriptor >> 16);
		return (task_switch(c, selector, call ? TASK_CALL : TASK_JUMP, next_rip, 0)
			? OP_JUMP
			: OP_FAULT);
	default:
		return (selector_fault(c, VEC_GP, selector));
	}
}

/* The descriptor of a far pointer's selector; false: c->fault. */
static bool
target_descriptor(struct cpu *c, uint16_t selector, uint64_t *descriptor)
{
	if (SEL_IS_NULL(selector)) {
		fault_at(c, VEC_GP, 0, CAUSE_SELECTOR, selector, 0);
		return (false);
	}
	return (descriptor_read(c, selector, VEC_GP, descriptor));
}

static bool
is_code(uint64_t descriptor)
{
	uint32_t access = (uint32_t)(descriptor >> 40);

	return ((access & AR_S) && (access & AR_TYPE_CODE));
}

enum op_result
far_jump(struct cpu *c, uint16_t selector, uint64_t offset, unsigned size)
{
	uint64_t descriptor;

	offset &= size_mask(size);
	if (!is_protected(c)) {
		if (offset > c->s->sregs.seg[SEG_CS].limit)
			return (limit_fault(c, offset, c->s->sregs.seg[SEG_CS].limit));
		real_segment_set(c, SEG_CS, selector);
		c->s->gpr.rip = offset;
		return (OP_JUMP);
	}
	if (!target_descriptor(c, selector, &descriptor))
		return (OP_FAULT);
	if (is_code(descriptor))
		return (jump_to_code(c, selector, descriptor, offset));
	if (descriptor >> 40 & AR_S)
		return (selector_fault(c, VEC_GP, selector));
	return (to_system(c, selector, descriptor, false, c->next_rip));
}

/*
 * A direct far call to the code segment of DESCRIPTOR. The return address is pushed as the code
 * there has it: between compatibility and 64-bit mode SS and the stack pointer's width change first.
 */
static enum op_result
call_code(struct cpu *c, uint16_t selector, uint64_t descriptor, uint64_t offset, unsigned size,
    uint64_t next_rip)
{
	const struct x86_segment old = c->s->sregs.seg[SEG_CS];
	struct x86_segment cs = segment_from_descriptor(selector, descriptor);
	struct stack st;

	if (!direct_code_ok(c, selector, &cs))
		return (OP_FAULT);
	cs.access |= AR_TYPE_ACCESSED;
	offset &= offset_mask(c, &cs);
	if (long_mode(c) && ((cs.access ^ old.access) & AR_L))
		code_segment_set(c, &cs, c->cpl);
	st = stack_begin(c);
	if (!stack_push(c, &st, size, old.selector) || !stack_push(c, &st, size, next_rip) ||
	    (!target_ok(c, &cs, offset) && limit_fault(c, offset, cs.limit) == OP_FAULT) ||
	    !descriptor_mark_accessed(c, selector, descriptor)) {
		code_segment_set(c, &old, c->cpl);
		return (OP_FAULT);
	}
	stack_commit(c, &st);
	code_segment_set(c, &cs, c->cpl);
	c->s->gpr.rip = offset;
	return (OP_JUMP);
}

static enum op_result
call_real(struct cpu *c, uint16_t selector, uint64_t offset, unsigned size, uint64_t next_rip)
{
	const struct x86_segment *cs = &c->s->sregs.seg[SEG_CS];
	struct stack st = stack_begin(c);

	if (!stack_push(c, &st, size, cs->selector) || !stack_push(c, &st, size, next_rip))
		return (OP_FAULT);
	if (!target_ok(c, cs, offset))
		return (limit_fault(c, offset, cs->limit));
	stack_commit(c, &st);
	c->s->gpr.rip = offset;
	real_segment_set(c, SEG_CS, selector);
	return (OP_JUMP);
}

enum op_result
far_call(struct cpu *c, uint16_t selector, uint64_t offset, unsigned size, uint64_t next_rip)
{
	uint64_t descriptor;

	offset &= size_mask(size);
	if (!is_protected(c))
		return (call_real(c, selector, offset, size, next_rip));
	if (!target_descriptor(c, selector, &descriptor))
		return (OP_FAULT);
	if (is_code(descriptor))
		return (call_code(c, selector, descriptor, offset, size, next_rip));
	if (descriptor >> 40 & AR_S)
		return (selector_fault(c, VEC_GP, selector));
	return (to_system(c, selector, descriptor, true, next_rip));
}

/* --- returns ---------------------------------------------------------------------------------------- */

/* After a return to less privilege, data segments that it may not see become null. */
void
drop_privileged_segments(struct cpu *c)
{
	static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < sizeof(data); i++) {
		const struct x86_segment *sr = &c->s->sregs.seg[data[i]];
		bool conforming = (sr->access & (AR_TYPE_CODE | AR_TYPE_CONFORM)) ==
		    (AR_TYPE_CODE | AR_TYPE_CONFORM);

		/* The base stays: in 64-bit mode FS and GS go on with theirs. */
		if (!(sr->access & AR_UNUSABLE) && !conforming && segment_dpl(sr->access) < c->cpl)
			segment_set(c, data[i],
			    &(struct x86_segment){.base = sr->base, .access = AR_UNUSABLE});
	}
}

/* To an outer privilege level: SS:SP follow on the stack. */
static enum op_result
return_outer(struct cpu *c, struct stack *st, struct x86_segment *cs, uint64_t ip, unsigned size,
    unsigned release)
{
	unsigned cpl = SEL_RPL(cs->selector);
	struct x86_segment ss;
	uint64_t sp, ss_selector, descriptor;

	if (!stack_pop(c, st, size, &sp) || !stack_pop(c, st, size, &ss_selector) ||
	    !stack_segment_check(c, (uint16_t)ss_selector, cpl, VEC_GP, &descriptor))
		return (OP_FAULT);
	if (!target_ok(c, cs, ip))
		return (limit_fault(c, ip, cs->limit));
	if (!descriptor_mark_accessed(c, (uint16_t)ss_selector, descriptor))
		return (OP_FAULT);
	ss = segment_from_descriptor((uint16_t)ss_selector, descriptor);
	ss.access |= AR_TYPE_ACCESSED;
	segment_set(c, SEG_SS, &ss);
	code_segment_set(c, cs, cpl);
	sp += release;
	RSP(c->s) = (RSP(c->s) & ~c->sp_mask) | (sp & c->sp_mask);
	c->s->gpr.rip = ip;
	drop_privileged_segments(c);
	return (OP_JUMP);
}

enum op_result
return_to(struct cpu *c, struct stack *st, uint16_t selector, uint64_t ip, unsigned size,
    unsigned release)
{
	unsigned rpl = SEL_RPL(selector), dpl;
	uint64_t descriptor, popped;
	struct x86_segment cs;

	if (!target_descriptor(c, selector, &descriptor))
		return (OP_FAULT);
	cs = segment_from_descriptor(selector, descriptor);
	dpl = segment_dpl(cs.access);
	if (!is_code(descriptor) || rpl < c->cpl || !code_size_ok(c, &cs) ||
	    (cs.access & AR_TYPE_CONFORM ? dpl > rpl : dpl != rpl))
		return (selector_fault(c, VEC_GP, selector));
	if (!(cs.access & AR_P))
		return (selector_fault(c, VEC_NP, selector));
	ip &= offset_mask(c, &cs);
	/* The parameters of a RET n lie between return address and outer stack pointer. */
	st->sp = (st->sp & ~c->sp_mask) | ((st->sp + release) & c->sp_mask);
	if (!descriptor_mark_accessed(c, selector, descriptor))
		return (OP_FAULT);
	cs.access |= AR_TYPE_ACCESSED;
	if (rpl > c->cpl)
		return (return_outer(c, st, &cs, ip, size, release));
	if (!target_ok(c, &cs, ip))
		return (limit_fault(c, ip, cs.limit));
	popped = (st->sp - RSP(c->s)) & c->sp_mask;
	code_segment_set(c, &cs, c->cpl);
	/* The stack pointer moves in the mode that is returned to. */
	RSP(c->s) = (RSP(c->s) & ~c->sp_mask) | ((RSP(c->s) + popped) & c->sp_mask);
	c->s->gpr.rip = ip;
	return (OP_JUMP);
}

enum op_result
far_return(struct cpu *c, unsigned size, unsigned release)
{
	struct stack st = stack_begin(c);
	uint64_t ip, cs;

	/* Processors read the selector first, as 16 bits. */
	if (!stack_peek(c, &st, size, 2, &cs) || !stack_pop(c, &st, size, &ip))
		return (OP_FAULT);
	stack_skip(c, &st, size);
	if (is_protected(c))
		return (return_to(c, &st, (uint16_t)cs, ip, size, release));
	if (ip > c->s->sregs.seg[SEG_CS].limit)
		return (limit_fault(c, ip, c->s->sregs.seg[SEG_CS].limit));
	st.sp = (st.sp & ~c->sp_mask) | ((st.sp + release) & c->sp_mask);
	stack_commit(c, &st);
	real_segment_set(c, SEG_CS, (uint16_t)cs);
	c->s->gpr.rip = ip;
	return (OP_JUMP);
}
