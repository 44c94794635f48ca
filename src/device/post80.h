/* The latch behind port 80h that POST codes go to: what was written last can be read back. */
#ifndef DEVICE_POST80_H
#define DEVICE_POST80_H

#include <stdint.h>

#include "bus/bus.h"
#include "bus/section.h"

struct post80 {
	struct {
		uint8_t value;
	} s;
};

extern const struct port_ops post80_ports; /* register 0 */

void post80_init(struct post80 *chip);
void post80_reset(struct post80 *chip);
struct section post80_section(struct post80 *chip);

#endif
