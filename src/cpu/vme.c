/* See vme.h. */
#include "cpu/vme.h"
#include "cpu/tss.h"

static unsigned
iopl_of(const struct cpu *c)
{
	return ((c->s->gpr.rflags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT);
}

bool
vme_active(const struct cpu *c)
{
	return ((c->mode & MODE_VM) && (c->s->sregs.cr4 & CR4_VME) && iopl_of(c) < 3);
}

bool
virtual_if(const struct cpu *c)
{
	if (is_protected(c))
		return ((c->s->sregs.cr4 & CR4_PVI) && c->cpl == 3 && iopl_of(c) < 3);
	return (vme_active(c));
}

uint64_t
vme_flags_image(const struct cpu *c, uint64_t flags)
{
	flags = (flags & ~(uint64_t)RFLAGS_IF) | RFLAGS_IOPL;
	return (c->s->gpr.rflags & RFLAGS_VIF ? flags | RFLAGS_IF : flags);
}

bool
vme_flags_ok(struct cpu *c, uint64_t flags)
{
	if (!(flags & RFLAGS_TF) && !((flags & RFLAGS_IF) && (c->s->gpr.rflags & RFLAGS_VIP)))
		return (true);
	return (fault_at(c, VEC_GP, 0, CAUSE_PRIVILEGE, flags, 0));
}

void
vme_flags_load(struct cpu *c, uint64_t flags)
{
	const uint64_t mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_VIF;

	rflags_set(c, (flags & 0xffff) | (flags & RFLAGS_IF ? RFLAGS_VIF : 0), mask);
}

bool
vme_interrupt(struct cpu *c, unsigned vector, bool *redirect)
{
	bool map_says = false;

	if ((c->s->sregs.cr4 & CR4_VME) && !tss_redirects(c, vector, &map_says))
		return (false);
	*redirect = map_says;
	if (map_says || iopl_of(c) == 3)
		return (true);
	return (fault_at(c, VEC_GP, 0, CAUSE_PRIVILEGE, vector, 0));
}
