/*
 * Making random code. Templates (opcode, reg field, prefixes that matter) come from asking Zydis
 * about all of the opcode maps and keeping what the CPU's table of instructions has and user mode
 * may run. A case takes mnemonics by chance, each with a template and random bytes behind it, and
 * then moves registers, displacements and data so that most memory operands lie in the data,
 * most branches in the code's page of fillers and most divisions in range.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/insn.h"
#include "oracle.h"

#define TEMPLATES_MAX 40000
#define TRIES 200
#define POOL_SIZE (64u << 10)

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

struct template
{
	uint8_t prefix; /* 0 or 66, F2, F3 */
	uint8_t rex;	/* 0 or 48 */
	uint8_t map;	/* 0, 1: 0F, 2: 0F 38 */
	uint8_t opcode;
	uint8_t reg;
	uint8_t mod; /* 0 memory, 3 register */
	uint16_t mnemonic;
};

static struct catalogue {
	ZydisDecoder decoder;
	struct template *list; /* by mnemonic */
	unsigned count;
	unsigned first[ZYDIS_MNEMONIC_MAX_VALUE + 2];
	uint16_t mnemonic[ZYDIS_MNEMONIC_MAX_VALUE + 1]; /* those that have templates */
	unsigned nmnemonics;
} catalogues[WIDTH_COUNT];

static uint8_t pool[POOL_SIZE];

/*
 * Chance.
 */

static uint64_t
next(uint64_t *rng)
{
	uint64_t z = *rng += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31);
}

static unsigned
below(uint64_t *rng, unsigned n)
{
	return ((unsigned)((next(rng) >> 32) % n));
}

static bool
one_in(uint64_t *rng, unsigned n)
{
	return (below(rng, n) == 0);
}

/* A value in which edges are frequent. */
static uint64_t
value(uint64_t *rng)
{
	static const uint64_t edges[] = {0, 1, 2, UINT64_MAX, UINT64_MAX - 1, 0x7f, 0x80, 0xff,
	    0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff,
	    0x8000000000000000, 0xffffffff80000000, 0xffffffffffff8000, 0xffffffffffffff80};
	uint64_t r = next(rng);

	switch (below(rng, 8)) {
	case 0:
	case 1:
		return (edges[r % (sizeof(edges) / sizeof(edges[0]))]);
	case 2:
		return (r & 0x7f);
	case 3:
		return (r >> (r & 63));
	case 4:
		return ((uint64_t)((int64_t)r >> (r & 63)));
	case 5:
		return ((uint32_t)r);
	default:
		return (r);
	}
}

/*
 * What is taken.
 */

static bool
isa_wanted(ZydisISASet set)
{
	static const ZydisISASet wanted[] = {ZYDIS_ISA_SET_I86, ZYDIS_ISA_SET_I186,
	    ZYDIS_ISA_SET_I286REAL, ZYDIS_ISA_SET_I386, ZYDIS_ISA_SET_I486, ZYDIS_ISA_SET_I486REAL,
	    ZYDIS_ISA_SET_PENTIUMREAL, ZYDIS_ISA_SET_PPRO, ZYDIS_ISA_SET_CMOV,
	    ZYDIS_ISA_SET_FAT_NOP, ZYDIS_ISA_SET_LONGMODE, ZYDIS_ISA_SET_LAHF, ZYDIS_ISA_SET_PAUSE,
	    ZYDIS_ISA_SET_CMPXCHG16B, ZYDIS_ISA_SET_POPCNT, ZYDIS_ISA_SET_SSE42,
	    ZYDIS_ISA_SET_I286PROTECTED};

	for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (set == wanted[i])
			return (true);
	return (false);
}

/* Instructions that leave user mode, depend on the system's tables or on time. */
static bool
is_system(ZydisMnemonic mnemonic)
{
	static const ZydisMnemonic system[] = {ZYDIS_MNEMONIC_INT, ZYDIS_MNEMONIC_INT1,
	    ZYDIS_MNEMONIC_INT3, ZYDIS_MNEMONIC_INTO, ZYDIS_MNEMONIC_IRET, ZYDIS_MNEMONIC_IRETD,
	    ZYDIS_MNEMONIC_IRETQ, ZYDIS_MNEMONIC_SYSCALL, ZYDIS_MNEMONIC_SYSRET,
	    ZYDIS_MNEMONIC_SYSENTER, ZYDIS_MNEMONIC_SYSEXIT, ZYDIS_MNEMONIC_CPUID,
	    ZYDIS_MNEMONIC_RDTSC, ZYDIS_MNEMONIC_RDTSCP, ZYDIS_MNEMONIC_RDPMC, ZYDIS_MNEMONIC_RDMSR,
	    ZYDIS_MNEMONIC_WRMSR, ZYDIS_MNEMONIC_HLT, ZYDIS_MNEMONIC_IN, ZYDIS_MNEMONIC_OUT,
	    ZYDIS_MNEMONIC_INSB, ZYDIS_MNEMONIC_INSW, ZYDIS_MNEMONIC_INSD, ZYDIS_MNEMONIC_OUTSB,
	    ZYDIS_MNEMONIC_OUTSW, ZYDIS_MNEMONIC_OUTSD, ZYDIS_MNEMONIC_CLI, ZYDIS_MNEMONIC_STI,
	    ZYDIS_MNEMONIC_LGDT, ZYDIS_MNEMONIC_LIDT, ZYDIS_MNEMONIC_SGDT, ZYDIS_MNEMONIC_SIDT,
	    ZYDIS_MNEMONIC_LLDT, ZYDIS_MNEMONIC_LTR, ZYDIS_MNEMONIC_SLDT, ZYDIS_MNEMONIC_STR,
	    ZYDIS_MNEMONIC_LMSW, ZYDIS_MNEMONIC_SMSW, ZYDIS_MNEMONIC_LAR, ZYDIS_MNEMONIC_LSL,
	    ZYDIS_MNEMONIC_VERR, ZYDIS_MNEMONIC_VERW, ZYDIS_MNEMONIC_CLTS, ZYDIS_MNEMONIC_INVD,
	    ZYDIS_MNEMONIC_WBINVD, ZYDIS_MNEMONIC_INVLPG, ZYDIS_MNEMONIC_SWAPGS, ZYDIS_MNEMONIC_LDS,
	    ZYDIS_MNEMONIC_LES, ZYDIS_MNEMONIC_LFS, ZYDIS_MNEMONIC_LGS, ZYDIS_MNEMONIC_LSS,
	    ZYDIS_MNEMONIC_RSM};

	for (unsigned i = 0; i < sizeof(system) / sizeof(system[0]); i++)
		if (mnemonic == system[i])
			return (true);
	return (false);
}

/* General registers, flags, RIP; segment registers only to read. */
static bool
operand_wanted(const ZydisDecodedOperand *o)
{
	if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return (o->mem.segment != ZYDIS_REGISTER_FS && o->mem.segment != ZYDIS_REGISTER_GS);
	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return (o->type != ZYDIS_OPERAND_TYPE_POINTER);
	switch (ZydisRegisterGetClass(o->reg.value)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
	case ZYDIS_REGCLASS_FLAGS:
	case ZYDIS_REGCLASS_IP:
		return (true);
	case ZYDIS_REGCLASS_SEGMENT:
		return ((o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0);
	default:
		return (false);
	}
}

static bool
wanted(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operand)
{
	if (insn_row(insn->mnemonic) == NULL || is_system(insn->mnemonic) ||
	    !isa_wanted(insn->meta.isa_set) || insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return (false);
	for (unsigned i = 0; i < insn->operand_count; i++)
		if (!operand_wanted(&operand[i]))
			return (false);
	return (true);
}

/*
 * The catalogue.
 */

static unsigned
put_opcode(const struct template *t, uint8_t rex, uint8_t *p)
{
	unsigned n = 0;

	if (rex != 0)
		p[n++] = rex;
	if (t->map > 0)
		p[n++] = 0x0f;
	if (t->map > 1)
		p[n++] = 0x38;
	p[n++] = t->opcode;
	return (n);
}

/* Whether T is an instruction to take; completes its mnemonic. */
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
	bytes[n] = (uint8_t)(t->mod << 6 | t->reg << 3 | 1);
	if (!ZYAN_SUCCESS(
		ZydisDecoderDecodeFull(&cat->decoder, bytes, sizeof(bytes), &insn, operand)) ||
	    !wanted(&insn, operand))
		return (false);
	t->mnemonic = (uint16_t)insn.mnemonic;
	return (true);
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

	return ((struct template){.opcode = (uint8_t)n,
	    .reg = n >> 8 & 7,
	    .mod = n >> 11 & 1 ? 3 : 0,
	    .prefix = prefixes[n >> 12 & 3],
	    .rex = n >> 14 & 1 ? 0x48 : 0,
	    .map = (uint8_t)(n >> 15)});
}

static int
by_mnemonic(const void *a, const void *b)
{
	const struct template *x = a, *y = b;

	return ((int)x->mnemonic - (int)y->mnemonic);
}

static void
catalogue_init(struct catalogue *cat, enum width width)
{
	struct template *all = calloc(TEMPLATES_MAX, sizeof(*all));
	unsigned at = 0;

	if (all == NULL)
		err(4, "no memory");
	for (unsigned n = 0; n < 3u << 15; n++) {
		struct template t = template_number(n);

		if ((t.rex != 0 && width != WIDTH_64) ||
		    (t.map == 0 && is_prefix(t.opcode, width)) || !template_ok(cat, &t))
			continue;
		if (cat->count == TEMPLATES_MAX)
			errx(4, "more than %d templates", TEMPLATES_MAX);
		all[cat->count++] = t;
	}
	qsort(all, cat->count, sizeof(*all), by_mnemonic);
	for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++) {
		cat->first[m] = at;
		while (at < cat->count && all[at].mnemonic == m)
			at++;
		if (at > cat->first[m])
			cat->mnemonic[cat->nmnemonics++] = (uint16_t)m;
	}
	cat->first[ZYDIS_MNEMONIC_MAX_VALUE + 1] = at;
	cat->list = all;
}

void
generate_init(void)
{
	uint64_t rng = 1, v;

	ZydisDecoderInit(
	    &catalogues[WIDTH_64].decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderInit(
	    &catalogues[WIDTH_32].decoder, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(
	    &catalogues[WIDTH_16].decoder, ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16);
	for (enum width w = WIDTH_64; w < WIDTH_COUNT; w++)
		catalogue_init(&catalogues[w], w);
	for (unsigned i = 0; i < POOL_SIZE; i += 8) {
		v = value(&rng);
		memcpy(pool + i, &v, 8);
	}
}

bool
generate_knows(enum width width, unsigned mnemonic)
{
	const struct catalogue *cat = &catalogues[width];

	return (mnemonic == 0 || cat->first[mnemonic + 1] > cat->first[mnemonic]);
}

unsigned
generate_mnemonics(enum width width)
{
	return (catalogues[width].nmnemonics);
}

/*
 * One instruction.
 */

static bool
is_string(const ZydisDecodedInstruction *insn)
{
	return (insn->meta.category == ZYDIS_CATEGORY_STRINGOP);
}

static unsigned
put_prefixes(uint64_t *rng, const struct template *t, bool lock, uint8_t *p)
{
	static const uint8_t segments[] = {0x26, 0x2e, 0x36, 0x3e};
	unsigned n = 0;

	if (one_in(rng, 8))
		p[n++] = 0x67;
	if (one_in(rng, 12))
		p[n++] = segments[below(rng, 4)];
	if (lock)
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
make_piece(uint64_t *rng, const struct catalogue *cat, enum width width, unsigned mnemonic,
    struct piece *piece)
{
	const struct template *t = &cat->list[cat->first[mnemonic] +
	    below(rng, cat->first[mnemonic + 1] - cat->first[mnemonic])];
	uint8_t bytes[40] = {0}, rex = t->rex;
	bool lock = one_in(rng, 24);
	unsigned n = put_prefixes(rng, t, lock, bytes);
	uint64_t r = next(rng);

	if (width == WIDTH_64 && (r & 0x30) != 0)
		rex = (uint8_t)(0x40 | t->rex | (r & (r & 0x40 ? 0x0f : 0x07)));
	n += put_opcode(t, rex, bytes + n);
	bytes[n++] = (uint8_t)((t->mod == 3 ? 0xc0u : (r >> 8) % 3 << 6) | (unsigned)t->reg << 3 |
	    (r >> 16 & 7));
	bytes[n++] = (uint8_t)(r >> 24); /* SIB */
	put_tail(rng, bytes + n);
	if (!ZYAN_SUCCESS(
		ZydisDecoderDecodeFull(&cat->decoder, bytes, 15, &piece->insn, piece->operand)) ||
	    piece->insn.mnemonic != mnemonic || !wanted(&piece->insn, piece->operand))
		return (false);
	memcpy(piece->bytes, bytes, 15);
	return (true);
}

/*
 * Making it fit: registers, displacements, data.
 */

struct fit {
	uint64_t *rng;
	struct sequence *q;
	uint32_t fixed; /* registers that have their value */
};

/* Number of a general register of any width, -1 for none. */
static int
reg_number(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return (ZydisRegisterGetId(reg) & 15);
	default:
		return (-1);
	}
}

static uint64_t
low_mask(unsigned bits)
{
	return (bits >= 64 ? UINT64_MAX : (1ull << bits) - 1);
}

static bool
is_fixed(const struct fit *f, int reg)
{
	return (f->fixed >> reg & 1);
}

/* The low BITS of register REG become VALUE, the only time that it gets one. */
static void
fix(struct fit *f, int reg, uint64_t v, unsigned bits)
{
	uint64_t mask = low_mask(bits);

	f->q->start.reg[reg] = (f->q->start.reg[reg] & ~mask) | (v & mask);
	f->fixed |= 1u << reg;
}

/* An offset in the data, aligned now and then, near a page's or the data's end now and then. */
static uint64_t
data_offset(struct fit *f, const struct piece *p)
{
	unsigned offset = below(f->rng, DATA_SIZE - 64), r = below(f->rng, 16);

	if (p->insn.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B && r > 2)
		offset &= ~15u;
	else if (r < 5)
		offset &= ~7u;
	else if (r < 7)
		offset = PAGE - 1 - (offset & 31);
	else if (r == 7)
		offset = DATA_SIZE - 1 - (offset & 15);
	else if (r == 8)
		return (base_of(f->q->width) + READ_ONLY + (offset & (PAGE - 1)));
	return (base_of(f->q->width) + DATA + offset);
}

static uint64_t
code_target(struct fit *f)
{
	return (base_of(f->q->width) + CODE + PAGE + 256 + below(f->rng, PAGE / 2));
}

static uint64_t
index_value(const struct fit *f, const ZydisDecodedOperand *o)
{
	int index = reg_number(o->mem.index);

	if (index < 0)
		return (0);
	return ((f->q->start.reg[index] &
		    low_mask(ZydisRegisterGetWidth(f->q->width == WIDTH_64
			    ? ZYDIS_MACHINE_MODE_LONG_64
			    : ZYDIS_MACHINE_MODE_LEGACY_32,
			o->mem.index))) *
	    (o->mem.scale != 0 ? o->mem.scale : 1));
}

/* The offset of O by the registers that the sequence begins with. */
static uint64_t
effective_address(const struct fit *f, const struct piece *p, const ZydisDecodedOperand *o)
{
	int base = reg_number(o->mem.base);
	uint64_t ea = index_value(f, o) + (uint64_t)o->mem.disp.value;

	if (o->mem.base == ZYDIS_REGISTER_RIP || o->mem.base == ZYDIS_REGISTER_EIP)
		ea += p->at + p->insn.length;
	else if (base >= 0)
		ea += f->q->start.reg[base];
	return (ea & low_mask(p->insn.address_width));
}

/* Write the displacement of memory operand O, in the bytes and in what was decoded. */
static void
set_displacement(struct piece *p, ZydisDecodedOperand *o, uint64_t disp)
{
	unsigned size = p->insn.raw.disp.size;

	memcpy(p->bytes + p->insn.raw.disp.offset, &disp, size / 8);
	o->mem.disp.value =
	    size == 64 ? (int64_t)disp : (int64_t)(disp << (64 - size)) >> (64 - size);
}

static void
fit_memory(struct fit *f, struct piece *p, ZydisDecodedOperand *o)
{
	int base = reg_number(o->mem.base), index = reg_number(o->mem.index);
	uint64_t target = data_offset(f, p);

	if (one_in(f->rng, 24))
		return;
	if (index >= 0 && index != base && !is_fixed(f, index) && (base < 0 || is_fixed(f, base)))
		fix(f, index, below(f->rng, 32), 64);
	if (base >= 0 && base != index) {
		if (!is_fixed(f, base))
			fix(f, base, target - index_value(f, o) - (uint64_t)o->mem.disp.value,
			    p->insn.address_width);
	} else if (base < 0 && p->insn.raw.disp.size >= 16) {
		uint64_t from = index_value(f, o);

		if (o->mem.base == ZYDIS_REGISTER_RIP || o->mem.base == ZYDIS_REGISTER_EIP)
			from += p->at + p->insn.length;
		set_displacement(p, o, target - from);
	}
	if (base >= 0)
		f->fixed |= 1u << base;
	if (index >= 0)
		f->fixed |= 1u << index;
}

/* A relative branch: behind the next instruction's start, into the fillers, or anywhere. */
static void
fit_branch(struct fit *f, struct piece *p, unsigned number)
{
	const struct sequence *q = f->q;
	unsigned size = p->insn.raw.imm[0].size;
	uint64_t end = q->at + q->size, from = p->at + p->insn.length, target, disp;

	if (size >= 32 && one_in(f->rng, 16))
		return;
	if (number + 1 < q->count && one_in(f->rng, 2))
		target = q->piece[number + 1 + below(f->rng, q->count - number - 1)].at;
	else if (size == 8)
		target = end + below(f->rng, (unsigned)(128 - (end - from)));
	else
		target = code_target(f);
	disp = target - from;
	memcpy(p->bytes + p->insn.raw.imm[0].offset, &disp, size / 8);
}

static void
write_data(struct fit *f, uint64_t ea, const void *from, unsigned size)
{
	uint64_t offset = ea - base_of(f->q->width) - DATA;

	if (offset <= DATA_SIZE - size)
		memcpy(f->q->data + offset, from, size);
}

/* Targets of JMP, CALL through registers and memory, and of RET. */
static void
fit_indirect(struct fit *f, struct piece *p)
{
	ZydisDecodedOperand *o = &p->operand[0];
	uint64_t target = code_target(f);
	int reg = o->type == ZYDIS_OPERAND_TYPE_REGISTER ? reg_number(o->reg.value) : -1;

	if (one_in(f->rng, 12))
		return;
	if (p->insn.mnemonic == ZYDIS_MNEMONIC_RET)
		write_data(f, f->q->start.reg[RSP], &target, 8);
	else if (reg >= 0 && !is_fixed(f, reg))
		fix(f, reg, target, 64);
	else if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
		write_data(f, effective_address(f, p, o), &target, 8);
}

/* Make a compare-and-exchange succeed. */
static void
fit_exchange(struct fit *f, struct piece *p)
{
	const ZydisDecodedOperand *o = &p->operand[0];
	const uint64_t *reg = f->q->start.reg;
	uint64_t pair[2] = {reg[RAX], reg[RDX]};

	if (one_in(f->rng, 2))
		return;
	if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		if (!is_fixed(f, RAX))
			fix(f, RAX, reg[reg_number(o->reg.value)], 64);
		return;
	}
	if (p->insn.mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B)
		pair[0] = (uint32_t)pair[0] | pair[1] << 32;
	write_data(f, effective_address(f, p, o), pair,
	    p->insn.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B ? 16 : 8);
}

/* Dividends that are not too large, mostly. */
static void
fit_division(struct fit *f, const struct piece *p)
{
	const ZydisDecodedOperand *o = &p->operand[0];
	uint64_t *reg = f->q->start.reg, high = 0;
	bool sign;

	if (one_in(f->rng, 4))
		return;
	if (o->size == 8) {
		if (one_in(f->rng, 2))
			reg[RAX] &= ~0xf000ull;
		return;
	}
	sign = reg[RAX] >> (o->size - 1) & 1;
	if (p->insn.mnemonic == ZYDIS_MNEMONIC_IDIV && sign)
		high = UINT64_MAX;
	if (one_in(f->rng, 3) && o->type == ZYDIS_OPERAND_TYPE_REGISTER)
		high =
		    (reg[reg_number(o->reg.value)] & low_mask(o->size)) >> (1 + below(f->rng, 4));
	if (!is_fixed(f, RDX))
		reg[RDX] = high;
}

/* What more than its memory operands a mnemonic wants. */
static void
fit_special(struct fit *f, struct piece *p, unsigned number)
{
	const ZydisDecodedOperand *o = p->operand;
	uint64_t stack;

	if (p->insn.raw.imm[0].is_relative) {
		fit_branch(f, p, number);
		return;
	}
	switch (p->insn.mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		if (o[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    o[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    !is_fixed(f, reg_number(o[1].reg.value)) && !one_in(f->rng, 8))
			fix(f, reg_number(o[1].reg.value), below(f->rng, 8192) - 4096u, o[1].size);
		break;
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		fit_division(f, p);
		break;
	case ZYDIS_MNEMONIC_CMPXCHG:
	case ZYDIS_MNEMONIC_CMPXCHG8B:
	case ZYDIS_MNEMONIC_CMPXCHG16B:
		fit_exchange(f, p);
		break;
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_CALL:
	case ZYDIS_MNEMONIC_RET:
		fit_indirect(f, p);
		break;
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		/* No TF, no AC: the host checks alignment. */
		stack = next(f->rng) & ~0x40100ull;
		write_data(f, f->q->start.reg[RSP], &stack, 8);
		break;
	default:
		break;
	}
	if (is_string(&p->insn) &&
	    (p->insn.attributes &
		(ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) &&
	    !is_fixed(f, RCX) && !one_in(f->rng, 8))
		fix(f, RCX, below(f->rng, one_in(f->rng, 4) ? 600 : 20), 64);
}

static void
fit_piece(struct fit *f, unsigned number)
{
	struct piece *p = &f->q->piece[number];

	for (unsigned i = 0; i < p->insn.operand_count; i++)
		if (p->operand[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    p->operand[i].mem.type != ZYDIS_MEMOP_TYPE_AGEN)
			fit_memory(f, p, &p->operand[i]);
	fit_special(f, p, number);
}

/*
 * A whole case.
 */

static void
start_registers(uint64_t *rng, struct sequence *q)
{
	struct registers *r = &q->start;
	uint64_t sp;

	for (unsigned i = 0; i < 16; i++)
		r->reg[i] = value(rng);
	if (!one_in(rng, 24)) {
		sp = base_of(q->width) + DATA + 512 + below(rng, DATA_SIZE - 1024);
		r->reg[RSP] = one_in(rng, 3) ? sp : sp & ~7ull;
		if (!one_in(rng, 3))
			r->reg[RBP] = sp + below(rng, 64) * 8 - 256;
	}
	for (unsigned i = 0; i < 16 && q->width != WIDTH_64; i++)
		r->reg[i] = i < 8 ? (uint32_t)r->reg[i] : 0;
	if (q->width == WIDTH_16)
		r->reg[RSP] &= 0xffff;
	r->flags = 0x202 | (next(rng) & 0x8d5) | (one_in(rng, 4) ? 0x400 : 0);
	r->rip = q->at;
}

static uint32_t
row_flags(const struct piece *p, uint64_t *undefined, bool strict)
{
	const struct insn *row = insn_row(p->insn.mnemonic);
	uint64_t tested = p->insn.cpu_flags != NULL ? p->insn.cpu_flags->tested : 0;
	bool shift = p->insn.meta.category == ZYDIS_CATEGORY_SHIFT ||
	    p->insn.meta.category == ZYDIS_CATEGORY_ROTATE;

	if (!strict && (tested & *undefined) != 0)
		return (false);
	if (!shift && p->insn.meta.category != ZYDIS_CATEGORY_STRINGOP)
		*undefined &= ~(uint64_t)row->written;
	*undefined |= row->undefined;
	if (shift) /* OF is defined for counts of 1 */
		*undefined |= RFLAGS_OF;
	return (true);
}

static unsigned
choose_mnemonic(uint64_t *rng, const struct catalogue *cat, unsigned mnemonic)
{
	return (mnemonic != 0 ? mnemonic : cat->mnemonic[below(rng, cat->nmnemonics)]);
}

static void
choose_pieces(uint64_t *rng, struct sequence *q, unsigned mnemonic, bool strict)
{
	const struct catalogue *cat = &catalogues[q->width];
	unsigned want = one_in(rng, 2) ? 1 : 2 + below(rng, SEQUENCE_MAX - 1);
	unsigned chosen = choose_mnemonic(rng, cat, mnemonic);
	uint64_t offset = below(rng, 8) == 0 ? PAGE - 1 - below(rng, 20) : below(rng, PAGE / 2);

	if (mnemonic != 0)
		want = 1;
	q->at = base_of(q->width) + CODE + offset;
	q->count = q->size = 0;
	q->undefined = 0;
	for (unsigned tries = 0; q->count < want; tries++) {
		struct piece *p = &q->piece[q->count];

		if (tries % 32 == 31)
			chosen = choose_mnemonic(rng, cat, mnemonic);
		if (!make_piece(rng, cat, q->width, chosen, p) ||
		    !row_flags(p, &q->undefined, strict))
			continue;
		p->at = q->at + q->size;
		q->size += p->insn.length;
		q->count++;
		chosen = choose_mnemonic(rng, cat, mnemonic);
	}
}

void
generate(struct sequence *q, enum width width, uint64_t number, unsigned mnemonic, bool strict)
{
	uint64_t rng = number * 0xd1342543de82ef95u + (unsigned)width;
	struct fit f = {.rng = &rng, .q = q, .fixed = 1u << RSP};
	ZydisDecodedOperand *operand;

	q->width = width;
	choose_pieces(&rng, q, mnemonic, strict);
	start_registers(&rng, q);
	memcpy(q->data, pool + below(&rng, (POOL_SIZE - DATA_SIZE) / 8) * 8, DATA_SIZE);
	for (unsigned i = 0; i < q->count; i++)
		fit_piece(&f, i);
	for (unsigned i = 0, at = 0; i < q->count; at += q->piece[i++].insn.length) {
		operand = q->piece[i].operand;
		memcpy(q->code + at, q->piece[i].bytes, q->piece[i].insn.length);
		ZydisDecoderDecodeFull(
		    &catalogues[width].decoder, q->piece[i].bytes, 15, &q->piece[i].insn, operand);
	}
}
