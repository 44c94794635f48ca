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

#define PATIENCE_MS 10000
#define READ_SIZE 65536

struct control_link {
	int fd;
	char name[VM_MAX_NAMELEN];
	char *in; /* what came behind the last line */
	size_t length, room;
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

/* More bytes of what the VM says. */
static int
receive(struct control_link *link, struct vmm_error *err)
{
	struct pollfd pfd = {.fd = link->fd, .events = POLLIN};
	ssize_t n = 0;

	if (link->room - link->length < READ_SIZE) {
		char *in = realloc(link->in, link->room + 2 * READ_SIZE);

		if (in == NULL)
			return (vmm_fail(err, ENOMEM, "out of memory"));
		link->in = in;
		link->room += 2 * READ_SIZE;
	}
	if (poll(&pfd, 1, PATIENCE_MS) > 0)
		n = recv(link->fd, link->in + link->length, link->room - link->length, 0);
	else
		return (vmm_fail(err, ETIMEDOUT, "%s: it does not answer", link->name));
	if (n <= 0)
		return (vmm_fail(err, EPIPE, "%s: it ended", link->name));
	link->length += (size_t)n;
	return (0);
}

/* The next message, or NULL with ERR. */
static json_t *
next_message(struct control_link *link, struct vmm_error *err)
{
	size_t looked = 0, line;
	json_t *message;
	char *end;

	while (link->length == looked ||
	    (end = memchr(link->in + looked, '\n', link->length - looked)) == NULL) {
		looked = link->length;
		if (receive(link, err) != 0)
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

	while ((message = next_message(link, err)) != NULL) {
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
	free(link->in);
	free(link);
}
