/*
 * The keyboard: IRQ 1's part in the host (scan codes to keys) and INT 16h. IBM PC/AT Technical
 * Reference, "Keyboard" (scan codes, table of extended codes).
 */
#include "bios/call.h"

/* 40:17 and 40:18. */
#define SHIFT_RIGHT 0x01u
#define SHIFT_LEFT 0x02u
#define SHIFT_CTRL 0x04u
#define SHIFT_ALT 0x08u
#define SHIFT_SCROLL 0x10u
#define SHIFT_NUM 0x20u
#define SHIFT_CAPS 0x40u
#define SHIFT_INSERT 0x80u
#define SHIFT2_PAUSE 0x08u
/* 40:96. */
#define FLAGS_E1 0x01u
#define FLAGS_E0 0x02u
#define FLAGS_RIGHT_CTRL 0x04u
#define FLAGS_RIGHT_ALT 0x08u

/* What a key gives: plain, with Shift, with Ctrl, with Alt; 0 = nothing. */
struct key {
	uint16_t plain, shift, ctrl, alt;
	enum { KEY_OTHER, KEY_LETTER, KEY_PAD } kind; /* Caps Lock, Num Lock act on it */
};

/* Letters and others whose scan code is the high byte in all cases. */
#define LETTER(scan, lower, upper) \
	{ \
		(scan) << 8 | (lower), (scan) << 8 | (upper), (scan) << 8 | ((upper)&0x1f), \
		    (scan) << 8, KEY_LETTER \
	}

static const struct key keys[0x59] = {
    [0x01] = {0x011b, 0x011b, 0x011b, 0x0100, KEY_OTHER},
    [0x02] = {0x0231, 0x0221, 0, 0x7800, KEY_OTHER},
    [0x03] = {0x0332, 0x0340, 0x0300, 0x7900, KEY_OTHER},
    [0x04] = {0x0433, 0x0423, 0, 0x7a00, KEY_OTHER},
    [0x05] = {0x0534, 0x0524, 0, 0x7b00, KEY_OTHER},
    [0x06] = {0x0635, 0x0625, 0, 0x7c00, KEY_OTHER},
    [0x07] = {0x0736, 0x075e, 0x071e, 0x7d00, KEY_OTHER},
    [0x08] = {0x0837, 0x0826, 0, 0x7e00, KEY_OTHER},
    [0x09] = {0x0938, 0x092a, 0, 0x7f00, KEY_OTHER},
    [0x0a] = {0x0a39, 0x0a28, 0, 0x8000, KEY_OTHER},
    [0x0b] = {0x0b30, 0x0b29, 0, 0x8100, KEY_OTHER},
    [0x0c] = {0x0c2d, 0x0c5f, 0x0c1f, 0x8200, KEY_OTHER},
    [0x0d] = {0x0d3d, 0x0d2b, 0, 0x8300, KEY_OTHER},
    [0x0e] = {0x0e08, 0x0e08, 0x0e7f, 0x0e00, KEY_OTHER},
    [0x0f] = {0x0f09, 0x0f00, 0x9400, 0xa500, KEY_OTHER},
    [0x10] = LETTER(0x10, 'q', 'Q'),
    [0x11] = LETTER(0x11, 'w', 'W'),
    [0x12] = LETTER(0x12, 'e', 'E'),
    [0x13] = LETTER(0x13, 'r', 'R'),
    [0x14] = LETTER(0x14, 't', 'T'),
    [0x15] = LETTER(0x15, 'y', 'Y'),
    [0x16] = LETTER(0x16, 'u', 'U'),
    [0x17] = LETTER(0x17, 'i', 'I'),
    [0x18] = LETTER(0x18, 'o', 'O'),
    [0x19] = LETTER(0x19, 'p', 'P'),
    [0x1a] = {0x1a5b, 0x1a7b, 0x1a1b, 0x1a00, KEY_OTHER},
    [0x1b] = {0x1b5d, 0x1b7d, 0x1b1d, 0x1b00, KEY_OTHER},
    [0x1c] = {0x1c0d, 0x1c0d, 0x1c0a, 0x1c00, KEY_OTHER},
    [0x1e] = LETTER(0x1e, 'a', 'A'),
    [0x1f] = LETTER(0x1f, 's', 'S'),
    [0x20] = LETTER(0x20, 'd', 'D'),
    [0x21] = LETTER(0x21, 'f', 'F'),
    [0x22] = LETTER(0x22, 'g', 'G'),
    [0x23] = LETTER(0x23, 'h', 'H'),
    [0x24] = LETTER(0x24, 'j', 'J'),
    [0x25] = LETTER(0x25, 'k', 'K'),
    [0x26] = LETTER(0x26, 'l', 'L'),
    [0x27] = {0x273b, 0x273a, 0, 0x2700, KEY_OTHER},
    [0x28] = {0x2827, 0x2822, 0, 0x2800, KEY_OTHER},
    [0x29] = {0x2960, 0x297e, 0, 0x2900, KEY_OTHER},
    [0x2b] = {0x2b5c, 0x2b7c, 0x2b1c, 0x2b00, KEY_OTHER},
    [0x2c] = LETTER(0x2c, 'z', 'Z'),
    [0x2d] = LETTER(0x2d, 'x', 'X'),
    [0x2e] = LETTER(0x2e, 'c', 'C'),
    [0x2f] = LETTER(0x2f, 'v', 'V'),
    [0x30] = LETTER(0x30, 'b', 'B'),
    [0x31] = LETTER(0x31, 'n', 'N'),
    [0x32] = LETTER(0x32, 'm', 'M'),
    [0x33] = {0x332c, 0x333c, 0, 0x3300, KEY_OTHER},
    [0x34] = {0x342e, 0x343e, 0, 0x3400, KEY_OTHER},
    [0x35] = {0x352f, 0x353f, 0, 0x3500, KEY_OTHER},
    [0x37] = {0x372a, 0x372a, 0x9600, 0x3700, KEY_OTHER},
    [0x39] = {0x3920, 0x3920, 0x3920, 0x3920, KEY_OTHER},
    [0x3b] = {0x3b00, 0x5400, 0x5e00, 0x6800, KEY_OTHER},
    [0x3c] = {0x3c00, 0x5500, 0x5f00, 0x6900, KEY_OTHER},
    [0x3d] = {0x3d00, 0x5600, 0x6000, 0x6a00, KEY_OTHER},
    [0x3e] = {0x3e00, 0x5700, 0x6100, 0x6b00, KEY_OTHER},
    [0x3f] = {0x3f00, 0x5800, 0x6200, 0x6c00, KEY_OTHER},
    [0x40] = {0x4000, 0x5900, 0x6300, 0x6d00, KEY_OTHER},
    [0x41] = {0x4100, 0x5a00, 0x6400, 0x6e00, KEY_OTHER},
    [0x42] = {0x4200, 0x5b00, 0x6500, 0x6f00, KEY_OTHER},
    [0x43] = {0x4300, 0x5c00, 0x6600, 0x7000, KEY_OTHER},
    [0x44] = {0x4400, 0x5d00, 0x6700, 0x7100, KEY_OTHER},
    [0x47] = {0x4700, 0x4737, 0x7700, 0x0007, KEY_PAD},
    [0x48] = {0x4800, 0x4838, 0x8d00, 0x0008, KEY_PAD},
    [0x49] = {0x4900, 0x4939, 0x8400, 0x0009, KEY_PAD},
    [0x4a] = {0x4a2d, 0x4a2d, 0x8e00, 0x4a00, KEY_OTHER},
    [0x4b] = {0x4b00, 0x4b34, 0x7300, 0x0004, KEY_PAD},
    [0x4c] = {0x4c00, 0x4c35, 0x8f00, 0x0005, KEY_PAD},
    [0x4d] = {0x4d00, 0x4d36, 0x7400, 0x0006, KEY_PAD},
    [0x4e] = {0x4e2b, 0x4e2b, 0x9000, 0x4e00, KEY_OTHER},
    [0x4f] = {0x4f00, 0x4f31, 0x7500, 0x0001, KEY_PAD},
    [0x50] = {0x5000, 0x5032, 0x9100, 0x0002, KEY_PAD},
    [0x51] = {0x5100, 0x5133, 0x7600, 0x0003, KEY_PAD},
    [0x52] = {0x5200, 0x5230, 0x9200, 0x000a, KEY_PAD},
    [0x53] = {0x5300, 0x532e, 0x9300, 0, KEY_PAD},
    [0x56] = {0x565c, 0x567c, 0, 0, KEY_OTHER},
    [0x57] = {0x8500, 0x8700, 0x8900, 0x8b00, KEY_OTHER},
    [0x58] = {0x8600, 0x8800, 0x8a00, 0x8c00, KEY_OTHER},
};

/* The keys behind E0: their codes carry E0 in the low byte (extended calls see it). */
static const struct {
	uint8_t scan;
	uint16_t plain, ctrl, alt;
} extended_keys[] = {
    {0x1c, 0xe00d, 0xe00a, 0xa600},
    {0x35, 0xe02f, 0x9500, 0xa400},
    {0x47, 0x47e0, 0x77e0, 0x9700},
    {0x48, 0x48e0, 0x8de0, 0x9800},
    {0x49, 0x49e0, 0x84e0, 0x9900},
    {0x4b, 0x4be0, 0x73e0, 0x9b00},
    {0x4d, 0x4de0, 0x74e0, 0x9d00},
    {0x4f, 0x4fe0, 0x75e0, 0x9f00},
    {0x50, 0x50e0, 0x91e0, 0xa000},
    {0x51, 0x51e0, 0x76e0, 0xa100},
    {0x52, 0x52e0, 0x92e0, 0xa200},
    {0x53, 0x53e0, 0x93e0, 0xa300},
};

/* Shift keys by scan code: a flag in 40:17 while they are held. */
static const struct {
	uint8_t scan, flag;
} shift_keys[] = {{0x36, SHIFT_RIGHT}, {0x2a, SHIFT_LEFT}, {0x1d, SHIFT_CTRL}, {0x38, SHIFT_ALT}};

/* Lock keys: a flag in 40:17 that changes with each press, and one in 40:18 while held. */
static const struct {
	uint8_t scan, flag;
} lock_keys[] = {{0x46, SHIFT_SCROLL}, {0x45, SHIFT_NUM}, {0x3a, SHIFT_CAPS}};

/* --- the ring -------------------------------------------------------------------------------------------- */

static uint16_t
ring_next(const struct bios *b, uint16_t at)
{
	at = (uint16_t)(at + 2);
	return (at >= bda16(b, BDA_KEY_END) ? bda16(b, BDA_KEY_START) : at);
}

bool
keyboard_put(struct bios *b, uint16_t key)
{
	uint16_t tail = bda16(b, BDA_KEY_TAIL), next = ring_next(b, tail);

	if (next == bda16(b, BDA_KEY_HEAD))
		return (false);
	set_bda16(b, tail, key);
	set_bda16(b, BDA_KEY_TAIL, next);
	return (true);
}

static bool
ring_peek(const struct bios *b, uint16_t *key)
{
	uint16_t head = bda16(b, BDA_KEY_HEAD);

	if (head == bda16(b, BDA_KEY_TAIL))
		return (false);
	*key = bda16(b, head);
	return (true);
}

static void
ring_drop(struct bios *b)
{
	set_bda16(b, BDA_KEY_HEAD, ring_next(b, bda16(b, BDA_KEY_HEAD)));
}

/* --- IRQ 1 ------------------------------------------------------------------------------------------------- */

static void
change_flag(struct bios *b, unsigned field, uint8_t flag, bool on)
{
	uint8_t flags = bda8(b, field);

	set_bda8(b, field, on ? flags | flag : flags & ~flag);
}

/* LEDs follow the lock flags: the keyboard is told with interrupts off (command EDh). */
static void
update_leds(struct bios *b)
{
	uint8_t leds = bda8(b, BDA_SHIFT) >> 4 & 7;

	set_bda8(b, BDA_KEY_LEDS, (bda8(b, BDA_KEY_LEDS) & ~7u) | leds);
}

/* Ctrl and Alt exist twice; each is held while either is. */
static void
change_shift(struct bios *b, uint8_t scan, uint8_t flag, bool make, bool e0)
{
	uint8_t right = scan == 0x1d ? FLAGS_RIGHT_CTRL : FLAGS_RIGHT_ALT;
	uint8_t left = scan == 0x1d ? 0x01 : 0x02; /* 40:18: left Ctrl, left Alt */

	if (scan != 0x1d && scan != 0x38) {
		if (!e0)
			change_flag(b, BDA_SHIFT, flag, make);
		return;
	}
	if (e0)
		change_flag(b, BDA_KEY_FLAGS, right, make);
	else
		change_flag(b, BDA_SHIFT2, left, make);
	change_flag(
	    b, BDA_SHIFT, flag, (bda8(b, BDA_KEY_FLAGS) & right) || (bda8(b, BDA_SHIFT2) & left));
	if (scan == 0x38 && !make && bda8(b, BDA_ALT_NUMBER) != 0) {
		keyboard_put(b, bda8(b, BDA_ALT_NUMBER));
		set_bda8(b, BDA_ALT_NUMBER, 0);
	}
}

/* Shift and lock keys; false: it is neither. */
static bool
modifier(struct bios *b, uint8_t scan, bool make, bool e0)
{
	for (unsigned i = 0; i < sizeof(shift_keys) / sizeof(shift_keys[0]); i++) {
		if (shift_keys[i].scan == scan) {
			change_shift(b, scan, shift_keys[i].flag, make, e0);
			return (true);
		}
	}
	for (unsigned i = 0; i < sizeof(lock_keys) / sizeof(lock_keys[0]); i++) {
		if (lock_keys[i].scan != scan || e0)
			continue;
		if (make && !(bda8(b, BDA_SHIFT2) & lock_keys[i].flag)) {
			set_bda8(b, BDA_SHIFT, bda8(b, BDA_SHIFT) ^ lock_keys[i].flag);
			update_leds(b);
		}
		change_flag(b, BDA_SHIFT2, lock_keys[i].flag, make);
		return (true);
	}
	return (false);
}

/* A digit on the keypad while Alt is held: the character's number grows. */
static void
alt_digit(struct bios *b, uint16_t code)
{
	unsigned digit = code == 0x0a ? 0 : code;

	set_bda8(b, BDA_ALT_NUMBER, bda8(b, BDA_ALT_NUMBER) * 10u + digit);
}

static uint16_t
extended_code(uint8_t scan, uint8_t shift)
{
	for (unsigned i = 0; i < sizeof(extended_keys) / sizeof(extended_keys[0]); i++)
		if (extended_keys[i].scan == scan)
			return (shift & SHIFT_ALT    ? extended_keys[i].alt
				: shift & SHIFT_CTRL ? extended_keys[i].ctrl
						     : extended_keys[i].plain);
	return (0);
}

static uint16_t
plain_code(struct bios *b, uint8_t scan, uint8_t shift)
{
	const struct key *k;
	bool shifted = (shift & (SHIFT_LEFT | SHIFT_RIGHT)) != 0;

	if (scan >= sizeof(keys) / sizeof(keys[0]))
		return (0);
	k = &keys[scan];
	if ((shift & SHIFT_ALT) && k->kind == KEY_PAD) {
		if (k->alt != 0)
			alt_digit(b, k->alt);
		return (0);
	}
	if (shift & SHIFT_ALT)
		return (k->alt);
	if (shift & SHIFT_CTRL)
		return (k->ctrl);
	if ((k->kind == KEY_LETTER && (shift & SHIFT_CAPS)) ||
	    (k->kind == KEY_PAD && (shift & SHIFT_NUM)))
		shifted = !shifted;
	return (shifted ? k->shift : k->plain);
}

/* Combinations that are calls rather than keys; 0: an ordinary key. */
static uint8_t
special_function(struct bios *b, uint8_t scan, bool e0)
{
	uint8_t shift = bda8(b, BDA_SHIFT);

	if ((shift & SHIFT_CTRL) && (shift & SHIFT_ALT) && scan == 0x53) {
		set_bda16(b, BDA_RESET, 0x1234);
		outb(b, 0x64, 0xfe); /* pulse the reset line */
		return (0xff);
	}
	if (e0 && scan == 0x37)
		return (KEY_PRINT);
	if (e0 && scan == 0x46) {
		set_bda8(b, BDA_BREAK, 0x80);
		set_bda16(b, BDA_KEY_HEAD, bda16(b, BDA_KEY_START));
		set_bda16(b, BDA_KEY_TAIL, bda16(b, BDA_KEY_START));
		keyboard_put(b, 0);
		return (KEY_BREAK);
	}
	return (scan == 0x54 ? KEY_SYSREQ : 0);
}

/* A scan code in AL, as INT 15h/4Fh left it. ZF = 0 on return: AH asks the ROM for something. */
enum bios_result
irq1_key(struct bios_call *c)
{
	struct bios *b = c->bios;
	uint8_t code = al(c), scan = code & 0x7f, flags = bda8(b, BDA_KEY_FLAGS), function;
	bool e0 = flags & FLAGS_E0, make = !(code & 0x80);
	uint16_t key;

	set_flag(c, RFLAGS_ZF, true);
	if (code == 0xe0 || code == 0xe1) {
		set_bda8(b, BDA_KEY_FLAGS, flags | (code == 0xe0 ? FLAGS_E0 : FLAGS_E1));
		return (BIOS_DONE);
	}
	/* Pause is E1 1D 45 E1 9D C5: its codes are no keys. */
	if (flags & FLAGS_E1) {
		if (scan == 0x45)
			set_bda8(b, BDA_KEY_FLAGS, flags & ~FLAGS_E1);
		return (BIOS_DONE);
	}
	set_bda8(b, BDA_KEY_FLAGS, flags & ~FLAGS_E0);
	if (modifier(b, scan, make, e0) || !make)
		return (BIOS_DONE);
	function = special_function(b, scan, e0);
	if (function != 0) {
		set_ah(c, function);
		set_flag(c, RFLAGS_ZF, function == 0xff);
		return (BIOS_DONE);
	}
	key =
	    e0 ? extended_code(scan, bda8(b, BDA_SHIFT)) : plain_code(b, scan, bda8(b, BDA_SHIFT));
	if (key != 0)
		keyboard_put(b, key);
	return (BIOS_DONE);
}

/* --- INT 16h ------------------------------------------------------------------------------------------------- */

/* Keys that only the 101-key calls know are dropped or brought to their old form. */
static bool
old_form(uint16_t *key)
{
	uint8_t scan = (uint8_t)(*key >> 8), ch = (uint8_t)*key;

	if (scan == 0xe0) { /* keypad Enter and slash */
		*key = (uint16_t)((ch == '/' ? 0x35 : 0x1c) << 8 | ch);
		return (true);
	}
	if (ch == 0xe0 && scan != 0) {
		*key = (uint16_t)(scan << 8);
		return (true);
	}
	return (scan <= 0x84);
}

/* The next key for an old or a new call; codes that an old call cannot see are taken away. */
static bool
next_key(struct bios *b, bool extended, uint16_t *key)
{
	while (ring_peek(b, key)) {
		if (extended || old_form(key))
			return (true);
		ring_drop(b);
	}
	return (false);
}

static enum bios_result
read_key(struct bios_call *c, bool extended)
{
	uint16_t key;

	if (!next_key(c->bios, extended, &key))
		return (BIOS_WAIT);
	ring_drop(c->bios);
	set_ax(c, key);
	return (BIOS_DONE);
}

static enum bios_result
check_key(struct bios_call *c, bool extended)
{
	uint16_t key;
	bool there = next_key(c->bios, extended, &key);

	if (there)
		set_ax(c, key);
	set_flag(c, RFLAGS_ZF, !there);
	/* A program that polls with interrupts off would never see a key. */
	set_flag(c, RFLAGS_IF, true);
	return (BIOS_DONE);
}

static enum bios_result
int16_00_read(struct bios_call *c)
{
	return (read_key(c, false));
}

static enum bios_result
int16_01_check(struct bios_call *c)
{
	return (check_key(c, false));
}

static enum bios_result
int16_02_shift(struct bios_call *c)
{
	set_al(c, bda8(c->bios, BDA_SHIFT));
	return (BIOS_DONE);
}

static enum bios_result
int16_05_put(struct bios_call *c)
{
	set_al(c, keyboard_put(c->bios, cx(c)) ? 0 : 1);
	return (BIOS_DONE);
}

static enum bios_result
int16_10_extended_read(struct bios_call *c)
{
	return (read_key(c, true));
}

static enum bios_result
int16_11_extended_check(struct bios_call *c)
{
	return (check_key(c, true));
}

static enum bios_result
int16_12_extended_shift(struct bios_call *c)
{
	struct bios *b = c->bios;
	uint8_t held = bda8(b, BDA_SHIFT2), flags = bda8(b, BDA_KEY_FLAGS);

	set_al(c, bda8(b, BDA_SHIFT));
	set_ah(c, (held & 0x73u) | (held & 0x04u ? 0x80u : 0) | (flags & 0x0cu));
	return (BIOS_DONE);
}

enum bios_result
int16_unsupported(struct bios_call *c)
{
	(void)c;
	return (BIOS_DONE);
}

const struct bios_service int16_services[] = {
    {0x00, false, "read", int16_00_read},
    {0x01, false, "check", int16_01_check},
    {0x02, false, "shift", int16_02_shift},
    {0x03, false, "typematic", NULL},
    {0x05, false, "put", int16_05_put},
    {0x09, false, "functionality", NULL},
    {0x0a, false, "keyboard_id", NULL},
    {0x10, false, "extended_read", int16_10_extended_read},
    {0x11, false, "extended_check", int16_11_extended_check},
    {0x12, false, "extended_shift", int16_12_extended_shift},
    {0x92, false, "keyboard_capability", NULL},
    {0xa2, false, "keyboard_capability_122", NULL},
    {0},
};
