/*
 * Linear to physical: 32-bit paging with PSE, PAE, 4-level paging. SDM vol. 3A, chapter 4. Access
 * rights: 4.6; error codes: 4.7; accessed and dirty bits: 4.8.
 */
#include "cpu/internal.h"

/* Bits of paging-structure entries, the same in all modes. */
#define PTE_P 0x001ull
#define PTE_W 0x002ull
#define PTE_U 0x004ull
#define PTE_A 0x020ull
#define PTE_D 0x040ull
#define PTE_PS 0x080ull
#define PTE_NX (1ull << 63)
#define PHYSICAL_MASK ((1ull << X86_PHYSICAL_BITS) - 1)
#define ADDRESS_MASK (PHYSICAL_MASK & ~0xfffull)

/* A way of walking: how many levels, how wide an index and an entry are. */
struct walk_mode {
	unsigned levels;
	unsigned index_bits;
	unsigned entry_size;
};

static const struct walk_mode walk_32 = {2, 10, 4};
static const struct walk_mode walk_pae = {3, 9, 8};
static const struct walk_mode walk_4level = {4, 9, 8};

struct walk {
	const struct walk_mode *mode;
	uint64_t lin;
	enum page_access access;
	bool user;
	/* What came of it. */
	uint64_t entry[4], at[4]; /* by level, the root first */
	unsigned leaf;		  /* index of the last entry read */
	uint64_t rights;	  /* PTE_W, PTE_U of all levels together; PTE_NX of any */
};

static bool
page_fault(struct cpu *c, const struct walk *w, uint32_t why)
{
	const struct vcpu_sregs *sr = &c->s->sregs;
	bool nx_known = (sr->cr4 & CR4_SMEP) || ((sr->efer & EFER_NXE) && w->mode != &walk_32);
	uint32_t error = why;

	if (w->access == PAGE_WRITE)
		error |= PFEC_W;
	if (w->user)
		error |= PFEC_U;
	if (w->access == PAGE_FETCH && nx_known)
		error |= PFEC_I;
	c->fault.cr2 = w->lin;
	return (fault_at(c, VEC_PF, error, CAUSE_PAGE, w->lin, 0));
}

static uint64_t
entry_read(struct cpu *c, uint64_t at, unsigned size)
{
	const struct mem_page page = memory_page(c->mem, at);
	const uint8_t *host = page.host + (at & X86_PAGE_MASK); /* an entry lies in one page */
	uint64_t value;
	uint32_t half;

	/* From nowhere come all ones, as from a bus that floats. */
	if (page.type != MEM_RAM && page.type != MEM_ROM)
		return (size_mask(size));
	if (size == sizeof(value)) {
		memcpy(&value, host, sizeof(value));
		return (value);
	}
	memcpy(&half, host, sizeof(half));
	return (half);
}

/* Bits that must be 0 in an entry of LEVEL (levels left below it), large page or not. */
static uint64_t
reserved_bits(const struct cpu *c, const struct walk *w, unsigned level, bool large)
{
	uint64_t reserved;

	if (w->mode == &walk_32)
		return (large ? 1u << 21 : 0); /* PSE-36 with 40 bits: 13-20 are address bits */
	reserved = ~PHYSICAL_MASK & 0x000fffffffffffffull;
	if (!(c->s->sregs.efer & EFER_NXE))
		reserved |= PTE_NX;
	if (w->mode == &walk_pae) {
		reserved |= 0x7ff0000000000000ull;
		if (level == 2) /* PDPTE */
			return (reserved | PTE_NX | 0x1e6);
	}
	if (level == 3)
		reserved |= PTE_PS;
	if (large)
		reserved |= level == 2 ? 0x3fffe000ull : 0x001fe000ull;
	return (reserved);
}

static bool
may_be_large(const struct cpu *c, const struct walk *w, unsigned level)
{
	if (w->mode == &walk_32)
		return (level == 1 && (c->s->sregs.cr4 & CR4_PSE));
	return (level == 1 || (level == 2 && w->mode == &walk_4level));
}

/* Read the entries down to the page. */
static bool
walk_down(struct cpu *c, struct walk *w)
{
	const struct walk_mode *m = w->mode;
	uint64_t table = c->s->sregs.cr3 & (m == &walk_pae ? 0xffffffe0ull : ADDRESS_MASK);

	if (m == &walk_32)
		table &= UINT32_MAX;
	w->rights = PTE_W | PTE_U;
	for (unsigned i = 0; i < m->levels; i++) {
		unsigned level = m->levels - 1 - i;
		uint64_t index =
		    w->lin >> (12 + level * m->index_bits) & ((1u << m->index_bits) - 1);
		uint64_t e;
		bool large;

		w->at[i] = table + index * m->entry_size;
		w->entry[i] = e = entry_read(c, w->at[i], m->entry_size);
		w->leaf = i;
		if (!(e & PTE_P))
			return (page_fault(c, w, 0));
		large = (e & PTE_PS) && may_be_large(c, w, level);
		if (e & reserved_bits(c, w, level, large))
			return (page_fault(c, w, PFEC_P | PFEC_RSVD));
		if (!(m == &walk_pae && level == 2))
			w->rights = (w->rights & (e | ~(PTE_W | PTE_U))) | (e & PTE_NX);
		if (large || level == 0)
			return (true);
		table = e & ADDRESS_MASK;
	}
	return (true);
}

/* SDM vol. 3A, 4.6.1: may this access be made with the rights that were found? */
static bool
access_ok(const struct cpu *c, const struct walk *w)
{
	const struct vcpu_sregs *sr = &c->s->sregs;
	bool user_page = w->rights & PTE_U, ac = c->s->gpr.rflags & RFLAGS_AC;

	if (w->access == PAGE_FETCH) {
		if ((w->rights & PTE_NX) && (sr->efer & EFER_NXE))
			return (false);
		return (w->user ? user_page : !(user_page && (sr->cr4 & CR4_SMEP)));
	}
	if (w->user)
		return (user_page && (w->access == PAGE_READ || (w->rights & PTE_W)));
	/* Implicit accesses (descriptor tables) are made at privilege 0 whatever AC says. */
	if (user_page && (sr->cr4 & CR4_SMAP) && !(ac && c->cpl < 3))
		return (false);
	return (w->access == PAGE_READ || (w->rights & PTE_W) || !(sr->cr0 & CR0_WP));
}

/* Set accessed bits on the way, and the dirty bit of the page if it is written. */
static void
mark(struct cpu *c, struct walk *w)
{
	for (unsigned i = 0; i <= w->leaf; i++) {
		uint64_t bits = PTE_A, e;

		if (w->mode == &walk_pae && i == 0)
			continue;
		if (i == w->leaf && w->access == PAGE_WRITE)
			bits |= PTE_D;
		if ((w->entry[i] & bits) == bits)
			continue;
		e = w->entry[i] | bits;
		memory_write(c->mem, w->at[i], &e, w->mode->entry_size);
	}
}

/* The physical address: the page's base, and as much of LIN as the page is large. */
static uint64_t
page_address(const struct walk *w)
{
	const struct walk_mode *m = w->mode;
	unsigned level = m->levels - 1 - w->leaf;
	uint64_t offset_mask = (1ull << (12 + level * m->index_bits)) - 1;
	uint64_t e = w->entry[w->leaf], base = e & ADDRESS_MASK & ~offset_mask;

	if (m == &walk_32 && level == 1) /* PSE-36 */
		base = (e & 0xffc00000) | (e >> 13 & 0xff) << 32;
	return (base | (w->lin & offset_mask));
}

static const struct walk_mode *
mode_of(const struct cpu *c)
{
	if (c->s->sregs.efer & EFER_LMA)
		return (&walk_4level);
	return (c->s->sregs.cr4 & CR4_PAE ? &walk_pae : &walk_32);
}

bool
translate(struct cpu *c, uint64_t lin, enum page_access access, uint64_t *pa)
{
	struct walk w = {.lin = lin, .access = access};

	if (!(c->s->sregs.cr0 & CR0_PG)) {
		*pa = lin & c->mem->a20_mask;
		return (true);
	}
	w.mode = mode_of(c);
	w.user = c->tlb == c->tlbs[TLB_USER] || c->tlb == c->tlbs[TLB_USER_ALIGNED];
	if (!walk_down(c, &w))
		return (false);
	if (!access_ok(c, &w))
		return (page_fault(c, &w, PFEC_P));
	mark(c, &w);
	*pa = page_address(&w) & c->mem->a20_mask;
	return (true);
}

/*
 * Whether the four page-directory-pointer entries that CR3 points at are valid: a load of CR3 (and
 * of CR0, CR4 that turns PAE on) with a reserved bit set in one is #GP (vol. 3A, 4.4.1).
 */
bool
pdptes_valid(struct cpu *c, uint64_t cr3)
{
	struct walk w = {.mode = &walk_pae};

	for (unsigned i = 0; i < 4; i++) {
		uint64_t e = entry_read(c, (cr3 & 0xffffffe0) + i * 8, 8);

		if ((e & PTE_P) && (e & reserved_bits(c, &w, 2, false)))
			return (false);
	}
	return (true);
}
