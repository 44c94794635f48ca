/* A pseudo terminal for tests of consoles. */
#ifndef TTY_H
#define TTY_H

#include <poll.h>
#include <pty.h>
#include <string.h>
#include <unistd.h>

/* Read what comes out of the terminal until TEXT does (at most some 10 s), or with TEXT NULL what
 * is there already; a string in BUF. */
static inline void
tty_read(int master, char *buf, size_t size, const char *text)
{
	struct pollfd ready = {.fd = master, .events = POLLIN};
	size_t length = 0;

	buf[0] = '\0';
	while (length + 1 < size && (text == NULL || strstr(buf, text) == NULL) &&
	    poll(&ready, 1, text != NULL ? 10000 : 0) > 0) {
		ssize_t count = read(master, buf + length, size - 1 - length);

		if (count <= 0)
			break;
		length += (size_t)count;
		buf[length] = '\0';
	}
}

#endif
