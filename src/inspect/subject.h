/*
 * A virtual CPU to look at, wherever it comes from: a VM, running or stopped, or a text dump, in
 * which case there is no memory and the rest may be there in part.
 */
#ifndef INSPECT_SUBJECT_H
#define INSPECT_SUBJECT_H

#include <stdio.h>

#include "machine/machine.h"
#include "vmm/vmm.h"

struct subject {
	char name[256];
	struct vcpu_state state;
	struct vmx vmx;	     /* capabilities and how the last run ended */
	bool has_exit;	     /* vmx.exit_reason says how it ended */
	bool has_vmx;	     /* it is about a VT-x guest: VM entry matters */
	uint32_t entry_ctls; /* VM-entry controls that a dump shows; 0: not known */
	uint64_t vmcs_link;  /* VMCS link pointer */
	bool vmcall_exits;   /* as under bhyve: VMCALL is not #UD */
	struct memory *mem;  /* NULL: not known */
	struct memory copy;  /* what mem points to */
	bool has_history;
	struct machine_history history;
};

/*
 * Take what the VM behind CTX is now; between vmm_begin() and vmm_end(). Its memory is looked at
 * through a copy that nobody else sees change. 0, or -1 with ERR.
 */
int subject_from_vm(struct subject *s, struct vmctx *ctx, int vcpu, struct vmm_error *err);
/* The same of a machine between two stretches of guest code. */
int subject_from_machine(struct subject *s, const struct machine *m, struct vmm_error *err);
/*
 * Read a text dump: of vmmctl or bhyvectl --get-all (2012's form or today's), or of QEMU's or KVM's
 * "info registers". NAME is for messages. 0, or -1 with ERR when it is none of these.
 */
int subject_from_dump(struct subject *s, FILE *in, const char *name, struct vmm_error *err);
/* S as VM entry checks it; it must live as long. */
struct vmx_guest subject_guest(const struct subject *s);
void subject_free(struct subject *s);

#endif
