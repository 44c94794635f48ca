/*
 * The predicates behind the table of entry rules. Each is one sentence of the SDM's chapter, vol.
 * 3C, 27.3.1; what it says of registers it looks for in the check's guest. Only src/vmx includes
 * this.
 */
#ifndef VMX_RULES_H
#define VMX_RULES_H

#include "arch/segment.h"
#include "arch/x86.h"
#include "vmx/vmx.h"

/* One rule on one guest. */
struct vmx_check {
	const struct vmx_guest *g;
	const struct vcpu_state *s;    /* g->state */
	const struct x86_segment *seg; /* the rule's segment */
};

/* VM-entry interruption-information field, 25.8.3. */
#define INTR_INFO_VECTOR 0x000000ffu
#define INTR_INFO_TYPE 0x00000700u
#define INTR_INFO_VALID 0x80000000u
#define INTR_TYPE_EXTERNAL 0x000u
#define INTR_TYPE_NMI 0x200u
#define INTR_TYPE_EXCEPTION 0x300u
#define INTR_TYPE_OTHER 0x700u

#define HIGH_HALF 0xffffffff00000000ull

typedef bool vmx_predicate(const struct vmx_check *c);

/* 27.3.1.1, control registers, debug registers and MSRs. */
vmx_predicate rule_cr0_pe, rule_cr0_pg, rule_cr0_reserved, rule_cr0_pg_pe, rule_cr4_reserved,
    rule_debugctl, rule_lma_paging, rule_pcide, rule_cr3, rule_dr7, rule_sysenter_esp,
    rule_sysenter_eip, rule_pat, rule_efer_reserved, rule_efer_lma, rule_efer_lme;
/* 27.3.1.2, segment registers. */
vmx_predicate rule_ti, rule_ss_rpl, rule_v86_base, rule_v86_limit, rule_v86_access,
    rule_base_canonical, rule_base_high, rule_cs_type, rule_ss_type, rule_accessed, rule_readable,
    rule_tr_type, rule_ldtr_type, rule_s, rule_system, rule_dpl_data, rule_dpl_code,
    rule_dpl_conforming, rule_dpl_rpl, rule_dpl_zero, rule_dpl, rule_present, rule_reserved,
    rule_l_db, rule_g_0, rule_g_1, rule_usable;
/* 27.3.1.3, descriptor-table registers. */
vmx_predicate rule_gdtr_base, rule_idtr_base, rule_gdtr_limit, rule_idtr_limit;
/* 27.3.1.4, RIP and RFLAGS. */
vmx_predicate rule_rip_high, rule_rip_canonical, rule_rflags_reserved, rule_rflags_vm,
    rule_rflags_if;
/* 27.3.1.5, non-register state. */
vmx_predicate rule_activity, rule_activity_hlt_dpl, rule_activity_blocking, rule_inject_hlt,
    rule_inject_shutdown, rule_inject_sipi, rule_blocking_reserved, rule_blocking_both,
    rule_blocking_sti, rule_blocking_external, rule_blocking_nmi_movss, rule_blocking_smi,
    rule_blocking_nmi_sti, rule_blocking_nmi, rule_blocking_enclave, rule_pending_reserved,
    rule_pending_bs_1, rule_pending_bs_0, rule_pending_rtm, rule_link_aligned, rule_link_width;
/* 27.3.1.6, PDPTEs. */
vmx_predicate rule_pdptes;

static inline bool
unrestricted(const struct vmx_check *c)
{
	return ((c->g->vmx->caps & 1u << VMX_CAP_UNRESTRICTED_GUEST) != 0);
}

static inline bool
ia32e(const struct vmx_check *c)
{
	return ((c->g->entry_ctls & VMX_ENTRY_IA32E) != 0);
}

static inline bool
v8086(const struct vmx_check *c)
{
	return ((c->s->gpr.rflags & RFLAGS_VM) != 0);
}

/* Bits above bit 46 all alike. */
static inline bool
vmx_canonical(uint64_t address)
{
	uint64_t high = address >> (X86_LINEAR_BITS - 1);

	return (high == 0 || high == UINT64_MAX >> (X86_LINEAR_BITS - 1));
}

#endif
