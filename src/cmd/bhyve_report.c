/* How bhyve tells of an exit that nobody handles: a block for programs, one line for people. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/bhyve.h"
#include "cmd/cmd.h"
#include "inspect/check.h"
#include "inspect/dump.h"

#define COMMAND "bhyve"
#define BSP 0

/* All rules that the guest breaks, on one line. */
static int
report_entry_failure(struct vmctx *ctx)
{
	char text[1024];
	struct check_result result;
	struct vmm_error err;
	struct subject s;

	if (subject_from_vm(&s, ctx, BSP, &err) != 0)
		return (cmd_fail(COMMAND, &err));
	result = check(&s, s.vmx.caps);
	check_line(text, sizeof(text), &result);
	subject_free(&s);
	return (cmd_error(COMMAND, "%s: VM entry failed, %s", vmm_name(ctx), text));
}

int
bhyve_report_exit(struct vmctx *ctx, const struct vm_exit *vmexit)
{
	const char *name = vmm_name(ctx);

	dump_vmx_exit(stdout, BSP, vmexit);
	switch (vmexit->u.vmx.exit_reason) {
	case VMX_EXIT_VMCALL:
		return (cmd_error(COMMAND,
		    "%s: the guest asked the hypervisor by VMCALL at RIP %#" PRIx64
		    ", and there is nobody to answer",
		    name, vmexit->rip));
	case VMX_EXIT_TRIPLE_FAULT:
		cmd_error(COMMAND,
		    "%s: triple fault at RIP %#" PRIx64 ": an exception could not be "
		    "delivered, nor the double fault that came of it",
		    name, vmexit->rip);
		return (STATUS_TRIPLE_FAULT);
	case VMX_EXIT_ENTRY_GUEST_STATE:
		return (report_entry_failure(ctx));
	default:
		return (
		    cmd_error(COMMAND, "%s: VM exit that nobody handles at RIP %#" PRIx64 ": %s",
			name, vmexit->rip, vmx_exit_reason_name(vmexit->u.vmx.exit_reason)));
	}
}
