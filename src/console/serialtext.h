/*
 * What a serial line said, as text to search: escape sequences (ECMA-48) and control characters
 * taken out, a backspace applied. Only the last part of it is kept.
 */
#ifndef CONSOLE_SERIALTEXT_H
#define CONSOLE_SERIALTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIAL_TEXT_MAX 32768u
/* A text up to this length is found however much is said before it. */
#define SERIAL_FIND_MAX (SERIAL_TEXT_MAX / 2)

struct serial_text {
	uint8_t state;
	size_t length;
	size_t searched; /* no match begins before */
	char text[SERIAL_TEXT_MAX];
};

void serial_text_init(struct serial_text *serial);
void serial_text_byte(struct serial_text *serial, uint8_t byte);
/* Whether TEXT was said. If so, all up to its end is forgotten. The same TEXT is expected every
 * time until it is found or serial_text_forget() is called. */
bool serial_text_find(struct serial_text *serial, const char *text);
/* Forget what was said so far. */
void serial_text_forget(struct serial_text *serial);

#endif
