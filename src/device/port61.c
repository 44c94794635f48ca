/* System control port B at 61h. */
#include "device/port61.h"

#include <string.h>

#define WRITABLE (PORT61_GATE2 | PORT61_SPEAKER | PORT61_PARITY_OFF | PORT61_IOCHK_OFF)
/* Counter 1 asks for a refresh every 18 ticks of 1193182 Hz. */
#define REFRESH_NS 15085u

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	const struct port61 *chip = opaque;
	uint32_t value = chip->s.value;

	(void)reg;
	(void)size;
	if (clock_now(chip->clock) / REFRESH_NS % 2 != 0)
		value |= PORT61_REFRESH;
	if (i8254_out(chip->timer, 2))
		value |= PORT61_OUT2;
	return (value);
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	struct port61 *chip = opaque;

	(void)reg;
	(void)size;
	chip->s.value = value & WRITABLE;
	i8254_set_gate(chip->timer, 2, (value & PORT61_GATE2) != 0);
}

const struct port_ops port61_ports = {.read = port_read, .write = port_write};

void
port61_init(struct port61 *chip, struct clock *clock, struct i8254 *timer)
{
	memset(chip, 0, sizeof(*chip));
	chip->clock = clock;
	chip->timer = timer;
}

void
port61_reset(struct port61 *chip)
{
	port_write(chip, 0, 1, 0);
}

static int
restored(void *owner)
{
	struct port61 *chip = owner;

	/* Drives the gate to the level that it should have. */
	port_write(chip, 0, 1, chip->s.value);
	return (0);
}

struct section
port61_section(struct port61 *chip)
{
	return ((struct section){
	    .id = "port61",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .restored = restored,
	    .owner = chip,
	});
}
