/*
 * Statistics. The bus, the CPU and the BIOS count by themselves what costs next to nothing there;
 * now and then that is added to the VM's statistics and to the board's counts.
 */
#include <stdio.h>
#include <string.h>

#include "machine/machine.h"

#define BSP 0

static int
counts_restored(void *owner)
{
	struct machine *m = owner;

	for (unsigned i = 0; i < MACHINE_CHIPS; i++)
		if (memchr(m->counts.chips[i].name, 0, sizeof(m->counts.chips[i].name)) == NULL)
			return (-1);
	m->bios.counts = m->counts.bios;
	return (0);
}

int
counts_init(struct machine *m, struct vmm_error *err)
{
	const struct section section = {.id = MACHINE_COUNTS_ID,
	    .version = MACHINE_COUNTS_VERSION,
	    .size = sizeof(m->counts),
	    .data = &m->counts,
	    .restored = counts_restored,
	    .owner = m};

	return (vmm_add_section(m->ctx, &section, err) < 0 ? -1 : 0);
}

void
counts_start(struct machine *m)
{
	m->running_since = host_ns();
}

void
counts_stop(struct machine *m)
{
	if (m->running_since != 0)
		m->run_ns += host_ns() - m->running_since;
	m->running_since = 0;
}

/* Add a range's accesses to those of its chip. */
static void
count_range(struct machine_counts *counts, struct port_range *range)
{
	unsigned i = 0;

	while (i < MACHINE_CHIPS - 1 && counts->chips[i].name[0] != '\0' &&
	    strcmp(counts->chips[i].name, range->name) != 0)
		i++;
	snprintf(counts->chips[i].name, sizeof(counts->chips[i].name), "%s", range->name);
	counts->chips[i].reads += range->reads;
	counts->chips[i].writes += range->writes;
	range->reads = range->writes = 0;
}

/* Accesses to ports since the last call. */
static uint64_t
count_ports(struct machine *m)
{
	uint64_t accesses = m->bus.unassigned;

	m->counts.unassigned += m->bus.unassigned;
	m->bus.unassigned = 0;
	for (unsigned i = 0; i < m->bus.nranges; i++) {
		struct port_range *range = &m->bus.ranges[i];

		if (range->reads + range->writes == 0)
			continue;
		accesses += range->reads + range->writes;
		count_range(&m->counts, range);
	}
	return (accesses);
}

/* Accesses to memory-mapped registers since the last call. */
static uint64_t
count_mmio(struct machine *m)
{
	uint64_t accesses = m->mem->mmio_reads + m->mem->mmio_writes;

	m->counts.mmio_reads += m->mem->mmio_reads;
	m->counts.mmio_writes += m->mem->mmio_writes;
	m->mem->mmio_reads = m->mem->mmio_writes = 0;
	return (accesses);
}

/* Run time since the last call. Two runs that count instructions have the same. */
static uint64_t
run_time(struct machine *m, uint64_t instructions)
{
	uint64_t ns;

	if (m->config.clock == MACHINE_CLOCK_ICOUNT)
		return (instructions * MACHINE_ICOUNT_NS);
	if (m->running_since != 0) {
		counts_stop(m);
		counts_start(m);
	}
	ns = m->run_ns;
	m->run_ns = 0;
	return (ns);
}

/* A port access and one to a memory-mapped register are VM exits on VT-x. */
void
counts_update(struct machine *m)
{
	uint64_t all = vcpu_instructions(&m->vcpu), instructions = all - m->counted_instructions;
	uint64_t ports = count_ports(m), mmio = count_mmio(m);

	m->counted_instructions = all;
	m->counts.bios = m->bios.counts;
	vmm_stat_add(m->ctx, BSP, VMM_STAT_EXIT_INOUT, ports);
	vmm_stat_add(m->ctx, BSP, VMM_STAT_EXIT_PAGING, mmio);
	vmm_stat_add(m->ctx, BSP, VMM_STAT_EXITS, ports + mmio);
	vmm_stat_add(m->ctx, BSP, VMM_STAT_INSTRUCTIONS, instructions);
	vmm_stat_add(m->ctx, BSP, VMM_STAT_RUNTIME, run_time(m, instructions));
}
