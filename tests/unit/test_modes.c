/*
 * An instruction does the same in every mode. What user-mode instructions do is measured against the
 * host's processor elsewhere, in 64-bit mode and under it; here each of them runs in real mode,
 * virtual-8086 mode, 16-bit and 32-bit protected mode, compatibility and 64-bit mode on the same
 * registers and memory, with the prefixes that make its operands and addresses as wide, and leaves the
 * same registers, flags, memory and exception. 32-bit protected mode is what the others are held against.
 *
 * Left out is what the SDM defines by mode: system instructions, segment loads, far transfers, and the
 * x87's environment, whose layout depends on the mode (vol. 1, 8.1.10).
 */
#include "unit.h"

#include <stdio.h>

#include <Zydis/Zydis.h>

#include "modes.h"
#include "random_program.h"

/* All below 64 KB, where every mode reaches. */
#define CODE_END 0x1000u
#define DATA 0x8000u
#define WINDOW 0x7000u /* around DATA: bit instructions reach far */
#define WINDOW_SIZE 0x3000u
#define STACK 0xe000u
#define STACK_SIZE 0x100u /* as much below STACK as above it */
#define FLAGS 0xcd5u
#define LENGTH_MAX 15

static const ZydisMachineMode machine_modes[MODES] = {ZYDIS_MACHINE_MODE_REAL_16,
    ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32,
    ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_MACHINE_MODE_LONG_64};

struct code {
	uint8_t bytes[LENGTH_MAX];
	unsigned prefixes; /* the first of the bytes */
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
};

/* What an instruction starts from, and what it leaves. */
struct outcome {
	uint32_t reg[8];
	uint32_t flags;
	uint32_t rip; /* from its end */
	int vector;   /* or -1 */
	uint8_t fpu[416];
	uint8_t data[WINDOW_SIZE], stack[2 * STACK_SIZE];
};

/* --- running --------------------------------------------------------------------------------------- */

/* Run CODE in MODE on what O has, which becomes what it leaves. */
static void
run(struct rig *r, enum mode mode, const struct code *code, struct outcome *o)
{
	uint64_t start = CODE_END - code->insn.length;
	struct vcpu_state *s = &r->state;
	enum cpu_exit end;

	rig_enter(r, mode, mode == V86 ? 3 : 0, 3);
	for (unsigned i = 0; i < 8; i++)
		s->gpr.reg[i] = o->reg[i];
	s->gpr.rflags |= o->flags;
	s->gpr.rip = start;
	memcpy(s->fpu.fxsave, o->fpu, sizeof(o->fpu));
	memory_write(&r->memory, start, code->bytes, code->insn.length);
	memory_write(&r->memory, WINDOW, o->data, sizeof(o->data));
	memory_write(&r->memory, STACK - STACK_SIZE, o->stack, sizeof(o->stack));
	cpu_push(r->cpu, VCPU_ALL);
	do
		end = cpu_run(r->cpu, 1);
	while (end == CPU_EXIT_BUDGET && s->gpr.rip == start); /* REP */
	cpu_pull(r->cpu);
	o->vector = end == CPU_EXIT_TRIPLE_FAULT ? rig_vector(r) : -1;
	for (unsigned i = 0; i < 8; i++)
		o->reg[i] = (uint32_t)s->gpr.reg[i];
	o->flags = (uint32_t)s->gpr.rflags & FLAGS;
	o->rip = o->vector < 0 ? (uint32_t)s->gpr.rip - CODE_END : 0;
	memcpy(o->fpu, s->fpu.fxsave, sizeof(o->fpu));
	memset(o->fpu + 6, 0, 18); /* the opcode and the pointers, which are by mode */
	memory_read(&r->memory, WINDOW, o->data, sizeof(o->data));
	memory_read(&r->memory, STACK - STACK_SIZE, o->stack, sizeof(o->stack));
}

/* --- the instructions --------------------------------------------------------------------------------- */

static bool
decode(enum mode mode, struct code *code)
{
	static ZydisDecoder decoders[MODES];
	static bool ready;

	for (unsigned i = 0; !ready && i < MODES; i++)
		ZydisDecoderInit(&decoders[i], machine_modes[i],
		    i < PM32	      ? ZYDIS_STACK_WIDTH_16
			: i == LONG64 ? ZYDIS_STACK_WIDTH_64
				      : ZYDIS_STACK_WIDTH_32);
	ready = true;
	return (ZYAN_SUCCESS(ZydisDecoderDecodeFull(
	    &decoders[mode], code->bytes, sizeof(code->bytes), &code->insn, code->operand)));
}

/* Is it by mode what this instruction does? */
static bool
is_left_out(const struct code *code)
{
	static const ZydisMnemonic by_mode[] = {ZYDIS_MNEMONIC_ARPL, ZYDIS_MNEMONIC_CLI,
	    ZYDIS_MNEMONIC_CLTS, ZYDIS_MNEMONIC_CPUID, ZYDIS_MNEMONIC_FLDENV, ZYDIS_MNEMONIC_FNSAVE,
	    ZYDIS_MNEMONIC_FNSTENV, ZYDIS_MNEMONIC_FRSTOR, ZYDIS_MNEMONIC_FXRSTOR,
	    ZYDIS_MNEMONIC_FXSAVE, ZYDIS_MNEMONIC_HLT, ZYDIS_MNEMONIC_INT1, ZYDIS_MNEMONIC_INVD,
	    ZYDIS_MNEMONIC_INVLPG, ZYDIS_MNEMONIC_LAR, ZYDIS_MNEMONIC_LDS, ZYDIS_MNEMONIC_LES,
	    ZYDIS_MNEMONIC_LFS, ZYDIS_MNEMONIC_LGS, ZYDIS_MNEMONIC_LSL, ZYDIS_MNEMONIC_LSS,
	    ZYDIS_MNEMONIC_MONITOR, ZYDIS_MNEMONIC_MWAIT, ZYDIS_MNEMONIC_POPF, ZYDIS_MNEMONIC_POPFD,
	    ZYDIS_MNEMONIC_PUSHF, ZYDIS_MNEMONIC_PUSHFD, ZYDIS_MNEMONIC_RDMSR, ZYDIS_MNEMONIC_RDPMC,
	    ZYDIS_MNEMONIC_RDRAND, ZYDIS_MNEMONIC_RDTSC, ZYDIS_MNEMONIC_RDTSCP, ZYDIS_MNEMONIC_STI,
	    ZYDIS_MNEMONIC_SWAPGS, ZYDIS_MNEMONIC_VMCALL, ZYDIS_MNEMONIC_WBINVD,
	    ZYDIS_MNEMONIC_WRMSR, ZYDIS_MNEMONIC_XRSTOR, ZYDIS_MNEMONIC_XSAVE,
	    ZYDIS_MNEMONIC_XSETBV};
	const ZydisDecodedInstruction *insn = &code->insn;

	if (insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ||
	    insn->meta.category == ZYDIS_CATEGORY_INTERRUPT ||
	    insn->mnemonic == ZYDIS_MNEMONIC_IRET || insn->mnemonic == ZYDIS_MNEMONIC_IRETD ||
	    insn->meta.category == ZYDIS_CATEGORY_SYSTEM ||
	    insn->meta.category == ZYDIS_CATEGORY_SYSCALL ||
	    insn->meta.category == ZYDIS_CATEGORY_SYSRET ||
	    insn->meta.category == ZYDIS_CATEGORY_IO ||
	    insn->meta.category == ZYDIS_CATEGORY_IOSTRINGOP ||
	    insn->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return (true);
	for (unsigned i = 0; i < sizeof(by_mode) / sizeof(by_mode[0]); i++)
		if (insn->mnemonic == by_mode[i])
			return (true);
	for (unsigned i = 0; i < insn->operand_count_visible; i++) {
		ZydisRegisterClass class = ZydisRegisterGetClass(code->operand[i].reg.value);

		if (code->operand[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (class == ZYDIS_REGCLASS_SEGMENT || class == ZYDIS_REGCLASS_CONTROL ||
			class == ZYDIS_REGCLASS_DEBUG || class == ZYDIS_REGCLASS_TEST))
			return (true);
	}
	return (false);
}

static bool
same_operand(const ZydisDecodedOperand *a, const ZydisDecodedOperand *b)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(a->reg.value);

	if (a->type != b->type)
		return (false);
	if (a->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return (a->size == b->size);
	if (class != ZydisRegisterGetClass(b->reg.value) &&
	    a->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
		return (false);
	/* The flags, the instruction and stack pointers are as wide as the mode has them. */
	return (a->size == b->size || a->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN);
}

/* The same instruction, with operands as wide? */
static bool
same(const struct code *a, const struct code *b)
{
	/* To SSE the mode's operand size is nothing. */
	bool sized = a->insn.meta.isa_ext == ZYDIS_ISA_EXT_BASE;

	if (a->insn.mnemonic != b->insn.mnemonic ||
	    a->insn.operand_count != b->insn.operand_count ||
	    (sized && a->insn.operand_width != b->insn.operand_width))
		return (false);
	for (unsigned i = 0; i < a->insn.operand_count; i++)
		if (!same_operand(&a->operand[i], &b->operand[i]))
			return (false);
	return (true);
}

static bool
is_string(const struct code *code)
{
	return (code->insn.meta.category == ZYDIS_CATEGORY_STRINGOP);
}

/*
 * OUT is the instruction that IN is in 32-bit mode, as MODE has it: with or without 66h and 67h.
 * False: it has none.
 */
static bool
translate(enum mode mode, const struct code *in, struct code *out)
{
	for (unsigned choice = 0; choice < 4; choice++) {
		bool operand_size = choice & 1, address_size = choice & 2;
		unsigned n = 0;

		memset(out->bytes, 0, sizeof(out->bytes));
		if (address_size)
			out->bytes[n++] = 0x67;
		if (operand_size)
			out->bytes[n++] = 0x66;
		for (unsigned i = 0; i < in->insn.length && n < LENGTH_MAX; i++)
			if (i >= in->prefixes || in->bytes[i] != 0x66)
				out->bytes[n++] = in->bytes[i];
		if (decode(mode, out) && same(in, out) &&
		    (out->insn.address_width == in->insn.address_width ||
			(mode == LONG64 && !address_size && !is_string(in))))
			return (true);
	}
	return (false);
}

/* --- comparing ------------------------------------------------------------------------------------------ */

static void
start_with(struct outcome *o, uint64_t *random)
{
	static const uint32_t pointers[8] = {[GPR_RSP] = STACK,
	    [GPR_RBP] = DATA + 0x300,
	    [GPR_RBX] = DATA + 0x40,
	    [GPR_RSI] = DATA + 0x100,
	    [GPR_RDI] = DATA + 0x200};
	uint64_t word;

	memset(o, 0, sizeof(*o));
	for (unsigned i = 0; i < 8; i++)
		o->reg[i] = pointers[i] != 0 ? pointers[i] : (uint32_t)random64(random);
	o->reg[GPR_RCX] = 3;
	o->reg[GPR_RDX] &= 0xff;
	o->flags = (uint32_t)random64(random) & 0x8d5;
	for (unsigned i = 0; i < WINDOW_SIZE; i += sizeof(word)) {
		word = random64(random);
		memcpy(o->data + i, &word, sizeof(word));
	}
	for (unsigned i = 0; i < 2 * STACK_SIZE; i++)
		o->stack[i] = (uint8_t)(i * 7);
	/* An x87 with four numbers in it, SSE with numbers in all registers. */
	o->fpu[0] = 0x7f;
	o->fpu[1] = 0x03;
	o->fpu[3] = 4 << 3;
	o->fpu[4] = 0xf0;
	o->fpu[24] = 0x80;
	o->fpu[25] = 0x1f;
	for (unsigned i = 0; i < 4; i++) {
		o->fpu[32 + i * 16 + 7] = (uint8_t)(0x80 | random64(random));
		o->fpu[32 + i * 16 + 8] = (uint8_t)(0xfe + i);
		o->fpu[32 + i * 16 + 9] = 0x3f;
	}
	for (unsigned i = 0; i < 8; i++)
		for (unsigned j = 0; j < 4; j++)
			o->fpu[160 + i * 16 + j * 4 + 3] = (uint8_t)(0x38 + (random64(random) & 7));
}

static void
show(const char *what, const struct outcome *o)
{
	print_error(
	    "%s: vector %d rip %+d flags %x eax %x ecx %x edx %x ebx %x esp %x ebp %x esi %x "
	    "edi %x\n",
	    what, o->vector, (int)o->rip, o->flags, o->reg[0], o->reg[1], o->reg[2], o->reg[3],
	    o->reg[4], o->reg[5], o->reg[6], o->reg[7]);
}

static bool
differs(enum mode mode, const struct code *code, const struct outcome *is,
    const struct outcome *expected)
{
	if (memcmp(is, expected, sizeof(*is)) == 0)
		return (false);
	print_error(
	    "%s in %s mode:", ZydisMnemonicGetString(code->insn.mnemonic), mode_names[mode]);
	for (unsigned i = 0; i < code->insn.length; i++)
		print_error(" %02x", code->bytes[i]);
	print_error("\n");
	show("is", is);
	show("expected", expected);
	for (size_t i = 0; i < sizeof(is->fpu); i++)
		if (is->fpu[i] != expected->fpu[i])
			print_error("FPU image, byte %zu: %02x, expected %02x\n", i, is->fpu[i],
			    expected->fpu[i]);
	if (memcmp(is->data, expected->data, WINDOW_SIZE) != 0)
		print_error("data differ\n");
	if (memcmp(is->stack, expected->stack, sizeof(is->stack)) != 0)
		print_error("stacks differ\n");
	return (true);
}

/* Run CODE, of 32-bit mode, in all modes; how many leave something else. */
static unsigned
compare_modes(struct rig *r, const struct code *code, uint64_t *random, unsigned *compared)
{
	struct outcome start, expected, o;
	struct code other;
	unsigned bad = 0;

	start_with(&start, random);
	expected = start;
	run(r, PM32, code, &expected);
	for (enum mode mode = REAL; mode < MODES; mode++) {
		if (mode == PM32 || !translate(mode, code, &other))
			continue;
		/* 64-bit mode has no limits. */
		if (mode == LONG64 && expected.vector >= 0)
			continue;
		o = start;
		run(r, mode, &other, &o);
		bad += differs(mode, &other, &o, &expected);
		++*compared;
	}
	return (bad);
}

/* An instruction of PREFIX, MAP, OPCODE and MODRM in 32-bit mode, with small immediates. */
static bool
make(struct code *code, uint8_t prefix, const char *map, unsigned opcode, unsigned modrm)
{
	unsigned n = 0;

	memset(code, 0, sizeof(*code));
	if (prefix != 0)
		code->bytes[n++] = prefix;
	code->prefixes = n;
	for (; *map != '\0'; map++)
		code->bytes[n++] = (uint8_t)*map;
	code->bytes[n++] = (uint8_t)opcode;
	code->bytes[n++] = (uint8_t)modrm;
	code->bytes[n] = 0x10; /* an address in DATA, or an immediate */
	code->bytes[n + 1] = 0x80;
	if (!decode(PM32, code) || code->insn.opcode != opcode ||
	    code->insn.raw.prefix_count != code->prefixes || is_left_out(code))
		return (false);
	/* Without ModRM the byte behind the opcode is an immediate's, which MOV has as an address. */
	if (!(code->insn.attributes & ZYDIS_ATTRIB_HAS_MODRM) && (opcode & 0xf8) != 0xd8) {
		if (modrm != 0xc0)
			return (false);
		code->bytes[n - 1] = 0x10;
		code->bytes[n] = code->insn.mnemonic == ZYDIS_MNEMONIC_MOV ? DATA >> 8 : 0;
		code->bytes[n + 1] = 0;
		decode(PM32, code);
	}
	/* A prefix that says nothing new. */
	return (prefix == 0 || prefix == 0x66 || is_string(code) ||
	    (code->insn.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPNE)) == 0);
}

/* Memory at EBX, register 1, and all of what has its operation in ModRM. */
static bool
modrm_wanted(unsigned map, unsigned opcode, unsigned modrm)
{
	if (map == 0 && (opcode & 0xf8) == 0xd8 && modrm >= 0xc0)
		return (true);
	return ((modrm & 0xc7) == 0x03 || (modrm & 0xc7) == 0xc1 || modrm == 0xc0);
}

static void
all_modes_alike(void **state)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3};
	static const char *const maps[] = {"", "\x0f", "\x0f\x38", "\x0f\x3a"};
	uint64_t random = 1;
	unsigned bad = 0, compared = 0;
	struct code code;
	struct rig r;

	(void)state;
	rig_init(&r);
	for (unsigned p = 0; p < sizeof(prefixes); p++)
		for (unsigned m = 0; m < COUNT(maps); m++)
			for (unsigned i = 0; i < 0x10000 && bad < 20; i++)
				if (modrm_wanted(m, i >> 8, i & 0xff) &&
				    make(&code, prefixes[p], maps[m], i >> 8, i & 0xff))
					bad += compare_modes(&r, &code, &random, &compared);
	rig_fini(&r);
	assert_int_equal(bad, 0);
	assert_true(compared > 10000);
}

/* INT3 through a task gate to no TSS: the EXT bit is 0, as for every instruction's exception. */
static void
task_gate_of_int3(void **state)
{
	struct vcpu_history history;
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_enter(&r, PM32, 0, 0);
	memory_put32(&r.memory, 0x18, 0x10 << 16);
	memory_put32(&r.memory, 0x1c, 0x8500);
	memory_put8(&r.memory, 0x1000, 0xcc);
	r.state.sregs.idtr.limit = 0x1f;
	r.state.sregs.gdtr.limit = 7;
	r.state.gpr.rip = 0x1000;
	cpu_push(r.cpu, VCPU_ALL);
	assert_int_equal(cpu_run(r.cpu, 1), CPU_EXIT_TRIPLE_FAULT);
	cpu_history(r.cpu, &history);
	assert_int_equal(history.faults[0].vector, 13);
	assert_int_equal(history.faults[0].error, 0x10);
	rig_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_modes_alike),
	    cmocka_unit_test(task_gate_of_int3),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
