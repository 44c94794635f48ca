/*
 * The reset control register at CF9h of PC chip sets (82371SB data sheet, "RC - Reset Control
 * Register"): bit 2 going from 0 to 1 resets the processor, bit 1 says whether hard or soft. Which
 * of the two it is makes no difference here: what survives is up to the CMOS shutdown code.
 *
 * It takes single bytes only. Wider accesses around it are to PCI's configuration address (CF8h),
 * whose second byte would else be taken for it.
 */
#ifndef DEVICE_PORTCF9_H
#define DEVICE_PORTCF9_H

#include <stdint.h>

#include "bus/bus.h"
#include "bus/line.h"
#include "bus/section.h"

struct portcf9 {
	struct {
		uint8_t value;
	} s;
	struct line reset; /* pulsed high, then low */
};

extern const struct port_ops portcf9_ports; /* registers 0-3: CF8h-CFBh */

void portcf9_init(struct portcf9 *chip, struct line reset);
void portcf9_reset(struct portcf9 *chip);
struct section portcf9_section(struct portcf9 *chip);

#endif
