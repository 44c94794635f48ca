/*
 * Checks on guest segment registers. SDM vol. 3C, 27.3.1.2 (revision of March 2023). "Usable": bit
 * 16 of the access rights is 0. The sub-fields of CS and TR count whatever that bit is.
 */
#include "vmx/rules.h"

#define AR_RESERVED 0xfffe0f00u
#define LIMIT_LOW 0x00000fffu
#define LIMIT_HIGH 0xfff00000u
#define V86_ACCESS 0xf3u
#define V86_LIMIT 0xffffu

static uint32_t
type(const struct x86_segment *seg)
{
	return (seg->access & AR_TYPE);
}

static const struct x86_segment *
cs(const struct vmx_check *c)
{
	return (&c->s->sregs.seg[SEG_CS]);
}

static const struct x86_segment *
ss(const struct vmx_check *c)
{
	return (&c->s->sregs.seg[SEG_SS]);
}

static bool
is_tr(const struct vmx_check *c)
{
	return (c->seg == &c->s->sregs.tr);
}

static bool
is_ldtr(const struct vmx_check *c)
{
	return (c->seg == &c->s->sregs.ldtr);
}

static bool
usable(const struct vmx_check *c)
{
	return (c->seg == cs(c) || is_tr(c) || (c->seg->access & AR_UNUSABLE) == 0);
}

/* Do sub-fields of the access rights count? In virtual-8086 mode these are one fixed value. */
static bool
has_fields(const struct vmx_check *c)
{
	return (usable(c) && (is_tr(c) || is_ldtr(c) || !v8086(c)));
}

static bool
type_is_data(const struct x86_segment *seg)
{
	return (type(seg) == (AR_TYPE_WRITE | AR_TYPE_ACCESSED));
}

static bool
type_is_code(const struct x86_segment *seg)
{
	return (
	    (type(seg) & (AR_TYPE_CODE | AR_TYPE_ACCESSED)) == (AR_TYPE_CODE | AR_TYPE_ACCESSED));
}

/* --- selectors ---------------------------------------------------------------------------------------- */

bool
rule_ti(const struct vmx_check *c)
{
	return (!usable(c) || (c->seg->selector & SEL_TI) == 0);
}

bool
rule_ss_rpl(const struct vmx_check *c)
{
	if (v8086(c) || unrestricted(c))
		return (true);
	return (SEL_RPL(ss(c)->selector) == SEL_RPL(cs(c)->selector));
}

/* --- bases and limits ----------------------------------------------------------------------------------- */

bool
rule_v86_base(const struct vmx_check *c)
{
	return (!v8086(c) || c->seg->base == (uint64_t)c->seg->selector << 4);
}

/* TR, FS and GS whether usable or not; LDTR if usable. */
bool
rule_base_canonical(const struct vmx_check *c)
{
	return ((is_ldtr(c) && !usable(c)) || vmx_canonical(c->seg->base));
}

bool
rule_base_high(const struct vmx_check *c)
{
	return (!usable(c) || (c->seg->base & HIGH_HALF) == 0);
}

bool
rule_v86_limit(const struct vmx_check *c)
{
	return (!v8086(c) || c->seg->limit == V86_LIMIT);
}

/* --- access rights: type and S ---------------------------------------------------------------------------- */

bool
rule_v86_access(const struct vmx_check *c)
{
	return (!v8086(c) || c->seg->access == V86_ACCESS);
}

bool
rule_cs_type(const struct vmx_check *c)
{
	return (v8086(c) || type_is_code(c->seg) || (unrestricted(c) && type_is_data(c->seg)));
}

bool
rule_ss_type(const struct vmx_check *c)
{
	return (
	    !has_fields(c) || (type(c->seg) & ~AR_TYPE_DOWN) == (AR_TYPE_WRITE | AR_TYPE_ACCESSED));
}

bool
rule_accessed(const struct vmx_check *c)
{
	return (!has_fields(c) || (c->seg->access & AR_TYPE_ACCESSED) != 0);
}

bool
rule_readable(const struct vmx_check *c)
{
	return (!has_fields(c) || (c->seg->access & (AR_TYPE_CODE | AR_TYPE_READ)) != AR_TYPE_CODE);
}

bool
rule_tr_type(const struct vmx_check *c)
{
	return (type(c->seg) == SYS_TSS32_BUSY || (type(c->seg) == SYS_TSS16_BUSY && !ia32e(c)));
}

bool
rule_ldtr_type(const struct vmx_check *c)
{
	return (!usable(c) || type(c->seg) == SYS_LDT);
}

bool
rule_s(const struct vmx_check *c)
{
	return (!has_fields(c) || (c->seg->access & AR_S) != 0);
}

bool
rule_system(const struct vmx_check *c)
{
	return (!usable(c) || (c->seg->access & AR_S) == 0);
}

/* --- access rights: DPL -------------------------------------------------------------------------------------- */

bool
rule_dpl_data(const struct vmx_check *c)
{
	return (v8086(c) || !type_is_data(c->seg) || segment_dpl(c->seg->access) == 0);
}

bool
rule_dpl_code(const struct vmx_check *c)
{
	if (v8086(c) || !type_is_code(c->seg) || (c->seg->access & AR_TYPE_CONFORM) != 0)
		return (true);
	return (segment_dpl(c->seg->access) == segment_dpl(ss(c)->access));
}

bool
rule_dpl_conforming(const struct vmx_check *c)
{
	if (v8086(c) || !type_is_code(c->seg) || (c->seg->access & AR_TYPE_CONFORM) == 0)
		return (true);
	return (segment_dpl(c->seg->access) <= segment_dpl(ss(c)->access));
}

/* SS, even if it is not usable: its DPL is the privilege level. */
bool
rule_dpl_rpl(const struct vmx_check *c)
{
	if (v8086(c) || unrestricted(c))
		return (true);
	return (segment_dpl(c->seg->access) == SEL_RPL(c->seg->selector));
}

bool
rule_dpl_zero(const struct vmx_check *c)
{
	bool zero = type_is_data(cs(c)) || (c->s->sregs.cr0 & CR0_PE) == 0;

	return (v8086(c) || !zero || segment_dpl(c->seg->access) == 0);
}

bool
rule_dpl(const struct vmx_check *c)
{
	/* Data or non-conforming code. */
	bool counts = type(c->seg) < (AR_TYPE_CODE | AR_TYPE_CONFORM);

	if (!has_fields(c) || unrestricted(c) || !counts)
		return (true);
	return (segment_dpl(c->seg->access) >= SEL_RPL(c->seg->selector));
}

/* --- access rights: the rest ----------------------------------------------------------------------------------- */

bool
rule_present(const struct vmx_check *c)
{
	return (!has_fields(c) || (c->seg->access & AR_P) != 0);
}

bool
rule_reserved(const struct vmx_check *c)
{
	return (!has_fields(c) || (c->seg->access & AR_RESERVED) == 0);
}

bool
rule_l_db(const struct vmx_check *c)
{
	return (v8086(c) || !ia32e(c) || (c->seg->access & (AR_L | AR_DB)) != (AR_L | AR_DB));
}

bool
rule_g_0(const struct vmx_check *c)
{
	if (!has_fields(c))
		return (true);
	return ((c->seg->limit & LIMIT_LOW) == LIMIT_LOW || (c->seg->access & AR_G) == 0);
}

bool
rule_g_1(const struct vmx_check *c)
{
	if (!has_fields(c))
		return (true);
	return ((c->seg->limit & LIMIT_HIGH) == 0 || (c->seg->access & AR_G) != 0);
}

bool
rule_usable(const struct vmx_check *c)
{
	return ((c->seg->access & AR_UNUSABLE) == 0);
}
