/*
 * Decoding of what the mnemonic alone does not tell: the x87's opcodes D8-DF, by escape byte and
 * ModRM as in SDM vol. 2D, appendix B.17 and tables; and the two SSE2 instructions that
 * share their names with string instructions.
 */
#include "cpu/sse.h"

#define ARITH(size_) \
	{do_x87_arith_mem, size_, 0}, {do_x87_arith_mem, size_, 0}, {do_x87_arith_mem, size_, 0}, \
	    {do_x87_arith_mem, size_, 0}, {do_x87_arith_mem, size_, 0}, \
	    {do_x87_arith_mem, size_, 0}, {do_x87_arith_mem, size_, 0}, \
	{ \
		do_x87_arith_mem, size_, 0 \
	}

/* By escape and reg; the size is 0 where the operand size says it. */
const struct x87_form x87_mem_forms[8][8] = {
    {ARITH(4)},
    {{do_x87_fld_mem, 4, 0}, {0}, {do_x87_fst_mem, 4, 0}, {do_x87_fst_mem, 4, 0},
	{do_x87_fldenv, 0, 0}, {do_x87_fldcw, 2, 0}, {do_x87_fnstenv, 0, 0}, {do_x87_fnstcw, 2, 0}},
    {ARITH(4)},
    {{do_x87_fild, 4, 0}, {do_x87_fst_mem, 4, CPU_X86_64}, {do_x87_fst_mem, 4, 0},
	{do_x87_fst_mem, 4, 0}, {0}, {do_x87_fld80, 10, 0}, {0}, {do_x87_fstp80, 10, 0}},
    {ARITH(8)},
    {{do_x87_fld_mem, 8, 0}, {do_x87_fst_mem, 8, CPU_X86_64}, {do_x87_fst_mem, 8, 0},
	{do_x87_fst_mem, 8, 0}, {do_x87_frstor, 0, 0}, {0}, {do_x87_fnsave, 0, 0},
	{do_x87_fnstsw, 2, 0}},
    {ARITH(2)},
    {{do_x87_fild, 2, 0}, {do_x87_fst_mem, 2, CPU_X86_64}, {do_x87_fst_mem, 2, 0},
	{do_x87_fst_mem, 2, 0}, {do_x87_fbld, 10, 0}, {do_x87_fild, 8, 0}, {do_x87_fbstp, 10, 0},
	{do_x87_fst_mem, 8, 0}},
};

/* By escape and reg, where all eight registers mean the same. */
static const struct x87_form reg_forms[8][8] = {
    {{do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}, {do_x87_compare, 0, 0}, {do_x87_compare, 0, 0},
	{do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}},
    {[0] = {do_x87_fld, 0, 0}, [1] = {do_x87_fxch, 0, 0}, [3] = {do_x87_fst, 0, 0}},
    {{do_x87_fcmov, 0, CPU_P6}, {do_x87_fcmov, 0, CPU_P6}, {do_x87_fcmov, 0, CPU_P6},
	{do_x87_fcmov, 0, CPU_P6}},
    {{do_x87_fcmov, 0, CPU_P6}, {do_x87_fcmov, 0, CPU_P6}, {do_x87_fcmov, 0, CPU_P6},
	{do_x87_fcmov, 0, CPU_P6}, {0}, {do_x87_compare_eflags, 0, CPU_P6},
	{do_x87_compare_eflags, 0, CPU_P6}},
    {{do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}, {do_x87_compare, 0, 0}, {do_x87_compare, 0, 0},
	{do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}},
    {{do_x87_ffree, 0, 0}, {do_x87_fxch, 0, 0}, {do_x87_fst, 0, 0}, {do_x87_fst, 0, 0},
	{do_x87_compare, 0, 0}, {do_x87_compare, 0, 0}},
    {{do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}, {do_x87_compare, 0, 0}, {0}, {do_x87_arith, 0, 0},
	{do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}, {do_x87_arith, 0, 0}},
    {{do_x87_ffree, 0, 0}, {do_x87_fxch, 0, 0}, {do_x87_fst, 0, 0}, {do_x87_fst, 0, 0}, {0},
	{do_x87_compare_eflags, 0, CPU_P6}, {do_x87_compare_eflags, 0, CPU_P6}},
};

/* Single opcodes: escape and ModRM. */
static const struct {
	uint16_t opcode;
	struct x87_form form;
} single_forms[] = {
    {0x1d0, {do_x87_fnop, 0, 0}},
    {0x1e0, {do_x87_sign, 0, 0}},
    {0x1e1, {do_x87_sign, 0, 0}}, /* FCHS, FABS */
    {0x1e4, {do_x87_unary, 0, 0}},
    {0x1e5, {do_x87_fxam, 0, 0}}, /* FTST, FXAM */
    {0x1e8, {do_x87_const, 0, 0}},
    {0x1e9, {do_x87_const, 0, 0}},
    {0x1ea, {do_x87_const, 0, 0}},
    {0x1eb, {do_x87_const, 0, 0}},
    {0x1ec, {do_x87_const, 0, 0}},
    {0x1ed, {do_x87_const, 0, 0}},
    {0x1ee, {do_x87_const, 0, 0}},
    {0x1f0, {do_x87_full, 0, 0}}, /* F2XM1 */
    {0x1f1, {do_x87_full, 0, 0}}, /* FYL2X */
    {0x1f2, {do_x87_full, 0, 0}}, /* FPTAN */
    {0x1f3, {do_x87_full, 0, 0}}, /* FPATAN */
    {0x1f4, {do_x87_full, 0, 0}}, /* FXTRACT */
    {0x1f5, {do_x87_full, 0, 0}}, /* FPREM1 */
    {0x1f6, {do_x87_incstp, 0, 0}},
    {0x1f7, {do_x87_incstp, 0, 0}}, /* FDECSTP, FINCSTP */
    {0x1f8, {do_x87_full, 0, 0}},   /* FPREM */
    {0x1f9, {do_x87_full, 0, 0}},   /* FYL2XP1 */
    {0x1fa, {do_x87_unary, 0, 0}},  /* FSQRT */
    {0x1fb, {do_x87_full, 0, 0}},   /* FSINCOS */
    {0x1fc, {do_x87_unary, 0, 0}},  /* FRNDINT */
    {0x1fd, {do_x87_full, 0, 0}},   /* FSCALE */
    {0x1fe, {do_x87_full, 0, 0}},
    {0x1ff, {do_x87_full, 0, 0}},    /* FSIN, FCOS */
    {0x2e9, {do_x87_compare, 0, 0}}, /* FUCOMPP */
    {0x3e0, {do_x87_nop, 0, 0}},
    {0x3e1, {do_x87_nop, 0, 0}}, /* FNENI, FNDISI */
    {0x3e2, {do_x87_fnclex, 0, 0}},
    {0x3e3, {do_x87_fninit, 0, 0}},
    {0x3e4, {do_x87_nop, 0, 0}},     /* FNSETPM */
    {0x6d9, {do_x87_compare, 0, 0}}, /* FCOMPP */
    {0x7e0, {do_x87_fnstsw_ax, 0, 0}},
};

const struct x87_form *
x87_reg_form(unsigned esc, unsigned modrm)
{
	for (unsigned i = 0; i < sizeof(single_forms) / sizeof(single_forms[0]); i++)
		if (single_forms[i].opcode == (esc << 8 | modrm))
			return (&single_forms[i].form);
	return (&reg_forms[esc][modrm >> 3 & 7]);
}

static bool
bind_x87(struct op *op, const struct decoded *d)
{
	unsigned esc = d->insn->opcode & 7, reg = d->insn->raw.modrm.reg;
	unsigned modrm = (unsigned)d->insn->raw.modrm.mod << 6 | reg << 3 | d->insn->raw.modrm.rm;
	const struct x87_form *form = &x87_mem_forms[esc][reg];

	op->cond = (uint8_t)esc;
	op->src = (uint16_t)(modrm & 7);
	op->imm = esc << 8 | modrm;
	if (d->insn->raw.modrm.mod == 3) {
		form = x87_reg_form(esc, modrm);
	} else {
		for (unsigned i = 0; i < d->insn->operand_count; i++)
			if (d->operand[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
				bind_memory(op, d, &d->operand[i]);
		op->dkind = K_MEM;
		op->size = form->size;
		if (op->size == 0)
			op->size = d->insn->operand_width == 16 ? 2 : 4;
	}
	op->plain = form->fn;
	return (form->fn != NULL && form->since <= d->model);
}

static const struct insn x87 = {.name = "x87", .bind = bind_x87, .since = CPU_486};
static const struct insn x87_absent = {
    .name = "x87", .bind = bind_generic, .plain = do_no_fpu, .since = CPU_8086};

static const struct insn movsd = {.name = "MOVSD",
    .bind = bind_vec,
    .plain = do_mov_scalar,
    .vec = &vec_table[VEC_MOVSD],
    .since = CPU_X86_64};
static const struct insn cmpsd = {.name = "CMPSD",
    .bind = bind_vec,
    .plain = do_vec,
    .vec = &vec_table[VEC_CMPSD],
    .since = CPU_X86_64};

const struct insn *
fpu_row(unsigned model, const ZydisDecodedInstruction *insn)
{
	if (insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (insn->opcode & 0xf8) == 0xd8)
		return (model < CPU_486 ? &x87_absent : &x87);
	if (insn->opcode_map == ZYDIS_OPCODE_MAP_0F) {
		if (insn->mnemonic == ZYDIS_MNEMONIC_MOVSD)
			return (&movsd);
		if (insn->mnemonic == ZYDIS_MNEMONIC_CMPSD)
			return (&cmpsd);
	}
	return (NULL);
}
