/*
 * 8254 programmable interval timer (Intel data sheet 231164): three counters at 1193182 Hz, all
 * modes, BCD, latch and read-back commands.
 *
 * Nothing counts here: what a counter holds is computed from the guest clock when somebody looks,
 * exactly, on a grid of input clock ticks since power-on. The only timer is for edges of OUT0,
 * which is the interrupt request IRQ0:
 *
 * - In the periodic modes 2 and 3 the line stays high between edges and falls just before it
 *   rises: the interrupt controller sees each rising edge, and a request that waits in it is not
 *   withdrawn because the host was late. i8254_out() tells OUT's true level.
 * - Edges that were missed because guest time jumped are not made up for: one edge comes, as one
 *   is all that an 8259A can remember.
 */
#ifndef DEVICE_I8254_H
#define DEVICE_I8254_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/clock.h"
#include "bus/line.h"
#include "bus/section.h"

#define I8254_HZ 1193182u
#define I8254_COUNTERS 3
#define I8254_CONTROL 3 /* register of the control word */

struct i8254_counter {
	uint64_t start;	 /* tick at which the count in effect was loaded */
	uint64_t paused; /* ticks counted when GATE went low, if not running */
	uint64_t change; /* tick at which next takes effect (modes 2 and 3), CLOCK_NEVER = none */
	uint32_t count;	 /* in effect: 1..65536, or up to 16665 for BCD */
	uint32_t next;
	uint16_t latch; /* latched count */
	uint8_t mode;
	uint8_t bcd;
	uint8_t access;	    /* 1 = low byte, 2 = high byte, 3 = both, low first */
	uint8_t gate;	    /* level */
	uint8_t loaded;	    /* a count was written since the control word */
	uint8_t triggered;  /* modes 1 and 5: counting since a trigger */
	uint8_t running;    /* GATE lets it count */
	uint8_t write_high; /* the second of two bytes is written next */
	uint8_t read_high;  /* ... is read next */
	uint8_t low;	    /* first of two bytes written */
	uint8_t latched;    /* bytes of latch that are still to be read */
	uint8_t status;	    /* latched status */
	uint8_t status_latched;
	uint8_t pad[7];
};

struct i8254_state {
	struct i8254_counter counter[I8254_COUNTERS];
};

struct i8254 {
	struct i8254_state s;
	struct clock *clock;
	struct timer timer; /* next rising edge of OUT0 */
	struct line out0;
};

extern const struct port_ops i8254_ports; /* registers 0..3 */

void i8254_init(struct i8254 *chip, struct clock *clock, struct line out0);
/* Counters 0 and 1 have their GATE high, counter 2 low; none counts before it is programmed. */
void i8254_reset(struct i8254 *chip);
void i8254_set_gate(struct i8254 *chip, unsigned counter, bool level);
/* Level of a counter's OUT now. */
bool i8254_out(const struct i8254 *chip, unsigned counter);
uint8_t i8254_read(struct i8254 *chip, unsigned reg);
void i8254_write(struct i8254 *chip, unsigned reg, uint8_t value);
/* Its section is to be restored after the clock. */
struct section i8254_section(struct i8254 *chip);

#endif
