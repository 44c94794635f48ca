/* System control port A at 92h. */
#include "device/port92.h"

#include <string.h>

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	const struct port92 *chip = opaque;

	(void)reg;
	(void)size;
	return (chip->s.value);
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	struct port92 *chip = opaque;
	uint8_t old = chip->s.value;

	(void)reg;
	(void)size;
	chip->s.value = (uint8_t)value;
	line_set(&chip->a20, (value & PORT92_A20) != 0);
	if ((value & PORT92_RESET) != 0 && (old & PORT92_RESET) == 0) {
		line_set(&chip->reset, true);
		line_set(&chip->reset, false);
	}
}

const struct port_ops port92_ports = {.read = port_read, .write = port_write};

void
port92_init(struct port92 *chip, struct line a20, struct line reset)
{
	memset(chip, 0, sizeof(*chip));
	chip->a20 = a20;
	chip->reset = reset;
}

void
port92_reset(struct port92 *chip)
{
	chip->s.value = 0;
}

void
port92_follow_a20(struct port92 *chip, bool on)
{
	chip->s.value = (uint8_t)((chip->s.value & ~PORT92_A20) | (on ? PORT92_A20 : 0));
}

struct section
port92_section(struct port92 *chip)
{
	/* Nothing to do when restored: the memory map keeps A20 itself. */
	return ((struct section){
	    .id = "port92",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .owner = chip,
	});
}
