/* The requests in a stream of bytes. jansson decides where one ends. */
#include "control/stream.h"

#include <stdio.h>
#include <string.h>

void
control_stream_init(struct control_stream *stream)
{
	stream->length = 0;
	stream->looked = stream->skipping = false;
	stream->last = 0;
}

char *
control_stream_space(struct control_stream *stream, size_t *room)
{
	*room = sizeof(stream->bytes) - stream->length;
	return (stream->bytes + stream->length);
}

void
control_stream_put(struct control_stream *stream, size_t count, uint64_t now)
{
	char *bytes = stream->bytes + stream->length;

	/* To jansson a NUL is the input's end; another character that JSON does not have is none. */
	for (char *nul = bytes; (nul = memchr(nul, 0, count - (size_t)(nul - bytes))) != NULL;)
		*nul = 1;
	stream->length += count;
	stream->last = now;
	stream->looked = false;
}

static void
drop(struct control_stream *stream, size_t count)
{
	stream->length -= count;
	memmove(stream->bytes, stream->bytes + count, stream->length);
}

/* The number of bytes up to and with the end of the first line; 0: it has not ended. */
static size_t
first_line(const struct control_stream *stream)
{
	const char *end = memchr(stream->bytes, '\n', stream->length);

	return (end != NULL ? (size_t)(end - stream->bytes) + 1 : 0);
}

static void
drop_line(struct control_stream *stream)
{
	size_t line = first_line(stream);

	stream->skipping = line == 0;
	drop(stream, line != 0 ? line : stream->length);
}

static bool
is_blank(char c)
{
	return (c == ' ' || c == '\t' || c == '\r' || c == '\n');
}

static void
drop_blanks(struct control_stream *stream)
{
	size_t n = 0;

	while (n < stream->length && is_blank(stream->bytes[n]))
		n++;
	drop(stream, n);
}

/*
 * Leave out what is broken at byte POSITION: the lines before that byte's own, which may be a
 * request of its own, or its line if that is the first.
 */
static void
drop_broken(struct control_stream *stream, size_t position)
{
	size_t start = position < stream->length ? position : stream->length;

	if (start > 0)
		start--; /* the end of the offending token */
	while (start > 0 && stream->bytes[start - 1] != '\n')
		start--;
	if (start > 0)
		drop(stream, start);
	else
		drop_line(stream);
}

/* Whether a request may have ended, or gone wrong: there is no use in looking before. */
static bool
worth_looking(const struct control_stream *stream)
{
	return (memchr(stream->bytes, '}', stream->length) != NULL || first_line(stream) != 0);
}

/* Whether an error at byte POSITION may only come of a token or character that is cut there. */
static bool
may_be_cut(const struct control_stream *stream, size_t position)
{
	const size_t character = 4; /* bytes of a UTF-8 character */
	char last = stream->bytes[stream->length - 1];

	return (position + character >= stream->length && last != '\n' && last != '}');
}

/* What is not whole: the rest may come, unless there is no room for it or it is overdue. */
static enum control_stream_result
unfinished(struct control_stream *stream, uint64_t now, char *err, size_t errlen)
{
	if (stream->length == sizeof(stream->bytes)) {
		snprintf(err, errlen, "a request has at most %d bytes", CONTROL_REQUEST_MAX);
		return (CONTROL_STREAM_FULL);
	}
	stream->looked = true;
	if (stream->length == 0 || stream->bytes[stream->length - 1] != '\n' ||
	    now - stream->last < CONTROL_PATIENCE_NS)
		return (CONTROL_STREAM_NONE);
	snprintf(err, errlen, "JSON parse error, the request is not whole");
	stream->length = 0;
	return (CONTROL_STREAM_BROKEN);
}

enum control_stream_result
control_stream_next(
    struct control_stream *stream, uint64_t now, json_t **request, char *err, size_t errlen)
{
	const size_t flags = JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES;
	json_error_t why;
	size_t position;

	if (stream->skipping)
		drop_line(stream);
	drop_blanks(stream);
	if (stream->looked || !worth_looking(stream))
		return (unfinished(stream, now, err, errlen));
	*request = json_loadb(stream->bytes, stream->length, flags, &why);
	if (*request != NULL) {
		drop(stream, (size_t)why.position);
		return (CONTROL_STREAM_REQUEST);
	}
	position = why.position > 0 ? (size_t)why.position : 0;
	if (json_error_code(&why) == json_error_premature_end_of_input ||
	    may_be_cut(stream, position))
		return (unfinished(stream, now, err, errlen));
	snprintf(err, errlen, "JSON parse error, %s", why.text);
	drop_broken(stream, position);
	return (CONTROL_STREAM_BROKEN);
}
