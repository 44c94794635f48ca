/*
 * The PC/AT's latch between the coprocessor's error line and IRQ 13 (Technical Reference, "Math
 * coprocessor"; 82371SB data sheet, "Coprocessor Error Register"): FERR# raises the request, a
 * write to port F0h takes it back and lets the processor go on.
 */
#ifndef DEVICE_PORTF0_H
#define DEVICE_PORTF0_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/line.h"
#include "bus/section.h"

struct portf0 {
	struct {
		uint8_t busy; /* FERR# was seen, and nobody has written since */
	} s;
	struct line irq;
};

extern const struct port_ops portf0_ports; /* register 0: F0h; 1: F1h, reset, the same here */

void portf0_init(struct portf0 *chip, struct line irq);
void portf0_reset(struct portf0 *chip);
/* FERR# was asserted. */
void portf0_error(struct portf0 *chip);
struct section portf0_section(struct portf0 *chip);

#endif
