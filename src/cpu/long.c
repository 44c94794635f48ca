/*
 * 64-bit mode: interrupts through 16-byte gates (SDM vol. 3A, 6.14), IRET (vol. 2A), SYSCALL,
 * SYSRET, SYSENTER, SYSEXIT, SWAPGS (vol. 2B).
 */
#include "cpu/long.h"
#include "cpu/insn.h"
#include "cpu/tss.h"

#define GATE_SIZE 16u
#define TSS64_RSP0 4u
#define TSS64_IST1 0x24u

struct gate64 {
	uint16_t selector;
	uint64_t offset;
	unsigned ist;
	bool trap;
};

static bool
gate_fault(struct cpu *c, const struct delivery *d, unsigned vector, enum cpu_cause cause)
{
	return (fault_at(c, vector, d->vector << 3 | 2 | delivery_ext(d), cause, d->vector,
	    c->s->sregs.idtr.limit));
}

static bool
gate_read(struct cpu *c, const struct delivery *d, struct gate64 *g)
{
	const struct x86_table *idtr = &c->s->sregs.idtr;
	uint64_t low, high;
	uint32_t access;

	if (d->vector * GATE_SIZE + GATE_SIZE - 1 > idtr->limit)
		return (gate_fault(c, d, VEC_GP, CAUSE_IDT_LIMIT));
	if (!sys_load(c, idtr->base + d->vector * GATE_SIZE, 8, &low) ||
	    !sys_load(c, idtr->base + d->vector * GATE_SIZE + 8, 8, &high))
		return (false);
	access = (uint32_t)(low >> 40);
	*g = (struct gate64){
	    .selector = (uint16_t)(low >> 16),
	    .offset = (low & 0xffff) | (low >> 32 & 0xffff0000u) | high << 32,
	    .ist = (unsigned)(low >> 32) & 7,
	    .trap = (access & AR_TYPE) == SYS_TRAP_GATE32,
	};
	if ((access & 0x1f) != SYS_INT_GATE32 && (access & 0x1f) != SYS_TRAP_GATE32)
		return (gate_fault(c, d, VEC_GP, CAUSE_GATE));
	if (delivery_is_software(d) && segment_dpl(access) < c->cpl)
		return (gate_fault(c, d, VEC_GP, CAUSE_GATE));
	if (!(access & AR_P))
		return (gate_fault(c, d, VEC_NP, CAUSE_GATE));
	return (true);
}

/* The 64-bit code segment of the handler. */
static bool
handler_code(struct cpu *c, const struct gate64 *g, struct x86_segment *cs)
{
	uint32_t error = g->selector & 0xfffcu;
	uint64_t descriptor;

	if (SEL_IS_NULL(g->selector))
		return (fault_at(c, VEC_GP, 0, CAUSE_SELECTOR, g->selector, 0));
	if (!descriptor_read(c, g->selector, VEC_GP, &descriptor))
		return (false);
	*cs = segment_from_descriptor(g->selector, descriptor);
	if (!(cs->access & AR_S) || !(cs->access & AR_TYPE_CODE) ||
	    segment_dpl(cs->access) > c->cpl || (cs->access & (AR_L | AR_DB)) != AR_L)
		return (fault_at(c, VEC_GP, error, CAUSE_SELECTOR, g->selector, 0));
	if (!(cs->access & AR_P))
		return (fault_at(c, VEC_NP, error, CAUSE_SELECTOR, g->selector, 0));
	return (descriptor_mark_accessed(c, g->selector, descriptor));
}

bool
long_stack(struct cpu *c, unsigned target, unsigned ist, uint64_t *sp)
{
	const struct x86_segment *tr = &c->s->sregs.tr;
	uint32_t offset;

	offset = ist != 0 ? TSS64_IST1 + (ist - 1) * 8 : TSS64_RSP0 + target * 8;
	if (offset + 7 > tr->limit)
		return (fault_at(c, VEC_TS, tr->selector & 0xfffcu, CAUSE_TSS, offset, tr->limit));
	if (!sys_load(c, tr->base + offset, 8, sp))
		return (false);
	if (!is_canonical(*sp))
		return (fault_at(c, VEC_SS, 0, CAUSE_STACK, *sp, 0));
	return (true);
}

struct x86_segment
null_stack_segment(unsigned cpl)
{
	return ((struct x86_segment){
	    .selector = (uint16_t)cpl, .access = AR_UNUSABLE | cpl << AR_DPL_SHIFT});
}

bool
deliver_long(struct cpu *c, const struct delivery *d)
{
	struct vcpu_state *s = c->s;
	const struct vcpu_sregs saved = s->sregs;
	uint64_t flags = rflags_get(c), frame[6], sp;
	struct gate64 g = {0};
	struct x86_segment cs;
	unsigned target, n = 0;

	if (!gate_read(c, d, &g) || !handler_code(c, &g, &cs))
		return (false);
	target = cs.access & AR_TYPE_CONFORM ? c->cpl : segment_dpl(cs.access);
	sp = RSP(s);
	if ((g.ist != 0 || target != c->cpl) && !long_stack(c, target, g.ist, &sp))
		return (false);
	if (d->kind == EVENT_HW_EXCEPTION && d->vector != VEC_DB && d->vector != VEC_DF)
		flags |= RFLAGS_RF;
	frame[n++] = saved.seg[SEG_SS].selector;
	frame[n++] = c->mode & MODE_L ? RSP(s) : (uint32_t)RSP(s);
	frame[n++] = flags;
	frame[n++] = saved.seg[SEG_CS].selector;
	frame[n++] = d->return_rip;
	if (d->has_error)
		frame[n++] = d->error;
	sp &= ~15ull;
	c->lin_mask = UINT64_MAX; /* where it is pushed to: what follows sets the mode */
	if (target != c->cpl) {
		s->sregs.seg[SEG_SS] = null_stack_segment(target);
		set_cpl(c, target);
	}
	for (unsigned i = 0; i < n; i++) {
		if (!is_canonical(sp - 8 * (i + 1)))
			fault_at(c, VEC_SS, 0, CAUSE_STACK, sp - 8 * (i + 1), 0);
		if (!is_canonical(sp - 8 * (i + 1)) ||
		    !store(c, SEG_NONE, sp - 8 * (i + 1), 8, frame[i])) {
			s->sregs = saved;
			cpu_sregs_changed(c);
			return (false);
		}
	}
	RSP(s) = sp - 8 * n;
	cs.access |= AR_TYPE_ACCESSED;
	rflags_set(c, 0, RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | (g.trap ? 0 : RFLAGS_IF));
	code_segment_set(c, &cs, target);
	s->gpr.rip = g.offset;
	return (true);
}

/* --- IRET ---------------------------------------------------------------------------------------------- */

/* SS for a return to privilege CPL; null is good for 64-bit code that is not at privilege 3. */
static bool
return_stack(struct cpu *c, uint16_t selector, unsigned cpl, bool to64, struct x86_segment *ss)
{
	uint64_t descriptor;

	if (SEL_IS_NULL(selector) && to64 && cpl != 3 && SEL_RPL(selector) == cpl) {
		*ss = null_stack_segment(cpl);
		ss->selector = selector;
		return (true);
	}
	if (!stack_segment_check(c, selector, cpl, VEC_GP, &descriptor) ||
	    !descriptor_mark_accessed(c, selector, descriptor))
		return (false);
	*ss = segment_from_descriptor(selector, descriptor);
	ss->access |= AR_TYPE_ACCESSED;
	return (true);
}

static uint64_t
iret_mask(const struct cpu *c, unsigned size)
{
	uint64_t mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;
	unsigned iopl = (c->s->gpr.rflags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT;

	if (size != 2)
		mask |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
	if (c->cpl <= iopl)
		mask |= RFLAGS_IF;
	if (c->cpl == 0)
		mask |= RFLAGS_IOPL | (size != 2 ? RFLAGS_VIF | RFLAGS_VIP : 0);
	return (mask);
}

enum op_result
iret_long(struct cpu *c, unsigned size)
{
	uint64_t ip, cs_sel, flags, sp, ss_sel, descriptor, mask = iret_mask(c, size);
	struct stack st = stack_begin(c);
	struct x86_segment cs, ss;
	unsigned cpl;

	if (c->s->gpr.rflags & RFLAGS_NT)
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	/* Processors read the flags first, then the selector as 16 bits; the stack when CS is good. */
	if (!stack_peek(c, &st, 2 * size, size, &flags) || !stack_peek(c, &st, size, 2, &cs_sel) ||
	    !stack_pop(c, &st, size, &ip))
		return (OP_FAULT);
	if (SEL_IS_NULL(cs_sel))
		return (fault(c, VEC_GP, CAUSE_SELECTOR));
	if (!descriptor_read(c, (uint16_t)cs_sel, VEC_GP, &descriptor))
		return (OP_FAULT);
	cs = segment_from_descriptor((uint16_t)cs_sel, descriptor);
	cpl = SEL_RPL(cs_sel);
	if (!(cs.access & AR_S) || !(cs.access & AR_TYPE_CODE) || cpl < c->cpl ||
	    !code_size_ok(c, &cs) ||
	    (cs.access & AR_TYPE_CONFORM ? segment_dpl(cs.access) > cpl
					 : segment_dpl(cs.access) != cpl))
		return (fault_code(c, VEC_GP, (uint32_t)cs_sel & 0xfffcu, CAUSE_SELECTOR));
	if (!(cs.access & AR_P))
		return (fault_code(c, VEC_NP, (uint32_t)cs_sel & 0xfffcu, CAUSE_SELECTOR));
	stack_skip(c, &st, 2 * size);
	if (!stack_pop(c, &st, size, &sp) || !stack_peek(c, &st, 0, 2, &ss_sel) ||
	    !return_stack(c, (uint16_t)ss_sel, cpl, cs.access & AR_L, &ss))
		return (OP_FAULT);
	ip &= offset_mask(c, &cs);
	if (!target_ok(c, &cs, ip))
		return (fault(c, VEC_GP, CAUSE_FETCH_LIMIT));
	if (!descriptor_mark_accessed(c, (uint16_t)cs_sel, descriptor))
		return (OP_FAULT);
	cs.access |= AR_TYPE_ACCESSED;
	c->s->sregs.seg[SEG_SS] = ss;
	code_segment_set(c, &cs, cpl);
	/* A stack segment of 16 bits has SP alone. */
	gpr_write(&RSP(c->s), c->sp_mask == UINT16_MAX ? 2 : c->mode & MODE_L ? 8 : 4, sp);
	c->s->gpr.rip = ip;
	drop_privileged_segments(c);
	rflags_set(c, flags, mask);
	return (OP_JUMP);
}

/* --- fast system calls --------------------------------------------------------------------------------- */

/* Flat segments as SYSCALL and its kin load them: not from a table. */
static struct x86_segment
flat_code(uint16_t selector, unsigned cpl, bool is64)
{
	return ((struct x86_segment){
	    .selector = selector,
	    .limit = UINT32_MAX,
	    .access = 0x9bu | cpl << AR_DPL_SHIFT | AR_G | (is64 ? AR_L : AR_DB),
	});
}

static struct x86_segment
flat_data(uint16_t selector, unsigned cpl)
{
	return ((struct x86_segment){
	    .selector = selector,
	    .limit = UINT32_MAX,
	    .access = 0x93u | cpl << AR_DPL_SHIFT | AR_G | AR_DB,
	});
}

/* To privilege CPL at RIP with flat segments whose selectors are given. */
static enum op_result
enter_flat(struct cpu *c, uint16_t cs, uint16_t ss, unsigned cpl, bool is64, uint64_t rip)
{
	struct x86_segment code = flat_code(cs, cpl, is64);

	c->s->sregs.seg[SEG_SS] = flat_data(ss, cpl);
	c->s->sregs.seg[SEG_CS] = code;
	cpu_sregs_changed(c);
	c->s->gpr.rip = rip;
	return (OP_JUMP);
}

enum op_result
do_syscall(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint16_t selector = (uint16_t)(s->msr.star >> 32) & 0xfffc;

	if (!(s->sregs.efer & EFER_SCE) || !(c->mode & MODE_L))
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	RCX(s) = op_next_rip(op, s);
	s->gpr.reg[GPR_R11] = rflags_get(c) & ~(uint64_t)RFLAGS_RF;
	rflags_set(c, 0, s->msr.fmask | RFLAGS_RF);
	if (!(s->gpr.rflags & RFLAGS_TF))
		c->trap_cancel = true; /* the step ends here, not behind it */
	return (enter_flat(c, selector, (uint16_t)(selector + 8), 0, true, s->msr.lstar));
}

enum op_result
do_sysret(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint16_t base = (uint16_t)(s->msr.star >> 48);
	bool to64 = op->size == 8;
	uint64_t mask = ~(uint64_t)(RFLAGS_RF | RFLAGS_VM | 0xffc08028);

	if (!(s->sregs.efer & EFER_SCE) || !(c->mode & MODE_L))
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	if (c->cpl != 0 || (to64 && !is_canonical(RCX(s))))
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	rflags_set(c, s->gpr.reg[GPR_R11], mask & 0x3c7fd7);
	if (s->gpr.rflags & RFLAGS_TF) { /* stepping begins with this instruction */
		s->events.pending_debug |= DR6_BS;
		attention_update(c);
	}
	return (enter_flat(c, (uint16_t)((to64 ? base + 16 : base) | 3), (uint16_t)((base + 8) | 3),
	    3, to64, to64 ? RCX(s) : (uint32_t)RCX(s)));
}

enum op_result
do_sysenter(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint16_t selector = (uint16_t)s->msr.sysenter_cs & 0xfffc;
	bool is64 = long_mode(c);

	(void)op;
	if (!(c->mode & MODE_PE) || selector == 0)
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	rflags_set(c, 0, RFLAGS_VM | RFLAGS_IF | RFLAGS_RF);
	RSP(s) = is64 ? s->msr.sysenter_esp : (uint32_t)s->msr.sysenter_esp;
	return (enter_flat(c, selector, (uint16_t)(selector + 8), 0, is64,
	    is64 ? s->msr.sysenter_eip : (uint32_t)s->msr.sysenter_eip));
}

enum op_result
do_sysexit(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint16_t selector = (uint16_t)s->msr.sysenter_cs & 0xfffc;
	bool to64 = op->size == 8;
	uint16_t cs = (uint16_t)(selector + (to64 ? 32 : 16));

	if (!(c->mode & MODE_PE) || selector == 0 || c->cpl != 0)
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	RSP(s) = to64 ? RCX(s) : (uint32_t)RCX(s);
	return (enter_flat(
	    c, cs | 3, (uint16_t)((cs + 8) | 3), 3, to64, to64 ? RDX(s) : (uint32_t)RDX(s)));
}

enum op_result
do_swapgs(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t base = s->sregs.seg[SEG_GS].base;

	(void)op;
	if (!(c->mode & MODE_L))
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	if (c->cpl != 0)
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	s->sregs.seg[SEG_GS].base = s->msr.kernel_gsbase;
	s->msr.kernel_gsbase = base;
	cpu_segment_changed(c, SEG_GS);
	return (OP_NEXT);
}
