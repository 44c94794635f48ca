/* See watch.h. SDM vol. 3B, 17.2 "Debug registers" and 17.3 "Debug exceptions". */
#include "cpu/watch.h"

#define DATA_KINDS (WATCH_READ | WATCH_WRITE)

/* R/W fields of DR7 (17.2.4): what a breakpoint stops at; 10b needs CR4.DE. */
static const uint8_t kinds_of_rw[4] = {WATCH_EXEC, WATCH_WRITE, WATCH_PORT, DATA_KINDS};
/* LEN fields of DR7. */
static const uint8_t bytes_of_len[4] = {1, 2, 8, 4};

static void
add(struct cpu *c, const struct watch *w)
{
	c->watch[c->nwatch++] = *w;
	c->watch_kinds |= w->kinds;
}

static void
add_register(struct cpu *c, unsigned n)
{
	const struct vcpu_debug *d = &c->s->debug;
	unsigned field = (unsigned)(d->dr7 >> (16 + n * 4)) & 15;
	struct watch w = {.kinds = kinds_of_rw[field & 3],
	    .len = bytes_of_len[field >> 2],
	    .bits = (uint8_t)(1u << n)};

	if (!(d->dr7 >> (n * 2) & 3))
		return;
	/* 10b without DE is undefined; processors watch nothing then. */
	if ((w.kinds & WATCH_PORT) && !(c->s->sregs.cr4 & CR4_DE))
		return;
	if (w.kinds & WATCH_EXEC)
		w.len = 1;
	w.lin = d->dr[n] & ~(uint64_t)(w.len - 1u);
	add(c, &w);
}

void
watch_changed(struct cpu *c)
{
	unsigned before = c->watch_kinds;

	c->nwatch = 0;
	c->watch_kinds = 0;
	for (unsigned n = 0; n < 4; n++)
		add_register(c, n);
	for (unsigned n = 0; n < c->ndebugger; n++)
		add(c, &c->debugger[n]);
	if ((before | c->watch_kinds) & WATCH_EXEC)
		trace_flush(c);
	if ((before | c->watch_kinds) != 0)
		tlb_flush(c);
}

/* --- instructions ------------------------------------------------------------------------------ */

bool
watch_starts_at(const struct cpu *c, uint64_t offset)
{
	for (unsigned i = 0; i < c->nwatch; i++)
		if ((c->watch[i].kinds & WATCH_EXEC) && (c->watch[i].lin & X86_PAGE_MASK) == offset)
			return (true);
	return (false);
}

enum op_result
watch_fault(struct cpu *c, uint64_t bits)
{
	struct vcpu_debug *d = &c->s->debug;

	d->dr6 = (d->dr6 & ~(uint64_t)DR6_B) | bits;
	return (fault(c, VEC_DB, CAUSE_INSTRUCTION));
}

bool
watch_instruction(struct cpu *c, uint64_t lin)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < c->nwatch; i++) {
		const struct watch *w = &c->watch[i];

		if (!(w->kinds & WATCH_EXEC) || w->lin != lin)
			continue;
		if (w->bits == 0) {
			c->stopped_by = *w;
			c->exit = CPU_EXIT_DEBUG;
			return (true);
		}
		bits |= w->bits;
	}
	if (bits == 0)
		return (false);
	watch_fault(c, bits);
	return (true);
}

/* --- data and ports ---------------------------------------------------------------------------- */

static void
note(struct cpu *c, unsigned kinds, uint64_t at, unsigned size)
{
	for (unsigned i = 0; i < c->nwatch; i++) {
		const struct watch *w = &c->watch[i];

		if (!(w->kinds & kinds) || at + size <= w->lin || w->lin + w->len <= at)
			continue;
		if (w->bits == 0) {
			c->stopped_by = *w;
			c->debugger_hit = true;
		}
		c->s->events.pending_debug |= w->bits;
	}
	if (c->debugger_hit || c->s->events.pending_debug != 0) {
		trace_leave(c);
		attention_update(c);
	}
}

void
watch_access(struct cpu *c, uint64_t lin, unsigned size, bool write)
{
	note(c, write ? WATCH_WRITE : WATCH_READ, lin, size);
}

void
watch_outside(struct cpu *c, uint64_t gpa, uint64_t size)
{
	if (!(c->watch_kinds & WATCH_WRITE) || (c->s->sregs.cr0 & CR0_PG))
		return;
	for (unsigned i = 0; i < c->ndebugger; i++) {
		const struct watch *w = &c->debugger[i];

		if (!(w->kinds & WATCH_WRITE) || gpa + size <= w->lin || w->lin + w->len <= gpa)
			continue;
		c->stopped_by = *w;
		c->debugger_hit = true;
	}
	if (c->debugger_hit)
		attention_update(c);
}

void
watch_port(struct cpu *c, uint16_t port, unsigned size)
{
	note(c, WATCH_PORT, port, size);
}

bool
watch_in_page(const struct cpu *c, uint64_t lin)
{
	for (unsigned i = 0; i < c->nwatch; i++) {
		const struct watch *w = &c->watch[i];

		if ((w->kinds & DATA_KINDS) && w->lin >> X86_PAGE_SHIFT <= lin >> X86_PAGE_SHIFT &&
		    lin >> X86_PAGE_SHIFT <= (w->lin + w->len - 1) >> X86_PAGE_SHIFT)
			return (true);
	}
	return (false);
}

void
watch_deliver(struct cpu *c)
{
	uint64_t pending = c->s->events.pending_debug;

	c->s->events.pending_debug = 0;
	c->s->events.activity = VCPU_ACTIVE;
	if (pending != 0) {
		watch_fault(c, pending);
		fault_deliver(c);
	}
	if (c->debugger_hit)
		c->exit = CPU_EXIT_DEBUG;
	c->debugger_hit = false;
	attention_update(c);
}

int
cpu_watch(struct cpu *c, const struct cpu_watch *list, unsigned n)
{
	if (n > CPU_WATCH_MAX)
		return (-1);
	for (unsigned i = 0; i < n; i++)
		c->debugger[i] = (struct watch){
		    .lin = list[i].address, .len = list[i].bytes, .kinds = (uint8_t)list[i].kinds};
	c->ndebugger = n;
	watch_changed(c);
	return (0);
}

struct cpu_watch
cpu_watch_hit(const struct cpu *c)
{
	const struct watch *w = &c->stopped_by;

	return ((struct cpu_watch){.address = w->lin, .bytes = w->len, .kinds = w->kinds});
}
