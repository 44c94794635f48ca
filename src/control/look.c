/* Commands for who wants to know more of a guest that runs: explain, and a GDB stub. */
#include <stdlib.h>

#include "control/server.h"
#include "inspect/explain.h"
#include "inspect/gdb.h"

/* What hyve86 explain says, as a text. */
static json_t *
run_explain(struct control_call *call)
{
	const struct control *c = call->opaque;
	struct vmm_error err;
	struct subject s;
	char *text = NULL;
	json_t *result;
	size_t size;
	FILE *out;
	int failed;

	if (c->runner.machine == NULL)
		return (control_fail(call, "The VM has no board; stop it first"));
	c->runner.update(c->runner.opaque);
	if (subject_from_machine(&s, c->runner.machine, &err) != 0)
		return (control_fail(call, "%s", err.text));
	out = open_memstream(&text, &size);
	failed = out == NULL || explain(out, &s) != 0;
	if (out != NULL)
		fclose(out);
	subject_free(&s);
	result = failed ? control_fail(call, "Out of memory") : json_pack("{s:s}", "text", text);
	free(text);
	return (result);
}

/* Have a GDB stub listen; the port that it listens on. */
static json_t *
run_gdb(struct control_call *call)
{
	const char *address = json_string_value(json_object_get(call->arguments, "address"));
	const struct control *c = call->opaque;
	struct gdb **gdb = c->runner.gdb;
	struct vmm_error err;

	if (gdb == NULL || c->runner.machine == NULL)
		return (control_fail(call, "GDB cannot be had for this VM"));
	if (*gdb == NULL)
		*gdb = gdb_listen(c->runner.machine, address != NULL ? address : "0", &err);
	if (*gdb == NULL)
		return (control_fail(call, "%s", err.text));
	return (json_pack("{s:i}", "port", gdb_port(*gdb)));
}

const struct control_command control_look_commands[] = {
    {"x-hyve86-explain", NULL, run_explain},
    {"x-hyve86-gdb", "address?:s", run_gdb},
    {NULL, NULL, NULL},
};
