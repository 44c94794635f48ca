/* Making code do something: registers, displacements, targets, selectors and data that fit it. */
#include <string.h>

#include "arch/vcpu_state.h"
#include "oracle.h"

/* XSAVE's image and header (SDM vol. 1, 13.4). */
#define XSAVE_HEADER 512

struct fit {
	uint64_t *rng;
	struct sequence *q;
	uint32_t fixed; /* registers that have their value */
};

/* --- registers ----------------------------------------------------------------------------------- */

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

/* --- addresses ------------------------------------------------------------------------------------ */

/* Base of a segment register as the sequence begins. */
static uint64_t
segment_base(const struct sequence *q, ZydisRegister reg)
{
	unsigned seg = (unsigned)(reg - ZYDIS_REGISTER_ES);
	const struct x86_segment *s;

	if (reg < ZYDIS_REGISTER_ES || reg > ZYDIS_REGISTER_GS)
		return (0);
	if (q->width == WIDTH_64)
		return (seg >= SEG_FS ? q->start.base[seg - SEG_FS] : 0);
	s = segment_of(q->start.seg[seg]);
	return (s != NULL ? s->base : 0);
}

/* How memory of O should be aligned. */
static unsigned
alignment(const struct piece *p, const ZydisDecodedOperand *o)
{
	switch (p->row) {
	case ZYDIS_MNEMONIC_CMPXCHG16B:
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
		return (16);
	case ZYDIS_MNEMONIC_XSAVE:
	case ZYDIS_MNEMONIC_XSAVE64:
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
		return (64);
	default:
		return (o->size == 128 ? 16 : 1);
	}
}

/* A linear address in the data, aligned mostly or now and then, or near a page's or the data's end. */
static uint64_t
data_address(struct fit *f, const struct piece *p, const ZydisDecodedOperand *o)
{
	unsigned offset = below(f->rng, DATA_SIZE - 64), r = below(f->rng, 16);
	unsigned align = alignment(p, o);

	if (align > 1 && r > 2)
		offset &= ~(align - 1);
	else if (r < 5)
		offset &= ~7u;
	else if (r < 7)
		offset = PAGE - 1 - (offset & 31);
	else if (r == 7)
		offset = DATA_SIZE - 1 - (offset & 15);
	else if (r == 8)
		return (BASE + READ_ONLY + (offset & (PAGE - 1)));
	return (BASE + DATA + offset);
}

/* A linear address among the fillers. */
static uint64_t
code_target(struct fit *f)
{
	return (BASE + CODE + PAGE + 256 + below(f->rng, PAGE / 2));
}

/* The same as offset in the code segment. */
static uint64_t
near_target(struct fit *f)
{
	return (code_target(f) - BASE + base_of(f->q->width));
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

static bool
is_rip(ZydisRegister reg)
{
	return (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP);
}

/* The linear address of O by the registers that the sequence begins with. */
static uint64_t
linear_address(const struct fit *f, const struct piece *p, const ZydisDecodedOperand *o)
{
	int base = reg_number(o->mem.base);
	uint64_t ea = index_value(f, o) + (uint64_t)o->mem.disp.value;

	if (is_rip(o->mem.base))
		ea += p->at + p->insn.length;
	else if (base >= 0)
		ea += f->q->start.reg[base];
	return ((ea & low_mask(p->insn.address_width)) + segment_base(f->q, o->mem.segment));
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
	uint64_t target = data_address(f, p, o) - segment_base(f->q, o->mem.segment);

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

		if (is_rip(o->mem.base))
			from += p->at + p->insn.length;
		set_displacement(p, o, target - from);
	}
	if (base >= 0)
		f->fixed |= 1u << base;
	if (index >= 0)
		f->fixed |= 1u << index;
}

/* To linear address LIN, if it is in the data. */
static void
write_data(struct fit *f, uint64_t lin, const void *from, unsigned size)
{
	uint64_t offset = lin - BASE - DATA;

	if (offset <= DATA_SIZE - size)
		memcpy(f->q->data + offset, from, size);
}

/* The linear address of the top of the stack. */
static uint64_t
stack_address(const struct fit *f)
{
	return (f->q->start.reg[GPR_RSP] + segment_base(f->q, ZYDIS_REGISTER_SS));
}

/* Words of SIZE bytes onto the stack; N of them. */
static void
write_stack(struct fit *f, unsigned size, const uint64_t *word, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		write_data(f, stack_address(f) + (uint64_t)i * size, &word[i], size);
}

/* --- branches ---------------------------------------------------------------------------------------- */

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
		target = near_target(f);
	disp = target - from;
	memcpy(p->bytes + p->insn.raw.imm[0].offset, &disp, size / 8);
}

/* Targets of near JMP and CALL through registers and memory, and of RET. */
static void
fit_indirect(struct fit *f, struct piece *p)
{
	ZydisDecodedOperand *o = &p->operand[0];
	uint64_t target = near_target(f);
	int reg = o->type == ZYDIS_OPERAND_TYPE_REGISTER ? reg_number(o->reg.value) : -1;

	if (one_in(f->rng, 12))
		return;
	if (p->row == ZYDIS_MNEMONIC_RET)
		write_stack(f, 8, &target, 1);
	else if (reg >= 0 && !is_fixed(f, reg))
		fix(f, reg, target, 64);
	else if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
		write_data(f, linear_address(f, p, o), &target, 8);
}

/* A code segment and an offset in it. */
static uint16_t
far_target(struct fit *f, uint64_t *offset)
{
	static const uint16_t code[] = {SEL_CODE64, SEL_CODE32, SEL_LDT(0), SEL_LDT(2), SEL_LDT(9),
	    SEL_LDT(11), SEL_LDT(10), SEL_CODE64 - 1, SEL_LDT(2) - 2};
	uint16_t selector = code[below(f->rng, sizeof(code) / sizeof(code[0]))];
	const struct x86_segment *s;

	if (one_in(f->rng, 4))
		selector = value_selector(f->rng);
	s = segment_of(selector);
	*offset = code_target(f) - (s != NULL ? s->base : 0);
	if (one_in(f->rng, 16))
		*offset = value(f->rng);
	return (selector);
}

static void
fit_far(struct fit *f, struct piece *p)
{
	const ZydisDecodedOperand *o = &p->operand[0];
	unsigned size = p->insn.operand_width / 8;
	uint64_t offset, lin;
	uint16_t selector = far_target(f, &offset);

	if (o->type == ZYDIS_OPERAND_TYPE_POINTER) {
		memcpy(p->bytes + p->insn.raw.imm[0].offset, &offset, p->insn.raw.imm[0].size / 8);
		memcpy(p->bytes + p->insn.raw.imm[1].offset, &selector, 2);
	} else if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		size = o->size / 8 - 2u;
		lin = linear_address(f, p, o);
		write_data(f, lin, &offset, size);
		write_data(f, lin + size, &selector, 2);
	} else
		write_stack(f, size, (const uint64_t[]){offset, selector}, 2);
}

/* RFLAGS to be popped. */
static uint64_t
popped_flags(struct fit *f)
{
	uint64_t flags = next(f->rng) & ~(uint64_t)(RFLAGS_TF | RFLAGS_AC | RFLAGS_NT);

	if (one_in(f->rng, 8))
		flags |= RFLAGS_TF;
	if (one_in(f->rng, 8))
		flags |= RFLAGS_AC;
	if (one_in(f->rng, 16))
		flags |= RFLAGS_NT;
	return (flags);
}

static uint16_t
stack_selector(struct fit *f)
{
	static const uint16_t data[] = {SEL_DATA, SEL_LDT(1), SEL_LDT(3), SEL_LDT(4), SEL_LDT(7),
	    SEL_LDT(8), SEL_LDT(14), SEL_LDT(15)};

	if (one_in(f->rng, 3))
		return (value_selector(f->rng));
	return (data[below(f->rng, sizeof(data) / sizeof(data[0]))]);
}

static void
fit_iret(struct fit *f, const struct piece *p)
{
	uint64_t frame[5] = {0, 0, popped_flags(f) & ~(uint64_t)RFLAGS_AC,
	    BASE + DATA + below(f->rng, DATA_SIZE), 0};

	frame[1] = far_target(f, &frame[0]);
	frame[4] = stack_selector(f);
	write_stack(f, p->insn.operand_width / 8, frame, 5);
}

/* --- segment registers --------------------------------------------------------------------------------- */

/* A selector for the operand O of P. */
static void
fit_selector(struct fit *f, const struct piece *p, const ZydisDecodedOperand *o, bool stack)
{
	uint16_t selector = stack ? stack_selector(f) : value_selector(f->rng);
	int reg = o->type == ZYDIS_OPERAND_TYPE_REGISTER ? reg_number(o->reg.value) : -1;

	if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
		write_data(f, linear_address(f, p, o), &selector, 2);
	else if (reg >= 0 && !is_fixed(f, reg))
		fix(f, reg, selector, 16);
}

static bool
is_segment(const ZydisDecodedOperand *o)
{
	return (o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_SEGMENT);
}

/* LDS and its kin: a far pointer in memory. */
static void
fit_far_load(struct fit *f, const struct piece *p)
{
	const ZydisDecodedOperand *o = &p->operand[1];
	uint16_t selector =
	    p->row == ZYDIS_MNEMONIC_LSS ? stack_selector(f) : value_selector(f->rng);

	if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
		write_data(f, linear_address(f, p, o) + p->operand[0].size / 8u, &selector, 2);
}

/* MOV and POP of segment registers. */
static void
fit_segment_load(struct fit *f, const struct piece *p)
{
	const ZydisDecodedOperand *o = p->operand;
	uint64_t selector;

	if (!is_segment(&o[0]))
		return;
	if (p->row == ZYDIS_MNEMONIC_MOV) {
		fit_selector(f, p, &o[1], o[0].reg.value == ZYDIS_REGISTER_SS);
		return;
	}
	selector = o[0].reg.value == ZYDIS_REGISTER_SS ? stack_selector(f) : value_selector(f->rng);
	selector |= next(f->rng) << 16;
	write_stack(f, 8, &selector, 1);
}

/* --- integers --------------------------------------------------------------------------------------------- */

/* Make a compare-and-exchange succeed. */
static void
fit_exchange(struct fit *f, struct piece *p)
{
	const ZydisDecodedOperand *o = &p->operand[0];
	const uint64_t *reg = f->q->start.reg;
	uint64_t pair[2] = {reg[GPR_RAX], reg[GPR_RDX]};

	if (one_in(f->rng, 2))
		return;
	if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		if (!is_fixed(f, GPR_RAX))
			fix(f, GPR_RAX, reg[reg_number(o->reg.value)], 64);
		return;
	}
	if (p->row == ZYDIS_MNEMONIC_CMPXCHG8B)
		pair[0] = (uint32_t)pair[0] | pair[1] << 32;
	write_data(f, linear_address(f, p, o), pair, p->row == ZYDIS_MNEMONIC_CMPXCHG16B ? 16 : 8);
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
			reg[GPR_RAX] &= ~0xf000ull;
		return;
	}
	sign = reg[GPR_RAX] >> (o->size - 1) & 1;
	if (p->row == ZYDIS_MNEMONIC_IDIV && sign)
		high = UINT64_MAX;
	if (one_in(f->rng, 3) && o->type == ZYDIS_OPERAND_TYPE_REGISTER)
		high =
		    (reg[reg_number(o->reg.value)] & low_mask(o->size)) >> (1 + below(f->rng, 4));
	if (!is_fixed(f, GPR_RDX))
		reg[GPR_RDX] = high;
}

/* A bit offset that stays in the data. */
static void
fit_bit(struct fit *f, const struct piece *p)
{
	const ZydisDecodedOperand *o = p->operand;

	if (o[0].type == ZYDIS_OPERAND_TYPE_MEMORY && o[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    !is_fixed(f, reg_number(o[1].reg.value)) && !one_in(f->rng, 8))
		fix(f, reg_number(o[1].reg.value), below(f->rng, 8192) - 4096u, o[1].size);
}

static void
fit_count(struct fit *f, const struct piece *p)
{
	const ZydisInstructionAttributes rep =
	    ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE;

	if (p->insn.meta.category == ZYDIS_CATEGORY_STRINGOP && (p->insn.attributes & rep) &&
	    !is_fixed(f, GPR_RCX) && !one_in(f->rng, 8))
		fix(f, GPR_RCX, below(f->rng, one_in(f->rng, 4) ? 600 : 20), 64);
}

/* Not 80h: that calls the host's kernel. */
static void
fit_int(struct fit *f, struct piece *p)
{
	uint8_t *vector = &p->bytes[p->insn.raw.imm[0].offset];

	if (*vector == 0x80 || one_in(f->rng, 4))
		*vector = one_in(f->rng, 2) ? 3 : 4;
}

/* --- x87, SSE ------------------------------------------------------------------------------------------------ */

static void
fit_mxcsr(struct fit *f, const struct piece *p)
{
	uint32_t mxcsr = value_mxcsr(f->rng);

	if (one_in(f->rng, 8))
		mxcsr |= 0x10000u << below(f->rng, 16);
	write_data(f, linear_address(f, p, &p->operand[0]), &mxcsr, 4);
}

/* An image to load; not always a good one. */
static void
fit_image(struct fit *f, const struct piece *p)
{
	uint64_t lin = linear_address(f, p, &p->operand[0]);
	struct image image;

	value_fpu(f->rng, &image);
	image.fcw = (uint16_t)next(f->rng);
	image.fsw = (uint16_t)next(f->rng);
	image.fop = (uint16_t)next(f->rng);
	image.fip = next(f->rng) >> 17;
	image.fdp = next(f->rng) >> 17;
	if (one_in(f->rng, 8))
		image.mxcsr |= 0x10000u << below(f->rng, 16);
	write_data(f, lin, &image, sizeof(image));
}

/* Components that both processors have, and XRSTOR's header. */
static void
fit_xsave(struct fit *f, const struct piece *p)
{
	uint64_t *reg = f->q->start.reg, other = native_other_components();
	uint64_t header[8] = {next(f->rng) & 3};

	reg[GPR_RAX] &= ~(other & UINT32_MAX);
	reg[GPR_RDX] &= ~(other >> 32);
	f->fixed |= 1u << GPR_RAX | 1u << GPR_RDX;
	if (p->row != ZYDIS_MNEMONIC_XRSTOR && p->row != ZYDIS_MNEMONIC_XRSTOR64)
		return;
	fit_image(f, p);
	if (one_in(f->rng, 8))
		header[below(f->rng, 3)] |= 1ull << below(f->rng, 63);
	header[0] &= ~other;
	write_data(f, linear_address(f, p, &p->operand[0]) + XSAVE_HEADER, header, 64);
}

/* --- by row -------------------------------------------------------------------------------------------------- */

/* What more than its memory operands an instruction wants. */
static void
fit_special(struct fit *f, struct piece *p)
{
	uint64_t flags;

	switch (p->row) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		fit_bit(f, p);
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
		flags = popped_flags(f);
		write_stack(f, 8, &flags, 1);
		break;
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
		fit_iret(f, p);
		break;
	case ZYDIS_MNEMONIC_INT:
		fit_int(f, p);
		break;
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_POP:
		fit_segment_load(f, p);
		break;
	case ZYDIS_MNEMONIC_LDS:
	case ZYDIS_MNEMONIC_LES:
	case ZYDIS_MNEMONIC_LFS:
	case ZYDIS_MNEMONIC_LGS:
	case ZYDIS_MNEMONIC_LSS:
		fit_far_load(f, p);
		break;
	case ZYDIS_MNEMONIC_LAR:
	case ZYDIS_MNEMONIC_LSL:
		fit_selector(f, p, &p->operand[1], false);
		break;
	case ZYDIS_MNEMONIC_VERR:
	case ZYDIS_MNEMONIC_VERW:
		fit_selector(f, p, &p->operand[0], false);
		break;
	case ZYDIS_MNEMONIC_LDMXCSR:
		fit_mxcsr(f, p);
		break;
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
		fit_image(f, p);
		break;
	case ZYDIS_MNEMONIC_XSAVE:
	case ZYDIS_MNEMONIC_XSAVE64:
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
		fit_xsave(f, p);
		break;
	default:
		fit_count(f, p);
		break;
	}
}

static void
fit_piece(struct fit *f, unsigned number)
{
	struct piece *p = &f->q->piece[number];

	for (unsigned i = 0; i < p->insn.operand_count; i++)
		if (p->operand[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    p->operand[i].mem.type != ZYDIS_MEMOP_TYPE_AGEN)
			fit_memory(f, p, &p->operand[i]);
	if (p->insn.raw.imm[0].is_relative)
		fit_branch(f, p, number);
	else if (p->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR &&
	    (p->row == ZYDIS_MNEMONIC_JMP || p->row == ZYDIS_MNEMONIC_CALL ||
		p->row == ZYDIS_MNEMONIC_RET))
		fit_far(f, p);
	else
		fit_special(f, p);
}

void
fit_sequence(struct sequence *q, uint64_t *rng)
{
	struct fit f = {.rng = rng, .q = q, .fixed = 1u << GPR_RSP};

	for (unsigned i = 0; i < q->count; i++)
		fit_piece(&f, i);
}
