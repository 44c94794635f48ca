/*
 * The x87: what all its instructions share. The stack, the summary of exceptions, the checks
 * before an instruction, the pointers behind it. SDM vol. 1, chapter 8.
 */
#include "cpu/fpu.h"

/*
 * The ESC opcodes of a processor without an x87: ignored, as a 386 without a 387 ignores them, so
 * that the usual test (FNINIT, FNSTSW: did the word change?) finds none; #NM while CR0.EM or
 * CR0.TS is set. SDM vol. 3A, 2.5 and 9.2.2.
 */
enum op_result
do_no_fpu(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t operand;

	if (s->sregs.cr0 & (CR0_EM | CR0_TS))
		return (fault(c, VEC_NM, CAUSE_INSTRUCTION));
	if (c->traits->esc_checks_operand && op->dkind == K_MEM &&
	    !load(c, op->seg, op_ea(op, s), 2, &operand))
		return (OP_FAULT);
	return (OP_NEXT);
}

void
fx_set_top(struct fx *f, unsigned top)
{
	struct f80 was[8];
	unsigned by = (top - fx_top(f)) & 7;

	f->fsw = (uint16_t)((f->fsw & ~FSW_TOP) | (top & 7) << FSW_TOP_SHIFT);
	if (by == 0)
		return;
	memcpy(was, f->st, sizeof(was));
	for (unsigned i = 0; i < 8; i++)
		f->st[i] = was[(i + by) & 7];
}

void
fx_push(struct fx *f)
{
	unsigned top = (fx_top(f) - 1) & 7;
	struct f80 last;

	f80_copy(&last, &f->st[7]);
	for (unsigned i = 7; i > 0; i--)
		f80_copy(&f->st[i], &f->st[i - 1]);
	f80_copy(&f->st[0], &last);
	f->fsw = (uint16_t)((f->fsw & ~FSW_TOP) | top << FSW_TOP_SHIFT);
	f->ftw |= (uint8_t)(1u << top);
}

void
fx_pop(struct fx *f)
{
	unsigned top = fx_top(f);
	struct f80 first;

	f80_copy(&first, &f->st[0]);
	for (unsigned i = 0; i < 7; i++)
		f80_copy(&f->st[i], &f->st[i + 1]);
	f80_copy(&f->st[7], &first);
	f->ftw &= (uint8_t) ~(1u << top);
	f->fsw = (uint16_t)((f->fsw & ~FSW_TOP) | ((top + 1) & 7) << FSW_TOP_SHIFT);
}

void
fx_summary(struct fx *f)
{
	f->fsw &= (uint16_t) ~(FSW_ES | FSW_B);
	if (f->fsw & ~f->fcw & FSW_EXCEPTIONS)
		f->fsw |= FSW_ES | FSW_B;
}

void
fx_init(struct fx *f)
{
	fx_set_top(f, 0);
	f->fcw = FCW_INIT;
	f->fsw = 0;
	f->ftw = 0;
	f->fop = 0;
	f->fip = f->fdp = 0;
}

/*
 * An unmasked exception waits. With CR0.NE it is #MF; else FERR# goes to the board, whose
 * interrupt comes first if it may, and the instruction goes on behind it: once, whatever the
 * handler did (SDM vol. 3A, 2.5, "NE"; vol. 1, 8.7.2).
 */
static enum op_result
pending(struct cpu *c, const struct vcpu_state *s)
{
	if (s->sregs.cr0 & CR0_NE)
		return (fault(c, VEC_MF, CAUSE_INSTRUCTION));
	if (c->ferr_told || c->config.ferr == NULL)
		return (OP_NEXT);
	c->ferr_told = true;
	c->config.ferr(c->config.ferr_opaque);
	return (c->attention & (ATT_INTR | ATT_STOP) ? OP_AGAIN : OP_NEXT);
}

bool
x87_no_pending(struct cpu *c, struct vcpu_state *s, enum op_result *result)
{
	if (likely(!(fx_of(s)->fsw & FSW_ES)))
		return (true);
	*result = pending(c, s);
	return (*result == OP_NEXT);
}

bool
x87_ready(struct cpu *c, struct vcpu_state *s, enum op_result *result)
{
	if (unlikely(s->sregs.cr0 & (CR0_EM | CR0_TS))) {
		*result = fault(c, VEC_NM, CAUSE_INSTRUCTION);
		return (false);
	}
	return (x87_no_pending(c, s, result));
}

bool
mmx_ready(struct cpu *c, struct vcpu_state *s, enum op_result *result)
{
	if (unlikely(s->sregs.cr0 & CR0_EM)) {
		*result = fault(c, VEC_UD, CAUSE_INSTRUCTION);
		return (false);
	}
	return (x87_ready(c, s, result));
}

enum op_result
x87_wait(struct cpu *c, struct vcpu_state *s)
{
	enum op_result result;

	if (c->config.model < CPU_486 || x87_no_pending(c, s, &result))
		return (OP_NEXT);
	return (result);
}

/*
 * Processors up to the P6 note instruction, operand and opcode each time; later ones the opcode
 * and the operand of instructions with an unmasked exception alone, and no selectors (SDM vol. 1,
 * 8.1.8 and 8.1.9; CPUID 7 EBX bits 6 and 13).
 */
void
x87_note(struct cpu *c, const struct op *op, struct vcpu_state *s, bool unmasked)
{
	struct fx *f = fx_of(s);
	const struct x86_segment *seg = s->sregs.seg;

	f->fip = op_rip(op, s) & c->ip_mask;
	if (c->config.model < CPU_X86_64)
		f->fip |= (uint64_t)seg[SEG_CS].selector << 32;
	else if (!unmasked)
		return;
	f->fop = (uint16_t)op->imm;
	if (op->dkind != K_MEM)
		return;
	f->fdp = op_ea(op, s);
	if (c->config.model < CPU_X86_64)
		f->fdp = (uint32_t)f->fdp | (uint64_t)seg[op->seg].selector << 32;
}

void
x87_done(struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned sw, unsigned cc)
{
	struct fx *f = fx_of(s);
	bool unmasked = sw & ~(unsigned)f->fcw & FSW_EXCEPTIONS;

	f->fsw = (uint16_t)((f->fsw & ~cc) | (sw & (cc | FSW_EXCEPTIONS | FSW_SF)));
	if (unlikely(unmasked)) {
		f->fsw |= FSW_ES | FSW_B;
		c->ferr_told = false;
	}
	x87_note(c, op, s, unmasked);
}

/* --- memory operands ----------------------------------------------------------------------------- */

/* As load() and store() have it: the TLB knows the page, and all is in it. */
static inline uint8_t *
direct(struct cpu *c, unsigned seg, uint64_t ea, unsigned size, bool write)
{
	const struct seg_cache *sc = &c->segc[seg];
	uint64_t lin = (sc->base + ea) & c->lin_mask;
	const struct tlb_entry *e = tlb_slot(c, lin);

	if (ea + size > (write ? sc->wend : sc->rend) ||
	    (lin & ~(uint64_t)X86_PAGE_MASK) != (write ? e->wtag : e->rtag) ||
	    (lin & X86_PAGE_MASK) > X86_PAGE_SIZE - size)
		return (NULL);
	if (write && *e->code != 0)
		return (NULL);
	return ((uint8_t *)(e->addend + lin));
}

static bool
load_parts(struct cpu *c, unsigned seg, uint64_t ea, uint8_t *to, unsigned size)
{
	for (unsigned done = 0, step; done < size; done += step) {
		uint64_t value;

		step = size - done >= 8 ? 8 : size - done;
		if (step & (step - 1)) /* 3, 5, 6, 7 */
			step = 1u << (31 - __builtin_clz(step));
		if (!load(c, seg, ea + done, step, &value))
			return (false);
		memcpy(to + done, &value, step);
	}
	return (true);
}

bool
load_bytes(struct cpu *c, unsigned seg, uint64_t ea, void *to, unsigned size)
{
	const uint8_t *host = direct(c, seg, ea, size, false);
	struct tlb_entry *tlb = c->tlb;
	bool ok;

	if (likely(host != NULL)) {
		memcpy(to, host, size);
		return (true);
	}
	if (size >= 16) { /* those of 10 are read in parts by processors too */
		if (!segment_check(c, seg, ea, size, false))
			return (false);
		forget_alignment(c);
	}
	ok = load_parts(c, seg, ea, to, size);
	c->tlb = tlb;
	return (ok);
}

static bool
store_parts(struct cpu *c, unsigned seg, uint64_t ea, const uint8_t *from, unsigned size)
{
	for (unsigned done = 0, step; done < size; done += step) {
		uint64_t value = 0;

		step = size - done >= 8 ? 8 : size - done;
		if (step & (step - 1))
			step = 1u << (31 - __builtin_clz(step));
		memcpy(&value, from + done, step);
		if (!store(c, seg, ea + done, step, value))
			return (false);
	}
	return (true);
}

bool
store_bytes(struct cpu *c, unsigned seg, uint64_t ea, const void *from, unsigned size)
{
	uint8_t *host = direct(c, seg, ea, size, true);
	struct tlb_entry *tlb = c->tlb;
	bool ok;

	if (likely(host != NULL)) {
		memcpy(host, from, size);
		return (true);
	}
	if (size >= 16)
		forget_alignment(c);
	ok = probe_write(c, seg, ea, size) && store_parts(c, seg, ea, from, size);
	c->tlb = tlb;
	return (ok);
}
