/*
 * A terminal's input as keys. The sequences are those of ECMA-48 as xterm's "Control Sequences"
 * ("PC-Style Function Keys", "VT220-Style Function Keys") and console_codes(4) have them; rxvt's
 * Home and End too.
 */
#include "console/keys.h"

#include <string.h>

#define ESC 0x1b
#define PARAM_MAX 9999u

enum {
	GROUND,
	AFTER_ESC,
	CSI,	   /* ESC [ */
	CSI_OTHER, /* ... with intermediate or private bytes: no key */
	SS3,	   /* ESC O */
	LINUX_F,   /* ESC [ [ */
	UTF8,
};

void
key_parser_init(struct key_parser *parser)
{
	memset(parser, 0, sizeof(*parser));
}

static enum key_input
typed(struct key_stroke *out, unsigned key, unsigned modifiers)
{
	*out = key_stroke(key, modifiers);
	return (KEY_INPUT_STROKE);
}

/* A byte that is a key by itself, MODIFIERS held. */
static enum key_input
plain(uint8_t byte, unsigned modifiers, struct key_stroke *out)
{
	unsigned shift = 0, key;

	switch (byte) {
	case KBD_LEAVE:
		return (KEY_INPUT_LEAVE);
	case '\r':
	case '\n':
		return (typed(out, KBD_RETURN, modifiers));
	case '\t':
		return (typed(out, KBD_TAB, modifiers));
	case '\b':
	case 0x7f:
		return (typed(out, KBD_BACKSPACE, modifiers));
	case ESC:
		return (typed(out, KBD_ESC, modifiers));
	case 0: /* Ctrl-@, on the key of 2 */
		key = key_of_char('2', &shift);
		return (typed(out, key, modifiers | KBD_CTRL));
	case 0x1e: /* Ctrl-^, on the key of 6 */
		key = key_of_char('6', &shift);
		return (typed(out, key, modifiers | KBD_CTRL));
	case 0x1f: /* Ctrl-_ */
		key = key_of_char('-', &shift);
		return (typed(out, key, modifiers | KBD_CTRL));
	default:
		break;
	}
	if (byte < ' ') {
		/* Ctrl-A to Ctrl-Z, and Ctrl-\. */
		key = key_of_char(byte <= 26 ? byte | 0x60 : byte | 0x40, &shift);
		return (typed(out, key, modifiers | KBD_CTRL));
	}
	key = key_of_char(byte, &shift);
	return (key != 0 ? typed(out, key, modifiers | shift) : KEY_INPUT_NONE);
}

/* The modifiers in a sequence's second parameter: 1 plus the bits for Shift, Alt, Ctrl. */
static unsigned
modifiers_of(unsigned param)
{
	unsigned bits = param > 1 ? param - 1 : 0;

	return (((bits & 1) != 0 ? KBD_SHIFT : 0) | ((bits & 2) != 0 ? KBD_ALT : 0) |
	    ((bits & 4) != 0 ? KBD_CTRL : 0));
}

/* The key of a sequence that ends in a letter: ESC [ A, ESC O P, ... */
static unsigned
key_of_final(uint8_t final)
{
	switch (final) {
	case 'A':
		return (KBD_UP);
	case 'B':
		return (KBD_DOWN);
	case 'C':
		return (KBD_RIGHT);
	case 'D':
		return (KBD_LEFT);
	case 'E': /* the keypad's middle */
		return (0x4c);
	case 'F':
		return (KBD_END);
	case 'H':
		return (KBD_HOME);
	case 'M':
		return (KBD_E0 | 0x1c); /* the keypad's Enter */
	case 'P':
	case 'Q':
	case 'R':
	case 'S':
		return (KBD_F1 + final - 'P');
	default:
		return (0);
	}
}

/* The key of ESC [ NUMBER ~. */
static unsigned
key_of_number(unsigned number)
{
	static const uint16_t keys[] = {0, KBD_HOME, KBD_INSERT, KBD_DELETE, KBD_END, KBD_PAGE_UP,
	    KBD_PAGE_DOWN, KBD_HOME, KBD_END, 0, 0, KBD_F1, KBD_F1 + 1, KBD_F1 + 2, KBD_F1 + 3,
	    KBD_F1 + 4, 0, KBD_F1 + 5, KBD_F1 + 6, KBD_F1 + 7, KBD_F1 + 8, KBD_F10, 0, KBD_F11,
	    KBD_F12};

	return (number < sizeof(keys) / sizeof(keys[0]) ? keys[number] : 0);
}

/* The keys of a VT100's keypad in application mode: ESC O j ... ESC O y are * + , - . / 0 ... 9. */
static enum key_input
keypad(uint8_t final, struct key_stroke *out)
{
	static const char digits[] = "*+,-./0123456789";

	if (final < 'j' || final > 'y')
		return (KEY_INPUT_NONE);
	return (plain((uint8_t)digits[final - 'j'], 0, out));
}

static enum key_input
end_csi(struct key_parser *parser, uint8_t final, struct key_stroke *out)
{
	unsigned modifiers = parser->nparams >= 2 ? modifiers_of(parser->params[1]) : 0;
	unsigned key = 0;

	if (final == 'Z') {
		key = KBD_TAB;
		modifiers |= KBD_SHIFT;
	} else if (final == '~') {
		key = key_of_number(parser->params[0]);
	} else if (final == '^' || final == '@') {
		/* rxvt: Ctrl, Ctrl with Shift. */
		key = key_of_number(parser->params[0]);
		modifiers |= final == '^' ? KBD_CTRL : KBD_CTRL | KBD_SHIFT;
	} else if (final != 'M' &&
	    (final != 'R' || parser->nparams == 0 || parser->params[0] <= 1)) {
		/* ESC [ M is the mouse, ESC [ ROW ; COLUMN R an answer. */
		key = key_of_final(final);
	}
	return (key != 0 ? typed(out, key, modifiers) : KEY_INPUT_NONE);
}

static enum key_input
csi_byte(struct key_parser *parser, uint8_t byte, struct key_stroke *out)
{
	unsigned last = sizeof(parser->params) / sizeof(parser->params[0]) - 1;
	unsigned *param = &parser->params[parser->nparams > 0 ? parser->nparams - 1 : 0];

	if (byte >= '0' && byte <= '9') {
		if (parser->nparams == 0)
			parser->nparams = 1;
		if (*param <= PARAM_MAX)
			*param = *param * 10 + (byte - '0');
		return (KEY_INPUT_NONE);
	}
	if (byte == ';') {
		if (parser->nparams == 0)
			parser->nparams = 1;
		if (parser->nparams <= last)
			parser->nparams++;
		return (KEY_INPUT_NONE);
	}
	if (byte == '[' && parser->nparams == 0) {
		parser->state = LINUX_F;
		return (KEY_INPUT_NONE);
	}
	if (byte < 0x40) {
		parser->state = CSI_OTHER;
		return (KEY_INPUT_NONE);
	}
	parser->state = GROUND;
	return (end_csi(parser, byte, out));
}

static enum key_input
ground_byte(struct key_parser *parser, uint8_t byte, struct key_stroke *out)
{
	if (byte == ESC) {
		parser->state = AFTER_ESC;
		return (KEY_INPUT_NONE);
	}
	if (byte >= 0xc0) {
		parser->utf8_left = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
		parser->state = UTF8;
		return (KEY_INPUT_NONE);
	}
	return (plain(byte, 0, out));
}

static enum key_input
escaped_byte(struct key_parser *parser, uint8_t byte, struct key_stroke *out)
{
	switch (byte) {
	case '[':
		key_parser_init(parser);
		parser->state = CSI;
		return (KEY_INPUT_NONE);
	case 'O':
		parser->state = SS3;
		return (KEY_INPUT_NONE);
	case ESC: /* two of them: the first is a key, the second may begin a sequence */
		return (typed(out, KBD_ESC, 0));
	default:
		parser->state = GROUND;
		return (plain(byte, KBD_ALT, out));
	}
}

enum key_input
key_parser_byte(struct key_parser *parser, uint8_t byte, struct key_stroke *out)
{
	unsigned key;

	/* Whatever was cut off before a control character, that is one. */
	if (parser->state > AFTER_ESC && byte < ' ')
		parser->state = GROUND;
	switch (parser->state) {
	case AFTER_ESC:
		return (escaped_byte(parser, byte, out));
	case CSI:
		return (csi_byte(parser, byte, out));
	case CSI_OTHER:
		if (byte >= 0x40)
			parser->state = GROUND;
		return (KEY_INPUT_NONE);
	case SS3:
		parser->state = GROUND;
		key = key_of_final(byte);
		return (key != 0 ? typed(out, key, 0) : keypad(byte, out));
	case LINUX_F:
		parser->state = GROUND;
		return (byte >= 'A' && byte <= 'E' ? typed(out, KBD_F1 + byte - 'A', 0)
						   : KEY_INPUT_NONE);
	case UTF8:
		if ((byte & 0xc0) == 0x80) {
			if (--parser->utf8_left == 0)
				parser->state = GROUND;
			return (KEY_INPUT_NONE);
		}
		parser->state = GROUND;
		break;
	default:
		break;
	}
	return (ground_byte(parser, byte, out));
}

bool
key_parser_pending(const struct key_parser *parser)
{
	return (parser->state != GROUND);
}

enum key_input
key_parser_flush(struct key_parser *parser, struct key_stroke *out)
{
	unsigned state = parser->state;

	parser->state = GROUND;
	switch (state) {
	case AFTER_ESC:
		return (typed(out, KBD_ESC, 0));
	case CSI: /* Alt-[ and Alt-O look like the beginning of a sequence */
		return (parser->nparams == 0 ? plain('[', KBD_ALT, out) : KEY_INPUT_NONE);
	case SS3:
		return (plain('O', KBD_ALT, out));
	default:
		return (KEY_INPUT_NONE);
	}
}
