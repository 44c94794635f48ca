/*
 * Which exception system instructions raise in each mode, at privilege 0 and 3 with IOPL 0: SDM vol. 2,
 * each instruction's tables of exceptions.
 */
#include "modes.h"

#define CODE 0x1000u
#define DATA 0x8000u
#define STACK 0xe000u

#define OK (-1)
#define UD 6
#define GP 13
#define TAKEN (-2) /* an interrupt was on its way: there is no IDT */
#define NONE (-3)  /* there is no such instruction */

/* Registers are: AX = 1, CX = 0, BX and DI where zeros are, which the ModRM byte 07 reads. */
struct row {
	const char *name;
	const char *code;
	size_t n;
	int real, v86, ring0, ring3;
	int long0, long3; /* in 64-bit mode */
	bool sizes;	  /* also with an operand-size prefix */
	uint32_t ecx;
};
#define CODE_OF(code) code, sizeof(code) - 1
#define ALL(e) e, e, e, e, e, e
/* For privilege 0 alone, and so refused in virtual-8086 mode. */
#define RING0 OK, GP, OK, GP, OK, GP
/* In protected mode alone. */
#define PROTECTED(ring0, ring3) UD, UD, ring0, ring3, ring0, ring3

static const struct row rows[] = {
    {"ARPL", CODE_OF("\x63\xc8"), UD, UD, OK, OK, NONE, NONE, false, 0},
    {"LAR", CODE_OF("\x0f\x02\xc1"), PROTECTED(OK, OK), true, 0},
    {"LSL", CODE_OF("\x0f\x03\xc1"), PROTECTED(OK, OK), true, 0},
    {"VERR", CODE_OF("\x0f\x00\xe1"), PROTECTED(OK, OK), false, 0},
    {"VERW", CODE_OF("\x0f\x00\xe9"), PROTECTED(OK, OK), false, 0},
    {"SLDT", CODE_OF("\x0f\x00\xc0"), PROTECTED(OK, OK), true, 0},
    {"STR", CODE_OF("\x0f\x00\xc8"), PROTECTED(OK, OK), true, 0},
    {"LLDT of null", CODE_OF("\x0f\x00\xd1"), PROTECTED(OK, GP), false, 0},
    {"LTR of null", CODE_OF("\x0f\x00\xd9"), PROTECTED(GP, GP), false, 0},
    {"LGDT", CODE_OF("\x0f\x01\x17"), RING0, true, 0},
    {"LIDT", CODE_OF("\x0f\x01\x1f"), RING0, true, 0},
    {"SGDT", CODE_OF("\x0f\x01\x07"), ALL(OK), true, 0},
    {"SIDT", CODE_OF("\x0f\x01\x0f"), ALL(OK), true, 0},
    {"SMSW", CODE_OF("\x0f\x01\xe1"), ALL(OK), true, 0},
    {"LMSW", CODE_OF("\x0f\x01\xf0"), RING0, false, 0},
    {"CLTS", CODE_OF("\x0f\x06"), RING0, false, 0},
    {"INVD", CODE_OF("\x0f\x08"), RING0, false, 0},
    {"WBINVD", CODE_OF("\x0f\x09"), RING0, false, 0},
    {"INVLPG", CODE_OF("\x0f\x01\x3f"), RING0, false, 0},
    {"HLT", CODE_OF("\xf4"), RING0, false, 0},
    {"MOV from CR0", CODE_OF("\x0f\x20\xc2"), RING0, false, 0},
    {"MOV from DR7", CODE_OF("\x0f\x21\xfa"), RING0, false, 0},
    {"RDMSR", CODE_OF("\x0f\x32"), RING0, false, 0x277},
    {"WRMSR", CODE_OF("\x0f\x30"), RING0, false, 0x277},
    {"RDMSR of none", CODE_OF("\x0f\x32"), ALL(GP), false, 0x12345},
    {"RDPMC", CODE_OF("\x0f\x33"), ALL(GP), false, 0},
    {"RDTSC", CODE_OF("\x0f\x31"), ALL(OK), false, 0},
    {"RDTSCP", CODE_OF("\x0f\x01\xf9"), ALL(OK), false, 0},
    {"RDRAND", CODE_OF("\x0f\xc7\xf2"), ALL(OK), true, 0},
    {"CPUID", CODE_OF("\x0f\xa2"), ALL(OK), false, 0},
    {"CLI", CODE_OF("\xfa"), RING0, false, 0},
    {"STI", CODE_OF("\xfb"), RING0, false, 0},
    {"IN", CODE_OF("\xe4\x10"), RING0, false, 0},
    {"OUT", CODE_OF("\xe6\x10"), RING0, false, 0},
    {"INSB", CODE_OF("\x6c"), RING0, false, 0},
    {"INSW", CODE_OF("\x6d"), RING0, true, 0},
    {"OUTSB", CODE_OF("\x6e"), RING0, false, 0},
    {"OUTSW", CODE_OF("\x6f"), RING0, true, 0},
    {"CLAC", CODE_OF("\x0f\x01\xca"), OK, UD, OK, UD, OK, UD, false, 0},
    {"STAC", CODE_OF("\x0f\x01\xcb"), OK, UD, OK, UD, OK, UD, false, 0},
    {"MONITOR", CODE_OF("\x0f\x01\xc8"), OK, UD, OK, UD, OK, UD, false, 0},
    {"MWAIT", CODE_OF("\x0f\x01\xc9"), OK, UD, OK, UD, OK, UD, false, 0},
    {"SWAPGS", CODE_OF("\x0f\x01\xf8"), UD, UD, UD, UD, OK, GP, false, 0},
    {"XGETBV", CODE_OF("\x0f\x01\xd0"), ALL(OK), false, 0},
    {"XSETBV", CODE_OF("\x0f\x01\xd1"), RING0, false, 0},
    {"SYSENTER without its CS", CODE_OF("\x0f\x34"), ALL(GP), false, 0},
    {"SYSEXIT without its CS", CODE_OF("\x0f\x35"), ALL(GP), false, 0},
    {"SYSCALL while off", CODE_OF("\x0f\x05"), ALL(UD), false, 0},
    {"SYSRET while off", CODE_OF("\x0f\x07"), ALL(UD), false, 0},
    {"VMCALL", CODE_OF("\x0f\x01\xc1"), ALL(UD), false, 0},
    {"UD2", CODE_OF("\x0f\x0b"), ALL(UD), false, 0},
    {"INT3", CODE_OF("\xcc"), ALL(TAKEN), false, 0},
    {"INT1", CODE_OF("\xf1"), ALL(TAKEN), false, 0},
    {"INT n", CODE_OF("\xcd\x21"), TAKEN, GP, TAKEN, TAKEN, TAKEN, TAKEN, false, 0},
    {"INTO without OF", CODE_OF("\xce"), OK, OK, OK, OK, UD, UD, false, 0},
    {"IRET to null", CODE_OF("\xcf"), OK, GP, GP, GP, GP, GP, true, 0},
    {"IRETQ to null", CODE_OF("\x48\xcf"), NONE, NONE, NONE, NONE, GP, GP, false, 0},
    {"PUSHF", CODE_OF("\x9c"), OK, GP, OK, OK, OK, OK, true, 0},
    {"POPF", CODE_OF("\x9d"), OK, GP, OK, OK, OK, OK, true, 0},
    {"LDS of null", CODE_OF("\xc5\x07"), OK, OK, OK, OK, NONE, NONE, true, 0},
    {"LES of null", CODE_OF("\xc4\x07"), OK, OK, OK, OK, NONE, NONE, true, 0},
    {"LFS of null", CODE_OF("\x0f\xb4\x07"), ALL(OK), true, 0},
    {"LGS of null", CODE_OF("\x0f\xb5\x07"), ALL(OK), true, 0},
    {"LSS of null", CODE_OF("\x0f\xb2\x07"), OK, OK, GP, GP, OK, GP, true, 0},
    {"BOUND", CODE_OF("\x62\x17"), OK, OK, OK, OK, NONE, NONE, true, 0},
    {"JCXZ", CODE_OF("\xe3\x00"), ALL(OK), false, 0},
    {"JECXZ", CODE_OF("\x67\xe3\x00"), ALL(OK), false, 0},
    {"FNSTENV", CODE_OF("\xd9\x37"), ALL(OK), true, 0},
    {"FLDENV", CODE_OF("\xd9\x27"), ALL(OK), true, 0},
    {"FNSAVE", CODE_OF("\xdd\x37"), ALL(OK), true, 0},
    {"FRSTOR", CODE_OF("\xdd\x27"), ALL(OK), true, 0},
    {"FXSAVE", CODE_OF("\x0f\xae\x07"), ALL(OK), false, 0},
    {"FXRSTOR", CODE_OF("\x0f\xae\x0f"), ALL(OK), false, 0},
    {"XSAVE", CODE_OF("\x0f\xae\x27"), ALL(OK), false, 0},
    {"XRSTOR", CODE_OF("\x0f\xae\x2f"), ALL(OK), false, 0},
};

/* What SDM says for MODE at privilege CPL. */
static int
expected(const struct row *row, enum mode mode, unsigned cpl)
{
	if (mode == REAL)
		return (row->real);
	if (mode == V86)
		return (row->v86);
	if (mode == LONG64)
		return (cpl == 0 ? row->long0 : row->long3);
	return (cpl == 0 ? row->ring0 : row->ring3);
}

/* Does ROW raise what it should? Says what not. */
static bool
check(struct rig *r, const struct row *row, enum mode mode, unsigned cpl, bool prefix)
{
	static const uint8_t zeros[1024];
	struct vcpu_state *s = &r->state;
	int expect = expected(row, mode, cpl), is;
	enum cpu_exit end;

	if (expect == NONE)
		return (true);
	rig_enter(r, mode, cpl, 0);
	memory_write(&r->memory, DATA, zeros, sizeof(zeros));
	memory_write(&r->memory, STACK, zeros, sizeof(zeros));
	memory_put8(&r->memory, CODE, 0x66);
	memory_write(&r->memory, CODE + prefix, row->code, row->n);
	memset(s->gpr.reg, 0, sizeof(s->gpr.reg));
	s->gpr.reg[GPR_RAX] = 1;
	s->gpr.reg[GPR_RCX] = row->ecx;
	s->gpr.reg[GPR_RBX] = s->gpr.reg[GPR_RDI] = s->gpr.reg[GPR_RSI] = DATA;
	s->gpr.reg[GPR_RSP] = STACK;
	s->gpr.rip = CODE;
	s->fpu.xcr0 = 1;
	memory_put32(
	    &r->memory, 0x64, 0xffff0000); /* the TSS, at 0, has no I/O permission bitmap */
	cpu_push(r->cpu, VCPU_ALL);
	end = cpu_run(r->cpu, 1);
	is = end != CPU_EXIT_TRIPLE_FAULT ? OK : rig_vector(r);
	if (end == CPU_EXIT_TRIPLE_FAULT && is == OK)
		is = TAKEN;
	if (is != expect)
		print_error("%s in %s mode at privilege %u%s: %d, expected %d\n", row->name,
		    mode_names[mode], cpl, prefix ? " with 66h" : "", is, expect);
	return (is == expect);
}

static void
exceptions_by_mode(void **state)
{
	unsigned bad = 0;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (enum mode mode = REAL; mode < MODES; mode++)
			for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
				if (cpl != (mode == REAL ? 0 : mode == V86 ? 3 : cpl))
					continue;
				for (unsigned prefix = 0; prefix <= rows[i].sizes; prefix++) {
					/* A new CPU: its ring of faults is empty. */
					rig_init(&r);
					bad += !check(&r, &rows[i], mode, cpl, prefix != 0);
					rig_fini(&r);
				}
			}
	assert_int_equal(bad, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(exceptions_by_mode),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
