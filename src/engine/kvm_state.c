/* struct vcpu_state to and from KVM's structures, by groups. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- general registers ------------------------------------------------------------------------------ */

/* Registers by their place in KVM's structure, which has an order of its own. */
static const enum x86_gpr regs_order[GPR_COUNT] = {GPR_RAX, GPR_RBX, GPR_RCX, GPR_RDX, GPR_RSI,
    GPR_RDI, GPR_RSP, GPR_RBP, GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14,
    GPR_R15};

_Static_assert(offsetof(struct kvm_regs, rip) == GPR_COUNT * sizeof(__u64), "16 registers first");

void
kvm_regs_of(struct kvm_regs *out, const struct vcpu_gprs *in)
{
	__u64 *reg = &out->rax;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		reg[i] = in->reg[regs_order[i]];
	out->rip = in->rip;
	out->rflags = in->rflags;
}

void
kvm_regs_to(const struct kvm_regs *in, struct vcpu_gprs *out)
{
	const __u64 *reg = &in->rax;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		out->reg[regs_order[i]] = reg[i];
	out->rip = in->rip;
	out->rflags = in->rflags;
}

/* --- segments and control registers -------------------------------------------------------------------- */

static struct kvm_segment
segment_of(const struct x86_segment *in)
{
	return ((struct kvm_segment){
	    .base = in->base,
	    .limit = in->limit,
	    .selector = in->selector,
	    .type = in->access & AR_TYPE,
	    .s = (in->access & AR_S) != 0,
	    .dpl = (uint8_t)segment_dpl(in->access) & 3,
	    .present = (in->access & AR_P) != 0,
	    .avl = (in->access & AR_AVL) != 0,
	    .l = (in->access & AR_L) != 0,
	    .db = (in->access & AR_DB) != 0,
	    .g = (in->access & AR_G) != 0,
	    .unusable = (in->access & AR_UNUSABLE) != 0,
	});
}

static struct x86_segment
segment_to(const struct kvm_segment *in)
{
	return ((struct x86_segment){
	    .base = in->base,
	    .limit = in->limit,
	    .selector = in->selector,
	    .access = (in->type & AR_TYPE) | (in->s ? AR_S : 0) |
		(uint32_t)in->dpl << AR_DPL_SHIFT | (in->present ? AR_P : 0) |
		(in->avl ? AR_AVL : 0) | (in->l ? AR_L : 0) | (in->db ? AR_DB : 0) |
		(in->g ? AR_G : 0) | (in->unusable ? AR_UNUSABLE : 0),
	});
}

static struct kvm_dtable
table_of(const struct x86_table *in)
{
	return ((struct kvm_dtable){.base = in->base, .limit = (uint16_t)in->limit});
}

static struct x86_table
table_to(const struct kvm_dtable *in)
{
	return ((struct x86_table){.base = in->base, .limit = in->limit});
}

void
kvm_sregs_of(struct kvm_sregs *out, const struct vcpu_sregs *in)
{
	out->es = segment_of(&in->seg[SEG_ES]);
	out->cs = segment_of(&in->seg[SEG_CS]);
	out->ss = segment_of(&in->seg[SEG_SS]);
	out->ds = segment_of(&in->seg[SEG_DS]);
	out->fs = segment_of(&in->seg[SEG_FS]);
	out->gs = segment_of(&in->seg[SEG_GS]);
	out->ldt = segment_of(&in->ldtr);
	out->tr = segment_of(&in->tr);
	out->gdt = table_of(&in->gdtr);
	out->idt = table_of(&in->idtr);
	out->cr0 = in->cr0;
	out->cr2 = in->cr2;
	out->cr3 = in->cr3;
	out->cr4 = in->cr4;
	out->cr8 = in->cr8;
	out->efer = in->efer;
	out->apic_base = in->apic_base;
}

void
kvm_sregs_to(const struct kvm_sregs *in, struct vcpu_sregs *out)
{
	out->seg[SEG_ES] = segment_to(&in->es);
	out->seg[SEG_CS] = segment_to(&in->cs);
	out->seg[SEG_SS] = segment_to(&in->ss);
	out->seg[SEG_DS] = segment_to(&in->ds);
	out->seg[SEG_FS] = segment_to(&in->fs);
	out->seg[SEG_GS] = segment_to(&in->gs);
	out->ldtr = segment_to(&in->ldt);
	out->tr = segment_to(&in->tr);
	out->gdtr = table_to(&in->gdt);
	out->idtr = table_to(&in->idt);
	out->cr0 = in->cr0;
	out->cr2 = in->cr2;
	out->cr3 = in->cr3;
	out->cr4 = in->cr4;
	out->cr8 = in->cr8;
	out->efer = in->efer;
	out->apic_base = in->apic_base;
}

/* --- groups by ioctl ------------------------------------------------------------------------------------- */

static int
call(struct vcpu *vcpu, unsigned long request, void *arg, const char *name)
{
	struct kvm_engine *k = vcpu->engine;

	vcpu->counts.state_calls++;
	return (ioctl(k->cpu, request, arg) < 0 ? kvm_failed(vcpu, name) : 0);
}

/* What waits to be delivered, as struct vcpu_events has it. */
static void
take_pending(struct vcpu_events *out, const struct kvm_vcpu_events *in)
{
	out->inject_type = EVENT_NONE;
	out->inject_has_error = 0;
	out->inject_error = 0;
	if (in->exception.injected || in->exception.pending) {
		out->inject_type = in->exception.nr == VEC_BP || in->exception.nr == VEC_OF
		    ? EVENT_SW_EXCEPTION
		    : EVENT_HW_EXCEPTION;
		out->inject_vector = in->exception.nr;
		out->inject_has_error = in->exception.has_error_code;
		out->inject_error = in->exception.error_code;
	} else if (in->nmi.injected) {
		out->inject_type = EVENT_NMI;
		out->inject_vector = VEC_NMI;
	} else if (in->interrupt.injected) {
		out->inject_type = in->interrupt.soft ? EVENT_SW_INTR : EVENT_HW_INTR;
		out->inject_vector = in->interrupt.nr;
	}
}

static int
pull_events(struct vcpu *vcpu)
{
	struct vcpu_events *out = &vcpu->state->events;
	struct kvm_vcpu_events in = {0};

	if (call(vcpu, KVM_GET_VCPU_EVENTS, &in, "KVM_GET_VCPU_EVENTS") != 0)
		return (-1);
	take_pending(out, &in);
	out->nmi_pending = in.nmi.pending != 0;
	out->interruptibility = (in.interrupt.shadow & KVM_X86_SHADOW_INT_STI ? SHADOW_STI : 0) |
	    (in.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? SHADOW_MOVSS : 0) |
	    (in.nmi.masked ? SHADOW_NMI : 0);
	return (0);
}

static int
push_events(struct vcpu *vcpu)
{
	const struct vcpu_events *in = &vcpu->state->events;
	struct kvm_vcpu_events out = {
	    .nmi.pending = in->nmi_pending,
	    .nmi.masked = (in->interruptibility & SHADOW_NMI) != 0,
	    .interrupt.shadow =
		(uint8_t)((in->interruptibility & SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0) |
		    (in->interruptibility & SHADOW_MOVSS ? KVM_X86_SHADOW_INT_MOV_SS : 0)),
	    .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
	};

	switch (in->inject_type) {
	case EVENT_HW_INTR:
	case EVENT_SW_INTR:
		out.interrupt.injected = 1;
		out.interrupt.nr = in->inject_vector;
		out.interrupt.soft = in->inject_type == EVENT_SW_INTR;
		break;
	case EVENT_NMI:
		out.nmi.injected = 1;
		break;
	case EVENT_NONE:
		break;
	default:
		out.exception.injected = 1;
		out.exception.nr = in->inject_vector;
		out.exception.has_error_code = in->inject_has_error;
		out.exception.error_code = in->inject_error;
		break;
	}
	return (call(vcpu, KVM_SET_VCPU_EVENTS, &out, "KVM_SET_VCPU_EVENTS"));
}

/*
 * The image of XSAVE (SDM vol. 1, 13.4), since KVM_GET_FPU and KVM_SET_FPU leave MXCSR out. Behind the
 * registers come bytes that programs may use, and that are not the processor's.
 */
#define FXSAVE_END 416
#define FXSAVE_MXCSR_MASK 28
#define XSAVE_HEADER (512 / sizeof(__u32))
#define XSAVE_LEGACY 3u /* x87 and SSE are there */

static int
pull_xcr0(struct vcpu *vcpu)
{
	const struct kvm_engine *k = vcpu->engine;
	struct kvm_xcrs xcrs = {0};

	if (!k->has_xcrs)
		return (0);
	if (call(vcpu, KVM_GET_XCRS, &xcrs, "KVM_GET_XCRS") != 0)
		return (-1);
	for (unsigned i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++)
		if (xcrs.xcrs[i].xcr == 0)
			vcpu->state->fpu.xcr0 = xcrs.xcrs[i].value;
	return (0);
}

static int
pull_fpu(struct vcpu *vcpu)
{
	uint8_t *image = vcpu->state->fpu.fxsave;
	struct kvm_xsave xsave;

	if (call(vcpu, KVM_GET_XSAVE, &xsave, "KVM_GET_XSAVE") != 0)
		return (-1);
	memcpy(image, xsave.region, FXSAVE_END);
	memset(image + FXSAVE_MXCSR_MASK, 0, sizeof(uint32_t));
	return (pull_xcr0(vcpu));
}

static int
push_fpu(struct vcpu *vcpu)
{
	const struct kvm_engine *k = vcpu->engine;
	struct kvm_xsave xsave = {0};
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.value = vcpu->state->fpu.xcr0}}};

	memcpy(xsave.region, vcpu->state->fpu.fxsave, FXSAVE_END);
	xsave.region[XSAVE_HEADER] = XSAVE_LEGACY;
	if (call(vcpu, KVM_SET_XSAVE, &xsave, "KVM_SET_XSAVE") != 0)
		return (-1);
	if (!k->has_xcrs || xcrs.xcrs[0].value == 0)
		return (0);
	return (call(vcpu, KVM_SET_XCRS, &xcrs, "KVM_SET_XCRS"));
}

/* MSRs and their places in struct vcpu_msrs. */
static const struct {
	uint32_t number;
	size_t offset;
} msrs[] = {
    {MSR_TSC, offsetof(struct vcpu_msrs, tsc_offset)}, /* the first; its value is a sum */
    {MSR_SYSENTER_CS, offsetof(struct vcpu_msrs, sysenter_cs)},
    {MSR_SYSENTER_ESP, offsetof(struct vcpu_msrs, sysenter_esp)},
    {MSR_SYSENTER_EIP, offsetof(struct vcpu_msrs, sysenter_eip)},
    {MSR_STAR, offsetof(struct vcpu_msrs, star)},
    {MSR_LSTAR, offsetof(struct vcpu_msrs, lstar)},
    {MSR_CSTAR, offsetof(struct vcpu_msrs, cstar)},
    {MSR_FMASK, offsetof(struct vcpu_msrs, fmask)},
    {MSR_KERNEL_GSBASE, offsetof(struct vcpu_msrs, kernel_gsbase)},
    {MSR_TSC_AUX, offsetof(struct vcpu_msrs, tsc_aux)},
    {MSR_PAT, offsetof(struct vcpu_msrs, pat)},
    {MSR_MISC_ENABLE, offsetof(struct vcpu_msrs, misc_enable)},
};

/* struct kvm_msrs with room for all of them. */
union msr_list {
	struct kvm_msrs head;
	uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry[COUNT(msrs)])];
};

static uint64_t *
msr_at(struct vcpu_msrs *all, size_t i)
{
	return ((uint64_t *)(void *)((uint8_t *)all + msrs[i].offset));
}

static uint64_t
world_tsc(const struct vcpu *vcpu)
{
	return (vcpu->world.tsc != NULL ? vcpu->world.tsc(vcpu->world.tsc_opaque) : 0);
}

/* The whole list in one call, which says how many it did. */
static int
msr_call(struct vcpu *vcpu, unsigned long request, union msr_list *list, const char *name)
{
	struct kvm_engine *k = vcpu->engine;
	int n;

	vcpu->counts.state_calls++;
	n = ioctl(k->cpu, request, list);
	if (n == (int)COUNT(msrs))
		return (0);
	if (n < 0)
		return (kvm_failed(vcpu, name));
	snprintf(vcpu->exit.text, sizeof(vcpu->exit.text),
	    "%s: KVM has no MSR %#x, or not %#llx in it", name, list->head.entries[n].index,
	    (unsigned long long)list->head.entries[n].data);
	vcpu->exit.kind = ENGINE_ERROR;
	return (-1);
}

static int
pull_msrs(struct vcpu *vcpu)
{
	union msr_list list = {.head.nmsrs = COUNT(msrs)};

	for (size_t i = 0; i < COUNT(msrs); i++)
		list.head.entries[i].index = msrs[i].number;
	if (msr_call(vcpu, KVM_GET_MSRS, &list, "KVM_GET_MSRS") != 0)
		return (-1);
	for (size_t i = 0; i < COUNT(msrs); i++)
		*msr_at(&vcpu->state->msr, i) = list.head.entries[i].data;
	vcpu->state->msr.tsc_offset -= world_tsc(vcpu);
	return (0);
}

static int
push_msrs(struct vcpu *vcpu)
{
	union msr_list list = {.head.nmsrs = COUNT(msrs)};

	for (size_t i = 0; i < COUNT(msrs); i++)
		list.head.entries[i] = (struct kvm_msr_entry){
		    .index = msrs[i].number, .data = *msr_at(&vcpu->state->msr, i)};
	list.head.entries[0].data += world_tsc(vcpu);
	return (msr_call(vcpu, KVM_SET_MSRS, &list, "KVM_SET_MSRS"));
}

static int
pull_debug(struct vcpu *vcpu)
{
	struct vcpu_debug *out = &vcpu->state->debug;
	struct kvm_debugregs in = {0};

	if (call(vcpu, KVM_GET_DEBUGREGS, &in, "KVM_GET_DEBUGREGS") != 0)
		return (-1);
	for (unsigned i = 0; i < 4; i++)
		out->dr[i] = in.db[i];
	out->dr6 = in.dr6;
	out->dr7 = in.dr7;
	return (0);
}

static int
push_debug(struct vcpu *vcpu)
{
	const struct vcpu_debug *in = &vcpu->state->debug;
	struct kvm_debugregs out = {.dr6 = in->dr6, .dr7 = in->dr7};

	for (unsigned i = 0; i < 4; i++)
		out.db[i] = in->dr[i];
	return (call(vcpu, KVM_SET_DEBUGREGS, &out, "KVM_SET_DEBUGREGS"));
}

/* --- all groups -------------------------------------------------------------------------------------------- */

static int
pull_gpr(struct vcpu *vcpu)
{
	const struct kvm_engine *k = vcpu->engine;

	kvm_regs_to(&k->run->s.regs.regs, &vcpu->state->gpr);
	return (0);
}

static int
push_gpr(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	kvm_regs_of(&k->run->s.regs.regs, &vcpu->state->gpr);
	k->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	return (0);
}

static int
pull_sregs(struct vcpu *vcpu)
{
	const struct kvm_engine *k = vcpu->engine;

	kvm_sregs_to(&k->run->s.regs.sregs, &vcpu->state->sregs);
	return (0);
}

static int
push_sregs(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	kvm_sregs_of(&k->run->s.regs.sregs, &vcpu->state->sregs);
	/*
	 * An interrupt that waits to be delivered is the business of the events; and Linux (6.1) sets
	 * bits here at exits, but never clears any.
	 */
	memset(k->run->s.regs.sregs.interrupt_bitmap, 0,
	    sizeof(k->run->s.regs.sregs.interrupt_bitmap));
	k->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
	k->cr8 = vcpu->state->sregs.cr8;
	return (0);
}

/* SREGS before the MSRs and the events, which KVM checks against them. */
static const struct {
	unsigned group;
	int (*pull)(struct vcpu *vcpu);
	int (*push)(struct vcpu *vcpu);
} groups_table[] = {
    {VCPU_GPR, pull_gpr, push_gpr},
    {VCPU_SREGS, pull_sregs, push_sregs},
    {VCPU_FPU, pull_fpu, push_fpu},
    {VCPU_MSR, pull_msrs, push_msrs},
    {VCPU_DEBUG, pull_debug, push_debug},
    {VCPU_EVENTS, pull_events, push_events},
};

int
kvm_pull_groups(struct vcpu *vcpu, unsigned groups)
{
	struct kvm_engine *k = vcpu->engine;
	int result = 0;

	/* One that fails leaves the others readable. */
	for (size_t i = 0; i < COUNT(groups_table); i++) {
		unsigned group = groups_table[i].group;

		if (!(groups & group) || (k->had & group))
			continue;
		if (groups_table[i].pull(vcpu) == 0)
			k->had |= group;
		else
			result = -1;
	}
	if ((groups & k->had & VCPU_EVENTS) && k->nmi) {
		vcpu->state->events.nmi_pending = 1;
		k->dirty |= VCPU_EVENTS;
		k->nmi = false;
	}
	return (result);
}

int
kvm_push_groups(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;

	for (size_t i = 0; i < COUNT(groups_table); i++)
		if ((k->dirty & groups_table[i].group) && groups_table[i].push(vcpu) != 0)
			return (-1);
	k->dirty = 0;
	return (0);
}
