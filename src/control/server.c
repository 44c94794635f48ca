/* The control socket: who may connect, bytes in and out, and the thread that has them looked at. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/server.h"

#define PAUSE_NS 200000 /* between two kicks: a babbling client does not stop the guest */
#define NEW_SOCKET CONTROL_SOCKET ".new" /* until it can be connected to */
#define FAREWELL_MS 200			 /* for clients to take the last words */
#define READ_MAX 16384			 /* bytes of a client in one go */

/* The commands that a client has. Others join here. */
const struct control_command *const control_tables[] = {
    control_protocol_commands,
    control_vm_commands,
    control_guest_commands,
    control_look_commands,
    control_state_commands,
    control_trace_commands,
    NULL,
};

/* --- the thread -------------------------------------------------------------------------------------- */

/* Sleep until somebody says something, and have it looked at. */
static void *
watch(void *opaque)
{
	struct control *c = opaque;
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	struct epoll_event event;

	for (;;) {
		if (epoll_wait(c->edges, &event, 1, -1) < 0 && errno != EINTR)
			return (NULL);
		if (__atomic_load_n(&c->ending, __ATOMIC_ACQUIRE))
			return (NULL);
		c->runner.kick(c->runner.opaque);
		nanosleep(&pause, NULL);
	}
}

/* Signals are for the runner. */
static int
start_thread(struct control *c)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&c->thread, NULL, watch, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	c->has_thread = error == 0;
	return (error);
}

static void
stop_thread(struct control *c)
{
	const uint64_t one = 1;

	if (!c->has_thread)
		return;
	__atomic_store_n(&c->ending, true, __ATOMIC_RELEASE);
	if (write(c->end, &one, sizeof(one)) == (ssize_t)sizeof(one))
		pthread_join(c->thread, NULL);
	c->has_thread = false;
}

static int
watch_fd(struct control *c, int fd)
{
	struct epoll_event level = {.events = EPOLLIN, .data.fd = fd};
	struct epoll_event edge = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};

	if (epoll_ctl(c->ready, EPOLL_CTL_ADD, fd, &level) != 0)
		return (-1);
	return (epoll_ctl(c->edges, EPOLL_CTL_ADD, fd, &edge));
}

static void
forget_fd(struct control *c, int fd)
{
	epoll_ctl(c->ready, EPOLL_CTL_DEL, fd, NULL);
	epoll_ctl(c->edges, EPOLL_CTL_DEL, fd, NULL);
}

/* --- clients -------------------------------------------------------------------------------------------- */

static void
close_client(struct control *c, unsigned i)
{
	struct control_client *client = c->clients[i];

	c->clients[i] = NULL;
	control_trace_leave(&c->trace, &client->session);
	if (!client->ended)
		forget_fd(c, client->fd);
	close(client->fd);
	control_session_free(&client->session);
	free(client);
}

/* The VM's owner, and root. */
static bool
is_owner(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	    (peer.uid == geteuid() || peer.uid == 0));
}

static bool
add_client(struct control *c, int fd)
{
	struct control_client *client;
	unsigned i = 0;

	while (i < CONTROL_CLIENTS && c->clients[i] != NULL)
		i++;
	if (i == CONTROL_CLIENTS || !is_owner(fd))
		return (false);
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return (false);
	if (watch_fd(c, fd) != 0) {
		free(client);
		return (false);
	}
	client->fd = fd;
	control_session_init(&client->session, control_tables, c);
	c->clients[i] = client;
	return (true);
}

static void
accept_clients(struct control *c)
{
	int fd;

	while ((fd = accept4(c->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		if (!add_client(c, fd))
			close(fd);
}

/* Take what CLIENT said. */
static void
read_client(struct control *c, struct control_client *client, uint64_t now)
{
	size_t room;
	char *space = control_stream_space(&client->session.in, &room);
	ssize_t n;

	if (client->ended || room == 0)
		return;
	n = recv(client->fd, space, room < READ_MAX ? room : READ_MAX, MSG_DONTWAIT);
	if (n > 0) {
		control_stream_put(&client->session.in, (size_t)n, now);
	} else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
		client->ended = true;
		forget_fd(c, client->fd);
	}
}

/* As send(2), with the files that go along. */
static ssize_t
send_some(struct control_client *client)
{
	struct control_session *session = &client->session;
	union {
		char bytes[CMSG_SPACE(sizeof(session->fds))];
		struct cmsghdr align;
	} control = {0};
	struct iovec bytes = {.iov_base = session->out, .iov_len = session->length};
	struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (session->nfds > 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(session->nfds * sizeof(int));
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(session->nfds * sizeof(int));
		memcpy(CMSG_DATA(header), session->fds, session->nfds * sizeof(int));
	}
	return (sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* Send what waits, as far as CLIENT takes it. False: it is gone. */
static bool
write_client(struct control_client *client)
{
	struct control_session *session = &client->session;

	while (session->length > 0) {
		ssize_t n = send_some(client);

		if (n < 0)
			return (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
		control_session_sent(session, (size_t)n);
	}
	return (true);
}

/* True: there may be more to do at once. */
static bool
serve_client(struct control *c, unsigned i, uint64_t now)
{
	struct control_client *client = c->clients[i];
	bool more, alive;

	read_client(c, client, now);
	more = control_session_run(&client->session, now);
	alive = write_client(client);
	if (!alive || client->session.dead ||
	    (client->ended && !more && client->session.length == 0)) {
		close_client(c, i);
		return (false);
	}
	return (more);
}

void
control_event(struct control *c, const char *name, json_t *data)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (c->clients[i] != NULL)
			control_session_event(&c->clients[i]->session, name, data);
	json_decref(data);
}

/* --- serving -------------------------------------------------------------------------------------------- */

/* The guest may have reset the machine. */
static void
tell_resets(struct control *c)
{
	const struct machine *m = c->runner.machine;

	if (m == NULL || m->resets == c->resets)
		return;
	c->resets = m->resets;
	control_event(c, "RESET",
	    json_pack("{s:b, s:s}", "guest", !c->reset_asked, "reason",
		c->reset_asked ? "host-qmp-system-reset" : "guest-reset"));
	c->reset_asked = false;
}

void
control_serve(struct control *c)
{
	uint64_t now;
	bool more = false;

	if (c == NULL)
		return;
	now = host_ns();
	tell_resets(c);
	control_typing_run(&c->typing, c->runner.machine);
	accept_clients(c);
	control_trace_run(&c->trace);
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (c->clients[i] != NULL)
			more |= serve_client(c, i, now);
	if (more)
		c->runner.kick(c->runner.opaque);
}

int
control_fd(const struct control *c)
{
	return (c != NULL ? c->ready : -1);
}

/* --- beginning and end ------------------------------------------------------------------------------------- */

/* The new socket's address, by way of the VM's open directory: a path may be too long for one. */
static struct sockaddr_un
address_of(struct vmctx *ctx)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", vmm_dirfd(ctx),
	    NEW_SOCKET);
	return (address);
}

/*
 * What a killed runner left is removed or replaced: the VM's lock is ours. The socket gets its name
 * when clients can connect to it, so that nobody who finds it is refused.
 */
static int
open_socket(struct control *c)
{
	const struct sockaddr_un address = address_of(c->runner.ctx);
	int folder = vmm_dirfd(c->runner.ctx);
	mode_t mask;
	int error;

	unlinkat(folder, NEW_SOCKET, 0);
	mask = umask(0177);
	error = bind(c->listener, (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (error != 0 || listen(c->listener, CONTROL_CLIENTS) != 0 ||
	    renameat(folder, NEW_SOCKET, folder, CONTROL_SOCKET) != 0) {
		error = errno;
		unlinkat(folder, NEW_SOCKET, 0);
		errno = error;
		return (-1);
	}
	c->bound = true;
	return (0);
}

static int
open_all(struct control *c)
{
	struct epoll_event event = {.events = EPOLLIN};

	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	c->ready = epoll_create1(EPOLL_CLOEXEC);
	c->edges = epoll_create1(EPOLL_CLOEXEC);
	c->end = eventfd(0, EFD_CLOEXEC);
	if (c->listener < 0 || c->ready < 0 || c->edges < 0 || c->end < 0)
		return (-1);
	if (open_socket(c) != 0 || watch_fd(c, c->listener) != 0 ||
	    epoll_ctl(c->edges, EPOLL_CTL_ADD, c->end, &event) != 0)
		return (-1);
	errno = start_thread(c);
	return (errno == 0 ? 0 : -1);
}

static void
close_all(struct control *c)
{
	const int fds[] = {c->listener, c->ready, c->edges, c->end};

	stop_thread(c);
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (c->clients[i] != NULL)
			close_client(c, i);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	control_typing_free(&c->typing);
	if (c->bound)
		unlinkat(vmm_dirfd(c->runner.ctx), CONTROL_SOCKET, 0);
	free(c);
}

struct control *
control_start(const struct control_runner *runner, struct vmm_error *err)
{
	struct control *c = calloc(1, sizeof(*c));
	int error;

	if (c == NULL) {
		vmm_fail(err, ENOMEM, "out of memory");
		return (NULL);
	}
	c->runner = *runner;
	c->listener = c->ready = c->edges = c->end = -1;
	c->resets = runner->machine != NULL ? runner->machine->resets : 0;
	control_typing_init(&c->typing);
	if (open_all(c) == 0)
		return (c);
	error = errno;
	close_all(c);
	vmm_fail(err, error, "%s: no control socket: %s", vmm_name(runner->ctx), strerror(error));
	return (NULL);
}

/* Have the clients take what they were told, as far as they do so soon. */
static void
say_farewell(struct control *c)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	bool left = true;

	for (unsigned ms = 0; left && ms < FAREWELL_MS; ms++) {
		left = false;
		for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
			left |= c->clients[i] != NULL && write_client(c->clients[i]) &&
			    c->clients[i]->session.length > 0;
		if (left)
			nanosleep(&pause, NULL);
	}
}

void
control_stop(struct control *c, const char *reason, bool guest)
{
	if (c == NULL)
		return;
	tell_resets(c);
	if (c->quit_asked) {
		reason = "host-qmp-quit";
		guest = false;
	}
	control_trace_end(&c->trace);
	control_event(c, "SHUTDOWN", json_pack("{s:b, s:s}", "guest", guest, "reason", reason));
	say_farewell(c);
	close_all(c);
}

const char *
control_end_reason(enum machine_end end, bool *guest)
{
	static const char *const reasons[] = {
	    [MACHINE_POWER_OFF] = "guest-shutdown",
	    [MACHINE_RESET] = "guest-reset",
	    [MACHINE_HALTED] = "guest-shutdown",
	    [MACHINE_TRIPLE_FAULT] = "guest-panic",
	    [MACHINE_DEBUG_EXIT] = "guest-shutdown",
	    [MACHINE_EXIT] = "guest-panic",
	};
	const char *reason =
	    (size_t)end < sizeof(reasons) / sizeof(reasons[0]) ? reasons[end] : NULL;

	*guest = reason != NULL;
	return (reason != NULL ? reason : "host-signal");
}

/* --- a VM on the board ------------------------------------------------------------------------------------- */

static void
kick_machine(void *opaque)
{
	machine_kick(opaque);
}

static bool
is_machine_paused(void *opaque)
{
	const struct machine *m = opaque;

	return (m->paused);
}

static void
pause_machine(void *opaque, bool on)
{
	if (on)
		machine_pause(opaque);
	else
		machine_resume(opaque);
}

static void
reset_machine(void *opaque)
{
	machine_event(opaque, (struct machine_event){.kind = MACHINE_EVENT_RESET});
}

static void
stop_machine(void *opaque)
{
	machine_event(opaque, (struct machine_event){.kind = MACHINE_EVENT_STOP});
}

static void
update_machine(void *opaque)
{
	machine_update(opaque);
}

static void
machine_changed(void *opaque, bool judge)
{
	struct machine *m = opaque;

	vcpu_push(&m->vcpu, VCPU_ALL);
	m->vcpu.entry_unchecked |= judge;
}

struct control *
control_start_machine(struct machine *m, struct gdb **gdb, struct vmm_error *err)
{
	const struct control_runner runner = {
	    .kick = kick_machine,
	    .is_paused = is_machine_paused,
	    .pause = pause_machine,
	    .reset = reset_machine,
	    .quit = stop_machine,
	    .update = update_machine,
	    .changed = machine_changed,
	    .opaque = m,
	    .ctx = m->ctx,
	    .machine = m,
	    .gdb = gdb,
	};

	return (control_start(&runner, err));
}
