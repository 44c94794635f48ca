/*
 * The store of decoded code: an arena of traces, found by physical address and mode, and listed by
 * physical page so that a write drops what it changes. DESIGN section 5, "Traces".
 */
#include <stddef.h>
#include <stdlib.h>

#include "cpu/internal.h"
#include "cpu/trace.h"
#include "cpu/watch.h"

#define ARENA_SIZE (16u << 20)
/* Room that must be left before a trace is begun: the largest trace and two page nodes. */
#define ARENA_MARGIN \
	(sizeof(struct trace) + (TRACE_MAX + 1) * sizeof(struct op) + 2 * sizeof(struct page_node))
/* An instruction fetched from where no memory is: all ones, as the bus floats (FFFF = undefined). */
static const uint8_t no_memory[X86_PAGE_SIZE] = {[0 ... X86_PAGE_SIZE - 1] = 0xff};

size_t
trace_arena_size(void)
{
	return (ARENA_SIZE);
}

static void *
arena_take(struct cpu *c, size_t size)
{
	void *p = c->arena + c->arena_used;

	c->arena_used += (size + 15) & ~(size_t)15;
	return (p);
}

static unsigned
hash_of(uint64_t pa, uint32_t mode)
{
	return ((unsigned)((pa ^ pa >> 13 ^ mode << 7) & (HASH_SIZE - 1)));
}

static struct page_node **
page_list(struct cpu *c, uint64_t page)
{
	return (&c->page_hash[page & (PAGE_HASH_SIZE - 1)]);
}

/* Chunks of PAGE that TRACE's bytes touch. */
static uint32_t
chunks_in_page(const struct trace *t, uint64_t page)
{
	uint64_t first = t->pa, end = t->pa + t->len, start = page << X86_PAGE_SHIFT;
	unsigned a, b;

	if (t->pa2 == page) {
		first = start;
		end = start + t->len - (X86_PAGE_SIZE - (t->pa & X86_PAGE_MASK));
	}
	if (end > start + X86_PAGE_SIZE)
		end = start + X86_PAGE_SIZE;
	first -= start;
	end -= start;
	a = (unsigned)(first >> CODE_CHUNK_SHIFT);
	b = (unsigned)((end - 1) >> CODE_CHUNK_SHIFT);
	return ((uint32_t)((2ull << b) - (1ull << a)));
}

static void
enlist(struct cpu *c, struct trace *t, uint64_t page)
{
	struct page_node *node = arena_take(c, sizeof(*node));

	*node = (struct page_node){.trace = t, .page = page, .next = *page_list(c, page)};
	*page_list(c, page) = node;
	if (page < c->code_pages)
		c->code_map[page] |= chunks_in_page(t, page);
}

static void
unhash(struct cpu *c, struct trace *t)
{
	struct trace **link = &c->hash[hash_of(t->pa, t->mode)];

	while (*link != NULL && *link != t)
		link = &(*link)->hash_next;
	if (*link == t)
		*link = t->hash_next;
}

static void
kill_trace(struct cpu *c, struct trace *t)
{
	if (t->dead)
		return;
	t->dead = true;
	for (unsigned i = 0; i <= t->nops; i++)
		t->ops[i].fn = op_leave;
	t->ops[t->nops].idx = t->nops; /* op_leave counts the ops before it */
	unhash(c, t);
}

/* Does TRACE have bytes in [pa, pa+size)? */
static bool
overlaps(const struct trace *t, uint64_t pa, uint64_t size)
{
	uint64_t in_first = t->len, second = t->pa2 << X86_PAGE_SHIFT;

	if (t->pa2 != NO_PAGE) {
		in_first = X86_PAGE_SIZE - (t->pa & X86_PAGE_MASK);
		if (pa < second + t->len - in_first && second < pa + size)
			return (true);
	}
	return (pa < t->pa + in_first && t->pa < pa + size);
}

/* Drop what overlaps [pa, pa+size) among the traces of PAGE; note again where code is left. */
static void
drop_in_page(struct cpu *c, uint64_t page, uint64_t pa, uint64_t size)
{
	struct page_node **link = page_list(c, page);
	uint32_t chunks = 0;

	while (*link != NULL) {
		struct page_node *node = *link;

		if (node->page == page && (node->trace->dead || overlaps(node->trace, pa, size))) {
			kill_trace(c, node->trace);
			*link = node->next;
			continue;
		}
		if (node->page == page)
			chunks |= chunks_in_page(node->trace, page);
		link = &node->next;
	}
	if (page < c->code_pages)
		c->code_map[page] = chunks;
}

void
trace_drop_range(struct cpu *c, uint64_t pa, uint64_t size)
{
	uint64_t first = pa >> X86_PAGE_SHIFT, last;

	if (size == 0 || first >= c->code_pages)
		return;
	last = (pa + size - 1) >> X86_PAGE_SHIFT;
	if (last >= c->code_pages || last < first)
		last = c->code_pages - 1;
	for (uint64_t page = first; page <= last; page++)
		if (c->code_map[page] != 0)
			drop_in_page(c, page, pa, size);
}

/* Dropping it does that (internal.h); RIP is where it starts. */
void
trace_leave(struct cpu *c)
{
	uint64_t pa, lin = (c->segc[SEG_CS].base + c->s->gpr.rip) & c->lin_mask;
	const struct pending_fault saved = c->fault;

	if (translate(c, lin, PAGE_FETCH, &pa))
		drop_in_page(c, pa >> X86_PAGE_SHIFT, pa, 1);
	c->fault = saved;
}

void
trace_flush(struct cpu *c)
{
	for (unsigned i = 0; i < PAGE_HASH_SIZE; i++) {
		for (struct page_node *n = c->page_hash[i]; n != NULL; n = n->next)
			if (n->page < c->code_pages)
				c->code_map[n->page] = 0;
		c->page_hash[i] = NULL;
	}
	memset(c->hash, 0, HASH_SIZE * sizeof(*c->hash));
	memset(c->jcache, 0xff, JCACHE_SIZE * sizeof(*c->jcache));
	c->arena_used = 0;
}

/* Where instructions come from: the page of the first byte, and what follows it. */
struct fetch {
	const uint8_t *host; /* page of the first byte */
	uint64_t pa;
	uint64_t rip;
	uint64_t lin;
	uint64_t room; /* bytes up to CS.limit */
};

static bool
fetch_begin(struct cpu *c, struct fetch *f)
{
	bool l = c->mode & MODE_L;

	f->rip = c->s->gpr.rip;
	f->lin = (c->segc[SEG_CS].base + f->rip) & c->lin_mask;
	if (l ? !is_canonical(f->rip) : f->rip >= c->cs_end) {
		c->fault.seg = SEG_CS;
		return (fault_at(c, VEC_GP, 0, CAUSE_FETCH_LIMIT, f->rip, c->cs_end - 1));
	}
	f->room = l ? UINT64_MAX : c->cs_end - f->rip;
	if (!fetch_page(c, f->lin, &f->host, &f->pa))
		return (false);
	if (f->host == NULL) {
		if (c->config.exit_on_hole) {
			c->hole = f->pa;
			c->exit = CPU_EXIT_PAGING;
			return (false);
		}
		f->host = no_memory;
	}
	return (true);
}

/* #UD, #GP for too long an instruction or one beyond CS.limit, raised by decoding at F. */
static bool
decode_fault(struct cpu *c, const struct fetch *f, int result, unsigned available)
{
	if (result == -1)
		return (fault_at(c, VEC_UD, 0, CAUSE_INSTRUCTION, f->rip, 0));
	if (result == -2 || available >= INSN_MAX)
		return (fault_at(c, VEC_GP, 0, CAUSE_LENGTH, f->rip, INSN_MAX));
	c->fault.seg = SEG_CS;
	return (fault_at(c, VEC_GP, 0, CAUSE_FETCH_LIMIT, f->rip + available, c->cs_end - 1));
}

/* OP is the one of number IDX, OFF bytes from the trace's start. */
static void
place_op(struct op *op, unsigned off, unsigned idx)
{
	op->off = (uint16_t)off;
	op->idx = (uint8_t)idx;
	/* RIP-relative addresses count from the next instruction; RIP here is the trace's. */
	if (op->base == offsetof(struct vcpu_state, gpr.rip))
		op->disp += op->off + op->len;
}

/* The handler behind a trace's last op: goes on at the next instruction. */
static void
close_trace(struct trace *t, const struct op *last)
{
	struct op *end = &t->ops[t->nops];

	*end = (struct op){.fn = op_end, .off = t->len, .idx = (uint8_t)(last->idx)};
}

/*
 * Decode the one instruction at F into T, reading over the page's end if need be. The bytes behind
 * the page come from where its linear address leads.
 */
static bool
decode_single(struct cpu *c, const struct fetch *f, struct trace *t)
{
	unsigned offset = (unsigned)(f->pa & X86_PAGE_MASK);
	unsigned in_page = X86_PAGE_SIZE - offset, available = in_page;
	const uint8_t *second = NULL;
	uint8_t bytes[INSN_MAX];
	bool ends, limited = false;
	uint64_t pa2 = 0;
	int result;

	if (available > INSN_MAX)
		available = INSN_MAX;
	if (available > f->room) {
		available = (unsigned)f->room;
		limited = true;
	}
	memcpy(bytes, f->host + offset, available);
	result = decode_op(c, bytes, available, &t->ops[0], &ends);
	if (result == 0 && !limited && available == in_page && in_page < INSN_MAX) {
		if (!fetch_page(c, (f->lin + in_page) & c->lin_mask, &second, &pa2))
			return (false);
		if (second == NULL)
			second = no_memory;
		available = f->room < INSN_MAX ? (unsigned)f->room : INSN_MAX;
		if (available > in_page)
			memcpy(bytes + in_page, second, available - in_page);
		result = decode_op(c, bytes, available, &t->ops[0], &ends);
	}
	if (result <= 0)
		return (decode_fault(c, f, result, available));
	t->nops = 1;
	place_op(&t->ops[0], 0, 0);
	t->len = t->ops[0].len;
	t->pa2 = second != NULL && t->len > in_page ? pa2 >> X86_PAGE_SHIFT : NO_PAGE;
	close_trace(t, &t->ops[0]);
	return (true);
}

/* Decode from F on, within the page and CS.limit, until something ends the trace. */
static bool
decode_trace(struct cpu *c, const struct fetch *f, struct trace *t)
{
	unsigned offset = (unsigned)(f->pa & X86_PAGE_MASK), done = 0;
	uint64_t room = X86_PAGE_SIZE - offset;
	bool ends = false;

	if (room > f->room)
		room = f->room;
	t->nops = 0;
	while (t->nops < TRACE_MAX && !ends && done < room) {
		struct op *op = &t->ops[t->nops];
		unsigned available = room - done < INSN_MAX ? (unsigned)(room - done) : INSN_MAX;

		if (done > 0 && unlikely(c->watch_kinds & WATCH_EXEC) &&
		    watch_starts_at(c, offset + done))
			break;
		if (decode_op(c, f->host + offset + done, available, op, &ends) <= 0)
			break;
		place_op(op, done, t->nops++);
		done += op->len;
	}
	if (t->nops == 0)
		return (decode_single(c, f, t));
	t->len = (uint16_t)done;
	t->pa2 = NO_PAGE;
	close_trace(t, &t->ops[t->nops - 1]);
	return (true);
}

static void
remember(struct cpu *c, const struct fetch *f, struct trace *t)
{
	struct jcache_entry *j = &c->jcache[(f->lin ^ f->lin >> 12) & (JCACHE_SIZE - 1)];

	if (unlikely(c->watch_kinds & WATCH_EXEC) && watch_starts_at(c, f->lin & X86_PAGE_MASK))
		return;
	*j = (struct jcache_entry){.lin = f->lin, .key = c->key, .trace = t};
}

/* Whether the second page of a straddling trace is still the one it was decoded from. */
static bool
second_page_holds(struct cpu *c, const struct fetch *f, const struct trace *t)
{
	const uint8_t *host;
	uint64_t pa;

	if (t->pa2 == NO_PAGE)
		return (true);
	return (fetch_page(c, ((f->lin | X86_PAGE_MASK) + 1) & c->lin_mask, &host, &pa) &&
	    pa >> X86_PAGE_SHIFT == t->pa2);
}

/* Is this near the end of a segment whose last byte the first one follows, as on an 8086? */
static bool
near_wrap(const struct cpu *c, const struct fetch *f)
{
	return (c->traits->wraps_in_segment && f->room < INSN_MAX);
}

/* Decode the one instruction at F, near the segment's end, into the trace that is not kept. */
static struct trace *
decode_near_wrap(struct cpu *c, const struct fetch *f)
{
	struct trace *t = c->single;
	uint8_t bytes[INSN_MAX];
	bool ends;
	int result;

	for (unsigned i = 0; i < INSN_MAX; i++) {
		uint64_t lin = c->segc[SEG_CS].base + ((f->rip + i) & 0xffff), pa;
		const uint8_t *host;

		if (!fetch_page(c, lin & c->lin_mask, &host, &pa))
			return (NULL);
		bytes[i] = host != NULL ? host[pa & X86_PAGE_MASK] : no_memory[0];
	}
	result = decode_op(c, bytes, INSN_MAX, &t->ops[0], &ends);
	if (result <= 0) {
		decode_fault(c, f, result, INSN_MAX);
		return (NULL);
	}
	t->nops = 1;
	place_op(&t->ops[0], 0, 0);
	t->len = t->ops[0].len;
	t->pa2 = NO_PAGE;
	t->pa = f->pa;
	t->mode = c->mode;
	close_trace(t, &t->ops[0]);
	return (t);
}

struct trace *
trace_find(struct cpu *c)
{
	struct fetch f;
	struct trace *t;
	uint32_t mode = c->mode;

	if (unlikely(c->watch_kinds & WATCH_EXEC) &&
	    watch_instruction(c, (c->segc[SEG_CS].base + c->s->gpr.rip) & c->lin_mask))
		return (NULL);
	if (!fetch_begin(c, &f))
		return (NULL);
	if (near_wrap(c, &f))
		return (decode_near_wrap(c, &f));
	for (t = c->hash[hash_of(f.pa, mode)]; t != NULL; t = t->hash_next)
		if (t->pa == f.pa && t->mode == mode && t->len <= f.room &&
		    second_page_holds(c, &f, t))
			break;
	if (t == NULL) {
		if (c->arena_used + ARENA_MARGIN > ARENA_SIZE)
			trace_flush(c);
		t = (struct trace *)(void *)(c->arena + c->arena_used);
		t->pa = f.pa;
		t->mode = mode;
		t->dead = false;
		if (!decode_trace(c, &f, t))
			return (NULL);
		arena_take(c, sizeof(*t) + (t->nops + 1u) * sizeof(struct op));
		t->hash_next = c->hash[hash_of(f.pa, mode)];
		c->hash[hash_of(f.pa, mode)] = t;
		enlist(c, t, f.pa >> X86_PAGE_SHIFT);
		if (t->pa2 != NO_PAGE)
			enlist(c, t, t->pa2);
	}
	remember(c, &f, t);
	return (t);
}

struct trace *
trace_single(struct cpu *c)
{
	struct fetch f;

	if (!fetch_begin(c, &f))
		return (NULL);
	if (near_wrap(c, &f))
		return (decode_near_wrap(c, &f));
	c->single->pa = f.pa;
	c->single->mode = c->mode;
	return (decode_single(c, &f, c->single) ? c->single : NULL);
}
