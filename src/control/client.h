/* The other end of a control socket: one request at a time to a running VM. */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include <jansson.h>

#include "vmm/vmm.h"

struct control_link;

/* Connect to the VM NAME, which runs. NULL with ERR: there is no such VM, or it does not run. */
struct control_link *control_connect(const char *name, struct vmm_error *err);
void control_disconnect(struct control_link *link);
/*
 * Have COMMAND done with ARGUMENTS (given up; may be NULL): its result, a new reference, or NULL
 * with ERR, whose text names the VM. Waits for at most 10 s.
 */
json_t *control_ask(
    struct control_link *link, const char *command, json_t *arguments, struct vmm_error *err);

/*
 * The data of the next event called NAME, a new reference. NULL with ERR: none came within MS
 * milliseconds or before a signal (ERR's error is ETIMEDOUT or EINTR), or the VM ended (EPIPE).
 */
json_t *control_next_event(
    struct control_link *link, const char *name, int ms, struct vmm_error *err);

/* Have CTX show what LINK's VM is at this moment: vmm_show_snapshot(). 0, or -1 with ERR. */
int control_show(struct control_link *link, struct vmctx *ctx, struct vmm_error *err);
/*
 * A handle on the VM NAME to read it by: as it is at this moment if it runs. Its memory can be read
 * too, and changes while the VM runs on. NULL with ERR.
 */
struct vmctx *control_open(const char *name, struct vmm_error *err);
/* A link to the VM NAME if it runs and has a control socket, else NULL. */
struct control_link *control_find(const char *name);

#endif
