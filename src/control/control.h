/*
 * The control socket of a running VM: a unix socket in its directory that speaks QMP (QEMU's
 * "QEMU Machine Protocol Specification"). Only the VM's owner can connect.
 *
 * The runner's thread serves it between stretches of guest code, and never waits for a client. A
 * second thread sleeps until a client says something, and has the runner look then.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>

#include "machine/machine.h"
#include "vmm/vmm.h"

#define CONTROL_SOCKET "control" /* in the VM's directory */

/* How the runner is told what to do. All but kick() are called in its own thread. */
struct control_runner {
	/* From another thread: call control_serve() soon. */
	void (*kick)(void *opaque);
	bool (*is_paused)(void *opaque);
	void (*pause)(void *opaque, bool on);
	void (*reset)(void *opaque); /* NULL: cannot be done */
	/* End the run. */
	void (*quit)(void *opaque);
	/* Bring the counters and sections of the VM up to date, for one who looks at it; may be NULL. */
	void (*update)(void *opaque);
	/* The vCPU's registers were changed, and VM entry is to JUDGE them; may be NULL. */
	void (*changed)(void *opaque, bool judge);
	void *opaque;
	struct vmctx *ctx;
	struct machine *machine; /* NULL: the VM has no board */
	struct gdb **gdb;	 /* where the runner looks for a GDB stub; NULL: nowhere */
};

struct control;
struct gdb;

/* Open the socket of RUNNER's VM; NULL with ERR. */
struct control *control_start(const struct control_runner *runner, struct vmm_error *err);
/*
 * The same for a VM on the board: pause, reset and the rest are the machine's. *GDB is a GDB stub that
 * the runner serves, and is made when somebody asks for one; GDB may be NULL.
 */
struct control *control_start_machine(struct machine *m, struct gdb **gdb, struct vmm_error *err);
/* Answer what clients have asked meanwhile. To be called after a kick, and every 10 ms or so. */
void control_serve(struct control *control);
/* Readable when there is something to serve: for who sleeps. */
int control_fd(const struct control *control);
/*
 * Tell the clients that the VM ends, and close. REASON is one of QMP's "ShutdownCause", GUEST
 * whether the guest is at the bottom of it; a client's quit goes before both. NULL is allowed.
 */
void control_stop(struct control *control, const char *reason, bool guest);
/* The reason for a machine's END, and whether it is the guest's. */
const char *control_end_reason(enum machine_end end, bool *guest);

#endif
