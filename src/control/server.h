/* Inside the control socket: what its commands work on. Only src/control includes this. */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <pthread.h>

#include "control/control.h"
#include "control/session.h"
#include "control/trace.h"
#include "control/typing.h"

#define CONTROL_CLIENTS 16

struct control_client {
	int fd;	    /* -1: nobody */
	bool ended; /* it sends no more */
	struct control_session session;
};

struct control {
	struct control_runner runner;
	int listener;
	int ready; /* epoll, by level: for who sleeps and who serves */
	int edges; /* epoll, by edge: for the thread */
	int end;   /* eventfd: wakes the thread for the last time */
	bool ending;
	pthread_t thread;
	bool has_thread;
	bool bound;
	bool quit_asked;
	uint64_t resets;  /* of the machine, as told last */
	bool reset_asked; /* the next one is a client's */
	struct control_typing typing;
	struct control_trace trace;
	struct control_client *clients[CONTROL_CLIENTS];
};

/* Tell every client. DATA is given up. */
void control_event(struct control *control, const char *name, json_t *data);

/* All tables of commands, ended by NULL. Calls' opaque is the struct control. */
extern const struct control_command *const control_tables[];
extern const struct control_command control_vm_commands[];    /* commands.c */
extern const struct control_command control_guest_commands[]; /* guest.c */
extern const struct control_command control_look_commands[];  /* look.c */
extern const struct control_command control_state_commands[]; /* state.c */
extern const struct control_command control_trace_commands[]; /* trace.c */

#endif
