/*
 * The debug console at port E9h, as Bochs and QEMU have it: bytes written go to the host, a read
 * gives E9h, which is how a guest finds it. No state.
 */
#ifndef DEVICE_DEBUGCON_H
#define DEVICE_DEBUGCON_H

#include <stdint.h>

#include "bus/bus.h"

struct debugcon {
	void (*put)(void *opaque, uint8_t byte); /* NULL: bytes vanish */
	void *opaque;
};

extern const struct port_ops debugcon_ports; /* register 0 */

#endif
