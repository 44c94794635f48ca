/*
 * What each of the two engines sees: its memory, with the machine's map, and a bus of ports that all
 * lead here. The leader's accesses are made on the machine's bus and logged; the follower's are
 * answered from the log.
 */
#include <sys/mman.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/lockstep_parts.h"

/* --- accesses ------------------------------------------------------------------------------------- */

static void
begin_access(struct pair *p)
{
	vcpu_pull(&p->side[LOCKSTEP_LEADER].vcpu, VCPU_GPR | VCPU_SREGS);
	lockstep_copy_groups(&p->before, p->outer->state, VCPU_GPR | VCPU_SREGS);
	p->in_access = true;
}

/* Both engines come back behind this instruction. */
static void
end_access(struct pair *p, const struct lockstep_access *access)
{
	p->in_access = false;
	if (p->nlog < LOG_MAX)
		p->log[p->nlog++] = *access;
	else
		p->overflow = true;
	vcpu_stop(&p->side[LOCKSTEP_LEADER].vcpu);
}

static uint32_t
leader_in(void *chip, uint16_t port, unsigned size)
{
	struct pair *p = chip;
	struct lockstep_access a = {.kind = LOCKSTEP_PORT, .size = size, .address = port};

	begin_access(p);
	a.value = bus_in(p->outer->world.bus, port, size);
	end_access(p, &a);
	return ((uint32_t)a.value);
}

static void
leader_out(void *chip, uint16_t port, unsigned size, uint32_t value)
{
	struct pair *p = chip;
	const struct lockstep_access a = {
	    .kind = LOCKSTEP_PORT, .write = true, .size = size, .address = port, .value = value};

	begin_access(p);
	bus_out(p->outer->world.bus, port, size, value);
	end_access(p, &a);
}

static uint32_t
follower_in(void *chip, uint16_t port, unsigned size)
{
	return ((uint32_t)lockstep_follow(
	    chip, (struct lockstep_access){.kind = LOCKSTEP_PORT, .size = size, .address = port})
		    .value);
}

static void
follower_out(void *chip, uint16_t port, unsigned size, uint32_t value)
{
	lockstep_follow(chip,
	    (struct lockstep_access){.kind = LOCKSTEP_PORT,
		.write = true,
		.size = size,
		.address = port,
		.value = value});
}

/* The region as the machine has it. */
static const struct mem_region *
real_region(const struct window *w)
{
	return (&w->pair->outer->world.mem->regions[w->region]);
}

static uint64_t
leader_mmio_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct window *w = opaque;
	const struct mem_region *region = real_region(w);
	struct lockstep_access a = {
	    .kind = LOCKSTEP_MMIO, .size = size, .address = region->gpa + offset};

	begin_access(w->pair);
	w->pair->outer->world.mem->mmio_reads++;
	a.value = region->ops->read(region->opaque, offset, size);
	end_access(w->pair, &a);
	return (a.value);
}

static void
leader_mmio_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	const struct window *w = opaque;
	const struct mem_region *region = real_region(w);
	const struct lockstep_access a = {.kind = LOCKSTEP_MMIO,
	    .write = true,
	    .size = size,
	    .address = region->gpa + offset,
	    .value = value};

	begin_access(w->pair);
	w->pair->outer->world.mem->mmio_writes++;
	region->ops->write(region->opaque, offset, size, value);
	end_access(w->pair, &a);
}

static uint64_t
follower_mmio_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct window *w = opaque;
	uint64_t gpa = w->pair->side[LOCKSTEP_FOLLOWER].mem.regions[w->region].gpa;

	return (lockstep_follow(w->pair,
	    (struct lockstep_access){.kind = LOCKSTEP_MMIO, .size = size, .address = gpa + offset})
		    .value);
}

static void
follower_mmio_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	const struct window *w = opaque;
	uint64_t gpa = w->pair->side[LOCKSTEP_FOLLOWER].mem.regions[w->region].gpa;

	lockstep_follow(w->pair,
	    (struct lockstep_access){.kind = LOCKSTEP_MMIO,
		.write = true,
		.size = size,
		.address = gpa + offset,
		.value = value});
}

/* MSRs of the local APIC. SIZE is 8, or 0 when there is no such one. */
static bool
leader_read_msr(void *opaque, uint32_t number, uint64_t *value)
{
	struct pair *p = opaque;
	const struct apic_port *apic = &p->outer->world.apic;
	struct lockstep_access a = {.kind = LOCKSTEP_MSR, .address = number};

	begin_access(p);
	a.size = apic->read_msr(apic->opaque, number, value) ? 8 : 0;
	a.value = *value;
	end_access(p, &a);
	return (a.size != 0);
}

static bool
leader_write_msr(void *opaque, uint32_t number, uint64_t value)
{
	struct pair *p = opaque;
	const struct apic_port *apic = &p->outer->world.apic;
	struct lockstep_access a = {
	    .kind = LOCKSTEP_MSR, .write = true, .address = number, .value = value};

	begin_access(p);
	a.size = apic->write_msr(apic->opaque, number, value) ? 8 : 0;
	end_access(p, &a);
	return (a.size != 0);
}

/* Nobody but a processor has CR8: no exit, and each engine has written it by itself. */
static void
leader_write_cr8(void *opaque, uint64_t value)
{
	struct pair *p = opaque;
	const struct apic_port *apic = &p->outer->world.apic;

	p->own = true;
	apic->write_cr8(apic->opaque, value);
	p->own = false;
}

static void
leader_tsc_changed(void *opaque)
{
	const struct pair *p = opaque;
	const struct apic_port *apic = &p->outer->world.apic;

	apic->tsc_changed(apic->opaque);
}

static bool
follower_read_msr(void *opaque, uint32_t number, uint64_t *value)
{
	const struct lockstep_access a = lockstep_follow(
	    opaque, (struct lockstep_access){.kind = LOCKSTEP_MSR, .size = 8, .address = number});

	*value = a.value;
	return (a.size != 0);
}

static bool
follower_write_msr(void *opaque, uint32_t number, uint64_t value)
{
	return (lockstep_follow(opaque,
		    (struct lockstep_access){.kind = LOCKSTEP_MSR,
			.write = true,
			.size = 8,
			.address = number,
			.value = value})
		    .size != 0);
}

static void
follower_write_cr8(void *opaque, uint64_t value)
{
	(void)opaque;
	(void)value;
}

static void
follower_tsc_changed(void *opaque)
{
	(void)opaque;
}

/* The board is told once, and where the leader stands an interrupt may come now. */
static void
leader_ferr(void *opaque)
{
	struct pair *p = opaque;

	p->outer->world.ferr(p->outer->world.ferr_opaque);
	vcpu_stop(&p->side[LOCKSTEP_LEADER].vcpu);
}

/* --- memory ----------------------------------------------------------------------------------------- */

/* The map of SIDE as the machine's is now, with devices that lead here. */
static void
take_map(struct pair *p, unsigned side)
{
	static const struct mmio_ops ops[2] = {
	    {leader_mmio_read, leader_mmio_write}, {follower_mmio_read, follower_mmio_write}};
	const struct memory *real = p->outer->world.mem;
	struct mem_region regions[MEMORY_REGIONS_MAX];

	memcpy(regions, real->regions, sizeof(regions));
	for (unsigned i = 0; i < real->nregions; i++) {
		if (regions[i].ops == NULL)
			continue;
		p->side[side].windows[i] = (struct window){.pair = p, .side = side, .region = i};
		regions[i].ops = &ops[side];
		regions[i].opaque = &p->side[side].windows[i];
	}
	memory_take_map(&p->side[side].mem, regions, real->nregions, memory_get_a20(real));
}

static void
copy_map_to_follower(struct pair *p)
{
	take_map(p, LOCKSTEP_FOLLOWER);
	memory_take_map(&p->shadow, p->side[LOCKSTEP_FOLLOWER].mem.regions,
	    p->side[LOCKSTEP_FOLLOWER].mem.nregions, memory_get_a20(p->outer->world.mem));
}

/* The part of [gpa, gpa+size) that is RAM or ROM from the beginning on: false, none. */
static bool
clip(const struct memory *mem, uint64_t gpa, uint64_t *size)
{
	uint64_t end = gpa < MEMORY_HIGH_BASE ? mem->low_size : mem->limit;

	if (gpa >= end)
		return (false);
	if (*size > end - gpa)
		*size = end - gpa;
	return (true);
}

static void
copy_range(struct pair *p, uint64_t gpa, uint64_t size)
{
	struct memory *real = p->outer->world.mem, *mem = &p->side[LOCKSTEP_FOLLOWER].mem;

	if (!clip(real, gpa, &size))
		return;
	memcpy(mem->base + gpa, real->base + gpa, size);
	memcpy(p->shadow.base + gpa, real->base + gpa, size);
	memory_touched(mem, gpa, size);
}

static struct changes *
changes_now(struct pair *p)
{
	if (p->in_access)
		return (&p->during);
	return (p->lag == LAG_NONE ? NULL : &p->after);
}

/* The table is full: the last range grows, at worst over what was not written. */
static void
note_range(struct changes *c, uint64_t gpa, uint64_t size)
{
	uint64_t end = gpa + size, last;

	if (c->nranges < RANGES_MAX) {
		c->range[c->nranges].gpa = gpa;
		c->range[c->nranges++].size = size;
		return;
	}
	last = c->range[RANGES_MAX - 1].gpa + c->range[RANGES_MAX - 1].size;
	if (gpa < c->range[RANGES_MAX - 1].gpa)
		c->range[RANGES_MAX - 1].gpa = gpa;
	c->range[RANGES_MAX - 1].size = (end > last ? end : last) - c->range[RANGES_MAX - 1].gpa;
}

static void
map_changed(void *opaque, uint64_t gpa, uint64_t size)
{
	struct pair *p = opaque;
	struct changes *c = changes_now(p);

	(void)gpa;
	(void)size;
	take_map(p, LOCKSTEP_LEADER);
	if (c != NULL)
		c->map = true;
	else
		copy_map_to_follower(p);
}

static void
memory_written(void *opaque, uint64_t gpa, uint64_t size)
{
	struct pair *p = opaque;
	struct changes *c = changes_now(p);

	memory_touched(&p->side[LOCKSTEP_LEADER].mem, gpa, size);
	if (c != NULL)
		note_range(c, gpa, size);
	else
		copy_range(p, gpa, size);
}

/* --- changes ---------------------------------------------------------------------------------------- */

void
lockstep_copy_groups(struct vcpu_state *to, const struct vcpu_state *from, unsigned groups)
{
	if (groups & VCPU_GPR)
		to->gpr = from->gpr;
	if (groups & VCPU_SREGS)
		to->sregs = from->sregs;
	if (groups & VCPU_EVENTS)
		to->events = from->events;
	if (groups & VCPU_FPU)
		to->fpu = from->fpu;
	if (groups & VCPU_MSR)
		to->msr = from->msr;
	if (groups & VCPU_DEBUG)
		to->debug = from->debug;
}

void
lockstep_apply(struct pair *p, struct changes *c)
{
	struct vcpu *follower = &p->side[LOCKSTEP_FOLLOWER].vcpu;

	if (c->map)
		copy_map_to_follower(p);
	for (unsigned i = 0; i < c->nranges; i++)
		copy_range(p, c->range[i].gpa, c->range[i].size);
	if (c->groups != 0) {
		lockstep_copy_groups(follower->state, &c->state, c->groups);
		vcpu_push(follower, c->groups);
	}
	c->groups = 0;
	c->map = false;
	c->nranges = 0;
}

void
lockstep_pushed(struct pair *p, unsigned groups)
{
	struct changes *c = changes_now(p);
	struct changes now = {.groups = groups};

	if (p->own)
		return;
	if (c == NULL)
		c = &now;
	c->groups |= groups;
	lockstep_copy_groups(&c->state, p->outer->state, groups);
	if (c == &now)
		lockstep_apply(p, &now);
}

/* --- beginning and end ------------------------------------------------------------------------------- */

static void
attach_ports(struct pair *p)
{
	static const struct port_ops ops[2] = {
	    {leader_in, leader_out, 4}, {follower_in, follower_out, 4}};

	for (unsigned side = 0; side < 2; side++)
		(void)bus_attach(
		    &p->side[side].bus, p->ls->engines[side]->name, &ops[side], p, 0, BUS_PORTS, 0);
}

static struct engine_world
world_of(struct pair *p, unsigned side)
{
	static const struct apic_port apics[2] = {
	    {leader_read_msr, leader_write_msr, leader_write_cr8, leader_tsc_changed, NULL},
	    {follower_read_msr, follower_write_msr, follower_write_cr8, follower_tsc_changed,
		NULL}};
	struct engine_world w = p->outer->world;

	w.mem = &p->side[side].mem;
	w.bus = p->outer->world.bus != NULL ? &p->side[side].bus : NULL;
	w.int_ack = NULL;
	w.lockstep = NULL;
	if (w.apic.write_cr8 != NULL) {
		w.apic = apics[side];
		w.apic.opaque = p;
	}
	if (w.ferr != NULL)
		w.ferr = side == LOCKSTEP_LEADER ? leader_ferr : NULL;
	w.ferr_opaque = p;
	return (w);
}

static int
make_memory(struct pair *p)
{
	const struct memory *real = p->outer->world.mem;
	struct memory *const copies[2] = {&p->side[LOCKSTEP_FOLLOWER].mem, &p->shadow};

	if (memory_init(&p->side[LOCKSTEP_LEADER].mem, real->fd, real->low_size, real->high_size,
		true) != 0)
		return (-1);
	for (unsigned i = 0; i < 2; i++) {
		p->fd[i] = memfd_create("lockstep", MFD_CLOEXEC);
		if (p->fd[i] < 0 ||
		    memory_init(copies[i], p->fd[i], real->low_size, real->high_size, true) != 0)
			return (-1);
	}
	return (0);
}

/* What is in memory already. */
static void
copy_memory(struct pair *p)
{
	uint64_t from = 0, to;

	while (lockstep_data(p->outer->world.mem, &from, &to)) {
		memcpy(p->side[LOCKSTEP_FOLLOWER].mem.base + from, p->outer->world.mem->base + from,
		    to - from);
		memcpy(p->shadow.base + from, p->outer->world.mem->base + from, to - from);
		from = to;
	}
}

static int
make_vcpu(struct pair *p, unsigned side)
{
	struct side *s = &p->side[side];
	const struct engine_world world = world_of(p, side);
	unsigned options = p->outer->options | ENGINE_OPT_WRITTEN;

	s->own = *p->outer->state;
	if (p->outer->vmx != NULL)
		s->vmx = *p->outer->vmx;
	if (side == LOCKSTEP_LEADER)
		return (vcpu_create(&s->vcpu, p->ls->engines[side], p->outer->state, p->outer->vmx,
		    &world, options | ENGINE_OPT_VARIES));
	return (vcpu_create(&s->vcpu, p->ls->engines[side], &s->own, &s->vmx, &world, options));
}

int
lockstep_world_init(struct pair *p)
{
	const struct memory_listener listener = {map_changed, memory_written, p};

	p->fd[0] = p->fd[1] = -1;
	attach_ports(p);
	if (make_memory(p) != 0)
		return (-1);
	take_map(p, LOCKSTEP_LEADER);
	copy_map_to_follower(p);
	copy_memory(p);
	if (memory_listen(p->outer->world.mem, &listener) != 0) {
		errno = ENOSPC;
		return (-1);
	}
	return (
	    make_vcpu(p, LOCKSTEP_LEADER) != 0 || make_vcpu(p, LOCKSTEP_FOLLOWER) != 0 ? -1 : 0);
}

void
lockstep_world_fini(struct pair *p)
{
	memory_unlisten(p->outer->world.mem, p);
	for (unsigned i = 0; i < 2; i++) {
		vcpu_destroy(&p->side[i].vcpu);
		memory_fini(&p->side[i].mem);
		if (p->fd[i] >= 0)
			close(p->fd[i]);
	}
	memory_fini(&p->shadow);
}
