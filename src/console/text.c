/* The plain console. */
#include "console/text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "console/cp437.h"

int
console_text_start(struct console_text *text, int in, int out, char *err, size_t errlen)
{
	memset(text, 0, sizeof(*text));
	text->out = out;
	text->terminal = isatty(out);
	if (terminal_start(in, out, NULL, 0) != 0) {
		snprintf(err, errlen, "cannot set the terminal up: %s", strerror(errno));
		return (-1);
	}
	terminal_input_init(&text->input, in);
	return (0);
}

void
console_text_flush(struct console_text *text)
{
	struct pollfd ready = {.fd = text->out, .events = POLLOUT};
	size_t done = 0;

	while (done < text->length && text->error == 0) {
		ssize_t count = write(text->out, text->buffer + done, text->length - done);

		if (count >= 0)
			done += (size_t)count;
		else if (errno == EAGAIN) /* somebody made it non-blocking */
			poll(&ready, 1, -1);
		else if (errno != EINTR)
			text->error = errno;
	}
	text->length = 0;
}

static void
add(struct console_text *text, uint32_t code)
{
	if (text->length + UTF8_MAX > sizeof(text->buffer))
		console_text_flush(text);
	text->length += utf8_put(code, text->buffer + text->length);
}

/* A carriage return right before a line feed is part of the line's end, and not written: the
 * terminal driver adds its own, files have none. */
static void
settle_return(struct console_text *text, uint8_t next)
{
	if (text->returned && next != '\r') {
		if (next != '\n')
			add(text, '\r');
		text->returned = false;
	}
}

void
console_text_putc(struct console_text *text, uint8_t ch)
{
	settle_return(text, ch);
	switch (ch) {
	case '\r':
		text->returned = true;
		break;
	case '\a':
		if (text->terminal)
			add(text, ch);
		break;
	case '\b':
	case '\n':
		add(text, ch);
		break;
	default:
		add(text, cp437_glyph(ch));
		break;
	}
}

void
console_text_raw(struct console_text *text, uint8_t byte)
{
	settle_return(text, 0);
	if (text->length == sizeof(text->buffer))
		console_text_flush(text);
	text->buffer[text->length++] = (char)byte;
}

void
console_text_stop(struct console_text *text)
{
	settle_return(text, 0);
	console_text_flush(text);
	terminal_stop();
}
