/*
 * The state of x87, MMX and SSE as FXSAVE64 lays it out (SDM vol. 1, table 10-2), in which these
 * instructions work in place, and what runs the guest's opcodes on the host's own units.
 *
 * st[] is relative to the top of the stack: st[0] is ST(0) and moves on push and pop. The tag
 * byte has one bit for each physical register (1 = not empty).
 */
#ifndef CPU_FPU_H
#define CPU_FPU_H

#include "cpu/insn.h"

/* An 80-bit number in its 16 bytes. */
struct f80 {
	uint64_t mant;
	uint16_t se; /* sign and exponent */
	uint16_t pad[3];
};

union xmm {
	uint64_t q[2];
	uint32_t d[4];
	uint16_t w[8];
	uint8_t b[16];
};

struct fx {
	uint16_t fcw, fsw;
	uint8_t ftw, zero;
	uint16_t fop;
	uint64_t fip, fdp; /* outside 64-bit mode: offset in bits 0-31, selector in bits 32-47 */
	uint32_t mxcsr, mxcsr_mask;
	struct f80 st[8];
	union xmm xmm[16];
	uint8_t rest[96];
};

/* Status word, SDM vol. 1, 8.1.3. */
#define FSW_IE 0x0001u
#define FSW_DE 0x0002u
#define FSW_ZE 0x0004u
#define FSW_OE 0x0008u
#define FSW_UE 0x0010u
#define FSW_PE 0x0020u
#define FSW_SF 0x0040u
#define FSW_ES 0x0080u
#define FSW_C0 0x0100u
#define FSW_C1 0x0200u
#define FSW_C2 0x0400u
#define FSW_C3 0x4000u
#define FSW_B 0x8000u
#define FSW_EXCEPTIONS 0x003fu
#define FSW_CONDITION (FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3)
#define FSW_TOP_SHIFT 11
#define FSW_TOP (7u << FSW_TOP_SHIFT)
/* Exceptions found before anything is computed: unmasked, they leave the operands alone. */
#define FSW_BEFORE (FSW_IE | FSW_DE | FSW_ZE)

#define FCW_INIT 0x037f
#define MXCSR_INIT 0x1f80
#define MXCSR_VALID 0xffffu
#define MXCSR_EXCEPTIONS 0x3fu
#define MXCSR_DAZ 0x40u
#define MXCSR_MASK_SHIFT 7

static inline struct fx *
fx_of(struct vcpu_state *s)
{
	return ((struct fx *)(void *)s->fpu.fxsave);
}

static inline unsigned
fx_top(const struct fx *f)
{
	return (f->fsw >> FSW_TOP_SHIFT & 7);
}

static inline bool
fx_valid(const struct fx *f, unsigned i)
{
	return (f->ftw >> ((fx_top(f) + i) & 7) & 1);
}

/* Move TOP; the physical registers keep their contents. */
void fx_set_top(struct fx *f, unsigned top);
static inline void
f80_copy(struct f80 *to, const struct f80 *from)
{
	/* By the parts in which the host's FSTP writes them: wider loads would have to wait. */
	to->mant = from->mant;
	to->se = from->se;
}

/* ST(0) becomes ST(1) and the new ST(0) is there, whatever it holds. */
void fx_push(struct fx *f);
void fx_pop(struct fx *f);
/* ES and B follow from flags and masks. */
void fx_summary(struct fx *f);
/* As FNINIT. */
void fx_init(struct fx *f);

/* #NM, a pending #MF (or FERR#): before an instruction of the x87. False: return *RESULT. */
bool x87_ready(struct cpu *c, struct vcpu_state *s, enum op_result *result);
/* The same for MMX: CR0.EM is #UD. */
bool mmx_ready(struct cpu *c, struct vcpu_state *s, enum op_result *result);
/* The pending exception alone. */
bool x87_no_pending(struct cpu *c, struct vcpu_state *s, enum op_result *result);

/*
 * Take over the exceptions of SW, and those condition bits that are in CC. Notes where the
 * instruction and its operand are.
 */
void x87_done(struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned sw, unsigned cc);
/* The instruction and operand pointers alone. */
void x87_note(struct cpu *c, const struct op *op, struct vcpu_state *s, bool unmasked);

/* load() for a SIZE of 2, 4 or 8. */
static inline bool
load_sized(struct cpu *c, unsigned seg, uint64_t ea, unsigned size, uint64_t *value)
{
	if (size == 8)
		return (load(c, seg, ea, 8, value));
	return (size == 4 ? load(c, seg, ea, 4, value) : load(c, seg, ea, 2, value));
}

static inline bool
store_sized(struct cpu *c, unsigned seg, uint64_t ea, unsigned size, uint64_t value)
{
	if (size == 8)
		return (store(c, seg, ea, 8, value));
	return (size == 4 ? store(c, seg, ea, 4, value) : store(c, seg, ea, 2, value));
}

/* No alignment checks until c->tlb is put back. */
static inline void
forget_alignment(struct cpu *c)
{
	if (unlikely(c->tlb == c->tlbs[TLB_USER_ALIGNED]))
		c->tlb = c->tlbs[TLB_USER];
}

/* Memory operands of any size up to 512 bytes; alignment is not checked from 16 on. False: c->fault. */
bool load_bytes(struct cpu *c, unsigned seg, uint64_t ea, void *to, unsigned size);
/* All or nothing. */
bool store_bytes(struct cpu *c, unsigned seg, uint64_t ea, const void *from, unsigned size);

/* --- on the host's x87 (x87_host.c) ------------------------------------------------------------- */

/* Code that does one opcode and returns; a memory operand is at RDX. */
const void *x87_code_mem(unsigned esc, unsigned reg);
const void *x87_code_reg(unsigned esc, unsigned modrm);
/* Opcode on ST(0) and memory at MEM, under F's control word: the status
 * word, in which exceptions that F already has may show again. May pop. */
unsigned x87_host1(const void *code, struct f80 *a, void *mem, const struct fx *f);
/* Opcode on A in ST(0) and B in ST(1); *FLAGS: RFLAGS behind it. Does not pop. */
unsigned x87_host2(
    const void *code, struct f80 *a, struct f80 *b, const struct fx *f, uint64_t *flags);
/* An IEEE number of FRACTION and EXP bits; adds FSW_IE, FSW_DE to *FLAGS (x87_move.c). */
struct f80 f80_from_ieee(uint64_t bits, unsigned fraction, unsigned exp, unsigned *flags);
/* Opcode that pushes a constant. */
void x87_host_push(const void *code, struct f80 *a, const struct fx *f);
/* Opcode on the whole state of F, pointers apart. */
void x87_host_all(const void *code, struct fx *f, void *mem, uint64_t *flags);

/* --- instructions -------------------------------------------------------------------------------- */

/* An x87 opcode: what op->cond (ESC, 0-7), op->src (rm) and op->imm (FOP) do not say. */
struct x87_form {
	plain_fn *fn;  /* NULL: undefined */
	uint8_t size;  /* of the memory operand */
	uint8_t since; /* enum cpu_model */
};
extern const struct x87_form x87_mem_forms[8][8];
const struct x87_form *x87_reg_form(unsigned esc, unsigned modrm);

plain_fn do_x87_arith_mem, do_x87_arith, do_x87_compare, do_x87_compare_eflags, do_x87_unary,
    do_x87_fxam, do_x87_full, do_x87_fcmov; /* x87_arith.c */
plain_fn do_x87_fld_mem, do_x87_fld, do_x87_fld80, do_x87_fild, do_x87_fst_mem, do_x87_fst,
    do_x87_fstp80, do_x87_fxch, do_x87_const, do_x87_sign, do_x87_fbstp, do_x87_fbld, do_x87_ffree,
    do_x87_incstp; /* x87_move.c */
plain_fn do_x87_fldcw, do_x87_fnstcw, do_x87_fnstsw, do_x87_fnstsw_ax, do_x87_fninit, do_x87_fnclex,
    do_x87_fnop, do_x87_nop, do_x87_fldenv, do_x87_fnstenv, do_x87_frstor,
    do_x87_fnsave; /* x87_env.c */

#endif
