/* The reset control register. */
#include "device/portcf9.h"

#include <string.h>

#define RC 1 /* the register */
#define RC_HARD 0x02u
#define RC_RESET 0x04u

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	const struct portcf9 *chip = opaque;

	return (reg == RC && size == 1 ? chip->s.value : UINT32_MAX);
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	struct portcf9 *chip = opaque;
	uint8_t old = chip->s.value;

	if (reg != RC || size != 1)
		return;
	chip->s.value = value & (RC_HARD | RC_RESET);
	if ((value & RC_RESET) != 0 && (old & RC_RESET) == 0) {
		line_set(&chip->reset, true);
		line_set(&chip->reset, false);
	}
}

const struct port_ops portcf9_ports = {.read = port_read, .write = port_write, .max_size = 4};

void
portcf9_init(struct portcf9 *chip, struct line reset)
{
	memset(chip, 0, sizeof(*chip));
	chip->reset = reset;
}

void
portcf9_reset(struct portcf9 *chip)
{
	chip->s.value = 0;
}

struct section
portcf9_section(struct portcf9 *chip)
{
	return ((struct section){
	    .id = "portcf9",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .owner = chip,
	});
}
