/* The list of what is left out; see left_out.h. */
#include <string.h>

#include "left_out.h"

#define FLAG_OF 0x800u
#define FLAGS_CMP 0x8d5u
#define BIT(reg) (1u << (reg))
#define LENGTH_286 10
#define VEC_DE 0
#define VEC_UD 6
#define VEC_SS 12
#define VEC_GP 13

/* An instruction's prefixes, opcode and ModRM byte. */
struct code {
	unsigned prefixes;
	bool lock;
	uint8_t opcode, modrm;
	uint8_t last; /* an 8-bit immediate, if it has one */
	unsigned length;
};

static bool
is_prefix(uint8_t b)
{
	return (b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || b == 0xf0 || b == 0xf2 ||
	    b == 0xf3);
}

static struct code
code_of(const struct moo_test *t)
{
	struct code c = {.length = t->nbytes};

	if (c.length > 0 && t->bytes[c.length - 1] == 0xf4)
		c.length--; /* the HLT behind it */
	while (c.prefixes < c.length && is_prefix(t->bytes[c.prefixes]))
		c.lock |= t->bytes[c.prefixes++] == 0xf0;
	if (c.prefixes < c.length)
		c.opcode = t->bytes[c.prefixes];
	if (c.prefixes + 1 < c.length)
		c.modrm = t->bytes[c.prefixes + 1];
	if (c.length > 0)
		c.last = t->bytes[c.length - 1];
	return (c);
}

/* May LOCK stand before it: a read-modify-write instruction with its destination in memory? */
static bool
may_lock(const struct code *c)
{
	unsigned reg = c->modrm >> 3 & 7;

	if (c->modrm >= 0xc0)
		return (false);
	switch (c->opcode) {
	case 0x80:
	case 0x81:
	case 0x82:
	case 0x83:
		return (reg != 7);
	case 0x86:
	case 0x87:
		return (true);
	case 0xf6:
	case 0xf7:
		return (reg == 2 || reg == 3);
	case 0xfe:
	case 0xff:
		return (reg < 2);
	default: /* ADD to XOR, not CMP */
		return (c->opcode < 0x38 && (c->opcode & 7) < 2);
	}
}

static bool
captured(const struct moo_test *t, int vector)
{
	return (vector < 0 ? !t->exception : t->exception && t->vector == vector);
}

/* Does nothing but registers of REGS and flags of FLAGS differ? */
static bool
only(const struct outcome *o, uint32_t regs, uint32_t flags)
{
	return (o->ended && (o->regs & ~regs) == 0 && (o->flags & ~flags) == 0);
}

/* --- the rules ---------------------------------------------------------------------------------- */

typedef bool rule_fn(const struct moo_test *t, const struct code *c, const struct outcome *o);

static bool
lock_refused(const struct moo_test *t, const struct code *c, const struct outcome *o)
{
	(void)t;
	return (c->lock && !may_lock(c) && o->raised == VEC_UD);
}

static bool
stack_limit(const struct moo_test *t, const struct code *c, const struct outcome *o)
{
	(void)c;
	return (captured(t, VEC_GP) && o->raised == VEC_SS);
}

static bool
string_restarts(const struct moo_test *t, const struct code *c, const struct outcome *o)
{
	bool string =
	    (c->opcode >= 0xa4 && c->opcode <= 0xaf && c->opcode != 0xa8 && c->opcode != 0xa9) ||
	    (c->opcode >= 0x6c && c->opcode <= 0x6f);
	bool compares = (c->opcode & 0xfe) == 0xa6 || (c->opcode & 0xfe) == 0xae;

	return (string && captured(t, VEC_GP) && o->raised == VEC_GP &&
	    only(o, BIT(REG_SI) | BIT(REG_DI) | BIT(REG_CX) | BIT(REG_FLAGS),
		compares ? FLAGS_CMP : 0));
}

static bool
pop_restarts(const struct moo_test *t, const struct code *c, const struct outcome *o)
{
	return (c->opcode == 0x8f && captured(t, VEC_GP) && o->raised == VEC_GP &&
	    only(o, BIT(REG_SP), 0));
}

static bool
fs_and_gs(const struct moo_test *t, const struct code *c, const struct outcome *o)
{
	unsigned reg = c->modrm >> 3 & 7;

	return ((c->opcode == 0x8c || c->opcode == 0x8e) && (reg == 4 || reg == 5) &&
	    captured(t, VEC_UD) && o->raised < 0);
}

/* The capture's list of bytes ends early for an undefined opcode, "(bad)". */
static bool
fifteen_bytes(const struct moo_test *t, const struct code *c, const struct outcome *o)
{
	bool undefined = strcmp(t->name, "(bad)") == 0 && o->raised == VEC_UD && c->prefixes > 4;

	return (captured(t, VEC_GP) && (undefined || (c->length > LENGTH_286 && o->raised < 0)));
}

static bool
overflow_of_shifts(const struct moo_test *t, const struct code *c, const struct outcome *o)
{
	bool immediate = (c->opcode & 0xfe) == 0xc0, by_cl = (c->opcode & 0xfe) == 0xd2;
	unsigned count = immediate ? c->last : t->before.reg[REG_CX] & 0xff;

	return ((immediate || by_cl) && (count & 31) > 1 && only(o, BIT(REG_FLAGS), FLAG_OF));
}

static bool
flags_of_aam(const struct moo_test *t, const struct code *c, const struct outcome *o)
{
	return (c->opcode == 0xd4 && c->last == 0 && captured(t, VEC_DE) && o->raised == VEC_DE &&
	    only(o, BIT(REG_FLAGS), FLAGS_CMP));
}

static bool
quotient_too_small(const struct moo_test *t, const struct code *c, const struct outcome *o)
{
	return ((c->opcode & 0xfe) == 0xf6 && (c->modrm >> 3 & 7) == 7 && captured(t, -1) &&
	    o->raised == VEC_DE);
}

static bool
no_x87(const struct moo_test *t, const struct code *c, const struct outcome *o)
{
	return ((c->opcode & 0xf8) == 0xd8 && captured(t, -1) &&
	    (o->raised == VEC_SS || o->raised == VEC_GP));
}

static const struct {
	rule_fn *fits;
	const char *reason;
} rules[] = {
    {lock_refused, "LOCK before what does not write memory is #UD (SDM vol. 2A, LOCK)"},
    {stack_limit,
	"an offset beyond SS's limit is #SS, on a 286 #GP (SDM vol. 2, real-mode exceptions)"},
    {string_restarts, "a string instruction that faults can be restarted (SDM vol. 3A, 6.5)"},
    {pop_restarts, "a POP to memory that faults leaves SP (SDM vol. 3A, 6.5)"},
    {fs_and_gs, "MOV knows FS and GS (SDM vol. 2B, MOV)"},
    {fifteen_bytes, "instructions may have 15 bytes, on a 286 10 (SDM vol. 3B, 23.25)"},
    {overflow_of_shifts, "OF is undefined after shifts by more than 1 (SDM vol. 2, RCL, SAL)"},
    {flags_of_aam, "AAM 0 changes no flags before #DE (SDM vol. 3A, 6.5)"},
    {quotient_too_small,
	"a quotient below -80h is #DE, which a 286 overlooks at times (SDM vol. 2A, IDIV)"},
    {no_x87, "an x87 is there, so its operand is checked in full (SDM vol. 2A)"},
};
#define RULES (sizeof(rules) / sizeof(rules[0]))

/* Captures of the 286 set that cannot be right, by their hash. */
static const struct {
	uint8_t hash[20];
	const char *reason;
} damaged[] = {
    {{0xea, 0xaf, 0x83, 0x5a, 0x66, 0x00, 0xa3, 0x51, 0xee, 0x70, 0x37, 0x5c, 0x7f, 0x69, 0x96,
	 0x93, 0x14, 0x11, 0xbc, 0xa5},
	"damaged capture C6 #1982: the memory it reads its vector from is not in it"},
    {{0xba, 0x5b, 0xb1, 0x6b, 0x5a, 0x43, 0x06, 0x33, 0x3a, 0x35, 0x9c, 0x3a, 0xbd, 0x21, 0x69,
	 0xb8, 0x71, 0xff, 0xa4, 0x2c},
	"damaged capture CD #2044: the CS that was pushed is not the one it started with"},
    {{0x7d, 0xf1, 0xd2, 0xa9, 0x48, 0xc4, 0x16, 0xf5, 0xa4, 0x41, 0x6e, 0x2f, 0x74, 0x7d, 0x2d,
	 0x35, 0x7d, 0x49, 0x75, 0x70},
	"damaged capture CE #1193: the CS that was pushed is not the one it started with"},
    {{0xab, 0x0c, 0xea, 0x0f, 0x2b, 0x89, 0xae, 0x46, 0x9a, 0x98, 0xea, 0xf2, 0x0d, 0xed, 0xc9,
	 0xff, 0x2c, 0xa0, 0x8c, 0x91},
	"damaged capture FF.3 #1141: the CS that was pushed is not the one it started with"},
};

int
left_out(const struct moo_test *t, const struct outcome *o, bool from_386)
{
	struct code c = code_of(t);

	for (unsigned i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++)
		if (memcmp(damaged[i].hash, t->hash, sizeof(t->hash)) == 0)
			return ((int)(RULES + i));
	for (unsigned i = 0; from_386 && i < RULES; i++)
		if (rules[i].fits(t, &c, o))
			return ((int)i);
	return (-1);
}

const char *
left_out_reason(unsigned index)
{
	if (index < RULES)
		return (rules[index].reason);
	index -= (unsigned)RULES;
	return (index < sizeof(damaged) / sizeof(damaged[0]) ? damaged[index].reason : NULL);
}
