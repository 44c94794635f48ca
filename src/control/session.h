/*
 * One client's conversation in QMP: greeting, negotiation, requests and their answers, events. It
 * knows nothing of sockets: bytes go in by the stream, and come out of a buffer.
 */
#ifndef CONTROL_SESSION_H
#define CONTROL_SESSION_H

#include "control/stream.h"

#define CONTROL_OUTPUT_MAX (1u << 20) /* bytes that wait for a client that does not read */
#define CONTROL_FDS 2
#define CONTROL_REQUESTS 16 /* that are served in one go, not to hold the guest up */

struct control_call;

/* A command: its name, the arguments it takes, and what does it. */
struct control_command {
	const char *name;
	/*
	 * "NAME:T" separated by blanks, with "?" behind the NAME of an optional one. T is s for a
	 * string, i an integer, b a boolean, a an array, o an object. NULL: it takes none.
	 */
	const char *arguments;
	/* The result (a new reference), or NULL after control_fail(). */
	json_t *(*run)(struct control_call *call);
};

/* One request on its way. */
struct control_call {
	const struct control_command *command;
	void *opaque; /* the commands' */
	struct control_session *session;
	json_t *arguments; /* an object, checked against the command's list */
	char error[256];
	const char *error_class; /* NULL: GenericError */
};

/* Say why a command cannot be done; returns NULL. */
json_t *control_fail(struct control_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct control_session {
	struct control_stream in;
	int fds[CONTROL_FDS]; /* open files to send with the output's next byte; owned */
	unsigned nfds;
	bool negotiated;
	bool dead; /* the output is too long, or the input broken for good: to be closed */
	char *out;
	size_t length, room;
	/* Tables of commands, each ended by a name of NULL, in the order they are looked up. */
	const struct control_command *const *tables; /* ended by NULL */
	void *opaque;				     /* for the commands */
};

/* Begin with the greeting. */
void control_session_init(
    struct control_session *session, const struct control_command *const *tables, void *opaque);
void control_session_free(struct control_session *session);
/* Answer what is in the stream, up to CONTROL_REQUESTS. True: there may be more to do. */
bool control_session_run(struct control_session *session, uint64_t now);
/* Tell of an event, if the client has negotiated. DATA stays the caller's and may be NULL. */
void control_session_event(struct control_session *session, const char *name, json_t *data);
/*
 * Send an open file (a duplicate of FD) with the answer to come, as SCM_RIGHTS of unix(7). False:
 * it cannot be.
 */
bool control_session_pass(struct control_session *session, int fd);
/* The first COUNT bytes of the output are gone, and the files with them. */
void control_session_sent(struct control_session *session, size_t count);

/* The commands of the protocol itself: a table. They need nothing of OPAQUE. */
extern const struct control_command control_protocol_commands[];
/* The version, as the greeting and query-version tell it: a new reference. */
json_t *control_version(void);

#endif
