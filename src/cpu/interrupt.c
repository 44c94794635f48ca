/*
 * Interrupts and exceptions through the IVT (SDM vol. 3A, 20.1.4) and the IDT (6.12), and IRET
 * (vol. 2A). Everything that can fault is done before the state changes.
 */
#include <stddef.h>

#include "cpu/deliver.h"
#include "cpu/internal.h"
#include "cpu/long.h"
#include "cpu/tss.h"
#include "cpu/vme.h"

static bool
idt_fault(struct cpu *c, const struct delivery *d, unsigned vector, enum cpu_cause cause)
{
	uint32_t error = d->vector << 3 | 2 | delivery_ext(d);

	return (fault_at(c, vector, error, cause, d->vector, c->s->sregs.idtr.limit));
}

/* RFLAGS as pushed: RF is set for faults, so that the instruction is not stopped at again. */
static uint64_t
flags_image(struct cpu *c, const struct delivery *d)
{
	uint64_t flags = rflags_get(c);

	if (d->kind == EVENT_HW_EXCEPTION && d->vector != VEC_DB && d->vector != VEC_DF)
		flags |= RFLAGS_RF;
	return (flags);
}

/* Through the vector table at IDTR's base; the 8086 program's own at 0 in virtual-8086 mode. */
static bool
deliver_real(struct cpu *c, const struct delivery *d)
{
	const struct x86_table own = {.limit = 0x3ff};
	const struct x86_table *ivt = c->mode & MODE_VM ? &own : &c->s->sregs.idtr;
	uint64_t entry, flags = rflags_stored(c),
			off = RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF;
	struct stack st = stack_begin(c);

	if (vme_active(c)) { /* vol. 3A, 20.3.3.3 */
		flags = vme_flags_image(c, flags);
		off = RFLAGS_VIF | RFLAGS_TF | RFLAGS_RF;
	}
	if (d->vector * 4 + 3 > ivt->limit)
		return (idt_fault(c, d, VEC_GP, CAUSE_IDT_LIMIT));
	if (!sys_load(c, (ivt->base + d->vector * 4) & c->lin_mask, 4, &entry))
		return (false);
	if (!stack_push(c, &st, 2, flags & 0xffff) ||
	    !stack_push(c, &st, 2, c->s->sregs.seg[SEG_CS].selector) ||
	    !stack_push(c, &st, 2, d->return_rip & 0xffff))
		return (false);
	stack_commit(c, &st);
	rflags_set(c, 0, off);
	real_segment_set(c, SEG_CS, (uint16_t)(entry >> 16));
	c->s->gpr.rip = entry & 0xffff;
	return (true);
}

/* A gate of the IDT, taken apart. */
struct gate {
	uint16_t selector;
	uint32_t offset;
	unsigned type;
	unsigned size; /* of what is pushed: 2 or 4 */
	bool trap;     /* leaves IF alone */
};

static bool
gate_read(struct cpu *c, const struct delivery *d, struct gate *g)
{
	const struct x86_table *idtr = &c->s->sregs.idtr;
	uint64_t raw;
	uint32_t access;

	if (d->vector * 8 + 7 > idtr->limit)
		return (idt_fault(c, d, VEC_GP, CAUSE_IDT_LIMIT));
	if (!sys_load(c, (idtr->base + d->vector * 8) & c->lin_mask, 8, &raw))
		return (false);
	access = (uint32_t)(raw >> 40);
	g->type = access & 0x1f;
	g->selector = (uint16_t)(raw >> 16);
	g->offset = (uint32_t)(raw & 0xffff) | (uint32_t)(raw >> 32 & 0xffff0000u);
	g->size = g->type & 8 ? 4 : 2;
	g->trap = (g->type & 7) == 7;
	if (g->size == 2)
		g->offset &= 0xffff;
	if (g->type != SYS_INT_GATE16 && g->type != SYS_TRAP_GATE16 && g->type != SYS_INT_GATE32 &&
	    g->type != SYS_TRAP_GATE32 && g->type != SYS_TASK_GATE)
		return (idt_fault(c, d, VEC_GP, CAUSE_GATE));
	if (delivery_is_software(d) && segment_dpl(access) < c->cpl)
		return (idt_fault(c, d, VEC_GP, CAUSE_GATE));
	if (!(access & AR_P))
		return (idt_fault(c, d, VEC_NP, CAUSE_GATE));
	return (true);
}

/* The handler's code segment: present, code, not less privileged than the CPL. */
static bool
handler_segment(struct cpu *c, const struct delivery *d, const struct gate *g,
    struct x86_segment *cs, uint64_t *descriptor)
{
	uint32_t ext = delivery_ext(d), error = (g->selector & 0xfffcu) | ext;

	if (SEL_IS_NULL(g->selector))
		return (fault_at(c, VEC_GP, ext, CAUSE_SELECTOR, g->selector, 0));
	if (!descriptor_read(c, g->selector, VEC_GP, descriptor)) {
		c->fault.error |= ext;
		return (false);
	}
	*cs = segment_from_descriptor(g->selector, *descriptor);
	if (!(cs->access & AR_S) || !(cs->access & AR_TYPE_CODE) ||
	    segment_dpl(cs->access) > c->cpl)
		return (fault_at(c, VEC_GP, error, CAUSE_SELECTOR, g->selector, 0));
	if (!(cs->access & AR_P))
		return (fault_at(c, VEC_NP, error, CAUSE_SELECTOR, g->selector, 0));
	return (true);
}

static bool
push_all(struct cpu *c, struct stack *st, unsigned size, const uint64_t *values, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!stack_push(c, st, size, values[i]))
			return (false);
	return (true);
}

/* Real-mode data segments after an interrupt left virtual-8086 mode: null. */
static void
clear_data_segments(struct cpu *c)
{
	static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < sizeof(data); i++)
		segment_set(c, data[i], &(struct x86_segment){.access = AR_UNUSABLE});
}

/*
 * Through an interrupt or trap gate to CPL TARGET: SS:SP comes from the TSS when the privilege
 * changes. On a fault while pushing, the old stack segment is put back.
 */
static bool
deliver_through_gate(struct cpu *c, const struct delivery *d, const struct gate *g,
    const struct x86_segment *cs, unsigned target)
{
	struct vcpu_state *s = c->s;
	const struct vcpu_sregs saved = s->sregs;
	uint64_t flags = flags_image(c, d), frame[10];
	uint8_t saved_mode = c->mode;
	bool from_vm = c->mode & MODE_VM;
	struct stack st = stack_begin(c);
	unsigned n = 0;

	if (target != c->cpl) {
		struct x86_segment ss;
		uint64_t sp;

		if (!tss_stack(c, target, delivery_ext(d), &ss, &sp))
			return (false);
		if (from_vm) {
			frame[n++] = s->sregs.seg[SEG_GS].selector;
			frame[n++] = s->sregs.seg[SEG_FS].selector;
			frame[n++] = s->sregs.seg[SEG_DS].selector;
			frame[n++] = s->sregs.seg[SEG_ES].selector;
		}
		frame[n++] = s->sregs.seg[SEG_SS].selector;
		frame[n++] = RSP(s);
		/* From here on the new stack is used: pushes check it as the new privilege does. */
		c->mode &= (uint8_t)~MODE_VM;
		set_cpl(c, target);
		segment_set(c, SEG_SS, &ss);
		st.sp = sp;
	}
	frame[n++] = flags;
	frame[n++] = saved.seg[SEG_CS].selector;
	frame[n++] = d->return_rip;
	if (d->has_error)
		frame[n++] = d->error;
	if (g->offset > cs->limit)
		fault_at(c, VEC_GP, delivery_ext(d), CAUSE_FETCH_LIMIT, g->offset, cs->limit);
	if (g->offset > cs->limit || !push_all(c, &st, g->size, frame, n)) {
		c->mode = saved_mode;
		s->sregs = saved;
		cpu_sregs_changed(c);
		return (false);
	}
	stack_commit(c, &st);
	if (from_vm)
		clear_data_segments(c);
	rflags_set(c, 0, RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | (g->trap ? 0 : RFLAGS_IF));
	code_segment_set(c, cs, target);
	s->gpr.rip = g->offset;
	return (true);
}

static bool
deliver_protected(struct cpu *c, const struct delivery *d)
{
	struct x86_segment cs;
	uint64_t descriptor;
	struct gate g = {0};
	unsigned target;

	if (!gate_read(c, d, &g))
		return (false);
	if (g.type == SYS_TASK_GATE)
		return (task_gate(c, g.selector, d));
	if (!handler_segment(c, d, &g, &cs, &descriptor))
		return (false);
	target = cs.access & AR_TYPE_CONFORM ? c->cpl : segment_dpl(cs.access);
	if ((c->mode & MODE_VM) && target != 0)
		return (fault_at(c, VEC_GP, (g.selector & 0xfffcu) | delivery_ext(d),
		    CAUSE_PRIVILEGE, g.selector, 0));
	if (!descriptor_mark_accessed(c, g.selector, descriptor))
		return (false);
	cs.access |= AR_TYPE_ACCESSED;
	cs.selector = (uint16_t)((g.selector & 0xfffcu) | target);
	return (deliver_through_gate(c, d, &g, &cs, target));
}

static bool
deliver_any(struct cpu *c, const struct delivery *d)
{
	bool redirect = false;

	if ((c->mode & MODE_VM) && d->kind == EVENT_SW_INTR &&
	    !vme_interrupt(c, d->vector, &redirect))
		return (false);
	if (redirect)
		return (deliver_real(c, d));
	if (long_mode(c))
		return (deliver_long(c, d));
	return (c->mode & MODE_PE ? deliver_protected(c, d) : deliver_real(c, d));
}

bool
deliver(struct cpu *c, const struct delivery *d)
{
	uint64_t from = c->segc[SEG_CS].base + c->s->gpr.rip;
	uint8_t mode = c->mode;

	if (!deliver_any(c, d))
		return (false);
	branch_note(c, from, mode, c->segc[SEG_CS].base + c->s->gpr.rip);
	return (true);
}

/* --- IRET ------------------------------------------------------------------------------------------ */

/* Flags that IRET and POPF of SIZE bytes may write in real mode or at privilege 0. */
static uint64_t
writable_flags(unsigned size)
{
	uint64_t mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT;

	if (size != 2)
		mask |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
	return (mask);
}

static enum op_result
iret_real(struct cpu *c, unsigned size)
{
	struct stack st = stack_begin(c);
	uint64_t ip, cs, flags;

	if (!stack_pop(c, &st, size, &ip) || !stack_pop(c, &st, size, &cs) ||
	    !stack_pop(c, &st, size, &flags))
		return (OP_FAULT);
	if (ip > c->s->sregs.seg[SEG_CS].limit)
		return (
		    fault_at(c, VEC_GP, 0, CAUSE_FETCH_LIMIT, ip, c->s->sregs.seg[SEG_CS].limit),
		    OP_FAULT);
	if (vme_active(c) && !vme_flags_ok(c, flags))
		return (OP_FAULT);
	stack_commit(c, &st);
	if (vme_active(c))
		vme_flags_load(c, flags);
	else
		rflags_set(c, flags,
		    c->mode & MODE_VM ? writable_flags(size) & ~(uint64_t)RFLAGS_IOPL
				      : writable_flags(size));
	real_segment_set(c, SEG_CS, (uint16_t)cs);
	c->s->gpr.rip = ip;
	return (OP_JUMP);
}

/* To virtual-8086 mode: nine words on the stack (SDM vol. 3A, 20.2.5). */
static enum op_result
iret_to_vm(struct cpu *c, struct stack *st, uint64_t ip, uint64_t cs, uint64_t flags)
{
	static const uint8_t order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	uint64_t sp, ss, data[4];

	if (!stack_pop(c, st, 4, &sp) || !stack_pop(c, st, 4, &ss))
		return (OP_FAULT);
	for (int i = 0; i < 4; i++)
		if (!stack_pop(c, st, 4, &data[i]))
			return (OP_FAULT);
	rflags_set(c, flags, writable_flags(4) | RFLAGS_VM | RFLAGS_VIF | RFLAGS_VIP);
	set_cpl(c, 3);
	for (int i = 0; i < 4; i++)
		real_segment_set(c, order[i], (uint16_t)data[i]);
	real_segment_set(c, SEG_SS, (uint16_t)ss);
	real_segment_set(c, SEG_CS, (uint16_t)cs);
	cpu_sregs_changed(c);
	RSP(c->s) = sp;
	c->s->gpr.rip = ip & 0xffff;
	return (OP_JUMP);
}

static enum op_result
iret_protected(struct cpu *c, unsigned size)
{
	struct stack st = stack_begin(c);
	uint64_t ip, cs, flags, mask = writable_flags(size);
	enum op_result result;
	unsigned cpl = c->cpl;

	if ((c->s->gpr.rflags & RFLAGS_NT) && long_mode(c))
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	if (c->s->gpr.rflags & RFLAGS_NT)
		return (task_return(c));
	/* Processors read the flags first, then the selector as 16 bits. */
	if (!stack_peek(c, &st, 2 * size, size, &flags) || !stack_peek(c, &st, size, 2, &cs) ||
	    !stack_pop(c, &st, size, &ip))
		return (OP_FAULT);
	stack_skip(c, &st, 2 * size);
	if (size == 4 && (flags & RFLAGS_VM) && cpl == 0 && !long_mode(c))
		return (iret_to_vm(c, &st, ip, cs, flags));
	if (cpl > (c->s->gpr.rflags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT)
		mask &= ~(uint64_t)RFLAGS_IF;
	if (cpl != 0)
		mask &= ~(uint64_t)RFLAGS_IOPL;
	else if (size != 2)
		mask |= RFLAGS_VIF | RFLAGS_VIP;
	result = return_to(c, &st, (uint16_t)cs, ip, size, 0);
	if (result != OP_FAULT)
		rflags_set(c, flags, mask);
	return (result);
}

enum op_result
interrupt_return(struct cpu *c, unsigned size)
{
	enum op_result result;

	if ((c->mode & MODE_VM) && (c->s->gpr.rflags & RFLAGS_IOPL) != RFLAGS_IOPL &&
	    !(size == 2 && vme_active(c)))
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	if (c->mode & MODE_L)
		result = iret_long(c, size);
	else
		result = is_protected(c) ? iret_protected(c, size) : iret_real(c, size);
	/* IRET ends the blocking of NMIs (SDM vol. 3A, 6.7.1). */
	if (result != OP_FAULT) {
		c->s->events.interruptibility &= ~SHADOW_NMI;
		attention_update(c);
	}
	return (result);
}
