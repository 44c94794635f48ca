/*
 * VMCS fields from the capability MSRs of a modelled processor. SDM vol. 3C, 25.6 to 25.9 (the
 * fields), vol. 3D, appendix A (the MSRs). Section numbers: revision of March 2023.
 */
#include "vmx/view.h"

#include "vmx/vmx.h"

/* Bits of the control fields that are asked for by name. */
#define PIN_EXTINT_EXIT (1u << 0)
#define PIN_NMI_EXIT (1u << 3)
#define PIN_VIRTUAL_NMI (1u << 5)
#define PROC_HLT_EXIT (1u << 7)
#define PROC_IO_EXIT (1u << 24)
#define PROC_MTF (1u << 27)
#define PROC_MSR_BITMAPS (1u << 28)
#define PROC_PAUSE_EXIT (1u << 30)
#define PROC_SECONDARY (1u << 31)
#define PROC2_EPT (1u << 1)
#define PROC2_VPID (1u << 5)
#define EXIT_HOST_LMA (1u << 9)
#define EXIT_SAVE_PAT (1u << 18)
#define EXIT_LOAD_PAT (1u << 19)
#define EXIT_SAVE_EFER (1u << 20)
#define EXIT_LOAD_EFER (1u << 21)

/* A.3 to A.5: a control may be 0 where allowed0 has a 0, and 1 where allowed1 has a 1. */
struct control_msr {
	uint32_t allowed0;
	uint32_t allowed1;
	uint32_t asked; /* what the hypervisor sets for every vCPU */
};

static const struct control_msr pinbased = {
    0x00000016, 0x0000007f, PIN_EXTINT_EXIT | PIN_NMI_EXIT | PIN_VIRTUAL_NMI};
static const struct control_msr procbased = {
    0x04006172, 0xfff9fffe, PROC_IO_EXIT | PROC_MSR_BITMAPS | PROC_SECONDARY};
static const struct control_msr procbased2 = {0x00000000, 0x000000ff, PROC2_EPT | PROC2_VPID};
static const struct control_msr exit_ctls = {0x00036dfb, 0x007fffff,
    EXIT_HOST_LMA | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER};
static const struct control_msr entry_ctls = {
    0x000011fb, 0x0000ffff, VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER};

/* A.7, A.8: bits of CR0 and CR4 that are 1 in FIXED0 must be 1, those 0 in FIXED1 must be 0. */
#define CR0_FIXED0 0x0000000080000021ull
#define CR0_FIXED1 0x00000000ffffffffull
#define CR4_FIXED0 0x0000000000002000ull
#define CR4_FIXED1 \
	((uint64_t)(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | \
	    CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_VMXE | CR4_FSGSBASE | \
	    CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP))
/* Bits that the hypervisor keeps from the guest although VT-x would let it have them. */
#define CR0_KEPT ((uint64_t)(CR0_NW | CR0_CD))
/* CR4: the hypervisor of the model owns no bit. */
#define CR4_OWNED 0ull

/* The model's host. Addresses behind guest memory: EPT tables, then one MSR bitmap page a vCPU. */
#define HOST_PAT 0x0001050600070406ull
#define HOST_CR0 0x0000000080050033ull
#define HOST_CR3 0x000000002c71c000ull
#define HOST_CR4 0x00000000000026f0ull
#define HOST_RIP 0xffffffff81812090ull
#define HOST_STACKS 0xffffff8002aaa000ull
#define HOST_STACK_SIZE 0x4000ull
#define PAGE 4096ull
/* 25.6.11: write-back memory type, page walk of 4 levels. */
#define EPTP_WB 6u
#define EPTP_LEVELS ((4u - 1u) << 3)
#define VMCS_LINK_NONE UINT64_MAX

/* The MSRs that bhyve lets through (25.6.9). */
static const struct vmx_msr_access msr_bitmap[] = {
    {MSR_EFER, "RW"},
    {MSR_FSBASE, "RW"},
    {MSR_GSBASE, "RW"},
    {MSR_KERNEL_GSBASE, "RW"},
    {MSR_PAT, "RW"},
};

/* Capabilities and the bits they ask for. */
static const struct {
	enum vmx_cap cap;
	uint32_t procbased;
	uint32_t procbased2;
} cap_controls[] = {
    {VMX_CAP_HALT_EXIT, PROC_HLT_EXIT, 0},
    {VMX_CAP_MTRAP_EXIT, PROC_MTF, 0},
    {VMX_CAP_PAUSE_EXIT, PROC_PAUSE_EXIT, 0},
    {VMX_CAP_UNRESTRICTED_GUEST, 0, VMX_PROC2_UNRESTRICTED_GUEST},
};

static uint32_t
control(const struct control_msr *msr, uint32_t more)
{
	return ((msr->asked | more | msr->allowed0) & msr->allowed1);
}

uint32_t
vmx_entry_ctls(const struct vcpu_state *state)
{
	return (control(&entry_ctls, (state->sregs.efer & EFER_LMA) ? VMX_ENTRY_IA32E : 0));
}

/* What the capabilities of VMX ask for. */
static void
asked(const struct vmx *vmx, uint32_t *proc, uint32_t *proc2)
{
	*proc = *proc2 = 0;
	for (size_t i = 0; i < sizeof(cap_controls) / sizeof(cap_controls[0]); i++) {
		if (vmx->caps & 1u << cap_controls[i].cap) {
			*proc |= cap_controls[i].procbased;
			*proc2 |= cap_controls[i].procbased2;
		}
	}
}

uint32_t
vmx_procbased_ctls2(const struct vmx *vmx)
{
	uint32_t proc, proc2;

	asked(vmx, &proc, &proc2);
	return (control(&procbased2, proc2));
}

static void
view_controls(struct vmx_view *view, const struct vcpu_state *state, const struct vmx *vmx)
{
	uint32_t proc, proc2;

	asked(vmx, &proc, &proc2);
	view->pinbased_ctls = control(&pinbased, 0);
	view->procbased_ctls = control(&procbased, proc);
	view->procbased_ctls2 = control(&procbased2, proc2);
	view->exit_ctls = control(&exit_ctls, 0);
	view->entry_ctls = vmx_entry_ctls(state);
}

/*
 * PE and PG are never put in for the guest: a guest without them either runs as it is or its entry
 * fails, which is what the check is for. So of the fixed bits only NE is added.
 */
#define CR0_ADDED (CR0_FIXED0 & CR0_FIXED1 & ~(uint64_t)(CR0_PE | CR0_PG))

uint64_t
vmx_guest_cr0(uint64_t cr0)
{
	return (cr0 | CR0_ADDED);
}

uint64_t
vmx_guest_cr4(uint64_t cr4)
{
	return (cr4 | CR4_FIXED0);
}

uint64_t
vmx_cr4_allowed(void)
{
	return (CR4_FIXED1);
}

static void
view_crs(struct vmx_view *view, const struct vcpu_state *state)
{
	view->guest_cr0 = vmx_guest_cr0(state->sregs.cr0);
	view->guest_cr4 = vmx_guest_cr4(state->sregs.cr4);
	view->cr0_mask = CR0_ADDED | (~CR0_FIXED0 & ~CR0_FIXED1) | CR0_KEPT;
	view->cr0_shadow = state->sregs.cr0 & view->cr0_mask;
	view->cr4_mask = CR4_OWNED;
	view->cr4_shadow = state->sregs.cr4 & view->cr4_mask;
}

static void
view_host(struct vmx_view *view, const struct vmx *vmx, const struct vmx_place *place)
{
	view->host_pat = HOST_PAT;
	view->host_cr0 = HOST_CR0;
	view->host_cr3 = vmx->entered ? HOST_CR3 : 0; /* loaded at each entry */
	view->host_cr4 = HOST_CR4;
	view->host_rip = HOST_RIP;
	view->host_rsp = HOST_STACKS + place->vcpu * HOST_STACK_SIZE;
}

struct vmx_view
vmx_view(const struct vcpu_state *state, const struct vmx *vmx, const struct vmx_place *place)
{
	uint64_t tables = VMX_HOST_MEMORY + place->low_size + place->high_size;
	struct vmx_view view = {
	    .exception_bitmap = vmx->exception_bitmap,
	    .tsc_offset = state->msr.tsc_offset,
	    .msr_bitmap = tables + PAGE * (1 + place->vcpu),
	    .eptp = tables | EPTP_LEVELS | EPTP_WB,
	    .vpid = 1 + place->vcpu,
	    .entry_interruption_info = vmx->entry_interruption_info,
	    .guest_pat = state->msr.pat,
	    .guest_sysenter_cs = (uint32_t)state->msr.sysenter_cs,
	    .guest_sysenter_sp = state->msr.sysenter_esp,
	    .guest_sysenter_ip = state->msr.sysenter_eip,
	    .guest_interruptibility = state->events.interruptibility,
	    .vmcs_link = VMCS_LINK_NONE,
	    .exit_reason = vmx->exit_reason,
	    .exit_qualification = vmx->exit_qualification,
	    .exit_interruption_info = vmx->exit_interruption_info,
	    .exit_interruption_error = vmx->exit_interruption_error,
	    .instruction_error = vmx->instruction_error,
	    .guest_linear_address = vmx->guest_linear_address,
	    .guest_physical_address = vmx->guest_physical_address,
	};

	view_controls(&view, state, vmx);
	view_crs(&view, state);
	view_host(&view, vmx, place);
	return (view);
}

const struct vmx_msr_access *
vmx_msr_bitmap(size_t *count)
{
	*count = sizeof(msr_bitmap) / sizeof(msr_bitmap[0]);
	return (msr_bitmap);
}
