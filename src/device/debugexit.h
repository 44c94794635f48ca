/*
 * The port that ends a run, as QEMU's isa-debug-exit: what is written (8, 16 or 32 bits) goes to
 * the host, which makes an exit status of it. A read gives 0. No state.
 */
#ifndef DEVICE_DEBUGEXIT_H
#define DEVICE_DEBUGEXIT_H

#include <stdint.h>

#include "bus/bus.h"

struct debugexit {
	void (*ended)(void *opaque, uint32_t value);
	void *opaque;
};

extern const struct port_ops debugexit_ports; /* registers 0..3 */

#endif
