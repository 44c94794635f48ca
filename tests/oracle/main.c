/*
 *	oracle [-u] [-b BITS] [-f FIRST] [-m MNEMONIC] [-n CASES] [-s SEED] [-v SHOWN]
 *
 * Runs CASES random pieces of user-mode code on the host's processor and on src/cpu, in each of
 * 64-, 32- and 16-bit mode, and compares general registers, RIP, flags, memory and the fault that
 * ends the code. The last line is `N passed, N failed`. Differences in nothing but flags that the
 * manual leaves undefined are counted apart; with -u they are failures. A case is known by SEED
 * and its number alone: -f FIRST -n 1 runs one again.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "oracle.h"

/* The flags that are compared: what user mode can change, without TF. */
#define FLAGS_ARITH 0x8d5u
#define FLAGS_COMPARED (FLAGS_ARITH | 0x400u | 0x4000u | 0x40000u | 0x200000u)

static const char *const width_names[WIDTH_COUNT] = {"64-bit", "32-bit", "16-bit"};
static const char *const reg_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};

#define USER_END 0x7ffffffff000u

enum verdict { SAME, UNDEFINED, DIFFERENT };

static struct {
	bool strict;
	unsigned mnemonic;
	uint64_t first, cases, seed;
	unsigned shown_max;
	unsigned widths; /* bits by enum width */
} options = {.cases = 20000, .shown_max = 5, .widths = 7};

static struct sequence q;
static struct outcome host, cpu;

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

static enum verdict
compare(void)
{
	uint64_t flags = (host.regs.flags ^ cpu.regs.flags) & FLAGS_COMPARED;

	for (unsigned i = 0; i < (q.width == WIDTH_64 ? 16 : 8); i++)
		if ((host.regs.reg[i] ^ cpu.regs.reg[i]) & reg_mask())
			return (DIFFERENT);
	if (host.regs.rip != cpu.regs.rip || host.vector != cpu.vector || error_differs() ||
	    (host.vector == 14 && host.cr2 != cpu.cr2))
		return (DIFFERENT);
	if (memcmp(native_data(), soft_data(), DATA_SIZE) != 0 || (flags & ~q.undefined) != 0)
		return (DIFFERENT);
	if (flags == 0)
		return (SAME);
	return (options.strict ? DIFFERENT : UNDEFINED);
}

/*
 * Showing a difference.
 */

static void
show_flags(uint64_t flags)
{
	static const struct {
		unsigned bit;
		char name[3];
	} names[] = {{11, "OF"}, {10, "DF"}, {7, "SF"}, {6, "ZF"}, {4, "AF"}, {2, "PF"}, {0, "CF"}};

	printf("%" PRIx64 " (", flags);
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
show(uint64_t number)
{
	printf("%s case %" PRIu64 ":\n", width_names[q.width], number);
	show_code();
	for (unsigned i = 0; i < (q.width == WIDTH_64 ? 16 : 8); i++) {
		printf("  %-3s %016" PRIx64, reg_names[i], q.start.reg[i]);
		if ((host.regs.reg[i] ^ cpu.regs.reg[i]) & reg_mask())
			printf(": host %016" PRIx64 ", cpu %016" PRIx64, host.regs.reg[i],
			    cpu.regs.reg[i]);
		else if ((host.regs.reg[i] ^ q.start.reg[i]) & reg_mask())
			printf(": both %016" PRIx64, host.regs.reg[i]);
		printf("\n");
	}
	printf("  flags      ");
	show_flags(q.start.flags & FLAGS_COMPARED);
	printf("  flags host ");
	show_flags(host.regs.flags & FLAGS_COMPARED);
	printf("  flags cpu  ");
	show_flags(cpu.regs.flags & FLAGS_COMPARED);
	printf("  ended by vector: host %u error %x at %" PRIx64 " cr2 %" PRIx64
	       ", cpu %u error %x at %" PRIx64 " cr2 %" PRIx64 "\n",
	    host.vector, host.error, host.regs.rip, host.cr2, cpu.vector, cpu.error, cpu.regs.rip,
	    cpu.cr2);
	show_memory();
}

/*
 * Counting, by mnemonic of the instruction alone or "sequence".
 */

struct count {
	uint64_t run, undefined, failed;
};
static struct count by_mnemonic[ZYDIS_MNEMONIC_MAX_VALUE + 1];

static void
run_case(enum width width, uint64_t number, struct count *total)
{
	struct count *count;
	enum verdict verdict;

	generate(&q, width, number ^ options.seed << 32, options.mnemonic, options.strict);
	native_run(&q, &host);
	soft_run(&q, &cpu);
	verdict = compare();
	count = &by_mnemonic[q.count == 1 ? q.piece[0].insn.mnemonic : 0];
	count->run++;
	total->run++;
	if (verdict == UNDEFINED) {
		count->undefined++;
		total->undefined++;
	} else if (verdict == DIFFERENT) {
		count->failed++;
		if (total->failed++ < options.shown_max)
			show(number);
	}
}

static void
report(void)
{
	for (unsigned i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++) {
		const struct count *c = &by_mnemonic[i];

		if (c->failed == 0 && c->undefined == 0)
			continue;
		printf("%-10s %" PRIu64 " run, %" PRIu64 " failed, %" PRIu64
		       " with other undefined flags\n",
		    i == 0 ? "sequences" : ZydisMnemonicGetString((ZydisMnemonic)i), c->run,
		    c->failed, c->undefined);
	}
}

static unsigned
mnemonic_of(const char *name)
{
	for (unsigned i = 1; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++)
		if (strcasecmp(ZydisMnemonicGetString((ZydisMnemonic)i), name) == 0)
			return (i);
	errx(4, "no mnemonic %s", name);
}

static void
parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "b:f:m:n:s:uv:")) != -1) {
		switch (option) {
		case 'b':
			options.widths = *optarg == '6' ? 1 : *optarg == '3' ? 2 : 4;
			break;
		case 'f':
			options.first = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			options.mnemonic = mnemonic_of(optarg);
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
			    "usage: oracle [-u] [-b BITS] [-f FIRST] [-m MNEMONIC] [-n CASES] "
			    "[-s SEED] [-v SHOWN]");
		}
	}
}

int
main(int argc, char **argv)
{
	uint64_t run = 0, failed = 0;

	parse(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	generate_init();
	native_init();
	soft_init();
	for (enum width w = WIDTH_64; w < WIDTH_COUNT; w++) {
		struct count total = {0};

		if (!(options.widths >> w & 1) || !native_has(w) ||
		    !generate_knows(w, options.mnemonic))
			continue;
		for (uint64_t i = 0; i < options.cases; i++)
			run_case(w, options.first + i, &total);
		printf("%s: %u mnemonics, %" PRIu64 " cases, %" PRIu64 " failed, %" PRIu64
		       " with other undefined flags\n",
		    width_names[w], generate_mnemonics(w), total.run, total.failed,
		    total.undefined);
		run += total.run;
		failed += total.failed;
	}
	report();
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", run - failed, failed);
	return (failed != 0);
}
