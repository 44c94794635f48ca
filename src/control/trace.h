/* A trace of the VM for one client, who gets it as events. */
#ifndef CONTROL_TRACE_H
#define CONTROL_TRACE_H

#include "control/session.h"
#include "inspect/trace.h"

#define CONTROL_TRACE_EVENT "X_HYVE86_TRACE"

struct control_trace {
	struct tracer *tracer;		/* NULL: nobody traces */
	struct control_session *client; /* who does */
	char *text;			/* that waits to be sent */
	size_t length;
	uint64_t lost; /* lines that found no room, since the last event */
};

/* Send what was traced so far, as far as the client takes it. */
void control_trace_run(struct control_trace *trace);
/* The end of it, with what is left as a last event. */
void control_trace_end(struct control_trace *trace);
/* SESSION is about to be closed. */
void control_trace_leave(struct control_trace *trace, const struct control_session *session);

#endif
