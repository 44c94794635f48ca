/*
 * The VMCS of a virtual CPU, as vmmctl shows it: every field is computed here from the vCPU's
 * state, from what is remembered of VT-x (struct vmx), and from a constant model of the processor's
 * capability MSRs. Nothing here is stored.
 *
 * The model: an Intel processor of 2012 (Sandy Bridge) with the "true" control MSRs, under a
 * hypervisor that asks for what bhyve asked for in July 2012. SDM vol. 3C, chapter 25 (VMCS
 * fields), vol. 3D, appendix A (capability MSRs).
 */
#ifndef VMX_VIEW_H
#define VMX_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "arch/vcpu_state.h"
#include "vmx/vmx.h"

#define VMX_CR3_TARGETS 4

/* What the VMCS fields depend on beside the vCPU. */
struct vmx_place {
	unsigned vcpu;	   /* number of the vCPU in its VM */
	uint64_t low_size; /* bytes of guest memory below 4 GB */
	uint64_t high_size;
};

struct vmx_view {
	/* 25.6.1 to 25.6.2, 25.7.1, 25.8.1: the controls. */
	uint64_t pinbased_ctls;
	uint64_t procbased_ctls;
	uint64_t procbased_ctls2;
	uint64_t exit_ctls;
	uint64_t entry_ctls;
	/* 25.6.3 to 25.6.13: what the controls need. */
	uint64_t exception_bitmap;
	uint64_t io_bitmap_a;
	uint64_t io_bitmap_b;
	uint64_t tsc_offset;
	uint64_t cr0_mask;
	uint64_t cr0_shadow;
	uint64_t cr4_mask;
	uint64_t cr4_shadow;
	uint64_t cr3_target_count;
	uint64_t cr3_target[VMX_CR3_TARGETS];
	uint64_t apic_access_addr;
	uint64_t virtual_apic_addr;
	uint64_t tpr_threshold;
	uint64_t msr_bitmap;
	uint64_t eptp;
	uint64_t vpid;
	uint64_t ple_gap;
	uint64_t ple_window;
	uint64_t entry_interruption_info;
	/* 25.4: the guest state that is not the guest's own view. */
	uint64_t guest_cr0;
	uint64_t guest_cr4;
	uint64_t guest_pat;
	uint64_t guest_sysenter_cs;
	uint64_t guest_sysenter_sp;
	uint64_t guest_sysenter_ip;
	uint64_t guest_interruptibility;
	uint64_t vmcs_link; /* VMCS link pointer, which vmmctl labels vmcs_pointer */
	/* 25.5: the host state. */
	uint64_t host_pat;
	uint64_t host_cr0;
	uint64_t host_cr3;
	uint64_t host_cr4;
	uint64_t host_rip;
	uint64_t host_rsp;
	/* 25.9: exit information. */
	uint64_t exit_reason;
	uint64_t exit_qualification;
	uint64_t exit_interruption_info;
	uint64_t exit_interruption_error;
	uint64_t instruction_error;
	uint64_t guest_linear_address;
	uint64_t guest_physical_address;
};

/* An MSR that the guest reads and writes without an exit (25.6.9, MSR bitmaps). */
struct vmx_msr_access {
	uint32_t msr;
	const char *access; /* "R", "W" or "RW": what does not exit */
};

/* Model host-physical address at which a VM's low memory starts; its high memory follows it. */
#define VMX_HOST_MEMORY 0x100000000ull

/* Compute every field. */
struct vmx_view vmx_view(
    const struct vcpu_state *state, const struct vmx *vmx, const struct vmx_place *place);
/* The MSRs that do not exit, *COUNT of them. */
const struct vmx_msr_access *vmx_msr_bitmap(size_t *count);

/* CR0 and CR4 as the VMCS guest-state area holds them: with the bits that VT-x fixes. */
uint64_t vmx_guest_cr0(uint64_t cr0);
uint64_t vmx_guest_cr4(uint64_t cr4);
/* The secondary processor-based controls that the capabilities of VMX ask for. */
uint32_t vmx_procbased_ctls2(const struct vmx *vmx);
/* The VM-entry controls for a guest in STATE. */
uint32_t vmx_entry_ctls(const struct vcpu_state *state);
/* Bits of CR4 that the modelled processor lets be 1 (IA32_VMX_CR4_FIXED1). */
uint64_t vmx_cr4_allowed(void);

#endif
