/* MMX and SSE: what a row of insn_fpu.def says, and the guest's opcodes on the host's units. */
#ifndef CPU_SSE_H
#define CPU_SSE_H

#include "cpu/fpu.h"

enum vec_flags {
	VEC_FP = 1,	 /* uses MXCSR, may raise #XM */
	VEC_ALIGN = 2,	 /* a 16-byte memory operand must be aligned */
	VEC_TINY4 = 4,	 /* exact denormal results are exceptions when underflow is not masked: */
	VEC_TINY8 = 8,	 /* four float32, two float64, */
	VEC_TINY4S = 16, /* or the lowest one */
	VEC_TINY8S = 32,
	VEC_MMX1 = 64, /* the MMX form is as old as MMX */
	VEC_GPR = 128, /* needs nothing of the SSE state */
	VEC_ENDS = 256,
};

struct vec {
	const uint8_t *code;	 /* XMM form; 32-bit form of what converts general registers */
	const uint8_t *code_mmx; /* MMX form; 64-bit form */
	uint16_t flags;
	uint8_t stride; /* code for each immediate, this far apart; 0: no immediate */
	uint8_t mem;	/* bytes of a memory operand */
	uint8_t mem_mmx;
};

enum vec_number {
#define ROW(mn, handler, flags) VEC_##mn,
#include "cpu/insn_fpu.def"
	VEC_CMPSD,
	VEC_MOVSD,
	VEC_COUNT
};
extern const struct vec vec_table[VEC_COUNT];

/* op->cond of what bind_vec binds. */
enum { OPERAND_MMX = 1, OPERAND_XMM = 2 };

/* Registers of the host around one opcode; xmm[0] is the destination, xmm[1] the source. */
struct host_regs {
	union xmm xmm[2];
	uint64_t mm[2];
	uint64_t rax, rcx, rdx, flags;
	uint32_t mxcsr;
};

/* sse_host.c: DST op SRC; with MXCSR, whose exception flags come back; all registers. */
void sse_run(const void *code, void *dst, const void *src);
void sse_run_fp(const void *code, void *dst, const void *src, uint32_t *mxcsr);
void mmx_run(const void *code, void *dst, const void *src);
void sse_run_all(const void *code, struct host_regs *r);
/* The same with MM0 and MM1. */
void sse_run_mixed(const void *code, struct host_regs *r);

/*
 * sse_unmasked.c: the exceptions of A op B, whose FLAGS have an overflow or underflow that MXCSR
 * does not mask.
 */
unsigned sse_unmasked_flags(
    const struct vec *vec, const union xmm *a, const union xmm *b, uint32_t mxcsr, unsigned flags);

/* DPPS, DPPD: whether a step has an exception that is not masked; *FLAGS: all up to it. */
bool sse_is_dot(const struct vec *vec);
bool sse_dot_ends(const struct vec *vec, const union xmm *a, const union xmm *b, unsigned imm,
    uint32_t mxcsr, unsigned *flags);

/* MXCSR to compute under: exceptions masked and not yet raised. */
static inline uint32_t
mxcsr_masked(uint32_t mxcsr)
{
	uint32_t host = (mxcsr & 0xe040) | MXCSR_INIT;

	if (!(mxcsr & FSW_UE << MXCSR_MASK_SHIFT))
		host &= 0x7fff; /* results are not flushed to zero while underflow is unmasked */
	return (host);
}

/* #UD, #NM. False: return *RESULT. */
bool sse_ready(struct cpu *c, struct vcpu_state *s, enum op_result *result);
/* Raise what FLAGS (of an operation under mxcsr_masked) says. True: there is a result. */
bool sse_exceptions(struct cpu *c, struct vcpu_state *s, unsigned flags);
/* The source operand, in a register or in BUFFER; NULL: c->fault. */
const void *vec_source(struct cpu *c, const struct op *op, struct vcpu_state *s, union xmm *buffer);
/* #GP(0) where an operand of 16 bytes is not aligned. */
bool vec_aligned(struct cpu *c, const struct op *op, uint64_t ea);
/* MMX registers come into use: TOP is 0, all tags are valid. */
void mmx_begin(struct fx *f);
void mmx_write(struct vcpu_state *s, uint16_t offset, uint64_t value);

bind_fn bind_vec;
plain_fn do_vec, do_vec_flags, do_vec_string, do_cvt_from_gpr, do_cvt_to_gpr, do_cvt_from_mmx,
    do_cvt_to_mmx; /* sse.c */
plain_fn do_blendv, do_byte_shift, do_movmsk, do_pextr, do_pinsr, do_crc32, do_popcnt, do_mov128,
    do_mov_scalar, do_mov_half, do_movd, do_movq2dq, do_movdq2q, do_maskmov,
    do_movnti; /* sse_move.c */
plain_fn do_emms, do_ldmxcsr, do_stmxcsr, do_fxsave, do_fxrstor, do_xsave, do_xrstor, do_xgetbv,
    do_xsetbv, do_fence, do_clflush; /* sse_state.c */

#endif
