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

/* VM-entry controls, SDM vol. 3C, table 25-15. */
#define VMX_ENTRY_LOAD_DEBUG (1u << 2)
#define VMX_ENTRY_IA32E (1u << 9) /* IA-32e mode guest */
#define VMX_ENTRY_LOAD_PAT (1u << 14)
#define VMX_ENTRY_LOAD_EFER (1u << 15)

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

/*
 * What VM entry checks: the vCPU, and the fields of the guest-state area that are neither in its
 * state nor in struct vmx. vmx_guest() fills in what bhyve has there.
 */
struct vmx_guest {
	const struct vcpu_state *state;
	const struct vmx *vmx;
	uint32_t entry_ctls;
	bool has_pdptes;    /* pdpte[] is known */
	uint64_t debugctl;  /* IA32_DEBUGCTL */
	uint64_t vmcs_link; /* VMCS link pointer */
	uint64_t pdpte[4];  /* of a guest with PAE paging */
};

/* Segments of a rule beside those of enum x86_seg_index. */
enum vmx_segment { VMX_SEG_TR = SEG_COUNT, VMX_SEG_LDTR };

struct vmx_check; /* rules.h */

/* A rule of "checks on the guest state area" (SDM vol. 3C, 27.3.1). */
struct vmx_rule {
	const char *name;    /* short, stable: "cr0.pe" */
	const char *title;   /* what must hold, in words */
	const char *section; /* of the SDM */
	bool (*holds)(const struct vmx_check *check);
	unsigned segment;   /* that it is about, if it is about one */
	const char *fields; /* what it looks at, names of vmx_field() with spaces between */
	const char *broken; /* what is wrong when it does not hold, if title does not say it */
};

/* The state of a vCPU that never ran: no capability, machine checks exit. */
void vmx_init(struct vmx *vmx);

/* STATE and VMX as bhyve enters them. PDPTEs are not known then: see vmx_pdptes_at(). */
struct vmx_guest vmx_guest(const struct vcpu_state *state, const struct vmx *vmx);
/* Whether GUEST uses PAE paging; its four PDPTEs are at guest-physical *AT then (27.3.1.6). */
bool vmx_pdptes_at(const struct vmx_guest *guest, uint64_t *at);
/* All rules, in the manual's order; *COUNT of them. */
const struct vmx_rule *vmx_entry_rules(size_t *count);
/* Does RULE hold? One that needs PDPTEs which are not known does. */
bool vmx_rule_holds(const struct vmx_rule *rule, const struct vmx_guest *guest);
/* Whether RULE would have to be checked, and cannot be without GUEST's memory. */
bool vmx_rule_unknown(const struct vmx_rule *rule, const struct vmx_guest *guest);
/* The first rule that fails, NULL when VM entry would succeed. */
const struct vmx_rule *vmx_check_entry(const struct vmx_guest *guest);
/* The exit qualification of an entry that fails by RULE (27.8). */
uint64_t vmx_rule_qualification(const struct vmx_rule *rule);
/* The value of a field that rules name ("cs.access"); false when there is none of that NAME. */
bool vmx_field(const struct vmx_guest *guest, const char *name, uint64_t *value);
/* What is wrong, in words, when RULE does not hold. */
const char *vmx_rule_broken(const struct vmx_rule *rule);
/* Name of a basic exit reason in words ("triple fault"); never NULL. */
const char *vmx_exit_reason_name(uint32_t reason);

#endif
