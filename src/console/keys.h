/*
 * Keys of a US keyboard as scan codes of set 1 (IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboards"): from the text syntax of --type, and from the bytes that a terminal sends.
 */
#ifndef CONSOLE_KEYS_H
#define CONSOLE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_STROKE_MAX 16

/* One key pressed and released, with its modifiers around it. */
struct key_stroke {
	uint8_t count;
	uint8_t codes[KEY_STROKE_MAX]; /* make and break codes, with their E0 and E1 prefixes */
};

struct keys {
	struct key_stroke *strokes;
	size_t count;
	size_t room;
};

/* Modifiers. */
#define KBD_SHIFT 0x01u
#define KBD_CTRL 0x02u
#define KBD_ALT 0x04u

/* A key by number: its make code, plus KBD_E0 if that has the prefix. */
#define KBD_E0 0x100u
enum {
	KBD_ESC = 0x01,
	KBD_BACKSPACE = 0x0e,
	KBD_TAB = 0x0f,
	KBD_RETURN = 0x1c,
	KBD_SPACE = 0x39,
	KBD_F1 = 0x3b,
	KBD_F10 = 0x44,
	KBD_F11 = 0x57,
	KBD_F12 = 0x58,
	KBD_HOME = KBD_E0 | 0x47,
	KBD_UP = KBD_E0 | 0x48,
	KBD_PAGE_UP = KBD_E0 | 0x49,
	KBD_LEFT = KBD_E0 | 0x4b,
	KBD_RIGHT = KBD_E0 | 0x4d,
	KBD_END = KBD_E0 | 0x4f,
	KBD_DOWN = KBD_E0 | 0x50,
	KBD_PAGE_DOWN = KBD_E0 | 0x51,
	KBD_INSERT = KBD_E0 | 0x52,
	KBD_DELETE = KBD_E0 | 0x53,
	KBD_PRINT = KBD_E0 | 0x37,
	KBD_PAUSE = 0x200,
};

/* KEY with MODIFIERS held. */
struct key_stroke key_stroke(unsigned key, unsigned modifiers);
/* The key that gives an ASCII character, and in *MODIFIERS whether it wants shift; 0 if none. */
unsigned key_of_char(int ch, unsigned *modifiers);

/*
 * Read TEXT: characters stand for themselves; \n \r \t \e \b \\ \< are Enter, Enter, Tab, Esc,
 * Backspace, \ and <; <NAME> is a key by name (lt gt Up F1 Esc ...), <M-KEY> one with modifiers
 * held, M being C, A or S for Ctrl, Alt, Shift, repeatable (<C-A-Del>). Names may be in any case.
 * *OUT is given new contents. Returns 0, or -1 with one line in ERR that says where and what is
 * wrong; *OUT is empty then.
 */
int keys_from_text(const char *text, struct keys *out, char *err, size_t errlen);
void keys_free(struct keys *keys);

/*
 * A terminal's input, byte by byte: control characters, ESC before a key for Alt, the escape
 * sequences of xterm, rxvt, VT220 and the Linux console. UTF-8 beyond ASCII has no key and is left
 * out, as are sequences that are no key (answers to queries, pastes' brackets).
 */
#define KBD_LEAVE 0x1d /* Ctrl-] never reaches the guest */

enum key_input {
	KEY_INPUT_NONE,	  /* more bytes are needed, or there is no such key */
	KEY_INPUT_STROKE, /* a key was typed */
	KEY_INPUT_LEAVE,  /* Ctrl-] */
};

struct key_parser {
	uint8_t state;
	uint8_t nparams;
	uint8_t utf8_left; /* bytes of a character that are still to come */
	unsigned params[4];
};

void key_parser_init(struct key_parser *parser);
enum key_input key_parser_byte(struct key_parser *parser, uint8_t byte, struct key_stroke *out);
/* Whether the bytes so far may be the beginning of something longer: a single ESC is. */
bool key_parser_pending(const struct key_parser *parser);
/* No more bytes come for now (wait some 50 ms): what is pending is taken for what it is alone. */
enum key_input key_parser_flush(struct key_parser *parser, struct key_stroke *out);

#endif
