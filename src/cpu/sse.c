/*
 * MMX and SSE instructions that compute: operands are fetched here, the host executes the opcode
 * under the guest's MXCSR with all exceptions masked, and what it raised is looked at here.
 * SDM vol. 1, chapters 9 to 12; exceptions: 11.5.
 */
#include "cpu/sse.h"
#include "cpu/flags.h"

/* --- decoding ------------------------------------------------------------------------------------- */

/* What single rows need beyond their operands: see their handlers. */
static void
bind_special(struct op *op, const struct decoded *d)
{
	const ZydisDecodedOperand *o = d->operand;
	plain_fn *plain = op->insn->plain;

	if (plain == do_cvt_to_gpr)
		op->third = o[0].size == 64;
	else if (plain == do_cvt_from_gpr)
		op->third = o[1].size == 64;
	else if (plain == do_vec_string)
		op->third = (d->insn->attributes & ZYDIS_ATTRIB_HAS_REX) && d->insn->raw.rex.W;
	else if (plain == do_crc32)
		op->imm = o[1].size / 8;
	else if (plain == do_movd)
		op->rep = o[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (ZydisRegisterGetClass(o[0].reg.value) == ZYDIS_REGCLASS_MMX ||
			ZydisRegisterGetClass(o[0].reg.value) == ZYDIS_REGCLASS_XMM);
	else if (plain == do_maskmov)
		for (unsigned i = 0; i < d->insn->operand_count; i++)
			if (o[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
				op->seg = (uint8_t)(o[i].mem.segment - ZYDIS_REGISTER_ES);
}

bool
bind_vec(struct op *op, const struct decoded *d)
{
	const struct vec *vec = op->insn->vec;
	bool mmx_only;

	bind_operands(op, d);
	op->cond = 0;
	for (unsigned i = 0; i < d->insn->operand_count_visible; i++) {
		const ZydisDecodedOperand *o = &d->operand[i];

		if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			op->imm = o->imm.value.s & 0xff;
		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		if (ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_MMX)
			op->cond |= OPERAND_MMX;
		else if (ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_XMM)
			op->cond |= OPERAND_XMM;
	}
	bind_special(op, d);
	mmx_only = (vec->flags & VEC_MMX1) && !(op->cond & OPERAND_XMM);
	if (op->cond == OPERAND_MMX && vec->mem_mmx != 0)
		op->size = vec->mem_mmx;
	else if (vec->mem != 0)
		op->size = vec->mem;
	return (mmx_only || d->model >= CPU_X86_64);
}

/* --- before and behind an instruction -------------------------------------------------------------- */

bool
sse_ready(struct cpu *c, struct vcpu_state *s, enum op_result *result)
{
	if (likely(!(s->sregs.cr0 & (CR0_EM | CR0_TS)) && (s->sregs.cr4 & CR4_OSFXSR)))
		return (true);
	if ((s->sregs.cr0 & CR0_EM) || !(s->sregs.cr4 & CR4_OSFXSR))
		*result = fault(c, VEC_UD, CAUSE_INSTRUCTION);
	else
		*result = fault(c, VEC_NM, CAUSE_INSTRUCTION);
	return (false);
}

bool
sse_exceptions(struct cpu *c, struct vcpu_state *s, unsigned flags)
{
	struct fx *f = fx_of(s);
	unsigned unmasked = flags & ~(f->mxcsr >> MXCSR_MASK_SHIFT) & MXCSR_EXCEPTIONS;

	if (likely(unmasked == 0)) {
		f->mxcsr |= flags & MXCSR_EXCEPTIONS;
		return (true);
	}
	if (unmasked & FSW_BEFORE)
		flags &= FSW_BEFORE;
	f->mxcsr |= flags & MXCSR_EXCEPTIONS;
	fault(c, s->sregs.cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD, CAUSE_INSTRUCTION);
	return (false);
}

bool
vec_aligned(struct cpu *c, const struct op *op, uint64_t ea)
{
	if (likely(((c->segc[op->seg].base + ea) & 15) == 0))
		return (true);
	return (fault_at(c, VEC_GP, 0, CAUSE_INSTRUCTION, ea, 0));
}

const void *
vec_source(struct cpu *c, const struct op *op, struct vcpu_state *s, union xmm *buffer)
{
	uint64_t ea;

	if (op->skind == K_REG)
		return (reg_at(s, op->src));
	*buffer = (union xmm){{0}};
	if (op->skind == K_IMM) { /* shifts */
		buffer->q[0] = (uint64_t)op->imm;
		return (buffer);
	}
	ea = op_ea(op, s);
	if (op->size == 16 && (op->insn->vec->flags & VEC_ALIGN) && !vec_aligned(c, op, ea))
		return (NULL);
	return (load_bytes(c, op->seg, ea, buffer, op->size) ? buffer : NULL);
}

void
mmx_begin(struct fx *f)
{
	fx_set_top(f, 0);
	f->ftw = 0xff;
}

void
mmx_write(struct vcpu_state *s, uint16_t offset, uint64_t value)
{
	struct f80 *r = (struct f80 *)(void *)reg_at(s, offset);

	r->mant = value;
	r->se = 0xffff;
}

static const void *
code_of(const struct op *op, bool mmx)
{
	const struct vec *vec = op->insn->vec;

	return ((mmx ? vec->code_mmx : vec->code) + (size_t)vec->stride * (size_t)op->imm);
}

/* --- computing -------------------------------------------------------------------------------------- */

/* Denormal numbers among the low N elements of SIZE bytes. */
static bool
has_denormal(const union xmm *x, unsigned size, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (size == 4 && (x->d[i] & 0x7f800000) == 0 && (x->d[i] & 0x7fffff) != 0)
			return (true);
		if (size == 8 && (x->q[i] & 0x7ff0000000000000) == 0 &&
		    (x->q[i] & 0xfffffffffffff) != 0)
			return (true);
	}
	return (false);
}

/* Masked, underflow is tiny and inexact; unmasked, tiny suffices (SDM vol. 1, 4.9.1.5). */
static unsigned
tiny_exception(const struct vec *vec, const struct fx *f, const union xmm *result)
{
	bool tiny = false;

	if (likely(f->mxcsr & FSW_UE << MXCSR_MASK_SHIFT))
		return (0);
	if (vec->flags & (VEC_TINY4 | VEC_TINY4S))
		tiny = has_denormal(result, 4, vec->flags & VEC_TINY4 ? 4 : 1);
	else if (vec->flags & (VEC_TINY8 | VEC_TINY8S))
		tiny = has_denormal(result, 8, vec->flags & VEC_TINY8 ? 2 : 1);
	return (tiny ? FSW_UE : 0);
}

static enum op_result
vec_mmx(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;
	union xmm buffer;
	const void *src;

	if (!mmx_ready(c, s, &result))
		return (result);
	src = vec_source(c, op, s, &buffer);
	if (src == NULL)
		return (OP_FAULT);
	mmx_begin(fx_of(s));
	mmx_run(code_of(op, true), reg_at(s, op->dst), src);
	((struct f80 *)(void *)reg_at(s, op->dst))->se = 0xffff;
	return (OP_NEXT);
}

static enum op_result
vec_fp(struct cpu *c, const struct op *op, struct vcpu_state *s, const void *src)
{
	struct fx *f = fx_of(s);
	union xmm *dst = (union xmm *)(void *)reg_at(s, op->dst), value = *dst;
	uint32_t mxcsr = mxcsr_masked(f->mxcsr);
	unsigned flags;

	sse_run_fp(code_of(op, false), &value, src, &mxcsr);
	mxcsr |= tiny_exception(op->insn->vec, f, &value);
	if (unlikely(sse_is_dot(op->insn->vec)) &&
	    sse_dot_ends(op->insn->vec, dst, src, (unsigned)op->imm, f->mxcsr, &flags)) {
		f->mxcsr |= flags;
		fault(c, s->sregs.cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD, CAUSE_INSTRUCTION);
		return (OP_FAULT);
	}
	if (unlikely(mxcsr & ~(f->mxcsr >> MXCSR_MASK_SHIFT) & (FSW_OE | FSW_UE)))
		mxcsr = sse_unmasked_flags(op->insn->vec, dst, src, f->mxcsr, mxcsr);
	if (!sse_exceptions(c, s, mxcsr))
		return (OP_FAULT);
	*dst = value;
	return (OP_NEXT);
}

/* DST = DST op SRC. */
enum op_result
do_vec(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;
	union xmm buffer;
	const void *src, *code;

	if (op->cond == OPERAND_MMX)
		return (vec_mmx(c, op, s));
	if (!sse_ready(c, s, &result))
		return (result);
	src = vec_source(c, op, s, &buffer);
	if (src == NULL)
		return (OP_FAULT);
	if (op->insn->vec->flags & VEC_FP)
		return (vec_fp(c, op, s, src));
	code = code_of(op, false);
	if (op->insn->vec == &vec_table[VEC_INSERTPS] && op->skind == K_MEM)
		code = op->insn->vec->code + (size_t)op->insn->vec->stride * (op->imm & 0x3f);
	sse_run(code, reg_at(s, op->dst), src);
	return (OP_NEXT);
}

/* COMISS and its kin, PTEST: the result is flags. */
enum op_result
do_vec_flags(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct host_regs r = {.mxcsr = mxcsr_masked(fx_of(s)->mxcsr)};
	enum op_result result;
	union xmm buffer;
	const void *src;

	if (!sse_ready(c, s, &result))
		return (result);
	src = vec_source(c, op, s, &buffer);
	if (src == NULL)
		return (OP_FAULT);
	memcpy(&r.xmm[0], reg_at(s, op->dst), 16);
	memcpy(&r.xmm[1], src, 16);
	sse_run_all(op->insn->vec->code, &r);
	if (!sse_exceptions(c, s, r.mxcsr))
		return (OP_FAULT);
	flags_set(c, r.flags & RFLAGS_ARITH);
	return (OP_NEXT);
}

/* A length is 32 bits, signed, unless REX.W is there; what is above 16 is as good as 16. */
static uint32_t
string_length(const struct op *op, uint64_t value)
{
	int64_t length = op->third ? (int64_t)value : (int32_t)value;

	return (length > 16 || length < -16 ? 16 : (uint32_t)length);
}

/* PCMPxSTRx: lengths in RAX and RDX, an index in ECX or a mask in XMM0. */
enum op_result
do_vec_string(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct host_regs r = {.mxcsr = MXCSR_INIT, .rcx = RCX(s)};
	const struct vec *vec = op->insn->vec;
	enum op_result result;
	union xmm buffer;
	const void *src;

	if (!sse_ready(c, s, &result))
		return (result);
	src = vec_source(c, op, s, &buffer);
	if (src == NULL)
		return (OP_FAULT);
	memcpy(&r.xmm[0], reg_at(s, op->dst), 16);
	memcpy(&r.xmm[1], src, 16);
	r.rax = string_length(op, RAX(s));
	r.rdx = string_length(op, RDX(s));
	sse_run_all(code_of(op, false), &r);
	flags_set(c, r.flags & RFLAGS_ARITH);
	if (vec == &vec_table[VEC_PCMPESTRI] || vec == &vec_table[VEC_PCMPISTRI])
		RCX(s) = r.rcx;
	else
		memcpy(fx_of(s)->xmm, &r.xmm[0], 16);
	return (OP_NEXT);
}

/* --- conversions ------------------------------------------------------------------------------------- */

/* CVTSI2SS, CVTSI2SD: 32 or 64 bits from a register or memory. */
enum op_result
do_cvt_from_gpr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	const struct vec *vec = op->insn->vec;
	struct host_regs r = {.mxcsr = mxcsr_masked(fx_of(s)->mxcsr)};
	unsigned size = op->third ? 8 : 4;
	enum op_result result;

	if (!sse_ready(c, s, &result))
		return (result);
	if (op->skind == K_REG)
		r.rdx = reg_get(s, op->src, size);
	else if (!load(c, op->seg, op_ea(op, s), size, &r.rdx))
		return (OP_FAULT);
	memcpy(&r.xmm[0], reg_at(s, op->dst), 16);
	sse_run_all(size == 8 ? vec->code_mmx : vec->code, &r);
	if (!sse_exceptions(c, s, r.mxcsr))
		return (OP_FAULT);
	memcpy(reg_at(s, op->dst), &r.xmm[0], 16);
	return (OP_NEXT);
}

enum op_result
do_cvt_to_gpr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	const struct vec *vec = op->insn->vec;
	struct host_regs r = {.mxcsr = mxcsr_masked(fx_of(s)->mxcsr)};
	enum op_result result;
	union xmm buffer;
	const void *src;

	if (!sse_ready(c, s, &result))
		return (result);
	src = vec_source(c, op, s, &buffer);
	if (src == NULL)
		return (OP_FAULT);
	memcpy(&r.xmm[1], src, 16);
	sse_run_all(op->third ? vec->code_mmx : vec->code, &r);
	if (!sse_exceptions(c, s, r.mxcsr))
		return (OP_FAULT);
	reg_set(s, op->dst, 8, r.rax);
	return (OP_NEXT);
}

/* Between MMX and XMM: the x87 must be free of pending exceptions. */
static bool
mixed_ready(struct cpu *c, struct vcpu_state *s, enum op_result *result)
{
	return (sse_ready(c, s, result) && x87_no_pending(c, s, result));
}

/* CVTPI2PS, CVTPI2PD; they leave the x87 alone when the operand is in memory. */
enum op_result
do_cvt_from_mmx(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct host_regs r = {.mxcsr = mxcsr_masked(fx_of(s)->mxcsr)};
	bool uses_mmx = op->skind == K_REG;
	enum op_result result;

	if (uses_mmx ? !mixed_ready(c, s, &result) : !sse_ready(c, s, &result))
		return (result);
	if (op->skind == K_MEM && !load(c, op->seg, op_ea(op, s), 8, &r.mm[1]))
		return (OP_FAULT);
	if (uses_mmx)
		mmx_begin(fx_of(s));
	if (op->skind == K_REG)
		r.mm[1] = reg_get(s, op->src, 8);
	memcpy(&r.xmm[0], reg_at(s, op->dst), 16);
	sse_run_mixed(op->insn->vec->code, &r);
	if (!sse_exceptions(c, s, r.mxcsr))
		return (OP_FAULT);
	memcpy(reg_at(s, op->dst), &r.xmm[0], 16);
	return (OP_NEXT);
}

enum op_result
do_cvt_to_mmx(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct host_regs r = {.mxcsr = mxcsr_masked(fx_of(s)->mxcsr)};
	enum op_result result;
	union xmm buffer;
	const void *src;

	if (!mixed_ready(c, s, &result))
		return (result);
	src = vec_source(c, op, s, &buffer);
	if (src == NULL)
		return (OP_FAULT);
	memcpy(&r.xmm[1], src, 16);
	sse_run_mixed(op->insn->vec->code, &r);
	mmx_begin(fx_of(s)); /* also before #XM */
	if (!sse_exceptions(c, s, r.mxcsr))
		return (OP_FAULT);
	mmx_write(s, op->dst, r.mm[0]);
	return (OP_NEXT);
}
