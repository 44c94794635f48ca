/*
 * What VT-x shows of a virtual CPU: control fields, the guest/host view of CR0 and CR4, exit
 * information, and the checks on VM entry. Modelled on the processor of the seed's dumps: control
 * values follow from the IA32_VMX_* capability MSRs and from what the hypervisor asks for.
 *
 * SDM vol. 3C, chapters 25 (VMCS), 27 (VM entries); appendix A (capability MSRs); appendix C
 * (exit reasons). Section numbers: revision of March 2023.
 */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/vcpu_state.h"

/* Basic exit reasons used here, SDM vol. 3D, appendix C. */
enum vmx_exit_reason {
	VMX_EXIT_EXCEPTION_NMI = 0,
	VMX_EXIT_EXTERNAL_INTERRUPT = 1,
	VMX_EXIT_TRIPLE_FAULT = 2,
	VMX_EXIT_INIT = 3,
	VMX_EXIT_CPUID = 10,
	VMX_EXIT_HLT = 12,
	VMX_EXIT_RDTSC = 16,
	VMX_EXIT_VMCALL = 18,
	VMX_EXIT_CR_ACCESS = 28,
	VMX_EXIT_IO = 30,
	VMX_EXIT_RDMSR = 31,
	VMX_EXIT_WRMSR = 32,
	VMX_EXIT_ENTRY_GUEST_STATE = 33,
	VMX_EXIT_PAUSE = 40,
	VMX_EXIT_EPT_VIOLATION = 48,
};
#define VMX_EXIT_ENTRY_FAILURE 0x80000000u
/* Secondary processor-based controls, SDM vol. 3C, table 25-7. */
#define VMX_PROC2_UNRESTRICTED_GUEST (1u << 7)

/* Capabilities in the numbering of vmmapi's enum vm_cap_type. */
enum vmx_cap {
	VMX_CAP_HALT_EXIT,
	VMX_CAP_MTRAP_EXIT,
	VMX_CAP_PAUSE_EXIT,
	VMX_CAP_UNRESTRICTED_GUEST,
	VMX_CAP_COUNT
};

/* The part that is remembered: one section of the state file. Everything else is computed. */
struct vmx {
	uint32_t caps; /* bit per enum vmx_cap */
	uint32_t exit_reason;
	uint64_t exit_qualification;
	uint32_t exit_instruction_length;
	uint32_t exit_interruption_info;
	uint32_t exit_interruption_error;
	uint32_t entry_interruption_info;
	uint32_t exception_bitmap;
	uint32_t instruction_error;
	uint64_t guest_linear_address;
	uint64_t guest_physical_address;
	uint32_t entered; /* 1 after the first entry: host state is then loaded */
	uint32_t pad;
};

/* A rule of "checks on the guest state area" (SDM vol. 3C, 27.3.1). */
struct vmx_rule {
	const char *name;    /* short, stable: "cr0.pe" */
	const char *title;   /* what must hold, in words */
	const char *section; /* of the SDM */
	bool (*holds)(const struct vcpu_state *state, const struct vmx *vmx);
	const char *broken; /* what is wrong when it does not hold, if title does not say it */
};

/* The state of a vCPU that never ran: no capability, machine checks exit. */
void vmx_init(struct vmx *vmx);

/* All rules, in the manual's order; *COUNT of them. */
const struct vmx_rule *vmx_entry_rules(size_t *count);
/* The first rule that fails, NULL when VM entry would succeed. */
const struct vmx_rule *vmx_check_entry(const struct vcpu_state *state, const struct vmx *vmx);
/* What is wrong, in words, when RULE does not hold. */
const char *vmx_rule_broken(const struct vmx_rule *rule);
/* Name of a basic exit reason in words ("triple fault"); never NULL. */
const char *vmx_exit_reason_name(uint32_t reason);

#endif
