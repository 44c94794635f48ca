/* Keys as scan codes: the US layout, and the text syntax of --type. */
#include "console/keys.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BREAK 0x80u

enum { MAKE_CTRL = 0x1d, MAKE_SHIFT = 0x2a, MAKE_ALT = 0x38, MAKE_SYSRQ = 0x54, MAKE_BREAK = 0x46 };

/* Runs of neighbouring keys: without and with shift. */
static const struct {
	uint8_t first;
	const char *plain, *shifted;
} rows[] = {
    {0x02, "1234567890-=", "!@#$%^&*()_+"},
    {0x10, "qwertyuiop[]", "QWERTYUIOP{}"},
    {0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
    {0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
    {0x39, " ", ""},
};

static const struct {
	const char *name;
	unsigned key;
	unsigned modifiers;
} names[] = {
    {"lt", 0x33, KBD_SHIFT},
    {"gt", 0x34, KBD_SHIFT},
    {"Up", KBD_UP, 0},
    {"Down", KBD_DOWN, 0},
    {"Left", KBD_LEFT, 0},
    {"Right", KBD_RIGHT, 0},
    {"Home", KBD_HOME, 0},
    {"End", KBD_END, 0},
    {"PgUp", KBD_PAGE_UP, 0},
    {"PageUp", KBD_PAGE_UP, 0},
    {"PgDn", KBD_PAGE_DOWN, 0},
    {"PageDown", KBD_PAGE_DOWN, 0},
    {"Ins", KBD_INSERT, 0},
    {"Insert", KBD_INSERT, 0},
    {"Del", KBD_DELETE, 0},
    {"Delete", KBD_DELETE, 0},
    {"Esc", KBD_ESC, 0},
    {"BS", KBD_BACKSPACE, 0},
    {"Backspace", KBD_BACKSPACE, 0},
    {"Tab", KBD_TAB, 0},
    {"CR", KBD_RETURN, 0},
    {"Enter", KBD_RETURN, 0},
    {"Return", KBD_RETURN, 0},
    {"Space", KBD_SPACE, 0},
    {"Print", KBD_PRINT, 0},
    {"PrtSc", KBD_PRINT, 0},
    {"Pause", KBD_PAUSE, 0},
    {"Break", KBD_PAUSE, KBD_CTRL},
    {"SysRq", KBD_PRINT, KBD_ALT},
    {"Caps", 0x3a, 0},
    {"NumLock", 0x45, 0},
    {"ScrollLock", 0x46, 0},
    {"Win", KBD_E0 | 0x5b, 0},
    {"Menu", KBD_E0 | 0x5d, 0},
    {"F11", KBD_F11, 0},
    {"F12", KBD_F12, 0},
    {"KP0", 0x52, 0},
    {"KP1", 0x4f, 0},
    {"KP2", 0x50, 0},
    {"KP3", 0x51, 0},
    {"KP4", 0x4b, 0},
    {"KP5", 0x4c, 0},
    {"KP6", 0x4d, 0},
    {"KP7", 0x47, 0},
    {"KP8", 0x48, 0},
    {"KP9", 0x49, 0},
    {"KP.", 0x53, 0},
    {"KP-", 0x4a, 0},
    {"KP+", 0x4e, 0},
    {"KP*", 0x37, 0},
    {"KP/", KBD_E0 | 0x35, 0},
    {"KPEnter", KBD_E0 | 0x1c, 0},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NAME_MAX_LENGTH 24

static void
add_code(struct key_stroke *stroke, unsigned code)
{
	stroke->codes[stroke->count++] = (uint8_t)code;
}

static void
add_key(struct key_stroke *stroke, unsigned key, unsigned up)
{
	if ((key & KBD_E0) != 0)
		add_code(stroke, 0xe0);
	add_code(stroke, (key & 0x7f) | up);
}

/* Print Screen pretends a shift unless one is held; with Alt it is System Request. */
static void
add_print(struct key_stroke *stroke, unsigned modifiers)
{
	if ((modifiers & KBD_ALT) != 0) {
		add_code(stroke, MAKE_SYSRQ);
		add_code(stroke, MAKE_SYSRQ | BREAK);
		return;
	}
	if (modifiers == 0)
		add_key(stroke, KBD_E0 | MAKE_SHIFT, 0);
	add_key(stroke, KBD_PRINT, 0);
	add_key(stroke, KBD_PRINT, BREAK);
	if (modifiers == 0)
		add_key(stroke, KBD_E0 | MAKE_SHIFT, BREAK);
}

/* Pause sends make and break at once and nothing when released; with Ctrl it is Break. */
static void
add_pause(struct key_stroke *stroke, unsigned modifiers)
{
	static const uint8_t pause[6] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};

	if ((modifiers & KBD_CTRL) != 0) {
		add_key(stroke, KBD_E0 | MAKE_BREAK, 0);
		add_key(stroke, KBD_E0 | MAKE_BREAK, BREAK);
		return;
	}
	for (unsigned i = 0; i < sizeof(pause); i++)
		add_code(stroke, pause[i]);
}

struct key_stroke
key_stroke(unsigned key, unsigned modifiers)
{
	static const struct {
		unsigned modifier;
		uint8_t make;
	} held[] = {{KBD_CTRL, MAKE_CTRL}, {KBD_ALT, MAKE_ALT}, {KBD_SHIFT, MAKE_SHIFT}};
	struct key_stroke stroke = {0};

	for (size_t i = 0; i < COUNT(held); i++)
		if ((modifiers & held[i].modifier) != 0)
			add_code(&stroke, held[i].make);
	if (key == KBD_PRINT) {
		add_print(&stroke, modifiers);
	} else if (key == KBD_PAUSE) {
		add_pause(&stroke, modifiers);
	} else {
		add_key(&stroke, key, 0);
		add_key(&stroke, key, BREAK);
	}
	for (size_t i = COUNT(held); i-- > 0;)
		if ((modifiers & held[i].modifier) != 0)
			add_code(&stroke, held[i].make | BREAK);
	return (stroke);
}

unsigned
key_of_char(int ch, unsigned *modifiers)
{
	*modifiers = 0;
	if (ch <= 0 || ch > 0x7e)
		return (0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *plain = strchr(rows[i].plain, ch);
		const char *shifted = strchr(rows[i].shifted, ch);

		if (plain != NULL)
			return (rows[i].first + (unsigned)(plain - rows[i].plain));
		if (shifted != NULL) {
			*modifiers = KBD_SHIFT;
			return (rows[i].first + (unsigned)(shifted - rows[i].shifted));
		}
	}
	return (0);
}

void
keys_free(struct keys *keys)
{
	free(keys->strokes);
	memset(keys, 0, sizeof(*keys));
}

static bool
add_stroke(struct keys *keys, unsigned key, unsigned modifiers)
{
	if (keys->count == keys->room) {
		size_t room = keys->room != 0 ? keys->room * 2 : 16;
		struct key_stroke *strokes = realloc(keys->strokes, room * sizeof(*strokes));

		if (strokes == NULL)
			return (false);
		keys->strokes = strokes;
		keys->room = room;
	}
	keys->strokes[keys->count++] = key_stroke(key, modifiers);
	return (true);
}

/* What is being read, and where an error goes. */
struct reader {
	const char *text;
	const char *at;
	char *err;
	size_t errlen;
};

/* Say what is wrong at WHERE; positions count characters, from 1. Returns -1. */
__attribute__((format(printf, 3, 4))) static int
fail(const struct reader *reader, const char *where, const char *format, ...)
{
	unsigned position = 1;
	va_list args;
	int used;

	for (const char *p = reader->text; p < where; p++)
		position += ((unsigned char)*p & 0xc0) != 0x80;
	used = snprintf(reader->err, reader->errlen, "at character %u: ", position);
	if (used >= 0 && (size_t)used < reader->errlen) {
		va_start(args, format);
		vsnprintf(reader->err + used, reader->errlen - (size_t)used, format, args);
		va_end(args);
	}
	return (-1);
}

/* A character that stands for itself. */
static int
read_char(struct reader *reader, unsigned *key, unsigned *modifiers)
{
	const char *start = reader->at;
	unsigned char ch = (unsigned char)*start;
	int length = 1;

	if (ch == '\n' || ch == '\r' || ch == '\t') {
		*key = ch == '\t' ? KBD_TAB : KBD_RETURN;
	} else {
		*key = key_of_char(ch, modifiers);
		while (ch >= 0xc0 && length < 4 && ((unsigned char)start[length] & 0xc0) == 0x80)
			length++;
	}
	if (*key == 0 && (ch < ' ' || ch == 0x7f))
		return (fail(reader, start, "no key for the control character %02Xh", ch));
	if (*key == 0)
		return (fail(reader, start, "no key for \"%.*s\" on a US keyboard", length, start));
	reader->at++;
	return (0);
}

static int
read_backslash(struct reader *reader, unsigned *key, unsigned *modifiers)
{
	static const char letters[] = "nrteb\\<";
	static const uint8_t keys[] = {KBD_RETURN, KBD_RETURN, KBD_TAB, KBD_ESC, KBD_BACKSPACE};
	char ch = reader->at[1];
	const char *found = ch != '\0' ? strchr(letters, ch) : NULL;
	size_t index;

	if (ch == '\0')
		return (fail(reader, reader->at, "\"\\\" at the end; write \\\\ for a backslash"));
	if (found == NULL)
		return (fail(reader, reader->at, "unknown \"\\%.1s\"; write \\\\ for a backslash",
		    reader->at + 1));
	index = (size_t)(found - letters);
	if (index < sizeof(keys))
		*key = keys[index];
	else
		*key = key_of_char(ch, modifiers);
	reader->at += 2;
	return (0);
}

static unsigned
modifier_of(char letter)
{
	switch (toupper((unsigned char)letter)) {
	case 'C':
		return (KBD_CTRL);
	case 'A':
		return (KBD_ALT);
	case 'S':
		return (KBD_SHIFT);
	default:
		return (0);
	}
}

/* A key by NAME (without modifiers); 0 if there is none. */
static unsigned
find_name(const char *name, unsigned *modifiers)
{
	unsigned shift, key, number;
	char end;

	if (name[0] != '\0' && name[1] == '\0') {
		/* As usual for a key with modifiers, <C-A> is <C-a>. */
		key = key_of_char(tolower((unsigned char)name[0]), &shift);
		*modifiers |= shift;
		return (key);
	}
	for (size_t i = 0; i < COUNT(names); i++) {
		if (strcasecmp(names[i].name, name) == 0) {
			*modifiers |= names[i].modifiers;
			return (names[i].key);
		}
	}
	if (toupper((unsigned char)name[0]) == 'F' && isdigit((unsigned char)name[1]) &&
	    sscanf(name + 1, "%2u%c", &number, &end) == 1 && number >= 1 && number <= 10)
		return (KBD_F1 + number - 1);
	return (0);
}

/* <NAME> */
static int
read_name(struct reader *reader, unsigned *key, unsigned *modifiers)
{
	const char *start = reader->at, *end = strchr(start + 1, '>'), *p = start + 1;
	char name[NAME_MAX_LENGTH];
	size_t length;

	if (end == NULL)
		return (fail(reader, start, "\"<\" without \">\"; write <lt> for a \"<\""));
	while (p + 2 < end && p[1] == '-' && modifier_of(p[0]) != 0) {
		*modifiers |= modifier_of(p[0]);
		p += 2;
	}
	length = (size_t)(end - p);
	if (length == 0 || length >= sizeof(name))
		return (fail(reader, start, "no key in \"<...>\"; write <lt> for a \"<\""));
	memcpy(name, p, length);
	name[length] = '\0';
	*key = find_name(name, modifiers);
	if (*key == 0)
		return (fail(reader, start, "unknown key \"%.*s\"; write <lt> for a \"<\"",
		    (int)(end - start + 1), start));
	reader->at = end + 1;
	return (0);
}

int
keys_from_text(const char *text, struct keys *out, char *err, size_t errlen)
{
	struct reader reader = {.text = text, .at = text, .err = err, .errlen = errlen};
	unsigned key, modifiers;
	int rc;

	memset(out, 0, sizeof(*out));
	while (*reader.at != '\0') {
		key = modifiers = 0;
		if (*reader.at == '\\')
			rc = read_backslash(&reader, &key, &modifiers);
		else if (*reader.at == '<')
			rc = read_name(&reader, &key, &modifiers);
		else
			rc = read_char(&reader, &key, &modifiers);
		if (rc == 0 && !add_stroke(out, key, modifiers)) {
			snprintf(err, errlen, "%s", strerror(ENOMEM));
			rc = -1;
		}
		if (rc != 0) {
			keys_free(out);
			return (-1);
		}
	}
	return (0);
}
