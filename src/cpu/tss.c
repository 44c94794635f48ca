/* Task state segments and hardware task switches. SDM vol. 3A, chapter 7. */
#include "cpu/tss.h"
#include "cpu/watch.h"

/* Offsets in a 32-bit TSS (figure 7-2) and a 16-bit one (figure 7-10). */
#define TSS32_LIMIT 0x67u
#define TSS16_LIMIT 0x2bu
#define TSS32_CR3 0x1cu
#define TSS32_EIP 0x20u
#define TSS16_IP 0x0eu
#define TSS32_LDT 0x60u
#define TSS16_LDT 0x2au
#define TSS32_TRAP 0x64u
#define TSS32_IOMAP 0x66u

static bool
tss_is_32(const struct x86_segment *tr)
{
	return ((tr->access & AR_TYPE) >= SYS_TSS32);
}

bool
tss_stack(struct cpu *c, unsigned cpl, uint32_t ext, struct x86_segment *ss, uint64_t *sp)
{
	const struct x86_segment *tr = &c->s->sregs.tr;
	unsigned size = tss_is_32(tr) ? 4 : 2;
	uint32_t offset = size == 4 ? 4 + cpl * 8 : 2 + cpl * 4;
	uint64_t selector, descriptor;

	if (offset + size + 1 > tr->limit)
		return (fault_at(
		    c, VEC_TS, (tr->selector & 0xfffcu) | ext, CAUSE_TSS, offset, tr->limit));
	if (!sys_load(c, (tr->base + offset) & c->lin_mask, size, sp) ||
	    !sys_load(c, (tr->base + offset + size) & c->lin_mask, 2, &selector))
		return (false);
	if (!stack_segment_check(c, (uint16_t)selector, cpl, VEC_TS, &descriptor)) {
		c->fault.error |= ext;
		return (false);
	}
	if (!descriptor_mark_accessed(c, (uint16_t)selector, descriptor))
		return (false);
	*ss = segment_from_descriptor((uint16_t)selector, descriptor);
	ss->access |= AR_TYPE_ACCESSED;
	return (true);
}

bool
io_allowed(struct cpu *c, uint16_t port, unsigned size)
{
	const struct x86_segment *tr = &c->s->sregs.tr;
	unsigned iopl = (c->s->gpr.rflags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT;
	uint64_t map, bits;

	if (!(c->mode & MODE_PE) || (!(c->mode & MODE_VM) && c->cpl <= iopl))
		return (true);
	if (!tss_is_32(tr) || tr->limit < TSS32_LIMIT)
		return (fault_at(c, VEC_GP, 0, CAUSE_PRIVILEGE, port, tr->limit));
	if (!sys_load(c, tr->base + TSS32_IOMAP, 2, &map))
		return (false);
	/* Two bytes are read, so both must lie within the limit (vol. 1, 19.5.2). */
	if (map + port / 8u + 1 > tr->limit)
		return (fault_at(c, VEC_GP, 0, CAUSE_PRIVILEGE, port, tr->limit));
	if (!sys_load(c, tr->base + map + port / 8u, 2, &bits))
		return (false);
	if (bits >> (port & 7) & ((1u << size) - 1))
		return (fault_at(c, VEC_GP, 0, CAUSE_PRIVILEGE, port, tr->limit));
	return (true);
}

bool
tss_redirects(struct cpu *c, unsigned vector, bool *yes)
{
	const struct x86_segment *tr = &c->s->sregs.tr;
	uint64_t map, bits, at;

	*yes = false;
	if (!tss_is_32(tr) || tr->limit < TSS32_LIMIT)
		return (true);
	if (!sys_load(c, tr->base + TSS32_IOMAP, 2, &map))
		return (false);
	at = map - 32 + vector / 8;
	if (map < 32 || at > tr->limit)
		return (true);
	if (!sys_load(c, tr->base + at, 1, &bits))
		return (false);
	*yes = !(bits >> (vector & 7) & 1);
	return (true);
}

/* --- task switches -------------------------------------------------------------------------------- */

/* What a TSS holds of a task, in one form for both sizes. */
struct task {
	uint64_t cr3, ip, flags;
	uint64_t reg[8];
	uint64_t seg[SEG_COUNT];
	uint64_t ldt;
	uint64_t trap;
};

/* Save the outgoing task's registers into its TSS. */
static bool
save_task(struct cpu *c, uint64_t return_rip, uint64_t flags)
{
	const struct vcpu_state *s = c->s;
	const struct x86_segment *tr = &s->sregs.tr;
	unsigned size = tss_is_32(tr) ? 4 : 2, nseg = size == 4 ? SEG_COUNT : 4;
	uint64_t at = tr->base + (size == 4 ? TSS32_EIP : TSS16_IP);

	if (!sys_store(c, at & c->lin_mask, size, return_rip) ||
	    !sys_store(c, (at + size) & c->lin_mask, size, flags))
		return (false);
	at += 2 * size;
	for (unsigned i = 0; i < 8; i++, at += size)
		if (!sys_store(c, at & c->lin_mask, size, s->gpr.reg[i]))
			return (false);
	for (unsigned i = 0; i < nseg; i++, at += size)
		if (!sys_store(c, at & c->lin_mask, 2, s->sregs.seg[i].selector))
			return (false);
	return (true);
}

static bool
read_task(struct cpu *c, const struct x86_segment *tss, struct task *t)
{
	unsigned size = tss_is_32(tss) ? 4 : 2, nseg = size == 4 ? SEG_COUNT : 4;
	uint64_t at = tss->base + (size == 4 ? TSS32_EIP : TSS16_IP);
	uint64_t ldt_at = tss->base + (size == 4 ? TSS32_LDT : TSS16_LDT);

	*t = (struct task){.cr3 = c->s->sregs.cr3};
	if (size == 4 && !sys_load(c, (tss->base + TSS32_CR3) & c->lin_mask, 4, &t->cr3))
		return (false);
	if (size == 4 && !sys_load(c, (tss->base + TSS32_TRAP) & c->lin_mask, 2, &t->trap))
		return (false);
	if (!sys_load(c, at & c->lin_mask, size, &t->ip) ||
	    !sys_load(c, (at + size) & c->lin_mask, size, &t->flags))
		return (false);
	at += 2 * size;
	for (unsigned i = 0; i < 8; i++, at += size)
		if (!sys_load(c, at & c->lin_mask, size, &t->reg[i]))
			return (false);
	for (unsigned i = 0; i < nseg; i++, at += size)
		if (!sys_load(c, at & c->lin_mask, 2, &t->seg[i]))
			return (false);
	return (sys_load(c, ldt_at & c->lin_mask, 2, &t->ldt));
}

/* The busy bit of the TSS descriptor SELECTOR in the GDT. */
static bool
set_busy(struct cpu *c, uint16_t selector, bool busy)
{
	uint64_t at = (c->s->sregs.gdtr.base + SEL_INDEX(selector) + 5) & c->lin_mask, access;

	if (!sys_load(c, at, 1, &access))
		return (false);
	return (sys_store(c, at, 1, busy ? access | 2 : access & ~2ull));
}

/* The LDT of the new task; #TS(selector) when it cannot be. */
static bool
load_task_ldt(struct cpu *c, uint16_t selector)
{
	struct x86_segment ldt;
	uint64_t descriptor;

	c->s->sregs.ldtr = (struct x86_segment){.selector = selector, .access = AR_UNUSABLE};
	if (SEL_IS_NULL(selector))
		return (true);
	if ((selector & SEL_TI) || !descriptor_read(c, selector, VEC_TS, &descriptor))
		return (fault_at(c, VEC_TS, selector & 0xfffcu, CAUSE_TSS, selector, 0));
	ldt = segment_from_descriptor(selector, descriptor);
	if ((ldt.access & (AR_S | AR_TYPE)) != SYS_LDT || !(ldt.access & AR_P))
		return (fault_at(c, VEC_TS, selector & 0xfffcu, CAUSE_TSS, selector, 0));
	c->s->sregs.ldtr = ldt;
	return (true);
}

/* The new task's CS: code, privilege by its RPL; #TS(selector) otherwise. */
static bool
load_task_code(struct cpu *c, uint16_t selector)
{
	struct x86_segment cs;
	uint64_t descriptor;
	unsigned rpl = SEL_RPL(selector), dpl;

	if (SEL_IS_NULL(selector) || !descriptor_read(c, selector, VEC_TS, &descriptor))
		return (fault_at(c, VEC_TS, selector & 0xfffcu, CAUSE_TSS, selector, 0));
	cs = segment_from_descriptor(selector, descriptor);
	dpl = segment_dpl(cs.access);
	if (!(cs.access & AR_S) || !(cs.access & AR_TYPE_CODE) ||
	    ((cs.access & AR_TYPE_CONFORM) ? dpl > rpl : dpl != rpl))
		return (fault_at(c, VEC_TS, selector & 0xfffcu, CAUSE_TSS, selector, 0));
	if (!(cs.access & AR_P))
		return (fault_at(c, VEC_NP, selector & 0xfffcu, CAUSE_TSS, selector, 0));
	if (!descriptor_mark_accessed(c, selector, descriptor))
		return (false);
	cs.access |= AR_TYPE_ACCESSED;
	code_segment_set(c, &cs, rpl);
	return (true);
}

/* Segments of the new task in the order of the manual: LDT, CS, SS, data (vol. 3A, 7.3). */
static bool
load_task_segments(struct cpu *c, const struct task *t)
{
	static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	struct x86_segment ss;
	uint64_t descriptor;
	unsigned cpl = SEL_RPL(t->seg[SEG_CS]);

	if (!load_task_ldt(c, (uint16_t)t->ldt))
		return (false);
	if (t->flags & RFLAGS_VM) {
		for (unsigned i = 0; i < SEG_COUNT; i++)
			c->s->sregs.seg[i] = segment_real((uint16_t)t->seg[i], 0xf3);
		cpu_sregs_changed(c);
		return (true);
	}
	if (!stack_segment_check(c, (uint16_t)t->seg[SEG_SS], cpl, VEC_TS, &descriptor))
		return (false);
	ss = segment_from_descriptor((uint16_t)t->seg[SEG_SS], descriptor);
	segment_set(c, SEG_SS, &ss);
	if (!load_task_code(c, (uint16_t)t->seg[SEG_CS]))
		return (false);
	for (unsigned i = 0; i < sizeof(data); i++) {
		if (!segment_load(c, data[i], (uint16_t)t->seg[data[i]])) {
			if (c->fault.vector == VEC_GP)
				c->fault.vector = VEC_TS;
			return (false);
		}
	}
	return (true);
}

/* The TSS that is switched to: in the GDT, available (or busy for IRET), present, large enough. */
static bool
target_tss(
    struct cpu *c, uint16_t selector, enum task_why why, uint32_t ext, struct x86_segment *tss)
{
	unsigned vector = why == TASK_RETURN ? VEC_TS : VEC_GP;
	uint32_t error = (selector & 0xfffcu) | ext;
	uint64_t descriptor;
	unsigned type;

	if ((selector & SEL_TI) || SEL_IS_NULL(selector) ||
	    !descriptor_read(c, selector, vector, &descriptor))
		return (fault_at(c, vector, error, CAUSE_TSS, selector, 0));
	*tss = segment_from_descriptor(selector, descriptor);
	type = tss->access & (AR_S | AR_TYPE);
	if (why == TASK_RETURN ? type != SYS_TSS16_BUSY && type != SYS_TSS32_BUSY
			       : type != SYS_TSS16 && type != SYS_TSS32)
		return (fault_at(c, vector, error, CAUSE_TSS, selector, 0));
	if (!(tss->access & AR_P))
		return (fault_at(c, VEC_NP, error, CAUSE_TSS, selector, 0));
	if (tss->limit < (tss_is_32(tss) ? TSS32_LIMIT : TSS16_LIMIT))
		return (fault_at(c, VEC_TS, error, CAUSE_TSS, tss->limit, TSS32_LIMIT));
	return (true);
}

/* Take over the registers of the new task; faults from here on happen in the new task. */
static bool
enter_task(struct cpu *c, const struct x86_segment *tss, const struct task *t)
{
	struct vcpu_state *s = c->s;
	unsigned size = tss_is_32(tss) ? 4 : 2;

	s->sregs.tr = *tss;
	s->sregs.tr.access |= 2;
	s->sregs.cr0 |= CR0_TS;
	if (s->sregs.cr0 & CR0_PG)
		s->sregs.cr3 = t->cr3;
	for (unsigned i = 0; i < 8; i++)
		gpr_write(&s->gpr.reg[i], size, t->reg[i]);
	s->gpr.rip = t->ip;
	rflags_set(c, t->flags, size == 4 ? ~(uint64_t)0xffc08028 : RFLAGS_ARITH | 0x7f00u);
	cpu_sregs_changed(c);
	s->debug.dr7 &= ~(uint64_t)DR7_LOCAL; /* vol. 3B, 17.2.4 */
	watch_changed(c);
	if (!load_task_segments(c, t))
		return (false);
	if (t->ip > s->sregs.seg[SEG_CS].limit)
		return (
		    fault_at(c, VEC_GP, 0, CAUSE_FETCH_LIMIT, t->ip, s->sregs.seg[SEG_CS].limit));
	/* The T flag: #DB before the new task's first instruction (7.2.1). */
	if (t->trap & 1)
		s->events.pending_debug |= DR6_BT;
	attention_update(c);
	return (true);
}

bool
task_switch(struct cpu *c, uint16_t selector, enum task_why why, uint64_t return_rip, uint32_t ext)
{
	struct x86_segment old = c->s->sregs.tr, tss;
	uint64_t flags = rflags_get(c);
	struct task t;

	if (!target_tss(c, selector, why, ext, &tss) || !read_task(c, &tss, &t))
		return (false);
	if (why == TASK_RETURN)
		flags &= ~(uint64_t)RFLAGS_NT;
	if (!save_task(c, return_rip, flags))
		return (false);
	if ((why == TASK_JUMP || why == TASK_RETURN) && !set_busy(c, old.selector, false))
		return (false);
	if (why != TASK_RETURN && !set_busy(c, selector, true))
		return (false);
	if (why == TASK_CALL || why == TASK_INTERRUPT) {
		if (!sys_store(c, tss.base & c->lin_mask, 2, old.selector))
			return (false);
		t.flags |= RFLAGS_NT;
	}
	return (enter_task(c, &tss, &t));
}

bool
task_gate(struct cpu *c, uint16_t selector, const struct delivery *d)
{
	uint32_t ext = delivery_ext(d);
	struct stack st;
	unsigned size;

	if (!task_switch(c, selector, TASK_INTERRUPT, d->return_rip, ext))
		return (false);
	if (!d->has_error)
		return (true);
	size = tss_is_32(&c->s->sregs.tr) ? 4 : 2;
	st = stack_begin(c);
	if (!stack_push(c, &st, size, d->error))
		return (false);
	stack_commit(c, &st);
	return (true);
}

enum op_result
task_return(struct cpu *c)
{
	uint64_t link;

	if (!sys_load(c, c->s->sregs.tr.base & c->lin_mask, 2, &link))
		return (OP_FAULT);
	/* RIP behind the IRET: the op knows it, c->next_rip carries it here. */
	return (task_switch(c, (uint16_t)link, TASK_RETURN, c->next_rip, 0) ? OP_JUMP : OP_FAULT);
}
