/*
 * Checks on guest registers but for segments, and on non-register state. SDM vol. 3C, 27.3.1.1 and
 * 27.3.1.3 to 27.3.1.6 (revision of March 2023).
 *
 * CR0 and CR4 are checked as the VMCS holds them, with NE and VMXE put in by the hypervisor. The
 * modelled processor has neither CET, SGX, RTM nor bus-lock debug exceptions; VM entry is from
 * outside SMM; virtual NMIs are on.
 */
#include "vmx/rules.h"
#include "vmx/view.h"

#define PHYSICAL_RESERVED (~0ull << X86_PHYSICAL_BITS)
#define RFLAGS_RESERVED 0xffffffffffc08028ull
#define EFER_RESERVED (~(uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
/* IA32_DEBUGCTL: LBR, BTF, TR to FREEZE_PERFMON_ON_PMI, FREEZE_WHILE_SMM. SDM vol. 4, table 2-2. */
#define DEBUGCTL_BTF 0x0002ull
#define DEBUGCTL_RESERVED (~0x5fc3ull)
/* Activity and interruptibility, 25.4.2. */
#define ACTIVITY_MAX VCPU_WAIT_SIPI
#define BLOCKING_RESERVED (~0x1fu)
#define BLOCKING_SMI 0x04u
#define BLOCKING_ENCLAVE 0x10u
#define BLOCKING_SOON (SHADOW_STI | SHADOW_MOVSS)
/* Pending debug exceptions, table 25-4: B0 to B3, an enabled breakpoint, BS, RTM. */
#define PENDING_BS 0x4000ull
#define PENDING_RTM 0x10000ull
#define PENDING_RESERVED (~(0x100full | PENDING_BS | PENDING_RTM))
/* A PDPTE, SDM vol. 3A, table 4-8. */
#define PDPTE_P 0x1ull
#define PDPTE_RESERVED (0x1e6ull | PHYSICAL_RESERVED)
#define LINK_NONE UINT64_MAX

/* --- control registers, debug registers, MSRs ------------------------------------------------------------- */

/* Is the register that a VM-entry control names loaded, and so checked? */
static bool
loads(const struct vmx_check *c, uint32_t control)
{
	return ((c->g->entry_ctls & control) != 0);
}

bool
rule_cr0_pe(const struct vmx_check *c)
{
	return (unrestricted(c) || (c->s->sregs.cr0 & CR0_PE) != 0);
}

bool
rule_cr0_pg(const struct vmx_check *c)
{
	return (unrestricted(c) || (c->s->sregs.cr0 & CR0_PG) != 0);
}

bool
rule_cr0_reserved(const struct vmx_check *c)
{
	return ((c->s->sregs.cr0 & HIGH_HALF) == 0);
}

bool
rule_cr0_pg_pe(const struct vmx_check *c)
{
	return ((c->s->sregs.cr0 & (CR0_PG | CR0_PE)) != CR0_PG);
}

bool
rule_cr4_reserved(const struct vmx_check *c)
{
	return ((c->s->sregs.cr4 & ~vmx_cr4_allowed()) == 0);
}

bool
rule_debugctl(const struct vmx_check *c)
{
	return (!loads(c, VMX_ENTRY_LOAD_DEBUG) || (c->g->debugctl & DEBUGCTL_RESERVED) == 0);
}

bool
rule_lma_paging(const struct vmx_check *c)
{
	return (!ia32e(c) || ((c->s->sregs.cr0 & CR0_PG) != 0 && (c->s->sregs.cr4 & CR4_PAE) != 0));
}

bool
rule_pcide(const struct vmx_check *c)
{
	return (ia32e(c) || (c->s->sregs.cr4 & CR4_PCIDE) == 0);
}

bool
rule_cr3(const struct vmx_check *c)
{
	return ((c->s->sregs.cr3 & PHYSICAL_RESERVED) == 0);
}

bool
rule_dr7(const struct vmx_check *c)
{
	return (!loads(c, VMX_ENTRY_LOAD_DEBUG) || (c->s->debug.dr7 & HIGH_HALF) == 0);
}

bool
rule_sysenter_esp(const struct vmx_check *c)
{
	return (vmx_canonical(c->s->msr.sysenter_esp));
}

bool
rule_sysenter_eip(const struct vmx_check *c)
{
	return (vmx_canonical(c->s->msr.sysenter_eip));
}

/* Memory types: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB, 7 UC-. */
bool
rule_pat(const struct vmx_check *c)
{
	const uint8_t types = 1 << 0 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7;

	for (unsigned i = 0; i < 8 && loads(c, VMX_ENTRY_LOAD_PAT); i++) {
		uint8_t entry = (uint8_t)(c->s->msr.pat >> i * 8);

		if (entry > 7 || (types >> entry & 1) == 0)
			return (false);
	}
	return (true);
}

bool
rule_efer_reserved(const struct vmx_check *c)
{
	return (!loads(c, VMX_ENTRY_LOAD_EFER) || (c->s->sregs.efer & EFER_RESERVED) == 0);
}

bool
rule_efer_lma(const struct vmx_check *c)
{
	return (!loads(c, VMX_ENTRY_LOAD_EFER) || ((c->s->sregs.efer & EFER_LMA) != 0) == ia32e(c));
}

bool
rule_efer_lme(const struct vmx_check *c)
{
	uint64_t efer = c->s->sregs.efer;

	return (!loads(c, VMX_ENTRY_LOAD_EFER) || (c->s->sregs.cr0 & CR0_PG) == 0 ||
	    ((efer & EFER_LMA) != 0) == ((efer & EFER_LME) != 0));
}

/* --- descriptor tables ------------------------------------------------------------------------------------- */

bool
rule_gdtr_base(const struct vmx_check *c)
{
	return (vmx_canonical(c->s->sregs.gdtr.base));
}

bool
rule_idtr_base(const struct vmx_check *c)
{
	return (vmx_canonical(c->s->sregs.idtr.base));
}

bool
rule_gdtr_limit(const struct vmx_check *c)
{
	return (c->s->sregs.gdtr.limit <= 0xffff);
}

bool
rule_idtr_limit(const struct vmx_check *c)
{
	return (c->s->sregs.idtr.limit <= 0xffff);
}

/* --- RIP and RFLAGS -------------------------------------------------------------------------------------------- */

static bool
code_is_64bit(const struct vmx_check *c)
{
	return (ia32e(c) && (c->s->sregs.seg[SEG_CS].access & AR_L) != 0);
}

bool
rule_rip_high(const struct vmx_check *c)
{
	return (code_is_64bit(c) || (c->s->gpr.rip & HIGH_HALF) == 0);
}

/* Bits 63:48 alike; bit 47 may differ from them. */
bool
rule_rip_canonical(const struct vmx_check *c)
{
	uint64_t high = c->s->gpr.rip >> X86_LINEAR_BITS;

	return (!code_is_64bit(c) || high == 0 || high == UINT64_MAX >> X86_LINEAR_BITS);
}

bool
rule_rflags_reserved(const struct vmx_check *c)
{
	return ((c->s->gpr.rflags & RFLAGS_RESERVED) == 0 && (c->s->gpr.rflags & RFLAGS_1) != 0);
}

bool
rule_rflags_vm(const struct vmx_check *c)
{
	return (!v8086(c) || (!ia32e(c) && (c->s->sregs.cr0 & CR0_PE) != 0));
}

/* The event to be injected is one of TYPE (INTR_TYPE_*). */
static bool
injects(const struct vmx_check *c, uint32_t type)
{
	return ((c->g->vmx->entry_interruption_info & (INTR_INFO_VALID | INTR_INFO_TYPE)) ==
	    (INTR_INFO_VALID | type));
}

static bool
injects_vector(const struct vmx_check *c, uint32_t type, uint8_t vector)
{
	return (
	    injects(c, type) && (c->g->vmx->entry_interruption_info & INTR_INFO_VECTOR) == vector);
}

bool
rule_rflags_if(const struct vmx_check *c)
{
	return (!injects(c, INTR_TYPE_EXTERNAL) || (c->s->gpr.rflags & RFLAGS_IF) != 0);
}

/* --- activity and what may be injected in it -------------------------------------------------------------------- */

bool
rule_activity(const struct vmx_check *c)
{
	return (c->s->events.activity <= ACTIVITY_MAX);
}

bool
rule_activity_hlt_dpl(const struct vmx_check *c)
{
	return (
	    c->s->events.activity != VCPU_HLT || segment_dpl(c->s->sregs.seg[SEG_SS].access) == 0);
}

bool
rule_activity_blocking(const struct vmx_check *c)
{
	return (c->s->events.activity == VCPU_ACTIVE ||
	    (c->s->events.interruptibility & BLOCKING_SOON) == 0);
}

static bool
injects_nothing(const struct vmx_check *c, uint32_t activity)
{
	return (c->s->events.activity != activity ||
	    (c->g->vmx->entry_interruption_info & INTR_INFO_VALID) == 0);
}

bool
rule_inject_hlt(const struct vmx_check *c)
{
	return (injects_nothing(c, VCPU_HLT) || injects(c, INTR_TYPE_EXTERNAL) ||
	    injects(c, INTR_TYPE_NMI) || injects_vector(c, INTR_TYPE_EXCEPTION, VEC_DB) ||
	    injects_vector(c, INTR_TYPE_EXCEPTION, VEC_MC) ||
	    injects_vector(c, INTR_TYPE_OTHER, 0));
}

bool
rule_inject_shutdown(const struct vmx_check *c)
{
	return (injects_nothing(c, VCPU_SHUTDOWN) || injects(c, INTR_TYPE_NMI) ||
	    injects_vector(c, INTR_TYPE_EXCEPTION, VEC_MC));
}

bool
rule_inject_sipi(const struct vmx_check *c)
{
	return (injects_nothing(c, VCPU_WAIT_SIPI));
}

/* --- interruptibility ------------------------------------------------------------------------------------------- */

static bool
blocked(const struct vmx_check *c, uint32_t by)
{
	return ((c->s->events.interruptibility & by) != 0);
}

bool
rule_blocking_reserved(const struct vmx_check *c)
{
	return (!blocked(c, BLOCKING_RESERVED));
}

bool
rule_blocking_both(const struct vmx_check *c)
{
	return (!blocked(c, SHADOW_STI) || !blocked(c, SHADOW_MOVSS));
}

bool
rule_blocking_sti(const struct vmx_check *c)
{
	return (!blocked(c, SHADOW_STI) || (c->s->gpr.rflags & RFLAGS_IF) != 0);
}

bool
rule_blocking_external(const struct vmx_check *c)
{
	return (!injects(c, INTR_TYPE_EXTERNAL) || !blocked(c, BLOCKING_SOON));
}

bool
rule_blocking_nmi_movss(const struct vmx_check *c)
{
	return (!injects(c, INTR_TYPE_NMI) || !blocked(c, SHADOW_MOVSS));
}

bool
rule_blocking_smi(const struct vmx_check *c)
{
	return (!blocked(c, BLOCKING_SMI));
}

bool
rule_blocking_nmi_sti(const struct vmx_check *c)
{
	return (!injects(c, INTR_TYPE_NMI) || !blocked(c, SHADOW_STI));
}

bool
rule_blocking_nmi(const struct vmx_check *c)
{
	return (!injects(c, INTR_TYPE_NMI) || !blocked(c, SHADOW_NMI));
}

bool
rule_blocking_enclave(const struct vmx_check *c)
{
	return (!blocked(c, BLOCKING_ENCLAVE));
}

/* --- pending debug exceptions ------------------------------------------------------------------------------------- */

bool
rule_pending_reserved(const struct vmx_check *c)
{
	return ((c->s->events.pending_debug & PENDING_RESERVED) == 0);
}

/* Does a single-step trap of the last instruction wait? */
static bool
steps(const struct vmx_check *c)
{
	return ((c->s->gpr.rflags & RFLAGS_TF) != 0 && (c->g->debugctl & DEBUGCTL_BTF) == 0);
}

static bool
delays_traps(const struct vmx_check *c)
{
	return (blocked(c, BLOCKING_SOON) || c->s->events.activity == VCPU_HLT);
}

bool
rule_pending_bs_1(const struct vmx_check *c)
{
	return (!delays_traps(c) || !steps(c) || (c->s->events.pending_debug & PENDING_BS) != 0);
}

bool
rule_pending_bs_0(const struct vmx_check *c)
{
	return (!delays_traps(c) || steps(c) || (c->s->events.pending_debug & PENDING_BS) == 0);
}

bool
rule_pending_rtm(const struct vmx_check *c)
{
	return ((c->s->events.pending_debug & PENDING_RTM) == 0);
}

/* --- VMCS link pointer, PDPTEs --------------------------------------------------------------------------------------- */

bool
rule_link_aligned(const struct vmx_check *c)
{
	return (c->g->vmcs_link == LINK_NONE || (c->g->vmcs_link & X86_PAGE_MASK) == 0);
}

bool
rule_link_width(const struct vmx_check *c)
{
	return (c->g->vmcs_link == LINK_NONE || (c->g->vmcs_link & PHYSICAL_RESERVED) == 0);
}

bool
rule_pdptes(const struct vmx_check *c)
{
	uint64_t at;

	if (!c->g->has_pdptes || !vmx_pdptes_at(c->g, &at))
		return (true);
	for (unsigned i = 0; i < 4; i++)
		if ((c->g->pdpte[i] & PDPTE_P) != 0 && (c->g->pdpte[i] & PDPTE_RESERVED) != 0)
			return (false);
	return (true);
}
