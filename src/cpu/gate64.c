/* Far JMP and CALL through 64-bit call gates. SDM vol. 3A, 5.8.3.1 and 5.8.5.1; vol. 2A, CALL. */
#include "cpu/long.h"

struct gate64 {
	uint16_t selector;
	uint64_t offset;
};

static bool
selector_fault(struct cpu *c, unsigned vector, uint16_t selector)
{
	return (fault_at(c, vector, selector & 0xfffcu, CAUSE_SELECTOR, selector, 0));
}

/* The gate whose first half is LOW: the second one has the offset's upper half and type 0. */
static bool
gate_read(struct cpu *c, uint16_t selector, uint64_t low, struct gate64 *g)
{
	const struct vcpu_sregs *sr = &c->s->sregs;
	bool ldt = selector & SEL_TI;
	uint32_t index = SEL_INDEX(selector) + 8, access = (uint32_t)(low >> 40);
	uint64_t high;

	if (segment_dpl(access) < c->cpl || segment_dpl(access) < SEL_RPL(selector) ||
	    index + 7 > (ldt ? sr->ldtr.limit : sr->gdtr.limit))
		return (selector_fault(c, VEC_GP, selector));
	if (!sys_load(c, (ldt ? sr->ldtr.base : sr->gdtr.base) + index, 8, &high))
		return (false);
	if (high >> 40 & 0x1f)
		return (selector_fault(c, VEC_GP, selector));
	if (!(access & AR_P))
		return (selector_fault(c, VEC_NP, selector));
	*g = (struct gate64){
	    .selector = (uint16_t)(low >> 16),
	    .offset = (low & 0xffff) | (low >> 32 & 0xffff0000u) | high << 32,
	};
	return (true);
}

/* The 64-bit code segment behind the gate, marked accessed. */
static bool
gate_code(struct cpu *c, const struct gate64 *g, bool call, struct x86_segment *cs)
{
	uint64_t descriptor;
	unsigned dpl;

	if (SEL_IS_NULL(g->selector))
		return (fault_at(c, VEC_GP, 0, CAUSE_SELECTOR, g->selector, 0));
	if (!descriptor_read(c, g->selector, VEC_GP, &descriptor))
		return (false);
	*cs = segment_from_descriptor(g->selector, descriptor);
	dpl = segment_dpl(cs->access);
	if (!(cs->access & AR_S) || !(cs->access & AR_TYPE_CODE) || dpl > c->cpl ||
	    (cs->access & (AR_L | AR_DB)) != AR_L ||
	    (!call && !(cs->access & AR_TYPE_CONFORM) && dpl != c->cpl))
		return (selector_fault(c, VEC_GP, g->selector));
	if (!(cs->access & AR_P))
		return (selector_fault(c, VEC_NP, g->selector));
	if (!is_canonical(g->offset))
		return (fault_at(c, VEC_GP, 0, CAUSE_FETCH_LIMIT, g->offset, 0));
	cs->access |= AR_TYPE_ACCESSED;
	return (descriptor_mark_accessed(c, g->selector, descriptor));
}

/* CALL: push the way back, on the stack of privilege TARGET. */
static bool
push_return(struct cpu *c, unsigned target, uint64_t next_rip)
{
	struct vcpu_state *s = c->s;
	const struct vcpu_sregs saved = s->sregs;
	const uint64_t frame[] = {
	    saved.seg[SEG_SS].selector, RSP(s), saved.seg[SEG_CS].selector, next_rip};
	bool inner = target != c->cpl;
	uint64_t sp = RSP(s);

	if (inner) {
		if (!long_stack(c, target, 0, &sp))
			return (false);
		s->sregs.seg[SEG_SS] = null_stack_segment(target);
		set_cpl(c, target);
	}
	for (unsigned i = inner ? 0 : 2; i < 4; i++) {
		sp -= 8;
		if (is_canonical(sp) ? store(c, SEG_NONE, sp, 8, frame[i])
				     : fault_at(c, VEC_SS, 0, CAUSE_STACK, sp, 0))
			continue;
		s->sregs = saved;
		cpu_sregs_changed(c);
		return (false);
	}
	RSP(s) = sp;
	return (true);
}

enum op_result
call_gate64(struct cpu *c, uint16_t selector, uint64_t low, bool call, uint64_t next_rip)
{
	struct gate64 g = {0};
	struct x86_segment cs;
	unsigned target;

	if (!gate_read(c, selector, low, &g) || !gate_code(c, &g, call, &cs))
		return (OP_FAULT);
	target = cs.access & AR_TYPE_CONFORM ? c->cpl : segment_dpl(cs.access);
	if (call && !push_return(c, target, next_rip))
		return (OP_FAULT);
	code_segment_set(c, &cs, target);
	c->s->gpr.rip = g.offset;
	return (OP_JUMP);
}
