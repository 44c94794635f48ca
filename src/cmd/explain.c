/* hyve86 explain: why a guest died, from a VM or from a text dump. */
#include <string.h>
#include <vmmapi.h>

#include "cmd/cmd.h"
#include "control/client.h"
#include "inspect/explain.h"

#define COMMAND "hyve86 explain"
#define SYNOPSIS "hyve86 explain [VM | DUMP | -]"

static int
help(void)
{
	printf("usage: %s\n", SYNOPSIS);
	printf(
	    "Tells why a guest died: what it was executing, the check that failed and the table\n"
	    "entry or limit it failed by, the exceptions that came of it, and what to set.\n"
	    "  VM     a virtual machine (last: the one that hyve86 boot kept; as usual)\n"
	    "  DUMP   a text file: what vmmctl or bhyvectl --get-all printed, or QEMU's info "
	    "registers\n"
	    "  -      the same from standard input\n");
	return (STATUS_OK);
}

/* A VM that runs: its runner looks. */
static int
explain_running(const char *name)
{
	struct vmm_error err;
	struct control_link *link = control_connect(name, &err);
	json_t *result;

	if (link == NULL)
		return (cmd_fail(COMMAND, &err));
	result = control_ask(link, "x-hyve86-explain", NULL, &err);
	control_disconnect(link);
	if (result == NULL)
		return (cmd_fail(COMMAND, &err));
	fputs(json_string_value(json_object_get(result, "text")), stdout);
	json_decref(result);
	return (STATUS_OK);
}

int
cmd_explain(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "last";
	struct subject s;
	struct vmctx *ctx;
	struct vmm_info info = {0};
	int status;

	if (argc > 2)
		return (cmd_usage(COMMAND, SYNOPSIS));
	if (strcmp(what, "-h") == 0 || strcmp(what, "--help") == 0)
		return (help());
	if (what[0] == '-' && what[1] != '\0')
		return (cmd_usage(COMMAND, SYNOPSIS));
	if (vmm_info(what, &info, NULL) == 0 && info.status == VMM_RUNNING)
		return (explain_running(what));
	status = cmd_subject(COMMAND, what, &s, &ctx);
	if (status != STATUS_OK)
		return (status);
	if (explain(stdout, &s) != 0)
		status = cmd_error(COMMAND, "out of memory");
	subject_free(&s);
	if (ctx != NULL)
		vm_close(ctx);
	return (status);
}
