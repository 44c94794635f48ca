/* The coprocessor's error latch. */
#include "device/portf0.h"

#include <string.h>

static void
set(struct portf0 *chip, bool busy)
{
	chip->s.busy = busy;
	line_set(&chip->irq, busy);
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	(void)reg;
	(void)size;
	(void)value;
	set(opaque, false);
}

const struct port_ops portf0_ports = {.write = port_write};

void
portf0_init(struct portf0 *chip, struct line irq)
{
	memset(chip, 0, sizeof(*chip));
	chip->irq = irq;
}

void
portf0_reset(struct portf0 *chip)
{
	set(chip, false);
}

void
portf0_error(struct portf0 *chip)
{
	set(chip, true);
}

static int
restored(void *owner)
{
	struct portf0 *chip = owner;

	set(chip, chip->s.busy & 1);
	return (0);
}

struct section
portf0_section(struct portf0 *chip)
{
	return ((struct section){
	    .id = "portf0",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .restored = restored,
	    .owner = chip,
	});
}
