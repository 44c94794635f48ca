/* One fault in words: the check that failed, the table entry or limit that it failed by. */
#include <inttypes.h>
#include <string.h>

#include "cpu/disasm.h"
#include "inspect/explain.h"
#include "inspect/walk.h"

static const char *const vector_names[32] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM",
    "#DF", NULL, "#TS", "#NP", "#SS", "#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM"};
static const char *const upper_names[SEG_COUNT] = {"ES", "CS", "SS", "DS", "FS", "GS"};

const char *
explain_vector(const struct subject *s, const struct cpu_fault *f, char *buf, size_t size)
{
	const char *name = f->vector < 32 ? vector_names[f->vector] : NULL;

	if (name == NULL)
		snprintf(buf, size, "interrupt %02xh", f->vector);
	else if (f->has_error && (s->state.sregs.cr0 & CR0_PE))
		snprintf(buf, size, "%s(%x%s)", name, f->error, f->error > 9 ? "h" : "");
	else
		snprintf(buf, size, "%s", name);
	return (buf);
}

static bool
is_long(const struct subject *s)
{
	return ((s->state.sregs.efer & EFER_LMA) != 0);
}

static bool
is_protected(const struct subject *s)
{
	return ((s->state.sregs.cr0 & CR0_PE) && !(s->state.gpr.rflags & RFLAGS_VM));
}

/* --- descriptors ------------------------------------------------------------------------------------ */

static const char *
system_type_name(uint32_t access)
{
	static const char *const names[16] = {"reserved", "16-bit TSS", "LDT", "busy 16-bit TSS",
	    "16-bit call gate", "task gate", "16-bit interrupt gate", "16-bit trap gate",
	    "reserved", "TSS", "reserved", "busy TSS", "call gate", "reserved", "interrupt gate",
	    "trap gate"};

	return (names[access & AR_TYPE]);
}

/* "data, read/write, DPL 0, not present" from access rights. */
static void
describe_access(FILE *out, uint32_t access)
{
	if (!(access & AR_S))
		fprintf(out, "%s", system_type_name(access));
	else if (access & AR_TYPE_CODE)
		fprintf(out, "%s%s code%s",
		    access & AR_L	 ? "64-bit"
			: access & AR_DB ? "32-bit"
					 : "16-bit",
		    access & AR_TYPE_CONFORM ? " conforming" : "",
		    access & AR_TYPE_READ ? "" : ", execute-only");
	else
		fprintf(out, "%s data%s", access & AR_TYPE_WRITE ? "writable" : "read-only",
		    access & AR_TYPE_DOWN ? ", expand-down" : "");
	fprintf(out, ", DPL %u, %s", segment_dpl(access),
	    access & AR_P ? "present" : "not present (P is 0)");
}

/* What SELECTOR names, as far as it can be read. */
static void
describe_selector(FILE *out, const struct subject *s, uint16_t selector)
{
	const struct vcpu_sregs *sr = &s->state.sregs;
	bool ldt = selector & SEL_TI;
	uint64_t base = ldt ? sr->ldtr.base : sr->gdtr.base, raw;
	uint32_t limit = ldt ? sr->ldtr.limit : sr->gdtr.limit;
	const char *table = ldt ? "LDT" : "GDT";
	struct x86_segment seg;

	if (SEL_IS_NULL(selector)) {
		fprintf(out, "selector %04xh is null", selector);
		return;
	}
	fprintf(out, "selector %04xh names %s entry %u", selector, table, SEL_INDEX(selector) / 8);
	if (ldt && ((sr->ldtr.access & AR_UNUSABLE) || !(sr->ldtr.access & AR_P))) {
		fprintf(out, ", and no LDT is loaded");
		return;
	}
	if (SEL_INDEX(selector) + 7 > limit) {
		fprintf(out, ", which ends at byte %xh, beyond the %s's limit %xh",
		    SEL_INDEX(selector) + 7, table, limit);
		return;
	}
	if (walk_read(s, base + SEL_INDEX(selector), &raw, sizeof(raw)) != sizeof(raw)) {
		fprintf(out, " at %" PRIx64 "h, which cannot be read", base + SEL_INDEX(selector));
		return;
	}
	seg = segment_from_descriptor(selector, raw);
	fprintf(out, " (%016" PRIx64 " at %" PRIx64 "h): ", raw, base + SEL_INDEX(selector));
	describe_access(out, seg.access);
	if (raw == 0)
		fprintf(out, "; the entry is all zero");
}

/* --- the parts of a phrase, by cause --------------------------------------------------------------------- */

/* The instruction at CS:RIP as text, and its length; 0 if it is not known. */
static unsigned
instruction(const struct subject *s, char *text, size_t size)
{
	const struct vcpu_state *v = &s->state;
	uint8_t code[DISASM_MAX];
	size_t n = walk_read(s, v->sregs.seg[SEG_CS].base + v->gpr.rip, code, sizeof(code));

	text[0] = '\0';
	return (n != 0 ? disasm(code, n, disasm_bits(v), v->gpr.rip, text, size) : 0);
}

static void
fetch_limit(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	uint64_t room = f->limit + 1 - f->rip;
	char text[96];
	unsigned length;

	if (f->address == f->rip || f->address == f->rip + room) {
		if (f->rip > f->limit) {
			fprintf(out, "RIP %" PRIx64 "h lies beyond CS.limit %" PRIx64 "h", f->rip,
			    f->limit);
			return;
		}
		length = instruction(s, text, sizeof(text));
		if (room == 1)
			fprintf(
			    out, "of CS only offset %" PRIx64 "h lies within the limit", f->rip);
		else
			fprintf(out,
			    "of CS only %" PRIu64 " bytes from RIP on lie within the limit", room);
		fprintf(out, " (CS.limit is %" PRIx64 "h), ", f->limit);
		if (length != 0)
			fprintf(out, "the instruction (%s) has %u bytes", text, length);
		else
			fprintf(out, "so any longer instruction there is #GP (VMCALL has 3 bytes)");
		return;
	}
	fprintf(out, "the branch leads to offset %" PRIx64 "h, which is %s", f->address,
	    disasm_bits(&s->state) == 64 ? "not canonical" : "beyond CS.limit ");
	if (disasm_bits(&s->state) != 64)
		fprintf(out, "%" PRIx64 "h", f->limit);
}

static void
segment_limit(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	const char *name = f->seg < SEG_COUNT ? upper_names[f->seg] : "?";

	if (disasm_bits(&s->state) == 64) {
		fprintf(out,
		    "address %" PRIx64 "h is not canonical (bits 63 to 47 are not all the same)",
		    f->address);
		return;
	}
	fprintf(out, "%s at %s:%" PRIx64 "h is beyond %s.limit %" PRIx64 "h",
	    f->seg == SEG_SS ? "the stack" : "the operand", name, f->address, name, f->limit);
	if (f->seg < SEG_COUNT &&
	    (s->state.sregs.seg[f->seg].access & (AR_S | AR_TYPE_CODE | AR_TYPE_DOWN)) ==
		(AR_S | AR_TYPE_DOWN))
		fprintf(
		    out, " (expand-down: the offsets up to the limit are the ones that are not)");
}

static void
segment_rights(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	const char *name = f->seg < SEG_COUNT ? upper_names[f->seg] : "?";
	uint32_t access = f->seg < SEG_COUNT ? s->state.sregs.seg[f->seg].access : 0;

	if (access & AR_UNUSABLE) {
		fprintf(out, "%s cannot be used: a null selector was loaded", name);
		return;
	}
	fprintf(out, "%s does not allow this access: it is ", name);
	describe_access(out, access);
}

static unsigned
gate_size(const struct subject *s)
{
	if (is_long(s))
		return (16);
	return (s->state.sregs.cr0 & CR0_PE ? 8 : 4);
}

static void
idt_limit(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	const struct x86_table *idtr = &s->state.sregs.idtr;
	unsigned size = gate_size(s);
	unsigned at = (unsigned)f->address * size;

	fprintf(out,
	    "vector %u (%02xh) needs bytes %xh to %xh of the %s at %" PRIx64
	    "h, IDTR.limit is %xh: there is no entry",
	    (unsigned)f->address, (unsigned)f->address, at, at + size - 1,
	    size == 4 ? "interrupt vector table" : "IDT", idtr->base, idtr->limit);
}

/* Protected mode with the IDTR of real mode. */
static bool
has_vector_table(const struct subject *s)
{
	const struct x86_table *idtr = &s->state.sregs.idtr;

	return ((s->state.sregs.cr0 & CR0_PE) && idtr->base == 0 && idtr->limit == 0x3ff);
}

static void
gate(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	const struct x86_table *idtr = &s->state.sregs.idtr;
	uint64_t at = idtr->base + f->address * gate_size(s), raw = 0;
	uint32_t access;

	fprintf(out, "IDT entry %u", (unsigned)f->address);
	if (walk_read(s, at, &raw, sizeof(raw)) != sizeof(raw)) {
		fprintf(out, " cannot be read");
		return;
	}
	if (has_vector_table(s)) {
		fprintf(out,
		    " is an entry of the real-mode vector table, which IDTR still has: LIDT "
		    "was never done");
		return;
	}
	access = (uint32_t)(raw >> 40);
	fprintf(out, " (%016" PRIx64 " at %" PRIx64 "h) is ", raw, at);
	if (raw == 0)
		fprintf(out, "empty");
	else if (f->vector == 11)
		fprintf(out, "not present (P is 0)");
	else if (access & AR_S)
		fprintf(out, "no gate but a segment descriptor");
	else if ((access & 7) >= 6 || (access & AR_TYPE) == SYS_TASK_GATE)
		fprintf(out, "a gate of DPL %u, which INT may not use at this privilege",
		    segment_dpl(access));
	else
		fprintf(out, "no interrupt, trap or task gate but a %s", system_type_name(access));
}

static void
selector(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	char text[96];

	const struct x86_segment *tr = &s->state.sregs.tr;

	describe_selector(out, s, (uint16_t)f->address);
	if (f->vector == 10) {
		fprintf(out,
		    "; it stands in the task state segment as the stack of the inner privilege");
		if (SEL_IS_NULL(tr->selector))
			fprintf(out, ", but TR is null: LTR was never done");
		return;
	}
	instruction(s, text, sizeof(text));
	if ((f->error & 1) || strncmp(text, "int", 3) == 0)
		fprintf(out, "; it stands in the gate%s",
		    has_vector_table(s)
			? ", which is an entry of the real-mode vector table: LIDT was "
			  "never done"
			: ", where the handler's code must be");
	else if (text[0] != '\0')
		fprintf(out, "; what uses it (%s) needs another", text);
}

static void
page(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	const struct walk_access access = {
	    .write = f->error & 2, .user = f->error & 4, .fetch = f->error & 16};
	char why[128];

	fprintf(out, "%s %s linear %" PRIx64 "h\n", access.user ? "user code" : "the kernel",
	    access.write       ? "writes"
		: access.fetch ? "fetches from"
			       : "reads",
	    f->address);
	walk_print(s, f->address, &access, out, "       ", why, sizeof(why));
	fprintf(out, "       %s", why[0] != '\0' ? why : "the page was not there then");
}

static void
tss(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	const struct x86_segment *tr = &s->state.sregs.tr;

	fprintf(out,
	    "the task state segment does not serve: TR %04xh, base %" PRIx64
	    "h, limit %xh, byte %" PRIx64 "h is needed",
	    tr->selector, tr->base, tr->limit, f->address);
	if (SEL_IS_NULL(tr->selector))
		fprintf(out, "; LTR was never done");
}

/* Registers that an instruction may write wrongly. */
static void
reserved(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	const struct vcpu_sregs *sr = &s->state.sregs;
	char text[96];

	(void)f;
	instruction(s, text, sizeof(text));
	fprintf(out, "%s%swrites a value that the register does not take", text,
	    text[0] != '\0' ? " " : "it ");
	if (strstr(text, "cr0") != NULL && (sr->efer & EFER_LME) && !(sr->cr4 & CR4_PAE))
		fprintf(out, ": EFER.LME is 1, and paging needs CR4.PAE for that, which is 0");
	else if (strstr(text, "cr0") != NULL)
		fprintf(out,
		    ": CR0.PG needs CR0.PE, NW needs CD, and no reserved bit may be 1 (CR4 %" PRIx64
		    "h, EFER %" PRIx64 "h)",
		    sr->cr4, sr->efer);
	else if (strstr(text, "cr4") != NULL)
		fprintf(out, ": a bit this CPU does not have, or PAE cleared in long mode");
	else if (strstr(text, "cr3") != NULL)
		fprintf(out, ": a page-directory-pointer entry with a reserved bit");
}

static void
privilege(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	char text[96];

	(void)f;
	instruction(s, text, sizeof(text));
	fprintf(out, "%s is not allowed here: privilege %u, IOPL %u%s", text[0] ? text : "it",
	    (s->state.gpr.rflags & RFLAGS_VM) ? 3
		: is_protected(s)	      ? segment_dpl(s->state.sregs.seg[SEG_SS].access)
					      : 0,
	    (unsigned)(s->state.gpr.rflags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT,
	    s->state.gpr.rflags & RFLAGS_VM ? ", virtual-8086 mode" : "");
}

static void
by_instruction(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	char text[96];
	unsigned length = instruction(s, text, sizeof(text));

	if (f->vector == 0)
		fprintf(out, "%s divides by zero, or the quotient is too large", text);
	else if (f->vector == 6 && length == 0)
		fprintf(out, "the bytes there are no instruction");
	else if (f->vector == 6)
		fprintf(out, "%s is undefined here", text);
	else if (f->vector == 7)
		fprintf(out, "%s, and CR0.EM or CR0.TS is 1", text);
	else
		fprintf(out, "%s raises it", text[0] != '\0' ? text : "the instruction");
}

static void
length(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	(void)s;
	(void)f;
	fprintf(out, "the instruction has more than 15 bytes");
}

static void
stack(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	(void)s;
	fprintf(out, "the stack at %" PRIx64 "h cannot take the frame (not canonical)", f->address);
}

static void
alignment(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	(void)s;
	fprintf(out,
	    "address %" PRIx64 "h is not a multiple of %" PRIu64 " (CR0.AM and RFLAGS.AC are 1)",
	    f->address, f->limit);
}

void
explain_fault(FILE *out, const struct subject *s, const struct cpu_fault *f)
{
	static void (*const by_cause[])(
	    FILE *, const struct subject *, const struct cpu_fault *) = {
	    [CAUSE_INSTRUCTION] = by_instruction,
	    [CAUSE_FETCH_LIMIT] = fetch_limit,
	    [CAUSE_LENGTH] = length,
	    [CAUSE_SEG_LIMIT] = segment_limit,
	    [CAUSE_SEG_RIGHTS] = segment_rights,
	    [CAUSE_IDT_LIMIT] = idt_limit,
	    [CAUSE_GATE] = gate,
	    [CAUSE_SELECTOR] = selector,
	    [CAUSE_STACK] = stack,
	    [CAUSE_TSS] = tss,
	    [CAUSE_PRIVILEGE] = privilege,
	    [CAUSE_PAGE] = page,
	    [CAUSE_ALIGNMENT] = alignment,
	    [CAUSE_RESERVED] = reserved,
	};

	if (f->cause < sizeof(by_cause) / sizeof(by_cause[0]) && by_cause[f->cause] != NULL)
		by_cause[f->cause](out, s, f);
	else
		fprintf(out, "for a reason that is not known");
}
