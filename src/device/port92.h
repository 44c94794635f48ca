/*
 * System control port A at 92h (IBM PS/2 Hardware Interface Technical Reference): bit 0 resets the
 * CPU when it goes from 0 to 1, bit 1 is the fast A20 gate. The other bits are kept and read back.
 *
 * Who else moves A20 (the 8042) is the board's business: it gets each write's level on the line.
 */
#ifndef DEVICE_PORT92_H
#define DEVICE_PORT92_H

#include <stdint.h>

#include "bus/bus.h"
#include "bus/line.h"
#include "bus/section.h"

#define PORT92_RESET 0x01u
#define PORT92_A20 0x02u

struct port92 {
	struct {
		uint8_t value;
	} s;
	struct line a20;
	struct line reset; /* pulsed high, then low */
};

extern const struct port_ops port92_ports; /* register 0 */

void port92_init(struct port92 *chip, struct line a20, struct line reset);
/* A20 off, as after power-on; POST turns it on by a write. Drives no line. */
void port92_reset(struct port92 *chip);
/* A20 was moved by somebody else: what bit 1 reads as from now on. */
void port92_follow_a20(struct port92 *chip, bool on);
struct section port92_section(struct port92 *chip);

#endif
