/*
 * The plain console: what a guest writes with the BIOS' teletype calls goes to a stream as UTF-8,
 * standard input is the keyboard.
 */
#ifndef CONSOLE_TEXT_H
#define CONSOLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/terminal.h"

#define CONSOLE_TEXT_BUFFER 4096

struct console_text {
	int out;
	bool terminal; /* OUT is one */
	bool returned; /* a carriage return is held back: a line feed may follow */
	int error;     /* errno of the first write that failed; nothing is written since */
	size_t length;
	char buffer[CONSOLE_TEXT_BUFFER];
	struct terminal_input input;
};

/*
 * Begin with IN as keyboard (raw mode if it is a terminal) and OUT for the characters. Returns 0,
 * or -1 and a line in ERR.
 */
int console_text_start(struct console_text *text, int in, int out, char *err, size_t errlen);
/* A character of code page 437; 7, 8, 10 and 13 do what the teletype does. */
void console_text_putc(struct console_text *text, uint8_t ch);
/* A byte that goes to the stream as it is, in order with the characters: from a serial line. */
void console_text_raw(struct console_text *text, uint8_t byte);
/* Write what is buffered: to be called whenever the guest pauses, every 10 ms or so. */
void console_text_flush(struct console_text *text);
/* Flush, and put the terminal back. */
void console_text_stop(struct console_text *text);

#endif
