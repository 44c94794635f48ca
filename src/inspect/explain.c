/* See explain.h. */
#include "inspect/explain.h"

#include <inttypes.h>
#include <string.h>

#include "cpu/disasm.h"
#include "inspect/replay.h"
#include "inspect/walk.h"
#include "vmx/vmx.h"

#define CODE_BYTES 16
#define BEFORE 5 /* branches and BIOS calls that are told */

/* --- where --------------------------------------------------------------------------------------------- */

static const char *
mode_name(const struct vcpu_state *v)
{
	if (!(v->sregs.cr0 & CR0_PE))
		return ("real mode");
	if (v->gpr.rflags & RFLAGS_VM)
		return ("virtual-8086 mode");
	if (v->sregs.efer & EFER_LMA)
		return (disasm_bits(v) == 64 ? "64-bit mode" : "compatibility mode");
	return (disasm_bits(v) == 32 ? "32-bit protected mode" : "16-bit protected mode");
}

void
explain_where(FILE *out, const struct subject *s)
{
	const struct vcpu_state *v = &s->state;
	const struct x86_segment *cs = &v->sregs.seg[SEG_CS];

	fprintf(out, "%04x:%04" PRIx64 " (linear %" PRIx64 "h), %s", cs->selector, v->gpr.rip,
	    (disasm_bits(v) == 64 ? 0 : cs->base) + v->gpr.rip, mode_name(v));
	if ((v->sregs.cr0 & CR0_PE) && !(v->gpr.rflags & RFLAGS_VM))
		fprintf(out, ", privilege %u", segment_dpl(v->sregs.seg[SEG_SS].access));
	if (v->sregs.cr0 & CR0_PG)
		fprintf(out, ", paging");
	if (s->mem != NULL && !memory_get_a20(s->mem))
		fprintf(out, ", A20 off");
}

/* The instruction at linear AT, offset RIP, on one line. */
static void
print_instruction(FILE *out, const struct subject *s, uint64_t at, uint64_t rip, const char *prefix)
{
	uint8_t code[CODE_BYTES];
	size_t n = walk_read(s, at, code, sizeof(code));
	char text[128];
	unsigned length;

	fprintf(out, "%s%08" PRIx64 "  ", prefix, at);
	if (n == 0) {
		fprintf(
		    out, "%s\n", s->mem != NULL ? "(no memory)" : "(the bytes are not in a dump)");
		return;
	}
	length = disasm(code, n, disasm_bits(&s->state), rip, text, sizeof(text));
	for (unsigned i = 0; i < 8; i++)
		if (i < (length != 0 ? length : n))
			fprintf(out, "%02x ", code[i]);
		else
			fprintf(out, "   ");
	fprintf(out, " %s\n", text);
}

void
explain_instruction(FILE *out, const struct subject *s)
{
	uint64_t base = disasm_bits(&s->state) == 64 ? 0 : s->state.sregs.seg[SEG_CS].base;

	print_instruction(out, s, base + s->state.gpr.rip, s->state.gpr.rip, "  ");
}

/* --- what came before ------------------------------------------------------------------------------------ */

void
explain_bios_calls(FILE *out, const struct subject *s, unsigned count)
{
	const struct bios_recent *recent = &s->history.bios;
	/* The oldest place may be that of a call which is being served. */
	unsigned n = recent->count < BIOS_RECENT ? recent->count : BIOS_RECENT - 1;

	if (!s->has_history || n == 0)
		return;
	if (n > count)
		n = count;
	fprintf(out, "last BIOS calls:\n");
	for (unsigned i = 0; i < n; i++) {
		const struct bios_recent_call *c =
		    &recent->call[(recent->count - n + i) % BIOS_RECENT];

		fprintf(out, "  INT %02xh AX=%04x BX=%04x CX=%04x DX=%04x ES=%04x -> AX=%04x%s%s\n",
		    c->vector, c->ax, c->bx, c->cx, c->dx, c->es, c->result, c->carry ? " CF" : "",
		    c->unknown ? " (nobody serves it)" : "");
	}
}

void
explain_branches(FILE *out, const struct subject *s, unsigned count)
{
	const struct vcpu_history *h = &s->history.cpu;
	unsigned n = h->nbranches < count ? h->nbranches : count;

	if (!s->has_history || n == 0)
		return;
	fprintf(out, "last indirect branches:\n");
	for (unsigned i = h->nbranches - n; i < h->nbranches; i++) {
		const struct cpu_branch *b = &h->branches[i];
		uint8_t code[CODE_BYTES];
		char text[128] = "?";
		size_t got = walk_read(s, b->from, code, sizeof(code));

		if (got != 0)
			disasm(code, got, b->bits, b->from, text, sizeof(text));
		fprintf(out, "  %08" PRIx64 "  %-28s -> %08" PRIx64 "\n", b->from, text, b->to);
	}
}

/* --- why ---------------------------------------------------------------------------------------------------- */

/* The faults that led to shutdown, as they were recorded; how many. */
static unsigned
recorded_chain(const struct subject *s, struct cpu_fault *out)
{
	const struct vcpu_history *h = &s->history.cpu;
	unsigned first = h->nfaults;

	if (!s->has_history || h->nfaults == 0)
		return (0);
	while (first > 0 && h->faults[first - 1].count == h->faults[h->nfaults - 1].count &&
	    h->faults[first - 1].rip == h->faults[h->nfaults - 1].rip)
		first--;
	memcpy(out, &h->faults[first], (h->nfaults - first) * sizeof(*out));
	return (h->nfaults - first);
}

/* Tell the chain: what the instruction raised, and why each exception could not be delivered. */
static void
print_chain(
    FILE *out, const struct subject *s, const struct cpu_fault *fault, unsigned n, bool died)
{
	unsigned number = 1;
	char name[32];

	for (unsigned i = 0; i < n; i++) {
		fprintf(out, "  %u. ", number++);
		if (fault[i].cause == CAUSE_DOUBLE) {
			fprintf(out, "which makes it a double fault, #DF\n");
			continue;
		}
		if (i > 0)
			fprintf(out, "%s cannot be delivered, ",
			    fault[i - 1].cause == CAUSE_DOUBLE ? "that" : "it");
		fprintf(out, "%s: ", explain_vector(s, &fault[i], name, sizeof(name)));
		explain_fault(out, s, &fault[i]);
		fprintf(out, "\n");
	}
	if (died)
		fprintf(out,
		    "  %u. a fault while delivering #DF: shutdown, the triple fault (VMX exit "
		    "reason 2)\n",
		    number);
}

/* A chain with nothing before it but an event from outside. */
static bool
is_delivery(const struct cpu_fault *first)
{
	return (first->cause == CAUSE_IDT_LIMIT || first->cause == CAUSE_GATE);
}

static void
tell_shutdown(FILE *out, const struct subject *s, const struct replay *r)
{
	struct cpu_fault chain[HISTORY_FAULTS];
	unsigned n = recorded_chain(s, chain);

	if (s->has_history && s->history.cpu.gap == HISTORY_NO_STATE) {
		fprintf(out,
		    "why: cannot be told: KVM forgot the registers when the guest died, these are "
		    "those of its last entry, and the built-in CPU does not die from there; try "
		    "--engine soft\n");
		return;
	}
	if (r->died) {
		if (r->supposed)
			fprintf(out,
			    "why (the bytes at RIP are not in a dump; the limit alone decides):\n");
		else
			fprintf(out, "why:\n");
		print_chain(out, s, r->fault, r->nfaults, true);
	} else if (n > 0) {
		fprintf(out, "why:\n");
		if (is_delivery(&chain[0]))
			fprintf(
			    out, "  the instruction itself can run: an interrupt came before it\n");
		print_chain(out, s, chain, n, true);
	} else if (r->unknown) {
		fprintf(out,
		    "why: cannot be told without memory: the instruction at RIP is not in a "
		    "dump\n");
	} else if (s->has_history && s->history.cpu.gap == HISTORY_NO_FAULTS) {
		fprintf(out,
		    "why: cannot be told: KVM does not tell which exceptions led to it, and the "
		    "built-in CPU does not die there; try --engine soft\n");
	} else {
		fprintf(out,
		    "why: the instruction at RIP runs by itself: an interrupt that came "
		    "before it could not be delivered\n");
	}
}

/* A guest that was stopped while it went round and round. */
static void
tell_loop(FILE *out, const struct subject *s)
{
	struct replay_loop loop;

	if (s->mem == NULL || replay_loop(s, &loop) != 0 || loop.instructions == 0)
		return;
	fprintf(out, "it runs in circles: %u instruction%s between %" PRIx64 "h and %" PRIx64 "h%s",
	    loop.instructions, loop.instructions == 1 ? "" : "s", loop.low, loop.high,
	    s->state.gpr.rflags & RFLAGS_IF ? "" : ", with interrupts off");
	if (loop.port)
		fprintf(out, "; %s port %xh each time", loop.in ? "it asks" : "it writes to",
		    loop.number);
	fprintf(out, "\n");
}

static bool
all_same(const uint8_t *bytes, size_t n, uint8_t value)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != value)
			return (false);
	return (n > 0);
}

/* Code that is none: what a jump into the void runs. */
static void
tell_void(FILE *out, const struct subject *s)
{
	const struct vcpu_state *v = &s->state;
	uint64_t at = v->sregs.seg[SEG_CS].base + v->gpr.rip, pa;
	bool bios = s->has_history && !(v->sregs.cr0 & CR0_PE);
	uint8_t bytes[CODE_BYTES];
	size_t n = walk_read(s, at, bytes, sizeof(bytes));

	if (s->mem == NULL)
		return;
	if (all_same(bytes, n, 0))
		fprintf(out,
		    "there is no code at RIP: memory is all zero there (it runs as add "
		    "instructions)\n");
	else if (all_same(bytes, n, 0xff))
		fprintf(out, "there is no code at RIP: all bytes are FFh\n");
	else if (n == 0 && walk_translate(s, at, &pa))
		fprintf(out,
		    "there is no memory at RIP: physical address %" PRIx64
		    "h is neither RAM nor ROM\n",
		    pa);
	if (bios && at < 0x400)
		fprintf(out, "RIP is in the interrupt vector table: data is being executed\n");
	else if (bios && at >= 0x400 && at < 0x500)
		fprintf(out, "RIP is in the BIOS data area: data is being executed\n");
}

/* Vectors of the table at 0, which the BIOS of a board filled, that lead to where no code is. */
static void
tell_vectors(FILE *out, const struct subject *s)
{
	static const uint8_t looked_at[] = {0x08, 0x09, 0x10, 0x13, 0x15, 0x16, 0x1a, 0x1c};
	const struct vcpu_state *v = &s->state;

	/* Before its first call the BIOS may not have come to it. */
	if (!s->has_history || s->history.bios.count == 0 || s->mem == NULL ||
	    (v->sregs.cr0 & CR0_PE) || v->sregs.idtr.base != 0)
		return;
	for (size_t i = 0; i < sizeof(looked_at); i++) {
		uint32_t entry = memory_get32(s->mem, looked_at[i] * 4u);
		uint32_t at = (entry >> 16) * 16 + (entry & 0xffff);
		uint8_t bytes[CODE_BYTES];

		if (at >= 0x400 && memory_read(s->mem, at, bytes, sizeof(bytes)) &&
		    !all_same(bytes, sizeof(bytes), 0) && !all_same(bytes, sizeof(bytes), 0xff))
			continue;
		fprintf(out,
		    "the interrupt vector table is overwritten: INT %02xh (at %xh) leads to "
		    "%04x:%04x, "
		    "where no code is\n",
		    looked_at[i], looked_at[i] * 4, entry >> 16, entry & 0xffff);
	}
}

/* Halted for good? */
static bool
is_halted(const struct subject *s)
{
	return (s->state.events.activity == VCPU_HLT && !(s->state.gpr.rflags & RFLAGS_IF));
}

static bool
is_shut_down(const struct subject *s)
{
	if (s->has_exit && s->vmx.exit_reason == VMX_EXIT_TRIPLE_FAULT)
		return (true);
	return (s->state.events.activity == VCPU_SHUTDOWN);
}

/* --- VM entry ------------------------------------------------------------------------------------------- */

/* Rules that a VM entry with CAPS breaks; how many. */
static unsigned
print_broken(FILE *out, const struct subject *s, uint32_t caps)
{
	struct vmx_guest guest = subject_guest(s);
	struct vmx vmx = s->vmx;
	const struct vmx_rule *rules;
	size_t count;
	unsigned broken = 0;

	vmx.caps = caps;
	guest.vmx = &vmx;
	rules = vmx_entry_rules(&count);
	for (size_t i = 0; i < count; i++) {
		if (vmx_rule_holds(&rules[i], &guest))
			continue;
		if (out != NULL)
			fprintf(out, "  %s (SDM vol. 3C, %s)\n", vmx_rule_broken(&rules[i]),
			    rules[i].section);
		broken++;
	}
	return (broken);
}

/* Whether a VM entry would fail, and what would make it go. True: it would. */
static bool
tell_entry(FILE *out, const struct subject *s)
{
	const uint32_t unrestricted = 1u << VMX_CAP_UNRESTRICTED_GUEST;

	if (!s->has_vmx || print_broken(NULL, s, s->vmx.caps) == 0)
		return (false);
	fprintf(out, "VM entry %s as it stands:\n",
	    s->has_exit && (s->vmx.exit_reason & VMX_EXIT_ENTRY_FAILURE) ? "failed" : "fails");
	print_broken(out, s, s->vmx.caps);
	if (!(s->vmx.caps & unrestricted) && print_broken(NULL, s, s->vmx.caps | unrestricted) == 0)
		fprintf(out,
		    "mend: unrestricted guest is off (bit 7 of procbased_ctls2); bhyve -b sets it\n"
		    "with it on:\n");
	return (true);
}

/* --- what the values should be ------------------------------------------------------------------------------ */

/* The command that sets descriptor NAME. */
static void
print_set_desc(FILE *out, const struct subject *s, const char *name, uint64_t base, uint32_t limit,
    uint32_t access)
{
	fprintf(out, "    vmmctl --vm=%s --set-desc-%s --desc-base=%#" PRIx64 " --desc-limit=%#x",
	    s->mem != NULL ? s->name : "VM", name, base, limit);
	if (access != 0)
		fprintf(out, " --desc-access=%#x", access);
	fprintf(out, "\n");
}

/* Real mode: what RESET and every BIOS leave in the segment caches and the IDTR. */
static void
mend_real_mode(FILE *out, const struct subject *s)
{
	const struct vcpu_sregs *sr = &s->state.sregs;

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		const struct x86_segment *seg = &sr->seg[i];
		uint32_t access = i == SEG_CS ? 0x9b : 0x93;

		if (seg->limit >= 0xffff && !(seg->access & (AR_L | AR_UNUSABLE)))
			continue;
		fprintf(out, "  %s: limit %xh, access %xh; real mode needs ffffh and %02xh",
		    segment_names[i], seg->limit, seg->access, access);
		if (seg->access & AR_L)
			fprintf(out,
			    " (access %xh carries the L bit of 64-bit code, a long-mode leftover)",
			    seg->access);
		fprintf(out, "\n");
		print_set_desc(out, s, segment_names[i], seg->base, 0xffff, access);
	}
	if (sr->idtr.limit < 0x3ff) {
		fprintf(out, "  idtr: limit %xh; the vector table of 256 entries needs 3ffh\n",
		    sr->idtr.limit);
		print_set_desc(out, s, "idtr", sr->idtr.base, 0x3ff, 0);
	}
}

static void
tell_mend(FILE *out, const struct subject *s)
{
	const struct vcpu_sregs *sr = &s->state.sregs;
	bool wrong = sr->idtr.limit < 0x3ff;

	if (sr->cr0 & CR0_PE)
		return;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		wrong |= sr->seg[i].limit < 0xffff || (sr->seg[i].access & (AR_L | AR_UNUSABLE));
	if (!wrong)
		return;
	fprintf(out, "the values that work%s:\n",
	    is_shut_down(s) && s->mem != NULL ? ", in a VM that is loaded again" : "");
	mend_real_mode(out, s);
}

static void
tell_a20(FILE *out, const struct subject *s)
{
	if (s->mem == NULL || memory_get_a20(s->mem) || !(s->state.sregs.cr0 & CR0_PE))
		return;
	fprintf(out,
	    "the A20 gate is off: bit 20 of every address is 0, so 100000h is 000000h and so "
	    "on; open it (INT 15h AX=2401h, port 92h bit 1) before using memory above 1 MB\n");
}

/* --- the whole ---------------------------------------------------------------------------------------------- */

static void
tell_end(FILE *out, const struct subject *s)
{
	const char *how = "stopped at ";

	if (is_shut_down(s))
		how = "triple fault at ";
	else if (is_halted(s))
		how = "halted with interrupts off, behind the HLT before ";
	else if (s->state.events.activity == VCPU_HLT)
		how = "waits for an interrupt (HLT) before ";
	else if (s->has_vmx && !s->vmx.entered && !s->has_exit)
		how = "has not run yet, begins at ";
	fprintf(out, "%s: %s", s->name, how);
	explain_where(out, s);
	fprintf(out, "\n");
	explain_instruction(out, s);
}

int
explain_why(FILE *out, const struct subject *s)
{
	struct replay r;
	bool entry_fails;

	if (replay_next(s, &r) != 0)
		return (-1);
	entry_fails = tell_entry(out, s);
	if (is_shut_down(s)) {
		tell_shutdown(out, s, &r);
	} else if (is_halted(s)) {
		fprintf(out,
		    "why: HLT waits for an interrupt, RFLAGS.IF is 0, and no NMI is pending: "
		    "nothing can wake it\n");
	} else if (r.died) {
		fprintf(out, "why%s:\n", entry_fails ? "" : " (from here on)");
		print_chain(out, s, r.fault, r.nfaults, true);
	} else if (r.nfaults > 0) {
		fprintf(out, "the next instruction%s raises an exception, which %s:\n",
		    r.supposed ? ", if CS.limit cuts it off," : "",
		    s->mem != NULL ? "has a handler" : "may have a handler");
		print_chain(out, s, r.fault, r.nfaults, false);
	} else if (r.vmcall) {
		fprintf(out, "VMCALL leaves the guest (VMX exit reason %d), which ends a run\n",
		    (int)VMX_EXIT_VMCALL);
	} else if (s->state.events.activity == VCPU_ACTIVE && s->has_exit) {
		tell_loop(out, s);
	} else if (r.unknown && !entry_fails) {
		fprintf(out,
		    "what it does next cannot be told without memory, which a dump does not "
		    "have\n");
	}
	tell_void(out, s);
	tell_vectors(out, s);
	tell_a20(out, s);
	return (0);
}

int
explain(FILE *out, const struct subject *s)
{
	tell_end(out, s);
	if (explain_why(out, s) != 0)
		return (-1);
	tell_mend(out, s);
	explain_branches(out, s, BEFORE);
	explain_bios_calls(out, s, BEFORE);
	return (0);
}
