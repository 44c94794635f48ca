/* A VM's counters by name: the vCPU's, the board's, and calls of each BIOS service. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/dump.h"

/* Who wants to see them. */
struct listener {
	void (*each)(void *opaque, const char *name, uint64_t value);
	void *opaque;
};

static void
tell(const struct listener *l, const char *name, uint64_t value)
{
	l->each(l->opaque, name, value);
}

static void
tell_chips(const struct listener *l, const struct machine_counts *counts)
{
	char name[48];

	for (unsigned i = 0; i < MACHINE_CHIPS && counts->chips[i].name[0] != '\0'; i++) {
		snprintf(name, sizeof(name), "port reads of %s", counts->chips[i].name);
		tell(l, name, counts->chips[i].reads);
		snprintf(name, sizeof(name), "port writes of %s", counts->chips[i].name);
		tell(l, name, counts->chips[i].writes);
	}
	tell(l, "port accesses nobody answers", counts->unassigned);
	tell(l, "memory-mapped reads", counts->mmio_reads);
	tell(l, "memory-mapped writes", counts->mmio_writes);
}

static void
tell_bios(const struct listener *l, const struct bios_counts *counts)
{
	const struct bios_count *sorted[BIOS_COUNTS];
	unsigned n = bios_counts_sorted(counts, sorted);
	char name[64];

	for (unsigned i = 0; i < n; i++) {
		bios_count_name(sorted[i], name, sizeof(name));
		tell(l, name, sorted[i]->calls);
	}
	if (counts->others != 0)
		tell(l, "other bios calls", counts->others);
}

/* The board's section of the state file; NULL: there is none. To be freed. */
static struct machine_counts *
read_counts(struct vmctx *ctx)
{
	struct machine_counts *counts = calloc(1, sizeof(*counts));
	const struct section section = {.id = MACHINE_COUNTS_ID,
	    .version = MACHINE_COUNTS_VERSION,
	    .size = sizeof(*counts),
	    .data = counts};

	if (counts == NULL)
		return (NULL);
	if (vmm_read_section(ctx, &section, NULL) == 1) {
		for (unsigned i = 0; i < MACHINE_CHIPS; i++)
			counts->chips[i].name[sizeof(counts->chips[i].name) - 1] = '\0';
		return (counts);
	}
	free(counts);
	return (NULL);
}

int
dump_each_stat(struct vmctx *ctx, int vcpu, const struct machine_counts *counts,
    void (*each)(void *opaque, const char *name, uint64_t value), void *opaque,
    struct vmm_error *err)
{
	const struct listener l = {.each = each, .opaque = opaque};
	struct machine_counts *read = NULL;
	int entries;
	const uint64_t *stats = vm_get_stats(ctx, vcpu, NULL, &entries);

	if (stats == NULL)
		return (vmm_fail(err, errno, "%s: cannot be read", vmm_name(ctx)));
	for (int i = 0; i < entries; i++)
		tell(&l, vm_get_stat_desc(ctx, i), stats[i]);
	if (counts == NULL)
		counts = read = read_counts(ctx);
	if (counts != NULL) {
		tell_chips(&l, counts);
		tell_bios(&l, &counts->bios);
	}
	free(read);
	return (0);
}
