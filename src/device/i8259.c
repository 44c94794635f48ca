/* 8259A programmable interrupt controller; section titles are those of the data sheet. */
#include "device/i8259.h"

#include <string.h>

#define ICW1_IC4 0x01u	/* ICW4 will come */
#define ICW1_SNGL 0x02u /* no cascade, no ICW3 */
#define ICW1_INIT 0x10u
#define ICW4_AEOI 0x02u
#define ICW4_SFNM 0x10u
#define OCW3_RIS 0x01u
#define OCW3_RR 0x02u
#define OCW3_POLL 0x04u
#define OCW3_IS 0x08u
#define OCW3_SMM 0x20u
#define OCW3_ESMM 0x40u

/* Where IR stands: 0 = highest priority, 7 = lowest. */
static unsigned
rank_of(const struct i8259 *chip, unsigned ir)
{
	return ((ir - chip->s.lowest - 1u) & 7u);
}

/* The input of the highest priority in SET, -1 if SET is empty. */
static int
highest(const struct i8259 *chip, unsigned set)
{
	for (unsigned i = 1; i <= 8; i++)
		if ((set >> ((chip->s.lowest + i) & 7u) & 1) != 0)
			return ((int)((chip->s.lowest + i) & 7u));
	return (-1);
}

/* The request that is to be served now, -1 if none may interrupt. */
static int
next_request(const struct i8259 *chip)
{
	unsigned isr = chip->s.isr;
	int request, service;

	if (chip->s.expect != 0)
		return (-1);
	request = highest(chip, chip->s.irr & ~(unsigned)chip->s.imr);
	if (request < 0)
		return (-1);
	/* Special Mask Mode: what is masked does not hold others back. */
	if (chip->s.special_mask)
		isr &= ~(unsigned)chip->s.imr;
	/* Special Fully Nested Mode: a slave's higher requests pass its own lower ones. */
	if ((chip->s.icw4 & ICW4_SFNM) != 0 && chip->is_master)
		isr &= ~(1u << I8259_CASCADE);
	service = highest(chip, isr);
	if (service >= 0 && rank_of(chip, (unsigned)service) <= rank_of(chip, (unsigned)request))
		return (-1);
	return (request);
}

static void
drive(struct i8259 *chip, bool level)
{
	if (chip->s.intr == level)
		return;
	chip->s.intr = level;
	line_set(&chip->intr, level);
}

static void
update(struct i8259 *chip)
{
	drive(chip, next_request(chip) >= 0);
}

void
i8259_set_irq(struct i8259 *chip, int ir, bool level)
{
	uint8_t bit = (uint8_t)(1u << (ir & 7));
	bool was = (chip->s.inputs & bit) != 0;

	if (level) {
		chip->s.inputs |= bit;
		if (!was || (chip->s.elcr & bit) != 0)
			chip->s.irr |= bit;
	} else {
		/* "IR inputs must remain high until after the falling edge of the first INTA." */
		chip->s.inputs &= (uint8_t)~bit;
		chip->s.irr &= (uint8_t)~bit;
	}
	update(chip);
}

void
i8259_line_set(void *opaque, int ir, bool level)
{
	i8259_set_irq(opaque, ir, level);
}

/* Put IR into service, as at the second INTA. */
static void
serve(struct i8259 *chip, unsigned ir)
{
	uint8_t bit = (uint8_t)(1u << ir);

	if ((chip->s.elcr & bit) == 0)
		chip->s.irr &= (uint8_t)~bit;
	if ((chip->s.icw4 & ICW4_AEOI) == 0)
		chip->s.isr |= bit;
	else if (chip->s.rotate_aeoi)
		chip->s.lowest = (uint8_t)ir;
	/* INT falls in any case, so that a slave's next request is a new edge for the master. */
	drive(chip, false);
	update(chip);
}

int
i8259_ack(struct i8259 *master)
{
	int ir = next_request(master);
	struct i8259 *slave = master->slave;

	if (ir < 0)
		return (master->s.vector | 7);
	if (ir != I8259_CASCADE || slave == NULL || (master->s.icw1 & ICW1_SNGL) != 0) {
		serve(master, (unsigned)ir);
		return (master->s.vector | ir);
	}
	serve(master, I8259_CASCADE);
	ir = next_request(slave);
	if (ir < 0)
		return (slave->s.vector | 7);
	serve(slave, (unsigned)ir);
	return (slave->s.vector | ir);
}

bool
i8259_pending(const struct i8259 *chip)
{
	return (chip->s.intr != 0);
}

static void
end_of_interrupt(struct i8259 *chip, int ir, bool rotate)
{
	if (ir < 0)
		return;
	chip->s.isr &= (uint8_t) ~(1u << ir);
	if (rotate)
		chip->s.lowest = (uint8_t)ir;
}

/* Operation Command Word 2: R, SL, EOI in bits 7..5. */
static void
write_ocw2(struct i8259 *chip, uint8_t value)
{
	int level = value & 7;
	unsigned isr = chip->s.isr;

	/* "An IS bit that is masked will not be cleared by a non-specific EOI" in that mode. */
	if (chip->s.special_mask)
		isr &= ~(unsigned)chip->s.imr;
	switch (value >> 5) {
	case 0: /* rotate in automatic EOI mode: clear */
	case 4: /* ... set */
		chip->s.rotate_aeoi = value >> 7;
		break;
	case 1: /* non-specific EOI */
	case 5: /* rotate on non-specific EOI */
		end_of_interrupt(chip, highest(chip, isr), value >> 7);
		break;
	case 3: /* specific EOI */
	case 7: /* rotate on specific EOI */
		end_of_interrupt(chip, level, value >> 7);
		break;
	case 6: /* set priority */
		chip->s.lowest = (uint8_t)level;
		break;
	default: /* no operation */
		break;
	}
}

static void
write_ocw3(struct i8259 *chip, uint8_t value)
{
	if ((value & OCW3_ESMM) != 0)
		chip->s.special_mask = (value & OCW3_SMM) != 0;
	if ((value & OCW3_RR) != 0)
		chip->s.ocw3 = value & OCW3_RIS;
	if ((value & OCW3_POLL) != 0)
		chip->s.ocw3 |= OCW3_POLL;
}

/* Initialization Command Word 1: what it clears is listed in "Initialization". */
static void
write_icw1(struct i8259 *chip, uint8_t value)
{
	chip->s.icw1 = value;
	chip->s.imr = 0;
	chip->s.isr = 0;
	/* The edge sense circuit wants a new low-to-high transition. */
	chip->s.irr = chip->s.inputs & chip->s.elcr;
	chip->s.lowest = 7;
	chip->s.special_mask = 0;
	chip->s.rotate_aeoi = 0;
	chip->s.ocw3 = 0;
	chip->s.icw4 = 0;
	chip->s.expect = 2;
}

static void
write_icw(struct i8259 *chip, uint8_t value)
{
	switch (chip->s.expect) {
	case 2:
		chip->s.vector = value & 0xf8;
		if ((chip->s.icw1 & ICW1_SNGL) == 0)
			chip->s.expect = 3;
		else
			chip->s.expect = (chip->s.icw1 & ICW1_IC4) != 0 ? 4 : 0;
		break;
	case 3:
		chip->s.icw3 = value;
		chip->s.expect = (chip->s.icw1 & ICW1_IC4) != 0 ? 4 : 0;
		break;
	case 4:
		chip->s.icw4 = value;
		chip->s.expect = 0;
		break;
	default:
		break;
	}
}

void
i8259_write(struct i8259 *chip, unsigned a0, uint8_t value)
{
	if (a0 == 0) {
		if ((value & ICW1_INIT) != 0)
			write_icw1(chip, value);
		else if ((value & OCW3_IS) != 0)
			write_ocw3(chip, value);
		else
			write_ocw2(chip, value);
	} else if (chip->s.expect > 1) {
		write_icw(chip, value);
	} else {
		chip->s.imr = value; /* OCW1 */
	}
	update(chip);
}

/* "Poll Command": the read stands for INTA and gives the request's level. */
static uint8_t
poll(struct i8259 *chip)
{
	int ir = next_request(chip);

	chip->s.ocw3 &= (uint8_t)~OCW3_POLL;
	if (ir < 0)
		return (0);
	serve(chip, (unsigned)ir);
	return ((uint8_t)(0x80 | ir));
}

uint8_t
i8259_read(struct i8259 *chip, unsigned a0)
{
	if ((chip->s.ocw3 & OCW3_POLL) != 0)
		return (poll(chip));
	if (a0 != 0)
		return (chip->s.imr);
	return ((chip->s.ocw3 & OCW3_RIS) != 0 ? chip->s.isr : chip->s.irr);
}

static void
set_elcr(struct i8259 *chip, uint8_t value)
{
	uint8_t changed = (uint8_t)((value ^ chip->s.elcr) & chip->elcr_mask);

	chip->s.elcr = value & chip->elcr_mask;
	/* A level input requests while it is high; one that became edge triggered waits for one. */
	chip->s.irr = (uint8_t)((chip->s.irr & ~changed) | (chip->s.inputs & chip->s.elcr));
	update(chip);
}

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	(void)size;
	return (i8259_read(opaque, reg & 1u));
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	(void)size;
	i8259_write(opaque, reg & 1u, (uint8_t)value);
}

static uint32_t
elcr_read(void *opaque, uint16_t reg, unsigned size)
{
	const struct i8259 *chip = opaque;

	(void)reg;
	(void)size;
	return (chip->s.elcr);
}

static void
elcr_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	(void)reg;
	(void)size;
	set_elcr(opaque, (uint8_t)value);
}

const struct port_ops i8259_ports = {.read = port_read, .write = port_write};
const struct port_ops i8259_elcr_ports = {.read = elcr_read, .write = elcr_write};

void
i8259_init(struct i8259 *chip, bool is_master, struct line intr)
{
	memset(chip, 0, sizeof(*chip));
	chip->is_master = is_master;
	chip->intr = intr;
	/* Timer, keyboard, cascade; clock (IRQ8) and FPU (IRQ13) are always edge triggered. */
	chip->elcr_mask = is_master ? 0xf8 : 0xde;
	i8259_reset(chip);
}

void
i8259_reset(struct i8259 *chip)
{
	uint8_t inputs = chip->s.inputs;

	drive(chip, false);
	memset(&chip->s, 0, sizeof(chip->s));
	chip->s.inputs = inputs;
	chip->s.lowest = 7;
	chip->s.expect = 1;
}

void
i8259_cascade(struct i8259 *master, struct i8259 *slave)
{
	master->slave = slave;
	slave->intr =
	    (struct line){.set = i8259_line_set, .opaque = master, .number = I8259_CASCADE};
}

static int
restored(void *owner)
{
	struct i8259 *chip = owner;
	struct i8259_state *s = &chip->s;

	s->elcr &= chip->elcr_mask;
	s->vector &= 0xf8;
	s->lowest &= 7;
	s->ocw3 &= OCW3_RIS | OCW3_POLL;
	if (s->expect > 4)
		s->expect = 1;
	s->irr = (uint8_t)((s->irr & s->inputs) | (s->inputs & s->elcr));
	s->intr = next_request(chip) >= 0;
	line_set(&chip->intr, s->intr);
	return (0);
}

struct section
i8259_section(struct i8259 *chip)
{
	struct section section = {
	    .id = "i8259.slave",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .restored = restored,
	    .owner = chip,
	};

	if (chip->is_master)
		memcpy(section.id, "i8259.master", sizeof("i8259.master"));
	return (section);
}
