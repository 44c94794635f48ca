/* A conversation in QMP ("QEMU Machine Protocol Specification", version 1.0 of the wire format). */
#include "control/session.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hyve86_config.h"

#define NOT_FOUND "CommandNotFound"

json_t *
control_fail(struct control_call *call, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(call->error, sizeof(call->error), format, args);
	va_end(args);
	return (NULL);
}

json_t *
control_version(void)
{
	int major = 0, minor = 0, micro = 0;

	sscanf(HYVE86_VERSION, "%d.%d.%d", &major, &minor, &micro);
	/* The member's name is the protocol's, the numbers are ours. */
	return (json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", major, "minor", minor,
	    "micro", micro, "package", "hyve86 " HYVE86_VERSION));
}

/* --- output ------------------------------------------------------------------------------------------ */

/* Append to the output; a client that does not read loses its connection. */
static int
append(const char *bytes, size_t size, void *opaque)
{
	struct control_session *session = opaque;
	size_t room = session->room;
	char *out;

	if (session->dead)
		return (-1);
	while (session->length + size > room)
		room = room != 0 ? room * 2 : 4096;
	if (room != session->room) {
		out = realloc(session->out, room);
		if (out == NULL) {
			session->dead = true;
			return (-1);
		}
		session->out = out;
		session->room = room;
	}
	memcpy(session->out + session->length, bytes, size);
	session->length += size;
	return (0);
}

/* Send MESSAGE, which is given up. */
static void
say(struct control_session *session, json_t *message)
{
	if (session->length > CONTROL_OUTPUT_MAX)
		session->dead = true;
	if (message == NULL || json_dump_callback(message, append, session, 0) != 0 ||
	    append("\r\n", 2, session) != 0)
		session->dead = true;
	json_decref(message);
}

static void
close_files(struct control_session *session)
{
	while (session->nfds > 0)
		close(session->fds[--session->nfds]);
}

bool
control_session_pass(struct control_session *session, int fd)
{
	int copy = session->nfds < CONTROL_FDS ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (copy < 0)
		return (false);
	session->fds[session->nfds++] = copy;
	return (true);
}

void
control_session_sent(struct control_session *session, size_t count)
{
	close_files(session);
	session->length -= count;
	memmove(session->out, session->out + count, session->length);
	if (session->length > 0)
		return;
	free(session->out);
	session->out = NULL;
	session->room = 0;
}

void
control_session_event(struct control_session *session, const char *name, json_t *data)
{
	struct timespec now;
	json_t *event;

	if (!session->negotiated)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	event = json_pack("{s:{s:I, s:I}, s:s}", "timestamp", "seconds", (json_int_t)now.tv_sec,
	    "microseconds", (json_int_t)(now.tv_nsec / 1000), "event", name);
	if (data != NULL)
		json_object_set(event, "data", data);
	say(session, event);
}

static void
say_error(struct control_session *session, const char *class, const char *text, json_t *id)
{
	json_t *message = json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", text);

	/* What a client sent may stand in the text, in whatever characters. */
	if (message == NULL)
		message = json_pack(
		    "{s:{s:s, s:s}}", "error", "class", class, "desc", "the request is in error");
	if (id != NULL)
		json_object_set(message, "id", id);
	say(session, message);
}

/* --- arguments ---------------------------------------------------------------------------------------- */

static const struct {
	char letter;
	const char *name;
	json_type type;
} types[] = {
    {'s', "string", JSON_STRING},
    {'i', "integer", JSON_INTEGER},
    {'a', "array", JSON_ARRAY},
    {'o', "object", JSON_OBJECT},
    {'b', "boolean", JSON_TRUE},
};

/* One argument of a command's list: "NAME:T" or "NAME?:T". */
struct parameter {
	char name[32];
	bool optional;
	unsigned type; /* index into types */
};

/* Read the parameter at *LIST, and move on behind it; false at the end. */
static bool
next_parameter(const char **list, struct parameter *out)
{
	const char *at = *list, *colon;
	size_t length;

	if (at == NULL || *at == '\0')
		return (false);
	colon = strchr(at, ':');
	length = (size_t)(colon - at);
	out->optional = at[length - 1] == '?';
	snprintf(out->name, sizeof(out->name), "%.*s", (int)(length - out->optional), at);
	out->type = 0;
	while (types[out->type].letter != colon[1])
		out->type++;
	*list = colon + 2 + (colon[2] == ' ');
	return (true);
}

static bool
has_type(const json_t *value, unsigned type)
{
	if (types[type].type == JSON_TRUE)
		return (json_is_boolean(value));
	return (json_typeof(value) == types[type].type);
}

static bool
check_arguments(struct control_call *call)
{
	const char *list = call->command->arguments;
	struct parameter p;
	size_t known = 0;
	const char *key;
	json_t *value;

	while (next_parameter(&list, &p)) {
		value = json_object_get(call->arguments, p.name);
		if (value == NULL && !p.optional)
			return (control_fail(call, "Parameter '%s' is missing", p.name) != NULL);
		if (value != NULL && !has_type(value, p.type))
			return (control_fail(call, "Invalid parameter type for '%s', expected: %s",
				    p.name, types[p.type].name) != NULL);
		known += value != NULL;
	}
	if (known == json_object_size(call->arguments))
		return (true);
	json_object_foreach(call->arguments, key, value)
	{
		bool found = false;

		list = call->command->arguments;
		while (!found && next_parameter(&list, &p))
			found = strcmp(p.name, key) == 0;
		if (!found)
			return (control_fail(call, "Parameter '%.60s' is unexpected", key) != NULL);
	}
	return (true);
}

/* --- commands of the protocol --------------------------------------------------------------------------- */

static json_t *
run_qmp_capabilities(struct control_call *call)
{
	json_t *enable = json_object_get(call->arguments, "enable");

	if (json_array_size(enable) > 0)
		return (control_fail(call, "This VM offers no capabilities"));
	return (json_object());
}

static json_t *
run_query_version(struct control_call *call)
{
	(void)call;
	return (control_version());
}

const struct control_command control_protocol_commands[] = {
    {"qmp_capabilities", "enable?:a", run_qmp_capabilities},
    {"query-version", NULL, run_query_version},
    {NULL, NULL, NULL},
};

/* --- requests --------------------------------------------------------------------------------------------- */

static const struct control_command *
find_command(const struct control_session *session, const char *name)
{
	for (size_t i = 0; session->tables[i] != NULL; i++)
		for (const struct control_command *c = session->tables[i]; c->name != NULL; c++)
			if (strcmp(c->name, name) == 0)
				return (c);
	return (NULL);
}

/* What is wrong with REQUEST as such; NULL: nothing. */
static const char *
malformed(const json_t *request, char *buf, size_t size)
{
	static const char *const members[] = {"execute", "arguments", "id"};
	const json_t *arguments;
	const char *key;
	json_t *value;

	if (!json_is_object(request))
		return ("QMP input must be a JSON object");
	json_object_foreach((json_t *)(uintptr_t)request, key, value)
	{
		size_t i = 0;

		while (i < 3 && strcmp(members[i], key) != 0)
			i++;
		if (i < 3)
			continue;
		snprintf(buf, size, "QMP input member '%.60s' is unexpected", key);
		return (buf);
	}
	value = json_object_get(request, "execute");
	if (value == NULL)
		return ("QMP input lacks member 'execute'");
	if (!json_is_string(value))
		return ("QMP input member 'execute' must be a string");
	arguments = json_object_get(request, "arguments");
	if (arguments != NULL && !json_is_object(arguments))
		return ("QMP input member 'arguments' must be an object");
	return (NULL);
}

/* Negotiation comes first, and once. Says why NAME cannot be done now; NULL: it can. */
static const char *
out_of_turn(const struct control_session *session, const char *name)
{
	bool negotiation = strcmp(name, "qmp_capabilities") == 0;

	if (!session->negotiated && !negotiation)
		return ("Expecting capabilities negotiation with 'qmp_capabilities'");
	if (session->negotiated && negotiation)
		return ("Capabilities negotiation is already complete, command ignored");
	return (NULL);
}

static void
execute(struct control_session *session, const char *name, json_t *arguments, json_t *id)
{
	struct control_call call = {
	    .opaque = session->opaque, .session = session, .arguments = arguments};
	json_t *result = NULL, *message;

	call.command = find_command(session, name);
	if (call.command == NULL) {
		call.error_class = NOT_FOUND;
		control_fail(&call, "The command %.60s has not been found", name);
	} else if (check_arguments(&call)) {
		result = call.command->run(&call);
	}
	if (result == NULL) {
		say_error(session, call.error_class != NULL ? call.error_class : "GenericError",
		    call.error, id);
		return;
	}
	if (strcmp(name, "qmp_capabilities") == 0)
		session->negotiated = true;
	message = json_pack("{s:o}", "return", result);
	if (id != NULL)
		json_object_set(message, "id", id);
	say(session, message);
}

static void
answer(struct control_session *session, const json_t *request)
{
	json_t *id = json_object_get(request, "id");
	json_t *arguments = json_object_get(request, "arguments");
	char buf[128];
	const char *why = malformed(request, buf, sizeof(buf)), *name;

	if (why != NULL) {
		say_error(session, "GenericError", why, id);
		return;
	}
	name = json_string_value(json_object_get(request, "execute"));
	why = out_of_turn(session, name);
	if (why != NULL) {
		say_error(session, NOT_FOUND, why, id);
		return;
	}
	if (arguments != NULL)
		json_incref(arguments);
	else
		arguments = json_object();
	execute(session, name, arguments, id);
	json_decref(arguments);
}

bool
control_session_run(struct control_session *session, uint64_t now)
{
	char why[256];
	json_t *request;

	for (unsigned i = 0; i < CONTROL_REQUESTS && !session->dead; i++) {
		switch (control_stream_next(&session->in, now, &request, why, sizeof(why))) {
		case CONTROL_STREAM_NONE:
			return (false);
		case CONTROL_STREAM_REQUEST:
			answer(session, request);
			json_decref(request);
			break;
		case CONTROL_STREAM_BROKEN:
			say_error(session, "GenericError", why, NULL);
			break;
		case CONTROL_STREAM_FULL:
			say_error(session, "GenericError", why, NULL);
			session->dead = true;
			break;
		}
	}
	return (!session->dead);
}

void
control_session_init(
    struct control_session *session, const struct control_command *const *tables, void *opaque)
{
	control_stream_init(&session->in);
	session->negotiated = session->dead = false;
	session->out = NULL;
	session->length = session->room = 0;
	session->nfds = 0;
	session->tables = tables;
	session->opaque = opaque;
	say(session,
	    json_pack("{s:{s:o, s:[]}}", "QMP", "version", control_version(), "capabilities"));
}

void
control_session_free(struct control_session *session)
{
	close_files(session);
	free(session->out);
	session->out = NULL;
}
