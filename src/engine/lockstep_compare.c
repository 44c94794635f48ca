/*
 * What is compared where both engines have met, and what is not:
 *  - base, limit and rights of a segment that cannot be used (but the bases of FS and GS);
 *  - the time stamp counter's offset, for time is the leader's;
 *  - RFLAGS.RF, which some engines set between two elements of a string instruction, and which a
 *    breakpoint of ours sets;
 *  - the reserved bytes of the x87's image.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "engine/lockstep_parts.h"

#define AT(field) offsetof(struct vcpu_state, field), sizeof(((struct vcpu_state *)0)->field)
#define R(name, field, group) \
	{ \
		name, AT(field), group, 0 \
	}
#define SEGMENT(name, field) \
	R(name, field.selector, VCPU_SREGS), R(name ".base", field.base, VCPU_SREGS), \
	    R(name ".limit", field.limit, VCPU_SREGS), R(name ".access", field.access, VCPU_SREGS)
#define FX(name, at, size) \
	{ \
		name, offsetof(struct vcpu_state, fpu.fxsave) + (at), size, VCPU_FPU, 0 \
	}
#define ST(n) FX("ST" #n, 32 + 16 * (n), 8), FX("ST" #n "[79:64]", 40 + 16 * (n), 2)
#define XMM(n) FX("XMM" #n "[63:0]", 160 + 16 * (n), 8), FX("XMM" #n "[127:64]", 168 + 16 * (n), 8)

/* Named as the SDM does; the instruction pointer first, for the rest follows from it. */
const struct lockstep_register lockstep_registers[] = {
    R("RIP", gpr.rip, VCPU_GPR),
    R("RAX", gpr.reg[GPR_RAX], VCPU_GPR),
    R("RCX", gpr.reg[GPR_RCX], VCPU_GPR),
    R("RDX", gpr.reg[GPR_RDX], VCPU_GPR),
    R("RBX", gpr.reg[GPR_RBX], VCPU_GPR),
    R("RSP", gpr.reg[GPR_RSP], VCPU_GPR),
    R("RBP", gpr.reg[GPR_RBP], VCPU_GPR),
    R("RSI", gpr.reg[GPR_RSI], VCPU_GPR),
    R("RDI", gpr.reg[GPR_RDI], VCPU_GPR),
    R("R8", gpr.reg[GPR_R8], VCPU_GPR),
    R("R9", gpr.reg[GPR_R9], VCPU_GPR),
    R("R10", gpr.reg[GPR_R10], VCPU_GPR),
    R("R11", gpr.reg[GPR_R11], VCPU_GPR),
    R("R12", gpr.reg[GPR_R12], VCPU_GPR),
    R("R13", gpr.reg[GPR_R13], VCPU_GPR),
    R("R14", gpr.reg[GPR_R14], VCPU_GPR),
    R("R15", gpr.reg[GPR_R15], VCPU_GPR),
    {"RFLAGS", AT(gpr.rflags), VCPU_GPR, RFLAGS_RF},
    SEGMENT("ES", sregs.seg[SEG_ES]),
    SEGMENT("CS", sregs.seg[SEG_CS]),
    SEGMENT("SS", sregs.seg[SEG_SS]),
    SEGMENT("DS", sregs.seg[SEG_DS]),
    SEGMENT("FS", sregs.seg[SEG_FS]),
    SEGMENT("GS", sregs.seg[SEG_GS]),
    SEGMENT("LDTR", sregs.ldtr),
    SEGMENT("TR", sregs.tr),
    R("GDTR.base", sregs.gdtr.base, VCPU_SREGS),
    R("GDTR.limit", sregs.gdtr.limit, VCPU_SREGS),
    R("IDTR.base", sregs.idtr.base, VCPU_SREGS),
    R("IDTR.limit", sregs.idtr.limit, VCPU_SREGS),
    R("CR0", sregs.cr0, VCPU_SREGS),
    R("CR2", sregs.cr2, VCPU_SREGS),
    R("CR3", sregs.cr3, VCPU_SREGS),
    R("CR4", sregs.cr4, VCPU_SREGS),
    R("CR8", sregs.cr8, VCPU_SREGS),
    R("IA32_EFER", sregs.efer, VCPU_SREGS),
    R("IA32_APIC_BASE", sregs.apic_base, VCPU_SREGS),
    R("interruptibility", events.interruptibility, VCPU_EVENTS),
    R("activity", events.activity, VCPU_EVENTS),
    R("pending debug exceptions", events.pending_debug, VCPU_EVENTS),
    FX("FCW", 0, 2),
    FX("FSW", 2, 2),
    FX("FTW", 4, 1),
    FX("FOP", 6, 2),
    FX("FIP", 8, 8),
    FX("FDP", 16, 8),
    FX("MXCSR", 24, 4),
    VCPU_EACH_8(ST),
    VCPU_EACH_16(XMM),
    R("XCR0", fpu.xcr0, VCPU_FPU),
    R("IA32_SYSENTER_CS", msr.sysenter_cs, VCPU_MSR),
    R("IA32_SYSENTER_ESP", msr.sysenter_esp, VCPU_MSR),
    R("IA32_SYSENTER_EIP", msr.sysenter_eip, VCPU_MSR),
    R("IA32_STAR", msr.star, VCPU_MSR),
    R("IA32_LSTAR", msr.lstar, VCPU_MSR),
    R("IA32_CSTAR", msr.cstar, VCPU_MSR),
    R("IA32_FMASK", msr.fmask, VCPU_MSR),
    R("IA32_KERNEL_GS_BASE", msr.kernel_gsbase, VCPU_MSR),
    R("IA32_TSC_AUX", msr.tsc_aux, VCPU_MSR),
    R("IA32_PAT", msr.pat, VCPU_MSR),
    R("IA32_MISC_ENABLE", msr.misc_enable, VCPU_MSR),
    R("DR0", debug.dr[0], VCPU_DEBUG),
    R("DR1", debug.dr[1], VCPU_DEBUG),
    R("DR2", debug.dr[2], VCPU_DEBUG),
    R("DR3", debug.dr[3], VCPU_DEBUG),
    R("DR6", debug.dr6, VCPU_DEBUG),
    R("DR7", debug.dr7, VCPU_DEBUG),
};
const unsigned lockstep_nregisters = sizeof(lockstep_registers) / sizeof(lockstep_registers[0]);

/* --- registers -------------------------------------------------------------------------------------- */

uint64_t
lockstep_register_get(const struct lockstep_register *reg, const struct vcpu_state *s)
{
	uint64_t value = 0;

	memcpy(&value, (const uint8_t *)s + reg->offset, reg->size);
	return (value);
}

/* REG is a part of a segment that both cannot use, and says nothing then. */
static bool
of_unusable(
    const struct lockstep_register *reg, const struct vcpu_state *a, const struct vcpu_state *b)
{
	static const size_t at[] = {offsetof(struct vcpu_state, sregs.seg[SEG_ES]),
	    offsetof(struct vcpu_state, sregs.seg[SEG_SS]),
	    offsetof(struct vcpu_state, sregs.seg[SEG_DS]),
	    offsetof(struct vcpu_state, sregs.seg[SEG_FS]),
	    offsetof(struct vcpu_state, sregs.seg[SEG_GS]),
	    offsetof(struct vcpu_state, sregs.ldtr)};
	struct x86_segment sa, sb;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		size_t field = reg->offset - at[i];

		if (reg->offset < at[i] || field >= sizeof(sa))
			continue;
		memcpy(&sa, (const uint8_t *)a + at[i], sizeof(sa));
		memcpy(&sb, (const uint8_t *)b + at[i], sizeof(sb));
		if (field == offsetof(struct x86_segment, selector))
			return (false);
		if (field == offsetof(struct x86_segment, base) && (i == 3 || i == 4))
			return (false);
		return (sa.access & sb.access & AR_UNUSABLE);
	}
	return (false);
}

uint64_t
lockstep_register_diff(
    const struct lockstep_register *reg, const struct vcpu_state *a, const struct vcpu_state *b)
{
	uint64_t diff = lockstep_register_get(reg, a) ^ lockstep_register_get(reg, b);

	diff &= ~reg->ignored;
	return (diff != 0 && of_unusable(reg, a, b) ? 0 : diff);
}

const struct lockstep_register *
lockstep_differs(const struct vcpu_state *a, const struct vcpu_state *b, unsigned groups)
{
	for (unsigned i = 0; i < lockstep_nregisters; i++)
		if ((lockstep_registers[i].group & groups) &&
		    lockstep_register_diff(&lockstep_registers[i], a, b) != 0)
			return (&lockstep_registers[i]);
	return (NULL);
}

/* --- memory ----------------------------------------------------------------------------------------- */

/* Where the memory file has data; all of it where the file system cannot tell. */
static uint64_t
seek(const struct memory *mem, uint64_t from, int whence)
{
	off_t at = lseek(mem->fd, (off_t)from, whence);

	if (at >= 0)
		return ((uint64_t)at);
	return (errno == ENXIO || whence == SEEK_HOLE ? mem->limit : from);
}

bool
lockstep_data(const struct memory *mem, uint64_t *from, uint64_t *to)
{
	uint64_t start = seek(mem, *from, SEEK_DATA), end;

	/* Nothing is mapped between the end of low memory and 4 GB. */
	if (start >= mem->low_size && start < MEMORY_HIGH_BASE)
		start = seek(mem, MEMORY_HIGH_BASE, SEEK_DATA);
	if (start >= mem->limit)
		return (false);
	end = seek(mem, start, SEEK_HOLE);
	if (start < mem->low_size && end > mem->low_size)
		end = mem->low_size;
	*from = start;
	*to = end < mem->limit ? end : mem->limit;
	return (*to > *from);
}

static void
report_page(struct pair *p, uint64_t gpa, const uint8_t *leader, const uint8_t *follower)
{
	struct lockstep_report *r = &p->ls->report;
	unsigned first = 0;

	while (first < PAGE && leader[first] == follower[first])
		first++;
	r->gpa = gpa + first;
	for (unsigned i = 0; i < PAGE; i++)
		r->differing += leader[i] != follower[i];
	for (unsigned i = 0; i < LOCKSTEP_BYTES && first + i < PAGE; i++) {
		r->bytes[LOCKSTEP_LEADER][i] = leader[first + i];
		r->bytes[LOCKSTEP_FOLLOWER][i] = follower[first + i];
	}
	lockstep_found(p, LOCKSTEP_MEMORY);
}

static bool
is_memory(const struct memory *mem, uint64_t gpa)
{
	return (gpa < mem->low_size || (gpa >= MEMORY_HIGH_BASE && gpa < mem->limit));
}

/* Compare a page, and keep it as it is now. */
static bool
same_page(struct pair *p, uint64_t gpa)
{
	const struct memory *real = p->outer->world.mem;
	const uint8_t *leader = real->base + gpa;
	const uint8_t *follower = p->side[LOCKSTEP_FOLLOWER].mem.base + gpa;

	if (!is_memory(real, gpa))
		return (true);
	p->ls->pages++;
	if (memcmp(leader, follower, PAGE) != 0) {
		report_page(p, gpa, leader, follower);
		return (false);
	}
	memcpy(p->shadow.base + gpa, leader, PAGE);
	return (true);
}

/* All that SIDE's file has data in. */
static bool
same_data(struct pair *p, const struct memory *mem)
{
	static const uint8_t zeroes[PAGE];
	uint64_t from = 0, to;

	while (lockstep_data(mem, &from, &to)) {
		for (; from < to; from += PAGE) {
			/* What is only read is not to become a page of its own. */
			if (memcmp(mem->base + from, zeroes, PAGE) == 0 &&
			    memcmp(p->shadow.base + from, zeroes, PAGE) == 0 &&
			    mem == p->outer->world.mem)
				continue;
			if (!same_page(p, from))
				return (false);
		}
	}
	return (true);
}

/*
 * Collect what was written. Where the follower cannot tell, what the leader wrote is compared, and
 * now and then all.
 */
static void
collect_written(struct pair *p)
{
	uint64_t pages[ENGINE_WRITTEN_MAX];

	for (unsigned i = 0; i < 2; i++) {
		int n = vcpu_written(&p->side[i].vcpu, pages);

		if (n < 0 && (i == LOCKSTEP_LEADER || p->ls->engines[i]->written != NULL))
			p->nwritten = WRITTEN_MAX + 1;
		for (int j = 0; j < n && p->nwritten <= WRITTEN_MAX; j++) {
			if (p->nwritten < WRITTEN_MAX)
				p->written[p->nwritten] = pages[j];
			p->nwritten++;
		}
	}
}

bool
lockstep_seems_same(struct pair *p)
{
	const struct memory *real = p->outer->world.mem;

	collect_written(p);
	for (unsigned i = 0; i < p->nwritten && i < WRITTEN_MAX; i++)
		if (is_memory(real, p->written[i] * PAGE) &&
		    memcmp(real->base + p->written[i] * PAGE,
			p->side[LOCKSTEP_FOLLOWER].mem.base + p->written[i] * PAGE, PAGE) != 0)
			return (false);
	return (true);
}

bool
lockstep_same_memory(struct pair *p, bool all)
{
	unsigned n;

	collect_written(p);
	n = p->nwritten;
	p->nwritten = 0;
	if (all || n > WRITTEN_MAX) {
		p->scanned = p->ls->exits;
		return (same_data(p, p->outer->world.mem) &&
		    same_data(p, &p->side[LOCKSTEP_FOLLOWER].mem));
	}
	for (unsigned i = 0; i < n; i++)
		if (!same_page(p, p->written[i] * PAGE))
			return (false);
	return (true);
}
