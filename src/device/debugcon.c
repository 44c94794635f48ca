/* The debug console at port E9h. */
#include "device/debugcon.h"

#include <stddef.h>

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	(void)opaque;
	(void)reg;
	(void)size;
	return (0xe9);
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	const struct debugcon *chip = opaque;

	(void)reg;
	(void)size;
	if (chip->put != NULL)
		chip->put(chip->opaque, (uint8_t)value);
}

const struct port_ops debugcon_ports = {.read = port_read, .write = port_write};
