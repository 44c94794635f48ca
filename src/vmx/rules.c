/*
 * Checks on the guest state area at VM entry, as a table. SDM vol. 3C, 27.3.1 (revision of March
 * 2023), in the manual's order; the predicates are in rules_segment.c and rules_state.c.
 *
 * Not in the table: what needs the host's memory (the revision that a VMCS link pointer leads to),
 * and what is about features that neither bhyve's controls nor the modelled processor have (SMM,
 * CET, PKRS, performance counters, MPX, processor trace, LBRs, user interrupts).
 */
#include "vmx/rules.h"
#include "vmx/view.h"

static const struct vmx_rule rules[] = {
    {"cr0.pe", "CR0.PE must be 1 without unrestricted guest", "27.3.1.1", rule_cr0_pe, 0,
	"cr0 procbased_ctls2", "CR0.PE=0 needs unrestricted guest"},
    {"cr0.pg", "CR0.PG must be 1 without unrestricted guest", "27.3.1.1", rule_cr0_pg, 0,
	"cr0 procbased_ctls2", "CR0.PG=0 needs unrestricted guest"},
    {"cr0.reserved", "bits 63:32 of CR0 must be 0", "27.3.1.1", rule_cr0_reserved, 0, "cr0", NULL},
    {"cr0.pg-pe", "CR0.PE must be 1 if CR0.PG is 1", "27.3.1.1", rule_cr0_pg_pe, 0, "cr0", NULL},
    {"cr4.reserved", "CR4 must not set a bit that the processor does not support", "27.3.1.1",
	rule_cr4_reserved, 0, "cr4", NULL},
    {"debugctl.reserved", "reserved bits of IA32_DEBUGCTL must be 0 if it is loaded", "27.3.1.1",
	rule_debugctl, 0, "debugctl entry_ctls", NULL},
    {"efer.lma-paging", "CR0.PG and CR4.PAE must be 1 in IA-32e mode", "27.3.1.1", rule_lma_paging,
	0, "cr0 cr4 entry_ctls", NULL},
    {"cr4.pcide", "CR4.PCIDE must be 0 outside IA-32e mode", "27.3.1.1", rule_pcide, 0,
	"cr4 entry_ctls", NULL},
    {"cr3.reserved", "CR3 must not set a bit beyond the width of physical addresses", "27.3.1.1",
	rule_cr3, 0, "cr3", NULL},
    {"dr7.reserved", "bits 63:32 of DR7 must be 0 if it is loaded", "27.3.1.1", rule_dr7, 0,
	"dr7 entry_ctls", NULL},
    {"sysenter.esp", "IA32_SYSENTER_ESP must be canonical", "27.3.1.1", rule_sysenter_esp, 0,
	"sysenter_esp", NULL},
    {"sysenter.eip", "IA32_SYSENTER_EIP must be canonical", "27.3.1.1", rule_sysenter_eip, 0,
	"sysenter_eip", NULL},
    {"pat.types", "each byte of IA32_PAT must be a memory type: 0, 1, 4, 5, 6 or 7", "27.3.1.1",
	rule_pat, 0, "pat", NULL},
    {"efer.reserved", "reserved bits of IA32_EFER must be 0", "27.3.1.1", rule_efer_reserved, 0,
	"efer", NULL},
    {"efer.lma", "IA32_EFER.LMA must equal the control \"IA-32e mode guest\"", "27.3.1.1",
	rule_efer_lma, 0, "efer entry_ctls", NULL},
    {"efer.lma-lme", "IA32_EFER.LMA must equal LME if CR0.PG is 1", "27.3.1.1", rule_efer_lme, 0,
	"efer cr0", NULL},
    {"tr.ti", "TR must not select from the LDT", "27.3.1.2", rule_ti, VMX_SEG_TR, "tr", NULL},
    {"ldtr.ti", "LDTR, if usable, must not select from the LDT", "27.3.1.2", rule_ti, VMX_SEG_LDTR,
	"ldtr ldtr.access", NULL},
    {"ss.rpl", "RPL of SS must equal that of CS without unrestricted guest", "27.3.1.2",
	rule_ss_rpl, SEG_SS, "ss cs procbased_ctls2", NULL},
    {"cs.v86-base", "base of CS must be 16 times its selector in virtual-8086 mode", "27.3.1.2",
	rule_v86_base, SEG_CS, "cs cs.base rflags", NULL},
    {"ss.v86-base", "base of SS must be 16 times its selector in virtual-8086 mode", "27.3.1.2",
	rule_v86_base, SEG_SS, "ss ss.base rflags", NULL},
    {"ds.v86-base", "base of DS must be 16 times its selector in virtual-8086 mode", "27.3.1.2",
	rule_v86_base, SEG_DS, "ds ds.base rflags", NULL},
    {"es.v86-base", "base of ES must be 16 times its selector in virtual-8086 mode", "27.3.1.2",
	rule_v86_base, SEG_ES, "es es.base rflags", NULL},
    {"fs.v86-base", "base of FS must be 16 times its selector in virtual-8086 mode", "27.3.1.2",
	rule_v86_base, SEG_FS, "fs fs.base rflags", NULL},
    {"gs.v86-base", "base of GS must be 16 times its selector in virtual-8086 mode", "27.3.1.2",
	rule_v86_base, SEG_GS, "gs gs.base rflags", NULL},
    {"tr.canonical", "base of TR must be canonical", "27.3.1.2", rule_base_canonical, VMX_SEG_TR,
	"tr.base", NULL},
    {"fs.canonical", "base of FS must be canonical", "27.3.1.2", rule_base_canonical, SEG_FS,
	"fs.base", NULL},
    {"gs.canonical", "base of GS must be canonical", "27.3.1.2", rule_base_canonical, SEG_GS,
	"gs.base", NULL},
    {"ldtr.canonical", "base of LDTR, if that is usable, must be canonical", "27.3.1.2",
	rule_base_canonical, VMX_SEG_LDTR, "ldtr.base ldtr.access", NULL},
    {"cs.base-high", "bits 63:32 of the base of CS must be 0", "27.3.1.2", rule_base_high, SEG_CS,
	"cs.base", NULL},
    {"ss.base-high", "bits 63:32 of the base of SS, if that is usable, must be 0", "27.3.1.2",
	rule_base_high, SEG_SS, "ss.base", NULL},
    {"ds.base-high", "bits 63:32 of the base of DS, if that is usable, must be 0", "27.3.1.2",
	rule_base_high, SEG_DS, "ds.base", NULL},
    {"es.base-high", "bits 63:32 of the base of ES, if that is usable, must be 0", "27.3.1.2",
	rule_base_high, SEG_ES, "es.base", NULL},
    {"cs.v86-limit", "limit of CS must be FFFFh in virtual-8086 mode", "27.3.1.2", rule_v86_limit,
	SEG_CS, "cs.limit rflags", NULL},
    {"ss.v86-limit", "limit of SS must be FFFFh in virtual-8086 mode", "27.3.1.2", rule_v86_limit,
	SEG_SS, "ss.limit rflags", NULL},
    {"ds.v86-limit", "limit of DS must be FFFFh in virtual-8086 mode", "27.3.1.2", rule_v86_limit,
	SEG_DS, "ds.limit rflags", NULL},
    {"es.v86-limit", "limit of ES must be FFFFh in virtual-8086 mode", "27.3.1.2", rule_v86_limit,
	SEG_ES, "es.limit rflags", NULL},
    {"fs.v86-limit", "limit of FS must be FFFFh in virtual-8086 mode", "27.3.1.2", rule_v86_limit,
	SEG_FS, "fs.limit rflags", NULL},
    {"gs.v86-limit", "limit of GS must be FFFFh in virtual-8086 mode", "27.3.1.2", rule_v86_limit,
	SEG_GS, "gs.limit rflags", NULL},
    {"cs.v86-access", "access rights of CS must be F3h in virtual-8086 mode", "27.3.1.2",
	rule_v86_access, SEG_CS, "cs.access rflags", NULL},
    {"ss.v86-access", "access rights of SS must be F3h in virtual-8086 mode", "27.3.1.2",
	rule_v86_access, SEG_SS, "ss.access rflags", NULL},
    {"ds.v86-access", "access rights of DS must be F3h in virtual-8086 mode", "27.3.1.2",
	rule_v86_access, SEG_DS, "ds.access rflags", NULL},
    {"es.v86-access", "access rights of ES must be F3h in virtual-8086 mode", "27.3.1.2",
	rule_v86_access, SEG_ES, "es.access rflags", NULL},
    {"fs.v86-access", "access rights of FS must be F3h in virtual-8086 mode", "27.3.1.2",
	rule_v86_access, SEG_FS, "fs.access rflags", NULL},
    {"gs.v86-access", "access rights of GS must be F3h in virtual-8086 mode", "27.3.1.2",
	rule_v86_access, SEG_GS, "gs.access rflags", NULL},
    {"cs.type", "CS must be accessed code, or read/write accessed data with unrestricted guest",
	"27.3.1.2", rule_cs_type, SEG_CS, "cs.access procbased_ctls2", NULL},
    {"ss.type", "SS, if usable, must be read/write accessed data", "27.3.1.2", rule_ss_type, SEG_SS,
	"ss.access", NULL},
    {"ds.accessed", "DS, if usable, must be accessed", "27.3.1.2", rule_accessed, SEG_DS,
	"ds.access", NULL},
    {"ds.readable", "DS, if usable code, must be readable", "27.3.1.2", rule_readable, SEG_DS,
	"ds.access", NULL},
    {"es.accessed", "ES, if usable, must be accessed", "27.3.1.2", rule_accessed, SEG_ES,
	"es.access", NULL},
    {"es.readable", "ES, if usable code, must be readable", "27.3.1.2", rule_readable, SEG_ES,
	"es.access", NULL},
    {"fs.accessed", "FS, if usable, must be accessed", "27.3.1.2", rule_accessed, SEG_FS,
	"fs.access", NULL},
    {"fs.readable", "FS, if usable code, must be readable", "27.3.1.2", rule_readable, SEG_FS,
	"fs.access", NULL},
    {"gs.accessed", "GS, if usable, must be accessed", "27.3.1.2", rule_accessed, SEG_GS,
	"gs.access", NULL},
    {"gs.readable", "GS, if usable code, must be readable", "27.3.1.2", rule_readable, SEG_GS,
	"gs.access", NULL},
    {"cs.s", "S of CS must be 1 (code or data)", "27.3.1.2", rule_s, SEG_CS, "cs.access", NULL},
    {"ss.s", "S of SS, if usable, must be 1 (code or data)", "27.3.1.2", rule_s, SEG_SS,
	"ss.access", NULL},
    {"ds.s", "S of DS, if usable, must be 1 (code or data)", "27.3.1.2", rule_s, SEG_DS,
	"ds.access", NULL},
    {"es.s", "S of ES, if usable, must be 1 (code or data)", "27.3.1.2", rule_s, SEG_ES,
	"es.access", NULL},
    {"fs.s", "S of FS, if usable, must be 1 (code or data)", "27.3.1.2", rule_s, SEG_FS,
	"fs.access", NULL},
    {"gs.s", "S of GS, if usable, must be 1 (code or data)", "27.3.1.2", rule_s, SEG_GS,
	"gs.access", NULL},
    {"cs.dpl-data", "DPL of a CS that is data must be 0", "27.3.1.2", rule_dpl_data, SEG_CS,
	"cs.access", NULL},
    {"cs.dpl", "DPL of a non-conforming CS must equal that of SS", "27.3.1.2", rule_dpl_code,
	SEG_CS, "cs.access ss.access", NULL},
    {"cs.dpl-conforming", "DPL of a conforming CS must not be above that of SS", "27.3.1.2",
	rule_dpl_conforming, SEG_CS, "cs.access ss.access", NULL},
    {"ss.dpl-rpl", "DPL of SS must equal its RPL without unrestricted guest", "27.3.1.2",
	rule_dpl_rpl, SEG_SS, "ss.access ss procbased_ctls2", NULL},
    {"ss.dpl-zero", "DPL of SS must be 0 if CS is data or CR0.PE is 0", "27.3.1.2", rule_dpl_zero,
	SEG_SS, "ss.access cs.access cr0", NULL},
    {"ds.dpl",
	"DPL of DS, if usable data or non-conforming code, must not be below its RPL without "
	"unrestricted guest",
	"27.3.1.2", rule_dpl, SEG_DS, "ds.access ds procbased_ctls2", NULL},
    {"es.dpl",
	"DPL of ES, if usable data or non-conforming code, must not be below its RPL without "
	"unrestricted guest",
	"27.3.1.2", rule_dpl, SEG_ES, "es.access es procbased_ctls2", NULL},
    {"fs.dpl",
	"DPL of FS, if usable data or non-conforming code, must not be below its RPL without "
	"unrestricted guest",
	"27.3.1.2", rule_dpl, SEG_FS, "fs.access fs procbased_ctls2", NULL},
    {"gs.dpl",
	"DPL of GS, if usable data or non-conforming code, must not be below its RPL without "
	"unrestricted guest",
	"27.3.1.2", rule_dpl, SEG_GS, "gs.access gs procbased_ctls2", NULL},
    {"cs.p", "P of CS must be 1", "27.3.1.2", rule_present, SEG_CS, "cs.access", NULL},
    {"ss.p", "P of SS, if usable, must be 1", "27.3.1.2", rule_present, SEG_SS, "ss.access", NULL},
    {"ds.p", "P of DS, if usable, must be 1", "27.3.1.2", rule_present, SEG_DS, "ds.access", NULL},
    {"es.p", "P of ES, if usable, must be 1", "27.3.1.2", rule_present, SEG_ES, "es.access", NULL},
    {"fs.p", "P of FS, if usable, must be 1", "27.3.1.2", rule_present, SEG_FS, "fs.access", NULL},
    {"gs.p", "P of GS, if usable, must be 1", "27.3.1.2", rule_present, SEG_GS, "gs.access", NULL},
    {"cs.reserved", "bits 11:8 and 31:17 of the access rights of CS must be 0", "27.3.1.2",
	rule_reserved, SEG_CS, "cs.access", NULL},
    {"ss.reserved", "bits 11:8 and 31:17 of the access rights of SS, if usable, must be 0",
	"27.3.1.2", rule_reserved, SEG_SS, "ss.access", NULL},
    {"ds.reserved", "bits 11:8 and 31:17 of the access rights of DS, if usable, must be 0",
	"27.3.1.2", rule_reserved, SEG_DS, "ds.access", NULL},
    {"es.reserved", "bits 11:8 and 31:17 of the access rights of ES, if usable, must be 0",
	"27.3.1.2", rule_reserved, SEG_ES, "es.access", NULL},
    {"fs.reserved", "bits 11:8 and 31:17 of the access rights of FS, if usable, must be 0",
	"27.3.1.2", rule_reserved, SEG_FS, "fs.access", NULL},
    {"gs.reserved", "bits 11:8 and 31:17 of the access rights of GS, if usable, must be 0",
	"27.3.1.2", rule_reserved, SEG_GS, "gs.access", NULL},
    {"cs.l-db", "CS.L and CS.D must not both be 1 in IA-32e mode", "27.3.1.2", rule_l_db, SEG_CS,
	"cs.access entry_ctls", NULL},
    {"cs.g-0", "G of CS must be 0 if a bit in 11:0 of the limit is 0", "27.3.1.2", rule_g_0, SEG_CS,
	"cs.limit cs.access", NULL},
    {"cs.g-1", "G of CS must be 1 if a bit in 31:20 of the limit is 1", "27.3.1.2", rule_g_1,
	SEG_CS, "cs.limit cs.access", NULL},
    {"ss.g-0", "G of SS, if usable, must be 0 if a bit in 11:0 of the limit is 0", "27.3.1.2",
	rule_g_0, SEG_SS, "ss.limit ss.access", NULL},
    {"ss.g-1", "G of SS, if usable, must be 1 if a bit in 31:20 of the limit is 1", "27.3.1.2",
	rule_g_1, SEG_SS, "ss.limit ss.access", NULL},
    {"ds.g-0", "G of DS, if usable, must be 0 if a bit in 11:0 of the limit is 0", "27.3.1.2",
	rule_g_0, SEG_DS, "ds.limit ds.access", NULL},
    {"ds.g-1", "G of DS, if usable, must be 1 if a bit in 31:20 of the limit is 1", "27.3.1.2",
	rule_g_1, SEG_DS, "ds.limit ds.access", NULL},
    {"es.g-0", "G of ES, if usable, must be 0 if a bit in 11:0 of the limit is 0", "27.3.1.2",
	rule_g_0, SEG_ES, "es.limit es.access", NULL},
    {"es.g-1", "G of ES, if usable, must be 1 if a bit in 31:20 of the limit is 1", "27.3.1.2",
	rule_g_1, SEG_ES, "es.limit es.access", NULL},
    {"fs.g-0", "G of FS, if usable, must be 0 if a bit in 11:0 of the limit is 0", "27.3.1.2",
	rule_g_0, SEG_FS, "fs.limit fs.access", NULL},
    {"fs.g-1", "G of FS, if usable, must be 1 if a bit in 31:20 of the limit is 1", "27.3.1.2",
	rule_g_1, SEG_FS, "fs.limit fs.access", NULL},
    {"gs.g-0", "G of GS, if usable, must be 0 if a bit in 11:0 of the limit is 0", "27.3.1.2",
	rule_g_0, SEG_GS, "gs.limit gs.access", NULL},
    {"gs.g-1", "G of GS, if usable, must be 1 if a bit in 31:20 of the limit is 1", "27.3.1.2",
	rule_g_1, SEG_GS, "gs.limit gs.access", NULL},
    {"tr.type", "TR must be a busy TSS, of 32 or 64 bits in IA-32e mode", "27.3.1.2", rule_tr_type,
	VMX_SEG_TR, "tr.access entry_ctls", NULL},
    {"tr.s", "S of TR must be 0 (system)", "27.3.1.2", rule_system, VMX_SEG_TR, "tr.access", NULL},
    {"tr.p", "P of TR must be 1", "27.3.1.2", rule_present, VMX_SEG_TR, "tr.access", NULL},
    {"tr.reserved", "bits 11:8 and 31:17 of the access rights of TR must be 0", "27.3.1.2",
	rule_reserved, VMX_SEG_TR, "tr.access", NULL},
    {"tr.g-0", "G of TR must be 0 if a bit in 11:0 of the limit is 0", "27.3.1.2", rule_g_0,
	VMX_SEG_TR, "tr.limit tr.access", NULL},
    {"tr.g-1", "G of TR must be 1 if a bit in 31:20 of the limit is 1", "27.3.1.2", rule_g_1,
	VMX_SEG_TR, "tr.limit tr.access", NULL},
    {"tr.usable", "TR must be usable", "27.3.1.2", rule_usable, VMX_SEG_TR, "tr.access", NULL},
    {"ldtr.type", "LDTR, if usable, must be an LDT", "27.3.1.2", rule_ldtr_type, VMX_SEG_LDTR,
	"ldtr.access", NULL},
    {"ldtr.s", "S of LDTR, if usable, must be 0 (system)", "27.3.1.2", rule_system, VMX_SEG_LDTR,
	"ldtr.access", NULL},
    {"ldtr.p", "P of LDTR, if usable, must be 1", "27.3.1.2", rule_present, VMX_SEG_LDTR,
	"ldtr.access", NULL},
    {"ldtr.reserved", "bits 11:8 and 31:17 of the access rights of LDTR, if usable, must be 0",
	"27.3.1.2", rule_reserved, VMX_SEG_LDTR, "ldtr.access", NULL},
    {"ldtr.g-0", "G of LDTR, if usable, must be 0 if a bit in 11:0 of the limit is 0", "27.3.1.2",
	rule_g_0, VMX_SEG_LDTR, "ldtr.limit ldtr.access", NULL},
    {"ldtr.g-1", "G of LDTR, if usable, must be 1 if a bit in 31:20 of the limit is 1", "27.3.1.2",
	rule_g_1, VMX_SEG_LDTR, "ldtr.limit ldtr.access", NULL},
    {"gdtr.canonical", "base of GDTR must be canonical", "27.3.1.3", rule_gdtr_base, 0, "gdtr.base",
	NULL},
    {"idtr.canonical", "base of IDTR must be canonical", "27.3.1.3", rule_idtr_base, 0, "idtr.base",
	NULL},
    {"gdtr.limit", "limit of GDTR must not exceed FFFFh", "27.3.1.3", rule_gdtr_limit, 0,
	"gdtr.limit", NULL},
    {"idtr.limit", "limit of IDTR must not exceed FFFFh", "27.3.1.3", rule_idtr_limit, 0,
	"idtr.limit", NULL},
    {"rip.high", "bits 63:32 of RIP must be 0 outside 64-bit code", "27.3.1.4", rule_rip_high, 0,
	"rip cs.access entry_ctls", NULL},
    {"rip.canonical", "bits 63:48 of RIP must be alike in 64-bit code", "27.3.1.4",
	rule_rip_canonical, 0, "rip cs.access entry_ctls", NULL},
    {"rflags.reserved", "RFLAGS bit 1 must be 1, bits 63:22, 15, 5 and 3 must be 0", "27.3.1.4",
	rule_rflags_reserved, 0, "rflags", NULL},
    {"rflags.vm", "RFLAGS.VM must be 0 in IA-32e mode and if CR0.PE is 0", "27.3.1.4",
	rule_rflags_vm, 0, "rflags cr0 entry_ctls", NULL},
    {"rflags.if", "RFLAGS.IF must be 1 if an external interrupt is injected", "27.3.1.4",
	rule_rflags_if, 0, "rflags entry_interruption_info", NULL},
    {"activity.range", "activity state must be active, HLT, shutdown or wait-for-SIPI", "27.3.1.5",
	rule_activity, 0, "activity", NULL},
    {"activity.hlt-dpl", "activity state must not be HLT if DPL of SS is not 0", "27.3.1.5",
	rule_activity_hlt_dpl, 0, "activity ss.access", NULL},
    {"activity.blocking", "activity state must be active while STI or MOV SS blocks", "27.3.1.5",
	rule_activity_blocking, 0, "activity interruptibility", NULL},
    {"activity.hlt-event", "only an interrupt, NMI, #DB, #MC or MTF exit may be injected in HLT",
	"27.3.1.5", rule_inject_hlt, 0, "activity entry_interruption_info", NULL},
    {"activity.shutdown-event", "only an NMI or #MC may be injected in shutdown", "27.3.1.5",
	rule_inject_shutdown, 0, "activity entry_interruption_info", NULL},
    {"activity.sipi-event", "nothing may be injected in wait-for-SIPI", "27.3.1.5",
	rule_inject_sipi, 0, "activity entry_interruption_info", NULL},
    {"blocking.reserved", "bits 31:5 of the interruptibility state must be 0", "27.3.1.5",
	rule_blocking_reserved, 0, "interruptibility", NULL},
    {"blocking.both", "STI and MOV SS must not both block", "27.3.1.5", rule_blocking_both, 0,
	"interruptibility", NULL},
    {"blocking.sti-if", "STI must not block if RFLAGS.IF is 0", "27.3.1.5", rule_blocking_sti, 0,
	"interruptibility rflags", NULL},
    {"blocking.external", "neither STI nor MOV SS must block if an external interrupt is injected",
	"27.3.1.5", rule_blocking_external, 0, "interruptibility entry_interruption_info", NULL},
    {"blocking.nmi-movss", "MOV SS must not block if an NMI is injected", "27.3.1.5",
	rule_blocking_nmi_movss, 0, "interruptibility entry_interruption_info", NULL},
    {"blocking.smi", "SMI must not be blocked outside SMM", "27.3.1.5", rule_blocking_smi, 0,
	"interruptibility", NULL},
    {"blocking.nmi-sti", "STI must not block if an NMI is injected (some processors allow it)",
	"27.3.1.5", rule_blocking_nmi_sti, 0, "interruptibility entry_interruption_info", NULL},
    {"blocking.nmi", "NMI must not be blocked if an NMI is injected", "27.3.1.5", rule_blocking_nmi,
	0, "interruptibility entry_interruption_info", NULL},
    {"blocking.enclave", "bit 4 of the interruptibility state must be 0 on a processor without SGX",
	"27.3.1.5", rule_blocking_enclave, 0, "interruptibility", NULL},
    {"pending.reserved", "bits 11:4, 13, 15 and 63:17 of the pending debug exceptions must be 0",
	"27.3.1.5", rule_pending_reserved, 0, "pending_debug", NULL},
    {"pending.bs-1",
	"a single-step trap must be pending if TF is 1 in HLT or while STI or MOV SS blocks",
	"27.3.1.5", rule_pending_bs_1, 0, "pending_debug rflags debugctl interruptibility activity",
	NULL},
    {"pending.bs-0",
	"no single-step trap must be pending if TF is 0 in HLT or while STI or MOV SS blocks",
	"27.3.1.5", rule_pending_bs_0, 0, "pending_debug rflags debugctl interruptibility activity",
	NULL},
    {"pending.rtm", "bit 16 of the pending debug exceptions must be 0 on a processor without RTM",
	"27.3.1.5", rule_pending_rtm, 0, "pending_debug", NULL},
    {"link.aligned", "VMCS link pointer must be all ones, or its bits 11:0 must be 0", "27.3.1.5",
	rule_link_aligned, 0, "vmcs_link", NULL},
    {"link.width", "VMCS link pointer must be all ones, or within the width of physical addresses",
	"27.3.1.5", rule_link_width, 0, "vmcs_link", NULL},
    {"pdpte.reserved", "reserved bits of a present PDPTE must be 0 with PAE paging", "27.3.1.6",
	rule_pdptes, 0, "pdpte0 pdpte1 pdpte2 pdpte3 cr0 cr4 entry_ctls", NULL},
};
#define RULES (sizeof(rules) / sizeof(rules[0]))

/* Exit qualifications of a failed entry that are not 0, 27.8. */
static const struct {
	bool (*holds)(const struct vmx_check *check);
	uint64_t qualification;
} qualifications[] = {
    {rule_pdptes, 2},
    {rule_blocking_nmi_sti, 3},
    {rule_link_aligned, 4},
    {rule_link_width, 4},
};

struct vmx_guest
vmx_guest(const struct vcpu_state *state, const struct vmx *vmx)
{
	return ((struct vmx_guest){
	    .state = state,
	    .vmx = vmx,
	    .entry_ctls = vmx_entry_ctls(state),
	    .vmcs_link = UINT64_MAX,
	});
}

bool
vmx_pdptes_at(const struct vmx_guest *guest, uint64_t *at)
{
	const struct vcpu_sregs *sr = &guest->state->sregs;

	*at = sr->cr3 & 0xffffffe0;
	return ((sr->cr0 & CR0_PG) != 0 && (sr->cr4 & CR4_PAE) != 0 &&
	    (guest->entry_ctls & VMX_ENTRY_IA32E) == 0);
}

const struct vmx_rule *
vmx_entry_rules(size_t *count)
{
	*count = RULES;
	return (rules);
}

static const struct x86_segment *
segment_of(const struct vcpu_state *state, unsigned segment)
{
	if (segment == VMX_SEG_TR)
		return (&state->sregs.tr);
	return (segment == VMX_SEG_LDTR ? &state->sregs.ldtr : &state->sregs.seg[segment]);
}

bool
vmx_rule_holds(const struct vmx_rule *rule, const struct vmx_guest *guest)
{
	const struct vmx_check check = {
	    .g = guest,
	    .s = guest->state,
	    .seg = segment_of(guest->state, rule->segment),
	};

	return (rule->holds(&check));
}

bool
vmx_rule_unknown(const struct vmx_rule *rule, const struct vmx_guest *guest)
{
	uint64_t at;

	return (rule->holds == rule_pdptes && !guest->has_pdptes && vmx_pdptes_at(guest, &at));
}

const struct vmx_rule *
vmx_check_entry(const struct vmx_guest *guest)
{
	for (size_t i = 0; i < RULES; i++)
		if (!vmx_rule_holds(&rules[i], guest))
			return (&rules[i]);
	return (NULL);
}

uint64_t
vmx_rule_qualification(const struct vmx_rule *rule)
{
	for (size_t i = 0; i < sizeof(qualifications) / sizeof(qualifications[0]); i++)
		if (qualifications[i].holds == rule->holds)
			return (qualifications[i].qualification);
	return (0);
}

const char *
vmx_rule_broken(const struct vmx_rule *rule)
{
	return (rule->broken != NULL ? rule->broken : rule->title);
}
