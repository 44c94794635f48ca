/* The latch behind port 80h. */
#include "device/post80.h"

#include <string.h>

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	const struct post80 *chip = opaque;

	(void)reg;
	(void)size;
	return (chip->s.value);
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	struct post80 *chip = opaque;

	(void)reg;
	(void)size;
	chip->s.value = (uint8_t)value;
}

const struct port_ops post80_ports = {.read = port_read, .write = port_write};

void
post80_init(struct post80 *chip)
{
	memset(chip, 0, sizeof(*chip));
}

void
post80_reset(struct post80 *chip)
{
	chip->s.value = 0;
}

struct section
post80_section(struct post80 *chip)
{
	return ((struct section){
	    .id = "post80",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .owner = chip,
	});
}
