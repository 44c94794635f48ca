/*
 * The entry rules: what each state breaks, and nothing else. SDM vol. 3C, 27.3.1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vmx/vmx.h"

#define UNRESTRICTED (1u << VMX_CAP_UNRESTRICTED_GUEST)
#define EDITS 4

/* Guests that enter. */
enum base {
	PAGED, /* 32-bit protected mode with paging */
	PAE,   /* the same with PAE paging */
	V86,   /* virtual-8086 mode */
	LONG,  /* 64-bit mode */
	REAL,  /* as RESET leaves it: needs unrestricted guest */
};

struct world {
	struct vcpu_state state;
	struct vmx vmx;
	struct vmx_guest guest;
};

static void
build(struct world *w, enum base base, bool unrestricted)
{
	struct vcpu_sregs *sr = &w->state.sregs;

	vcpu_state_reset(&w->state, 0);
	vmx_init(&w->vmx);
	w->vmx.caps = unrestricted ? UNRESTRICTED : 0;
	if (base != REAL) {
		sr->cr0 = CR0_PE | CR0_PG | CR0_ET;
		sr->seg[SEG_CS] = (struct x86_segment){
		    .selector = 8, .limit = UINT32_MAX, .access = AR_G | AR_DB | 0x9b};
		sr->seg[SEG_SS] = (struct x86_segment){
		    .selector = 16, .limit = UINT32_MAX, .access = AR_G | AR_DB | 0x93};
	}
	if (base == V86) {
		w->state.gpr.rflags |= RFLAGS_VM;
		for (unsigned i = 0; i < SEG_COUNT; i++)
			sr->seg[i] = segment_real(0, 0xf3);
	}
	if (base == LONG) {
		sr->efer = EFER_LMA | EFER_LME;
		sr->seg[SEG_CS].access = AR_G | AR_L | 0x9b;
	}
	if (base == LONG || base == PAE)
		sr->cr4 = CR4_PAE;
	w->guest = vmx_guest(&w->state, &w->vmx);
	w->guest.has_pdptes = base == PAE;
}

/* A field of struct world and what it is set to. */
struct edit {
	size_t offset, size;
	uint64_t value;
};
#define AT(field) offsetof(struct world, field), sizeof(((struct world *)NULL)->field)
#define S(field) AT(state.field)
#define V(field) AT(vmx.field)
#define G(field) AT(guest.field)

/* All rules that fail after the edits, in the manual's order; more than one where one implies another. */
static const struct {
	const char *rules;
	enum base base;
	bool unrestricted;
	struct edit edits[EDITS];
} cases[] = {
    {"cr0.pe cr0.pg-pe", PAGED, false, {{S(sregs.cr0), CR0_PG}}},
    {"cr0.pe cr0.pg", PAGED, false, {{S(sregs.cr0), 0}}},
    {"", PAGED, true, {{S(sregs.cr0), 0}}},
    {"cr0.pg", PAGED, false, {{S(sregs.cr0), CR0_PE}}},
    {"cr0.reserved", PAGED, false, {{S(sregs.cr0), 1ull << 32 | CR0_PE | CR0_PG}}},
    {"cr0.pg-pe", PAGED, true, {{S(sregs.cr0), CR0_PG}}},
    {"cr4.reserved", PAGED, false, {{S(sregs.cr4), 1u << 31}}},
    {"debugctl.reserved", PAGED, false, {{G(debugctl), 4}, {G(entry_ctls), VMX_ENTRY_LOAD_DEBUG}}},
    {"", PAGED, false, {{G(debugctl), 4}}},
    {"efer.lma-paging", LONG, false, {{S(sregs.cr4), 0}}},
    {"cr0.pg efer.lma-paging", LONG, false, {{S(sregs.cr0), CR0_PE}}},
    {"cr4.pcide", PAGED, false, {{S(sregs.cr4), CR4_PCIDE}}},
    {"", LONG, false, {{S(sregs.cr4), CR4_PCIDE | CR4_PAE}}},
    {"cr3.reserved", PAGED, false, {{S(sregs.cr3), 1ull << 40}}},
    {"dr7.reserved", PAGED, false,
	{{S(debug.dr7), 1ull << 32}, {G(entry_ctls), VMX_ENTRY_LOAD_DEBUG}}},
    {"", PAGED, false, {{S(debug.dr7), 1ull << 32}}},
    {"sysenter.esp", PAGED, false, {{S(msr.sysenter_esp), 1ull << 47}}},
    {"sysenter.eip", PAGED, false, {{S(msr.sysenter_eip), 1ull << 63}}},
    {"", PAGED, false, {{S(msr.sysenter_eip), 0xffff800000000000}}},
    {"pat.types", PAGED, false, {{S(msr.pat), 0x0200000000000000}}},
    {"pat.types", PAGED, false, {{S(msr.pat), 0x08}}},
    {"", PAGED, false, {{S(msr.pat), 0x0706050401000607}}},
    {"", PAGED, false, {{S(msr.pat), 2}, {G(entry_ctls), VMX_ENTRY_LOAD_EFER}}},
    {"efer.reserved", PAGED, false, {{S(sregs.efer), 1u << 5}}},
    {"efer.lma", LONG, false,
	{{S(sregs.efer), 0}, {G(entry_ctls), VMX_ENTRY_LOAD_EFER | VMX_ENTRY_IA32E}}},
    {"", PAGED, false, {{S(sregs.efer), 1u << 5}, {G(entry_ctls), VMX_ENTRY_LOAD_PAT}}},
    {"efer.lma-lme", PAGED, false, {{S(sregs.efer), EFER_LME}}},
    {"tr.ti", PAGED, false, {{S(sregs.tr.selector), 4}}},
    {"ldtr.ti", PAGED, false, {{S(sregs.ldtr.selector), 4}}},
    {"", PAGED, false, {{S(sregs.ldtr.selector), 4}, {S(sregs.ldtr.access), AR_UNUSABLE}}},
    {"ss.rpl", PAGED, false, {{S(sregs.seg[SEG_CS].selector), 9}}},
    {"", PAGED, true, {{S(sregs.seg[SEG_CS].selector), 9}}},
    {"ss.rpl ss.dpl-rpl", PAGED, false, {{S(sregs.seg[SEG_SS].selector), 17}}},
    {"cs.v86-base", V86, false, {{S(sregs.seg[SEG_CS].base), 0x10}}},
    {"ss.v86-base", V86, false, {{S(sregs.seg[SEG_SS].base), 0x10}}},
    {"ds.v86-base", V86, false, {{S(sregs.seg[SEG_DS].base), 0x10}}},
    {"es.v86-base", V86, false, {{S(sregs.seg[SEG_ES].base), 0x10}}},
    {"fs.v86-base", V86, false, {{S(sregs.seg[SEG_FS].base), 0x10}}},
    {"gs.v86-base", V86, false, {{S(sregs.seg[SEG_GS].base), 0x10}}},
    {"tr.canonical", PAGED, false, {{S(sregs.tr.base), 1ull << 47}}},
    {"fs.canonical", PAGED, false, {{S(sregs.seg[SEG_FS].base), 1ull << 47}}},
    {"gs.canonical", PAGED, false, {{S(sregs.seg[SEG_GS].base), 1ull << 47}}},
    {"ldtr.canonical", PAGED, false, {{S(sregs.ldtr.base), 1ull << 47}}},
    {"", PAGED, false, {{S(sregs.ldtr.base), 1ull << 47}, {S(sregs.ldtr.access), AR_UNUSABLE}}},
    {"fs.canonical", PAGED, false,
	{{S(sregs.seg[SEG_FS].base), 1ull << 47}, {S(sregs.seg[SEG_FS].access), AR_UNUSABLE}}},
    {"cs.base-high", PAGED, false, {{S(sregs.seg[SEG_CS].base), 1ull << 32}}},
    {"ss.base-high", PAGED, false, {{S(sregs.seg[SEG_SS].base), 1ull << 32}}},
    {"ds.base-high", PAGED, false, {{S(sregs.seg[SEG_DS].base), 1ull << 32}}},
    {"es.base-high", PAGED, false, {{S(sregs.seg[SEG_ES].base), 1ull << 32}}},
    {"", PAGED, false,
	{{S(sregs.seg[SEG_DS].base), 1ull << 32}, {S(sregs.seg[SEG_DS].access), AR_UNUSABLE}}},
    {"cs.v86-limit", V86, false, {{S(sregs.seg[SEG_CS].limit), 0xfffff}}},
    {"ss.v86-limit", V86, false, {{S(sregs.seg[SEG_SS].limit), 0xfffff}}},
    {"ds.v86-limit", V86, false, {{S(sregs.seg[SEG_DS].limit), 0xfffff}}},
    {"es.v86-limit", V86, false, {{S(sregs.seg[SEG_ES].limit), 0xfffff}}},
    {"fs.v86-limit", V86, false, {{S(sregs.seg[SEG_FS].limit), 0xfffff}}},
    {"gs.v86-limit", V86, false, {{S(sregs.seg[SEG_GS].limit), 0xfffff}}},
    {"cs.v86-access", V86, false, {{S(sregs.seg[SEG_CS].access), 0x93}}},
    {"ss.v86-access", V86, false, {{S(sregs.seg[SEG_SS].access), 0x93}}},
    {"ds.v86-access", V86, false, {{S(sregs.seg[SEG_DS].access), 0x93}}},
    {"es.v86-access", V86, false, {{S(sregs.seg[SEG_ES].access), 0x93}}},
    {"fs.v86-access", V86, false, {{S(sregs.seg[SEG_FS].access), 0x93}}},
    {"gs.v86-access", V86, false, {{S(sregs.seg[SEG_GS].access), 0x93}}},
    {"cs.type", PAGED, false, {{S(sregs.seg[SEG_CS].access), 0x93 | AR_G | AR_DB}}},
    {"", PAGED, true, {{S(sregs.seg[SEG_CS].access), 0x93 | AR_G | AR_DB}}},
    {"cs.type", PAGED, true, {{S(sregs.seg[SEG_CS].access), 0x91 | AR_G | AR_DB}}},
    {"cs.type", PAGED, true, {{S(sregs.seg[SEG_CS].access), 0x9a | AR_G | AR_DB}}},
    {"ss.type", PAGED, false, {{S(sregs.seg[SEG_SS].access), 0x91 | AR_G}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_SS].access), 0x97 | AR_G}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_SS].access), AR_UNUSABLE}}},
    {"ds.accessed", PAGED, false, {{S(sregs.seg[SEG_DS].access), 0x92}}},
    {"ds.readable", PAGED, false, {{S(sregs.seg[SEG_DS].access), 0x99}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_DS].access), AR_UNUSABLE}}},
    {"es.accessed", PAGED, false, {{S(sregs.seg[SEG_ES].access), 0x92}}},
    {"es.readable", PAGED, false, {{S(sregs.seg[SEG_ES].access), 0x99}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_ES].access), AR_UNUSABLE}}},
    {"fs.accessed", PAGED, false, {{S(sregs.seg[SEG_FS].access), 0x92}}},
    {"fs.readable", PAGED, false, {{S(sregs.seg[SEG_FS].access), 0x99}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_FS].access), AR_UNUSABLE}}},
    {"gs.accessed", PAGED, false, {{S(sregs.seg[SEG_GS].access), 0x92}}},
    {"gs.readable", PAGED, false, {{S(sregs.seg[SEG_GS].access), 0x99}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_GS].access), AR_UNUSABLE}}},
    {"cs.s", PAGED, false, {{S(sregs.seg[SEG_CS].access), 0x8b | AR_G}}},
    {"ss.s", PAGED, false, {{S(sregs.seg[SEG_SS].access), 0x83 | AR_G}}},
    {"ds.s", PAGED, false, {{S(sregs.seg[SEG_DS].access), 0x83}}},
    {"es.s", PAGED, false, {{S(sregs.seg[SEG_ES].access), 0x83}}},
    {"fs.s", PAGED, false, {{S(sregs.seg[SEG_FS].access), 0x83}}},
    {"gs.s", PAGED, false, {{S(sregs.seg[SEG_GS].access), 0x83}}},
    {"cs.dpl-data", PAGED, true, {{S(sregs.seg[SEG_CS].access), 0xb3 | AR_G}}},
    {"cs.dpl", PAGED, false, {{S(sregs.seg[SEG_CS].access), 0xfb | AR_G}}},
    {"cs.dpl-conforming", PAGED, false, {{S(sregs.seg[SEG_CS].access), 0xff | AR_G}}},
    {"ss.dpl-rpl", PAGED, false,
	{{S(sregs.seg[SEG_SS].access), 0xf3 | AR_G}, {S(sregs.seg[SEG_CS].access), 0xfb | AR_G}}},
    {"", PAGED, true,
	{{S(sregs.seg[SEG_SS].access), 0xf3 | AR_G}, {S(sregs.seg[SEG_CS].access), 0xfb | AR_G}}},
    {"ss.dpl-zero", REAL, true,
	{{S(sregs.seg[SEG_SS].access), 0xf3}, {S(sregs.seg[SEG_CS].access), 0x9f}}},
    {"ss.dpl-zero", PAGED, true,
	{{S(sregs.seg[SEG_SS].access), 0xf3 | AR_G}, {S(sregs.seg[SEG_CS].access), 0x93 | AR_G}}},
    {"cs.dpl ss.dpl-zero", REAL, true, {{S(sregs.seg[SEG_SS].access), 0xf3}}},
    {"ds.dpl", PAGED, false, {{S(sregs.seg[SEG_DS].selector), 3}}},
    {"", PAGED, true, {{S(sregs.seg[SEG_DS].selector), 3}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_DS].selector), 3}, {S(sregs.seg[SEG_DS].access), 0x9f}}},
    {"es.dpl", PAGED, false, {{S(sregs.seg[SEG_ES].selector), 3}}},
    {"", PAGED, true, {{S(sregs.seg[SEG_ES].selector), 3}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_ES].selector), 3}, {S(sregs.seg[SEG_ES].access), 0x9f}}},
    {"fs.dpl", PAGED, false, {{S(sregs.seg[SEG_FS].selector), 3}}},
    {"", PAGED, true, {{S(sregs.seg[SEG_FS].selector), 3}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_FS].selector), 3}, {S(sregs.seg[SEG_FS].access), 0x9f}}},
    {"gs.dpl", PAGED, false, {{S(sregs.seg[SEG_GS].selector), 3}}},
    {"", PAGED, true, {{S(sregs.seg[SEG_GS].selector), 3}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_GS].selector), 3}, {S(sregs.seg[SEG_GS].access), 0x9f}}},
    {"cs.p", PAGED, false, {{S(sregs.seg[SEG_CS].access), 0x1b | AR_G}}},
    {"ss.p", PAGED, false, {{S(sregs.seg[SEG_SS].access), 0x13 | AR_G}}},
    {"ds.p", PAGED, false, {{S(sregs.seg[SEG_DS].access), 0x13}}},
    {"es.p", PAGED, false, {{S(sregs.seg[SEG_ES].access), 0x13}}},
    {"fs.p", PAGED, false, {{S(sregs.seg[SEG_FS].access), 0x13}}},
    {"gs.p", PAGED, false, {{S(sregs.seg[SEG_GS].access), 0x13}}},
    {"cs.reserved", PAGED, false, {{S(sregs.seg[SEG_CS].access), 0x9b | AR_G | 1u << 17}}},
    {"ss.reserved", PAGED, false, {{S(sregs.seg[SEG_SS].access), 0x93 | AR_G | 0x100}}},
    {"ds.reserved", PAGED, false, {{S(sregs.seg[SEG_DS].access), 0x93 | 1u << 17}}},
    {"es.reserved", PAGED, false, {{S(sregs.seg[SEG_ES].access), 0x93 | 0x100}}},
    {"fs.reserved", PAGED, false, {{S(sregs.seg[SEG_FS].access), 0x93 | 1u << 17}}},
    {"gs.reserved", PAGED, false, {{S(sregs.seg[SEG_GS].access), 0x93 | 0x100}}},
    {"cs.l-db", LONG, false, {{S(sregs.seg[SEG_CS].access), 0x9b | AR_G | AR_L | AR_DB}}},
    {"", PAGED, false, {{S(sregs.seg[SEG_CS].access), 0x9b | AR_G | AR_L | AR_DB}}},
    {"cs.g-0", PAGED, false,
	{{S(sregs.seg[SEG_CS].limit), 0xfffe}, {S(sregs.seg[SEG_CS].access), 0x9b | AR_G}}},
    {"cs.g-1", PAGED, false,
	{{S(sregs.seg[SEG_CS].limit), 0x1fffff}, {S(sregs.seg[SEG_CS].access), 0x9b}}},
    {"ss.g-0", PAGED, false,
	{{S(sregs.seg[SEG_SS].limit), 0xfffe}, {S(sregs.seg[SEG_SS].access), 0x93 | AR_G}}},
    {"ss.g-1", PAGED, false,
	{{S(sregs.seg[SEG_SS].limit), 0x1fffff}, {S(sregs.seg[SEG_SS].access), 0x93}}},
    {"ds.g-0", PAGED, false,
	{{S(sregs.seg[SEG_DS].limit), 0xfffe}, {S(sregs.seg[SEG_DS].access), 0x93 | AR_G}}},
    {"ds.g-1", PAGED, false,
	{{S(sregs.seg[SEG_DS].limit), 0x1fffff}, {S(sregs.seg[SEG_DS].access), 0x93}}},
    {"es.g-0", PAGED, false,
	{{S(sregs.seg[SEG_ES].limit), 0xfffe}, {S(sregs.seg[SEG_ES].access), 0x93 | AR_G}}},
    {"es.g-1", PAGED, false,
	{{S(sregs.seg[SEG_ES].limit), 0x1fffff}, {S(sregs.seg[SEG_ES].access), 0x93}}},
    {"fs.g-0", PAGED, false,
	{{S(sregs.seg[SEG_FS].limit), 0xfffe}, {S(sregs.seg[SEG_FS].access), 0x93 | AR_G}}},
    {"fs.g-1", PAGED, false,
	{{S(sregs.seg[SEG_FS].limit), 0x1fffff}, {S(sregs.seg[SEG_FS].access), 0x93}}},
    {"gs.g-0", PAGED, false,
	{{S(sregs.seg[SEG_GS].limit), 0xfffe}, {S(sregs.seg[SEG_GS].access), 0x93 | AR_G}}},
    {"gs.g-1", PAGED, false,
	{{S(sregs.seg[SEG_GS].limit), 0x1fffff}, {S(sregs.seg[SEG_GS].access), 0x93}}},
    {"tr.g-0", PAGED, false, {{S(sregs.tr.limit), 0xfffe}, {S(sregs.tr.access), 0x8b | AR_G}}},
    {"tr.g-1", PAGED, false, {{S(sregs.tr.limit), 0x1fffff}, {S(sregs.tr.access), 0x8b}}},
    {"ldtr.g-0", PAGED, false,
	{{S(sregs.ldtr.limit), 0xfffe}, {S(sregs.ldtr.access), 0x82 | AR_G}}},
    {"ldtr.g-1", PAGED, false, {{S(sregs.ldtr.limit), 0x1fffff}, {S(sregs.ldtr.access), 0x82}}},
    {"tr.type", PAGED, false, {{S(sregs.tr.access), 0x89}}},
    {"tr.type", LONG, false, {{S(sregs.tr.access), 0x83}}},
    {"", PAGED, false, {{S(sregs.tr.access), 0x83}}},
    {"tr.s", PAGED, false, {{S(sregs.tr.access), 0x9b}}},
    {"tr.p", PAGED, false, {{S(sregs.tr.access), 0x0b}}},
    {"tr.reserved", PAGED, false, {{S(sregs.tr.access), 0x48b}}},
    {"tr.usable", PAGED, false, {{S(sregs.tr.access), 0x8b | AR_UNUSABLE}}},
    {"tr.type tr.p tr.usable", PAGED, false, {{S(sregs.tr.access), AR_UNUSABLE}}},
    {"ldtr.type", PAGED, false, {{S(sregs.ldtr.access), 0x8b}}},
    {"ldtr.s", PAGED, false, {{S(sregs.ldtr.access), 0x92}}},
    {"ldtr.p", PAGED, false, {{S(sregs.ldtr.access), 2}}},
    {"ldtr.reserved", PAGED, false, {{S(sregs.ldtr.access), 0x82 | 1u << 31}}},
    {"", PAGED, false, {{S(sregs.ldtr.access), 0x13 | AR_UNUSABLE}}},
    {"gdtr.canonical", PAGED, false, {{S(sregs.gdtr.base), 1ull << 47}}},
    {"gdtr.limit", PAGED, false, {{S(sregs.gdtr.limit), 0x10000}}},
    {"idtr.canonical", PAGED, false, {{S(sregs.idtr.base), 1ull << 47}}},
    {"idtr.limit", PAGED, false, {{S(sregs.idtr.limit), 0x10000}}},
    {"rip.high", PAGED, false, {{S(gpr.rip), 1ull << 32}}},
    {"rip.high", LONG, false,
	{{S(gpr.rip), 1ull << 32}, {S(sregs.seg[SEG_CS].access), 0x9b | AR_G | AR_DB}}},
    {"rip.canonical", LONG, false, {{S(gpr.rip), 1ull << 48}}},
    {"", LONG, false, {{S(gpr.rip), 1ull << 47}}},
    {"rflags.reserved", PAGED, false, {{S(gpr.rflags), 0}}},
    {"rflags.reserved", PAGED, false, {{S(gpr.rflags), 0xa}}},
    {"rflags.reserved", PAGED, false, {{S(gpr.rflags), 0x22}}},
    {"rflags.reserved", PAGED, false, {{S(gpr.rflags), 0x8002}}},
    {"rflags.reserved", PAGED, false, {{S(gpr.rflags), 0x400002}}},
    {"rflags.vm", V86, true, {{S(sregs.cr0), 0}}},
    {"rflags.if", PAGED, false, {{V(entry_interruption_info), 0x80000020}}},
    {"", PAGED, false,
	{{V(entry_interruption_info), 0x80000020}, {S(gpr.rflags), RFLAGS_1 | RFLAGS_IF}}},
    {"activity.range", PAGED, false, {{S(events.activity), 4}}},
    {"activity.hlt-dpl", PAGED, true,
	{{S(events.activity), VCPU_HLT}, {S(sregs.seg[SEG_SS].access), 0xf3 | AR_G},
	    {S(sregs.seg[SEG_CS].access), 0xfb | AR_G}}},
    {"activity.blocking", PAGED, false,
	{{S(events.activity), VCPU_HLT}, {S(events.interruptibility), SHADOW_MOVSS}}},
    {"activity.hlt-event", PAGED, false,
	{{S(events.activity), VCPU_HLT}, {V(entry_interruption_info), 0x8000030d}}},
    {"", PAGED, false, {{S(events.activity), VCPU_HLT}, {V(entry_interruption_info), 0x80000301}}},
    {"", PAGED, false, {{S(events.activity), VCPU_HLT}, {V(entry_interruption_info), 0x80000312}}},
    {"", PAGED, false, {{S(events.activity), VCPU_HLT}, {V(entry_interruption_info), 0x80000700}}},
    {"", PAGED, false, {{S(events.activity), VCPU_HLT}, {V(entry_interruption_info), 0x80000202}}},
    {"activity.shutdown-event", PAGED, false,
	{{S(events.activity), VCPU_SHUTDOWN}, {V(entry_interruption_info), 0x80000020},
	    {S(gpr.rflags), RFLAGS_1 | RFLAGS_IF}}},
    {"", PAGED, false,
	{{S(events.activity), VCPU_SHUTDOWN}, {V(entry_interruption_info), 0x80000312}}},
    {"activity.sipi-event", PAGED, false,
	{{S(events.activity), VCPU_WAIT_SIPI}, {V(entry_interruption_info), 0x80000202}}},
    {"blocking.reserved", PAGED, false, {{S(events.interruptibility), 0x20}}},
    {"blocking.both", PAGED, false,
	{{S(events.interruptibility), SHADOW_STI | SHADOW_MOVSS},
	    {S(gpr.rflags), RFLAGS_1 | RFLAGS_IF}}},
    {"blocking.both blocking.sti-if", PAGED, false,
	{{S(events.interruptibility), SHADOW_STI | SHADOW_MOVSS}}},
    {"blocking.sti-if", PAGED, false, {{S(events.interruptibility), SHADOW_STI}}},
    {"blocking.external", PAGED, false,
	{{S(events.interruptibility), SHADOW_MOVSS}, {V(entry_interruption_info), 0x80000020},
	    {S(gpr.rflags), RFLAGS_1 | RFLAGS_IF}}},
    {"blocking.external", PAGED, false,
	{{S(events.interruptibility), SHADOW_STI}, {V(entry_interruption_info), 0x80000020},
	    {S(gpr.rflags), RFLAGS_1 | RFLAGS_IF}}},
    {"blocking.nmi-movss", PAGED, false,
	{{S(events.interruptibility), SHADOW_MOVSS}, {V(entry_interruption_info), 0x80000202}}},
    {"blocking.smi", PAGED, false, {{S(events.interruptibility), 4}}},
    {"blocking.nmi-sti", PAGED, false,
	{{S(events.interruptibility), SHADOW_STI}, {V(entry_interruption_info), 0x80000202},
	    {S(gpr.rflags), RFLAGS_1 | RFLAGS_IF}}},
    {"blocking.nmi", PAGED, false,
	{{S(events.interruptibility), SHADOW_NMI}, {V(entry_interruption_info), 0x80000202}}},
    {"", PAGED, false, {{S(events.interruptibility), SHADOW_NMI}}},
    {"blocking.enclave", PAGED, false, {{S(events.interruptibility), 0x10}}},
    {"pending.reserved", PAGED, false, {{S(events.pending_debug), 0x10}}},
    {"pending.reserved", PAGED, false, {{S(events.pending_debug), 0x2000}}},
    {"pending.reserved", PAGED, false, {{S(events.pending_debug), 0x8000}}},
    {"pending.reserved", PAGED, false, {{S(events.pending_debug), 1ull << 17}}},
    {"", PAGED, false, {{S(events.pending_debug), 0x100f}}},
    {"pending.bs-1", PAGED, false,
	{{S(events.interruptibility), SHADOW_MOVSS}, {S(gpr.rflags), RFLAGS_1 | RFLAGS_TF}}},
    {"pending.bs-1", PAGED, false,
	{{S(events.activity), VCPU_HLT}, {S(gpr.rflags), RFLAGS_1 | RFLAGS_TF}}},
    {"pending.bs-0", PAGED, false,
	{{S(events.interruptibility), SHADOW_MOVSS}, {S(events.pending_debug), 0x4000}}},
    {"pending.bs-0", PAGED, false,
	{{S(events.interruptibility), SHADOW_MOVSS}, {S(events.pending_debug), 0x4000},
	    {S(gpr.rflags), RFLAGS_1 | RFLAGS_TF}, {G(debugctl), 2}}},
    {"", PAGED, false,
	{{S(events.interruptibility), SHADOW_MOVSS}, {S(events.pending_debug), 0x4000},
	    {S(gpr.rflags), RFLAGS_1 | RFLAGS_TF}}},
    {"pending.rtm", PAGED, false, {{S(events.pending_debug), 0x10000}}},
    {"link.aligned", PAGED, false, {{G(vmcs_link), 0x123}}},
    {"link.width", PAGED, false, {{G(vmcs_link), 1ull << 40}}},
    {"", PAE, false, {{0}}},
    {"pdpte.reserved", PAE, false, {{G(pdpte[3]), 3}}},
    {"pdpte.reserved", PAE, false, {{G(pdpte[3]), 0x101}}},
    {"pdpte.reserved", PAE, false, {{G(pdpte[3]), 1 | 1ull << 40}}},
    {"", PAE, false, {{G(pdpte[3]), 0x1e6}}},
    {"", PAE, false, {{G(pdpte[3]), 3}, {G(has_pdptes), 0}}},
    {"", PAGED, false, {{G(pdpte[3]), 3}, {G(has_pdptes), 1}}},
    {"", LONG, false, {{0}}},
    {"", V86, false, {{0}}},
    {"", REAL, true, {{0}}},
    {"", PAGED, false, {{0}}},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

/* The names of the rules that W breaks, with spaces between, to TEXT. */
static void
all_broken(const struct world *w, char *text, size_t size)
{
	size_t count, used = 0;
	const struct vmx_rule *rules = vmx_entry_rules(&count);

	text[0] = '\0';
	for (size_t i = 0; i < count; i++)
		if (!vmx_rule_holds(&rules[i], &w->guest))
			used += (size_t)snprintf(
			    text + used, size - used, "%s%s", used > 0 ? " " : "", rules[i].name);
}

static void
build_case(struct world *w, size_t n)
{
	build(w, cases[n].base, cases[n].unrestricted);
	for (unsigned i = 0; i < EDITS; i++)
		memcpy((char *)w + cases[n].edits[i].offset, &cases[n].edits[i].value,
		    cases[n].edits[i].size);
}

static void
each_case_breaks_its_rules(void **unused)
{
	char text[1024];
	struct world w;

	(void)unused;
	for (size_t i = 0; i < CASES; i++) {
		build_case(&w, i);
		all_broken(&w, text, sizeof(text));
		if (strcmp(text, cases[i].rules) != 0)
			print_error("case %zu\n", i);
		assert_string_equal(text, cases[i].rules);
	}
}

/* The first rule that fails is what the engine sees. */
static void
first_broken_rule(void **unused)
{
	const struct vmx_rule *rule;
	struct world w;

	(void)unused;
	for (size_t i = 0; i < CASES; i++) {
		build_case(&w, i);
		rule = vmx_check_entry(&w.guest);
		if (cases[i].rules[0] == '\0')
			assert_null(rule);
		else
			assert_memory_equal(rule->name, cases[i].rules, strlen(rule->name));
	}
}

/* CR0.PE=0 without unrestricted guest always breaks a second rule about paging. */
static bool
is_never_alone(const char *name)
{
	return (strcmp(name, "cr0.pe") == 0);
}

static void
every_rule_has_a_case(void **unused)
{
	size_t count;
	const struct vmx_rule *rules = vmx_entry_rules(&count);

	(void)unused;
	for (size_t i = 0; i < count; i++) {
		bool found = false;

		for (size_t n = 0; n < CASES; n++)
			found |= strcmp(cases[n].rules, rules[i].name) == 0 ||
			    (is_never_alone(rules[i].name) &&
				strstr(cases[n].rules, rules[i].name) != NULL);
		if (!found)
			print_error("no case for %s\n", rules[i].name);
		assert_true(found);
	}
}

static void
rules_have_names_sections_and_fields(void **unused)
{
	size_t count;
	const struct vmx_rule *rules = vmx_entry_rules(&count);
	char fields[128], *rest;
	struct world w;
	uint64_t value;

	(void)unused;
	build(&w, PAGED, false);
	for (size_t i = 0; i < count; i++) {
		assert_true(rules[i].name[0] != '\0' && rules[i].title[0] != '\0');
		assert_int_equal(strncmp(rules[i].section, "27.3.1.", 7), 0);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(rules[i].name, rules[k].name);
		assert_true(rules[i].fields[0] != '\0' && strlen(rules[i].fields) < sizeof(fields));
		snprintf(fields, sizeof(fields), "%s", rules[i].fields);
		for (char *name = strtok_r(fields, " ", &rest); name != NULL;
		     name = strtok_r(NULL, " ", &rest))
			assert_true(vmx_field(&w.guest, name, &value));
	}
	assert_false(vmx_field(&w.guest, "nonsense", &value));
	assert_true(vmx_field(&w.guest, "cs.access", &value));
	assert_int_equal(value, AR_G | AR_DB | 0x9b);
	assert_true(vmx_field(&w.guest, "procbased_ctls2", &value));
	assert_int_equal(value, 0x22);
}

static void
reset_state_needs_unrestricted_guest(void **unused)
{
	struct world w;

	(void)unused;
	build(&w, REAL, false);
	assert_string_equal(
	    vmx_rule_broken(vmx_check_entry(&w.guest)), "CR0.PE=0 needs unrestricted guest");
}

/* Limit 0 everywhere and a 64-bit CS: the seed's VM entered with them, and died of them. */
static void
the_seeds_wrong_values_enter(void **unused)
{
	char text[1024];
	struct world w;

	(void)unused;
	build(&w, REAL, true);
	w.state.sregs.cr0 = CR0_NE;
	for (int i = 0; i < SEG_COUNT; i++)
		w.state.sregs.seg[i] = (struct x86_segment){.access = 0x93};
	w.state.sregs.seg[SEG_CS].access = 0x209b;
	w.state.sregs.tr = (struct x86_segment){.access = 0x8b};
	w.state.sregs.ldtr = (struct x86_segment){.access = AR_UNUSABLE};
	w.state.sregs.gdtr = (struct x86_table){.base = 0x5000, .limit = 0x17};
	w.state.sregs.idtr = (struct x86_table){0};
	all_broken(&w, text, sizeof(text));
	assert_string_equal(text, "");
}

static void
qualifications(void **unused)
{
	static const struct {
		const char *rule;
		uint64_t qualification;
	} rows[] = {
	    {"cs.type", 0}, {"pdpte.reserved", 2}, {"blocking.nmi-sti", 3}, {"link.width", 4}};
	size_t count;
	const struct vmx_rule *rules = vmx_entry_rules(&count);

	(void)unused;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
			if (strcmp(rules[i].name, rows[k].rule) == 0)
				assert_int_equal(
				    vmx_rule_qualification(&rules[i]), rows[k].qualification);
}

static void
pdptes_need_memory(void **unused)
{
	size_t count;
	const struct vmx_rule *rules = vmx_entry_rules(&count);
	struct world w;
	uint64_t at;

	(void)unused;
	build(&w, PAE, false);
	w.state.sregs.cr3 = 0x12345678;
	assert_true(vmx_pdptes_at(&w.guest, &at));
	assert_int_equal(at, 0x12345660);
	assert_false(vmx_rule_unknown(&rules[count - 1], &w.guest));
	w.guest.has_pdptes = false;
	assert_true(vmx_rule_unknown(&rules[count - 1], &w.guest));
	assert_false(vmx_rule_unknown(&rules[0], &w.guest));
	build(&w, LONG, false);
	assert_false(vmx_pdptes_at(&w.guest, &at));
	assert_false(vmx_rule_unknown(&rules[count - 1], &w.guest));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_case_breaks_its_rules),
	    cmocka_unit_test(first_broken_rule),
	    cmocka_unit_test(every_rule_has_a_case),
	    cmocka_unit_test(rules_have_names_sections_and_fields),
	    cmocka_unit_test(reset_state_needs_unrestricted_guest),
	    cmocka_unit_test(the_seeds_wrong_values_enter),
	    cmocka_unit_test(qualifications),
	    cmocka_unit_test(pdptes_need_memory),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
