/*
 * x87 control: control and status word, environment and state in the four formats of FNSTENV and
 * FNSAVE. SDM vol. 1, 8.1.10, figures 8-9 to 8-12.
 */
#include "cpu/fpu.h"

/* Control instructions do not wait and leave the pointers alone. */
static bool
available(struct cpu *c, const struct vcpu_state *s)
{
	if (likely(!(s->sregs.cr0 & (CR0_EM | CR0_TS))))
		return (true);
	fault(c, VEC_NM, CAUSE_INSTRUCTION);
	return (false);
}

/* Bits 0-5 and 8-12 exist; bit 6 is always 1 (SDM vol. 1, 8.1.5). */
static void
set_control(struct fx *f, uint64_t value)
{
	f->fcw = (uint16_t)((value & 0x1f3f) | 0x40);
}

enum op_result
do_x87_fldcw(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;
	uint64_t value;
	bool was = f->fsw & FSW_ES;

	if (!x87_ready(c, s, &result))
		return (result);
	if (!load(c, op->seg, op_ea(op, s), 2, &value))
		return (OP_FAULT);
	set_control(f, value);
	fx_summary(f);
	if (!was)
		c->ferr_told = false;
	return (OP_NEXT);
}

enum op_result
do_x87_fnstcw(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	if (!available(c, s) || !store(c, op->seg, op_ea(op, s), 2, fx_of(s)->fcw))
		return (OP_FAULT);
	return (OP_NEXT);
}

enum op_result
do_x87_fnstsw(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	if (!available(c, s) || !store(c, op->seg, op_ea(op, s), 2, fx_of(s)->fsw))
		return (OP_FAULT);
	return (OP_NEXT);
}

enum op_result
do_x87_fnstsw_ax(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	if (!available(c, s))
		return (OP_FAULT);
	gpr_write(&RAX(s), 2, fx_of(s)->fsw);
	return (OP_NEXT);
}

enum op_result
do_x87_fninit(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	if (!available(c, s))
		return (OP_FAULT);
	fx_init(fx_of(s));
	c->ferr_told = false;
	return (OP_NEXT);
}

enum op_result
do_x87_fnclex(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	if (!available(c, s))
		return (OP_FAULT);
	fx_of(s)->fsw &= (uint16_t) ~(FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B);
	c->ferr_told = false;
	return (OP_NEXT);
}

enum op_result
do_x87_fnop(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;

	if (!x87_ready(c, s, &result))
		return (result);
	x87_note(c, op, s, false);
	return (OP_NEXT);
}

/* FNENI, FNDISI (8087), FNSETPM (287): nothing since the 387. */
enum op_result
do_x87_nop(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (available(c, s) ? OP_NEXT : OP_FAULT);
}

/* --- the environment ------------------------------------------------------------------------------- */

/* Two bits a register: 0 valid, 1 zero, 2 special, 3 empty. */
static unsigned
full_tags(const struct fx *f)
{
	unsigned tags = 0;

	for (unsigned phys = 0; phys < 8; phys++) {
		const struct f80 *r = &f->st[(phys - fx_top(f)) & 7];
		unsigned exp = r->se & 0x7fff, tag = 0;

		if (!(f->ftw >> phys & 1))
			tag = 3;
		else if (exp == 0 && r->mant == 0)
			tag = 1;
		else if (exp == 0 || exp == 0x7fff || !(r->mant >> 63))
			tag = 2;
		tags |= tag << phys * 2;
	}
	return (tags);
}

static uint8_t
short_tags(uint64_t tags)
{
	uint8_t ftw = 0;

	for (unsigned i = 0; i < 8; i++)
		if ((tags >> i * 2 & 3) != 3)
			ftw |= (uint8_t)(1u << i);
	return (ftw);
}

static void
put(uint8_t *at, unsigned size, uint64_t value)
{
	memcpy(at, &value, size);
}

static uint64_t
get(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return (value);
}

/* Bytes of an environment by operand size 2 or 4. */
static unsigned
env_size(unsigned size)
{
	return (size == 2 ? 14 : 28);
}

static void
env_make(const struct cpu *c, const struct fx *f, unsigned size, uint8_t *env)
{
	uint64_t fcs = f->fip >> 32 & 0xffff, fds = f->fdp >> 32 & 0xffff;
	uint32_t fip = (uint32_t)f->fip, fdp = (uint32_t)f->fdp;
	unsigned fop = f->fop & 0x7ff;

	memset(env, 0xff, env_size(size));
	put(env, 2, f->fcw);
	put(env + size, 2, f->fsw);
	put(env + size * 2, 2, full_tags(f));
	if (is_protected(c)) {
		if (c->config.model >= CPU_X86_64)
			fcs = fds = 0;
		put(env + size * 3, size, fip);
		put(env + size * 4, 2, fcs);
		if (size == 4)
			put(env + 18, 2, fop);
		put(env + size * 5, size, fdp);
		put(env + size * 6, 2, fds);
		return;
	}
	fip += (uint32_t)fcs << 4;
	fdp += (uint32_t)fds << 4;
	put(env + size * 3, 2, fip);
	put(env + size * 4, size, (fip >> 16 << 12) | fop);
	put(env + size * 5, 2, fdp);
	put(env + size * 6, size, fdp >> 16 << 12);
}

static void
env_take(const struct cpu *c, struct fx *f, unsigned size, const uint8_t *env)
{
	uint64_t fip = get(env + size * 3, size), fdp = get(env + size * 5, size);
	uint64_t fcs = get(env + size * 4, size), fds = get(env + size * 6, size);

	fx_set_top(f, (unsigned)get(env + size, 2) >> FSW_TOP_SHIFT & 7);
	f->fsw = (uint16_t)get(env + size, 2);
	set_control(f, get(env, 2));
	f->ftw = short_tags(get(env + size * 2, 2));
	fx_summary(f);
	if (is_protected(c)) {
		f->fop = size == 4 ? (uint16_t)(fcs >> 16 & 0x7ff) : 0; /* 16 bits have none */
		if (c->config.model < CPU_X86_64) {
			fip |= (fcs & 0xffff) << 32;
			fdp |= (fds & 0xffff) << 32;
		}
	} else {
		f->fop = (uint16_t)(fcs & 0x7ff);
		fip = (fip & 0xffff) | (fcs >> 12 & 0xffff) << 16;
		fdp = (fdp & 0xffff) | (fds >> 12 & 0xffff) << 16;
	}
	f->fip = fip;
	f->fdp = fdp;
}

/*
 * Processors look at the first word of an image, then at the last byte, then at the rest: which of
 * several bad pages a fault names, and whether it is one of the limit.
 */
static bool
load_image(struct cpu *c, const struct op *op, uint64_t ea, uint8_t *to, unsigned size)
{
	struct tlb_entry *tlb = c->tlb;
	uint64_t value;
	bool ok;

	if (!load_sized(c, op->seg, ea, op->size, &value))
		return (false);
	forget_alignment(c);
	ok = load(c, op->seg, (ea + size - 1) & op->amask, 1, &value) &&
	    load_bytes(c, op->seg, ea, to, size);
	c->tlb = tlb;
	return (ok);
}

static bool
store_image(struct cpu *c, const struct op *op, uint64_t ea, const uint8_t *from, unsigned size)
{
	struct tlb_entry *tlb = c->tlb;
	bool ok;

	if (!probe_write(c, op->seg, ea, op->size))
		return (false);
	forget_alignment(c);
	ok = probe_write(c, op->seg, (ea + size - 1) & op->amask, 1) &&
	    store_bytes(c, op->seg, ea, from, size);
	c->tlb = tlb;
	return (ok);
}

enum op_result
do_x87_fldenv(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;
	uint8_t env[28];

	if (!x87_ready(c, s, &result))
		return (result);
	if (!load_image(c, op, op_ea(op, s), env, env_size(op->size)))
		return (OP_FAULT);
	env_take(c, fx_of(s), op->size, env);
	c->ferr_told = false;
	return (OP_NEXT);
}

/* Behind it all exceptions are masked. */
enum op_result
do_x87_fnstenv(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	uint8_t env[28];

	if (!available(c, s))
		return (OP_FAULT);
	env_make(c, f, op->size, env);
	if (!store_image(c, op, op_ea(op, s), env, env_size(op->size)))
		return (OP_FAULT);
	f->fcw |= FSW_EXCEPTIONS;
	fx_summary(f);
	return (OP_NEXT);
}

enum op_result
do_x87_frstor(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned head = env_size(op->size);
	struct fx *f = fx_of(s);
	enum op_result result;
	uint8_t image[28 + 80];

	if (!x87_ready(c, s, &result))
		return (result);
	if (!load_image(c, op, op_ea(op, s), image, head + 80))
		return (OP_FAULT);
	env_take(c, f, op->size, image);
	for (unsigned i = 0; i < 8; i++) {
		f->st[i] = (struct f80){0};
		memcpy(&f->st[i], image + head + i * 10, 10);
	}
	c->ferr_told = false;
	return (OP_NEXT);
}

enum op_result
do_x87_fnsave(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned head = env_size(op->size);
	struct fx *f = fx_of(s);
	uint8_t image[28 + 80];

	if (!available(c, s))
		return (OP_FAULT);
	env_make(c, f, op->size, image);
	for (unsigned i = 0; i < 8; i++)
		memcpy(image + head + i * 10, &f->st[i], 10);
	if (!store_image(c, op, op_ea(op, s), image, head + 80))
		return (OP_FAULT);
	fx_init(f);
	c->ferr_told = false;
	return (OP_NEXT);
}
