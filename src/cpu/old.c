/*
 * Decoding for processors before the 386. The 8086 takes every byte for some instruction: which, is
 * from captures of the part (SingleStepTests) and from its decoder, whose terms do not look at all
 * bits. LOCK may stand before any instruction (8086 family user's manual, 2-48; 80286 programmer's
 * reference, LOCK), which Zydis does not take, so it is dropped.
 */
#include "cpu/old.h"

#include "cpu/flags.h"

#define REG(n) (1u << (n))
#define ALL_BUT_0 0xfe

const struct alias aliases_8086[] = {
    {.first = 0x0f, .last = 0x0f, .to = 0x07, .plain = do_8086_pop_cs},
    {.first = 0x60, .last = 0x6f, .to = 0x70, .low = 0x0f}, /* Jcc */
    {.first = 0x8e,
	.last = 0x8e,
	.regs = REG(1) | REG(5),
	.to = 0x8e,
	.clear = 0x38,
	.plain = do_8086_mov_cs},
    {.first = 0x8c, .last = 0x8c, .regs = 0xf0, .to = 0x8c, .clear = 0x20},
    {.first = 0x8e, .last = 0x8e, .regs = 0xf0, .to = 0x8e, .clear = 0x20},
    /*
     * A far pointer or an address of a register: the part takes the address that its last memory
     * operand had, which nothing here knows. It has the operand's length and does nothing.
     */
    {.first = 0x8d, .last = 0x8d, .regs = 0xff, .to = 0x84, .register_only = true, .plain = do_nop},
    {.first = 0xc4, .last = 0xc5, .regs = 0xff, .to = 0x84, .register_only = true, .plain = do_nop},
    {.first = 0xfe,
	.last = 0xff,
	.regs = REG(3) | REG(5),
	.to = 0x84,
	.register_only = true,
	.plain = do_nop},
    {.first = 0x8f, .last = 0x8f, .regs = ALL_BUT_0, .to = 0x8f, .clear = 0x38},
    {.first = 0xc0, .last = 0xc1, .to = 0xc2, .low = 1}, /* RET */
    {.first = 0xc8, .last = 0xc9, .to = 0xca, .low = 1}, /* RETF */
    {.first = 0xc6, .last = 0xc7, .regs = ALL_BUT_0, .to = 0xc6, .low = 1, .clear = 0x38},
    {.first = 0xd0,
	.last = 0xd3,
	.regs = REG(6),
	.to = 0xd0,
	.low = 3,
	.clear = 0x38,
	.set = 0x20,
	.plain = do_8086_setmo},
    {.first = 0xd8, .last = 0xdf, .regs = 0xff, .to = 0xd8, .clear = 0x38}, /* ESC */
    {.first = 0xf6, .last = 0xf7, .regs = REG(1), .to = 0xf6, .low = 1, .clear = 0x38},
    /* PUSH /7; FE with the byte forms of CALL, JMP and PUSH as words. */
    {.first = 0xfe, .last = 0xff, .regs = REG(7), .to = 0xff, .clear = 0x08},
    {.first = 0xfe, .last = 0xfe, .regs = REG(2) | REG(3) | REG(4) | REG(5) | REG(6), .to = 0xff},
    {0},
};

const struct alias aliases_286[] = {
    {.first = 0x64, .last = 0x67, .to = 0x90, .undefined = true}, /* no prefixes yet */
    {.first = 0xc6,
	.last = 0xc7,
	.regs = ALL_BUT_0,
	.to = 0xc6,
	.low = 1,
	.clear = 0x38,
	.undefined = true},
    {0},
};

/* LOCK, and F1 on an 8086. */
static bool
is_lock(const struct cpu *c, uint8_t b)
{
	return (b == 0xf0 || (b == 0xf1 && c->traits->lock_f1));
}

static bool
is_segment_prefix(uint8_t b)
{
	return (b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e);
}

/* Take the prefixes over, but for LOCK; returns how many there are. */
static unsigned
take_prefixes(const struct cpu *c, const uint8_t *code, unsigned available, struct old_code *old)
{
	unsigned in = 0, out = 0, last_segment = INSN_MAX, last_rep = INSN_MAX;

	for (; in < available; in++) {
		uint8_t b = code[in];

		if (is_lock(c, b))
			continue;
		if (is_segment_prefix(b))
			last_segment = in;
		else if (b == 0xf2 || b == 0xf3) {
			last_rep = in;
			old->rep = b == 0xf3 ? REP_E : REP_NE;
		} else
			break;
		old->bytes[out++] = b;
	}
	old->left_out = in - out;
	old->redundant = last_segment < last_rep ? last_segment : last_rep;
	if (old->redundant > in)
		old->redundant = in;
	return (in);
}

static const struct alias *
alias_of(const struct alias *a, const uint8_t *code, unsigned available)
{
	for (; available > 0 && a->last != 0; a++) {
		if (code[0] < a->first || code[0] > a->last)
			continue;
		if (a->regs == 0)
			return (a);
		if (available > 1 && (a->regs >> (code[1] >> 3 & 7) & 1) != 0 &&
		    (code[1] >= 0xc0 || !a->register_only))
			return (a);
	}
	return (NULL);
}

void
old_code_read(const struct cpu *c, const uint8_t *code, unsigned available, struct old_code *old)
{
	unsigned in = take_prefixes(c, code, available, old), out = in - old->left_out;
	const struct alias *a = alias_of(c->traits->aliases, code + in, available - in);

	old->alias = a;
	old->available = available - old->left_out;
	memcpy(old->bytes + out, code + in, available - in);
	if (a == NULL)
		return;
	old->bytes[out] = (uint8_t)(a->to | (code[in] & a->low));
	if (a->regs != 0)
		old->bytes[out + 1] = (uint8_t)((code[in + 1] & ~a->clear) | a->set);
}

void
old_code_bind(const struct cpu *c, const struct old_code *old, unsigned mnemonic, struct op *op)
{
	plain_fn *plain = old->alias != NULL ? old->alias->plain : NULL;

	for (const struct variant *v = c->traits->variants; plain == NULL && v->plain != NULL; v++)
		if (v->mnemonic == mnemonic)
			plain = v->plain;
	op->rep = old->rep;
	if (plain == NULL)
		return;
	op->fn = op_plain;
	op->plain = plain;
}

enum op_result
old_decimal_adjust(
    struct cpu *c, struct vcpu_state *s, bool subtract, bool low, bool high, bool carry)
{
	uint64_t al = RAX(s) & 0xff, by = (low ? 6u : 0u) + (high ? 0x60u : 0u);
	uint64_t result = (subtract ? al - by : al + by) & 0xff;

	gpr_write(&RAX(s), 1, result);
	if (subtract)
		flags_sub(c, al, by, result, 1);
	else
		flags_add(c, al, by, result, 1);
	flags_merge(c, (low ? RFLAGS_AF : 0) | (carry ? RFLAGS_CF : 0), RFLAGS_CF | RFLAGS_AF);
	return (OP_NEXT);
}
