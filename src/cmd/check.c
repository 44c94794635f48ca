/* hyve86 check: would VM entry take this vCPU? From a VM or from a text dump. */
#include <getopt.h>
#include <string.h>
#include <vmmapi.h>

#include "cmd/cmd.h"
#include "inspect/check.h"

#define COMMAND "hyve86 check"
#define SYNOPSIS "hyve86 check [--unrestricted | --no-unrestricted] [--json] [VM | DUMP | -]"
#define STATUS_BROKEN 1

struct check_options {
	int unrestricted; /* 1, 0, or -1: as the vCPU has it */
	int json;
	int help;
	const char *what;
};

static int
help(void)
{
	printf("usage: %s\n", SYNOPSIS);
	printf("Checks a vCPU's state as VM entry does: each rule of the Intel SDM that fails, by "
	       "its\n"
	       "name and section, what it looks at, and what must hold. Status 1 if one fails.\n"
	       "  --unrestricted     as with the capability \"unrestricted guest\"\n"
	       "  --no-unrestricted  as without it; default: as the VM or the dump has it\n"
	       "  --json             for programs\n"
	       "  VM     a virtual machine (last: the one that hyve86 boot kept; as usual)\n"
	       "  DUMP   a text file: what vmmctl or bhyvectl --get-all printed, or QEMU's info "
	       "registers\n"
	       "  -      the same from standard input\n");
	return (STATUS_OK);
}

static bool
parse(int argc, char **argv, struct check_options *o)
{
	const struct option options[] = {
	    {"unrestricted", no_argument, &o->unrestricted, 1},
	    {"no-unrestricted", no_argument, &o->unrestricted, 0},
	    {"json", no_argument, &o->json, 1},
	    {"help", no_argument, &o->help, 1},
	    {NULL, 0, NULL, 0},
	};
	int option;

	*o = (struct check_options){.unrestricted = -1, .what = "last"};
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == '?')
			return (false);
		if (option == 'h')
			o->help = 1;
	}
	if (optind < argc)
		o->what = argv[optind++];
	return (optind == argc);
}

/* The capabilities to check with. A vCPU that is no VT-x guest is taken to need the capability. */
static uint32_t
capabilities(const struct check_options *o, const struct subject *s)
{
	const uint32_t unrestricted = 1u << VMX_CAP_UNRESTRICTED_GUEST;
	bool on = (s->vmx.caps & unrestricted) != 0 || !s->has_vmx;

	if (o->unrestricted >= 0)
		on = o->unrestricted != 0;
	return ((s->vmx.caps & ~unrestricted) | (on ? unrestricted : 0));
}

static int
print_json(const struct subject *s, const struct check_result *result)
{
	json_t *root = check_json(s, result);
	int failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;

	json_decref(root);
	printf("\n");
	return (failed ? cmd_error(COMMAND, "cannot write JSON") : STATUS_OK);
}

static int
tell(const struct check_options *o, const struct subject *s)
{
	struct check_result result = check(s, capabilities(o, s));

	if (o->json && print_json(s, &result) != STATUS_OK)
		return (STATUS_ERROR);
	if (!o->json)
		check_print(stdout, s, &result);
	return (result.nbroken > 0 ? STATUS_BROKEN : STATUS_OK);
}

int
cmd_check(int argc, char **argv)
{
	struct check_options o;
	struct subject s;
	struct vmctx *ctx;
	int status;

	if (!parse(argc, argv, &o))
		return (cmd_usage(COMMAND, SYNOPSIS));
	if (o.help)
		return (help());
	status = cmd_subject(COMMAND, o.what, &s, &ctx);
	if (status != STATUS_OK)
		return (status);
	status = tell(&o, &s);
	subject_free(&s);
	if (ctx != NULL)
		vm_close(ctx);
	return (status);
}
