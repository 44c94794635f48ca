/* The port that ends a run. */
#include "device/debugexit.h"

#include <stddef.h>

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	(void)opaque;
	(void)reg;
	(void)size;
	return (0);
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	const struct debugexit *chip = opaque;

	(void)reg;
	(void)size;
	if (chip->ended != NULL)
		chip->ended(chip->opaque, value);
}

const struct port_ops debugexit_ports = {.read = port_read, .write = port_write, .max_size = 4};
