/* 8042 keyboard controller and AT keyboard. */
#include "device/i8042.h"

#include <string.h>

#define KBD_ACK 0xfa
#define KBD_RESEND 0xfe
#define KBD_ECHO 0xee
#define KBD_BAT_OK 0xaa
#define KBD_BREAK 0xf0 /* set 2: the next code is a release */
#define TYPEMATIC_DEFAULT 0x2b

/*
 * Scan code set 2 to set 1, as the 8042's ROM has it. The two codes above 7Fh, 83h (F7) and 84h
 * (SysRq), are told in translate().
 */
static const uint8_t set2_to_set1[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, /* 00 */
    0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, /* 08 */
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, /* 10 */
    0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, /* 18 */
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, /* 20 */
    0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, /* 28 */
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, /* 30 */
    0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, /* 38 */
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, /* 40 */
    0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, /* 48 */
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, /* 50 */
    0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, /* 58 */
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, /* 60 */
    0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, /* 68 */
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, /* 70 */
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, /* 78 */
};

static uint8_t
translate(uint8_t set2)
{
	if (set2 == 0x83)
		return (0x41);
	if (set2 == 0x84)
		return (0x54);
	return (set2 < 0x80 ? set2_to_set1[set2] : set2);
}

/* The set 2 code whose translation is SET1 (01..7F). */
static uint8_t
untranslate(uint8_t set1)
{
	if (set1 == 0x41)
		return (0x83);
	if (set1 == 0x54)
		return (0x84);
	for (uint8_t code = 1; code < 0x80; code++)
		if (set2_to_set1[code] == set1)
			return (code);
	return (0);
}

static void
drive_irqs(struct i8042 *chip)
{
	uint8_t status = chip->s.status & (I8042_OBF | I8042_AUX_OBF);
	uint8_t enabled = chip->s.command_byte;

	line_set(&chip->irq1,
	    status == I8042_OBF && (enabled & (I8042_KBD_INT | I8042_KBD_OFF)) == I8042_KBD_INT);
	line_set(
	    &chip->irq12, status == (I8042_OBF | I8042_AUX_OBF) && (enabled & I8042_AUX_INT) != 0);
}

static void
fill_outbuf(struct i8042 *chip, uint8_t byte, uint8_t status)
{
	chip->s.outbuf = byte;
	chip->s.status &= (uint8_t) ~(I8042_AUX_OBF | I8042_TIMEOUT);
	chip->s.status |= (uint8_t)(I8042_OBF | status);
	drive_irqs(chip);
}

static uint8_t
shift(uint8_t *queue, uint8_t *count)
{
	uint8_t first = queue[0];

	(*count)--;
	memmove(queue, queue + 1, *count);
	return (first);
}

/* Whether the keyboard has something to send and may send it. */
static bool
keyboard_waits(const struct i8042 *chip)
{
	return ((chip->s.command_byte & I8042_KBD_OFF) == 0 &&
	    (chip->s.nanswers > 0 || chip->s.nscan > 0));
}

/* Take the keyboard's next byte off the cable. False when translation swallows it. */
static bool
receive(struct i8042 *chip, uint8_t *byte)
{
	if (chip->s.nanswers > 0)
		*byte = shift(chip->s.answers, &chip->s.nanswers);
	else
		*byte = shift(chip->s.scan, &chip->s.nscan);
	chip->s.last = *byte;
	if ((chip->s.command_byte & I8042_XLATE) == 0)
		return (true);
	if (*byte == KBD_BREAK) {
		chip->s.release = 1;
		return (false);
	}
	*byte = translate(*byte);
	if (chip->s.release)
		*byte |= 0x80;
	chip->s.release = 0;
	return (true);
}

/* Fill the output buffer if it is empty and something waits; arm the timer if that is not due. */
static void
deliver(struct i8042 *chip)
{
	uint64_t now = clock_now(chip->clock);
	uint8_t byte, status;

	while ((chip->s.status & I8042_OBF) == 0) {
		if (chip->s.nreplies > 0) {
			uint8_t count = chip->s.nreplies;

			status = shift(chip->s.reply_status, &count);
			byte = shift(chip->s.replies, &chip->s.nreplies);
			fill_outbuf(chip, byte, status);
		} else if (!keyboard_waits(chip)) {
			return;
		} else if (now < chip->s.ready) {
			if (chip->timer.deadline != chip->s.ready)
				timer_arm(chip->clock, &chip->timer, chip->s.ready);
			return;
		} else if (receive(chip, &byte)) {
			fill_outbuf(chip, byte, 0);
		}
	}
}

static void
fire(void *opaque, uint64_t deadline)
{
	(void)deadline;
	deliver(opaque);
}

/* A byte of the controller's own, which the guest gets before the keyboard's. */
static void
reply(struct i8042 *chip, uint8_t byte, uint8_t status)
{
	if (chip->s.nreplies == I8042_REPLY_MAX)
		return;
	chip->s.reply_status[chip->s.nreplies] = status;
	chip->s.replies[chip->s.nreplies++] = byte;
	deliver(chip);
}

/* A byte of the keyboard's, in answer to a command. */
static void
answer(struct i8042 *chip, uint8_t byte)
{
	if (chip->s.nanswers < I8042_REPLY_MAX)
		chip->s.answers[chip->s.nanswers++] = byte;
}

static void
keyboard_defaults(struct i8042 *chip)
{
	chip->s.nscan = 0;
	chip->s.set = 2;
	chip->s.typematic = TYPEMATIC_DEFAULT;
}

/* The data byte that a command of the keyboard's wanted. */
static void
keyboard_option(struct i8042 *chip, uint8_t command, uint8_t byte)
{
	switch (command) {
	case 0xed:
		chip->s.leds = byte & 7;
		answer(chip, KBD_ACK);
		break;
	case 0xf0:
		/* Set 3 is not there. */
		answer(chip, byte <= 2 ? KBD_ACK : KBD_RESEND);
		if (byte == 0)
			answer(chip, chip->s.set);
		else if (byte <= 2)
			chip->s.set = byte;
		break;
	case 0xf3:
		chip->s.typematic = byte & 0x7f;
		answer(chip, KBD_ACK);
		break;
	default: /* FB, FC, FD: single keys, set 3 only */
		answer(chip, KBD_ACK);
		break;
	}
}

static void
keyboard_command(struct i8042 *chip, uint8_t byte)
{
	switch (byte) {
	case 0xed: /* set indicators */
	case 0xf0: /* select scan code set */
	case 0xf3: /* typematic rate and delay */
	case 0xfb: /* set key type: typematic, make/break, make */
	case 0xfc:
	case 0xfd:
		chip->s.kbd_expect = byte;
		answer(chip, KBD_ACK);
		break;
	case 0xee:
		answer(chip, KBD_ECHO);
		break;
	case 0xf2: /* identify */
		answer(chip, KBD_ACK);
		answer(chip, 0xab);
		answer(chip, 0x83);
		break;
	case 0xf4: /* enable */
	case 0xf5: /* defaults, disable */
	case 0xf6: /* defaults */
		if (byte != 0xf4)
			keyboard_defaults(chip);
		chip->s.nscan = 0;
		if (byte != 0xf6)
			chip->s.scanning = byte == 0xf4;
		answer(chip, KBD_ACK);
		break;
	case 0xf7: /* set all keys: typematic, make/break, make, both */
	case 0xf8:
	case 0xf9:
	case 0xfa:
		answer(chip, KBD_ACK);
		break;
	case KBD_RESEND:
		answer(chip, chip->s.last);
		break;
	case 0xff: /* reset */
		keyboard_defaults(chip);
		chip->s.scanning = 1;
		chip->s.leds = 0;
		answer(chip, KBD_ACK);
		answer(chip, KBD_BAT_OK);
		break;
	default:
		answer(chip, KBD_RESEND);
		break;
	}
}

static void
keyboard_write(struct i8042 *chip, uint8_t byte)
{
	uint64_t soon = clock_now(chip->clock) + I8042_BYTE_NS;
	uint8_t command = chip->s.kbd_expect;

	/* Writing to the keyboard turns its clock line on. */
	chip->s.command_byte &= (uint8_t)~I8042_KBD_OFF;
	chip->s.kbd_expect = 0;
	/* A command in place of an option is a command. */
	if (command != 0 && byte < 0xed)
		keyboard_option(chip, command, byte);
	else
		keyboard_command(chip, byte);
	if (chip->s.ready < soon)
		chip->s.ready = soon;
	deliver(chip);
}

static void
set_output_port(struct i8042 *chip, uint8_t value)
{
	chip->s.output_port = value;
	line_set(&chip->a20, (value & I8042_OUT_A20) != 0);
	if ((value & I8042_OUT_RESET) == 0) {
		chip->s.output_port |= I8042_OUT_RESET;
		line_set(&chip->reset, true);
		line_set(&chip->reset, false);
	}
}

static uint8_t
output_port(const struct i8042 *chip)
{
	uint8_t value = (uint8_t)(chip->s.output_port & ~0x30);

	/* Bits 4 and 5 are the interrupt requests. */
	if ((chip->s.status & I8042_OBF) != 0)
		value |= (chip->s.status & I8042_AUX_OBF) != 0 ? 0x20 : 0x10;
	return (value);
}

static void
set_command_byte(struct i8042 *chip, uint8_t value)
{
	chip->s.command_byte = value;
	drive_irqs(chip);
	deliver(chip);
}

/* Commands A0h to AFh: passwords, tests, turning the devices on and off. */
static void
device_command(struct i8042 *chip, uint8_t command)
{
	uint8_t byte = chip->s.command_byte;

	switch (command) {
	case 0xa4: /* is there a password? */
		reply(chip, 0xf1, 0);
		break;
	case 0xa7:
		set_command_byte(chip, byte | I8042_AUX_OFF);
		break;
	case 0xa8:
		set_command_byte(chip, (uint8_t)(byte & ~I8042_AUX_OFF));
		break;
	case 0xa9: /* test of the auxiliary port's wires */
	case 0xab: /* ... of the keyboard's */
		reply(chip, 0x00, 0);
		break;
	case 0xaa: /* self-test */
		chip->s.command_byte |= I8042_SYS;
		reply(chip, 0x55, 0);
		break;
	case 0xad:
		set_command_byte(chip, byte | I8042_KBD_OFF);
		break;
	case 0xae:
		set_command_byte(chip, (uint8_t)(byte & ~I8042_KBD_OFF));
		break;
	default:
		break;
	}
}

static void
controller_command(struct i8042 *chip, uint8_t command)
{
	chip->s.expect = 0;
	if (command >= 0x20 && command < 0x40) {
		reply(chip, command == 0x20 ? chip->s.command_byte : chip->s.ram[command & 31], 0);
	} else if ((command >= 0x60 && command < 0x80) || (command >= 0xd1 && command <= 0xd4)) {
		chip->s.expect = command;
	} else if (command >= 0xa0 && command < 0xb0) {
		device_command(chip, command);
	} else if (command == 0xc0) {
		/* Input port: not locked, no manufacturing jumper, colour display. */
		reply(chip, 0xb0, 0);
	} else if (command == 0xd0) {
		reply(chip, output_port(chip), 0);
	} else if (command == 0xdd || command == 0xdf) {
		/* A20 off and on, in one byte. */
		set_output_port(chip,
		    (uint8_t)((chip->s.output_port & ~I8042_OUT_A20) | (command & I8042_OUT_A20)));
	} else if (command == 0xe0) {
		/* Test inputs: clock and data lines. */
		reply(chip, 0x00, 0);
	} else if (command >= 0xf0 && (command & I8042_OUT_RESET) == 0) {
		/* Bits 3..0 of the output port are pulsed low where the command has 0. */
		line_set(&chip->reset, true);
		line_set(&chip->reset, false);
	}
}

/* The data byte that a controller command wanted. */
static void
command_data(struct i8042 *chip, uint8_t command, uint8_t byte)
{
	switch (command) {
	case 0x60:
		set_command_byte(chip, byte);
		break;
	case 0xd1:
		set_output_port(chip, byte);
		break;
	case 0xd2: /* as if from the keyboard */
		reply(chip, byte, 0);
		break;
	case 0xd3: /* as if from the auxiliary device */
		reply(chip, byte, I8042_AUX_OBF);
		break;
	case 0xd4: /* to the auxiliary device, which is not there */
		reply(chip, KBD_RESEND, I8042_AUX_OBF | I8042_TIMEOUT);
		break;
	default:
		chip->s.ram[command & 31] = byte;
		break;
	}
}

static uint8_t
read_data(struct i8042 *chip)
{
	uint8_t byte;

	deliver(chip);
	byte = chip->s.outbuf;
	/* Read again with nothing new, it gives the same byte. */
	if ((chip->s.status & I8042_OBF) == 0)
		return (byte);
	chip->s.status &= (uint8_t) ~(I8042_OBF | I8042_AUX_OBF | I8042_TIMEOUT);
	drive_irqs(chip);
	chip->s.ready = clock_now(chip->clock) + I8042_BYTE_NS;
	deliver(chip);
	return (byte);
}

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	struct i8042 *chip = opaque;

	(void)size;
	if (reg != 4)
		return (read_data(chip));
	deliver(chip);
	return (chip->s.status | I8042_UNLOCKED | (chip->s.command_byte & I8042_SYS));
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	struct i8042 *chip = opaque;
	uint8_t expect = chip->s.expect;

	(void)size;
	if (reg == 4) {
		chip->s.status |= I8042_CMD;
		controller_command(chip, (uint8_t)value);
		return;
	}
	chip->s.status &= (uint8_t)~I8042_CMD;
	chip->s.expect = 0;
	if (expect != 0)
		command_data(chip, expect, (uint8_t)value);
	else
		keyboard_write(chip, (uint8_t)value);
}

const struct port_ops i8042_ports = {.read = port_read, .write = port_write};

bool
i8042_key_scancode(struct i8042 *chip, uint8_t set1)
{
	uint8_t *queue = chip->s.scan, code = set1;

	if (!chip->s.scanning)
		return (true);
	if (chip->s.nscan + 2 > I8042_SCAN_MAX)
		return (false);
	if (chip->s.set == 2 && set1 != 0xe0 && set1 != 0xe1) {
		code = untranslate(set1 & 0x7f);
		if (code == 0)
			return (true);
		if ((set1 & 0x80) != 0)
			queue[chip->s.nscan++] = KBD_BREAK;
	}
	queue[chip->s.nscan++] = code;
	deliver(chip);
	return (true);
}

void
i8042_follow_a20(struct i8042 *chip, bool on)
{
	chip->s.output_port &= (uint8_t)~I8042_OUT_A20;
	if (on)
		chip->s.output_port |= I8042_OUT_A20;
}

uint8_t
i8042_leds(const struct i8042 *chip)
{
	return (chip->s.leds);
}

void
i8042_init(struct i8042 *chip, struct clock *clock)
{
	memset(chip, 0, sizeof(*chip));
	chip->clock = clock;
	timer_init(&chip->timer, fire, chip);
	i8042_reset(chip);
}

void
i8042_reset(struct i8042 *chip)
{
	timer_cancel(chip->clock, &chip->timer);
	memset(&chip->s, 0, sizeof(chip->s));
	/* Clock and data lines high, A20 on, no reset. */
	chip->s.output_port = 0xcf;
	keyboard_defaults(chip);
	chip->s.scanning = 1;
	drive_irqs(chip);
}

static int
restored(void *owner)
{
	struct i8042 *chip = owner;
	struct i8042_state *s = &chip->s;
	uint64_t latest = clock_now(chip->clock) + I8042_BYTE_NS;

	if (s->ready > latest)
		s->ready = latest;
	s->output_port |= I8042_OUT_RESET;
	s->status &= I8042_OBF | I8042_CMD | I8042_AUX_OBF | I8042_TIMEOUT;
	if (s->nreplies > I8042_REPLY_MAX)
		s->nreplies = 0;
	if (s->nanswers > I8042_REPLY_MAX)
		s->nanswers = 0;
	if (s->nscan > I8042_SCAN_MAX)
		s->nscan = 0;
	if (s->set != 1)
		s->set = 2;
	for (unsigned i = 0; i < I8042_REPLY_MAX; i++)
		s->reply_status[i] &= I8042_AUX_OBF | I8042_TIMEOUT;
	s->leds &= 7;
	drive_irqs(chip);
	deliver(chip);
	return (0);
}

bool
i8042_taken(const struct i8042 *chip)
{
	return (chip->s.nscan == 0 && !(chip->s.status & I8042_OBF));
}

struct section
i8042_section(struct i8042 *chip)
{
	return ((struct section){
	    .id = "i8042",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .restored = restored,
	    .owner = chip,
	});
}
