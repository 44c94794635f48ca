/* hyve86 trace: what a running VM does, from now on. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "cmd/cmd.h"
#include "control/client.h"
#include "control/trace.h"

#define COMMAND "hyve86 trace"
#define SYNOPSIS "hyve86 trace [-c] VM [KIND[:FILTER..][,KIND..]]"
#define LOOK_MS 100

static volatile sig_atomic_t ended;

static void
on_signal(int number)
{
	ended = number;
}

static int
help(void)
{
	printf("usage: %s\n", SYNOPSIS);
	printf("Writes what a running VM does to standard output, until it ends or Ctrl-C.\n"
	       "KIND and FILTER are as for hyve86 boot --trace; default: bios.\n"
	       "  -c  count the calls of the BIOS, and tell at the end: bios:count\n");
	return (STATUS_OK);
}

/* Print the lines in DATA, which is given up; how many were lost before. */
static json_int_t
print_data(json_t *data)
{
	json_int_t lost = json_integer_value(json_object_get(data, "lost"));
	const char *text = json_string_value(json_object_get(data, "text"));

	if (text != NULL)
		fputs(text, stdout);
	fflush(stdout);
	json_decref(data);
	return (lost);
}

/* Until the VM ends, somebody ends us, or nobody reads what we say. LOST lines did not come. */
static int
follow(struct control_link *link, json_int_t *lost)
{
	struct vmm_error err = {0};
	json_t *data;

	while (ended == 0 && !ferror(stdout)) {
		data = control_next_event(link, CONTROL_TRACE_EVENT, LOOK_MS, &err);
		if (data != NULL)
			*lost += print_data(data);
		else if (err.error == EPIPE)
			return (STATUS_OK);
		else if (err.error != ETIMEDOUT && err.error != EINTR)
			return (cmd_fail(COMMAND, &err));
	}
	data = control_ask(link, "x-hyve86-trace-stop", NULL, &err);
	if (data != NULL)
		*lost += print_data(data);
	return (STATUS_OK);
}

static int
run(const char *vm, const char *spec)
{
	const struct sigaction action = {.sa_handler = on_signal};
	struct control_link *link;
	struct vmm_error err;
	json_int_t lost = 0;
	json_t *result;
	int status;

	link = control_connect(vm, &err);
	if (link == NULL)
		return (cmd_fail(COMMAND, &err));
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	result = control_ask(link, "x-hyve86-trace-start", json_pack("{s:s}", "spec", spec), &err);
	status = result != NULL ? follow(link, &lost) : cmd_fail(COMMAND, &err);
	if (lost > 0)
		cmd_error(
		    COMMAND, "%" JSON_INTEGER_FORMAT " lines were lost: too many at once", lost);
	json_decref(result);
	control_disconnect(link);
	return (status);
}

int
cmd_trace(int argc, char **argv)
{
	bool count = argc > 1 && strcmp(argv[1], "-c") == 0;
	char **operands = argv + 1 + count;
	int n = argc - 1 - count;

	if (n > 0 && (strcmp(operands[0], "-h") == 0 || strcmp(operands[0], "--help") == 0))
		return (help());
	if (n < 1 || n > (count ? 1 : 2) || operands[0][0] == '-')
		return (cmd_usage(COMMAND, SYNOPSIS));
	return (run(operands[0], count ? "bios:count" : n == 2 ? operands[1] : "bios"));
}
