/*
 * The table of instructions: one row for each mnemonic in insn.def. From it come the handlers'
 * dispatch, the generation an instruction needs, its effect on flags, the tests and the coverage.
 */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include <Zydis/Zydis.h>

#include "cpu/internal.h"

/* Forms of operands that have handlers of their own. */
enum form { FORM_RR, FORM_RI, FORM_RM, FORM_MR, FORM_MI, FORM_COUNT };

/* Handlers by form and by operand size 1, 2, 4, 8. Unary ones use FORM_RR and FORM_MR. */
struct family {
	op_fn *fn[FORM_COUNT][4];
};

/* What decoding found, for the binders. */
struct decoded {
	const ZydisDecodedInstruction *insn;
	const ZydisDecodedOperand *operand;
	unsigned model; /* enum cpu_model */
};

/* Completes an op from its operands: false = this form does not exist here (#UD). */
typedef bool bind_fn(struct op *op, const struct decoded *d);

enum insn_flags {
	INSN_ENDS = 1, /* always the last of its trace */
	INSN_LOCK = 2, /* may carry LOCK when its destination is memory */
	INSN_REAL = 4, /* is there in real mode too, where Zydis does not have it */
};

struct insn {
	const char *name;
	bind_fn *bind;
	const struct family *family; /* handlers that chain by themselves, or */
	plain_fn *plain;	     /* a plain handler */
	const struct vec *vec;	     /* sse.h: MMX and SSE */
	uint8_t since;		     /* enum cpu_model */
	uint8_t flags;		     /* enum insn_flags */
	uint16_t written;	     /* arithmetic flags with a defined new value */
	uint16_t undefined;	     /* arithmetic flags left undefined by the manual */
};

/* The row of a Zydis mnemonic; NULL when this CPU does not have it. */
const struct insn *insn_row(unsigned mnemonic);

/* 1, 2, 4, 8 -> 0, 1, 2, 3. */
static inline unsigned
size_index(unsigned size)
{
	return ((unsigned)__builtin_ctz(size));
}

void bind_memory(struct op *op, const struct decoded *d, const ZydisDecodedOperand *o);
/* The first two visible operands as destination and source. */
void bind_operands(struct op *op, const struct decoded *d);
/* The row of an opcode of the x87, or of one whose mnemonic is ambiguous; else NULL. */
const struct insn *fpu_row(unsigned model, const ZydisDecodedInstruction *insn);
bind_fn bind_alu, bind_unary, bind_generic, bind_branch, bind_loop, bind_string, bind_stack,
    bind_far, bind_io, bind_sized, bind_shift, bind_table, bind_monitor;

/* Families, by the file that has them. */
extern const struct family fam_add, fam_or, fam_adc, fam_sbb, fam_and, fam_sub, fam_xor, fam_cmp,
    fam_test, fam_mov, fam_inc, fam_dec, fam_not, fam_neg; /* alu.c */
extern const struct family fam_jo, fam_jno, fam_jb, fam_jnb, fam_jz, fam_jnz, fam_jbe, fam_jnbe,
    fam_js, fam_jns, fam_jp, fam_jnp, fam_jl, fam_jnl, fam_jle, fam_jnle, fam_jmp, fam_call,
    fam_ret, fam_loop, fam_loope, fam_loopne, fam_jcxz;			     /* branch.c */
extern const struct family fam_push, fam_pop, fam_lea, fam_movzx, fam_movsx; /* move.c */
extern const struct family fam_in, fam_out, fam_hlt;			     /* io.c */
extern const struct family fam_mwait;					     /* monitor.c */
extern const struct family fam_shl, fam_shr, fam_sar;			     /* shift.c */

/* Plain handlers, by the file that has them. */
plain_fn do_xchg, do_xlat, do_cbw, do_cwd, do_lahf, do_sahf, do_pushf, do_popf, do_pusha, do_popa,
    do_enter, do_leave, do_mov_sreg, do_push_mem, do_pop_mem, do_push_sreg, do_pop_sreg, do_lfs,
    do_nop, do_bswap, do_setcc, do_cmovcc; /* move.c */
plain_fn do_cmpxchg, do_cmpxchg16b, do_xadd, do_cmpxchg8b, do_bt, do_bts, do_btr, do_btc, do_bsf,
    do_bsr, do_clc, do_stc, do_cmc, do_cld, do_std;				   /* bit.c */
plain_fn do_rol, do_ror, do_rcl, do_rcr, do_shl, do_shr, do_sar, do_shld, do_shrd; /* shift.c */
plain_fn do_mul, do_imul1, do_imul2, do_div, do_idiv, do_aaa, do_aas, do_aam, do_aad, do_daa,
    do_das, do_salc;				      /* muldiv.c */
plain_fn do_movs, do_cmps, do_stos, do_lods, do_scas; /* string.c */
plain_fn do_ins, do_outs;			      /* io.c */
plain_fn do_jmp_far, do_call_far, do_ret_far, do_int, do_int3, do_int1, do_into, do_iret, do_bound,
    do_ud; /* branch.c */
plain_fn do_cli, do_sti, do_mov_cr, do_mov_dr, do_lgdt, do_lidt, do_sgdt, do_sidt, do_lldt, do_ltr,
    do_sldt, do_str, do_lmsw, do_smsw, do_clts, do_lar, do_lsl, do_verr, do_verw, do_arpl, do_invd,
    do_invlpg, do_wait, do_stac, do_clac;					 /* system.c */
plain_fn do_syscall, do_sysret, do_sysenter, do_sysexit, do_swapgs;		 /* long.c */
plain_fn do_cpuid, do_rdtsc, do_rdtscp, do_rdpmc, do_rdmsr, do_wrmsr, do_vmcall; /* identity.c */
plain_fn do_monitor, do_rdrand;							 /* monitor.c */
plain_fn do_no_fpu;								 /* x87.c */
/* WAIT behind its check for #NM: an x87 exception may be pending. */
enum op_result x87_wait(struct cpu *c, struct vcpu_state *s);

/* --- operands of plain handlers, by what decoding found ----------------------------------------- */

/* The source: register, memory or immediate. False: c->fault. */
static inline bool
src_get(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t *value)
{
	switch (op->skind) {
	case K_REG:
		*value = reg_get(s, op->src, op->size);
		return (true);
	case K_MEM:
		return (load(c, op->seg, op_ea(op, s), op->size, value));
	default:
		*value = (uint64_t)op->imm & size_mask(op->size);
		return (true);
	}
}

static inline bool
dst_get(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t *value)
{
	if (op->dkind == K_REG) {
		*value = reg_get(s, op->dst, op->size);
		return (true);
	}
	return (load(c, op->seg, op_ea(op, s), op->size, value));
}

/* The destination of a read-modify-write instruction. */
static inline bool
dst_get_rmw(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t *value)
{
	if (dst_get(c, op, s, value))
		return (true);
	rmw_fault(c, op->seg, op_ea(op, s), op->size);
	return (false);
}

static inline bool
dst_set(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t value)
{
	if (op->dkind == K_REG) {
		reg_set(s, op->dst, op->size, value);
		return (true);
	}
	return (store(c, op->seg, op_ea(op, s), op->size, value));
}

#endif
