/*
 * 8042 keyboard controller with an AT keyboard (IBM AT and PS/2 Hardware Interface Technical
 * References, "Keyboard and Auxiliary Device Controller" and "Keyboards"). The keyboard speaks
 * scan code set 2 (or 1 if told so); the controller translates to set 1 when bit 6 of its command
 * byte says so. The auxiliary port is there, without a mouse: what is sent to it times out.
 *
 * A byte of the keyboard's appears in the output buffer only some time after the one before was
 * read, as over the serial cable: interrupt handlers count on that.
 *
 * After reset the command byte is 0; POST writes 65h or so (interrupt on, system flag, auxiliary
 * port off, translation on).
 */
#ifndef DEVICE_I8042_H
#define DEVICE_I8042_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/clock.h"
#include "bus/line.h"
#include "bus/section.h"

#define I8042_SCAN_MAX 16 /* the keyboard's own buffer */
#define I8042_REPLY_MAX 8
#define I8042_BYTE_NS 250000u /* between two bytes of the keyboard */

/* Status port. */
#define I8042_OBF 0x01u
#define I8042_SYS 0x04u
#define I8042_CMD 0x08u /* the last write was a command */
#define I8042_UNLOCKED 0x10u
#define I8042_AUX_OBF 0x20u
#define I8042_TIMEOUT 0x40u

/* Command byte. */
#define I8042_KBD_INT 0x01u
#define I8042_AUX_INT 0x02u
#define I8042_KBD_OFF 0x10u
#define I8042_AUX_OFF 0x20u
#define I8042_XLATE 0x40u

/* Output port. */
#define I8042_OUT_RESET 0x01u /* active low */
#define I8042_OUT_A20 0x02u

struct i8042_state {
	uint64_t ready; /* guest ns at which the keyboard's next byte may appear */

	/* Controller. */
	uint8_t command_byte;
	uint8_t output_port;
	uint8_t outbuf;
	uint8_t status;	 /* OBF, CMD, AUX_OBF, TIMEOUT */
	uint8_t expect;	 /* command whose data byte comes next, 0 = none */
	uint8_t release; /* translation: F0 was seen */
	uint8_t nreplies;
	uint8_t ram[32];
	uint8_t replies[I8042_REPLY_MAX];
	uint8_t reply_status[I8042_REPLY_MAX]; /* AUX_OBF, TIMEOUT */

	/* Keyboard. */
	uint8_t scan[I8042_SCAN_MAX];
	uint8_t nscan;
	uint8_t answers[I8042_REPLY_MAX]; /* go before scan codes */
	uint8_t nanswers;
	uint8_t kbd_expect;
	uint8_t set; /* scan code set: 1 or 2 */
	uint8_t scanning;
	uint8_t leds; /* bit 0 scroll, 1 num, 2 caps */
	uint8_t typematic;
	uint8_t last; /* byte sent last */
	uint8_t pad[2];
};

struct i8042 {
	struct i8042_state s;
	struct clock *clock;
	struct timer timer;
	struct line irq1;
	struct line irq12;
	struct line a20;
	struct line reset; /* pulsed high, then low */
};

/* Registers by port number: 0 = data (60h), 4 = command and status (64h); two attachments. */
extern const struct port_ops i8042_ports;

/* Lines are connected by the caller afterwards, by setting the fields. */
void i8042_init(struct i8042 *chip, struct clock *clock);
void i8042_reset(struct i8042 *chip);
/*
 * A byte of the host's keyboard in scan code set 1 (E0 and E1 prefixes, make and break codes), as
 * it comes from the cable of an XT keyboard. False when the keyboard's buffer is full: try again
 * later with the same byte. Bytes are dropped (true) while the guest has scanning disabled.
 */
bool i8042_key_scancode(struct i8042 *chip, uint8_t set1);
/* Whether the guest has read all that was typed. */
bool i8042_taken(const struct i8042 *chip);
/* A20 was moved by somebody else: what the output port reads as from now on. */
void i8042_follow_a20(struct i8042 *chip, bool on);
uint8_t i8042_leds(const struct i8042 *chip);
/* Its section is to be restored after the clock. */
struct section i8042_section(struct i8042 *chip);

#endif
