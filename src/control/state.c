/* The VM's state, as vmmctl shows and changes it: commands of our own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/change.h"
#include "control/server.h"
#include "inspect/dump.h"

static struct control_runner *
runner_of(struct control_call *call)
{
	return (&((struct control *)call->opaque)->runner);
}

/* The number of the vCPU that is meant, or -1 after control_fail(). */
static int
vcpu_of(struct control_call *call)
{
	json_int_t cpu = json_integer_value(json_object_get(call->arguments, "cpu"));

	if (cpu >= 0 && cpu < VM_MAXCPU)
		return ((int)cpu);
	control_fail(call, "vCPUs are numbered from 0 to %d", VM_MAXCPU - 1);
	return (-1);
}

static void
update(const struct control_runner *runner)
{
	if (runner->update != NULL)
		runner->update(runner->opaque);
}

/* The SIZE bytes at BYTES as a file that can be passed; -1 when there is no memory. */
static int
file_of(const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("state", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, bytes, size) == (ssize_t)size)
		return (fd);
	if (fd >= 0)
		close(fd);
	return (-1);
}

/* All there is, as of this moment: the state file, and the memory of a VM that has any. */
static json_t *
run_state(struct control_call *call)
{
	const struct control_runner *runner = runner_of(call);
	int memory = vmm_memory_fd(runner->ctx), fd = -1;
	uint8_t *bytes;
	size_t size;
	bool passed;

	update(runner);
	bytes = vmm_snapshot(runner->ctx, &size);
	if (bytes != NULL)
		fd = file_of(bytes, size);
	free(bytes);
	if (fd < 0)
		return (control_fail(call, "out of memory"));
	passed = call->session->nfds == 0 && control_session_pass(call->session, fd) &&
	    (memory < 0 || control_session_pass(call->session, memory));
	close(fd);
	if (!passed)
		return (control_fail(call, "the files of the answer before are still under way"));
	return (json_pack("{s:I, s:b}", "size", (json_int_t)size, "memory", memory >= 0));
}

static json_t *
run_registers(struct control_call *call)
{
	const struct control_runner *runner = runner_of(call);
	struct vmm_error err;
	json_t *all = json_object();
	int vcpu = vcpu_of(call);

	update(runner);
	if (vcpu >= 0 && dump_all_json(all, runner->ctx, vcpu, &err) == 0)
		return (all);
	json_decref(all);
	return (vcpu < 0 ? NULL : control_fail(call, "%s", err.text));
}

static json_t *
run_stats(struct control_call *call)
{
	const struct control_runner *runner = runner_of(call);
	const struct machine *m = runner->machine;
	struct vmm_error err;
	json_t *all = json_object();
	int vcpu = vcpu_of(call);

	update(runner);
	if (vcpu >= 0 &&
	    dump_stats_json(all, runner->ctx, vcpu, m != NULL ? &m->counts : NULL, &err) == 0)
		return (all);
	json_decref(all);
	return (vcpu < 0 ? NULL : control_fail(call, "%s", err.text));
}

/* What a set that fails in its middle gives back. */
struct before {
	struct vcpu_state state;
	struct vmx vmx;
	int pinned;
};

static int
make_changes(
    const struct control_runner *runner, int vcpu, const json_t *changes, struct vmm_error *err)
{
	struct change change;

	for (size_t i = 0; i < json_array_size(changes); i++)
		if (change_from_json(json_array_get(changes, i), &change, err) != 0 ||
		    change_apply(runner->ctx, vcpu, &change, err) != 0)
			return (-1);
	return (0);
}

/*
 * All changes, or none. A state that VM entry would have let in before is judged by it again: what
 * a guest is in the middle of need not be one.
 */
static json_t *
run_set(struct control_call *call)
{
	const struct control_runner *runner = runner_of(call);
	int vcpu = vcpu_of(call);
	struct vmm_error err;
	struct before before;
	struct vmx_guest guest;

	if (vcpu < 0)
		return (NULL);
	before.state = *vmm_vcpu_state(runner->ctx, vcpu);
	before.vmx = *vmm_vmx(runner->ctx, vcpu);
	vm_get_pinning(runner->ctx, vcpu, &before.pinned);
	if (make_changes(runner, vcpu, json_object_get(call->arguments, "changes"), &err) != 0) {
		*vmm_vcpu_state(runner->ctx, vcpu) = before.state;
		*vmm_vmx(runner->ctx, vcpu) = before.vmx;
		vm_set_pinning(runner->ctx, vcpu, before.pinned);
		return (control_fail(call, "%s", err.text));
	}
	guest = vmx_guest(&before.state, &before.vmx);
	if (runner->changed != NULL)
		runner->changed(runner->opaque, vmx_check_entry(&guest) == NULL);
	return (json_object());
}

const struct control_command control_state_commands[] = {
    {"x-hyve86-state", NULL, run_state},
    {"x-hyve86-registers", "cpu?:i", run_registers},
    {"x-hyve86-stats", "cpu?:i", run_stats},
    {"x-hyve86-set", "cpu?:i changes:a", run_set},
    {NULL, NULL, NULL},
};
