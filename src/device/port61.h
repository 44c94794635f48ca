/*
 * System control port B at 61h (IBM AT Technical Reference, "System Board"; 82371SB data sheet,
 * NMISC): the 8254's counter 2 and the speaker, the refresh toggle that delay loops count.
 */
#ifndef DEVICE_PORT61_H
#define DEVICE_PORT61_H

#include <stdint.h>

#include "bus/bus.h"
#include "bus/clock.h"
#include "bus/section.h"
#include "device/i8254.h"

#define PORT61_GATE2 0x01u
#define PORT61_SPEAKER 0x02u
#define PORT61_PARITY_OFF 0x04u
#define PORT61_IOCHK_OFF 0x08u
#define PORT61_REFRESH 0x10u /* read: changes with every refresh request */
#define PORT61_OUT2 0x20u    /* read: OUT of counter 2 */

struct port61 {
	struct {
		uint8_t value; /* bits 3..0 as written */
	} s;
	struct clock *clock;
	struct i8254 *timer;
};

extern const struct port_ops port61_ports; /* register 0 */

void port61_init(struct port61 *chip, struct clock *clock, struct i8254 *timer);
void port61_reset(struct port61 *chip);
/* Section to be restored after the 8254's. */
struct section port61_section(struct port61 *chip);

#endif
