/*
 * Decoding: Zydis takes the bytes apart, the instruction table says what they mean, the binders
 * here turn operands into register offsets, addresses and handlers.
 */
#include <stddef.h>
#include <stdlib.h>

#ifdef INSN_COVERAGE
#include "cpu/coverage.h"
#endif
#include "cpu/old.h"

/* One Zydis decoder for each of our modes. */
struct decoder {
	ZydisDecoder real16, legacy16, legacy32, long64;
};

void *
decoder_create(void)
{
	/* Newer meanings of old encodings that this CPU does not have. */
	static const ZydisDecoderMode off[] = {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
	    ZYDIS_DECODER_MODE_LZCNT, ZYDIS_DECODER_MODE_TZCNT, ZYDIS_DECODER_MODE_WBNOINVD,
	    ZYDIS_DECODER_MODE_CLDEMOTE};
	struct decoder *d = calloc(1, sizeof(*d));
	ZydisDecoder *all[4];

	if (d == NULL)
		return (NULL);
	ZydisDecoderInit(&d->real16, ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&d->legacy16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&d->legacy32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&d->long64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	all[0] = &d->real16, all[1] = &d->legacy16, all[2] = &d->legacy32, all[3] = &d->long64;
	for (unsigned i = 0; i < 4; i++)
		for (unsigned j = 0; j < sizeof(off) / sizeof(off[0]); j++)
			ZydisDecoderEnableMode(all[i], off[j], ZYAN_FALSE);
	return (d);
}

static const ZydisDecoder *
decoder_for(const struct cpu *c)
{
	const struct decoder *d = c->decoder;

	if (c->mode & MODE_L)
		return (&d->long64);
	if (c->mode & MODE_D)
		return (&d->legacy32);
	return (is_protected(c) ? &d->legacy16 : &d->real16);
}

/* Byte offset in struct vcpu_state of a general register of any width, or of RIP. */
static uint16_t
reg_offset(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15B) {
		unsigned n = (unsigned)(reg - ZYDIS_REGISTER_AL);

		if (n >= 4 && n < 8)
			return ((uint16_t)(GPR_OFFSET(n - 4) + 1));
		return (GPR_OFFSET(n < 4 ? n : n - 4));
	}
	if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_R15W)
		return (GPR_OFFSET(reg - ZYDIS_REGISTER_AX));
	if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_R15D)
		return (GPR_OFFSET(reg - ZYDIS_REGISTER_EAX));
	if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15)
		return (GPR_OFFSET(reg - ZYDIS_REGISTER_RAX));
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return ((uint16_t)offsetof(struct vcpu_state, gpr.rip));
	return ((uint16_t)offsetof(struct vcpu_state, gpr.zero));
}

static bool
is_gpr(ZydisRegister reg)
{
	return (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15);
}

/* Segment, control and debug registers are named by their number, MMX and XMM by their offset. */
static uint16_t
special_number(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_ES && reg <= ZYDIS_REGISTER_GS)
		return ((uint16_t)(reg - ZYDIS_REGISTER_ES));
	if (reg >= ZYDIS_REGISTER_CR0 && reg <= ZYDIS_REGISTER_CR15)
		return ((uint16_t)(reg - ZYDIS_REGISTER_CR0));
	if (reg >= ZYDIS_REGISTER_DR0 && reg <= ZYDIS_REGISTER_DR15)
		return ((uint16_t)(reg - ZYDIS_REGISTER_DR0));
	if (reg >= ZYDIS_REGISTER_MM0 && reg <= ZYDIS_REGISTER_MM7)
		return (MMX_OFFSET(reg - ZYDIS_REGISTER_MM0));
	if (reg >= ZYDIS_REGISTER_XMM0 && reg <= ZYDIS_REGISTER_XMM15)
		return (XMM_OFFSET(reg - ZYDIS_REGISTER_XMM0));
	return (0);
}

static uint64_t
mask_of_width(unsigned bits)
{
	return (bits == 64 ? UINT64_MAX : (1ull << bits) - 1);
}

void
bind_memory(struct op *op, const struct decoded *d, const ZydisDecodedOperand *o)
{
	op->base = reg_offset(o->mem.base);
	op->index = reg_offset(o->mem.index);
	op->scale = o->mem.scale > 1 ? (uint8_t)__builtin_ctz(o->mem.scale) : 0;
	op->disp = o->mem.disp.has_displacement ? o->mem.disp.value : 0;
	op->seg = (uint8_t)special_number(o->mem.segment);
	op->amask = mask_of_width(d->insn->address_width);
	/* A SIB byte with base 101 and mod 00 has no base with REX.B either; Zydis 4.0 names R13. */
	if (o->mem.base >= ZYDIS_REGISTER_R13D && (d->insn->attributes & ZYDIS_ATTRIB_HAS_SIB) &&
	    d->insn->raw.modrm.mod == 0 && (d->insn->raw.sib.base & 7) == 5) {
		op->base = reg_offset(ZYDIS_REGISTER_NONE);
		op->disp = d->insn->raw.disp.value;
	}
}

/* The visible operand N as destination (0) or source. */
static void
bind_operand(struct op *op, const struct decoded *d, const ZydisDecodedOperand *o, bool dst)
{
	enum op_kind kind = K_NONE;
	uint16_t reg = 0;

	switch (o->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		kind = K_REG;
		reg =
		    is_gpr(o->reg.value) ? reg_offset(o->reg.value) : special_number(o->reg.value);
		break;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		kind = K_MEM;
		bind_memory(op, d, o);
		break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		kind = K_IMM;
		op->imm = o->imm.value.s;
		break;
	case ZYDIS_OPERAND_TYPE_POINTER:
		kind = K_IMM;
		op->imm = (int64_t)(o->ptr.offset | (uint64_t)o->ptr.segment << 32);
		break;
	default:
		break;
	}
	if (dst) {
		op->dkind = (uint8_t)kind;
		op->dst = reg;
	} else {
		op->skind = (uint8_t)kind;
		op->src = reg;
	}
}

void
bind_operands(struct op *op, const struct decoded *d)
{
	unsigned n = d->insn->operand_count_visible;

	op->size = (uint8_t)(d->insn->operand_width / 8);
	op->amask = mask_of_width(d->insn->address_width);
	if (n > 0) {
		bind_operand(op, d, &d->operand[0], true);
		if (d->operand[0].size >= 8 && d->operand[0].size <= 64)
			op->size = (uint8_t)(d->operand[0].size / 8);
	}
	if (n > 1)
		bind_operand(op, d, &d->operand[1], false);
}

/* Handler by operand forms; MOV's special registers go to plain handlers. */
bool
bind_alu(struct op *op, const struct decoded *d)
{
	ZydisRegister dst = d->operand[0].type == ZYDIS_OPERAND_TYPE_REGISTER
	    ? d->operand[0].reg.value
	    : ZYDIS_REGISTER_RAX;
	ZydisRegister src = d->operand[1].type == ZYDIS_OPERAND_TYPE_REGISTER
	    ? d->operand[1].reg.value
	    : ZYDIS_REGISTER_RAX;
	enum form form;

	bind_operands(op, d);
	if (!is_gpr(dst) || !is_gpr(src)) {
		ZydisRegisterClass class = ZydisRegisterGetClass(is_gpr(dst) ? src : dst);

		op->fn = op_plain;
		op->plain = class == ZYDIS_REGCLASS_CONTROL ? do_mov_cr
		    : class == ZYDIS_REGCLASS_DEBUG	    ? do_mov_dr
							    : do_mov_sreg;
		op->imm = !is_gpr(src); /* which side is the special one: 1 = the source */
		return (true);
	}
	if (op->dkind == K_MEM)
		form = op->skind == K_REG ? FORM_MR : FORM_MI;
	else
		form = op->skind == K_REG ? FORM_RR : op->skind == K_MEM ? FORM_RM : FORM_RI;
	op->fn = op->insn->family->fn[form][size_index(op->size)];
	return (op->fn != NULL);
}

bool
bind_unary(struct op *op, const struct decoded *d)
{
	bind_operands(op, d);
	op->fn = op->insn->family->fn[op->dkind == K_MEM ? FORM_MR : FORM_RR][size_index(op->size)];
	return (true);
}

/* Operands as they are; a third one, an immediate, goes to imm (IMUL, SHLD). */
bool
bind_generic(struct op *op, const struct decoded *d)
{
	bind_operands(op, d);
	if (d->insn->mnemonic == ZYDIS_MNEMONIC_IMUL && d->insn->operand_count_visible > 1)
		op->plain = do_imul2;
	if (d->insn->meta.category == ZYDIS_CATEGORY_SETCC ||
	    d->insn->meta.category == ZYDIS_CATEGORY_CMOV)
		op->cond = d->insn->opcode & 15;
	/* MOVZX, MOVSX: by the source's size. MOVSXD to 16 bits reads no more than that. */
	if (op->insn->family != NULL) {
		unsigned source = d->operand[1].size / 8u;

		op->fn = op->insn->family->fn[op->skind == K_MEM ? FORM_RM : FORM_RR]
					     [size_index(source < op->size ? source : op->size)];
	}
	if (d->insn->operand_count_visible == 3) {
		if (d->operand[2].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
			op->imm = d->operand[2].imm.value.s;
			op->third = 1;
		}
	}
	if (d->insn->mnemonic == ZYDIS_MNEMONIC_ENTER) {
		op->size = (uint8_t)(d->insn->operand_width / 8);
		op->imm = d->operand[0].imm.value.s;
		op->disp = d->operand[1].imm.value.s;
	}
	return (true);
}

bool
bind_sized(struct op *op, const struct decoded *d)
{
	op->size = (uint8_t)(d->insn->operand_width / 8);
	op->amask = mask_of_width(d->insn->address_width);
	for (unsigned i = 0; i < d->insn->operand_count; i++)
		if (d->insn->mnemonic == ZYDIS_MNEMONIC_XLAT &&
		    d->operand[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			op->seg = (uint8_t)special_number(d->operand[i].mem.segment);
	return (true);
}

/* LGDT and its kin: the operand is 6 or 10 bytes, the operand size decides about the base. */
bool
bind_table(struct op *op, const struct decoded *d)
{
	bind_operands(op, d);
	op->size = (uint8_t)(d->insn->operand_width / 8);
	return (op->dkind == K_MEM);
}

/* Shifts by an immediate have handlers of their own, those by CL a plain one. */
bool
bind_shift(struct op *op, const struct decoded *d)
{
	bind_operands(op, d);
	if (op->skind == K_IMM)
		op->fn = op->insn->family
			     ->fn[op->dkind == K_MEM ? FORM_MI : FORM_RI][size_index(op->size)];
	return (true);
}

/* Near branches; far ones have pointers or far memory operands and go to the plain handler. */
bool
bind_branch(struct op *op, const struct decoded *d)
{
	bool far = d->insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	unsigned width = d->insn->operand_width;

	bind_operands(op, d);
	/* In 64-bit mode near branches are 64 bits wide whatever the prefixes (Intel's way). */
	if (!far && d->insn->machine_mode == ZYDIS_MACHINE_MODE_LONG_64)
		width = 64;
	op->size = (uint8_t)(width / 8);
	if (far)
		return (true);
	if (op->dkind == K_IMM)
		op->fn = op->insn->family->fn[FORM_RI][size_index(op->size)];
	else if (op->dkind == K_NONE)
		op->fn = op->insn->family->fn[FORM_RR][size_index(op->size)];
	else
		op->fn = op->insn->family
			     ->fn[op->dkind == K_MEM ? FORM_MR : FORM_RR][size_index(op->size)];
	/* amask is the address's mask for memory operands, RIP's for all others. */
	if (op->dkind != K_MEM)
		op->amask = mask_of_width(width);
	if (op->insn->family == &fam_ret)
		op->fn = op->insn->family->fn[FORM_RI][size_index(op->size)];
	op->link = NULL;
	return (op->fn != NULL);
}

bool
bind_loop(struct op *op, const struct decoded *d)
{
	bind_operands(op, d);
	op->amask = mask_of_width(d->insn->operand_width);
	op->size = (uint8_t)(d->insn->address_width / 8);
	op->fn = op->insn->family->fn[FORM_RI][0];
	op->link = NULL;
	return (true);
}

bool
bind_string(struct op *op, const struct decoded *d)
{
	op->size = (uint8_t)(d->insn->operand_width / 8);
	op->amask = mask_of_width(d->insn->address_width);
	op->seg = SEG_DS;
	for (unsigned i = 0; i < d->insn->operand_count; i++) {
		const ZydisDecodedOperand *o = &d->operand[i];

		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		op->size = (uint8_t)(o->size / 8);
		if (o->mem.base == ZYDIS_REGISTER_SI || o->mem.base == ZYDIS_REGISTER_ESI ||
		    o->mem.base == ZYDIS_REGISTER_RSI)
			op->seg = (uint8_t)special_number(o->mem.segment);
	}
	for (unsigned i = 0; i < d->insn->raw.prefix_count; i++) {
		if (d->insn->raw.prefixes[i].value == 0xf3)
			op->rep = REP_E;
		else if (d->insn->raw.prefixes[i].value == 0xf2)
			op->rep = REP_NE;
	}
	return (true);
}

bool
bind_stack(struct op *op, const struct decoded *d)
{
	ZydisRegister reg = d->operand[0].type == ZYDIS_OPERAND_TYPE_REGISTER
	    ? d->operand[0].reg.value
	    : ZYDIS_REGISTER_RAX;
	bool push = d->insn->mnemonic == ZYDIS_MNEMONIC_PUSH;

	bind_operands(op, d);
	op->size = (uint8_t)(d->insn->operand_width / 8);
	if (!is_gpr(reg)) {
		op->plain = push ? do_push_sreg : do_pop_sreg;
		op->fn = op_plain;
		return (true);
	}
	if (op->dkind == K_MEM) {
		op->plain = push ? do_push_mem : do_pop_mem;
		op->fn = op_plain;
		return (true);
	}
	op->fn = op->insn->family->fn[op->dkind == K_IMM ? FORM_RI : FORM_RR][size_index(op->size)];
	return (op->fn != NULL);
}

bool
bind_far(struct op *op, const struct decoded *d)
{
	/* A register and a far pointer in memory; which segment register, by mnemonic. */
	bind_operands(op, d);
	op->size = (uint8_t)(d->operand[0].size / 8);
	switch (d->insn->mnemonic) {
	case ZYDIS_MNEMONIC_LES:
		op->imm = SEG_ES;
		break;
	case ZYDIS_MNEMONIC_LDS:
		op->imm = SEG_DS;
		break;
	case ZYDIS_MNEMONIC_LSS:
		op->imm = SEG_SS;
		break;
	case ZYDIS_MNEMONIC_LFS:
		op->imm = SEG_FS;
		break;
	default:
		op->imm = SEG_GS;
		break;
	}
	return (true);
}

/* IN, OUT: size of the data; the port is an immediate or DX. */
bool
bind_io(struct op *op, const struct decoded *d)
{
	bool out = d->insn->mnemonic == ZYDIS_MNEMONIC_OUT;

	bind_operands(op, d);
	if (op->dkind != K_NONE) { /* not HLT */
		op->size = (uint8_t)(d->operand[out ? 1 : 0].size / 8);
		if ((out ? op->dkind : op->skind) == K_REG)
			op->imm = -1;
		else
			op->imm &= 0xff;
	}
	op->fn = op->insn->family->fn[FORM_RR][0];
	return (true);
}

/* LOCK is for read-modify-write instructions with a memory destination (SDM vol. 2A, LOCK). */
static bool
lock_ok(const struct op *op, const struct decoded *d)
{
	if (!(d->insn->attributes & ZYDIS_ATTRIB_HAS_LOCK))
		return (true);
	return ((op->insn->flags & INSN_LOCK) && (op->dkind == K_MEM || op->skind == K_MEM));
}

static const struct insn *
row_for(const struct cpu *c, const ZydisDecodedInstruction *insn)
{
	const struct insn *row = fpu_row(c->config.model, insn);

	return (row != NULL ? row : insn_row(insn->mnemonic));
}

/* A segment register that this processor does not have. */
static bool
sreg_missing(const struct cpu *c, const struct op *op)
{
	return (op->fn == op_plain && op->plain == do_mov_sreg &&
	    (op->imm != 0 ? op->src : op->dst) >= c->traits->sregs);
}

/* Zydis' decoding, and in real mode a second try at what it has in protected mode alone. */
static ZyanStatus
take_apart(const struct cpu *c, const uint8_t *code, unsigned available,
    ZydisDecodedInstruction *insn, ZydisDecodedOperand *operands)
{
	const struct decoder *d = c->decoder;
	const ZydisDecoder *decoder = decoder_for(c);
	ZyanStatus status = ZydisDecoderDecodeFull(decoder, code, available, insn, operands);
	const struct insn *row;

	if (status != ZYDIS_STATUS_DECODING_ERROR || decoder != &d->real16 ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d->legacy16, code, available, insn, operands)))
		return (status);
	row = insn_row(insn->mnemonic);
	return (row != NULL && (row->flags & INSN_REAL) ? ZYAN_STATUS_SUCCESS : status);
}

/* A chain of prefixes beyond what is looked at: those that later ones make up for, as one NOP. */
static int
take_redundant(const struct old_code *old, struct op *op, bool *ends)
{
	if (old->redundant == 0)
		return (-2);
	*op = (struct op){.fn = op_plain,
	    .plain = do_nop,
	    .insn = insn_row(ZYDIS_MNEMONIC_NOP),
	    .len = (uint8_t)old->redundant};
	*ends = false;
	return (1);
}

int
decode_op(struct cpu *c, const uint8_t *code, unsigned available, struct op *op, bool *ends)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	struct decoded d = {.insn = &insn, .operand = operands, .model = c->config.model};
	const struct cpu_traits *traits = c->traits;
	struct old_code old = {.available = available};
	ZyanStatus status;

	if (traits->aliases != NULL) {
		old_code_read(c, code, available, &old);
		code = old.bytes;
	}
	status = take_apart(c, code, old.available, &insn, operands);
	if ((status == ZYDIS_STATUS_NO_MORE_DATA || status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) &&
	    available == INSN_MAX && traits->length_max > INSN_MAX)
		return (take_redundant(&old, op, ends));
	if (status == ZYDIS_STATUS_NO_MORE_DATA)
		return (available >= traits->length_max ? -2 : 0);
	if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
		return (0); /* all 15 bytes must be there for that */
	if (!ZYAN_SUCCESS(status))
		return (-1);
	if (insn.length + old.left_out > traits->length_max)
		return (-2);
	*op = (struct op){
	    .insn = row_for(c, &insn), .len = (uint8_t)(insn.length + old.left_out), .seg = SEG_DS};
	op->base = op->index = reg_offset(ZYDIS_REGISTER_NONE);
	if (op->insn == NULL || op->insn->since > c->config.model ||
	    (old.alias != NULL && old.alias->undefined))
		return (-1);
	op->fn = op_plain;
	op->plain = op->insn->plain;
	if (!op->insn->bind(op, &d) || !lock_ok(op, &d) || sreg_missing(c, op))
		return (-1);
	if (traits->variants != NULL)
		old_code_bind(c, &old, insn.mnemonic, op);
	*ends = (op->insn->flags & INSN_ENDS) != 0;
#ifdef INSN_COVERAGE
	insn_coverage(c, op, insn.mnemonic);
	*ends = true; /* decoded to be run at once */
#endif
	return (1);
}
