/* What a serial line said, without its escape sequences. */
#include "console/serialtext.h"

#include <string.h>

#define ESC 0x1b
#define BEL 0x07

enum {
	TEXT,
	ESCAPED,
	CSI,	/* ESC [ ... final byte */
	STRING, /* ESC ] and others, up to BEL or ESC \ */
	STRING_ESC,
};

void
serial_text_init(struct serial_text *serial)
{
	serial->state = TEXT;
	serial_text_forget(serial);
}

void
serial_text_forget(struct serial_text *serial)
{
	serial->length = serial->searched = 0;
}

static void
forget_first(struct serial_text *serial, size_t count)
{
	serial->length -= count;
	serial->searched = serial->searched > count ? serial->searched - count : 0;
	memmove(serial->text, serial->text + count, serial->length);
}

static void
add(struct serial_text *serial, uint8_t byte)
{
	if (byte == '\b') {
		if (serial->length > 0 && serial->text[serial->length - 1] != '\n')
			serial->length--;
		/* What comes next may make a match with what was searched. */
		serial->searched = 0;
		return;
	}
	if ((byte < ' ' && byte != '\n' && byte != '\t') || byte == 0x7f)
		return;
	if (serial->length == SERIAL_TEXT_MAX)
		forget_first(serial, SERIAL_TEXT_MAX / 2);
	serial->text[serial->length++] = (char)byte;
}

void
serial_text_byte(struct serial_text *serial, uint8_t byte)
{
	switch (serial->state) {
	case ESCAPED:
		if (byte == '[')
			serial->state = CSI;
		else if (strchr("]PX^_", byte) != NULL && byte != 0)
			serial->state = STRING;
		else if (byte < 0x20 || byte > 0x2f) /* intermediate bytes: one more follows */
			serial->state = TEXT;
		break;
	case CSI:
		if ((byte >= 0x40 && byte <= 0x7e) || byte >= 0x80)
			serial->state = TEXT;
		else if (byte == ESC)
			serial->state = ESCAPED;
		break;
	case STRING:
		if (byte == BEL)
			serial->state = TEXT;
		else if (byte == ESC)
			serial->state = STRING_ESC;
		break;
	case STRING_ESC:
		serial->state = byte == '\\' ? TEXT : STRING;
		break;
	default:
		if (byte == ESC)
			serial->state = ESCAPED;
		else
			add(serial, byte);
		break;
	}
}

bool
serial_text_find(struct serial_text *serial, const char *text)
{
	size_t length = strlen(text), from = serial->searched;
	char *found = memmem(serial->text + from, serial->length - from, text, length);

	if (found != NULL) {
		forget_first(serial, (size_t)(found - serial->text) + length);
		serial->searched = 0;
		return (true);
	}
	/* The beginning of TEXT may be there already. */
	if (serial->length >= length)
		serial->searched = serial->length - length + 1;
	return (false);
}
