/* The commands that trace a running VM: x-hyve86-trace-start and -stop. */
#include "control/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/server.h"

#define TEXT_MAX (128u << 10)	 /* that waits here */
#define PENDING_MAX (512u << 10) /* that waits for the client */

/* The tracer's file: what finds no room is counted by lines. */
static ssize_t
take_text(void *opaque, const char *bytes, size_t size)
{
	struct control_trace *trace = opaque;
	size_t room = TEXT_MAX - trace->length;

	for (size_t i = 0; size > room && i < size; i++)
		trace->lost += bytes[i] == '\n';
	if (size <= room) {
		memcpy(trace->text + trace->length, bytes, size);
		trace->length += size;
	}
	return ((ssize_t)size);
}

/* What waits, as an event's data. */
static json_t *
take_data(struct control_trace *trace)
{
	json_t *data = json_pack(
	    "{s:s%, s:I}", "text", trace->text, trace->length, "lost", (json_int_t)trace->lost);

	trace->length = 0;
	trace->lost = 0;
	return (data);
}

static void
send_text(struct control_trace *trace)
{
	json_t *data;

	if (trace->length == 0 && trace->lost == 0)
		return;
	data = take_data(trace);
	control_session_event(trace->client, CONTROL_TRACE_EVENT, data);
	json_decref(data);
}

void
control_trace_run(struct control_trace *trace)
{
	if (trace->tracer == NULL)
		return;
	tracer_flush(trace->tracer);
	if (trace->client->length < PENDING_MAX)
		send_text(trace);
}

static void
forget(struct control_trace *trace)
{
	free(trace->text);
	*trace = (struct control_trace){0};
}

void
control_trace_end(struct control_trace *trace)
{
	if (trace->tracer == NULL)
		return;
	tracer_close(trace->tracer, NULL);
	send_text(trace);
	forget(trace);
}

void
control_trace_leave(struct control_trace *trace, const struct control_session *session)
{
	if (trace->tracer == NULL || trace->client != session)
		return;
	tracer_close(trace->tracer, NULL);
	forget(trace);
}

static FILE *
open_text(struct control_trace *trace)
{
	FILE *out;

	trace->text = malloc(TEXT_MAX);
	if (trace->text == NULL)
		return (NULL);
	out = fopencookie(trace, "w", (cookie_io_functions_t){.write = take_text});
	if (out != NULL)
		setvbuf(out, NULL, _IOLBF, BUFSIZ); /* whole lines are lost, or none */
	return (out);
}

static json_t *
run_start(struct control_call *call)
{
	const char *spec = json_string_value(json_object_get(call->arguments, "spec"));
	struct control *c = call->opaque;
	struct control_trace *trace = &c->trace;
	struct vmm_error err;
	FILE *out;

	if (c->runner.machine == NULL)
		return (control_fail(call, "The VM has no board"));
	if (trace->tracer != NULL)
		return (control_fail(call, "It is traced already"));
	out = open_text(trace);
	if (out == NULL) {
		forget(trace);
		return (control_fail(call, "out of memory"));
	}
	trace->tracer = tracer_open(spec, out, &err);
	if (trace->tracer == NULL || tracer_attach(trace->tracer, c->runner.machine, &err) != 0) {
		tracer_close(trace->tracer, NULL);
		forget(trace);
		return (control_fail(call, "%s", err.text));
	}
	trace->client = call->session;
	return (json_object());
}

static json_t *
run_stop(struct control_call *call)
{
	struct control *c = call->opaque;
	struct control_trace *trace = &c->trace;
	json_t *data;

	if (trace->tracer == NULL || trace->client != call->session)
		return (control_fail(call, "It is not traced"));
	tracer_close(trace->tracer, NULL);
	data = take_data(trace);
	forget(trace);
	return (data);
}

const struct control_command control_trace_commands[] = {
    {"x-hyve86-trace-start", "spec:s", run_start},
    {"x-hyve86-trace-stop", NULL, run_stop},
    {NULL, NULL, NULL},
};
