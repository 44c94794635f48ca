/*
 *	oracle [-ciLu] [-b BITS] [-f FIRST] [-m ROW] [-n CASES] [-s SEED] [-v SHOWN]
 *
 * Runs CASES random pieces of user-mode code on the host's processor and on src/cpu, in each of
 * 64-, 32- and 16-bit mode, and compares all registers, memory and the fault that ends the code.
 * The last line is `N passed, N failed`. A case is known by SEED and its number alone: -f FIRST
 * -n 1 runs one again.
 *
 *	-b BITS	one mode alone: 64, 32 or 16
 *	-c	list what was run: row of the table of instructions, width, cases that begin with it
 *	-i	src/cpu alone, nothing is compared (sanitizers' memory is in the host's way)
 *	-L	as if the host refused segments in the LDT
 *	-m ROW	cases that begin with this mnemonic
 *	-u	flags that the manual leaves undefined are compared too; so they are on Intel's hosts
 */
#include <cpuid.h>
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "arch/vcpu_state.h"
#include "oracle.h"

/* The flags that are compared; RF is in what a fault has pushed. */
#define FLAGS_COMPARED 0x3f7fd7u

static const char *const width_names[WIDTH_COUNT] = {"64-bit", "32-bit", "16-bit"};
static const char *const reg_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const seg_names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};

/* All but the first and the last are no failures for a reason that is told. */
enum verdict { SAME, UNDEFINED, HIDDEN, ENDLESS, EITHER, DIFFERENT, VERDICTS };
static const char *const verdict_names[VERDICTS] = {"the same", "with other undefined flags",
    "with a fault that the kernel hides", "without end",
    "too long for the 15 bytes before a page that is not there", "failed"};

static struct {
	bool strict, coverage, alone, no_ldt;
	unsigned row;
	uint64_t first, cases, seed;
	unsigned shown_max;
	unsigned widths; /* bits by enum width */
} options = {.cases = 20000, .shown_max = 5, .widths = 7};

static struct sequence q;
static struct outcome host, cpu;
static bool new_pointers;

/* --- comparing ------------------------------------------------------------------------------------- */

static bool
has_error_code(unsigned vector)
{
	return (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17);
}

/* What registers have of use: 32 bits outside 64-bit mode. */
static uint64_t
reg_mask(void)
{
	return (q.width == WIDTH_64 ? UINT64_MAX : UINT32_MAX);
}

/* Linux says that all above the user's addresses is present. */
static bool
error_differs(void)
{
	uint32_t differs = host.error ^ cpu.error;

	if (host.vector == 14 && host.cr2 >= USER_END)
		differs &= ~1u;
	return (has_error_code(host.vector) && differs != 0);
}

static bool
fault_differs(void)
{
	return (host.regs.rip != cpu.regs.rip || host.vector != cpu.vector || error_differs() ||
	    (host.vector == 14 && host.cr2 != cpu.cr2));
}

/* FIP is as wide as linear addresses are, which may be more than 48 bits. */
static bool
pointers_differ(void)
{
	const struct image *a = &host.regs.fpu, *b = &cpu.regs.fpu;

	return (
	    new_pointers && (a->fop != b->fop || (a->fip ^ b->fip) << 16 != 0 || a->fdp != b->fdp));
}

static bool
fpu_differs(void)
{
	const struct image *a = &host.regs.fpu, *b = &cpu.regs.fpu;

	for (unsigned i = 0; i < 8; i++)
		if (a->st[i].mant != b->st[i].mant || a->st[i].se != b->st[i].se)
			return (true);
	return (a->fcw != b->fcw || a->fsw != b->fsw || a->ftw != b->ftw || a->mxcsr != b->mxcsr ||
	    pointers_differ() || memcmp(a->xmm, b->xmm, sizeof(a->xmm)) != 0);
}

/* The kernel's return to our handler has made all null selectors 0 (SDM vol. 2A, IRET). */
static bool
segments_differ(void)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (host.regs.seg[i] != (cpu.regs.seg[i] <= 3 ? 0 : cpu.regs.seg[i]))
			return (true);
	return (memcmp(host.regs.base, cpu.regs.base, sizeof(cpu.regs.base)) != 0);
}

/*
 * Faults for which Linux begins again, for ever, in the belief that they should not have been:
 * - An IRET that sets AC checks the alignment of what it pops by it; an #AC while AC is not set is
 *   taken for one of a split lock (arch/x86/kernel/traps.c).
 * - A far call from compatibility to 64-bit mode pushes in the latter; a page fault above 4 GB
 *   while CS is still of the former is taken for an erratum of the K8 (arch/x86/mm/fault.c).
 */
static bool
hidden_by_kernel(void)
{
	if (host.vector != VECTOR_NONE)
		return (false);
	if (cpu.vector == 14 && cpu.cr2 >> 32 != 0 && cpu.regs.rip == host.regs.rip &&
	    cpu.regs.seg[SEG_CS] != SEL_CODE64)
		return (true);
	for (unsigned i = 0; i < q.count; i++)
		if (q.piece[i].at == host.regs.rip && q.piece[i].insn.opcode == 0xcf)
			return (true);
	return (false);
}

/*
 * An instruction of more than 15 bytes, the first 15 at the end of the last page of code: #GP, or
 * the page fault of the byte that shows the length. The host has now the one, now the other.
 */
static bool
either_length_fault(void)
{
	return (q.spoiled != 0 && host.vector == 14 && cpu.vector == 13 &&
	    host.regs.rip == cpu.regs.rip && host.cr2 == BASE + CODE + CODE_SIZE &&
	    (cpu.regs.rip + 15) % PAGE == 0);
}

static enum verdict
compare(void)
{
	uint64_t flags = (host.regs.flags ^ cpu.regs.flags) & FLAGS_COMPARED;

	if (host.vector == VECTOR_NONE && cpu.vector == VECTOR_NONE)
		return (ENDLESS);
	if (hidden_by_kernel())
		return (HIDDEN);
	if (either_length_fault())
		return (EITHER);

	for (unsigned i = 0; i < (q.width == WIDTH_64 ? 16 : 8); i++)
		if ((host.regs.reg[i] ^ cpu.regs.reg[i]) & reg_mask())
			return (DIFFERENT);
	if (fault_differs() || fpu_differs() || segments_differ() ||
	    memcmp(native_data(), soft_data(), DATA_SIZE) != 0 || (flags & ~q.undefined) != 0)
		return (DIFFERENT);
	if (flags == 0)
		return (SAME);
	return (options.strict ? DIFFERENT : UNDEFINED);
}

/* --- showing a difference ---------------------------------------------------------------------------- */

static void
show_flags(const char *title, uint64_t flags)
{
	static const struct {
		unsigned bit;
		char name[3];
	} names[] = {{18, "AC"}, {16, "RF"}, {14, "NT"}, {11, "OF"}, {10, "DF"}, {8, "TF"},
	    {7, "SF"}, {6, "ZF"}, {4, "AF"}, {2, "PF"}, {0, "CF"}};

	printf("  %-10s %" PRIx64 " (", title, flags & FLAGS_COMPARED);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (flags >> names[i].bit & 1)
			printf(" %s", names[i].name);
	printf(" )\n");
}

static void
show_code(void)
{
	ZydisFormatter formatter;
	char text[128];

	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	for (unsigned i = 0; i < q.count; i++) {
		const struct piece *p = &q.piece[i];

		ZydisFormatterFormatInstruction(&formatter, &p->insn, p->operand,
		    p->insn.operand_count_visible, text, sizeof(text), p->at, NULL);
		printf("  %8" PRIx64 "  ", p->at);
		for (unsigned b = 0; b < 15; b++)
			if (b < p->insn.length)
				printf("%02x", p->bytes[b]);
			else
				printf("  ");
		printf("  %s\n", text);
	}
	if (q.spoiled != 0)
		printf("  before the last one: %u of %02x\n", q.spoiled,
		    q.code[q.size - q.spoiled - q.piece[q.count - 1].insn.length]);
}

static void
show_memory(void)
{
	const uint8_t *a = native_data(), *b = soft_data();
	unsigned shown = 0;

	for (unsigned i = 0; i < DATA_SIZE && shown < 16; i++)
		if (a[i] != b[i]) {
			printf("  [%x] was %02x: host %02x, cpu %02x\n", BASE + DATA + i, q.data[i],
			    a[i], b[i]);
			shown++;
		}
}

static void
show_value(const char *name, uint64_t start, uint64_t a, uint64_t b, uint64_t mask)
{
	printf("  %-5s %016" PRIx64, name, start);
	if ((a ^ b) & mask)
		printf(": host %016" PRIx64 ", cpu %016" PRIx64, a, b);
	else if ((a ^ start) & mask)
		printf(": both %016" PRIx64, a);
	printf("\n");
}

static void
show_fpu(void)
{
	const struct image *s = &q.start.fpu, *a = &host.regs.fpu, *b = &cpu.regs.fpu;
	char name[8];

	show_value("fcw", s->fcw, a->fcw, b->fcw, UINT64_MAX);
	show_value("fsw", s->fsw, a->fsw, b->fsw, UINT64_MAX);
	show_value("ftw", s->ftw, a->ftw, b->ftw, UINT64_MAX);
	show_value("fop", s->fop, a->fop, b->fop, UINT64_MAX);
	show_value("fip", s->fip, a->fip, b->fip, UINT64_MAX);
	show_value("fdp", s->fdp, a->fdp, b->fdp, UINT64_MAX);
	show_value("mxcsr", s->mxcsr, a->mxcsr, b->mxcsr, UINT64_MAX);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "st%u", i);
		show_value(name, s->st[i].mant, a->st[i].mant, b->st[i].mant, UINT64_MAX);
		show_value("  exp", s->st[i].se, a->st[i].se, b->st[i].se, UINT64_MAX);
	}
	for (unsigned i = 0; i < 16; i++)
		for (unsigned half = 0; half < 2; half++) {
			snprintf(name, sizeof(name), "x%u%c", i, "lh"[half]);
			show_value(name, s->xmm[i].q[half], a->xmm[i].q[half], b->xmm[i].q[half],
			    UINT64_MAX);
		}
}

static void
show(uint64_t number)
{
	printf("%s case %" PRIu64 ":\n", width_names[q.width], number);
	show_code();
	for (unsigned i = 0; i < (q.width == WIDTH_64 ? 16 : 8); i++)
		show_value(
		    reg_names[i], q.start.reg[i], host.regs.reg[i], cpu.regs.reg[i], reg_mask());
	for (unsigned i = 0; i < SEG_COUNT; i++)
		show_value(
		    seg_names[i], q.start.seg[i], host.regs.seg[i], cpu.regs.seg[i], UINT64_MAX);
	show_value("fsbas", q.start.base[0], host.regs.base[0], cpu.regs.base[0], UINT64_MAX);
	show_value("gsbas", q.start.base[1], host.regs.base[1], cpu.regs.base[1], UINT64_MAX);
	show_flags("flags", q.start.flags);
	show_flags("flags host", host.regs.flags);
	show_flags("flags cpu", cpu.regs.flags);
	if (fpu_differs())
		show_fpu();
	printf("  ended by vector: host %u error %x at %" PRIx64 " cr2 %" PRIx64
	       ", cpu %u error %x at %" PRIx64 " cr2 %" PRIx64 "\n",
	    host.vector, host.error, host.regs.rip, host.cr2, cpu.vector, cpu.error, cpu.regs.rip,
	    cpu.cr2);
	show_memory();
}

/* --- counting ---------------------------------------------------------------------------------------- */

struct count {
	uint64_t run;
	uint64_t by[VERDICTS];
};
/* By the row of the first instruction. */
static struct count counts[ROW_COUNT][WIDTH_COUNT];

static void
run_case(enum width width, uint64_t number, struct count *total)
{
	enum verdict verdict = SAME;
	struct count *count;

	generate(&q, width, number ^ options.seed << 32, options.row, options.strict);
	soft_run(&q, &cpu);
	if (!options.alone) {
		native_run(&q, &host);
		verdict = compare();
	}
	count = &counts[q.piece[0].row][width];
	count->run++;
	count->by[verdict]++;
	total->run++;
	if (verdict == DIFFERENT && total->by[DIFFERENT] < options.shown_max)
		show(number);
	total->by[verdict]++;
}

static void
report_width(enum width width, const struct count *total)
{
	printf("%s: %" PRIu64 " cases, %" PRIu64 " failed", width_names[width], total->run,
	    total->by[DIFFERENT]);
	for (unsigned i = UNDEFINED; i < DIFFERENT; i++)
		if (total->by[i] != 0)
			printf(", %" PRIu64 " %s", total->by[i], verdict_names[i]);
	printf("\n");
}

static void
report_failures(void)
{
	for (unsigned i = 0; i < ROW_COUNT; i++)
		for (unsigned w = 0; w < WIDTH_COUNT; w++)
			if (counts[i][w].by[DIFFERENT] != 0)
				printf("%s %s: %" PRIu64 " run, %" PRIu64 " failed\n",
				    width_names[w], row_name(i), counts[i][w].run,
				    counts[i][w].by[DIFFERENT]);
}

static void
report_classes(void)
{
	uint64_t n[CLASS_COUNT][WIDTH_COUNT] = {0};

	for (unsigned i = 0; i < ROW_COUNT; i++)
		for (unsigned w = 0; w < WIDTH_COUNT; w++)
			n[row_class(i)][w] += counts[i][w].run;
	for (unsigned c = CLASS_NONE + 1; c < CLASS_COUNT; c++)
		printf("%s: %" PRIu64 " in 64-bit, %" PRIu64 " in 32-bit, %" PRIu64
		       " in 16-bit mode\n",
		    class_names[c], n[c][WIDTH_64], n[c][WIDTH_32], n[c][WIDTH_16]);
}

/* Rows of the table that exist in a width, and why those are not run that are not. */
static void
report_coverage(void)
{
	static const unsigned bits[WIDTH_COUNT] = {64, 32, 16};

	for (unsigned i = 1; i < ROW_COUNT; i++) {
		if (row_class(i) != CLASS_NONE && row_exempt(i) != NULL)
			printf("row %s not run: %s\n", row_name(i), row_exempt(i));
		for (enum width w = WIDTH_64; w < WIDTH_COUNT; w++)
			if (generate_knows(w, i))
				printf("row %s %u %" PRIu64 "\n", row_name(i), bits[w],
				    counts[i][w].run);
	}
}

/* --- options -------------------------------------------------------------------------------------------- */

static unsigned
row_by_name(const char *name)
{
	for (unsigned i = 1; i < ROW_COUNT; i++)
		if (strcasecmp(row_name(i), name) == 0)
			return (i);
	errx(4, "no row %s", name);
}

static void
parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "b:cf:iLm:n:s:uv:")) != -1) {
		switch (option) {
		case 'b':
			options.widths = *optarg == '6' ? 1 : *optarg == '3' ? 2 : 4;
			break;
		case 'c':
			options.coverage = true;
			break;
		case 'f':
			options.first = strtoull(optarg, NULL, 0);
			break;
		case 'i':
			options.alone = true;
			break;
		case 'L':
			options.no_ldt = true;
			break;
		case 'm':
			options.row = row_by_name(optarg);
			break;
		case 'n':
			options.cases = strtoull(optarg, NULL, 0);
			break;
		case 's':
			options.seed = strtoull(optarg, NULL, 0);
			break;
		case 'u':
			options.strict = true;
			break;
		case 'v':
			options.shown_max = (unsigned)strtoul(optarg, NULL, 0);
			break;
		default:
			errx(4,
			    "usage: oracle [-ciLu] [-b BITS] [-f FIRST] [-m ROW] [-n CASES] "
			    "[-s SEED] [-v SHOWN]");
		}
	}
}

/* Flags that the manual leaves undefined are as on Intel's processors. */
static bool
is_intel(void)
{
	unsigned a, b = 0, c, d;

	return (__get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx);
}

int
main(int argc, char **argv)
{
	uint64_t run = 0, failed = 0;

	options.strict = is_intel();
	parse(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	native_init(options.no_ldt, options.alone);
	generate_init();
	soft_init();
	new_pointers = native_has_new_pointers();
	if (!new_pointers)
		printf("the x87's pointers are not compared: this host keeps them otherwise\n");
	for (enum width w = WIDTH_64; w < WIDTH_COUNT; w++) {
		struct count total = {0};

		if (!(options.widths >> w & 1) || !native_has(w) || !generate_knows(w, options.row))
			continue;
		for (uint64_t i = 0; i < options.cases; i++)
			run_case(w, options.first + i, &total);
		report_width(w, &total);
		run += total.run;
		failed += total.by[DIFFERENT];
	}
	report_failures();
	if (options.coverage)
		report_coverage();
	report_classes();
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", run - failed, failed);
	return (failed != 0);
}
