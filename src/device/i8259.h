/*
 * 8259A programmable interrupt controller (Intel data sheet 231468), with the edge/level control
 * register that ISA bridges add (82371SB data sheet, ELCR): bit LTIM of ICW1 is therefore ignored,
 * as there. One chip; the board joins two by i8259_cascade() and attaches each to two ports, its
 * ELCR to a third.
 *
 * After reset a chip is silent until it got its ICW1 to ICW4, as POST sends them.
 */
#ifndef DEVICE_I8259_H
#define DEVICE_I8259_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/line.h"
#include "bus/section.h"

#define I8259_CASCADE 2 /* the master's input that the slave's INT leads to */

struct i8259_state {
	uint8_t irr;	/* requests */
	uint8_t isr;	/* in service */
	uint8_t imr;	/* masks */
	uint8_t inputs; /* levels at IR0..IR7 */
	uint8_t elcr;	/* inputs that are level triggered */
	uint8_t vector; /* ICW2, bits 7..3 */
	uint8_t icw1;
	uint8_t icw3;
	uint8_t icw4;
	uint8_t expect; /* which ICW comes next (2..4), 0 = working, 1 = waits for ICW1 */
	uint8_t lowest; /* input of the lowest priority */
	uint8_t ocw3;	/* read and poll choice */
	uint8_t special_mask;
	uint8_t rotate_aeoi;
	uint8_t intr; /* level of INT */
	uint8_t pad;
};

struct i8259 {
	struct i8259_state s;
	uint8_t elcr_mask;   /* inputs whose ELCR bit can be set */
	struct i8259 *slave; /* at IR2, master only */
	struct line intr;    /* INT */
	bool is_master;
};

extern const struct port_ops i8259_ports;      /* A0 = register 0, 1 */
extern const struct port_ops i8259_elcr_ports; /* register 0 */

/* INTR is where the chip's INT leads: to the CPU; a slave's is connected by i8259_cascade(). */
void i8259_init(struct i8259 *chip, bool is_master, struct line intr);
void i8259_reset(struct i8259 *chip);
/* Connect SLAVE's INT to MASTER's IR2 and its vectors to MASTER's acknowledge. */
void i8259_cascade(struct i8259 *master, struct i8259 *slave);
/* Drive input IR (0..7). */
void i8259_set_irq(struct i8259 *chip, int ir, bool level);
/* The same as a line's set(): OPAQUE is the chip. */
void i8259_line_set(void *opaque, int ir, bool level);
/*
 * The INTA cycle: the vector of the highest request of MASTER and its slave, which goes into
 * service. With nothing requested (any more) that is the spurious IR7's.
 */
int i8259_ack(struct i8259 *master);
/* Whether INT is up. */
bool i8259_pending(const struct i8259 *chip);

uint8_t i8259_read(struct i8259 *chip, unsigned a0);
void i8259_write(struct i8259 *chip, unsigned a0, uint8_t value);
struct section i8259_section(struct i8259 *chip);

#endif
