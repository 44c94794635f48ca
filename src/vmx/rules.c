/*
 * Checks on the guest state area at VM entry. SDM vol. 3C, 27.3.1 (revision of March 2023), in the
 * manual's order. "Usable" below: the unusable bit of the access rights is 0.
 *
 * CR0 and CR4 are checked as the VMCS holds them, with NE and VMXE put in by the hypervisor.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/segment.h"
#include "arch/x86.h"
#include "vmx/view.h"
#include "vmx/vmx.h"

#define RFLAGS_RESERVED 0xffffffffffc08028ull
#define EFER_RESERVED (~(uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
#define AR_RESERVED 0xfffe0f00u
#define HIGH_HALF 0xffffffff00000000ull
/* VM-entry interruption-information field, 25.8.3: valid, and type external interrupt. */
#define INTR_INFO_VALID 0x80000000u
#define INTR_INFO_TYPE 0x700u

static bool
unrestricted(const struct vmx *vmx)
{
	return ((vmx->caps & 1u << VMX_CAP_UNRESTRICTED_GUEST) != 0);
}

static bool
long_mode(const struct vcpu_state *state)
{
	return ((state->sregs.efer & EFER_LMA) != 0);
}

static bool
v8086(const struct vcpu_state *state)
{
	return ((state->gpr.rflags & RFLAGS_VM) != 0);
}

static bool
usable(const struct x86_segment *seg)
{
	return ((seg->access & AR_UNUSABLE) == 0);
}

/* 27.3.1.1, control registers, debug registers and MSRs. */

static bool
cr0_pe(const struct vcpu_state *state, const struct vmx *vmx)
{
	return (unrestricted(vmx) || (state->sregs.cr0 & CR0_PE) != 0);
}

static bool
cr0_pg(const struct vcpu_state *state, const struct vmx *vmx)
{
	return (unrestricted(vmx) || (state->sregs.cr0 & CR0_PG) != 0);
}

static bool
cr0_reserved(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return ((state->sregs.cr0 & HIGH_HALF) == 0);
}

static bool
cr0_pg_pe(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return ((state->sregs.cr0 & CR0_PG) == 0 || (state->sregs.cr0 & CR0_PE) != 0);
}

static bool
cr4_reserved(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return ((state->sregs.cr4 & ~vmx_cr4_allowed()) == 0);
}

static bool
lma_pg_pae(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return (!long_mode(state) ||
	    ((state->sregs.cr0 & CR0_PG) != 0 && (state->sregs.cr4 & CR4_PAE) != 0));
}

static bool
cr4_pcide(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return (long_mode(state) || (state->sregs.cr4 & CR4_PCIDE) == 0);
}

static bool
efer_reserved(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return ((state->sregs.efer & EFER_RESERVED) == 0);
}

static bool
efer_lme(const struct vcpu_state *state, const struct vmx *vmx)
{
	uint64_t efer = state->sregs.efer;

	(void)vmx;
	return ((state->sregs.cr0 & CR0_PG) == 0 ||
	    ((efer & EFER_LMA) != 0) == ((efer & EFER_LME) != 0));
}

/* 27.3.1.2, segment registers. */

static bool
tr_usable(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return (usable(&state->sregs.tr));
}

static bool
tr_type(const struct vcpu_state *state, const struct vmx *vmx)
{
	uint32_t access = state->sregs.tr.access;
	uint32_t type = access & AR_TYPE;

	(void)vmx;
	if ((access & (AR_S | AR_P)) != AR_P)
		return (false);
	return (type == SYS_TSS32_BUSY || (type == SYS_TSS16_BUSY && !long_mode(state)));
}

static bool
tr_ti(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return ((state->sregs.tr.selector & SEL_TI) == 0);
}

static bool
ldtr_type(const struct vcpu_state *state, const struct vmx *vmx)
{
	const struct x86_segment *ldtr = &state->sregs.ldtr;

	(void)vmx;
	if (!usable(ldtr))
		return (true);
	return ((ldtr->access & (AR_TYPE | AR_S | AR_P)) == (SYS_LDT | AR_P) &&
	    (ldtr->selector & SEL_TI) == 0);
}

static bool
base_high(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	if ((state->sregs.seg[SEG_CS].base & HIGH_HALF) != 0)
		return (false);
	for (int i = 0; i < SEG_FS; i++) {
		const struct x86_segment *seg = &state->sregs.seg[i];

		if (usable(seg) && (seg->base & HIGH_HALF) != 0)
			return (false);
	}
	return (true);
}

static bool
cs_type(const struct vcpu_state *state, const struct vmx *vmx)
{
	uint32_t access = state->sregs.seg[SEG_CS].access;
	uint32_t type = access & AR_TYPE;

	if (v8086(state))
		return (true);
	if ((access & (AR_S | AR_P)) != (AR_S | AR_P))
		return (false);
	/* Accessed code; accessed read/write data only under "unrestricted guest". */
	if ((type & (AR_TYPE_CODE | AR_TYPE_ACCESSED)) == (AR_TYPE_CODE | AR_TYPE_ACCESSED))
		return (true);
	return (unrestricted(vmx) && type == (AR_TYPE_WRITE | AR_TYPE_ACCESSED));
}

static bool
ss_type(const struct vcpu_state *state, const struct vmx *vmx)
{
	uint32_t access = state->sregs.seg[SEG_SS].access;
	uint32_t type = access & AR_TYPE & ~AR_TYPE_DOWN;

	(void)vmx;
	if (v8086(state) || (access & AR_UNUSABLE) != 0)
		return (true);
	return ((access & (AR_S | AR_P)) == (AR_S | AR_P) &&
	    type == (AR_TYPE_WRITE | AR_TYPE_ACCESSED));
}

static bool
data_type(const struct vcpu_state *state, const struct vmx *vmx)
{
	static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	(void)vmx;
	if (v8086(state))
		return (true);
	for (size_t i = 0; i < sizeof(data); i++) {
		const struct x86_segment *seg = &state->sregs.seg[data[i]];

		if (!usable(seg))
			continue;
		if ((seg->access & (AR_S | AR_P | AR_TYPE_ACCESSED)) !=
		    (AR_S | AR_P | AR_TYPE_ACCESSED))
			return (false);
		/* Code must be readable. */
		if ((seg->access & (AR_TYPE_CODE | AR_TYPE_READ)) == AR_TYPE_CODE)
			return (false);
	}
	return (true);
}

static bool
cs_l_db(const struct vcpu_state *state, const struct vmx *vmx)
{
	uint32_t access = state->sregs.seg[SEG_CS].access;

	(void)vmx;
	return (!long_mode(state) || v8086(state) || (access & (AR_L | AR_DB)) != (AR_L | AR_DB));
}

static bool
access_reserved(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	for (int i = 0; i < SEG_COUNT; i++)
		if (usable(&state->sregs.seg[i]) && (state->sregs.seg[i].access & AR_RESERVED) != 0)
			return (false);
	return ((state->sregs.tr.access & AR_RESERVED) == 0 &&
	    (!usable(&state->sregs.ldtr) || (state->sregs.ldtr.access & AR_RESERVED) == 0));
}

/* A limit with a 0 in bits 11:0 cannot be in pages, one with a 1 in bits 31:20 must be. */
static bool
granular(const struct x86_segment *seg)
{
	bool pages = (seg->access & AR_G) != 0;

	if (!usable(seg))
		return (true);
	if ((seg->limit & 0xfffu) != 0xfffu && pages)
		return (false);
	return ((seg->limit & 0xfff00000u) == 0 || pages);
}

static bool
granularity(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	for (int i = 0; i < SEG_COUNT; i++)
		if (!v8086(state) && !granular(&state->sregs.seg[i]))
			return (false);
	return (granular(&state->sregs.tr) && granular(&state->sregs.ldtr));
}

/* 27.3.1.3, descriptor-table registers. */

static bool
table_limits(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return (state->sregs.gdtr.limit <= 0xffff && state->sregs.idtr.limit <= 0xffff);
}

/* 27.3.1.4, RIP and RFLAGS. */

static bool
rip_high(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	if (long_mode(state) && (state->sregs.seg[SEG_CS].access & AR_L) != 0)
		return (true);
	return ((state->gpr.rip & HIGH_HALF) == 0);
}

static bool
rflags_reserved(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return ((state->gpr.rflags & RFLAGS_RESERVED) == 0 && (state->gpr.rflags & RFLAGS_1) != 0);
}

static bool
rflags_vm(const struct vcpu_state *state, const struct vmx *vmx)
{
	(void)vmx;
	return (!v8086(state) || (!long_mode(state) && (state->sregs.cr0 & CR0_PE) != 0));
}

static bool
rflags_if(const struct vcpu_state *state, const struct vmx *vmx)
{
	uint32_t info = vmx->entry_interruption_info;

	if ((info & (INTR_INFO_VALID | INTR_INFO_TYPE)) != INTR_INFO_VALID)
		return (true);
	return ((state->gpr.rflags & RFLAGS_IF) != 0);
}

static const struct vmx_rule rules[] = {
    {"cr0.pe", "CR0.PE must be 1 without unrestricted guest", "27.3.1.1", cr0_pe,
	"CR0.PE=0 needs unrestricted guest"},
    {"cr0.pg", "CR0.PG must be 1 without unrestricted guest", "27.3.1.1", cr0_pg,
	"CR0.PG=0 needs unrestricted guest"},
    {"cr0.reserved", "bits 63:32 of CR0 must be 0", "27.3.1.1", cr0_reserved, NULL},
    {"cr0.pg-pe", "CR0.PE must be 1 if CR0.PG is 1", "27.3.1.1", cr0_pg_pe, NULL},
    {"cr4.reserved", "CR4 must not set a bit that the processor does not support", "27.3.1.1",
	cr4_reserved, NULL},
    {"efer.lma-paging", "CR0.PG and CR4.PAE must be 1 in IA-32e mode", "27.3.1.1", lma_pg_pae,
	NULL},
    {"cr4.pcide", "CR4.PCIDE must be 0 outside IA-32e mode", "27.3.1.1", cr4_pcide, NULL},
    {"efer.reserved", "reserved bits of IA32_EFER must be 0", "27.3.1.1", efer_reserved, NULL},
    {"efer.lma-lme", "IA32_EFER.LMA must equal LME if CR0.PG is 1", "27.3.1.1", efer_lme, NULL},
    {"tr.ti", "TR must not select from the LDT", "27.3.1.2", tr_ti, NULL},
    {"base.high", "bits 63:32 of the bases of CS, SS, DS and ES must be 0", "27.3.1.2", base_high,
	NULL},
    {"cs.type", "CS must be present accessed code", "27.3.1.2", cs_type, NULL},
    {"ss.type", "SS, if usable, must be present accessed read/write data", "27.3.1.2", ss_type,
	NULL},
    {"data.type", "DS, ES, FS and GS, if usable, must be present, accessed and readable",
	"27.3.1.2", data_type, NULL},
    {"cs.l-db", "CS.L and CS.D must not both be 1 in IA-32e mode", "27.3.1.2", cs_l_db, NULL},
    {"access.reserved", "reserved bits of access rights must be 0", "27.3.1.2", access_reserved,
	NULL},
    {"limit.granularity", "segment limits must be expressible with their G bit", "27.3.1.2",
	granularity, NULL},
    {"tr.usable", "TR must be usable", "27.3.1.2", tr_usable, NULL},
    {"tr.type", "TR must be a present busy TSS", "27.3.1.2", tr_type, NULL},
    {"ldtr.type", "LDTR, if usable, must be a present LDT from the GDT", "27.3.1.2", ldtr_type,
	NULL},
    {"tables.limit", "the limits of GDTR and IDTR must not exceed FFFFh", "27.3.1.3", table_limits,
	NULL},
    {"rip.high", "bits 63:32 of RIP must be 0 outside 64-bit code", "27.3.1.4", rip_high, NULL},
    {"rflags.reserved", "RFLAGS bit 1 must be 1, bits 63:22, 15, 5 and 3 must be 0", "27.3.1.4",
	rflags_reserved, NULL},
    {"rflags.vm", "RFLAGS.VM must be 0 in IA-32e mode and if CR0.PE is 0", "27.3.1.4", rflags_vm,
	NULL},
    {"rflags.if", "RFLAGS.IF must be 1 if an external interrupt is injected", "27.3.1.4", rflags_if,
	NULL},
};

const struct vmx_rule *
vmx_entry_rules(size_t *count)
{
	*count = sizeof(rules) / sizeof(rules[0]);
	return (rules);
}

const struct vmx_rule *
vmx_check_entry(const struct vcpu_state *state, const struct vmx *vmx)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (!rules[i].holds(state, vmx))
			return (&rules[i]);
	return (NULL);
}

const char *
vmx_rule_broken(const struct vmx_rule *rule)
{
	return (rule->broken != NULL ? rule->broken : rule->title);
}
