/*
 * PC16550D UART with FIFOs (National Semiconductor data sheet TL/C/8652). As on PC serial cards,
 * OUT2 gates the interrupt.
 *
 * What is written goes to the host at once: the transmitter is always empty. What the host sends
 * is there at once too; only the receiver's time-out (4 characters) is measured in guest time.
 */
#ifndef DEVICE_NS16550_H
#define DEVICE_NS16550_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/clock.h"
#include "bus/line.h"
#include "bus/section.h"

#define NS16550_FIFO 16

/* Modem status inputs, as in the upper half of MSR. */
#define NS16550_CTS 0x10u
#define NS16550_DSR 0x20u
#define NS16550_RI 0x40u
#define NS16550_DCD 0x80u

struct ns16550_state {
	uint8_t fifo[NS16550_FIFO]; /* received, oldest first */
	uint8_t nfifo;
	uint8_t ier;
	uint8_t fcr; /* bits 0 (enable), 7..6 (trigger) */
	uint8_t lcr;
	uint8_t mcr;
	uint8_t lsr; /* error bits; the others are computed */
	uint8_t msr; /* delta bits; the others are computed */
	uint8_t scr;
	uint8_t inputs;	   /* CTS, DSR, RI, DCD */
	uint8_t thre_due;  /* transmitter empty interrupt pending */
	uint8_t timed_out; /* character time-out pending */
	uint8_t rbr;	   /* read again when empty */
	uint16_t divisor;
	uint8_t pad[2];
	uint64_t deadline; /* guest ns of the character time-out, CLOCK_NEVER */
};

struct ns16550 {
	struct ns16550_state s;
	unsigned number;
	struct clock *clock;
	struct timer timer;
	struct line irq;
	void (*tx)(void *opaque, uint8_t byte); /* NULL: bytes vanish */
	void (*room)(void *opaque);		/* there is room to receive again; may be NULL */
	void *opaque;
};

extern const struct port_ops ns16550_ports; /* registers 0..7 */

/* NUMBER (0..9) tells the sections of several apart. tx, room, opaque are set by the caller. */
void ns16550_init(struct ns16550 *chip, unsigned number, struct clock *clock, struct line irq);
void ns16550_reset(struct ns16550 *chip);
/* A byte arrives on the serial line. Without room it is lost, and the guest sees an overrun. */
void ns16550_rx(struct ns16550 *chip, uint8_t byte);
/* How many bytes fit now. In loop-back mode none: the line is cut off. */
unsigned ns16550_rx_room(const struct ns16550 *chip);
/* Levels of the modem's lines: NS16550_CTS and so on; after reset CTS, DSR and DCD. */
void ns16550_set_modem(struct ns16550 *chip, uint8_t inputs);
/* Bits per second as programmed. */
unsigned ns16550_baud(const struct ns16550 *chip);
/* Its section is to be restored after the clock. */
struct section ns16550_section(struct ns16550 *chip);

#endif
