/*
 * The I/O port bus. Chips are attached to ranges of ports by the board; a chip sees register
 * numbers (port minus the range's first port), never ports. Nobody home: reads give all ones,
 * writes vanish, as on ISA.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include <stdbool.h>
#include <stdint.h>

#define BUS_PORTS 65536
#define BUS_RANGES_MAX 255

struct port_ops {
	/* SIZE is 1, 2 or 4 bytes and at most MAX_SIZE; wider accesses are split by the bus. */
	uint32_t (*read)(void *chip, uint16_t reg, unsigned size);
	void (*write)(void *chip, uint16_t reg, unsigned size, uint32_t value);
	unsigned max_size; /* 0 counts as 1: the 8-bit chips of ISA */
};

struct port_range {
	const char *name; /* of the chip, for traces */
	const struct port_ops *ops;
	void *chip;
	uint16_t first;
	uint16_t reg_base; /* register number of the first port */
	uint64_t reads, writes;
};

/* Sees every access after it was done (trace); and every access that nobody answers (strict I/O). */
struct bus_observer {
	void (*access)(void *opaque, uint16_t port, unsigned size, bool write, uint32_t value);
	void (*unassigned)(void *opaque, uint16_t port, unsigned size, bool write, uint32_t value);
	void *opaque;
};

struct bus {
	uint8_t owner[BUS_PORTS]; /* index into ranges + 1; 0 = nobody */
	struct port_range ranges[BUS_RANGES_MAX];
	unsigned nranges;
	uint64_t unassigned; /* accesses that nobody answered */
	struct bus_observer observer;
};

/* Attach CHIP to COUNT ports from FIRST on; later calls take over ports of earlier ones.
 * REG_BASE is the register number of FIRST. Returns 0, or -1 when the table is full. */
int bus_attach(struct bus *bus, const char *name, const struct port_ops *ops, void *chip,
    uint16_t first, unsigned count, uint16_t reg_base);
/* Read SIZE (1, 2, 4) bytes from PORT; little-endian over consecutive ports. */
uint32_t bus_in(struct bus *bus, uint16_t port, unsigned size);
void bus_out(struct bus *bus, uint16_t port, unsigned size, uint32_t value);
/* Name of the chip behind PORT, NULL when nobody is. */
const char *bus_port_name(const struct bus *bus, uint16_t port);

#endif
