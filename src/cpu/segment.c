/*
 * Segment registers: what derives from them, loading them, reading descriptors.
 * SDM vol. 3A, chapters 3.4 and 5; vol. 2B, MOV.
 */
#include "cpu/internal.h"

/* May this segment be used by plain comparison with [0, end)? Expand-down ones may not. */
static struct seg_cache
cache_of(const struct cpu *c, unsigned seg, const struct x86_segment *sr)
{
	struct seg_cache sc = {.base = sr->base};
	bool code = sr->access & AR_TYPE_CODE;
	uint64_t end = (uint64_t)sr->limit + 1;

	if (c->mode & MODE_L) {
		/* Only FS and GS have a base (SDM vol. 3A, 3.4.4). */
		if (seg != SEG_FS && seg != SEG_GS)
			sc.base = 0;
		sc.rend = sc.wend = UINT64_MAX;
		return (sc);
	}
	if ((sr->access & AR_UNUSABLE) || (!code && (sr->access & AR_TYPE_DOWN)))
		return (sc);
	if (!is_protected(c)) {
		sc.rend = sc.wend = end;
		return (sc);
	}
	sc.rend = !code || (sr->access & AR_TYPE_READ) ? end : 0;
	sc.wend = !code && (sr->access & AR_TYPE_WRITE) ? end : 0;
	return (sc);
}

/* Where linear addresses and RIP wrap around, by processor and mode. */
static void
masks_changed(struct cpu *c)
{
	bool l = c->mode & MODE_L;

	c->lin_mask = l ? UINT64_MAX : c->traits->lin_mask;
	/* The system's tables are anywhere in the linear space, in compatibility mode too. */
	c->sys_mask = c->s->sregs.efer & EFER_LMA ? UINT64_MAX : c->traits->lin_mask;
	c->ip_mask = l ? UINT64_MAX : c->traits->ip_mask;
}

void
cpu_segment_changed(struct cpu *c, unsigned seg)
{
	const struct x86_segment *sr = &c->s->sregs.seg[seg];

	c->segc[seg] = cache_of(c, seg, sr);
	if (seg == SEG_CS)
		c->cs_end = c->mode & MODE_L ? UINT64_MAX : (uint64_t)sr->limit + 1;
	if (seg == SEG_SS) {
		c->sp_mask = sr->access & AR_DB ? c->traits->sp_mask : UINT16_MAX;
		if (c->mode & MODE_L)
			c->sp_mask = UINT64_MAX;
	}
}

static void
mode_changed(struct cpu *c)
{
	const struct vcpu_sregs *sr = &c->s->sregs;
	const struct x86_segment *cs = &sr->seg[SEG_CS];
	bool lma = sr->efer & EFER_LMA;

	c->mode = 0;
	if (sr->cr0 & CR0_PE)
		c->mode |= MODE_PE;
	if ((sr->cr0 & CR0_PE) && (c->s->gpr.rflags & RFLAGS_VM))
		c->mode |= MODE_VM;
	if (lma && (cs->access & AR_L))
		c->mode |= MODE_L;
	else if (cs->access & AR_DB)
		c->mode |= MODE_D;
	if (c->mode & MODE_VM)
		c->cpl = 3;
	else
		c->cpl = c->mode & MODE_PE ? (uint8_t)segment_dpl(sr->seg[SEG_SS].access) : 0;
	key_changed(c);
}

/* Translations go when what they were made under has changed. */
static void
paging_changed(struct cpu *c)
{
	const struct vcpu_sregs *sr = &c->s->sregs;
	const uint64_t now[4] = {sr->cr0 & (CR0_PG | CR0_WP), sr->cr3, sr->cr4, sr->efer};

	if (memcmp(now, c->paging, sizeof(now)) == 0)
		return;
	memcpy(c->paging, now, sizeof(now));
	tlb_flush(c);
}

void
cpu_sregs_changed(struct cpu *c)
{
	mode_changed(c);
	masks_changed(c);
	paging_changed(c);
	for (unsigned seg = 0; seg < SEG_COUNT; seg++)
		cpu_segment_changed(c, seg);
	c->segc[SEG_NONE] = (struct seg_cache){.rend = UINT64_MAX, .wend = UINT64_MAX};
	tlb_choose(c);
}

void
tlb_choose(struct cpu *c)
{
	const struct vcpu_sregs *sr = &c->s->sregs;
	bool ac = c->s->gpr.rflags & RFLAGS_AC;

	if (c->cpl == 3)
		c->tlb = c->tlbs[ac && (sr->cr0 & CR0_AM) ? TLB_USER_ALIGNED : TLB_USER];
	else
		c->tlb = c->tlbs[ac && (sr->cr4 & CR4_SMAP) ? TLB_SUPERVISOR_AC : TLB_SUPERVISOR];
}

void
set_cpl(struct cpu *c, unsigned cpl)
{
	c->cpl = (uint8_t)cpl;
	key_changed(c);
	tlb_choose(c);
}

void
segment_set(struct cpu *c, unsigned seg, const struct x86_segment *value)
{
	c->s->sregs.seg[seg] = *value;
	cpu_segment_changed(c, seg);
}

void
real_segment_set(struct cpu *c, unsigned seg, uint16_t selector)
{
	struct x86_segment *sr = &c->s->sregs.seg[seg];

	/* Limit and rights stay in real mode ("unreal mode"); virtual-8086 mode fixes them. */
	if (c->mode & MODE_VM)
		*sr = segment_real(selector, 0xf3);
	else if (sr->access & AR_UNUSABLE)
		*sr = segment_real(selector, 0x93);
	sr->selector = selector;
	sr->base = (uint64_t)selector << 4;
	cpu_segment_changed(c, seg);
}

void
code_segment_set(struct cpu *c, const struct x86_segment *value, unsigned cpl)
{
	c->s->sregs.seg[SEG_CS] = *value;
	c->s->sregs.seg[SEG_CS].selector = (uint16_t)((value->selector & 0xfffcu) | cpl);
	cpu_sregs_changed(c);
}

bool
descriptor_read(struct cpu *c, uint16_t selector, unsigned vector, uint64_t *descriptor)
{
	const struct vcpu_sregs *sr = &c->s->sregs;
	uint32_t index = SEL_INDEX(selector), error = selector & 0xfffcu;
	uint64_t base = sr->gdtr.base;
	uint32_t limit = sr->gdtr.limit;

	if (selector & SEL_TI) {
		if ((sr->ldtr.access & AR_UNUSABLE) || !(sr->ldtr.access & AR_P))
			return (fault_at(c, vector, error, CAUSE_SELECTOR, selector, 0));
		base = sr->ldtr.base;
		limit = sr->ldtr.limit;
	}
	if (index + 7 > limit)
		return (fault_at(c, vector, error, CAUSE_SELECTOR, selector, limit));
	return (sys_load(c, base + index, 8, descriptor));
}

bool
descriptor_mark_accessed(struct cpu *c, uint16_t selector, uint64_t descriptor)
{
	const struct vcpu_sregs *sr = &c->s->sregs;
	uint64_t base = selector & SEL_TI ? sr->ldtr.base : sr->gdtr.base;
	uint64_t access = descriptor >> 40 & 0xff;

	if (access & AR_TYPE_ACCESSED)
		return (true);
	return (sys_store(c, base + SEL_INDEX(selector) + 5, 1, access | AR_TYPE_ACCESSED));
}

bool
stack_segment_check(
    struct cpu *c, uint16_t selector, unsigned cpl, unsigned vector, uint64_t *descriptor)
{
	uint32_t error = selector & 0xfffcu;
	struct x86_segment seg;

	if (SEL_IS_NULL(selector))
		return (fault_at(c, vector, 0, CAUSE_SELECTOR, selector, 0));
	if (!descriptor_read(c, selector, vector, descriptor))
		return (false);
	seg = segment_from_descriptor(selector, *descriptor);
	if (SEL_RPL(selector) != cpl || segment_dpl(seg.access) != cpl || !(seg.access & AR_S) ||
	    (seg.access & AR_TYPE_CODE) || !(seg.access & AR_TYPE_WRITE))
		return (fault_at(c, vector, error, CAUSE_SELECTOR, selector, 0));
	if (!(seg.access & AR_P))
		return (fault_at(c, VEC_SS, error, CAUSE_SELECTOR, selector, 0));
	return (true);
}

static bool
load_stack_segment(struct cpu *c, uint16_t selector)
{
	uint64_t descriptor;
	struct x86_segment seg;

	/* 64-bit code below privilege 3 may load a null SS (SDM vol. 2B, MOV). */
	if (SEL_IS_NULL(selector) && (c->mode & MODE_L) && c->cpl < 3 &&
	    SEL_RPL(selector) == c->cpl) {
		segment_set(c, SEG_SS,
		    &(struct x86_segment){.selector = selector,
			.access = AR_UNUSABLE | (uint32_t)c->cpl << AR_DPL_SHIFT});
		return (true);
	}
	if (!stack_segment_check(c, selector, c->cpl, VEC_GP, &descriptor) ||
	    !descriptor_mark_accessed(c, selector, descriptor))
		return (false);
	seg = segment_from_descriptor(selector, descriptor);
	seg.access |= AR_TYPE_ACCESSED;
	segment_set(c, SEG_SS, &seg);
	return (true);
}

static bool
load_data_segment(struct cpu *c, unsigned seg, uint16_t selector)
{
	uint32_t error = selector & 0xfffcu;
	struct x86_segment value;
	uint64_t descriptor;
	unsigned privilege = c->cpl > SEL_RPL(selector) ? c->cpl : SEL_RPL(selector);
	bool code;

	if (SEL_IS_NULL(selector)) {
		/* The base is 0 then, of FS and GS in 64-bit mode too, as on Intel processors. */
		segment_set(
		    c, seg, &(struct x86_segment){.selector = selector, .access = AR_UNUSABLE});
		return (true);
	}
	if (!descriptor_read(c, selector, VEC_GP, &descriptor))
		return (false);
	value = segment_from_descriptor(selector, descriptor);
	code = value.access & AR_TYPE_CODE;
	if (!(value.access & AR_S) || (code && !(value.access & AR_TYPE_READ)))
		return (fault_at(c, VEC_GP, error, CAUSE_SELECTOR, selector, 0));
	if (!(code && (value.access & AR_TYPE_CONFORM)) && segment_dpl(value.access) < privilege)
		return (fault_at(c, VEC_GP, error, CAUSE_SELECTOR, selector, 0));
	if (!(value.access & AR_P))
		return (fault_at(c, VEC_NP, error, CAUSE_SELECTOR, selector, 0));
	if (!descriptor_mark_accessed(c, selector, descriptor))
		return (false);
	value.access |= AR_TYPE_ACCESSED;
	segment_set(c, seg, &value);
	return (true);
}

bool
segment_load(struct cpu *c, unsigned seg, uint16_t selector)
{
	if (!is_protected(c)) {
		real_segment_set(c, seg, selector);
		return (true);
	}
	if (seg == SEG_SS)
		return (load_stack_segment(c, selector));
	return (load_data_segment(c, seg, selector));
}
