/* System instructions: control and debug registers, descriptor tables, rights. SDM vol. 2. */
#include "cpu/flags.h"
#include "cpu/insn.h"
#include "cpu/vme.h"
#include "cpu/watch.h"

static bool
privileged(struct cpu *c)
{
	return (c->cpl == 0 || fault_at(c, VEC_GP, 0, CAUSE_PRIVILEGE, c->cpl, 0));
}

/* Instructions about segments do not exist outside protected mode. */
static bool
protected_only(struct cpu *c)
{
	return (is_protected(c) || fault_at(c, VEC_UD, 0, CAUSE_INSTRUCTION, 0, 0));
}

/* --- interrupt flag --------------------------------------------------------------------------------- */

static bool
may_change_if(struct cpu *c)
{
	unsigned iopl = (c->s->gpr.rflags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT;

	if (!(c->mode & MODE_PE) || c->cpl <= iopl)
		return (true);
	return (fault_at(c, VEC_GP, 0, CAUSE_PRIVILEGE, iopl, c->cpl));
}

enum op_result
do_cli(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	if (virtual_if(c)) {
		s->gpr.rflags &= ~(uint64_t)RFLAGS_VIF;
		return (OP_NEXT);
	}
	if (!may_change_if(c))
		return (OP_FAULT);
	s->gpr.rflags &= ~(uint64_t)RFLAGS_IF;
	attention_update(c);
	return (OP_NEXT);
}

/* Interrupts wait until after the next instruction (SDM vol. 2B, STI). */
enum op_result
do_sti(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	if (virtual_if(c)) {
		if (!vme_flags_ok(c, RFLAGS_IF))
			return (OP_FAULT);
		s->gpr.rflags |= RFLAGS_VIF;
		return (OP_NEXT);
	}
	if (!may_change_if(c))
		return (OP_FAULT);
	if (!(s->gpr.rflags & RFLAGS_IF))
		s->events.interruptibility |= SHADOW_STI;
	s->gpr.rflags |= RFLAGS_IF;
	attention_update(c);
	return (OP_END);
}

/* --- control and debug registers ---------------------------------------------------------------------- */

/* CR4 bits of what this CPU has. */
#define CR4_KNOWN \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | \
	    CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP)

/* PAE paging in legacy mode reads four entries at CR3, which must be valid. */
static bool
pae_tables_ok(struct cpu *c, uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
	if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (c->s->sregs.efer & EFER_LME))
		return (true);
	return (pdptes_valid(c, cr3));
}

/* Turning paging on with EFER.LME enters IA-32e mode, off leaves it (SDM vol. 3A, 9.8.5). */
static bool
change_long_mode(struct cpu *c, uint64_t value)
{
	struct vcpu_sregs *sr = &c->s->sregs;
	bool on = value & CR0_PG;

	if (on == ((sr->cr0 & CR0_PG) != 0) || !(sr->efer & EFER_LME))
		return (true);
	if (on && (!(sr->cr4 & CR4_PAE) || (sr->seg[SEG_CS].access & AR_L)))
		return (false);
	if (!on && (c->mode & MODE_L))
		return (false);
	sr->efer = on ? sr->efer | EFER_LMA : sr->efer & ~(uint64_t)EFER_LMA;
	return (true);
}

static enum op_result
write_cr0(struct cpu *c, uint64_t value)
{
	struct vcpu_sregs *sr = &c->s->sregs;
	const uint64_t known =
	    CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;

	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)) ||
	    value >> 32 != 0 || !pae_tables_ok(c, value, sr->cr3, sr->cr4) ||
	    !change_long_mode(c, value))
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	sr->cr0 = (value & known) | CR0_ET;
	cpu_sregs_changed(c);
	return (OP_END);
}

static enum op_result
write_cr3(struct cpu *c, uint64_t value)
{
	if (!pae_tables_ok(c, c->s->sregs.cr0, value, c->s->sregs.cr4))
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	c->s->sregs.cr3 = value;
	c->paging[1] = value;
	tlb_flush(c);
	return (OP_END);
}

static enum op_result
write_cr4(struct cpu *c, uint64_t value)
{
	struct vcpu_sregs *sr = &c->s->sregs;

	if ((value & ~(uint64_t)CR4_KNOWN) || ((sr->efer & EFER_LMA) && !(value & CR4_PAE)) ||
	    !pae_tables_ok(c, sr->cr0, sr->cr3, value))
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	sr->cr4 = value;
	cpu_sregs_changed(c);
	watch_changed(c);
	return (OP_END);
}

static enum op_result
write_cr8(struct cpu *c, uint64_t value)
{
	if (value > 15)
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	c->s->sregs.cr8 = value;
	if (c->config.apic.write_cr8 != NULL)
		c->config.apic.write_cr8(c->config.apic.opaque, value);
	return (OP_END);
}

enum op_result
do_mov_cr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct vcpu_sregs *sr = &s->sregs;
	bool from = op->imm != 0;
	unsigned n = from ? op->src : op->dst;
	uint64_t *const reg[] = {
	    &sr->cr0, NULL, &sr->cr2, &sr->cr3, &sr->cr4, NULL, NULL, NULL, &sr->cr8};
	uint64_t value;

	if (n > 8 || reg[n] == NULL)
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	if (!privileged(c))
		return (OP_FAULT);
	if (from) {
		gpr_write((uint64_t *)(void *)reg_at(s, op->dst), op->size, *reg[n]);
		return (OP_END);
	}
	value = reg_get(s, op->src, op->size);
	if (n == 0)
		return (write_cr0(c, value));
	if (n == 4)
		return (write_cr4(c, value));
	if (n == 3)
		return (write_cr3(c, value));
	if (n == 8)
		return (write_cr8(c, value));
	*reg[n] = value;
	return (OP_END);
}

/* DR4 and DR5 are DR6 and DR7 while CR4.DE is 0 (SDM vol. 3B, 17.2.2). */
enum op_result
do_mov_dr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	bool from = op->imm != 0;
	unsigned n = from ? op->src : op->dst;
	uint64_t *reg, value;

	if ((n == 4 || n == 5) && (s->sregs.cr4 & CR4_DE))
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	if (!privileged(c))
		return (OP_FAULT);
	if (s->debug.dr7 & DR7_GD)
		return (watch_fault(c, DR6_BD));
	reg = n < 4 ? &s->debug.dr[n] : n % 2 == 0 ? &s->debug.dr6 : &s->debug.dr7;
	if (from) {
		gpr_write((uint64_t *)(void *)reg_at(s, op->dst), op->size, *reg);
		return (OP_NEXT);
	}
	value = reg_get(s, op->src, op->size);
	if (n >= 4 && value >> 32 != 0)
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	if (reg == &s->debug.dr6)
		value = (value & 0xe00f) | 0xffff0ff0;
	else if (reg == &s->debug.dr7)
		value = (value & 0xffff23ff) | 0x400;
	*reg = value;
	watch_changed(c);
	return (OP_END);
}

/* LMSW changes PE, MP, EM, TS, and cannot clear PE. */
enum op_result
do_lmsw(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t value;

	if (!privileged(c))
		return (OP_FAULT);
	if (op->dkind == K_REG)
		value = reg_get(s, op->dst, 2);
	else if (!load(c, op->seg, op_ea(op, s), 2, &value))
		return (OP_FAULT);
	value = (s->sregs.cr0 & ~0xeull) | (value & 0xf);
	s->sregs.cr0 = value;
	cpu_sregs_changed(c);
	return (OP_END);
}

/* CR4.UMIP keeps SGDT, SIDT, SLDT, SMSW, STR from user code (SDM vol. 3A, 2.5). */
static bool
umip_allows(struct cpu *c)
{
	if (!(c->s->sregs.cr4 & CR4_UMIP) || c->cpl == 0)
		return (true);
	return (fault_at(c, VEC_GP, 0, CAUSE_PRIVILEGE, c->cpl, 0));
}

/* A 16-bit system value to a register of any size or to 16 bits of memory. */
static enum op_result
store_word(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t value)
{
	if (!umip_allows(c))
		return (OP_FAULT);
	if (op->dkind == K_MEM)
		return (store(c, op->seg, op_ea(op, s), 2, value) ? OP_NEXT : OP_FAULT);
	reg_set(s, op->dst, op->size, value);
	return (OP_NEXT);
}

enum op_result
do_smsw(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (store_word(c, op, s, s->sregs.cr0));
}

/* SMAP's switch for explicit accesses to user pages. */
static enum op_result
change_ac(struct cpu *c, bool on)
{
	if (c->cpl != 0)
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	rflags_set(c, on ? RFLAGS_AC : 0, RFLAGS_AC);
	return (OP_NEXT);
}

enum op_result
do_stac(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	(void)s;
	return (change_ac(c, true));
}

enum op_result
do_clac(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	(void)s;
	return (change_ac(c, false));
}

enum op_result
do_clts(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	if (!privileged(c))
		return (OP_FAULT);
	s->sregs.cr0 &= ~(uint64_t)CR0_TS;
	return (OP_NEXT);
}

/* WAIT: #NM when both MP and TS are set. */
enum op_result
do_wait(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	if ((s->sregs.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return (fault(c, VEC_NM, CAUSE_INSTRUCTION));
	return (x87_wait(c, s));
}

enum op_result
do_invd(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	(void)s;
	return (privileged(c) ? OP_NEXT : OP_FAULT);
}

enum op_result
do_invlpg(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)s;
	if (op->dkind != K_MEM)
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	if (!privileged(c))
		return (OP_FAULT);
	tlb_flush(c);
	return (OP_END);
}

/* --- descriptor tables ------------------------------------------------------------------------------------ */

static enum op_result
load_table(struct cpu *c, const struct op *op, struct vcpu_state *s, struct x86_table *table)
{
	uint64_t ea = op_ea(op, s), limit, base;
	unsigned width = op->size == 8 ? 8 : 4;

	if (!privileged(c))
		return (OP_FAULT);
	if (!load(c, op->seg, ea, 2, &limit) ||
	    !load(c, op->seg, (ea + 2) & op->amask, width, &base))
		return (OP_FAULT);
	if (op->size == 8 && !is_canonical(base))
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	table->limit = (uint32_t)limit;
	table->base = op->size == 2 ? base & 0xffffff : base;
	return (OP_NEXT);
}

static enum op_result
store_table(struct cpu *c, const struct op *op, struct vcpu_state *s, const struct x86_table *table)
{
	uint64_t ea = op_ea(op, s), base = table->base;
	unsigned width = op->size == 8 ? 8 : 4;

	if (!umip_allows(c))
		return (OP_FAULT);
	if (c->traits->table_base_24)
		base |= 0xff000000; /* the sixth byte is all ones */
	if (!probe_write(c, op->seg, ea, width + 2) || !store(c, op->seg, ea, 2, table->limit) ||
	    !store(c, op->seg, (ea + 2) & op->amask, width, base))
		return (OP_FAULT);
	return (OP_NEXT);
}

enum op_result
do_lgdt(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (load_table(c, op, s, &s->sregs.gdtr));
}

enum op_result
do_lidt(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (load_table(c, op, s, &s->sregs.idtr));
}

enum op_result
do_sgdt(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (store_table(c, op, s, &s->sregs.gdtr));
}

enum op_result
do_sidt(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (store_table(c, op, s, &s->sregs.idtr));
}

/* A selector operand: 16 bits of a register or of memory. */
static bool
selector_get(struct cpu *c, enum op_kind kind, uint16_t reg, const struct op *op,
    struct vcpu_state *s, uint16_t *selector)
{
	uint64_t value;

	if (kind == K_REG)
		value = reg_get(s, reg, 2);
	else if (!load(c, op->seg, op_ea(op, s), 2, &value))
		return (false);
	*selector = (uint16_t)value;
	return (true);
}

static enum op_result
selector_fault(struct cpu *c, unsigned vector, uint16_t selector)
{
	fault_at(c, vector, selector & 0xfffcu, CAUSE_SELECTOR, selector, 0);
	return (OP_FAULT);
}

/* The descriptor of an LDT or TSS named by a GDT selector. */
static bool
system_segment(struct cpu *c, uint16_t selector, struct x86_segment *seg)
{
	uint64_t descriptor;

	if (selector & SEL_TI)
		return (selector_fault(c, VEC_GP, selector), false);
	if (!descriptor_read(c, selector, VEC_GP, &descriptor))
		return (false);
	*seg = segment_from_descriptor(selector, descriptor);
	if (!(c->s->sregs.efer & EFER_LMA))
		return (true);
	/* 16 bytes in IA-32e mode: the second half has bits 32-63 of the base (vol. 3A, 7.2.3). */
	if (SEL_INDEX(selector) + 15 > c->s->sregs.gdtr.limit)
		return (selector_fault(c, VEC_GP, selector), false);
	if (!sys_load(c, c->s->sregs.gdtr.base + SEL_INDEX(selector) + 8, 8, &descriptor))
		return (false);
	seg->base |= descriptor << 32;
	if (!is_canonical(seg->base))
		return (selector_fault(c, VEC_GP, selector), false);
	return (true);
}

enum op_result
do_lldt(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct x86_segment seg;
	uint16_t selector;

	if (!protected_only(c) || !privileged(c) ||
	    !selector_get(c, op->dkind, op->dst, op, s, &selector))
		return (OP_FAULT);
	if (SEL_IS_NULL(selector)) {
		s->sregs.ldtr = (struct x86_segment){.selector = selector, .access = AR_UNUSABLE};
		return (OP_NEXT);
	}
	if (!system_segment(c, selector, &seg))
		return (OP_FAULT);
	if ((seg.access & (AR_S | AR_TYPE)) != SYS_LDT)
		return (selector_fault(c, VEC_GP, selector));
	if (!(seg.access & AR_P))
		return (selector_fault(c, VEC_NP, selector));
	s->sregs.ldtr = seg;
	return (OP_NEXT);
}

enum op_result
do_ltr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct x86_segment seg;
	uint16_t selector;
	unsigned type;

	if (!protected_only(c) || !privileged(c) ||
	    !selector_get(c, op->dkind, op->dst, op, s, &selector))
		return (OP_FAULT);
	if (SEL_IS_NULL(selector))
		return (fault(c, VEC_GP, CAUSE_SELECTOR));
	if (!system_segment(c, selector, &seg))
		return (OP_FAULT);
	type = seg.access & (AR_S | AR_TYPE);
	if (type != SYS_TSS16 && type != SYS_TSS32)
		return (selector_fault(c, VEC_GP, selector));
	if (!(seg.access & AR_P))
		return (selector_fault(c, VEC_NP, selector));
	seg.access |= 2; /* busy */
	if (!sys_store(c, s->sregs.gdtr.base + SEL_INDEX(selector) + 5, 1, seg.access & 0xff))
		return (OP_FAULT);
	s->sregs.tr = seg;
	return (OP_NEXT);
}

enum op_result
do_sldt(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (protected_only(c) ? store_word(c, op, s, s->sregs.ldtr.selector) : OP_FAULT);
}

enum op_result
do_str(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (protected_only(c) ? store_word(c, op, s, s->sregs.tr.selector) : OP_FAULT);
}

/* --- rights: LAR, LSL, VERR, VERW, ARPL ----------------------------------------------------------------------- */

static void
set_zf(struct cpu *c, bool zf)
{
	flags_merge(c, zf ? RFLAGS_ZF : 0, RFLAGS_ZF);
}

/* System types that LAR and LSL know (SDM vol. 2A, tables 3-53 and 3-56). */
#define LAR_TYPES \
	(1u << SYS_TSS16 | 1u << SYS_LDT | 1u << SYS_TSS16_BUSY | 1u << SYS_CALL_GATE16 | \
	    1u << SYS_TASK_GATE | 1u << SYS_TSS32 | 1u << SYS_TSS32_BUSY | 1u << SYS_CALL_GATE32)
#define LSL_TYPES \
	(1u << SYS_TSS16 | 1u << SYS_LDT | 1u << SYS_TSS16_BUSY | 1u << SYS_TSS32 | \
	    1u << SYS_TSS32_BUSY)

/* Is SELECTOR visible at this privilege? *DESCRIPTOR is then set. A page fault is a fault. */
static enum op_result
visible(struct cpu *c, uint16_t selector, uint32_t system_types, uint64_t *descriptor, bool *yes)
{
	struct x86_segment seg;

	*yes = false;
	if (SEL_IS_NULL(selector))
		return (OP_NEXT);
	if (!descriptor_read(c, selector, VEC_GP, descriptor))
		return (c->fault.vector == VEC_PF ? OP_FAULT : OP_NEXT);
	seg = segment_from_descriptor(selector, *descriptor);
	if (!(seg.access & AR_S) && !(system_types >> (seg.access & AR_TYPE) & 1))
		return (OP_NEXT);
	if ((seg.access & (AR_S | AR_TYPE_CODE | AR_TYPE_CONFORM)) !=
		(AR_S | AR_TYPE_CODE | AR_TYPE_CONFORM) &&
	    (segment_dpl(seg.access) < c->cpl || segment_dpl(seg.access) < SEL_RPL(selector)))
		return (OP_NEXT);
	*yes = true;
	return (OP_NEXT);
}

enum op_result
do_lar(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t descriptor = 0;
	uint16_t selector;
	bool yes;

	if (!protected_only(c) || !selector_get(c, op->skind, op->src, op, s, &selector) ||
	    visible(c, selector, LAR_TYPES, &descriptor, &yes) == OP_FAULT)
		return (OP_FAULT);
	if (yes)
		reg_set(
		    s, op->dst, op->size, descriptor >> 32 & (op->size == 2 ? 0xff00 : 0xffff00));
	set_zf(c, yes);
	return (OP_NEXT);
}

enum op_result
do_lsl(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t descriptor = 0;
	uint16_t selector;
	bool yes;

	if (!protected_only(c) || !selector_get(c, op->skind, op->src, op, s, &selector) ||
	    visible(c, selector, LSL_TYPES, &descriptor, &yes) == OP_FAULT)
		return (OP_FAULT);
	if (yes)
		reg_set(s, op->dst, op->size, segment_from_descriptor(selector, descriptor).limit);
	set_zf(c, yes);
	return (OP_NEXT);
}

static enum op_result
verify(struct cpu *c, const struct op *op, struct vcpu_state *s, bool write)
{
	uint64_t descriptor = 0;
	uint16_t selector;
	uint32_t access;
	bool yes;

	if (!protected_only(c) || !selector_get(c, op->dkind, op->dst, op, s, &selector) ||
	    visible(c, selector, 0, &descriptor, &yes) == OP_FAULT)
		return (OP_FAULT);
	access = (uint32_t)(descriptor >> 40);
	if (write)
		yes = yes && !(access & AR_TYPE_CODE) && (access & AR_TYPE_WRITE);
	else
		yes = yes && (!(access & AR_TYPE_CODE) || (access & AR_TYPE_READ));
	set_zf(c, yes);
	return (OP_NEXT);
}

enum op_result
do_verr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (verify(c, op, s, false));
}

enum op_result
do_verw(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (verify(c, op, s, true));
}

enum op_result
do_arpl(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t dst, src = reg_get(s, op->src, 2);
	bool adjust;

	if (!protected_only(c) || !dst_get(c, op, s, &dst))
		return (OP_FAULT);
	adjust = SEL_RPL(dst) < SEL_RPL(src);
	if (adjust && !dst_set(c, op, s, (dst & ~3ull) | SEL_RPL(src)))
		return (OP_FAULT);
	set_zf(c, adjust);
	return (OP_NEXT);
}
