/* See walk.h. SDM vol. 3A, chapter 4. */
#include "inspect/walk.h"

#include <inttypes.h>
#include <string.h>

#define PTE_P 0x001ull
#define PTE_W 0x002ull
#define PTE_U 0x004ull
#define PTE_PS 0x080ull
#define PTE_NX (1ull << 63)
#define PHYSICAL_BITS 40 /* as CPUID 80000008h says */
#define ADDRESS 0x000ffffffffff000ull
#define PHYSICAL_MASK ((1ull << PHYSICAL_BITS) - 1)

/* A way of paging: its levels, the root first. */
struct paging {
	const char *level[4];
	unsigned levels;
	unsigned index_bits;
	unsigned entry_size;
};

static const struct paging paging_32 = {{"PDE", "PTE"}, 2, 10, 4};
static const struct paging paging_pae = {{"PDPTE", "PDE", "PTE"}, 3, 9, 8};
static const struct paging paging_4 = {{"PML4E", "PDPTE", "PDE", "PTE"}, 4, 9, 8};

static const struct paging *
paging_of(const struct vcpu_state *v)
{
	if (!(v->sregs.cr0 & CR0_PG))
		return (NULL);
	if (v->sregs.efer & EFER_LMA)
		return (&paging_4);
	return (v->sregs.cr4 & CR4_PAE ? &paging_pae : &paging_32);
}

/* One level of a walk. */
struct step {
	uint64_t at, entry;
	unsigned shift; /* of the linear address, behind this level */
	bool known, large;
};

static uint64_t
root_of(const struct vcpu_state *v, const struct paging *p)
{
	return (v->sregs.cr3 & (p == &paging_pae ? 0xffffffe0ull : ADDRESS));
}

/* Read the entry of LEVEL for LIN in the table at TABLE. */
static struct step
step_at(
    const struct subject *s, const struct paging *p, unsigned level, uint64_t table, uint64_t lin)
{
	struct step st = {.shift = 12 + (p->levels - 1 - level) * p->index_bits};
	uint64_t index = lin >> st.shift & ((1u << p->index_bits) - 1);
	bool may_be_large = p == &paging_32
	    ? level == 0 && (s->state.sregs.cr4 & CR4_PSE)
	    : level == p->levels - 2 || (p == &paging_4 && level == 1);

	st.at = table + index * p->entry_size;
	st.known = s->mem != NULL && memory_read(s->mem, st.at, &st.entry, p->entry_size);
	st.large = may_be_large && (st.entry & PTE_PS);
	return (st);
}

/* The physical address behind the last entry of a walk. */
static uint64_t
target_of(const struct paging *p, const struct step *st, uint64_t lin)
{
	uint64_t mask = (1ull << st->shift) - 1, base = st->entry & ADDRESS & ~mask;

	if (p == &paging_32 && st->large)
		base = (st->entry & 0xffc00000) | (st->entry >> 13 & 0xff) << 32;
	return (base | (lin & mask));
}

bool
walk_translate(const struct subject *s, uint64_t lin, uint64_t *pa)
{
	uint64_t span;

	return (walk_span(s, lin, pa, &span));
}

bool
walk_span(const struct subject *s, uint64_t lin, uint64_t *pa, uint64_t *span)
{
	const struct paging *p = paging_of(&s->state);
	uint64_t table;

	*pa = lin;
	*span = UINT64_MAX - lin;
	if (p == NULL)
		return (true);
	table = root_of(&s->state, p);
	for (unsigned level = 0; level < p->levels; level++) {
		struct step st = step_at(s, p, level, table, lin);

		*span = (1ull << st.shift) - (lin & ((1ull << st.shift) - 1));
		if (!st.known || !(st.entry & PTE_P))
			return (false);
		*pa = target_of(p, &st, lin);
		if (st.large)
			break;
		table = st.entry & ADDRESS;
	}
	return (true);
}

size_t
walk_read(const struct subject *s, uint64_t lin, void *buf, size_t size)
{
	size_t done = 0;

	while (done < size && s->mem != NULL) {
		size_t part = 4096 - ((lin + done) & 4095);
		uint64_t pa;

		if (part > size - done)
			part = size - done;
		if (!walk_translate(s, lin + done, &pa) ||
		    !memory_read(s->mem, pa, (char *)buf + done, part))
			break;
		done += part;
	}
	return (done);
}

/* --- what stops an access ---------------------------------------------------------------------------- */

/* Reserved bits that are set in an entry (vol. 3A, 4.3 to 4.5), those that are the same everywhere. */
static uint64_t
reserved_in(const struct vcpu_state *v, const struct paging *p, const struct step *st)
{
	uint64_t reserved = 0;

	if (p == &paging_32)
		return (st->large ? st->entry & (1u << 21) : 0);
	reserved = ~PHYSICAL_MASK & 0x000fffffffffffffull;
	if (!(v->sregs.efer & EFER_NXE))
		reserved |= PTE_NX;
	if (p == &paging_pae)
		reserved |= 0x7ff0000000000000ull;
	if (st->large)
		reserved |= ((1ull << st->shift) - 1) & 0x3fffe000ull;
	return (st->entry & reserved);
}

/* Why ACCESS stops at ST, "" if it does not. */
static void
judge(const struct subject *s, const struct paging *p, const struct step *st, const char *level,
    const struct walk_access *access, char *why, size_t size)
{
	const struct vcpu_sregs *sr = &s->state.sregs;
	uint64_t reserved = reserved_in(&s->state, p, st);
	bool pdpte = p == &paging_pae && strcmp(level, "PDPTE") == 0;

	why[0] = '\0';
	if (!st->known)
		snprintf(why, size, "the %s is not in memory", level);
	else if (!(st->entry & PTE_P))
		snprintf(why, size, "the %s is not present", level);
	else if (reserved != 0)
		snprintf(why, size, "the %s sets reserved bits %" PRIx64 "h", level, reserved);
	else if (pdpte)
		return;
	else if (access->user && !(st->entry & PTE_U))
		snprintf(why, size, "the %s is the supervisor's, the access user code's", level);
	else if (access->write && !(st->entry & PTE_W) && (access->user || (sr->cr0 & CR0_WP)))
		snprintf(why, size, "the %s does not let write%s", level,
		    access->user ? "" : " (CR0.WP is 1)");
	else if (access->fetch && (st->entry & PTE_NX) && (sr->efer & EFER_NXE))
		snprintf(why, size, "the %s does not let execute (XD)", level);
}

static void
print_step(FILE *out, const char *prefix, const char *level, const struct step *st, const char *why)
{
	fprintf(out, "%s%-5s at %" PRIx64 "h = ", prefix, level, st->at);
	if (!st->known)
		fprintf(out, "?");
	else
		fprintf(out, "%" PRIx64 "h (%s%s%s%s%s)", st->entry,
		    st->entry & PTE_P ? "present" : "not present",
		    st->entry & PTE_W ? ", writable" : ", read-only",
		    st->entry & PTE_U ? ", user" : ", supervisor", st->large ? ", large page" : "",
		    st->entry & PTE_NX ? ", no execute" : "");
	fprintf(out, "%s%s\n", why[0] != '\0' ? ": " : "", why);
}

void
walk_print(const struct subject *s, uint64_t lin, const struct walk_access *access, FILE *out,
    const char *prefix, char *why, size_t size)
{
	const struct paging *p = paging_of(&s->state);
	const struct vcpu_sregs *sr = &s->state.sregs;
	bool user_page = true;
	uint64_t table;

	why[0] = '\0';
	if (p == NULL)
		return;
	table = root_of(&s->state, p);
	for (unsigned level = 0; level < p->levels; level++) {
		struct step st = step_at(s, p, level, table, lin);

		judge(s, p, &st, p->level[level], access, why, size);
		print_step(out, prefix, p->level[level], &st, why);
		if (why[0] != '\0')
			return;
		if (!(p == &paging_pae && level == 0))
			user_page = user_page && (st.entry & PTE_U);
		if (st.large)
			break;
		table = st.entry & ADDRESS;
	}
	if (access->user || !user_page)
		return;
	if (access->fetch && (sr->cr4 & CR4_SMEP))
		snprintf(why, size, "the page is a user page, which CR4.SMEP keeps from being run");
	else if (!access->fetch && (sr->cr4 & CR4_SMAP) && !(s->state.gpr.rflags & RFLAGS_AC))
		snprintf(
		    why, size, "the page is a user page, which CR4.SMAP keeps from being used");
}
