/* What hyve86 boot tells at the end of a run: the failure dump and the statistics. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "cmd/boot.h"
#include "cmd/cmd.h"
#include "inspect/explain.h"

#define CODE_BYTES 16
#define STACK_WORDS 8
#define BIOS_CALLS 5

static const struct {
	const char *name;
	enum x86_gpr reg;
} general[] = {{"rax", GPR_RAX}, {"rbx", GPR_RBX}, {"rcx", GPR_RCX}, {"rdx", GPR_RDX},
    {"rsi", GPR_RSI}, {"rdi", GPR_RDI}, {"rbp", GPR_RBP}, {"rsp", GPR_RSP}};

/* Bytes at a linear address, as far as they are memory. */
static void
dump_bytes(const struct machine *m, const char *label, uint64_t at, unsigned count, unsigned size)
{
	fprintf(stderr, "%s", label);
	for (unsigned i = 0; i < count; i++) {
		uint16_t value = 0;

		if (!memory_read(m->mem, at + i * size, &value, size))
			break;
		fprintf(stderr, " %0*x", (int)size * 2, value);
	}
	fprintf(stderr, "\n");
}

static void
dump_registers(const struct machine *m)
{
	const struct vcpu_state *s = m->state;
	const struct x86_segment *cs = &s->sregs.seg[SEG_CS], *ss = &s->sregs.seg[SEG_SS];

	for (unsigned i = 0; i < 8; i++)
		fprintf(stderr, "%s %016" PRIx64 "%s", general[i].name, s->gpr.reg[general[i].reg],
		    i % 4 == 3 ? "\n" : "  ");
	fprintf(stderr,
	    "rip %016" PRIx64 "  rflags %08" PRIx64 "  cr0 %08" PRIx64 "  cr2 %08" PRIx64
	    "  cr3 %08" PRIx64 "  cr4 %08" PRIx64 "\n",
	    s->gpr.rip, s->gpr.rflags, s->sregs.cr0, s->sregs.cr2, s->sregs.cr3, s->sregs.cr4);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		fprintf(stderr, "%s %04x %08" PRIx64 "/%08x/%05x%s", segment_names[i],
		    s->sregs.seg[i].selector, s->sregs.seg[i].base, s->sregs.seg[i].limit,
		    s->sregs.seg[i].access, i % 3 == 2 ? "\n" : "  ");
	fprintf(stderr, "gdtr %08" PRIx64 "/%04x  idtr %08" PRIx64 "/%04x  a20 %s\n",
	    s->sregs.gdtr.base, s->sregs.gdtr.limit, s->sregs.idtr.base, s->sregs.idtr.limit,
	    memory_get_a20(m->mem) ? "on" : "off");
	dump_bytes(m, "code ", cs->base + s->gpr.rip, CODE_BYTES, 1);
	dump_bytes(m, "stack",
	    ss->base + (s->gpr.reg[GPR_RSP] & (ss->access & AR_DB ? UINT32_MAX : UINT16_MAX)),
	    STACK_WORDS, 2);
}

void
boot_failure_dump(const struct boot_run *run, const char *why)
{
	const struct machine *m = &run->machine;
	const struct vcpu_state *s = m->state;
	struct vmm_error err;
	struct subject subject;

	fprintf(stderr, "hyve86: %s: %s at %04x:%04" PRIx64, run->opts->name, why,
	    s->sregs.seg[SEG_CS].selector, s->gpr.rip);
	if (!m->vcpu.ops->timed)
		fprintf(stderr, " after %" PRIu64 " instructions", vcpu_instructions(&m->vcpu));
	fprintf(stderr, "\n");
	if (subject_from_machine(&subject, m, &err) != 0) {
		cmd_fail(run->opts->command, &err);
		dump_registers(m);
		return;
	}
	explain_instruction(stderr, &subject);
	if (explain_why(stderr, &subject) != 0)
		cmd_error(run->opts->command, "out of memory");
	dump_registers(m);
	explain_bios_calls(stderr, &subject, BIOS_CALLS);
	subject_free(&subject);
	fprintf(stderr, "hyve86 explain tells more of it\n");
}

static json_t *
drive_stats(const struct boot_options *opts)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < opts->nimages; i++) {
		const struct block_stats *st;

		if (opts->images[i].block == NULL)
			continue;
		st = block_stats(opts->images[i].block);
		json_array_append_new(list,
		    json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I}", "path", opts->images[i].path,
			"drive", opts->images[i].drive, "reads", (json_int_t)st->read_ops,
			"bytes_read", (json_int_t)st->read_bytes, "writes",
			(json_int_t)st->write_ops, "bytes_written", (json_int_t)st->write_bytes,
			"errors", (json_int_t)st->errors));
	}
	return (list);
}

static json_t *
bios_stats(const struct bios *b)
{
	json_t *calls = json_object();
	char name[8];

	for (unsigned i = 0; i < 256; i++) {
		if (b->calls[i] == 0)
			continue;
		snprintf(name, sizeof(name), "%02x", i);
		json_object_set_new(calls, name, json_integer((json_int_t)b->calls[i]));
	}
	return (calls);
}

/* By service, as vmmctl --get-stats names them. */
static json_t *
service_stats(const struct bios_counts *counts)
{
	const struct bios_count *sorted[BIOS_COUNTS];
	unsigned n = bios_counts_sorted(counts, sorted);
	json_t *services = json_object();
	char name[64];

	for (unsigned i = 0; i < n; i++) {
		bios_count_name(sorted[i], name, sizeof(name));
		json_object_set_new(services, name, json_integer((json_int_t)sorted[i]->calls));
	}
	return (services);
}

/* What the engine left the guest for; of the built-in CPU there is nothing to tell. */
static json_t *
engine_stats(const struct vcpu *vcpu)
{
	const struct engine_counts *n = &vcpu->counts;

	return (json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
	    vcpu->ops->name, "entries", (json_int_t)n->entries, "ports", (json_int_t)n->ports,
	    "mmio", (json_int_t)n->mmio, "msrs", (json_int_t)n->msrs, "windows",
	    (json_int_t)n->windows, "halts", (json_int_t)n->halts, "signals",
	    (json_int_t)n->signals, "interrupts", (json_int_t)n->interrupts, "state_calls",
	    (json_int_t)n->state_calls, "lent", (json_int_t)n->lent));
}

int
boot_write_stats(const struct boot_run *run)
{
	const struct machine *m = &run->machine;
	json_t *root = json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:o, s:o}", "instructions",
	    (json_int_t)vcpu_instructions(&m->vcpu), "guest_ns", (json_int_t)clock_now(&m->clock),
	    "host_ns", (json_int_t)(host_ns() - run->started), "resets", (json_int_t)m->resets,
	    "bios_calls", bios_stats(&m->bios), "bios_services", service_stats(&m->bios.counts),
	    "bios_unknown", (json_int_t)m->bios.unknown, "drives", drive_stats(run->opts), "engine",
	    engine_stats(&m->vcpu));
	int failed = root == NULL || json_dump_file(root, run->opts->stats, JSON_INDENT(2)) != 0;

	json_decref(root);
	if (failed)
		return (cmd_error(run->opts->command, "%s: cannot write statistics: %s",
		    run->opts->stats, strerror(errno)));
	return (STATUS_OK);
}
