/* See gdb_regs.h. Features org.gnu.gdb.i386.core and .sse (GDB manual, G.5.9), and one of our own. */
#include "inspect/gdb_regs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cpu/disasm.h"

/* Where a register's bytes are. Offsets into struct vcpu_state. */
enum place { PLAIN, PC, SELECTOR, X87, X87_CONTROL };

struct reg {
	const char *name;
	const char *type; /* in the description; NULL: an integer */
	uint8_t size;
	uint8_t place;
	uint16_t offset;
};

#define GPR(name, size, n) \
	{ \
		name, NULL, size, PLAIN, offsetof(struct vcpu_state, gpr.reg[n]) \
	}
#define FIELD(name, size, field) \
	{ \
		name, NULL, size, PLAIN, offsetof(struct vcpu_state, field) \
	}
#define SEL(name, n) \
	{ \
		name, "int32", 4, SELECTOR, n \
	}
#define ST(n) \
	{ \
		"st" #n, "i387_ext", 10, X87, 32 + 16 * n \
	}
#define CONTROL(name, n) \
	{ \
		name, "int", 4, X87_CONTROL, n \
	}
#define XMM(n) \
	{ \
		"xmm" #n, "vec128", 16, PLAIN, \
		    offsetof(struct vcpu_state, fpu.fxsave) + 160 + 16 * n \
	}
#define SEGMENTS_AND_X87 \
	SEL("cs", SEG_CS), SEL("ss", SEG_SS), SEL("ds", SEG_DS), SEL("es", SEG_ES), \
	    SEL("fs", SEG_FS), SEL("gs", SEG_GS), VCPU_EACH_8(ST), CONTROL("fctrl", 0), \
	    CONTROL("fstat", 1), CONTROL("ftag", 2), CONTROL("fiseg", 3), CONTROL("fioff", 4), \
	    CONTROL("foseg", 5), CONTROL("fooff", 6), CONTROL("fop", 7)
#define MXCSR \
	{ \
		"mxcsr", "i386_mxcsr", 4, PLAIN, offsetof(struct vcpu_state, fpu.fxsave) + 24 \
	}
#define SYSTEM \
	FIELD("cr0", 8, sregs.cr0), FIELD("cr2", 8, sregs.cr2), FIELD("cr3", 8, sregs.cr3), \
	    FIELD("cr4", 8, sregs.cr4), FIELD("efer", 8, sregs.efer), \
	    FIELD("cs_base", 8, sregs.seg[SEG_CS].base), \
	    FIELD("ss_base", 8, sregs.seg[SEG_SS].base), \
	    FIELD("ds_base", 8, sregs.seg[SEG_DS].base), \
	    FIELD("es_base", 8, sregs.seg[SEG_ES].base), FIELD("gdtr", 8, sregs.gdtr.base), \
	    FIELD("idtr", 8, sregs.idtr.base)

static const struct reg regs32[] = {
    GPR("eax", 4, GPR_RAX),
    GPR("ecx", 4, GPR_RCX),
    GPR("edx", 4, GPR_RDX),
    GPR("ebx", 4, GPR_RBX),
    {"esp", "data_ptr", 4, PLAIN, offsetof(struct vcpu_state, gpr.reg[GPR_RSP])},
    {"ebp", "data_ptr", 4, PLAIN, offsetof(struct vcpu_state, gpr.reg[GPR_RBP])},
    GPR("esi", 4, GPR_RSI),
    GPR("edi", 4, GPR_RDI),
    {"eip", "code_ptr", 4, PC, 0},
    {"eflags", "i386_eflags", 4, PLAIN, offsetof(struct vcpu_state, gpr.rflags)},
    SEGMENTS_AND_X87,
    VCPU_EACH_8(XMM),
    MXCSR,
    SYSTEM,
};

static const struct reg regs64[] = {
    GPR("rax", 8, GPR_RAX),
    GPR("rbx", 8, GPR_RBX),
    GPR("rcx", 8, GPR_RCX),
    GPR("rdx", 8, GPR_RDX),
    GPR("rsi", 8, GPR_RSI),
    GPR("rdi", 8, GPR_RDI),
    {"rbp", "data_ptr", 8, PLAIN, offsetof(struct vcpu_state, gpr.reg[GPR_RBP])},
    {"rsp", "data_ptr", 8, PLAIN, offsetof(struct vcpu_state, gpr.reg[GPR_RSP])},
    GPR("r8", 8, GPR_R8),
    GPR("r9", 8, GPR_R9),
    GPR("r10", 8, GPR_R10),
    GPR("r11", 8, GPR_R11),
    GPR("r12", 8, GPR_R12),
    GPR("r13", 8, GPR_R13),
    GPR("r14", 8, GPR_R14),
    GPR("r15", 8, GPR_R15),
    {"rip", "code_ptr", 8, PC, 0},
    {"eflags", "i386_eflags", 4, PLAIN, offsetof(struct vcpu_state, gpr.rflags)},
    SEGMENTS_AND_X87,
    VCPU_EACH_16(XMM),
    MXCSR,
    SYSTEM,
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum gdb_set
gdb_set_of(const struct vcpu_state *state)
{
	static const enum gdb_set sets[] = {
	    [16 / 16] = GDB_I8086, [32 / 16] = GDB_I386, [64 / 16] = GDB_X86_64};

	return (sets[disasm_bits(state) / 16]);
}

static const struct reg *
reg_of(enum gdb_set set, unsigned n)
{
	return (set == GDB_X86_64 ? &regs64[n] : &regs32[n]);
}

unsigned
gdb_reg_count(enum gdb_set set)
{
	return (set == GDB_X86_64 ? COUNT(regs64) : COUNT(regs32));
}

unsigned
gdb_reg_size(enum gdb_set set, unsigned n)
{
	return (reg_of(set, n)->size);
}

/* --- x87: GDB has each register of the environment as 32 bits ------------------------------------------- */

/* The full tag word (two bits a register) from FXSAVE's abridged one: valid or empty. */
static uint16_t
full_tags(uint8_t abridged)
{
	uint16_t tags = 0;

	for (unsigned i = 0; i < 8; i++)
		if (!(abridged >> i & 1))
			tags |= (uint16_t)(3u << 2 * i);
	return (tags);
}

static uint32_t
control_get(const uint8_t *fxsave, unsigned n)
{
	uint16_t word[4];
	uint32_t ip, dp;

	memcpy(word, fxsave, sizeof(word)); /* FCW, FSW, FTW, FOP */
	memcpy(&ip, fxsave + 8, sizeof(ip));
	memcpy(&dp, fxsave + 16, sizeof(dp));
	switch (n) {
	case 0:
	case 1:
		return (word[n]);
	case 2:
		return (full_tags((uint8_t)word[2]));
	case 4:
		return (ip);
	case 6:
		return (dp);
	case 7:
		return (word[3]);
	default:
		return (0); /* selectors: not kept by current processors */
	}
}

static void
control_set(uint8_t *fxsave, unsigned n, uint32_t value)
{
	uint8_t tags = 0;

	if (n == 0 || n == 1)
		memcpy(fxsave + 2 * n, &value, 2);
	if (n != 2)
		return;
	for (unsigned i = 0; i < 8; i++)
		if ((value >> 2 * i & 3) != 3)
			tags |= (uint8_t)(1u << i);
	fxsave[4] = tags;
}

/* --- getting and setting ---------------------------------------------------------------------------------- */

/* What CS adds to RIP. */
static uint64_t
code_base(const struct vcpu_state *state)
{
	return (disasm_bits(state) == 64 ? 0 : state->sregs.seg[SEG_CS].base);
}

void
gdb_reg_get(enum gdb_set set, unsigned n, const struct vcpu_state *state, uint8_t *buf)
{
	const struct reg *r = reg_of(set, n);
	uint64_t value = 0;

	switch (r->place) {
	case PLAIN:
		memcpy(buf, (const char *)state + r->offset, r->size);
		return;
	case X87:
		memcpy(buf, state->fpu.fxsave + r->offset, r->size);
		return;
	case PC:
		value = code_base(state) + state->gpr.rip;
		break;
	case SELECTOR:
		value = state->sregs.seg[r->offset].selector;
		break;
	default:
		value = control_get(state->fpu.fxsave, r->offset);
		break;
	}
	memcpy(buf, &value, r->size);
}

unsigned
gdb_reg_set(enum gdb_set set, unsigned n, struct vcpu_state *state, const uint8_t *buf)
{
	const struct reg *r = reg_of(set, n);
	uint64_t value = 0;

	if (r->size <= sizeof(value))
		memcpy(&value, buf, r->size);
	switch (r->place) {
	case PLAIN:
		memcpy((char *)state + r->offset, buf, r->size);
		return (VCPU_ALL);
	case X87:
		memcpy(state->fpu.fxsave + r->offset, buf, r->size);
		return (VCPU_FPU);
	case PC:
		state->gpr.rip = value - code_base(state);
		return (VCPU_GPR);
	case SELECTOR:
		/* The selector alone: a real-mode segment follows it, others keep their descriptor. */
		state->sregs.seg[r->offset].selector = (uint16_t)value;
		if (!(state->sregs.cr0 & CR0_PE))
			state->sregs.seg[r->offset].base = (value & 0xffff) << 4;
		return (VCPU_SREGS);
	default:
		control_set(state->fpu.fxsave, r->offset, (uint32_t)value);
		return (VCPU_FPU);
	}
}

/* --- the description ---------------------------------------------------------------------------------------- */

struct text {
	char *buf;
	size_t size, used;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->buf + t->used, t->size - t->used, format, args);
	va_end(args);
	if (n > 0 && (size_t)n < t->size - t->used)
		t->used += (size_t)n;
}

static void
add_flags_types(struct text *t)
{
	static const char *const flags[] = {"CF", "", "PF", "", "AF", "", "ZF", "SF", "TF", "IF",
	    "DF", "OF", "", "", "NT", "", "RF", "VM", "AC", "VIF", "VIP", "ID"};

	add(t, "<flags id=\"i386_eflags\" size=\"4\">");
	for (unsigned i = 0; i < COUNT(flags); i++)
		if (flags[i][0] != '\0')
			add(t, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags[i], i, i);
	add(t, "</flags>");
}

static void
add_vector_types(struct text *t)
{
	add(t,
	    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
	    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
	    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
	    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
	    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
	    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
	    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
	    "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
	    "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
	    "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/>"
	    "</union><flags id=\"i386_mxcsr\" size=\"4\"><field name=\"IE\" start=\"0\" end=\"0\"/>"
	    "<field name=\"DE\" start=\"1\" end=\"1\"/><field name=\"ZE\" start=\"2\" end=\"2\"/>"
	    "</flags>");
}

/* Registers FROM up to, but not with, the one called END (NULL: the last). */
static unsigned
add_registers(struct text *t, enum gdb_set set, unsigned from, const char *end)
{
	unsigned n = from;

	for (; n < gdb_reg_count(set); n++) {
		const struct reg *r = reg_of(set, n);

		if (end != NULL && strcmp(r->name, end) == 0)
			break;
		add(t, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", r->name, r->size * 8u,
		    r->type != NULL    ? r->type
			: r->size == 8 ? "int64"
				       : "int32");
	}
	return (n);
}

void
gdb_target_xml(enum gdb_set set, char *buf, size_t size)
{
	static const char *const architectures[] = {"i8086", "i386", "i386:x86-64"};
	struct text t = {buf, size, 0};
	unsigned n;

	add(&t,
	    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
	    "<architecture>%s</architecture>",
	    architectures[set]);
	add(&t, "<feature name=\"org.gnu.gdb.i386.core\">");
	add_flags_types(&t);
	n = add_registers(&t, set, 0, "xmm0");
	add(&t, "</feature><feature name=\"org.gnu.gdb.i386.sse\">");
	add_vector_types(&t);
	n = add_registers(&t, set, n, "cr0");
	add(&t, "</feature><feature name=\"org.hyve86.system\">");
	add_registers(&t, set, n, NULL);
	add(&t, "</feature></target>");
}
