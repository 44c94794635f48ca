/* MMX and SSE instructions that move: done in C. SDM vol. 1, 10.4.1, 11.4.1, 12. */
#include "cpu/flags.h"
#include "cpu/sse.h"

static union xmm *
xmm_at(struct vcpu_state *s, uint16_t offset)
{
	return ((union xmm *)(void *)reg_at(s, offset));
}

/* MOVAPS, MOVUPS, MOVDQA .. LDDQU, MOVNTDQ: 16 bytes. */
enum op_result
do_mov128(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;
	union xmm buffer;
	const void *src;
	uint64_t ea;

	if (!sse_ready(c, s, &result))
		return (result);
	if (op->dkind == K_REG) {
		src = vec_source(c, op, s, &buffer);
		if (src == NULL)
			return (OP_FAULT);
		memcpy(reg_at(s, op->dst), src, 16);
		return (OP_NEXT);
	}
	ea = op_ea(op, s);
	if ((op->insn->vec->flags & VEC_ALIGN) && !vec_aligned(c, op, ea))
		return (OP_FAULT);
	return (store_bytes(c, op->seg, ea, reg_at(s, op->src), 16) ? OP_NEXT : OP_FAULT);
}

/* MOVSS, MOVSD: a load clears what is above, a move between registers keeps it. */
enum op_result
do_mov_scalar(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;
	uint64_t value;

	if (!sse_ready(c, s, &result))
		return (result);
	if (op->dkind == K_MEM) {
		value = reg_get(s, op->src, op->size);
		return (
		    store_sized(c, op->seg, op_ea(op, s), op->size, value) ? OP_NEXT : OP_FAULT);
	}
	if (op->skind == K_REG) {
		value = reg_get(s, op->src, op->size);
		memcpy(reg_at(s, op->dst), &value, op->size);
		return (OP_NEXT);
	}
	if (!load_sized(c, op->seg, op_ea(op, s), op->size, &value))
		return (OP_FAULT);
	*xmm_at(s, op->dst) = (union xmm){.q = {value, 0}};
	return (OP_NEXT);
}

/* MOVLPS, MOVHPS and their PD twins: one half of a register and memory. */
enum op_result
do_mov_half(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	bool high =
	    op->insn->vec == &vec_table[VEC_MOVHPS] || op->insn->vec == &vec_table[VEC_MOVHPD];
	enum op_result result;
	uint64_t value;

	if (!sse_ready(c, s, &result))
		return (result);
	if (op->dkind == K_MEM) {
		value = xmm_at(s, op->src)->q[high];
		return (store(c, op->seg, op_ea(op, s), 8, value) ? OP_NEXT : OP_FAULT);
	}
	if (!load(c, op->seg, op_ea(op, s), 8, &value))
		return (OP_FAULT);
	xmm_at(s, op->dst)->q[high] = value;
	return (OP_NEXT);
}

/* The register side of MOVD, MOVQ as a number from memory or a register of any kind. */
static bool
movd_ready(struct cpu *c, const struct op *op, struct vcpu_state *s, enum op_result *result)
{
	return (op->cond & OPERAND_MMX ? mmx_ready(c, s, result) : sse_ready(c, s, result));
}

/* MOVD, MOVQ, MOVNTQ: OP->cond says which kind of vector register; op->third that SRC is one. */
enum op_result
do_movd(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	bool to_vector = op->rep & 1, mmx = op->cond & OPERAND_MMX;
	enum op_result result;
	uint64_t value;

	if (!movd_ready(c, op, s, &result))
		return (result);
	if (op->skind == K_MEM && !load_sized(c, op->seg, op_ea(op, s), op->size, &value))
		return (OP_FAULT);
	if (mmx) /* a store that faults leaves the tags alone, but TOP is 0 by then */
		fx_set_top(fx_of(s), 0);
	if (op->skind == K_REG)
		value = reg_get(s, op->src, op->size);
	if (op->dkind == K_MEM && !store_sized(c, op->seg, op_ea(op, s), op->size, value))
		return (OP_FAULT);
	if (mmx)
		mmx_begin(fx_of(s));
	if (op->dkind == K_MEM)
		return (OP_NEXT);
	if (!to_vector)
		reg_set(s, op->dst, op->size, value);
	else if (mmx)
		mmx_write(s, op->dst, value);
	else
		*xmm_at(s, op->dst) = (union xmm){.q = {value, 0}};
	return (OP_NEXT);
}

enum op_result
do_movq2dq(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;

	if (!sse_ready(c, s, &result) || !x87_no_pending(c, s, &result))
		return (result);
	mmx_begin(fx_of(s));
	*xmm_at(s, op->dst) = (union xmm){.q = {reg_get(s, op->src, 8), 0}};
	return (OP_NEXT);
}

enum op_result
do_movdq2q(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;

	if (!sse_ready(c, s, &result) || !x87_no_pending(c, s, &result))
		return (result);
	mmx_begin(fx_of(s));
	mmx_write(s, op->dst, xmm_at(s, op->src)->q[0]);
	return (OP_NEXT);
}

enum op_result
do_movnti(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t value = reg_get(s, op->src, op->size);

	return (store_sized(c, op->seg, op_ea(op, s), op->size, value) ? OP_NEXT : OP_FAULT);
}

/* Processors look at all bytes, whatever the mask, 8 at a time, the upper ones first. */
static bool
maskmov_ready(struct cpu *c, const struct op *op, uint64_t di)
{
	for (unsigned i = op->size; i >= 8; i -= 8)
		if (!probe_write(c, op->seg, (di + i - 8) & op->amask, 8))
			return (false);
	return (true);
}

/* MASKMOVQ, MASKMOVDQU: bytes whose mask has its top bit, to DS:rDI. */
enum op_result
do_maskmov(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	bool mmx = op->cond & OPERAND_MMX;
	enum op_result result;
	union xmm data, mask;

	if (mmx ? !mmx_ready(c, s, &result) : !sse_ready(c, s, &result))
		return (result);
	if (mmx)
		mmx_begin(fx_of(s));
	data = *xmm_at(s, op->dst);
	mask = *xmm_at(s, op->src);
	if (!maskmov_ready(c, op, RDI(s)))
		return (OP_FAULT);
	for (unsigned i = 0; i < op->size; i++)
		if ((mask.b[i] & 0x80) &&
		    !store(c, op->seg, (RDI(s) + i) & op->amask, 1, data.b[i]))
			return (OP_FAULT);
	return (OP_NEXT);
}

/* --- elements ------------------------------------------------------------------------------------------ */

/* BLENDVPS, BLENDVPD, PBLENDVB: by the top bits in XMM0. */
enum op_result
do_blendv(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned size = op->insn->vec == &vec_table[VEC_PBLENDVB] ? 1
	    : op->insn->vec == &vec_table[VEC_BLENDVPS]		  ? 4
								  : 8;
	union xmm mask = fx_of(s)->xmm[0], buffer;
	uint8_t *dst = reg_at(s, op->dst);
	enum op_result result;
	const uint8_t *src;

	if (!sse_ready(c, s, &result))
		return (result);
	src = vec_source(c, op, s, &buffer);
	if (src == NULL)
		return (OP_FAULT);
	for (unsigned i = 0; i < 16; i += size)
		if (mask.b[i + size - 1] & 0x80)
			memmove(dst + i, src + i, size);
	return (OP_NEXT);
}

/* PSLLDQ, PSRLDQ. */
enum op_result
do_byte_shift(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned n = op->imm < 16 ? (unsigned)op->imm : 16;
	union xmm value = {{0}};
	uint8_t *dst = reg_at(s, op->dst);
	enum op_result result;

	if (!sse_ready(c, s, &result))
		return (result);
	if (op->insn->vec == &vec_table[VEC_PSLLDQ])
		memcpy(value.b + n, dst, 16 - n);
	else
		memcpy(value.b, dst + n, 16 - n);
	memcpy(dst, &value, 16);
	return (OP_NEXT);
}

/* MOVMSKPS, MOVMSKPD, PMOVMSKB. */
enum op_result
do_movmsk(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	const struct vec *vec = op->insn->vec;
	unsigned size = vec == &vec_table[VEC_MOVMSKPS] ? 4
	    : vec == &vec_table[VEC_MOVMSKPD]		? 8
							: 1;
	unsigned bytes = op->cond & OPERAND_MMX ? 8 : 16;
	enum op_result result;
	uint64_t mask = 0;
	const uint8_t *src;

	if (!movd_ready(c, op, s, &result))
		return (result);
	if (op->cond & OPERAND_MMX)
		mmx_begin(fx_of(s));
	src = reg_at(s, op->src);
	for (unsigned i = 0; i < bytes / size; i++)
		mask |= (uint64_t)(src[i * size + size - 1] >> 7) << i;
	reg_set(s, op->dst, 8, mask);
	return (OP_NEXT);
}

/* PEXTRx, EXTRACTPS: an element to memory or, extended with zeros, to a general register. */
enum op_result
do_pextr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned size = op->insn->vec->mem, bytes = op->cond & OPERAND_MMX ? 8 : 16;
	unsigned i = (unsigned)op->imm & (bytes / size - 1);
	enum op_result result;
	uint64_t value = 0;

	if (!movd_ready(c, op, s, &result))
		return (result);
	if (op->cond & OPERAND_MMX)
		mmx_begin(fx_of(s));
	memcpy(&value, reg_at(s, op->src) + (size_t)i * size, size);
	if (op->dkind == K_MEM)
		return (store(c, op->seg, op_ea(op, s), size, value) ? OP_NEXT : OP_FAULT);
	reg_set(s, op->dst, 8, value);
	return (OP_NEXT);
}

enum op_result
do_pinsr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned size = op->insn->vec->mem, bytes = op->cond & OPERAND_MMX ? 8 : 16;
	unsigned i = (unsigned)op->imm & (bytes / size - 1);
	enum op_result result;
	uint64_t value;

	if (!movd_ready(c, op, s, &result))
		return (result);
	if (op->skind == K_REG)
		value = reg_get(s, op->src, size);
	else if (!load(c, op->seg, op_ea(op, s), size, &value))
		return (OP_FAULT);
	if (op->cond & OPERAND_MMX) {
		mmx_begin(fx_of(s));
		((struct f80 *)(void *)reg_at(s, op->dst))->se = 0xffff;
	}
	memcpy(reg_at(s, op->dst) + (size_t)i * size, &value, size);
	return (OP_NEXT);
}

/* --- general registers ---------------------------------------------------------------------------------- */

enum op_result
do_popcnt(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t value;

	if (!src_get(c, op, s, &value))
		return (OP_FAULT);
	value = (uint64_t)__builtin_popcountll(value);
	reg_set(s, op->dst, op->size, value);
	flags_set(c, value == 0 ? RFLAGS_ZF : 0);
	return (OP_NEXT);
}

/* CRC-32C, reflected; imm is the size of the source. */
enum op_result
do_crc32(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t crc = reg_get(s, op->dst, 4), value;
	unsigned size = (unsigned)op->imm;

	if (op->skind == K_REG)
		value = reg_get(s, op->src, size);
	else if (!load(c, op->seg, op_ea(op, s), size, &value))
		return (OP_FAULT);
	switch (size) {
	case 1:
		__asm__("crc32b %b1, %k0" : "+r"(crc) : "r"(value));
		break;
	case 2:
		__asm__("crc32w %w1, %k0" : "+r"(crc) : "r"(value));
		break;
	case 4:
		__asm__("crc32l %k1, %k0" : "+r"(crc) : "r"(value));
		break;
	default:
		__asm__("crc32q %1, %0" : "+r"(crc) : "r"(value));
		break;
	}
	reg_set(s, op->dst, 8, (uint32_t)crc);
	return (OP_NEXT);
}
