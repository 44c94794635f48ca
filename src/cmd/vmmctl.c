/*
 * vmmctl, later called bhyvectl: show and change a VM from outside. Options and output are those of
 * July 2012. Whatever the order of the options: VMs are created first, changes come next, then what
 * is shown, then --run, and --destroy last.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "control/change.h"
#include "control/client.h"
#include "inspect/dump.h"
#include "vmm/vmm.h"

#define ACTIONS_MAX 64
#define MB (1ull << 20)
#define SYNOPSIS "vmmctl --vm=NAME [options]  (vmmctl --help shows them)"

/* Options that are one of a kind. Those by the name of a register or field come behind. */
enum option_id {
	OPT_VM,
	OPT_CPU,
	OPT_CREATE,
	OPT_DESTROY,
	OPT_RUN,
	OPT_GET_ALL,
	OPT_GET_STATS,
	OPT_MEMORY,
	OPT_LOWMEM,
	OPT_HIGHMEM,
	OPT_DESC_BASE,
	OPT_DESC_LIMIT,
	OPT_DESC_ACCESS,
	OPT_CAPNAME,
	OPT_GETCAP,
	OPT_SETCAP,
	OPT_PINNING,
	OPT_EXCEPTION_BITMAP,
	OPT_ENTRY_INFO,
	OPT_INJECT_NMI,
	OPT_FORCE_RESET,
	OPT_FORCE_POWEROFF,
	OPT_JSON,
	OPT_HELP,
};

static const struct option_row {
	const char *name;
	const char *argument; /* NULL: none */
	enum option_id id;
	const char *help;
} options[] = {
    {"vm", "NAME", OPT_VM, "the VM"},
    {"cpu", "N", OPT_CPU, "the vCPU (default 0)"},
    {"create", NULL, OPT_CREATE, "create the VM"},
    {"destroy", NULL, OPT_DESTROY, "destroy the VM"},
    {"run", NULL, OPT_RUN, "run the vCPU until its next exit, and show that"},
    {"get-all", NULL, OPT_GET_ALL, "show all of the below"},
    {"get-stats", NULL, OPT_GET_STATS, "show all counters"},
    {"set-mem", "MB", OPT_MEMORY, "give the VM memory: up to 3 GB at 0, the rest at 4 GB"},
    {"set-lowmem", "MB", OPT_LOWMEM, "give the VM memory at 0"},
    {"set-highmem", "MB", OPT_HIGHMEM, "give the VM memory at 4 GB"},
    {"desc-base", "N", OPT_DESC_BASE, "base for --set-desc-REG"},
    {"desc-limit", "N", OPT_DESC_LIMIT, "limit for --set-desc-REG"},
    {"desc-access", "N", OPT_DESC_ACCESS, "access rights for --set-desc-REG"},
    {"capname", "NAME", OPT_CAPNAME,
	"hlt_exit, mtrap_exit, pause_exit or unrestricted_guest, for --getcap and --setcap"},
    {"getcap", NULL, OPT_GETCAP, "show the capability"},
    {"setcap", "0|1", OPT_SETCAP, "clear or set the capability"},
    {"set-pinning", "CPU", OPT_PINNING, "run the vCPU on this host CPU only; -1: on any"},
    {"set-vmcs-exception-bitmap", "N", OPT_EXCEPTION_BITMAP, "exceptions that exit"},
    {"set-vmcs-entry-interruption-info", "N", OPT_ENTRY_INFO, "event to inject"},
    {"inject-nmi", NULL, OPT_INJECT_NMI, "inject an NMI"},
    {"force-reset", NULL, OPT_FORCE_RESET, "reset the VM, which runs"},
    {"force-poweroff", NULL, OPT_FORCE_POWEROFF, "end the VM's run"},
    {"json", NULL, OPT_JSON, "show what is asked for as one JSON object, for programs"},
    {"help", NULL, OPT_HELP, "show this"},
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

enum action_kind { ACTION_GET, ACTION_SET, ACTION_SET_DESC };

/* --get-WHAT, --set-WHAT=VALUE, --set-desc-WHAT. */
struct action {
	enum action_kind kind;
	const char *what;
	int reg;
	uint64_t value;
};

/* All that a command line asks for. */
struct request {
	const char *command;
	const char *vm;
	const char *capname;
	unsigned seen; /* bit per enum option_id */
	int vcpu;
	uint64_t value[OPT_HELP + 1];
	struct action actions[ACTIONS_MAX];
	unsigned nactions;
};

static bool
asked(const struct request *request, enum option_id id)
{
	return ((request->seen & 1u << id) != 0);
}

static int
help(void)
{
	printf("usage: vmmctl --vm=NAME [options]\n");
	for (size_t i = 0; i < OPTIONS; i++) {
		char left[48];

		snprintf(left, sizeof(left), "--%s%s%s", options[i].name,
		    options[i].argument != NULL ? "=" : "",
		    options[i].argument != NULL ? options[i].argument : "");
		printf("  %-38s %s\n", left, options[i].help);
	}
	printf("  --set-REG=N, --set-desc-REG           change a register, a descriptor\n"
	       "  --get-ITEM                             show one of:");
	for (unsigned i = 0; dump_item_name(i) != NULL; i++)
		printf("%s%s", i % 6 == 0 ? "\n    " : " ", dump_item_name(i));
	printf("\nNumbers may be decimal, or hexadecimal with 0x.\n");
	return (STATUS_OK);
}

/* The option called NAME, which is LEN characters long. */
static const struct option_row *
find_option(const char *name, size_t len)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (strlen(options[i].name) == len && strncmp(options[i].name, name, len) == 0)
			return (&options[i]);
	return (NULL);
}

/* Take the value of OPTION. */
static int
take_option(struct request *request, const struct option_row *option, const char *value)
{
	uint64_t number = 0;

	request->seen |= 1u << option->id;
	if (option->argument == NULL)
		return (STATUS_OK);
	if (option->id == OPT_VM) {
		request->vm = value;
		return (STATUS_OK);
	}
	if (option->id == OPT_CAPNAME) {
		request->capname = value;
		if (vm_capability_name2type(value) < 0)
			return (
			    cmd_error(request->command, "--capname=%s: no such capability", value));
		return (STATUS_OK);
	}
	if (option->id == OPT_PINNING && strcmp(value, "-1") == 0)
		number = UINT64_MAX;
	else if (!cmd_parse_number(value, &number))
		return (cmd_error(request->command, "--%s=%s: not a number", option->name, value));
	request->value[option->id] = number;
	if (option->id == OPT_CPU && number >= VM_MAXCPU)
		return (cmd_error(request->command, "--cpu=%s: vCPUs are numbered from 0 to %d",
		    value, VM_MAXCPU - 1));
	return (STATUS_OK);
}

/* Options named after a register or field: NAME is up to the "=", VALUE behind it or NULL. */
static int
take_action(struct request *request, const char *name, const char *value)
{
	struct action action = {.what = name + strlen("get-"), .reg = -1};

	if (request->nactions == ACTIONS_MAX)
		return (cmd_error(request->command, "more than %d options", ACTIONS_MAX));
	if (strncmp(name, "get-", 4) == 0) {
		action.kind = ACTION_GET;
	} else if (strncmp(name, "set-", 4) == 0) {
		action.reg = dump_register_by_name(action.what);
		action.kind = strncmp(action.what, "desc-", 5) == 0 ? ACTION_SET_DESC : ACTION_SET;
		if (action.reg < 0)
			return (cmd_error(request->command, "--%s: no such option", name));
		if (action.kind == ACTION_SET &&
		    (value == NULL || !cmd_parse_number(value, &action.value)))
			return (cmd_error(request->command, "--%s=%s: not a number", name,
			    value != NULL ? value : ""));
	} else {
		return (cmd_error(request->command, "--%s: no such option", name));
	}
	request->actions[request->nactions++] = action;
	return (STATUS_OK);
}

/* One argument "--name", "--name=value", or "--name" with its value in NEXT. */
static int
parse_argument(struct request *request, char *arg, char *next, bool *took_next)
{
	const struct option_row *option;
	char *equals;

	*took_next = false;
	if (strncmp(arg, "--", 2) != 0)
		return (cmd_error(request->command, "%s: not an option", arg));
	arg += 2;
	equals = strchr(arg, '=');
	option = find_option(arg, equals != NULL ? (size_t)(equals - arg) : strlen(arg));
	if (option == NULL) {
		if (equals != NULL)
			*equals++ = '\0';
		return (take_action(request, arg, equals));
	}
	if (option->argument == NULL || equals != NULL)
		return (take_option(request, option, equals != NULL ? equals + 1 : NULL));
	if (next == NULL)
		return (cmd_error(
		    request->command, "--%s: what is its %s?", option->name, option->argument));
	*took_next = true;
	return (take_option(request, option, next));
}

static int
check_request(const struct request *request)
{
	if (request->vm == NULL)
		return (cmd_usage(request->command, SYNOPSIS));
	if ((asked(request, OPT_GETCAP) || asked(request, OPT_SETCAP)) && request->capname == NULL)
		return (cmd_error(request->command, "--getcap and --setcap need --capname=NAME"));
	return (STATUS_OK);
}

/* Changes. */

static int
set_memory(const struct request *request, struct vmctx *ctx, struct vmm_error *err)
{
	uint64_t low_size, high_size;

	vmm_memory_sizes(ctx, &low_size, &high_size);
	for (enum option_id id = OPT_MEMORY; id <= OPT_HIGHMEM; id++)
		if (asked(request, id) &&
		    (request->value[id] == 0 || request->value[id] > VMM_MEMORY_MAX / MB))
			return (vmm_fail(
			    err, EINVAL, "%" PRIu64 " MB: not a memory size", request->value[id]));
	if (asked(request, OPT_MEMORY)) {
		low_size = request->value[OPT_MEMORY] * MB;
		high_size = low_size > VMM_LOW_MAX ? low_size - VMM_LOW_MAX : 0;
		low_size -= high_size;
	}
	if (asked(request, OPT_LOWMEM))
		low_size = request->value[OPT_LOWMEM] * MB;
	if (asked(request, OPT_HIGHMEM))
		high_size = request->value[OPT_HIGHMEM] * MB;
	return (vmm_set_memory(ctx, low_size, high_size, err));
}

/* A change by an option that takes a number. */
static const struct {
	enum option_id id;
	enum change_kind kind;
} change_options[] = {
    {OPT_EXCEPTION_BITMAP, CHANGE_EXCEPTION_BITMAP},
    {OPT_ENTRY_INFO, CHANGE_ENTRY_INFO},
    {OPT_INJECT_NMI, CHANGE_NMI},
    {OPT_SETCAP, CHANGE_CAPABILITY},
    {OPT_PINNING, CHANGE_PINNING},
};

#define CHANGE_OPTIONS (sizeof(change_options) / sizeof(change_options[0]))
#define CHANGES_MAX (ACTIONS_MAX + CHANGE_OPTIONS)

/* All changes that are asked for, but of memory, to OUT; their number. */
static unsigned
list_changes(const struct request *request, struct change out[CHANGES_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < request->nactions; i++) {
		const struct action *action = &request->actions[i];

		if (action->kind == ACTION_GET)
			continue;
		out[n] = (struct change){.what = action->what, .value = action->value};
		if (action->kind == ACTION_SET_DESC) {
			out[n].kind = CHANGE_DESCRIPTOR;
			out[n].has_base = asked(request, OPT_DESC_BASE);
			out[n].base = request->value[OPT_DESC_BASE];
			out[n].has_limit = asked(request, OPT_DESC_LIMIT);
			out[n].limit = (uint32_t)request->value[OPT_DESC_LIMIT];
			out[n].has_access = asked(request, OPT_DESC_ACCESS);
			out[n].access = (uint32_t)request->value[OPT_DESC_ACCESS];
		}
		n++;
	}
	for (size_t i = 0; i < CHANGE_OPTIONS; i++)
		if (asked(request, change_options[i].id))
			out[n++] = (struct change){.kind = change_options[i].kind,
			    .what = request->capname,
			    .value = request->value[change_options[i].id]};
	return (n);
}

static int
set_all(const struct request *request, struct vmctx *ctx, struct vmm_error *err)
{
	struct change changes[CHANGES_MAX];
	unsigned n = list_changes(request, changes);

	if (set_memory(request, ctx, err) != 0)
		return (-1);
	for (unsigned i = 0; i < n; i++)
		if (change_apply(ctx, request->vcpu, &changes[i], err) != 0)
			return (-1);
	return (0);
}

/* The same by the VM's runner, all at one instant. */
static int
set_all_running(const struct request *request, struct control_link *link, struct vmm_error *err)
{
	struct change changes[CHANGES_MAX];
	unsigned n = list_changes(request, changes);
	json_t *list = json_array(), *result;

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, change_to_json(&changes[i]));
	result = control_ask(link, "x-hyve86-set",
	    json_pack("{s:i, s:o}", "cpu", request->vcpu, "changes", list), err);
	if (result == NULL)
		return (-1);
	json_decref(result);
	return (0);
}

static bool
wants_memory(const struct request *request)
{
	return (asked(request, OPT_MEMORY) || asked(request, OPT_LOWMEM) ||
	    asked(request, OPT_HIGHMEM));
}

static bool
wants_change(const struct request *request)
{
	struct change changes[CHANGES_MAX];

	return (wants_memory(request) || list_changes(request, changes) > 0);
}

/* Of a VM that runs. */
static int
change_running(const struct request *request, struct control_link *link)
{
	struct vmm_error err;

	if (wants_memory(request))
		return (cmd_error(
		    request->command, "%s: it is running, with the memory it has", request->vm));
	if (set_all_running(request, link, &err) != 0)
		return (cmd_fail(request->command, &err));
	return (STATUS_OK);
}

static int
change(const struct request *request, struct vmctx *ctx)
{
	struct vmm_error err;

	if (vmm_begin(ctx, VMM_WRITE, &err) != 0)
		return (cmd_fail(request->command, &err));
	if (set_all(request, ctx, &err) != 0) {
		vmm_cancel(ctx);
		return (cmd_fail(request->command, &err));
	}
	if (vmm_end(ctx, true, &err) != 0)
		return (cmd_fail(request->command, &err));
	return (STATUS_OK);
}

/* What is shown. */

static int
show_capability(const struct request *request, struct vmctx *ctx)
{
	int value;

	if (vm_get_capability(ctx, request->vcpu,
		(enum vm_cap_type)vm_capability_name2type(request->capname), &value) != 0)
		return (cmd_error(request->command, "--getcap: %s", strerror(errno)));
	printf("Capability \"%s\" is %s on vcpu %d\n", request->capname, value ? "set" : "not set",
	    request->vcpu);
	return (STATUS_OK);
}

/* All that is asked for, to OUT. 0, -1 with ERR, or 1 at *WHAT that there is not. */
static int
collect_json(const struct request *request, struct vmctx *ctx, json_t *out, const char **what,
    struct vmm_error *err)
{
	json_t *stats = json_object();
	int cap, set, error = 0;

	if (asked(request, OPT_GET_STATS)) {
		error = dump_stats_json(stats, ctx, request->vcpu, NULL, err);
		json_object_set(out, "stats", stats);
	}
	json_decref(stats);
	if (error == 0 && asked(request, OPT_GET_ALL))
		error = dump_all_json(out, ctx, request->vcpu, err);
	for (unsigned i = 0; i < request->nactions && error == 0; i++) {
		*what = request->actions[i].what;
		if (request->actions[i].kind == ACTION_GET)
			error = dump_one_json(out, ctx, request->vcpu, *what, err);
	}
	if (error == 0 && asked(request, OPT_GETCAP)) {
		cap = vm_capability_name2type(request->capname);
		if (vm_get_capability(ctx, request->vcpu, (enum vm_cap_type)cap, &set) != 0)
			return (vmm_fail(err, errno, "--getcap: %s", strerror(errno)));
		json_object_set_new(out, request->capname, json_boolean(set));
	}
	return (error);
}

static int
show_json(const struct request *request, struct vmctx *ctx)
{
	json_t *out = json_pack("{s:s, s:i}", "vm", request->vm, "cpu", request->vcpu);
	struct vmm_error err;
	const char *what = "";
	int error = collect_json(request, ctx, out, &what, &err);

	if (error == 0) {
		json_dumpf(out, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(out);
	if (error > 0)
		return (cmd_error(request->command, "--get-%s: no such option", what));
	return (error < 0 ? cmd_fail(request->command, &err) : STATUS_OK);
}

static int
show(const struct request *request, struct vmctx *ctx)
{
	struct vmm_error err;
	int error;

	if (asked(request, OPT_GET_ALL) && dump_all(stdout, ctx, request->vcpu, &err) != 0)
		return (cmd_fail(request->command, &err));
	for (unsigned i = 0; i < request->nactions; i++) {
		if (request->actions[i].kind != ACTION_GET)
			continue;
		error = dump_one(stdout, ctx, request->vcpu, request->actions[i].what, &err);
		if (error > 0)
			return (cmd_error(request->command, "--get-%s: no such option",
			    request->actions[i].what));
		if (error < 0)
			return (cmd_fail(request->command, &err));
	}
	if (asked(request, OPT_GET_STATS) && dump_stats(stdout, ctx, request->vcpu, &err) != 0)
		return (cmd_fail(request->command, &err));
	if (asked(request, OPT_GETCAP))
		return (show_capability(request, ctx));
	return (STATUS_OK);
}

static int
run(const struct request *request, struct vmctx *ctx)
{
	struct vm_exit vmexit;
	uint64_t rip;

	if (vm_get_register(ctx, request->vcpu, VM_REG_GUEST_RIP, &rip) != 0 ||
	    vm_run(ctx, request->vcpu, rip, &vmexit) != 0)
		return (cmd_error(
		    request->command, "%s: cannot be run: %s", request->vm, strerror(errno)));
	dump_exit(stdout, request->vcpu, &vmexit);
	return (STATUS_OK);
}

static bool
wants_show(const struct request *request)
{
	for (unsigned i = 0; i < request->nactions; i++)
		if (request->actions[i].kind == ACTION_GET)
			return (true);
	return (asked(request, OPT_GET_ALL) || asked(request, OPT_GET_STATS) ||
	    asked(request, OPT_GETCAP));
}

/* --force-reset and --force-poweroff: by the VM's runner. */
static int
force(const struct request *request, struct control_link *link)
{
	static const struct {
		enum option_id id;
		const char *command;
	} forces[] = {{OPT_FORCE_RESET, "system_reset"}, {OPT_FORCE_POWEROFF, "quit"}};
	struct vmm_error err;
	json_t *result;

	for (size_t i = 0; i < sizeof(forces) / sizeof(forces[0]); i++) {
		if (!asked(request, forces[i].id))
			continue;
		if (link == NULL)
			return (cmd_error(request->command, "%s: it does not run", request->vm));
		result = control_ask(link, forces[i].command, NULL, &err);
		if (result == NULL)
			return (cmd_fail(request->command, &err));
		json_decref(result);
	}
	return (STATUS_OK);
}

/* Change and show a VM that runs, LINK being the way to its runner, or one that does not (NULL). */
static int
change_and_show(const struct request *request, struct vmctx *ctx, struct control_link *link)
{
	struct vmm_error err;
	int status = STATUS_OK;

	if (wants_change(request))
		status = link != NULL ? change_running(request, link) : change(request, ctx);
	if (status != STATUS_OK || !wants_show(request))
		return (status);
	if (link != NULL && control_show(link, ctx, &err) != 0)
		return (cmd_fail(request->command, &err));
	return (asked(request, OPT_JSON) ? show_json(request, ctx) : show(request, ctx));
}

static int
with_vm(const struct request *request)
{
	struct control_link *link;
	struct vmm_error err;
	struct vmctx *ctx;
	int status;

	if (asked(request, OPT_CREATE) && vmm_create(request->vm, &err) != 0)
		return (cmd_fail(request->command, &err));
	ctx = vmm_open(request->vm, &err);
	if (ctx == NULL)
		return (cmd_fail(request->command, &err));
	link = control_find(request->vm);
	status = change_and_show(request, ctx, link);
	if (status == STATUS_OK)
		status = force(request, link);
	control_disconnect(link);
	if (status != STATUS_OK && asked(request, OPT_CREATE))
		vmm_destroy(request->vm, NULL);
	if (status == STATUS_OK && vmm_was_killed(ctx))
		fprintf(stderr,
		    "%s: %s: its runner was killed: this is what it was before that run\n",
		    request->command, request->vm);
	if (status == STATUS_OK && asked(request, OPT_RUN))
		status = run(request, ctx);
	vm_close(ctx);
	if (status == STATUS_OK && asked(request, OPT_DESTROY) &&
	    vmm_destroy(request->vm, &err) != 0)
		return (cmd_fail(request->command, &err));
	return (status);
}

int
cmd_vmmctl(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	struct request request = {.command = slash != NULL ? slash + 1 : argv[0]};
	bool took_next;
	int status;

	for (int i = 1; i < argc; i++) {
		status = parse_argument(
		    &request, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &took_next);
		if (status != STATUS_OK)
			return (status);
		if (asked(&request, OPT_HELP))
			return (help());
		i += took_next;
	}
	request.vcpu = (int)request.value[OPT_CPU];
	status = check_request(&request);
	return (status != STATUS_OK ? status : with_vm(&request));
}
