/*
 * Items of today's bhyvectl, in its formats, as far as they have a meaning here: memory as the
 * guest has it, events under way, and which vCPUs there are.
 */
#include "inspect/dump_today.h"

#include <inttypes.h>
#include <string.h>

#define APIC_BASE_X2APIC 0x400u /* SDM vol. 3A, 11.12.1 */

/* --- memory -------------------------------------------------------------------------------------------- */

#define SEGMENT "sysmem"

struct range {
	uint64_t gpa, size, offset;
};

/* Guest memory in address order: up to two ranges; their number. */
static unsigned
ranges_of(struct vmctx *ctx, struct range out[2])
{
	uint64_t low_size, high_size;
	unsigned n = 0;

	vmm_memory_sizes(ctx, &low_size, &high_size);
	if (low_size != 0)
		out[n++] = (struct range){.gpa = 0, .size = low_size};
	if (high_size != 0)
		out[n++] =
		    (struct range){.gpa = MEMORY_HIGH_BASE, .size = high_size, .offset = low_size};
	return (n);
}

/* SIZE in whole units, as humanize_number(3) has it. */
static const char *
human(uint64_t size, char *buf, size_t length)
{
	static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
	unsigned unit = 0;

	while (size % 1024 == 0 && size != 0 && unit < 4) {
		size /= 1024;
		unit++;
	}
	snprintf(buf, length, "%" PRIu64 "%s", size, units[unit]);
	return (buf);
}

static void
print_memmap(FILE *out, struct vmctx *ctx, int vcpu)
{
	struct range ranges[2];
	unsigned n = ranges_of(ctx, ranges);
	char size[32];

	(void)vcpu;
	fprintf(out, "Address     Length      Segment     Offset      Prot  Flags\n");
	for (unsigned i = 0; i < n; i++)
		fprintf(out, "%-12" PRIX64 "%-12s%-12s%-12" PRIX64 "RWX\n", ranges[i].gpa,
		    human(ranges[i].size, size, sizeof(size)), SEGMENT, ranges[i].offset);
}

static json_t *
memmap_value(struct vmctx *ctx, int vcpu)
{
	struct range ranges[2];
	unsigned n = ranges_of(ctx, ranges);
	json_t *list = json_array();

	(void)vcpu;
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list,
		    json_pack("{s:I, s:I, s:s, s:I}", "address", (json_int_t)ranges[i].gpa,
			"length", (json_int_t)ranges[i].size, "segment", SEGMENT, "offset",
			(json_int_t)ranges[i].offset));
	return (list);
}

static uint64_t
memory_size(struct vmctx *ctx)
{
	uint64_t low_size, high_size;

	vmm_memory_sizes(ctx, &low_size, &high_size);
	return (low_size + high_size);
}

static void
print_memseg(FILE *out, struct vmctx *ctx, int vcpu)
{
	char size[32];

	(void)vcpu;
	fprintf(out, "ID  Length      Name\n");
	if (memory_size(ctx) != 0)
		fprintf(
		    out, "%-4d%-12s%s\n", 0, human(memory_size(ctx), size, sizeof(size)), SEGMENT);
}

static json_t *
memseg_value(struct vmctx *ctx, int vcpu)
{
	json_t *list = json_array();

	(void)vcpu;
	if (memory_size(ctx) != 0)
		json_array_append_new(list,
		    json_pack("{s:i, s:I, s:s}", "id", 0, "length", (json_int_t)memory_size(ctx),
			"name", SEGMENT));
	return (list);
}

/* --- events ---------------------------------------------------------------------------------------------- */

static const char *const event_names[] = {
    [EVENT_HW_INTR] = "extint",
    [EVENT_NMI] = "nmi",
    [EVENT_HW_EXCEPTION] = "exception",
    [EVENT_SW_INTR] = "swint",
    [EVENT_PRIV_SW_EXCEPTION] = "exception",
    [EVENT_SW_EXCEPTION] = "exception",
};

static const char *
event_name(const struct vcpu_events *events)
{
	return (
	    events->inject_type <= EVENT_SW_EXCEPTION ? event_names[events->inject_type] : NULL);
}

/* Events are delivered whole here: none is ever half way. */
static void
print_intinfo(FILE *out, struct vmctx *ctx, int vcpu)
{
	const struct vcpu_events *events = &vmm_vcpu_state(ctx, vcpu)->events;
	const char *name = event_name(events);

	if (name == NULL)
		fprintf(out, "pending:\tn/a\n");
	else if (events->inject_has_error)
		fprintf(out, "pending:\t%s vector %d errcode %#" PRIx32 "\n", name,
		    events->inject_vector, events->inject_error);
	else
		fprintf(out, "pending:\t%s vector %d\n", name, events->inject_vector);
	fprintf(out, "current:\tn/a\n");
}

static json_t *
intinfo_value(struct vmctx *ctx, int vcpu)
{
	const struct vcpu_events *events = &vmm_vcpu_state(ctx, vcpu)->events;
	const char *name = event_name(events);
	json_t *pending;

	if (name == NULL)
		return (json_pack("{s:n, s:n}", "pending", "current"));
	pending = json_pack("{s:s, s:i}", "type", name, "vector", events->inject_vector);
	if (events->inject_has_error)
		json_object_set_new(
		    pending, "errcode", json_integer((json_int_t)events->inject_error));
	return (json_pack("{s:o, s:n}", "pending", pending, "current"));
}

static int
x2apic_state(struct vmctx *ctx, int vcpu)
{
	return ((vmm_vcpu_state(ctx, vcpu)->sregs.apic_base & APIC_BASE_X2APIC) != 0);
}

static void
print_x2apic_state(FILE *out, struct vmctx *ctx, int vcpu)
{
	fprintf(out, "x2apic_state[%d]\t%d\n", vcpu, x2apic_state(ctx, vcpu));
}

static json_t *
x2apic_state_value(struct vmctx *ctx, int vcpu)
{
	return (json_integer(x2apic_state(ctx, vcpu)));
}

/* --- vCPUs ------------------------------------------------------------------------------------------------- */

static void
print_active_cpus(FILE *out, struct vmctx *ctx, int vcpu)
{
	(void)vcpu;
	fprintf(out, "active cpus:\t");
	for (int i = 0; i < vmm_ncpus(ctx); i++)
		fprintf(out, "%s %d", i > 0 ? "," : "", i);
	fputc('\n', out);
}

static json_t *
active_cpus_value(struct vmctx *ctx, int vcpu)
{
	json_t *list = json_array();

	(void)vcpu;
	for (int i = 0; i < vmm_ncpus(ctx); i++)
		json_array_append_new(list, json_integer(i));
	return (list);
}

static void
print_suspended_cpus(FILE *out, struct vmctx *ctx, int vcpu)
{
	(void)ctx;
	(void)vcpu;
	fprintf(out, "suspended cpus:\t (none)\n");
}

static void
print_debug_cpus(FILE *out, struct vmctx *ctx, int vcpu)
{
	(void)ctx;
	(void)vcpu;
	fprintf(out, "debug cpus:\t (none)\n");
}

static json_t *
no_cpus_value(struct vmctx *ctx, int vcpu)
{
	(void)ctx;
	(void)vcpu;
	return (json_array());
}

static void
print_cpu_topology(FILE *out, struct vmctx *ctx, int vcpu)
{
	(void)vcpu;
	fprintf(out, "cpu_topology:\tsockets=%d, cores=1, threads=1, maxcpus=%d\n", vmm_ncpus(ctx),
	    VM_MAXCPU);
}

static json_t *
cpu_topology_value(struct vmctx *ctx, int vcpu)
{
	(void)vcpu;
	return (json_pack("{s:i, s:i, s:i, s:i}", "sockets", vmm_ncpus(ctx), "cores", 1, "threads",
	    1, "maxcpus", VM_MAXCPU));
}

static const struct dump_today items[] = {
    {"memmap", print_memmap, memmap_value},
    {"memseg", print_memseg, memseg_value},
    {"intinfo", print_intinfo, intinfo_value},
    {"x2apic-state", print_x2apic_state, x2apic_state_value},
    {"active-cpus", print_active_cpus, active_cpus_value},
    {"suspended-cpus", print_suspended_cpus, no_cpus_value},
    {"debug-cpus", print_debug_cpus, no_cpus_value},
    {"cpu-topology", print_cpu_topology, cpu_topology_value},
};

const struct dump_today *
dump_today_items(size_t *count)
{
	*count = sizeof(items) / sizeof(items[0]);
	return (items);
}

const struct dump_today *
dump_today_find(const char *name)
{
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if (strcmp(items[i].name, name) == 0)
			return (&items[i]);
	return (NULL);
}
