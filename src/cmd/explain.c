/* hyve86 explain: why a guest died, from a VM or from a text dump. */
#include <errno.h>
#include <string.h>

#include "cmd/cmd.h"
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

static int
tell(struct subject *s)
{
	int failed = explain(stdout, s);

	subject_free(s);
	return (failed ? cmd_error(COMMAND, "out of memory") : STATUS_OK);
}

static int
explain_dump(FILE *in, const char *name)
{
	struct vmm_error err;
	struct subject s;

	if (subject_from_dump(&s, in, name, &err) != 0)
		return (cmd_fail(COMMAND, &err));
	return (tell(&s));
}

static int
explain_vm(const char *name)
{
	struct vmm_error err;
	struct vmctx *ctx = vmm_open(name, &err);
	struct subject s;
	int status = STATUS_OK;

	if (ctx == NULL)
		return (cmd_fail(COMMAND, &err));
	if (vmm_begin(ctx, VMM_READ, &err) != 0 || subject_from_vm(&s, ctx, 0, &err) != 0)
		status = cmd_fail(COMMAND, &err);
	if (status == STATUS_OK)
		status = tell(&s);
	vm_close(ctx);
	return (status);
}

int
cmd_explain(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "last";
	FILE *file;
	int status;

	if (argc > 2)
		return (cmd_usage(COMMAND, SYNOPSIS));
	if (strcmp(what, "-h") == 0 || strcmp(what, "--help") == 0)
		return (help());
	if (strcmp(what, "-") == 0)
		return (explain_dump(stdin, "standard input"));
	if (what[0] == '-')
		return (cmd_usage(COMMAND, SYNOPSIS));
	/* A name with a slash, or one of a file that no VM has, is a dump. */
	if (vmm_info(what, &(struct vmm_info){0}, NULL) == 0)
		return (explain_vm(what));
	file = fopen(what, "r");
	if (file == NULL && strchr(what, '/') == NULL && errno == ENOENT)
		return (cmd_error(COMMAND, "%s: there is no VM and no file of that name", what));
	if (file == NULL)
		return (cmd_error(COMMAND, "%s: %s", what, strerror(errno)));
	status = explain_dump(file, what);
	fclose(file);
	return (status);
}
