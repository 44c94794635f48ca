/*
 * The state of MMX and SSE as a whole: EMMS, MXCSR, FXSAVE, XSAVE, and the instructions that do
 * nothing here but check. SDM vol. 1, 10.5 (FXSAVE), 13 (XSAVE); vol. 2.
 */
#include "cpu/sse.h"

#define XCR0_X87 1u
#define XCR0_SSE 2u
/* Parts of the image. */
#define IMAGE_MXCSR 24
#define IMAGE_ST 32
#define IMAGE_XMM 160
#define IMAGE_END 416
#define XSAVE_HEADER 512
#define XSAVE_SIZE 576
#define XCOMP_COMPACT (1ull << 63)

enum op_result
do_emms(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;

	(void)op;
	if (!mmx_ready(c, s, &result))
		return (result);
	fx_set_top(fx_of(s), 0);
	fx_of(s)->ftw = 0;
	return (OP_NEXT);
}

enum op_result
do_ldmxcsr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;
	uint64_t value;

	if (!sse_ready(c, s, &result))
		return (result);
	if (!load(c, op->seg, op_ea(op, s), 4, &value))
		return (OP_FAULT);
	if (value & ~(uint64_t)MXCSR_VALID)
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	fx_of(s)->mxcsr = (uint32_t)value;
	return (OP_NEXT);
}

enum op_result
do_stmxcsr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;

	if (!sse_ready(c, s, &result))
		return (result);
	return (store(c, op->seg, op_ea(op, s), 4, fx_of(s)->mxcsr) ? OP_NEXT : OP_FAULT);
}

/* --- images ------------------------------------------------------------------------------------------- */

/* Bytes of the image up to the last XMM register that this mode has. */
static unsigned
xmm_end(const struct cpu *c)
{
	return (c->mode & MODE_L ? IMAGE_END : IMAGE_XMM + 8 * 16);
}

/*
 * Where several pages cannot be used, a page fault names a byte at the image's end (of XRSTOR, in
 * its header): processors look there first.
 */

/* What is saved of the state; WIDE: pointers of 64 bits. */
static void
image_make(const struct cpu *c, const struct vcpu_state *s, struct fx *image, bool wide)
{
	memcpy(image, s->fpu.fxsave, sizeof(*image));
	image->zero = 0;
	image->mxcsr_mask = MXCSR_VALID;
	if (c->config.model >= CPU_X86_64 && !wide) { /* without selectors */
		image->fip = (uint32_t)image->fip;
		image->fdp = (uint32_t)image->fdp;
	}
	for (unsigned i = 0; i < 8; i++)
		memset(image->st[i].pad, 0, sizeof(image->st[i].pad));
}

/* The x87 part of IMAGE. */
static void
x87_take(struct cpu *c, struct vcpu_state *s, const struct fx *image, bool wide)
{
	struct fx *f = fx_of(s);
	uint64_t mask = wide		   ? UINT64_MAX
	    : c->config.model < CPU_X86_64 ? 0xffffffffffff
					   : UINT32_MAX;

	memcpy(f, image, IMAGE_MXCSR);
	memcpy(f->st, image->st, sizeof(f->st));
	for (unsigned i = 0; i < 8; i++)
		memset(f->st[i].pad, 0, sizeof(f->st[i].pad));
	f->fcw = (uint16_t)((f->fcw & 0x1f3f) | 0x40);
	f->zero = 0;
	f->fop &= 0x7ff;
	/* FIP is as wide as linear addresses are. */
	f->fip = wide ? (uint64_t)((int64_t)(f->fip << 16) >> 16) : f->fip & mask;
	f->fdp &= mask;
	fx_summary(f);
	c->ferr_told = false;
}

/* #NM, then the segment, then the alignment; the address goes to *EA. */
static bool
image_ready(struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned align,
    uint64_t trouble, uint64_t *ea)
{
	if (s->sregs.cr0 & trouble) {
		fault(c, VEC_NM, CAUSE_INSTRUCTION);
		return (false);
	}
	*ea = op_ea(op, s);
	if (!segment_check(c, op->seg, *ea, 4, false))
		return (false);
	/* Where alignment is checked, it is that of 4 bytes first. */
	if (((c->segc[op->seg].base + *ea) & 3) && c->tlb == c->tlbs[TLB_USER_ALIGNED])
		return (fault_at(c, VEC_AC, 0, CAUSE_ALIGNMENT, *ea, align));
	if ((c->segc[op->seg].base + *ea) & (align - 1))
		return (fault_at(c, VEC_GP, 0, CAUSE_INSTRUCTION, *ea, 0));
	return (true);
}

static bool
is_wide(const struct op *op)
{
	return (op->insn->vec == &vec_table[VEC_FXSAVE64] ||
	    op->insn->vec == &vec_table[VEC_FXRSTOR64] ||
	    op->insn->vec == &vec_table[VEC_XSAVE64] || op->insn->vec == &vec_table[VEC_XRSTOR64]);
}

enum op_result
do_fxsave(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx image;
	uint64_t ea;
	unsigned end = s->sregs.cr4 & CR4_OSFXSR ? xmm_end(c) : IMAGE_XMM;

	if (!image_ready(c, op, s, 16, CR0_EM | CR0_TS, &ea))
		return (OP_FAULT);
	image_make(c, s, &image, is_wide(op));
	if (!probe_write(c, op->seg, (ea + sizeof(image) - 1) & op->amask, 1) ||
	    !probe_write(c, op->seg, ea, sizeof(image)))
		return (OP_FAULT);
	return (store_bytes(c, op->seg, ea, &image, end) ? OP_NEXT : OP_FAULT);
}

enum op_result
do_fxrstor(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t ea, last;
	struct fx image;

	if (!image_ready(c, op, s, 16, CR0_EM | CR0_TS, &ea) ||
	    !load(c, op->seg, (ea + sizeof(image) - 1) & op->amask, 1, &last) ||
	    !load_bytes(c, op->seg, ea, &image, sizeof(image)))
		return (OP_FAULT);
	if (image.mxcsr & ~MXCSR_VALID)
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	x87_take(c, s, &image, is_wide(op));
	if (s->sregs.cr4 & CR4_OSFXSR) {
		fx_of(s)->mxcsr = image.mxcsr;
		memcpy(fx_of(s)->xmm, image.xmm, xmm_end(c) - IMAGE_XMM);
	}
	return (OP_NEXT);
}

/* --- XSAVE -------------------------------------------------------------------------------------------- */

static bool
xsave_enabled(struct cpu *c, const struct vcpu_state *s)
{
	if (s->sregs.cr4 & CR4_OSXSAVE)
		return (true);
	fault(c, VEC_UD, CAUSE_INSTRUCTION);
	return (false);
}

static uint64_t
requested(const struct vcpu_state *s)
{
	return (s->fpu.xcr0 & (RDX(s) << 32 | (uint32_t)RAX(s)));
}

/* Both components always count as in use (SDM vol. 1, 13.6, allows that). */
enum op_result
do_xsave(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t ea, at, mask = requested(s), bv;
	struct fx image;
	unsigned seg = op->seg;

	if (!xsave_enabled(c, s) || !image_ready(c, op, s, 64, CR0_TS, &ea) ||
	    !probe_write(c, seg, (ea + XSAVE_SIZE - 1) & op->amask, 1))
		return (OP_FAULT);
	image_make(c, s, &image, is_wide(op));
	if ((mask & XCR0_X87) &&
	    (!store_bytes(c, seg, ea, &image, IMAGE_MXCSR) ||
		!store_bytes(c, seg, ea + IMAGE_ST, image.st, sizeof(image.st))))
		return (OP_FAULT);
	if ((mask & XCR0_SSE) &&
	    (!store_bytes(c, seg, ea + IMAGE_MXCSR, &image.mxcsr, 8) ||
		!store_bytes(c, seg, ea + IMAGE_XMM, image.xmm, xmm_end(c) - IMAGE_XMM)))
		return (OP_FAULT);
	at = (ea + XSAVE_HEADER) & op->amask;
	if (!load(c, seg, at, 8, &bv) || !store(c, seg, at, 8, bv | mask))
		return (OP_FAULT);
	return (OP_NEXT);
}

/* The header of the standard form: known components, and zeros (SDM vol. 1, 13.8.1). */
static bool
header_valid(const struct vcpu_state *s, const uint64_t header[8])
{
	return ((header[0] & ~s->fpu.xcr0) == 0 && header[1] == 0 && header[2] == 0);
}

/*
 * Processors look at the header's second word (this one has no compact form), at the image's first byte and MXCSR as far as MASK
 * has them, at what the header says, and then at the rest.
 */
static bool
xrstor_load(struct cpu *c, const struct op *op, uint64_t ea, uint64_t mask, uint64_t header[8],
    struct fx *image)
{
	uint64_t at = (ea + XSAVE_HEADER) & op->amask;

	if (!load(c, op->seg, (at + 8) & op->amask, 8, &header[1]))
		return (false);
	if (header[1] & XCOMP_COMPACT) {
		fault(c, VEC_GP, CAUSE_RESERVED);
		return (false);
	}
	if (((mask & XCR0_X87) && !load(c, op->seg, ea, 1, &header[0])) ||
	    ((mask & XCR0_SSE) && !load_bytes(c, op->seg, ea + IMAGE_MXCSR, &image->mxcsr, 8)) ||
	    !load_bytes(c, op->seg, at, header, 64))
		return (false);
	if (!header_valid(c->s, header)) {
		fault(c, VEC_GP, CAUSE_RESERVED);
		return (false);
	}
	mask &= header[0];
	if ((mask & XCR0_X87) &&
	    (!load_bytes(c, op->seg, ea, image, IMAGE_MXCSR) ||
		!load_bytes(c, op->seg, ea + IMAGE_ST, image->st, sizeof(image->st))))
		return (false);
	return (!(mask & XCR0_SSE) ||
	    load_bytes(c, op->seg, ea + IMAGE_XMM, image->xmm, xmm_end(c) - IMAGE_XMM));
}

enum op_result
do_xrstor(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t ea, mask = requested(s), header[8];
	struct fx *f = fx_of(s), image = {0};

	if (!xsave_enabled(c, s) || !image_ready(c, op, s, 64, CR0_TS, &ea) ||
	    !xrstor_load(c, op, ea, mask, header, &image))
		return (OP_FAULT);
	if ((mask & XCR0_SSE) && (image.mxcsr & ~MXCSR_VALID))
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	if (mask & header[0] & XCR0_X87) {
		x87_take(c, s, &image, is_wide(op));
	} else if (mask & XCR0_X87) {
		fx_init(f);
		memset(f->st, 0, sizeof(f->st));
		c->ferr_told = false;
	}
	if (mask & header[0] & XCR0_SSE)
		memcpy(f->xmm, image.xmm, xmm_end(c) - IMAGE_XMM);
	else if (mask & XCR0_SSE)
		memset(f->xmm, 0, xmm_end(c) - IMAGE_XMM);
	if (mask & XCR0_SSE)
		f->mxcsr = image.mxcsr;
	return (OP_NEXT);
}

enum op_result
do_xgetbv(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	if (!xsave_enabled(c, s))
		return (OP_FAULT);
	if ((uint32_t)RCX(s) != 0)
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	RAX(s) = (uint32_t)s->fpu.xcr0;
	RDX(s) = s->fpu.xcr0 >> 32;
	return (OP_NEXT);
}

enum op_result
do_xsetbv(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t value = RDX(s) << 32 | (uint32_t)RAX(s);

	(void)op;
	if (!xsave_enabled(c, s))
		return (OP_FAULT);
	if (c->cpl != 0)
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	if ((uint32_t)RCX(s) != 0 || !(value & XCR0_X87) ||
	    (value & ~(uint64_t)(XCR0_X87 | XCR0_SSE)))
		return (fault(c, VEC_GP, CAUSE_RESERVED));
	s->fpu.xcr0 = value;
	return (OP_END);
}

/* --- nothing to do ------------------------------------------------------------------------------------- */

/* Fences and prefetches: memory is in order, and no cache is seen. */
enum op_result
do_fence(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)c;
	(void)op;
	(void)s;
	return (OP_NEXT);
}

/* CLFLUSH checks its operand as a load of a byte. */
enum op_result
do_clflush(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t value;

	return (load(c, op->seg, op_ea(op, s), 1, &value) ? OP_NEXT : OP_FAULT);
}
