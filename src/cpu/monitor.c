/*
 * MONITOR and MWAIT (SDM vol. 2B; vol. 3A, 8.10), and RDRAND (vol. 2B; vol. 1, 7.3.17). MWAIT waits
 * as HLT does, until an interrupt or a store by somebody else to the monitored line.
 */
#include "cpu/flags.h"
#include "cpu/insn.h"

/* The address is in (E)AX or RAX, of DS or of what the last segment prefix says. */
bool
bind_monitor(struct op *op, const struct decoded *d)
{
	static const struct {
		uint8_t prefix, seg;
		bool in_64; /* looked at in 64-bit mode */
	} prefixes[] = {{0x26, SEG_ES, false}, {0x2e, SEG_CS, false}, {0x36, SEG_SS, false},
	    {0x3e, SEG_DS, false}, {0x64, SEG_FS, true}, {0x65, SEG_GS, true}};
	bool in_64 = d->insn->machine_mode == ZYDIS_MACHINE_MODE_LONG_64;

	op->amask = size_mask(d->insn->address_width / 8u);
	for (unsigned i = 0; i < d->insn->raw.prefix_count; i++)
		for (size_t j = 0; j < sizeof(prefixes) / sizeof(prefixes[0]); j++)
			if (d->insn->raw.prefixes[i].value == prefixes[j].prefix &&
			    (prefixes[j].in_64 || !in_64))
				op->seg = prefixes[j].seg;
	return (true);
}

/* #UD unless at privilege level 0 and switched on; #GP(0) for extensions or hints in ECX. */
static bool
allowed(struct cpu *c, const struct vcpu_state *s, uint64_t known)
{
	uint64_t extensions = c->mode & MODE_L ? RCX(s) : (uint32_t)RCX(s);

	if (c->cpl != 0 || !(s->msr.misc_enable & MISC_ENABLE_MONITOR))
		return (fault_at(c, VEC_UD, 0, CAUSE_PRIVILEGE, c->cpl, 0));
	if (extensions & ~known)
		return (fault_at(c, VEC_GP, 0, CAUSE_RESERVED, extensions, 0));
	return (true);
}

enum op_result
do_monitor(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t ea = RAX(s) & op->amask, value, pa;

	if (!allowed(c, s, 0) || !load(c, op->seg, ea, 1, &value) ||
	    !translate(c, (c->segc[op->seg].base + ea) & c->lin_mask, PAGE_READ, &pa))
		return (OP_FAULT);
	c->monitored = pa & ~(uint64_t)(MONITOR_LINE - 1);
	return (OP_NEXT);
}

/*
 * Nothing is waited for when no line is monitored, or while interrupts are off: the SDM lets MWAIT
 * end for any reason, so whoever uses it looks at the line again.
 */
static const struct trace *
op_mwait(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	if (!allowed(c, s, 1))
		return (op_fault(c, op, s));
	s->gpr.rip = op_next_rip(op, s) & c->ip_mask;
	c->left -= op->idx + 1;
	if (c->monitored != NO_LINE && (s->gpr.rflags & RFLAGS_IF))
		s->events.activity = VCPU_HLT;
	else
		c->monitored = NO_LINE;
	return (NULL);
}

const struct family fam_mwait = {.fn = {[FORM_RR] = {op_mwait, NULL, NULL, NULL}}};

void
monitor_written(struct cpu *c, uint64_t pa, uint64_t size)
{
	if (c->monitored == NO_LINE || pa >= c->monitored + MONITOR_LINE ||
	    c->monitored >= pa + size)
		return;
	c->monitored = NO_LINE;
	if (c->s->events.activity == VCPU_HLT)
		c->s->events.activity = VCPU_ACTIVE;
}

/* Splitmix64: every seed has a full period of its own. */
static uint64_t
next_random(struct cpu *c)
{
	uint64_t z = c->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31);
}

enum op_result
do_rdrand(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	if (varies(c))
		return (OP_EXIT);
	reg_set(s, op->dst, op->size, next_random(c) & size_mask(op->size));
	flags_set(c, RFLAGS_CF);
	return (OP_NEXT);
}
