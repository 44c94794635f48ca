/* What commands that look at a virtual CPU are given: the name of a VM, or a text dump. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <vmmapi.h>

#include "cmd/cmd.h"
#include "control/client.h"
#include "inspect/subject.h"

#define BSP 0

static int
from_dump(const char *command, FILE *in, const char *name, struct subject *s)
{
	struct vmm_error err;

	return (subject_from_dump(s, in, name, &err) != 0 ? cmd_fail(command, &err) : STATUS_OK);
}

static int
from_vm(const char *command, const char *name, struct subject *s, struct vmctx **ctx)
{
	struct vmm_error err;

	*ctx = control_open(name, &err);
	if (*ctx == NULL)
		return (cmd_fail(command, &err));
	if (vmm_begin(*ctx, VMM_READ, &err) == 0 && subject_from_vm(s, *ctx, BSP, &err) == 0)
		return (STATUS_OK);
	vm_close(*ctx);
	*ctx = NULL;
	return (cmd_fail(command, &err));
}

int
cmd_subject(const char *command, const char *what, struct subject *s, struct vmctx **ctx)
{
	FILE *file;
	int status;

	*ctx = NULL;
	if (strcmp(what, "-") == 0)
		return (from_dump(command, stdin, "standard input", s));
	/* A name with a slash, or one of a file that no VM has, is a dump. */
	if (vmm_info(what, &(struct vmm_info){0}, NULL) == 0)
		return (from_vm(command, what, s, ctx));
	file = fopen(what, "r");
	if (file == NULL && strchr(what, '/') == NULL && errno == ENOENT)
		return (cmd_error(command, "%s: there is no VM and no file of that name", what));
	if (file == NULL)
		return (cmd_error(command, "%s: %s", what, strerror(errno)));
	status = from_dump(command, file, what, s);
	fclose(file);
	return (status);
}
