/* A QMP client, for our own commands. */
#include "control/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/control.h"
#include "control/session.h"

#define PATIENCE_MS 10000
#define READ_SIZE 65536

struct control_link {
	int fd;
	char name[VM_MAX_NAMELEN];
	char *in; /* what came behind the last line */
	size_t length, room;
	int fds[CONTROL_FDS]; /* that came with it */
	unsigned nfds;
};

static int
open_socket(struct vmctx *ctx)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), saved;

	if (fd < 0)
		return (-1);
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", vmm_dirfd(ctx),
	    CONTROL_SOCKET);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return (fd);
	saved = errno;
	close(fd);
	errno = saved;
	return (-1);
}

/* Take the files that came with MESSAGE. */
static void
take_files(struct control_link *link, struct msghdr *message)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	size_t count;

	if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
		return;
	count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
		if (link->nfds < CONTROL_FDS)
			link->fds[link->nfds++] = fd;
		else
			close(fd);
	}
}

/* As recv(2), and the files that come along. */
static ssize_t
receive_some(struct control_link *link)
{
	union {
		char bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec bytes = {
	    .iov_base = link->in + link->length, .iov_len = link->room - link->length};
	struct msghdr message = {.msg_iov = &bytes,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(link->fd, &message, MSG_CMSG_CLOEXEC);

	if (n > 0)
		take_files(link, &message);
	return (n);
}

/* More bytes of what the VM says, within MS milliseconds. */
static int
receive(struct control_link *link, int ms, struct vmm_error *err)
{
	struct pollfd pfd = {.fd = link->fd, .events = POLLIN};
	ssize_t n = 0;
	int ready;

	if (link->room - link->length < READ_SIZE) {
		char *in = realloc(link->in, link->room + 2 * READ_SIZE);

		if (in == NULL)
			return (vmm_fail(err, ENOMEM, "out of memory"));
		link->in = in;
		link->room += 2 * READ_SIZE;
	}
	ready = poll(&pfd, 1, ms);
	if (ready <= 0)
		return (vmm_fail(
		    err, ready == 0 ? ETIMEDOUT : errno, "%s: it does not answer", link->name));
	n = receive_some(link);
	if (n <= 0)
		return (vmm_fail(err, EPIPE, "%s: it ended", link->name));
	link->length += (size_t)n;
	return (0);
}

/* The next message, or NULL with ERR. */
static json_t *
next_message(struct control_link *link, int ms, struct vmm_error *err)
{
	size_t looked = 0, line;
	json_t *message;
	char *end;

	while (link->length == looked ||
	    (end = memchr(link->in + looked, '\n', link->length - looked)) == NULL) {
		looked = link->length;
		if (receive(link, ms, err) != 0)
			return (NULL);
	}
	line = (size_t)(end - link->in) + 1;
	message = json_loadb(link->in, line, 0, NULL);
	link->length -= line;
	memmove(link->in, link->in + line, link->length);
	if (message == NULL)
		vmm_fail(err, EPROTO, "%s: its answer makes no sense", link->name);
	return (message);
}

/* The answer to a request: events and the greeting come in between. */
static json_t *
next_answer(struct control_link *link, struct vmm_error *err)
{
	const char *why;
	json_t *message, *result;

	while ((message = next_message(link, PATIENCE_MS, err)) != NULL) {
		result = json_object_get(message, "return");
		if (result != NULL) {
			json_incref(result);
			json_decref(message);
			return (result);
		}
		why = json_string_value(json_object_get(json_object_get(message, "error"), "desc"));
		if (why != NULL)
			vmm_fail(err, EINVAL, "%s: %s", link->name, why);
		json_decref(message);
		if (why != NULL)
			return (NULL);
	}
	return (NULL);
}

json_t *
control_ask(
    struct control_link *link, const char *command, json_t *arguments, struct vmm_error *err)
{
	json_t *request = json_pack("{s:s}", "execute", command);
	char *text;
	size_t length, sent = 0;

	if (arguments != NULL)
		json_object_set_new(request, "arguments", arguments);
	text = json_dumps(request, 0);
	json_decref(request);
	if (text == NULL) {
		vmm_fail(err, EINVAL, "%s: what is asked is no UTF-8", link->name);
		return (NULL);
	}
	length = strlen(text);
	text[length++] = '\n'; /* for its NUL */
	while (sent < length) {
		ssize_t n = send(link->fd, text + sent, length - sent, MSG_NOSIGNAL);

		if (n < 0) {
			free(text);
			vmm_fail(err, errno, "%s: it ended", link->name);
			return (NULL);
		}
		sent += (size_t)n;
	}
	free(text);
	return (next_answer(link, err));
}

json_t *
control_next_event(struct control_link *link, const char *name, int ms, struct vmm_error *err)
{
	json_t *message, *data;
	const char *event;

	while ((message = next_message(link, ms, err)) != NULL) {
		event = json_string_value(json_object_get(message, "event"));
		data = json_incref(json_object_get(message, "data"));
		if (event != NULL && data != NULL && strcmp(event, name) == 0) {
			json_decref(message);
			return (data);
		}
		json_decref(data);
		json_decref(message);
	}
	return (NULL);
}

/* Through the VM's own directory: 0, or -1 with ERR. */
static int
open_link(struct control_link *link, const char *name, struct vmm_error *err)
{
	struct vmctx *ctx = vmm_open(name, err);
	int error;

	if (ctx == NULL)
		return (-1);
	snprintf(link->name, sizeof(link->name), "%s", name);
	link->fd = open_socket(ctx);
	error = errno;
	vm_close(ctx);
	if (link->fd >= 0)
		return (0);
	if (error == ENOENT || error == ECONNREFUSED)
		return (vmm_fail(err, error, "%s: it does not run", name));
	return (vmm_fail(err, error, "%s: cannot reach its runner: %s", name, strerror(error)));
}

struct control_link *
control_connect(const char *name, struct vmm_error *err)
{
	struct control_link *link = calloc(1, sizeof(*link));
	json_t *result = NULL;

	if (link == NULL) {
		vmm_fail(err, ENOMEM, "out of memory");
		return (NULL);
	}
	link->fd = -1;
	if (open_link(link, name, err) == 0)
		result = control_ask(link, "qmp_capabilities", NULL, err);
	if (result == NULL) {
		control_disconnect(link);
		return (NULL);
	}
	json_decref(result);
	return (link);
}

void
control_disconnect(struct control_link *link)
{
	if (link == NULL)
		return;
	if (link->fd >= 0)
		close(link->fd);
	while (link->nfds > 0)
		close(link->fds[--link->nfds]);
	free(link->in);
	free(link);
}

/* The SIZE bytes of the file FD; NULL: it has fewer, or out of memory. */
static uint8_t *
read_all(int fd, size_t size)
{
	uint8_t *bytes = malloc(size);

	if (bytes != NULL && pread(fd, bytes, size, 0) == (ssize_t)size)
		return (bytes);
	free(bytes);
	return (NULL);
}

int
control_show(struct control_link *link, struct vmctx *ctx, struct vmm_error *err)
{
	json_t *result = control_ask(link, "x-hyve86-state", NULL, err);
	json_int_t size = json_integer_value(json_object_get(result, "size"));
	uint8_t *bytes = NULL;
	int memory = -1;

	if (result == NULL)
		return (-1);
	json_decref(result);
	if (link->nfds > 0 && size > 0)
		bytes = read_all(link->fds[0], (size_t)size);
	if (link->nfds > 1)
		memory = link->fds[--link->nfds];
	while (link->nfds > 0)
		close(link->fds[--link->nfds]);
	if (bytes != NULL)
		return (vmm_show_snapshot(ctx, bytes, (size_t)size, memory, err));
	if (memory >= 0)
		close(memory);
	return (vmm_fail(err, EPROTO, "%s: its answer makes no sense", link->name));
}

struct control_link *
control_find(const char *name)
{
	struct vmm_info info;

	if (vmm_info(name, &info, NULL) != 0 || info.status != VMM_RUNNING)
		return (NULL);
	return (control_connect(name, NULL));
}

struct vmctx *
control_open(const char *name, struct vmm_error *err)
{
	struct vmctx *ctx = vmm_open(name, err);
	struct control_link *link = ctx != NULL ? control_find(name) : NULL;

	/* One without a socket, or that has just ended, is as any other. */
	if (link != NULL && control_show(link, ctx, err) != 0) {
		vm_close(ctx);
		ctx = NULL;
	}
	control_disconnect(link);
	return (ctx);
}
