/* The control socket's requests: whole, cut, broken, endless and random; and one conversation. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "control/qcode.h"
#include "control/session.h"

#define SECOND 1000000000ull

static void
put(struct control_stream *stream, const char *bytes, size_t count, uint64_t now)
{
	size_t room;
	char *space = control_stream_space(stream, &room);

	assert_true(count <= room);
	memcpy(space, bytes, count);
	control_stream_put(stream, count, now);
}

static void
put_text(struct control_stream *stream, const char *text)
{
	put(stream, text, strlen(text), 0);
}

static enum control_stream_result
next_at(struct control_stream *stream, uint64_t now)
{
	json_t *request = NULL;
	char err[200] = "";
	enum control_stream_result result =
	    control_stream_next(stream, now, &request, err, sizeof(err));

	if (result == CONTROL_STREAM_REQUEST)
		json_decref(request);
	else if (result != CONTROL_STREAM_NONE)
		assert_true(err[0] != '\0');
	return (result);
}

static enum control_stream_result
next(struct control_stream *stream)
{
	return (next_at(stream, 0));
}

static struct control_stream *
new_stream(void)
{
	struct control_stream *stream = malloc(sizeof(*stream));

	assert_non_null(stream);
	control_stream_init(stream);
	return (stream);
}

static void
requests_one_after_the_other(void **unused)
{
	struct control_stream *s = new_stream();

	(void)unused;
	put_text(s, " \r\n{\"a\":{}}{\"b\":[1,2]}\n{\"c\": \"}\"}\r\n{\"d\"");
	assert_int_equal(next(s), CONTROL_STREAM_REQUEST);
	assert_int_equal(next(s), CONTROL_STREAM_REQUEST);
	assert_int_equal(next(s), CONTROL_STREAM_REQUEST);
	assert_int_equal(next(s), CONTROL_STREAM_NONE);
	put_text(s, ":\n{}}");
	assert_int_equal(next(s), CONTROL_STREAM_REQUEST);
	assert_int_equal(next(s), CONTROL_STREAM_NONE);
	assert_int_equal(s->length, 0);
	free(s);
}

/* However the bytes come, the requests are the same. */
static void
a_byte_at_a_time(void **unused)
{
	static const char text[] =
	    "{\"execute\": \"x\", \"arguments\": {\"k\": {\"v\": 1}, \"t\": true, \"n\": -12.5e3,"
	    " \"s\": \"\\u00e4 \xc3\xa4 \\\" }\", \"l\": [null, false]}}";
	struct control_stream *s = new_stream();

	(void)unused;
	for (size_t i = 0; i < sizeof(text) - 2; i++) {
		put(s, &text[i], 1, 0);
		assert_int_equal(next(s), CONTROL_STREAM_NONE);
	}
	put(s, "}", 1, 0);
	assert_int_equal(next(s), CONTROL_STREAM_REQUEST);
	assert_int_equal(s->length, 0);
	free(s);
}

static void
broken_lines(void **unused)
{
	static const char *const lines[] = {"hello\n", "}\n", "{]\n", "{\"a\": }\n", "{\"a\" 1}\n",
	    "{\"a\": \"cut\n", "{\"a\": \"\xff\"}\n", "{'a': 1}\n", "{\"a\":1,\"a\":2}\n",
	    "{\"a\": \"\x01\"}\n", "\x00{}\n"};

	(void)unused;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct control_stream *s = new_stream();
		size_t length = lines[i][0] == '\0' ? 4 : strlen(lines[i]);

		put(s, lines[i], length, 0);
		assert_int_equal(next(s), CONTROL_STREAM_BROKEN);
		put_text(s, "{\"good\": 1}\n");
		assert_int_equal(next(s), CONTROL_STREAM_REQUEST);
		assert_int_equal(next(s), CONTROL_STREAM_NONE);
		free(s);
	}
}

/* A brace was forgotten: the next line's request is none of the broken one's members. */
static void
broken_by_the_next_line(void **unused)
{
	struct control_stream *s = new_stream();

	(void)unused;
	put_text(s, "{\"a\": 1\n");
	assert_int_equal(next(s), CONTROL_STREAM_NONE);
	put_text(s, "{\"b\": 1}\n");
	assert_int_equal(next(s), CONTROL_STREAM_BROKEN);
	assert_int_equal(next(s), CONTROL_STREAM_REQUEST);
	assert_int_equal(next(s), CONTROL_STREAM_NONE);
	free(s);
}

static void
unfinished_line_is_waited_for_a_second(void **unused)
{
	struct control_stream *s = new_stream();

	(void)unused;
	put_text(s, "{\"a\":");
	assert_int_equal(next_at(s, 100 * SECOND), CONTROL_STREAM_NONE);
	put_text(s, "\n");
	assert_int_equal(next_at(s, SECOND / 2), CONTROL_STREAM_NONE);
	assert_int_equal(next_at(s, SECOND), CONTROL_STREAM_BROKEN);
	assert_int_equal(next_at(s, SECOND), CONTROL_STREAM_NONE);
	put_text(s, "{\"b\": 1}\n");
	assert_int_equal(next_at(s, SECOND), CONTROL_STREAM_REQUEST);
	free(s);
}

static void
endless(const char *beginning, int fill)
{
	struct control_stream *s = new_stream();
	size_t room;
	char *space;

	put_text(s, beginning);
	assert_int_equal(next(s), CONTROL_STREAM_NONE);
	space = control_stream_space(s, &room);
	memset(space, fill, room);
	control_stream_put(s, room, 0);
	assert_int_equal(next(s), CONTROL_STREAM_FULL);
	free(s);
}

static void
endless_requests(void **unused)
{
	(void)unused;
	endless("{\"a\": \"", 'x');
	endless("", 'x');
	endless("{", ' ');
	endless("{\"a\": ", '[');
}

/* Random bytes, and random changes to a request: nothing but the results that there are. */
static void
random_bytes(void **unused)
{
	static const char request[] = "{\"execute\": \"a\", \"arguments\": {\"b\": [1, {}]}}\n";
	struct control_stream *s = new_stream();
	unsigned requests = 0;

	(void)unused;
	srand(1);
	for (unsigned round = 0; round < 20000; round++) {
		size_t room;
		char *space = control_stream_space(s, &room);
		size_t count = 1 + (size_t)rand() % 100;
		enum control_stream_result result;

		assert_true(room > 0);
		if (count > room)
			count = room;
		for (size_t i = 0; i < count; i++)
			space[i] = round % 2 == 0 || rand() % 50 == 0
			    ? (char)rand()
			    : request[i % (sizeof(request) - 1)];
		control_stream_put(s, count, round * SECOND);
		while ((result = next_at(s, round * SECOND)) != CONTROL_STREAM_NONE) {
			requests += result == CONTROL_STREAM_REQUEST;
			if (result == CONTROL_STREAM_FULL)
				control_stream_init(s);
		}
	}
	assert_true(requests > 0);
	free(s);
}

/* Sessions. */

static json_t *
run_echo(struct control_call *call)
{
	if (json_object_get(call->arguments, "fail") != NULL)
		return (control_fail(call, "failed"));
	return (json_incref(json_object_get(call->arguments, "text")));
}

static const struct control_command echo_commands[] = {
    {"echo", "text:s n?:i fail?:b list?:a object?:o", run_echo},
    {NULL, NULL, NULL},
};
static const struct control_command *const tables[] = {
    control_protocol_commands, echo_commands, NULL};

/* What the session says to LINE, without the line's end. */
static void
converse(struct control_session *session, const char *line, const char *expected)
{
	put(&session->in, line, strlen(line), 0);
	while (control_session_run(session, 0))
		continue;
	assert_true(session->length >= 2);
	session->out[session->length - 2] = '\0';
	assert_string_equal(session->out, expected);
	control_session_sent(session, session->length);
}

static struct control_session *
new_session(void)
{
	struct control_session *session = malloc(sizeof(*session));

	assert_non_null(session);
	control_session_init(session, tables, NULL);
	assert_memory_equal(session->out, "{\"QMP\": {\"version\": {\"qemu\": {", 30);
	control_session_sent(session, session->length);
	return (session);
}

#define ERROR(class, text) "{\"error\": {\"class\": \"" class "\", \"desc\": \"" text "\"}"
#define GENERIC(text) ERROR("GenericError", text)

static void
conversation(void **unused)
{
	struct control_session *s = new_session();

	(void)unused;
	control_session_event(s, "EARLY", NULL);
	assert_int_equal(s->length, 0);
	converse(s, "{\"execute\": \"echo\", \"id\": 7}\n",
	    ERROR("CommandNotFound",
		"Expecting capabilities negotiation with 'qmp_capabilities'") ", \"id\": 7}");
	converse(s, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}",
	    GENERIC("This VM offers no capabilities") "}");
	converse(s, "{\"execute\": \"qmp_capabilities\"}", "{\"return\": {}}");
	converse(s, "{\"execute\": \"qmp_capabilities\"}",
	    ERROR("CommandNotFound",
		"Capabilities negotiation is already complete, command ignored") "}");
	converse(s,
	    "{\"execute\": \"echo\", \"arguments\": {\"text\": \"x\"}, \"id\": {\"a\": []}}",
	    "{\"return\": \"x\", \"id\": {\"a\": []}}");
	converse(s, "{\"execute\": \"echo\", \"arguments\": {\"text\": \"x\", \"fail\": true}}",
	    GENERIC("failed") "}");
	converse(s, "{\"execute\": \"nothing\"}",
	    ERROR("CommandNotFound", "The command nothing has not been found") "}");
	control_session_free(s);
	free(s);
}

static void
malformed_requests(void **unused)
{
	static const struct {
		const char *line, *answer;
	} cases[] = {
	    {"[]\n", GENERIC("QMP input must be a JSON object") "}"},
	    {"{}", GENERIC("QMP input lacks member 'execute'") "}"},
	    {"{\"execute\": 1}", GENERIC("QMP input member 'execute' must be a string") "}"},
	    {"{\"execute\": \"echo\", \"arguments\": []}",
		GENERIC("QMP input member 'arguments' must be an object") "}"},
	    {"{\"execute\": \"echo\", \"more\": 1}",
		GENERIC("QMP input member 'more' is unexpected") "}"},
	    {"{\"execute\": \"echo\"}", GENERIC("Parameter 'text' is missing") "}"},
	    {"{\"execute\": \"echo\", \"arguments\": {\"text\": 1}}",
		GENERIC("Invalid parameter type for 'text', expected: string") "}"},
	    {"{\"execute\": \"echo\", \"arguments\": {\"text\": \"\", \"n\": \"1\"}}",
		GENERIC("Invalid parameter type for 'n', expected: integer") "}"},
	    {"{\"execute\": \"echo\", \"arguments\": {\"text\": \"\", \"object\": []}}",
		GENERIC("Invalid parameter type for 'object', expected: object") "}"},
	    {"{\"execute\": \"echo\", \"arguments\": {\"text\": \"\", \"extra\": 1}}",
		GENERIC("Parameter 'extra' is unexpected") "}"},
	    {"{\"execute\": \"query-version\", \"arguments\": {\"extra\": 1}}",
		GENERIC("Parameter 'extra' is unexpected") "}"},
	};
	struct control_session *s = new_session();

	(void)unused;
	converse(s, "{\"execute\": \"qmp_capabilities\"}", "{\"return\": {}}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		converse(s, cases[i].line, cases[i].answer);
	control_session_free(s);
	free(s);
}

/* A client that asks and asks, and never reads. */
static void
output_is_bounded(void **unused)
{
	struct control_session *s = new_session();
	static const char line[] = "{\"execute\": \"query-version\"}";
	unsigned asked = 0;

	(void)unused;
	converse(s, "{\"execute\": \"qmp_capabilities\"}", "{\"return\": {}}");
	while (!s->dead && asked++ < 1000000) {
		put(&s->in, line, sizeof(line) - 1, 0);
		control_session_run(s, 0);
	}
	assert_true(s->dead);
	assert_true(s->length <= CONTROL_OUTPUT_MAX + 4096);
	control_session_free(s);
	free(s);
}

static void
keys(void **unused)
{
	static const uint8_t down[] = {0x1d, 0xe0, 0x53};
	static const uint8_t up[] = {0xe0, 0xd3};
	struct key_stroke stroke = {0};

	(void)unused;
	assert_int_equal(control_qcode("ret"), KBD_RETURN);
	assert_int_equal(control_qcode("delete"), KBD_DELETE);
	assert_int_equal(control_qcode("nothing"), 0);
	assert_int_equal(control_key_number(0x1c), KBD_RETURN);
	assert_int_equal(control_key_number(0xd3), KBD_DELETE);
	assert_int_equal(control_key_number(0), 0);
	assert_int_equal(control_key_number(0x80), 0);
	assert_int_equal(control_key_number(256), 0);
	assert_true(control_key_codes(&stroke, control_qcode("ctrl"), false));
	assert_true(control_key_codes(&stroke, KBD_DELETE, false));
	assert_int_equal(stroke.count, sizeof(down));
	assert_memory_equal(stroke.codes, down, sizeof(down));
	stroke.count = 0;
	assert_true(control_key_codes(&stroke, KBD_DELETE, true));
	assert_memory_equal(stroke.codes, up, sizeof(up));
	assert_true(control_key_codes(&stroke, KBD_PAUSE, true));
	assert_int_equal(stroke.count, sizeof(up));
	stroke.count = KEY_STROKE_MAX - 1;
	assert_false(control_key_codes(&stroke, KBD_DELETE, false));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_one_after_the_other),
	    cmocka_unit_test(a_byte_at_a_time),
	    cmocka_unit_test(broken_lines),
	    cmocka_unit_test(broken_by_the_next_line),
	    cmocka_unit_test(unfinished_line_is_waited_for_a_second),
	    cmocka_unit_test(endless_requests),
	    cmocka_unit_test(random_bytes),
	    cmocka_unit_test(conversation),
	    cmocka_unit_test(malformed_requests),
	    cmocka_unit_test(output_is_bounded),
	    cmocka_unit_test(keys),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
