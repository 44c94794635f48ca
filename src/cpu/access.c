/*
 * Memory access off the fast path: segment checks in the SDM's order (vol. 3A, 5.3 and 5.4), TLB
 * fills, accesses that cross a page, memory-mapped I/O, holes.
 */
#include "cpu/watch.h"

void
tlb_flush(struct cpu *c)
{
	if (c->nfilled <= TLB_FILLED_MAX)
		for (unsigned i = 0; i < c->nfilled; i++)
			c->filled[i]->rtag = c->filled[i]->wtag = TLB_INVALID;
	else
		for (int t = 0; t < TLB_USER_ALIGNED; t++)
			for (int i = 0; i < TLB_SIZE; i++)
				c->tlbs[t][i].rtag = c->tlbs[t][i].wtag = TLB_INVALID;
	c->nfilled = 0;
	c->generation++;
	key_changed(c);
}

/* #SS for the stack segment, #GP for all others, error code 0. */
static bool
segment_fault(struct cpu *c, unsigned seg, enum cpu_cause cause, uint64_t ea, uint64_t limit)
{
	unsigned stack = c->mode & MODE_PE ? VEC_SS : c->traits->stack_vector;

	c->fault.seg = (uint8_t)seg;
	return (fault_at(c, seg == SEG_SS ? stack : VEC_GP, 0, cause, ea, limit));
}

/* 64-bit mode knows no limits, but addresses must be canonical (SDM vol. 1, 3.3.7.1). */
static bool
canonical_check(struct cpu *c, unsigned seg, uint64_t ea, unsigned size)
{
	uint64_t lin = c->segc[seg].base + ea;

	/* An operand that reaches beyond is not aligned: where that is checked, it comes first. */
	if (is_canonical(lin) &&
	    (is_canonical(lin + size - 1) || (size <= 8 && c->tlb == c->tlbs[TLB_USER_ALIGNED])))
		return (true);
	return (segment_fault(c, seg, CAUSE_SEG_LIMIT, lin, 0));
}

void
note_written(struct cpu *c, uint64_t pa, uint64_t size)
{
	uint64_t first = pa >> X86_PAGE_SHIFT, last = (pa + size - 1) >> X86_PAGE_SHIFT;

	for (uint64_t page = first; page <= last && c->nwritten <= CPU_WRITTEN_MAX; page++) {
		if (c->nwritten > 0 && c->written[c->nwritten - 1] == page)
			continue;
		if (c->nwritten < CPU_WRITTEN_MAX)
			c->written[c->nwritten] = page;
		c->nwritten++;
	}
}

/* A page is noted when the TLB learns that it may be written: that it must do anew from here on. */
int
cpu_written(struct cpu *c, uint64_t *pages)
{
	unsigned n = c->nwritten;

	if (!c->config.track_writes)
		return (-1);
	c->nwritten = 0;
	for (int t = 0; t < TLB_USER_ALIGNED; t++)
		for (int i = 0; i < TLB_SIZE; i++)
			c->tlbs[t][i].wtag = TLB_INVALID;
	if (n > CPU_WRITTEN_MAX)
		return (-1);
	memcpy(pages, c->written, n * sizeof(pages[0]));
	return ((int)n);
}

bool
segment_check(struct cpu *c, unsigned seg, uint64_t ea, unsigned size, bool write)
{
	const struct x86_segment *sr;
	uint64_t last = ea + size - 1, low = 0, high;
	bool code, down;

	if (seg == SEG_NONE)
		return (true);
	if (c->mode & MODE_L)
		return (canonical_check(c, seg, ea, size));
	sr = &c->s->sregs.seg[seg];
	if (sr->access & AR_UNUSABLE)
		return (segment_fault(c, seg, CAUSE_SEG_RIGHTS, ea, 0));
	code = sr->access & AR_TYPE_CODE;
	if (is_protected(c)) {
		if (write && (code || !(sr->access & AR_TYPE_WRITE)))
			return (segment_fault(c, seg, CAUSE_SEG_RIGHTS, ea, sr->limit));
		if (!write && code && !(sr->access & AR_TYPE_READ))
			return (segment_fault(c, seg, CAUSE_SEG_RIGHTS, ea, sr->limit));
	}
	high = sr->limit;
	down = !code && (sr->access & AR_TYPE_DOWN);
	if (down) {
		low = (uint64_t)sr->limit + 1;
		high = sr->access & AR_DB ? UINT32_MAX : UINT16_MAX;
	}
	/* Beyond 4 GB processors wrap around as they may, in segments up to there (vol. 3A, 5.3). */
	if (ea < low || (last > high && (down || high != UINT32_MAX)))
		return (segment_fault(c, seg, CAUSE_SEG_LIMIT, ea, sr->limit));
	return (true);
}

/*
 * Operands must lie at multiples of their size where alignment checks are on (SDM vol. 3A, table
 * 6-7; larger ones come here in parts as well).
 */
static bool
alignment_check(struct cpu *c, unsigned seg, uint64_t ea, unsigned size)
{
	uint64_t lin = c->segc[seg].base + ea;

	if (c->tlb != c->tlbs[TLB_USER_ALIGNED] || size > 8 || (lin & (size - 1)) == 0)
		return (true);
	return (fault_at(c, VEC_AC, 0, CAUSE_ALIGNMENT, lin, size));
}

/* Enter the page of LIN, which is PAGE at PA, into the TLB. */
static void
tlb_fill(struct cpu *c, uint64_t lin, uint64_t pa, const struct mem_page *page, bool write)
{
	struct tlb_entry *e = tlb_slot(c, lin);
	uint64_t tag = lin & ~(uint64_t)X86_PAGE_MASK;

	if (page->type != MEM_RAM && page->type != MEM_ROM)
		return;
	if (c->tlb == c->tlbs[TLB_USER_ALIGNED] || (c->watch_kinds != 0 && watch_in_page(c, lin)))
		return;
	if (e->rtag != tag) {
		e->wtag = TLB_INVALID;
		if (c->nfilled < TLB_FILLED_MAX)
			c->filled[c->nfilled] = e;
		if (c->nfilled <= TLB_FILLED_MAX)
			c->nfilled++;
	}
	e->rtag = tag;
	if (write && page->type == MEM_RAM)
		e->wtag = tag;
	e->addend = (uintptr_t)page->host - tag;
	e->code = &c->code_map[pa >> X86_PAGE_SHIFT];
}

/* An access to nothing: ends the run if so configured. */
static bool
hole(struct cpu *c, uint64_t pa)
{
	if (!c->config.exit_on_hole)
		return (true);
	c->hole = pa;
	c->exit = CPU_EXIT_PAGING;
	return (false);
}

/* Read SIZE bytes at PA, all in one page. */
static bool
read_physical(
    struct cpu *c, uint64_t pa, const struct mem_page *page, unsigned size, uint64_t *value)
{
	*value = size_mask(size);
	switch (page->type) {
	case MEM_RAM:
	case MEM_ROM:
		*value = 0;
		memcpy(value, page->host + (pa & X86_PAGE_MASK), size);
		return (true);
	case MEM_MMIO:
		c->mem->mmio_reads++;
		*value &=
		    page->region->ops->read(page->region->opaque, pa - page->region->gpa, size);
		if (c->attention != 0) /* to stop, or an interrupt, is behind this instruction */
			trace_leave(c);
		return (true);
	case MEM_NONE:
		break;
	}
	return (hole(c, pa));
}

static bool
write_physical(
    struct cpu *c, uint64_t pa, const struct mem_page *page, unsigned size, uint64_t value)
{
	switch (page->type) {
	case MEM_RAM:
		memcpy(page->host + (pa & X86_PAGE_MASK), &value, size);
		if (c->code_map[pa >> X86_PAGE_SHIFT] != 0)
			trace_drop_range(c, pa, size);
		return (true);
	case MEM_MMIO:
		c->mem->mmio_writes++;
		page->region->ops->write(page->region->opaque, pa - page->region->gpa, size, value);
		if (c->attention != 0) /* an interrupt that the device asked for comes next */
			trace_leave(c);
		return (true);
	case MEM_ROM:
		return (true);
	case MEM_NONE:
		break;
	}
	return (hole(c, pa));
}

/* The part of an access of SIZE bytes at LIN that lies in LIN's page. */
static unsigned
part_in_page(uint64_t lin, unsigned size)
{
	unsigned room = X86_PAGE_SIZE - (unsigned)(lin & X86_PAGE_MASK);

	return (size < room ? size : room);
}

/* Devices take 1, 2, 4 or 8 bytes: odd parts of a split access go byte by byte. */
static unsigned
access_step(unsigned part)
{
	return ((part & (part - 1)) == 0 ? part : 1);
}

static bool
read_linear(struct cpu *c, uint64_t lin, unsigned size, uint64_t *value)
{
	unsigned step;

	*value = 0;
	for (unsigned done = 0; done < size; done += step) {
		uint64_t at = (lin + done) & c->lin_mask, pa, piece;
		struct mem_page page;

		step = access_step(part_in_page(at, size - done));
		if (!translate(c, at, PAGE_READ, &pa))
			return (false);
		page = memory_page(c->mem, pa);
		tlb_fill(c, at, pa, &page, false);
		if (!read_physical(c, pa, &page, step, &piece))
			return (false);
		*value |= piece << done * 8;
	}
	if (unlikely(c->watch_kinds != 0))
		watch_access(c, lin, size, false);
	return (true);
}

static bool
write_linear(struct cpu *c, uint64_t lin, unsigned size, uint64_t value)
{
	unsigned first = part_in_page(lin, size), step;
	uint64_t pa;

	/* All pages must be writable before the first byte changes. */
	if (first < size &&
	    (!translate(c, lin, PAGE_WRITE, &pa) ||
		!translate(c, (lin + first) & c->lin_mask, PAGE_WRITE, &pa)))
		return (false);
	for (unsigned done = 0; done < size; done += step) {
		uint64_t at = (lin + done) & c->lin_mask;
		struct mem_page page;

		step = access_step(part_in_page(at, size - done));
		if (!translate(c, at, PAGE_WRITE, &pa))
			return (false);
		page = memory_page(c->mem, pa);
		tlb_fill(c, at, pa, &page, true);
		if (unlikely(c->config.track_writes) && page.type == MEM_RAM)
			note_written(c, pa, step);
		if (!write_physical(c, pa, &page, step, value >> done * 8))
			return (false);
	}
	if (unlikely(c->watch_kinds != 0))
		watch_access(c, lin, size, true);
	return (true);
}

/* The 8086 wraps around within the segment where later parts fault. */
static bool
wraps_in_segment(const struct cpu *c, uint64_t ea, unsigned size)
{
	return (c->traits->wraps_in_segment && ea + size > 0x10000);
}

bool
load_slow(struct cpu *c, unsigned seg, uint64_t ea, unsigned size)
{
	if (wraps_in_segment(c, ea, size)) {
		uint64_t value = 0, byte;

		for (unsigned i = 0; i < size; i++) {
			if (!load(c, seg, (ea + i) & 0xffff, 1, &byte))
				return (false);
			value |= byte << i * 8;
		}
		c->mem_value = value;
		return (true);
	}
	if (!segment_check(c, seg, ea, size, false) || !alignment_check(c, seg, ea, size))
		return (false);
	return (read_linear(c, (c->segc[seg].base + ea) & c->lin_mask, size, &c->mem_value));
}

bool
store_slow(struct cpu *c, unsigned seg, uint64_t ea, unsigned size, uint64_t value)
{
	if (wraps_in_segment(c, ea, size)) {
		for (unsigned i = 0; i < size; i++)
			if (!store(c, seg, (ea + i) & 0xffff, 1, value >> i * 8))
				return (false);
		return (true);
	}
	if (!segment_check(c, seg, ea, size, true) || !alignment_check(c, seg, ea, size))
		return (false);
	return (write_linear(c, (c->segc[seg].base + ea) & c->lin_mask, size, value));
}

bool
probe_write(struct cpu *c, unsigned seg, uint64_t ea, unsigned size)
{
	uint64_t lin = (c->segc[seg].base + ea) & c->lin_mask, pa;
	unsigned first = part_in_page(lin, size);

	if (wraps_in_segment(c, ea, size))
		return (true);
	if (!segment_check(c, seg, ea, size, true) || !alignment_check(c, seg, ea, size) ||
	    !translate(c, lin, PAGE_WRITE, &pa))
		return (false);
	return (first == size || translate(c, (lin + first) & c->lin_mask, PAGE_WRITE, &pa));
}

/*
 * As a page fault it is one of writing, on the first page that cannot be written, even if that
 * one can be read; but that the segment cannot be written comes first.
 */
void
rmw_fault(struct cpu *c, unsigned seg, uint64_t ea, unsigned size)
{
	if (c->fault.vector == VEC_PF || c->fault.vector == VEC_AC)
		(void)probe_write(c, seg, ea, size);
}

void
store_hit_code(struct cpu *c, const struct tlb_entry *entry, uint64_t lin, unsigned size)
{
	uint64_t pa = (uint64_t)(entry->addend + lin - (uintptr_t)c->mem->base);

	trace_drop_range(c, pa, size);
}

bool
sys_load(struct cpu *c, uint64_t lin, unsigned size, uint64_t *value)
{
	struct tlb_entry *current = c->tlb;
	uint64_t mask = c->lin_mask;
	bool ok;

	c->tlb = c->tlbs[TLB_SUPERVISOR];
	c->lin_mask = c->sys_mask;
	ok = load(c, SEG_NONE, lin, size, value);
	c->tlb = current;
	c->lin_mask = mask;
	return (ok);
}

bool
sys_store(struct cpu *c, uint64_t lin, unsigned size, uint64_t value)
{
	struct tlb_entry *current = c->tlb;
	uint64_t mask = c->lin_mask;
	bool ok;

	c->tlb = c->tlbs[TLB_SUPERVISOR];
	c->lin_mask = c->sys_mask;
	ok = store(c, SEG_NONE, lin, size, value);
	c->tlb = current;
	c->lin_mask = mask;
	return (ok);
}

bool
fetch_page(struct cpu *c, uint64_t lin, const uint8_t **host, uint64_t *pa)
{
	struct mem_page page;

	if (!translate(c, lin, PAGE_FETCH, pa))
		return (false);
	page = memory_page(c->mem, *pa);
	*host = page.type == MEM_RAM || page.type == MEM_ROM ? page.host : NULL;
	return (true);
}
