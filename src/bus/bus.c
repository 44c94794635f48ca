/* The I/O port bus: one byte a port says who answers. */
#include "bus/bus.h"

#include <stddef.h>

int
bus_attach(struct bus *bus, const char *name, const struct port_ops *ops, void *chip,
    uint16_t first, unsigned count, uint16_t reg_base)
{
	if (bus->nranges == BUS_RANGES_MAX || (unsigned)first + count > BUS_PORTS)
		return (-1);
	bus->ranges[bus->nranges++] = (struct port_range){
	    .name = name,
	    .ops = ops,
	    .chip = chip,
	    .first = first,
	    .reg_base = reg_base,
	};
	for (unsigned i = 0; i < count; i++)
		bus->owner[first + i] = (uint8_t)bus->nranges;
	return (0);
}

static unsigned
range_width(const struct port_range *range)
{
	return (range->ops->max_size != 0 ? range->ops->max_size : 1);
}

static uint32_t
all_ones(unsigned size)
{
	return (size == 4 ? UINT32_MAX : (1u << size * 8) - 1);
}

/* One access that one chip can take whole. */
static uint32_t
read_one(struct bus *bus, uint16_t port, unsigned size)
{
	struct port_range *range;

	if (bus->owner[port] == 0) {
		bus->unassigned++;
		if (bus->observer.unassigned != NULL)
			bus->observer.unassigned(bus->observer.opaque, port, size, false, 0);
		return (all_ones(size));
	}
	range = &bus->ranges[bus->owner[port] - 1];
	range->reads++;
	if (range->ops->read == NULL)
		return (all_ones(size));
	return (
	    range->ops->read(range->chip, (uint16_t)(port - range->first + range->reg_base), size) &
	    all_ones(size));
}

static void
write_one(struct bus *bus, uint16_t port, unsigned size, uint32_t value)
{
	struct port_range *range;

	if (bus->owner[port] == 0) {
		bus->unassigned++;
		if (bus->observer.unassigned != NULL)
			bus->observer.unassigned(bus->observer.opaque, port, size, true, value);
		return;
	}
	range = &bus->ranges[bus->owner[port] - 1];
	range->writes++;
	if (range->ops->write != NULL)
		range->ops->write(range->chip, (uint16_t)(port - range->first + range->reg_base),
		    size, value & all_ones(size));
}

/* How many of SIZE bytes at PORT go in one access: all, if one owner takes them, else one byte. */
static unsigned
step_size(const struct bus *bus, uint16_t port, unsigned size)
{
	uint8_t owner = bus->owner[port];

	for (unsigned i = 1; i < size; i++)
		if (bus->owner[(uint16_t)(port + i)] != owner)
			return (1);
	if (owner == 0 || range_width(&bus->ranges[owner - 1]) >= size)
		return (size);
	return (range_width(&bus->ranges[owner - 1]) >= 2 && size == 4 ? 2 : 1);
}

uint32_t
bus_in(struct bus *bus, uint16_t port, unsigned size)
{
	uint32_t value = 0;

	for (unsigned done = 0, step; done < size; done += step) {
		step = step_size(bus, (uint16_t)(port + done), size - done);
		value |= read_one(bus, (uint16_t)(port + done), step) << done * 8;
	}
	if (bus->observer.access != NULL)
		bus->observer.access(bus->observer.opaque, port, size, false, value);
	return (value);
}

void
bus_out(struct bus *bus, uint16_t port, unsigned size, uint32_t value)
{
	for (unsigned done = 0, step; done < size; done += step) {
		step = step_size(bus, (uint16_t)(port + done), size - done);
		write_one(bus, (uint16_t)(port + done), step, value >> done * 8);
	}
	if (bus->observer.access != NULL)
		bus->observer.access(bus->observer.opaque, port, size, true, value);
}

const char *
bus_port_name(const struct bus *bus, uint16_t port)
{
	return (bus->owner[port] != 0 ? bus->ranges[bus->owner[port] - 1].name : NULL);
}
