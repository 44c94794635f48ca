/*
 * The requests in a stream of bytes: JSON objects one after the other, as QMP has them. A request
 * need not end with its line and may go over several; what is no JSON is reported once and left out
 * up to the end of its line.
 */
#ifndef CONTROL_STREAM_H
#define CONTROL_STREAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_REQUEST_MAX 65536 /* bytes */
/* What is not whole at the end of a line, and nothing comes behind it for so long, is broken. */
#define CONTROL_PATIENCE_NS 1000000000ull

struct control_stream {
	size_t length;
	bool looked;   /* there is nothing in it until more comes */
	bool skipping; /* the rest of a broken line */
	uint64_t last; /* host ns of the last bytes */
	char bytes[CONTROL_REQUEST_MAX];
};

enum control_stream_result {
	CONTROL_STREAM_NONE, /* more bytes are needed */
	CONTROL_STREAM_REQUEST,
	CONTROL_STREAM_BROKEN, /* no JSON; what it was is gone */
	CONTROL_STREAM_FULL,   /* a request without end: nothing more is to be had */
};

void control_stream_init(struct control_stream *stream);
/* Where the next bytes go: *ROOM of them at most, at least 1 unless the stream is full. */
char *control_stream_space(struct control_stream *stream, size_t *room);
/* COUNT bytes were put there at host time NOW (ns). */
void control_stream_put(struct control_stream *stream, size_t count, uint64_t now);
/*
 * The next request, for the caller to json_decref(), in *REQUEST (any JSON object or array). To be
 * called until it says NONE, and now and then without new bytes. Broken: why, in ERR.
 */
enum control_stream_result control_stream_next(
    struct control_stream *stream, uint64_t now, json_t **request, char *err, size_t errlen);

#endif
