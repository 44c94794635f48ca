/*
 * What an 8086 and an 80286 do otherwise than later processors, in real mode: results as the parts
 * leave them (8086 family user's manual, iAPX 286 programmer's reference, captures of the parts).
 */
#include "unit.h"

#include <sys/mman.h>

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "arch/vcpu_state.h"
#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"

#define CODE_SEG 0x1000
#define DATA_SEG 0x2000
#define STACK_SEG 0x3000
#define START 0x100
#define STACK 0x800
#define HANDLER_SEG 0x4000 /* vector N leads to HANDLER_SEG:N */

struct part {
	struct memory memory;
	struct bus bus;
	struct vcpu_state state;
	struct cpu *cpu;
};

static void
put(struct part *p, uint32_t at, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		memory_put8(&p->memory, (at + i) & 0xfffff, ((const uint8_t *)bytes)[i]);
}

static uint16_t
word_at(struct part *p, uint32_t at)
{
	return ((uint16_t)(memory_get8(&p->memory, at) | memory_get8(&p->memory, at + 1) << 8));
}

static void
part_init(struct part *p, enum cpu_model model)
{
	const struct cpu_config config = {.model = model};
	int fd = memfd_create("part", MFD_CLOEXEC);

	memset(p, 0, sizeof(*p));
	assert_true(fd >= 0);
	assert_int_equal(memory_init(&p->memory, fd, 2u << 20, 0, true), 0);
	memory_set_a20(&p->memory, true);
	p->cpu = cpu_create(&p->state, &p->memory, &p->bus, &config);
	assert_non_null(p->cpu);
	for (uint16_t i = 0; i < 256; i++) {
		uint16_t entry[2] = {i, HANDLER_SEG};

		put(p, i * 4u, entry, sizeof(entry));
	}
}

static void
part_fini(struct part *p)
{
	cpu_destroy(p->cpu);
	memory_fini(&p->memory);
}

/* Registers before the instruction that comes next. */
static void
part_reset(struct part *p, uint16_t ip)
{
	static const struct {
		unsigned seg;
		uint16_t selector;
	} segments[] = {
	    {SEG_CS, CODE_SEG}, {SEG_DS, DATA_SEG}, {SEG_ES, DATA_SEG}, {SEG_SS, STACK_SEG}};

	vcpu_state_reset(&p->state, 0);
	p->state.sregs.idtr.limit = 0x3ff;
	for (size_t i = 0; i < COUNT(segments); i++)
		p->state.sregs.seg[segments[i].seg] =
		    segment_real(segments[i].selector, segments[i].seg == SEG_CS ? 0x9b : 0x93);
	memset(p->state.gpr.reg, 0, sizeof(p->state.gpr.reg));
	p->state.gpr.reg[GPR_RSP] = STACK;
	p->state.gpr.rip = ip;
	p->state.gpr.rflags = 2;
}

/* Put CODE at the start and reset. */
static void
load(struct part *p, const char *code, size_t n)
{
	put(p, CODE_SEG * 16 + START, code, n);
	part_reset(p, START);
}
#define LOAD(p, code) load(p, code, sizeof(code) - 1)

static void
step(struct part *p)
{
	cpu_push(p->cpu, VCPU_ALL);
	assert_int_equal(cpu_run(p->cpu, 1), CPU_EXIT_BUDGET);
	cpu_pull(p->cpu);
}

static uint16_t
reg(const struct part *p, unsigned gpr)
{
	return ((uint16_t)p->state.gpr.reg[gpr]);
}

static void
set(struct part *p, unsigned gpr, uint16_t value)
{
	p->state.gpr.reg[gpr] = value;
}

static uint16_t
cs(const struct part *p)
{
	return (p->state.sregs.seg[SEG_CS].selector);
}

/* Registers in, registers and flags out. */
struct row {
	const char *name;
	const char *code;
	uint16_t ax, bx, cx, dx, flags;
	uint16_t ax_after, dx_after, flags_after;
};

static void
run_rows(enum cpu_model model, const struct row *rows, size_t count)
{
	struct part p;

	part_init(&p, model);
	for (size_t i = 0; i < count; i++) {
		const struct row *r = &rows[i];

		load(&p, r->code, strlen(r->code));
		set(&p, GPR_RAX, r->ax);
		set(&p, GPR_RBX, r->bx);
		set(&p, GPR_RCX, r->cx);
		set(&p, GPR_RDX, r->dx);
		p.state.gpr.rflags = r->flags | 2u;
		step(&p);
		if (cs(&p) != CODE_SEG || p.state.gpr.rip != START + strlen(r->code))
			fail_msg("%s: ends at %x:%x", r->name, cs(&p), (unsigned)p.state.gpr.rip);
		if (reg(&p, GPR_RAX) != r->ax_after || reg(&p, GPR_RDX) != r->dx_after)
			fail_msg(
			    "%s: ax %04x dx %04x", r->name, reg(&p, GPR_RAX), reg(&p, GPR_RDX));
		if (p.state.gpr.rflags != (r->flags_after | 2u))
			fail_msg("%s: flags %04x", r->name, (unsigned)p.state.gpr.rflags);
	}
	part_fini(&p);
}

#define CF RFLAGS_CF
#define PF RFLAGS_PF
#define AF RFLAGS_AF
#define ZF RFLAGS_ZF
#define SF RFLAGS_SF
#define OF RFLAGS_OF

static void
results_8086(void **state)
{
	static const struct row rows[] = {
	    {"AAA: AL's carry is lost", "\x37", 0x01fc, 0, 0, 0, 0, 0x0202, 0, CF | AF},
	    {"AAS", "\x3f", 0x0002, 0, 0, 0, AF, 0xff0c, 0, CF | AF | SF | PF},
	    {"DAA: OF of one addition", "\x27", 0x7a, 0, 0, 0, 0, 0x80, 0, SF | AF | OF},
	    {"DAA: 9A-9F with AF need no 60h", "\x27", 0x9f, 0, 0, 0, AF, 0xa5, 0, SF | AF | PF},
	    {"DAS: OF", "\x2f", 0x80, 0, 0, 0, AF, 0x7a, 0, AF | OF},
	    {"SALC", "\xd6", 0x1200, 0, 0, 0, CF, 0x12ff, 0, CF},
	    {"MUL: flags of the high half", "\xf6\xe3", 0x0010, 0x10, 0, 0, ZF, 0x0100, 0, CF | OF},
	    {"MUL: ZF when it fits", "\xf6\xe3", 0x0003, 4, 0, 0, 0, 0x000c, 0, ZF | PF},
	    {"IMUL: AF of the sign's carry", "\xf6\xeb", 0x00ff, 1, 0, 0, 0, 0xffff, 0,
		ZF | PF | AF},
	    {"REP IMUL negates", "\xf3\xf6\xeb", 0x0003, 4, 0, 0, 0, 0xfff4, 0, ZF | PF | AF},
	    {"REP MUL negates", "\xf3\xf7\xe3", 3, 4, 0, 0, 0, 0xfff4, 0xffff, SF | PF | CF | OF},
	    {"IDIV", "\xf6\xfb", 0xfff9, 2, 0, 0, 0, 0xfffd, 0, 0},
	    {"REP IDIV negates", "\xf3\xf6\xfb", 0xfff9, 2, 0, 0, 0, 0xff03, 0, 0},
	    {"AAM", "\xd4\x0a", 0x004d, 0, 0, 0, CF, 0x0707, 0, 0},
	    {"SHL by 32 is not by 0", "\xd3\xe0", 0x1234, 0, 32, 0, SF, 0, 0, ZF | PF},
	    {"SHR by 33", "\xd3\xe8", 0x8001, 0, 33, 0, SF, 0, 0, ZF | PF},
	    {"SHL: AF as of an addition", "\xd0\xe0", 0x08, 0, 0, 0, 0, 0x10, 0, AF},
	    {"SETMO", "\xd0\xf0", 0x12, 0, 0, 0, CF | OF, 0xff, 0, SF | PF},
	    {"SETMOC", "\xd3\xf0", 0x12, 0, 1, 0, CF | OF, 0xffff, 0, SF | PF},
	    {"SETMOC with CL = 0", "\xd3\xf0", 0x12, 0, 0x100, 0, CF | OF, 0x12, 0, CF | OF},
	    {"MOV AX, imm by /5", "\xc7\xe8\x34\x12", 0, 0, 0, 0, 0, 0x1234, 0, 0},
	    {"TEST by /1", "\xf6\xc8\x01", 1, 0, 0, 0, 0, 1, 0, 0},
	    {"MOV AX, DS by /7", "\x8c\xf8", 0, 0, 0, 0, 0, DATA_SEG, 0, 0},
	    {"F1 is LOCK", "\xf1\x40", 1, 0, 0, 0, 0, 2, 0, 0},
	    {"LEA of a register", "\x8d\xc1", 5, 0, 7, 0, 0, 5, 0, 0},
	    {"ESC of no x87 instruction", "\xd9\xdb", 5, 0, 7, 0, 0, 5, 0, 0},
	};

	(void)state;
	run_rows(CPU_8086, rows, COUNT(rows));
}

/* 60-6F jump as 70-7F do. */
static void
conditional_jumps_8086(void **state)
{
	static const uint16_t flags[] = {0, CF, PF, ZF, SF, OF, SF | OF, CF | ZF, ZF | SF, ZF | OF};
	struct part p;

	(void)state;
	part_init(&p, CPU_8086);
	for (unsigned cond = 0; cond < 16; cond++)
		for (size_t i = 0; i < COUNT(flags); i++) {
			uint64_t ip[2];

			for (unsigned alias = 0; alias < 2; alias++) {
				uint8_t code[2] = {(uint8_t)((alias ? 0x60 : 0x70) + cond), 0x20};

				load(&p, (const char *)code, 2);
				p.state.gpr.rflags = flags[i] | 2u;
				step(&p);
				ip[alias] = p.state.gpr.rip;
			}
			assert_int_equal(ip[0], ip[1]);
		}
	part_fini(&p);
}

static void
other_opcodes_8086(void **state)
{
	static const uint16_t stack[] = {0x1234, 0x5678};
	struct part p;

	(void)state;
	part_init(&p, CPU_8086);
	put(&p, STACK_SEG * 16 + STACK, stack, sizeof(stack));

	LOAD(&p, "\xc0\x04\x00"); /* RET 4 */
	step(&p);
	assert_int_equal(p.state.gpr.rip, 0x1234);
	assert_int_equal(reg(&p, GPR_RSP), STACK + 6);

	LOAD(&p, "\xc9"); /* RETF */
	step(&p);
	assert_int_equal(p.state.gpr.rip, 0x1234);
	assert_int_equal(cs(&p), 0x5678);

	LOAD(&p, "\x0f"); /* POP CS: the next instruction comes from there */
	step(&p);
	assert_int_equal(p.state.gpr.rip, START + 1);
	assert_int_equal(cs(&p), 0x1234);
	assert_int_equal(reg(&p, GPR_RSP), STACK + 2);

	LOAD(&p, "\x8e\xc8"); /* MOV CS, AX */
	set(&p, GPR_RAX, 0x4321);
	step(&p);
	assert_int_equal(p.state.gpr.rip, START + 2);
	assert_int_equal(cs(&p), 0x4321);

	LOAD(&p, "\x54"); /* PUSH SP: what SP is then */
	step(&p);
	assert_int_equal(word_at(&p, STACK_SEG * 16 + STACK - 2), STACK - 2);

	LOAD(&p, "\xff\xf8"); /* PUSH AX by /7 */
	set(&p, GPR_RAX, 0xbeef);
	step(&p);
	assert_int_equal(word_at(&p, STACK_SEG * 16 + STACK - 2), 0xbeef);
	part_fini(&p);
}

/* Expect to be in the handler of VECTOR, from a return address of IP and a FLAGS image. */
static void
expect_vector(struct part *p, unsigned vector, uint16_t ip, uint16_t flags)
{
	uint32_t frame = STACK_SEG * 16 + STACK - 6;

	assert_int_equal(cs(p), HANDLER_SEG);
	assert_int_equal(p->state.gpr.rip, vector);
	assert_int_equal(word_at(p, frame), ip);
	assert_int_equal(word_at(p, frame + 2), CODE_SEG);
	assert_int_equal(word_at(p, frame + 4), flags);
}

/* A divide error is an interrupt behind the instruction, and FLAGS bits 12-15 are ones. */
static void
interrupts_8086(void **state)
{
	struct part p;

	(void)state;
	part_init(&p, CPU_8086);
	LOAD(&p, "\xf6\xf3"); /* DIV BL, by 0 */
	set(&p, GPR_RAX, 1);
	step(&p);
	expect_vector(&p, 0, START + 2, 0xf002 | ZF | PF);

	LOAD(&p, "\xf6\xfb"); /* IDIV BL with a quotient of -80h, which later ones take */
	set(&p, GPR_RAX, 0xff80);
	set(&p, GPR_RBX, 1);
	step(&p);
	assert_int_equal(p.state.gpr.rip, 0);
	assert_int_equal(cs(&p), HANDLER_SEG);

	LOAD(&p, "\xd4\x00"); /* AAM 0 */
	step(&p);
	expect_vector(&p, 0, START + 2, 0xf002 | ZF | PF);

	LOAD(&p, "\xcd\x21");
	step(&p);
	expect_vector(&p, 0x21, START + 2, 0xf002);
	part_fini(&p);
}

/* Offsets wrap around at 64 KB and addresses at 1 MB, for data and for code. */
static void
wrapping_8086(void **state)
{
	struct part p;

	(void)state;
	part_init(&p, CPU_8086);
	LOAD(&p, "\xa1\xff\xff"); /* MOV AX, [FFFF] */
	put(&p, DATA_SEG * 16 + 0xffff, "\x34", 1);
	put(&p, DATA_SEG * 16, "\x12", 1);
	step(&p);
	assert_int_equal(reg(&p, GPR_RAX), 0x1234);

	LOAD(&p, "\xa3\x0f\x00"); /* MOV [000F], AX with DS = FFFF: FFFFF and 00000 */
	p.state.sregs.seg[SEG_DS] = segment_real(0xffff, 0x93);
	set(&p, GPR_RAX, 0x5678);
	step(&p);
	assert_int_equal(memory_get8(&p.memory, 0xfffff), 0x78);
	assert_int_equal(memory_get8(&p.memory, 0), 0x56);

	put(&p, CODE_SEG * 16 + 0xfffe, "\xb8\xcd", 2); /* MOV AX, imm at FFFE */
	put(&p, CODE_SEG * 16, "\xab", 1);
	part_reset(&p, 0xfffe);
	step(&p);
	assert_int_equal(reg(&p, GPR_RAX), 0xabcd);
	assert_int_equal(p.state.gpr.rip, 1);
	part_fini(&p);
}

/* No instruction is too long. */
static void
long_prefix_chains_8086(void **state)
{
	char code[48];
	struct part p;

	(void)state;
	part_init(&p, CPU_8086);
	memset(code, '\x2e', sizeof(code));
	memcpy(code + 40, "\x26\xa1\x00\x01", 4); /* MOV AX, ES:[0100] */
	load(&p, code, 44);
	put(&p, DATA_SEG * 16 + 0x100, "\xcd\xab", 2);
	for (int i = 0; i < 8 && p.state.gpr.rip < START + 44; i++)
		step(&p);
	assert_int_equal(reg(&p, GPR_RAX), 0xabcd);
	assert_int_equal(p.state.gpr.rip, START + 44);
	part_fini(&p);
}

static void
results_286(void **state)
{
	static const struct row rows[] = {
	    {"IDIV of too small a quotient", "\xf6\xfb", 0x8c60, 0x67, 0, 0, 0, 0xe080, 0, 0},
	    {"AAA carries into AH", "\x37", 0x01fc, 0, 0, 0, 0, 0x0302, 0, CF | AF},
	    {"AAA: SF of the whole sum", "\x37", 0x0084, 0, 0, 0, 0, 0x0004, 0, SF | PF},
	    {"DAA: OF of one addition", "\x27", 0x7a, 0, 0, 0, 0, 0x80, 0, SF | AF | OF},
	    {"DAS borrows in the lower digit", "\x2f", 0x03, 0, 0, 0, AF, 0xfd, 0, CF | AF | SF},
	    {"SHR sets AF", "\xd0\xe8", 0x04, 0, 0, 0, 0, 0x02, 0, AF},
	    {"SHL: AF as of an addition", "\xd0\xe0", 0x08, 0, 0, 0, 0, 0x10, 0, AF},
	    {"SHL by 32 is by 0", "\xd3\xe0", 0x1234, 0, 32, 0, SF, 0x1234, 0, SF},
	};

	(void)state;
	run_rows(CPU_286, rows, COUNT(rows));
}

static void
faults_286(void **state)
{
	struct part p;

	(void)state;
	part_init(&p, CPU_286);
	/* Eleven bytes are too long even where the opcode is undefined: C7 /7. */
	LOAD(&p, "\x2e\x3e\x26\x3e\x26\xc7\xb9\xf4\xda\xfd\x5f");
	step(&p);
	expect_vector(&p, 13, START, 2);
	LOAD(&p, "\xc7\xf8\xfd\x5f");
	step(&p);
	expect_vector(&p, 6, START, 2);
	LOAD(&p, "\x66\x90"); /* no prefix yet */
	step(&p);
	expect_vector(&p, 6, START, 2);

	/* AAM 0 writes flags by AL / 2. */
	LOAD(&p, "\xd4\x00");
	set(&p, GPR_RAX, 0x4a);
	step(&p);
	expect_vector(&p, 0, START, 2);

	/* String instructions that fault are an iteration ahead: SCAS by one, INS by two. */
	LOAD(&p, "\xf3\xaf");
	set(&p, GPR_RDI, 0xffff);
	set(&p, GPR_RCX, 5);
	step(&p);
	expect_vector(&p, 13, START, 2);
	assert_int_equal(reg(&p, GPR_RCX), 4);
	LOAD(&p, "\xf3\x6d");
	set(&p, GPR_RDI, 0xffff);
	set(&p, GPR_RCX, 5);
	step(&p);
	assert_int_equal(reg(&p, GPR_RCX), 3);

	/* POPA pops all or nothing. */
	LOAD(&p, "\x61");
	set(&p, GPR_RSP, 0xfff1);
	set(&p, GPR_RDI, 0x1234);
	step(&p);
	assert_int_equal(cs(&p), HANDLER_SEG);
	assert_int_equal(reg(&p, GPR_RSP), 0xffeb);
	assert_int_equal(reg(&p, GPR_RDI), 0x1234);

	/* CMPS keeps the flags of the comparison before. */
	LOAD(&p, "\xf3\xa7");
	set(&p, GPR_RDI, 0xfffd);
	set(&p, GPR_RSI, 0x600);
	set(&p, GPR_RCX, 5);
	p.state.gpr.rflags = CF | 2;
	for (int i = 0; i < 4 && cs(&p) == CODE_SEG; i++)
		step(&p);
	expect_vector(&p, 13, START, 2 | ZF | PF);
	part_fini(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(results_8086),
	    cmocka_unit_test(conditional_jumps_8086),
	    cmocka_unit_test(other_opcodes_8086),
	    cmocka_unit_test(interrupts_8086),
	    cmocka_unit_test(wrapping_8086),
	    cmocka_unit_test(long_prefix_chains_8086),
	    cmocka_unit_test(results_286),
	    cmocka_unit_test(faults_286),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
