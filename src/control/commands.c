/* QMP's commands that go about the VM as a whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/server.h"
#include "inspect/qemu.h"

static struct control *
control_of(const struct control_call *call)
{
	return (call->opaque);
}

static const struct control_runner *
runner_of(const struct control_call *call)
{
	return (&control_of(call)->runner);
}

static json_t *
run_query_commands(struct control_call *call)
{
	json_t *list = json_array();

	(void)call;
	for (size_t i = 0; control_tables[i] != NULL; i++)
		for (const struct control_command *c = control_tables[i]; c->name != NULL; c++)
			json_array_append_new(list, json_pack("{s:s}", "name", c->name));
	return (list);
}

static const char *
status_name(const struct control_runner *runner)
{
	return (runner->is_paused(runner->opaque) ? "paused" : "running");
}

static json_t *
run_query_status(struct control_call *call)
{
	const struct control_runner *runner = runner_of(call);

	return (json_pack("{s:s, s:b, s:b}", "status", status_name(runner), "running",
	    !runner->is_paused(runner->opaque), "singlestep", 0));
}

static json_t *
run_query_name(struct control_call *call)
{
	return (json_pack("{s:s}", "name", vmm_name(runner_of(call)->ctx)));
}

static void
set_paused(struct control *c, bool on)
{
	if (c->runner.is_paused(c->runner.opaque) == on)
		return;
	c->runner.pause(c->runner.opaque, on);
	control_event(c, on ? "STOP" : "RESUME", NULL);
}

static json_t *
run_stop(struct control_call *call)
{
	set_paused(control_of(call), true);
	return (json_object());
}

static json_t *
run_cont(struct control_call *call)
{
	set_paused(control_of(call), false);
	return (json_object());
}

static json_t *
run_system_reset(struct control_call *call)
{
	struct control *c = control_of(call);

	if (c->runner.reset == NULL)
		return (control_fail(call, "This VM has no board that could be reset"));
	c->reset_asked = true;
	c->runner.reset(c->runner.opaque);
	return (json_object());
}

static json_t *
run_system_powerdown(struct control_call *call)
{
	/* As QEMU's on a board without ACPI: nobody in the guest hears of it. */
	control_event(control_of(call), "POWERDOWN", NULL);
	return (json_object());
}

static json_t *
run_quit(struct control_call *call)
{
	struct control *c = control_of(call);

	c->quit_asked = true;
	c->runner.quit(c->runner.opaque);
	return (json_object());
}

/* --- the human monitor ------------------------------------------------------------------------------------ */

static void
info_registers(const struct control_runner *runner, FILE *out)
{
	bool a20 = runner->machine == NULL || memory_get_a20(runner->machine->mem);

	fprintf(out, "\nCPU#0\n");
	qemu_info_registers(out, vmm_vcpu_state(runner->ctx, 0), a20);
}

static void
info_status(const struct control_runner *runner, FILE *out)
{
	fprintf(out, "VM status: %s\n", status_name(runner));
}

static void
info_name(const struct control_runner *runner, FILE *out)
{
	fprintf(out, "%s\n", vmm_name(runner->ctx));
}

static const struct {
	const char *line;
	void (*print)(const struct control_runner *runner, FILE *out);
} monitor_commands[] = {
    {"info registers", info_registers},
    {"info registers -a", info_registers},
    {"info status", info_status},
    {"info name", info_name},
};

/* The text with its lines ended as QEMU's monitor does: CR LF. */
static json_t *
monitor_text(const char *text)
{
	json_t *result;
	char *out = malloc(2 * strlen(text) + 1), *to = out;

	if (out == NULL)
		return (json_string(""));
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			*to++ = '\r';
		*to++ = *text;
	}
	*to = '\0';
	result = json_string(out);
	free(out);
	return (result);
}

static json_t *
run_human_monitor_command(struct control_call *call)
{
	const char *line = json_string_value(json_object_get(call->arguments, "command-line"));
	char *text = NULL;
	size_t size, i = 0;
	FILE *out = open_memstream(&text, &size);
	json_t *result;

	if (out == NULL)
		return (control_fail(call, "out of memory"));
	while (i < sizeof(monitor_commands) / sizeof(monitor_commands[0]) &&
	    strcmp(monitor_commands[i].line, line) != 0)
		i++;
	if (i < sizeof(monitor_commands) / sizeof(monitor_commands[0]))
		monitor_commands[i].print(runner_of(call), out);
	else
		fprintf(out, "unknown command: '%s'\n", line);
	fclose(out);
	result = text != NULL ? monitor_text(text) : NULL;
	free(text);
	return (result != NULL ? result : control_fail(call, "out of memory"));
}

const struct control_command control_vm_commands[] = {
    {"query-commands", NULL, run_query_commands},
    {"query-status", NULL, run_query_status},
    {"query-name", NULL, run_query_name},
    {"stop", NULL, run_stop},
    {"cont", NULL, run_cont},
    {"system_reset", NULL, run_system_reset},
    {"system_powerdown", NULL, run_system_powerdown},
    {"quit", NULL, run_quit},
    {"human-monitor-command", "command-line:s cpu-index?:i", run_human_monitor_command},
    {NULL, NULL, NULL},
};
