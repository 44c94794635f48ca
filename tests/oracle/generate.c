/*
 * Making random code. Templates (opcode, reg field, prefixes that matter) come from asking Zydis
 * about all of the opcode maps and keeping what the CPU's table of instructions has. A case takes
 * rows of the table by chance, each with a template and random bytes behind it; fit.c then moves
 * registers, displacements and data so that most memory operands lie in the data, most branches
 * in the code's page of fillers and most divisions in range.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/insn.h"
#include "cpu/sse.h"
#include "oracle.h"

#define TEMPLATES_MAX 60000
#define MAPS 4
/* Templates to try: opcode, reg, mod, rm, prefix, REX.W, map. */
#define COMBINATIONS (MAPS << 18)

struct template
{
	uint8_t prefix; /* 0 or 66, F2, F3 */
	uint8_t rex;	/* 0 or 48 */
	uint8_t map;	/* 0, 1: 0F, 2: 0F 38, 3: 0F 3A */
	uint8_t opcode;
	uint8_t reg;
	uint8_t rm;  /* where it is part of the opcode */
	uint8_t mod; /* 0 memory, 3 register, 4 register and rm counts */
	uint16_t row;
};

static struct catalogue {
	ZydisDecoder decoder;
	struct template *list; /* by row */
	unsigned count;
	unsigned first[ROW_COUNT + 1];
	uint16_t row[ROW_COUNT]; /* those that have templates */
	unsigned nrows;
} catalogues[WIDTH_COUNT];

/* --- rows ---------------------------------------------------------------------------------------- */

const char *const class_names[CLASS_COUNT] = {
    [CLASS_INTEGER] = "integer",
    [CLASS_SYSTEM] = "segments and system",
    [CLASS_X87] = "x87",
    [CLASS_SSE] = "MMX and SSE",
};

/* Segment registers and far transfers, descriptors, what user mode may not do. */
static const uint16_t system_rows[] = {ZYDIS_MNEMONIC_LDS, ZYDIS_MNEMONIC_LES, ZYDIS_MNEMONIC_LFS,
    ZYDIS_MNEMONIC_LGS, ZYDIS_MNEMONIC_LSS, ZYDIS_MNEMONIC_INT, ZYDIS_MNEMONIC_INT1,
    ZYDIS_MNEMONIC_INT3, ZYDIS_MNEMONIC_INTO, ZYDIS_MNEMONIC_IRET, ZYDIS_MNEMONIC_IRETD,
    ZYDIS_MNEMONIC_IRETQ, ZYDIS_MNEMONIC_UD0, ZYDIS_MNEMONIC_UD1, ZYDIS_MNEMONIC_UD2,
    ZYDIS_MNEMONIC_IN, ZYDIS_MNEMONIC_OUT, ZYDIS_MNEMONIC_INSB, ZYDIS_MNEMONIC_INSW,
    ZYDIS_MNEMONIC_INSD, ZYDIS_MNEMONIC_OUTSB, ZYDIS_MNEMONIC_OUTSW, ZYDIS_MNEMONIC_OUTSD,
    ZYDIS_MNEMONIC_HLT, ZYDIS_MNEMONIC_CLI, ZYDIS_MNEMONIC_STI, ZYDIS_MNEMONIC_CLTS,
    ZYDIS_MNEMONIC_LGDT, ZYDIS_MNEMONIC_LIDT, ZYDIS_MNEMONIC_SGDT, ZYDIS_MNEMONIC_SIDT,
    ZYDIS_MNEMONIC_LLDT, ZYDIS_MNEMONIC_LTR, ZYDIS_MNEMONIC_SLDT, ZYDIS_MNEMONIC_STR,
    ZYDIS_MNEMONIC_LMSW, ZYDIS_MNEMONIC_SMSW, ZYDIS_MNEMONIC_LAR, ZYDIS_MNEMONIC_LSL,
    ZYDIS_MNEMONIC_VERR, ZYDIS_MNEMONIC_VERW, ZYDIS_MNEMONIC_ARPL, ZYDIS_MNEMONIC_INVD,
    ZYDIS_MNEMONIC_WBINVD, ZYDIS_MNEMONIC_INVLPG, ZYDIS_MNEMONIC_CPUID, ZYDIS_MNEMONIC_RDTSC,
    ZYDIS_MNEMONIC_RDTSCP, ZYDIS_MNEMONIC_RDMSR, ZYDIS_MNEMONIC_WRMSR, ZYDIS_MNEMONIC_VMCALL,
    ZYDIS_MNEMONIC_SYSCALL, ZYDIS_MNEMONIC_SYSRET, ZYDIS_MNEMONIC_SYSENTER, ZYDIS_MNEMONIC_SYSEXIT,
    ZYDIS_MNEMONIC_SWAPGS, ZYDIS_MNEMONIC_STAC, ZYDIS_MNEMONIC_CLAC};

static const struct {
	uint16_t row;
	const char *reason;
} exempt_rows[] = {
    {ZYDIS_MNEMONIC_SYSCALL, "calls the host's kernel"},
    {ZYDIS_MNEMONIC_SYSENTER, "calls the host's kernel"},
    {ZYDIS_MNEMONIC_CPUID, "says what the host is"},
    {ZYDIS_MNEMONIC_XGETBV, "says what the host's kernel uses"},
    {ZYDIS_MNEMONIC_RDTSC, "the host's clock"},
    {ZYDIS_MNEMONIC_RDTSCP, "the host's clock"},
    {ZYDIS_MNEMONIC_SGDT, "done by the host's kernel (UMIP)"},
    {ZYDIS_MNEMONIC_SIDT, "done by the host's kernel (UMIP)"},
    {ZYDIS_MNEMONIC_SLDT, "done by the host's kernel (UMIP)"},
    {ZYDIS_MNEMONIC_STR, "done by the host's kernel (UMIP)"},
    {ZYDIS_MNEMONIC_SMSW, "done by the host's kernel (UMIP)"},
    {ZYDIS_MNEMONIC_RDRAND, "says what chance has"},
    {ZYDIS_MNEMONIC_VMCALL, "calls the host's hypervisor"},
};

const char *
row_exempt(unsigned row)
{
	for (unsigned i = 0; i < sizeof(exempt_rows) / sizeof(exempt_rows[0]); i++)
		if (exempt_rows[i].row == row)
			return (exempt_rows[i].reason);
	return (NULL);
}

const char *
row_name(unsigned row)
{
	return (row == ROW_MOVSD_SSE   ? "movsd-sse"
		: row == ROW_CMPSD_SSE ? "cmpsd-sse"
				       : ZydisMnemonicGetString((ZydisMnemonic)row));
}

static bool
is_esc(const ZydisDecodedInstruction *insn)
{
	return (insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (insn->opcode & 0xf8) == 0xd8);
}

/* Of the x87 the table has no rows; its mnemonics begin with F. */
enum row_class
row_class(unsigned row)
{
	const struct insn *insn = row <= ZYDIS_MNEMONIC_MAX_VALUE ? insn_row(row) : NULL;

	if (row > ZYDIS_MNEMONIC_MAX_VALUE || (insn != NULL && insn->vec != NULL))
		return (CLASS_SSE);
	if (insn == NULL || row == ZYDIS_MNEMONIC_FWAIT)
		return (row_name(row)[0] == 'f' ? CLASS_X87 : CLASS_NONE);
	for (unsigned i = 0; i < sizeof(system_rows) / sizeof(system_rows[0]); i++)
		if (system_rows[i] == row)
			return (CLASS_SYSTEM);
	return (CLASS_INTEGER);
}

/* The row of INSN; 0: not in the CPU's table, or not to be run. */
static unsigned
row_of(const ZydisDecodedInstruction *insn)
{
	unsigned row = insn->mnemonic;

	if (insn->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || row_exempt(row) != NULL)
		return (0);
	if (insn->opcode_map == ZYDIS_OPCODE_MAP_0F && row == ZYDIS_MNEMONIC_MOVSD)
		return (ROW_MOVSD_SSE);
	if (insn->opcode_map == ZYDIS_OPCODE_MAP_0F && row == ZYDIS_MNEMONIC_CMPSD)
		return (ROW_CMPSD_SSE);
	return (is_esc(insn) || insn_row(row) != NULL ? row : 0);
}

/* --- the catalogue ----------------------------------------------------------------------------------- */

static unsigned
put_opcode(const struct template *t, uint8_t rex, uint8_t *p)
{
	static const uint8_t second[MAPS] = {0, 0, 0x38, 0x3a};
	unsigned n = 0;

	if (rex != 0)
		p[n++] = rex;
	if (t->map > 0)
		p[n++] = 0x0f;
	if (t->map > 1)
		p[n++] = second[t->map];
	p[n++] = t->opcode;
	return (n);
}

/* Whether T is an instruction to take; completes its row. */
static bool
template_ok(const struct catalogue *cat, struct template *t)
{
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	uint8_t bytes[15] = {0};
	unsigned n = 0;

	if (t->prefix != 0)
		bytes[n++] = t->prefix;
	n += put_opcode(t, t->rex, bytes + n);
	bytes[n] = (uint8_t)((t->mod >= 3 ? 0xc0 : 0) | t->reg << 3 | t->rm);
	if (!ZYAN_SUCCESS(
		ZydisDecoderDecodeFull(&cat->decoder, bytes, sizeof(bytes), &insn, operand)))
		return (false);
	t->row = (uint16_t)row_of(&insn);
	return (t->row != 0);
}

static bool
is_prefix(uint8_t byte, enum width width)
{
	return ((byte & 0xe7) == 0x26 || (byte >= 0x64 && byte <= 0x67) || byte == 0x0f ||
	    byte == 0xf0 || byte == 0xf2 || byte == 0xf3 ||
	    (width == WIDTH_64 && (byte & 0xf0) == 0x40));
}

/* Number N of all templates to try. */
static struct template template_number(unsigned n)
{
	static const uint8_t prefixes[4] = {0, 0x66, 0xf2, 0xf3};
	struct template t = {.opcode = (uint8_t)n,
	    .reg = n >> 8 & 7,
	    .mod = n >> 11 & 1 ? 3 : 0,
	    .rm = n >> 12 & 7,
	    .prefix = prefixes[n >> 15 & 3],
	    .rex = n >> 17 & 1 ? 0x48 : 0,
	    .map = (uint8_t)(n >> 18)};

	/* ESC and group 7 have instructions by the rm field too. */
	if (t.mod == 3 &&
	    ((t.map == 0 && (t.opcode & 0xf8) == 0xd8) || (t.map == 1 && t.opcode == 1)))
		t.mod = 4;
	return (t);
}

static int
by_row(const void *a, const void *b)
{
	const struct template *x = a, *y = b;

	return ((int)x->row - (int)y->row);
}

static void
catalogue_init(struct catalogue *cat, enum width width)
{
	struct template *all = calloc(TEMPLATES_MAX, sizeof(*all));
	unsigned at = 0;

	if (all == NULL)
		err(4, "no memory");
	for (unsigned n = 0; n < COMBINATIONS; n++) {
		struct template t = template_number(n);

		if ((t.mod != 4 && t.rm != 1) || (t.rex != 0 && width != WIDTH_64) ||
		    (t.map == 0 && is_prefix(t.opcode, width)) || !template_ok(cat, &t))
			continue;
		if (cat->count == TEMPLATES_MAX)
			errx(4, "more than %d templates", TEMPLATES_MAX);
		all[cat->count++] = t;
	}
	qsort(all, cat->count, sizeof(*all), by_row);
	for (unsigned row = 0; row < ROW_COUNT; row++) {
		cat->first[row] = at;
		while (at < cat->count && all[at].row == row)
			at++;
		if (at > cat->first[row])
			cat->row[cat->nrows++] = (uint16_t)row;
	}
	cat->first[ROW_COUNT] = at;
	cat->list = all;
}

void
generate_init(void)
{
	ZydisDecoderInit(
	    &catalogues[WIDTH_64].decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderInit(
	    &catalogues[WIDTH_32].decoder, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(
	    &catalogues[WIDTH_16].decoder, ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16);
	for (enum width w = WIDTH_64; w < WIDTH_COUNT; w++)
		catalogue_init(&catalogues[w], w);
	value_init();
}

bool
generate_knows(enum width width, unsigned row)
{
	const struct catalogue *cat = &catalogues[width];

	return (row == 0 ? cat->count > 0 : cat->first[row + 1] > cat->first[row]);
}

/* --- one instruction --------------------------------------------------------------------------------- */

static unsigned
put_prefixes(uint64_t *rng, const struct template *t, uint8_t *p)
{
	static const uint8_t segments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x64, 0x65};
	unsigned n = 0;

	if (one_in(rng, 8))
		p[n++] = 0x67;
	if (one_in(rng, 8))
		p[n++] = segments[below(rng, sizeof(segments))];
	if (one_in(rng, 24))
		p[n++] = 0xf0;
	if (one_in(rng, 6) && t->prefix != 0x66)
		p[n++] = 0x66;
	if (t->prefix != 0)
		p[n++] = t->prefix;
	return (n);
}

/* Immediates and displacements: random bytes, often all the same sign or small. */
static void
put_tail(uint64_t *rng, uint8_t *p)
{
	uint64_t tail[2] = {value(rng), value(rng)};

	memcpy(p, tail, sizeof(tail));
}

static bool
make_piece(
    uint64_t *rng, const struct catalogue *cat, enum width width, unsigned row, struct piece *piece)
{
	const struct template *t =
	    &cat->list[cat->first[row] + below(rng, cat->first[row + 1] - cat->first[row])];
	uint8_t bytes[40] = {0}, rex = t->rex;
	unsigned n = put_prefixes(rng, t, bytes);
	uint64_t r = next(rng);

	if (width == WIDTH_64 && (r & 0x30) != 0)
		rex = (uint8_t)(0x40 | t->rex | (r & (r & 0x40 ? 0x0f : 0x07)));
	n += put_opcode(t, rex, bytes + n);
	bytes[n++] = (uint8_t)((t->mod >= 3 ? 0xc0u : (r >> 8) % 3 << 6) | (unsigned)t->reg << 3 |
	    (t->mod == 4 ? t->rm : r >> 16 & 7));
	bytes[n++] = (uint8_t)(r >> 24); /* SIB */
	put_tail(rng, bytes + n);
	if (!ZYAN_SUCCESS(
		ZydisDecoderDecodeFull(&cat->decoder, bytes, 15, &piece->insn, piece->operand)) ||
	    row_of(&piece->insn) != row)
		return (false);
	piece->row = row;
	memcpy(piece->bytes, bytes, 15);
	return (true);
}

/* --- a whole case -------------------------------------------------------------------------------------- */

/* FS and GS, and now and then others, select something of their own. */
static void
start_segments(uint64_t *rng, struct sequence *q)
{
	static const uint16_t fs[] = {SEL_LDT(4), SEL_LDT(6), SEL_LDT(7), SEL_LDT(8), SEL_LDT(15),
	    SEL_LDT(11), SEL_LDT(3), SEL_LDT(1)};
	struct registers *r = &q->start;
	bool has_ldt = native_has(WIDTH_16);

	for (unsigned i = 0; i < SEG_COUNT; i++)
		r->seg[i] = data_selectors[q->width];
	r->seg[SEG_CS] = code_selectors[q->width];
	r->seg[SEG_FS] = r->seg[SEG_GS] = 0;
	r->base[0] = r->base[1] = 0;
	if (q->width == WIDTH_64) {
		r->base[0] = BASE + DATA + below(rng, 256);
		r->base[1] = one_in(rng, 2) ? BASE - 0x1000 : (uint64_t)((int64_t)next(rng) >> 17);
		return;
	}
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (has_ldt &&
		    (i == SEG_FS || i == SEG_GS ||
			((i == SEG_DS || i == SEG_ES) && one_in(rng, 16))))
			r->seg[i] = fs[below(rng, sizeof(fs) / sizeof(fs[0]))];
	if (one_in(rng, 32))
		r->seg[one_in(rng, 2) ? SEG_ES : SEG_FS] = 0;
}

static void
start_registers(uint64_t *rng, struct sequence *q)
{
	struct registers *r = &q->start;
	uint64_t sp;

	for (unsigned i = 0; i < 16; i++)
		r->reg[i] = value(rng);
	if (!one_in(rng, 24)) {
		sp = base_of(q->width) + DATA + 512 + below(rng, DATA_SIZE - 1024);
		r->reg[GPR_RSP] = one_in(rng, 3) ? sp : sp & ~7ull;
		if (!one_in(rng, 3))
			r->reg[GPR_RBP] = sp + below(rng, 64) * 8 - 256;
	}
	for (unsigned i = 0; i < 16 && q->width != WIDTH_64; i++)
		r->reg[i] = i < 8 ? (uint32_t)r->reg[i] : 0;
	if (q->width == WIDTH_16)
		r->reg[GPR_RSP] &= 0xffff;
	r->flags = 0x202 | (next(rng) & RFLAGS_ARITH) | (one_in(rng, 4) ? RFLAGS_DF : 0) |
	    (one_in(rng, 64) ? RFLAGS_TF : 0) | (one_in(rng, 24) ? RFLAGS_AC : 0);
	r->rip = q->at;
	start_segments(rng, q);
	value_fpu(rng, &r->fpu);
}

/* Whether P may follow: not if it uses flags that are undefined by now. */
static bool
row_flags(const struct piece *p, uint64_t *undefined, bool strict)
{
	const struct insn *row = is_esc(&p->insn) ? NULL : insn_row(p->row);
	uint64_t tested = p->insn.cpu_flags != NULL ? p->insn.cpu_flags->tested : 0;
	bool shift = p->insn.meta.category == ZYDIS_CATEGORY_SHIFT ||
	    p->insn.meta.category == ZYDIS_CATEGORY_ROTATE;

	if (!strict && (tested & *undefined) != 0)
		return (false);
	if (row == NULL)
		return (true);
	if (!shift && p->insn.meta.category != ZYDIS_CATEGORY_STRINGOP)
		*undefined &= ~(uint64_t)row->written;
	*undefined |= row->undefined;
	if (shift) /* OF is defined for counts of 1 */
		*undefined |= RFLAGS_OF;
	return (true);
}

/*
 * XSAVE's components are chosen by registers that must be as the sequence begins. FXSAVE64 stores
 * an FIP that FXRSTOR64 has cut to the width of linear addresses, which hosts differ in.
 */
static bool
is_first_only(unsigned row)
{
	return (row == ZYDIS_MNEMONIC_FXSAVE64 || row == ZYDIS_MNEMONIC_XSAVE ||
	    row == ZYDIS_MNEMONIC_XSAVE64 || row == ZYDIS_MNEMONIC_XRSTOR ||
	    row == ZYDIS_MNEMONIC_XRSTOR64);
}

static unsigned
choose_row(uint64_t *rng, const struct catalogue *cat, unsigned row, bool first)
{
	unsigned chosen;

	if (first && row != 0)
		return (row);
	do
		chosen = cat->row[below(rng, cat->nrows)];
	while (!first && is_first_only(chosen));
	return (chosen);
}

/* Where the code begins: in the first page, across its end, or up to the end of the second. */
static uint64_t
code_offset(uint64_t *rng)
{
	unsigned r = below(rng, 32);

	if (r == 0)
		return (CODE_SIZE - 1 - below(rng, 20));
	return (r < 5 ? PAGE - 1 - below(rng, 20) : below(rng, PAGE / 2));
}

static void
choose_pieces(uint64_t *rng, struct sequence *q, unsigned row, bool strict)
{
	const struct catalogue *cat = &catalogues[q->width];
	unsigned want = one_in(rng, 2) ? 1 : 2 + below(rng, SEQUENCE_MAX - 1);
	unsigned chosen = choose_row(rng, cat, row, true);

	q->at = base_of(q->width) + CODE + code_offset(rng);
	q->count = q->size = 0;
	q->undefined = 0;
	for (unsigned tries = 0; q->count < want; tries++) {
		struct piece *p = &q->piece[q->count];

		if (tries % 64 == 63)
			chosen = choose_row(rng, cat, row, q->count == 0);
		if (!make_piece(rng, cat, q->width, chosen, p) ||
		    !row_flags(p, &q->undefined, strict))
			continue;
		p->at = q->at + q->size;
		q->size += p->insn.length;
		q->count++;
		chosen = choose_row(rng, cat, row, false);
	}
}

/* Now and then the last instruction gets a LOCK that it may not have, or more and more prefixes. */
static void
spoil(uint64_t *rng, struct sequence *q)
{
	static const uint8_t prefixes[] = {0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	const struct piece *p = &q->piece[q->count - 1];
	unsigned at = q->size - p->insn.length, n = 1;
	uint8_t prefix;

	q->spoiled = 0;
	if (!one_in(rng, 32))
		return;
	prefix = prefixes[one_in(rng, 2) ? 0 : below(rng, sizeof(prefixes))];
	if (prefix != 0xf0)
		n += below(rng, 16u - p->insn.length);
	memmove(q->code + at + n, q->code + at, p->insn.length);
	memset(q->code + at, prefix, n);
	q->spoiled = n;
	q->size += n;
}

void
generate(struct sequence *q, enum width width, uint64_t number, unsigned row, bool strict)
{
	uint64_t rng = number * 0xd1342543de82ef95u + (unsigned)width;

	q->width = width;
	choose_pieces(&rng, q, row, strict);
	start_registers(&rng, q);
	value_memory(&rng, q->data, DATA_SIZE);
	fit_sequence(q, &rng);
	for (unsigned i = 0, at = 0; i < q->count; at += q->piece[i++].insn.length) {
		memcpy(q->code + at, q->piece[i].bytes, q->piece[i].insn.length);
		ZydisDecoderDecodeFull(&catalogues[width].decoder, q->piece[i].bytes, 15,
		    &q->piece[i].insn, q->piece[i].operand);
	}
	spoil(&rng, q);
}
