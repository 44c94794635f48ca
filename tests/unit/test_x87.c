/*
 * The x87 and SSE where tests/oracle cannot compare them with the host: control registers, FERR#,
 * formats of real mode, older processors.
 */
#include "unit.h"

#include <sys/mman.h>

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"

/* FXSAVE64 layout, SDM vol. 1, table 10-2. */
struct image {
	uint16_t fcw, fsw;
	uint8_t ftw, zero;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	struct {
		uint64_t mant;
		uint16_t se, pad[3];
	} st[8];
	struct {
		uint64_t q[2];
	} xmm[16];
	uint8_t rest[96];
};

/* Registers that an instruction may use; RBX counts from GUEST_DATA. */
enum { N_RAX, N_RCX, N_RDX, N_RBX, N_RSI, N_RDI, N_COUNT };

#define DATA_SIZE 640

struct machine_state {
	struct image fx __attribute__((aligned(16)));
	uint64_t reg[N_COUNT];
	uint64_t flags;
	uint8_t data[DATA_SIZE] __attribute__((aligned(64)));
	int vector; /* the exception, or -1 */
};

#define GUEST_RAM (2u << 20)
#define GUEST_CODE 0x10000
#define GUEST_DATA 0x20000
#define GUEST_STACK 0x38000
#define GUEST_IDT 0x40000
#define GUEST_HANDLERS 0x50000
#define GUEST_TABLES 0x60000

struct guest {
	struct memory memory;
	struct bus bus;
	struct vcpu_state state __attribute__((aligned(16)));
	struct cpu *cpu;
	uint8_t insn[16];
};

/* 64-bit mode with the first GB mapped one to one and a gate for each exception. */
static void
guest_tables(struct guest *g)
{
	struct vcpu_state *v = &g->state;

	memory_put32(&g->memory, GUEST_TABLES, (GUEST_TABLES + 0x1000) | 7);
	memory_put32(&g->memory, GUEST_TABLES + 0x1000, (GUEST_TABLES + 0x2000) | 7);
	for (uint32_t i = 0; i < 512; i++)
		memory_put32(&g->memory, GUEST_TABLES + 0x2000 + i * 8, i << 21 | 0xe7);
	memory_put32(&g->memory, GUEST_TABLES + 0x3008, 0x00000000);
	memory_put32(&g->memory, GUEST_TABLES + 0x300c, 0x00af9b00);
	for (uint32_t i = 0; i < 32; i++) {
		uint32_t to = GUEST_HANDLERS + i * 16;

		memory_put32(&g->memory, GUEST_IDT + i * 16, 8 << 16 | (to & 0xffff));
		memory_put32(&g->memory, GUEST_IDT + i * 16 + 4, (to & 0xffff0000) | 0x8e00);
	}
	v->sregs.cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_MP;
	v->sregs.cr3 = GUEST_TABLES;
	v->sregs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	v->sregs.efer = EFER_LME | EFER_LMA;
	v->sregs.gdtr = (struct x86_table){.base = GUEST_TABLES + 0x3000, .limit = 0xfff};
	v->sregs.idtr = (struct x86_table){.base = GUEST_IDT, .limit = 0xfff};
	for (unsigned i = 0; i < SEG_COUNT; i++)
		v->sregs.seg[i] = segment_from_descriptor(
		    i == SEG_CS ? 8 : 16, i == SEG_CS ? 0x00af9b000000ffff : 0x00cf93000000ffff);
}

static void
guest_init_with(struct guest *g, const struct cpu_config *config)
{
	int fd = memfd_create("x87", MFD_CLOEXEC);

	memset(g, 0, sizeof(*g));
	assert_true(fd >= 0);
	assert_int_equal(memory_init(&g->memory, fd, GUEST_RAM, 0, true), 0);
	close(fd);
	vcpu_state_reset(&g->state, 0);
	if (config->model == CPU_X86_64)
		guest_tables(g);
	g->cpu = cpu_create(&g->state, &g->memory, &g->bus, config);
	assert_non_null(g->cpu);
	cpu_push(g->cpu, VCPU_ALL);
}

static void
guest_init(struct guest *g, enum cpu_model model)
{
	guest_init_with(g, &(struct cpu_config){.model = model});
}

static void
guest_fini(struct guest *g)
{
	cpu_destroy(g->cpu);
	memory_fini(&g->memory);
}

static void
guest_run(struct guest *g, const uint8_t *insn, size_t length, struct machine_state *m)
{
	static const uint8_t order[N_COUNT] = {
	    GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSI, GPR_RDI};
	uint8_t code[16] = {0};
	struct vcpu_state *v = &g->state;

	memcpy(code, insn, length);
	code[length] = 0xf4;
	if (memcmp(code, g->insn, sizeof(code)) != 0)
		memory_write(&g->memory, GUEST_CODE, code, sizeof(code));
	memcpy(g->insn, code, sizeof(code));
	memory_write(&g->memory, GUEST_DATA, m->data, DATA_SIZE);
	for (unsigned i = 0; i < N_COUNT; i++)
		v->gpr.reg[order[i]] = m->reg[i];
	v->gpr.reg[GPR_RBX] += GUEST_DATA;
	v->gpr.reg[GPR_RSP] = GUEST_STACK;
	v->gpr.rip = GUEST_CODE;
	v->gpr.rflags = m->flags;
	memcpy(v->fpu.fxsave, &m->fx, sizeof(v->fpu.fxsave));
	cpu_push(g->cpu, VCPU_GPR | VCPU_FPU);
	cpu_run(g->cpu, 1);
	cpu_pull(g->cpu);
	m->vector = -1;
	if (v->gpr.rip >= GUEST_HANDLERS && v->gpr.rip < GUEST_HANDLERS + 0x200)
		m->vector = (int)(v->gpr.rip - GUEST_HANDLERS) / 16;
	else
		assert_int_equal(v->gpr.rip, GUEST_CODE + length);
	memcpy(&m->fx, v->fpu.fxsave, sizeof(m->fx));
	for (unsigned i = 0; i < N_COUNT; i++)
		m->reg[i] = v->gpr.reg[order[i]];
	m->reg[N_RBX] -= GUEST_DATA;
	m->flags = v->gpr.rflags;
	memory_read(&g->memory, GUEST_DATA, m->data, DATA_SIZE);
}

static struct guest guest;

static unsigned ferr_calls;

static void
count_ferr(void *opaque)
{
	(void)opaque;
	ferr_calls++;
}

/* Run INSN on G with CR0 and CR4; the vector. */
static int
vector_of(struct guest *g, const uint8_t *insn, size_t length, uint64_t cr0, uint64_t cr4,
    struct machine_state *m)
{
	g->state.sregs.cr0 = cr0;
	g->state.sregs.cr4 = cr4;
	cpu_push(g->cpu, VCPU_SREGS);
	guest_run(g, insn, length, m);
	return (m->vector);
}

#define CR0_USUAL (CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_MP)
#define CR4_USUAL (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE)

/* SDM vol. 3A, table 2-2, and the instructions' own lists of exceptions. */
static void
control_registers_decide(void **state)
{
	static const struct {
		uint8_t insn[4];
		uint8_t length;
		uint32_t cr0, not_cr4;
		int vector;
	} rows[] = {
	    {{0xd9, 0xe8}, 2, 0, 0, -1}, /* FLD1 */
	    {{0xd9, 0xe8}, 2, CR0_EM, 0, VEC_NM},
	    {{0xd9, 0xe8}, 2, CR0_TS, 0, VEC_NM},
	    {{0xdf, 0xe0}, 2, CR0_TS, 0, VEC_NM},  /* FNSTSW AX */
	    {{0xf0, 0xd9, 0xe8}, 3, 0, 0, VEC_UD}, /* LOCK FLD1 */
	    {{0x9b}, 1, CR0_TS, 0, VEC_NM},	   /* FWAIT, MP is set */
	    {{0x9b}, 1, CR0_EM, 0, -1},
	    {{0x0f, 0x58, 0xc1}, 3, 0, 0, -1}, /* ADDPS */
	    {{0x0f, 0x58, 0xc1}, 3, CR0_EM, 0, VEC_UD},
	    {{0x0f, 0x58, 0xc1}, 3, CR0_EM | CR0_TS, 0, VEC_UD},
	    {{0x0f, 0x58, 0xc1}, 3, CR0_TS, 0, VEC_NM},
	    {{0x0f, 0x58, 0xc1}, 3, 0, CR4_OSFXSR, VEC_UD},
	    {{0x0f, 0xfc, 0xc1}, 3, CR0_EM, 0, VEC_UD}, /* PADDB MM0, MM1 */
	    {{0x0f, 0xfc, 0xc1}, 3, CR0_TS, 0, VEC_NM},
	    {{0x0f, 0xfc, 0xc1}, 3, 0, CR4_OSFXSR, -1},
	    {{0x0f, 0xae, 0x03}, 3, CR0_EM, 0, VEC_NM}, /* FXSAVE */
	    {{0x0f, 0xae, 0x03}, 3, 0, CR4_OSFXSR, -1},
	    {{0x0f, 0xae, 0x1b}, 3, CR0_TS, 0, VEC_NM},			    /* STMXCSR */
	    {{0x0f, 0xae, 0xf0}, 3, CR0_EM | CR0_TS, CR4_OSFXSR, -1},	    /* MFENCE */
	    {{0xf3, 0x0f, 0xb8, 0xc1}, 4, CR0_EM | CR0_TS, CR4_OSFXSR, -1}, /* POPCNT */
	    {{0x0f, 0x01, 0xd0}, 3, 0, CR4_OSXSAVE, VEC_UD},		    /* XGETBV */
	    {{0x0f, 0xae, 0x23}, 3, CR0_TS, 0, VEC_NM},			    /* XSAVE */
	    {{0x0f, 0x5e, 0xc1}, 3, 0, CR4_OSXMMEXCPT, VEC_UD}, /* DIVPS by 0, unmasked */
	    {{0x0f, 0x5e, 0xc1}, 3, 0, 0, VEC_XM},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct machine_state m = {.flags = 2, .fx = {.fcw = 0x37f, .mxcsr = 0}};

		m.fx.xmm[0].q[0] = m.fx.xmm[0].q[1] = 0x3f8000003f800000;
		if (vector_of(&guest, rows[i].insn, rows[i].length, CR0_USUAL | rows[i].cr0,
			CR4_USUAL & ~rows[i].not_cr4, &m) != rows[i].vector)
			fail_msg("row %u: vector %d, not %d", i, m.vector, rows[i].vector);
	}
}

/* An exception that is not masked waits for the next instruction that looks for it. */
static void
pending_exceptions_wait(void **state)
{
	static const uint8_t fld1[] = {0xd9, 0xe8}, fnstsw[] = {0xdf, 0xe0}, fwait[] = {0x9b},
			     paddb[] = {0x0f, 0xfc, 0xc1}, addps[] = {0x0f, 0x58, 0xc1},
			     fnclex[] = {0xdb, 0xe2};
	struct machine_state start = {.flags = 2, .fx = {.fcw = 0x37b, .fsw = 0x8084}}, m;

	(void)state;
	start.fx.mxcsr = 0x1f80;
	m = start;
	assert_int_equal(vector_of(&guest, fld1, 2, CR0_USUAL, CR4_USUAL, &m), VEC_MF);
	m = start;
	assert_int_equal(vector_of(&guest, fwait, 1, CR0_USUAL, CR4_USUAL, &m), VEC_MF);
	m = start;
	assert_int_equal(vector_of(&guest, paddb, 3, CR0_USUAL, CR4_USUAL, &m), VEC_MF);
	m = start;
	assert_int_equal(vector_of(&guest, addps, 3, CR0_USUAL, CR4_USUAL, &m), -1);
	m = start;
	assert_int_equal(vector_of(&guest, fnstsw, 2, CR0_USUAL, CR4_USUAL, &m), -1);
	assert_int_equal(m.reg[N_RAX], 0x8084);
	assert_int_equal(vector_of(&guest, fnclex, 2, CR0_USUAL, CR4_USUAL, &m), -1);
	assert_int_equal(m.fx.fsw, 0);
	assert_int_equal(vector_of(&guest, fld1, 2, CR0_USUAL, CR4_USUAL, &m), -1);
}

/* With CR0.NE = 0 the board is told, once, and the program goes on. */
static void
ferr_goes_to_the_board(void **state)
{
	static const uint8_t fld1[] = {0xd9, 0xe8}, fnclex[] = {0xdb, 0xe2};
	static const uint8_t divide[] = {0xd8, 0xf1}; /* FDIV ST, ST(1) */
	const uint64_t cr0 = CR0_USUAL & ~CR0_NE;
	struct machine_state m = {.flags = 2, .fx = {.fcw = 0x37b, .mxcsr = 0x1f80}};
	struct guest g;

	(void)state;
	guest_init_with(&g, &(struct cpu_config){.model = CPU_X86_64, .ferr = count_ferr});
	m.fx.ftw = 0x03;
	m.fx.st[0].se = 0x3fff;
	m.fx.st[0].mant = 1ull << 63;
	for (unsigned round = 1; round <= 2; round++) {
		m.fx.ftw = 0x03;
		assert_int_equal(vector_of(&g, divide, 2, cr0, CR4_USUAL, &m), -1);
		assert_int_equal(m.fx.fsw & 0x8084, 0x8084);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(vector_of(&g, fld1, 2, cr0, CR4_USUAL, &m), -1);
		assert_int_equal(m.fx.fsw >> 11 & 7, 5);
		assert_int_equal(ferr_calls, round);
		assert_int_equal(vector_of(&g, fnclex, 2, cr0, CR4_USUAL, &m), -1);
		m.fx.fsw = 0;
		m.fx.st[0].mant = 1ull << 63;
		m.fx.st[1].mant = 0;
		m.fx.st[1].se = 0;
	}
	guest_fini(&g);
}

/* The environment's formats in real mode, and the pointers of a processor that keeps all of them. */
static void
environment_of_real_mode(void **state)
{
	static const uint8_t code[] = {0xdb, 0xe3, /* FNINIT */
	    0xd9, 0x06, 0x40, 0x00,		   /* FLD DWORD [40h] */
	    0xd9, 0x36, 0x80, 0x00,		   /* FNSTENV [80h] */
	    0x66, 0xd9, 0x36, 0xa0, 0x00,	   /* the same in 32 bits */
	    0xf4};
	static const uint16_t env16[7] = {0x037f, 0x3800, 0x3fff, 0x0002, 0x1106, 0x0040, 0x2000};
	static const uint32_t env32[7] = {
	    0xffff037f, 0xffff3800, 0xffff3fff, 0xffff0002, 0x00001106, 0xffff0040, 0x00002000};
	static const float value = 1.5f;
	uint8_t found[28];
	struct guest g;

	(void)state;
	guest_init(&g, CPU_486);
	g.state.sregs.seg[SEG_CS] = segment_real(GUEST_CODE >> 4, 0x9b);
	g.state.sregs.seg[SEG_DS] = segment_real(GUEST_DATA >> 4, 0x93);
	g.state.gpr.rip = 0;
	memory_write(&g.memory, GUEST_CODE, code, sizeof(code));
	memory_write(&g.memory, GUEST_DATA + 0x40, &value, sizeof(value));
	cpu_push(g.cpu, VCPU_ALL);
	assert_int_equal(cpu_run(g.cpu, 100), CPU_EXIT_HLT);
	memory_read(&g.memory, GUEST_DATA + 0x80, found, 14);
	assert_memory_equal(found, env16, 14);
	memory_read(&g.memory, GUEST_DATA + 0xa0, found, 28);
	assert_memory_equal(found, env32, 28);
	guest_fini(&g);
}

/* Before the 486 there is none: the usual test finds that FNINIT and FNSTSW change nothing. */
static void
no_x87_before_the_486(void **state)
{
	static const uint8_t code[] = {0xdb, 0xe3, 0xdf, 0xe0, 0xdd, 0x3e, 0x40, 0x00, 0xf4};
	struct guest g;
	uint32_t word;

	(void)state;
	guest_init(&g, CPU_386);
	g.state.sregs.seg[SEG_CS] = segment_real(GUEST_CODE >> 4, 0x9b);
	g.state.sregs.seg[SEG_DS] = segment_real(GUEST_DATA >> 4, 0x93);
	g.state.gpr.rip = 0;
	g.state.gpr.reg[GPR_RAX] = 0x5a5a;
	memory_write(&g.memory, GUEST_CODE, code, sizeof(code));
	memory_put32(&g.memory, GUEST_DATA + 0x40, 0x5a5a);
	cpu_push(g.cpu, VCPU_ALL);
	assert_int_equal(cpu_run(g.cpu, 100), CPU_EXIT_HLT);
	assert_int_equal(g.state.gpr.reg[GPR_RAX], 0x5a5a);
	word = memory_get32(&g.memory, GUEST_DATA + 0x40);
	assert_int_equal(word, 0x5a5a);
	guest_fini(&g);
}

/* What each generation decodes. */
static void
generations_differ(void **state)
{
	static const struct {
		uint8_t insn[4];
		enum cpu_model since;
	} rows[] = {
	    {{0xd9, 0xe8}, CPU_8086},		    /* FLD1: ignored before the 486 */
	    {{0xda, 0xc1}, CPU_P6},		    /* FCMOVB */
	    {{0xdb, 0xf1}, CPU_P6},		    /* FCOMI */
	    {{0xdb, 0x0f}, CPU_X86_64},		    /* FISTTP */
	    {{0x0f, 0xfc, 0xc1}, CPU_P6},	    /* PADDB MM0, MM1 */
	    {{0x0f, 0x77}, CPU_P6},		    /* EMMS */
	    {{0x0f, 0xda, 0xc1}, CPU_X86_64},	    /* PMINUB MM0, MM1 */
	    {{0x66, 0x0f, 0xfc, 0xc1}, CPU_X86_64}, /* PADDB XMM0, XMM1 */
	    {{0x0f, 0x58, 0xc1}, CPU_X86_64},	    /* ADDPS */
	    {{0xf3, 0x0f, 0xb8, 0xc1}, CPU_X86_64}, /* POPCNT */
	};

	(void)state;
	for (unsigned model = CPU_386; model <= CPU_X86_64; model++) {
		struct guest g;

		guest_init_with(&g, &(struct cpu_config){.model = (enum cpu_model)model});
		for (unsigned i = 0; i < COUNT(rows); i++) {
			bool there;

			if (rows[i].since != CPU_8086 && model < CPU_486 &&
			    rows[i].insn[0] != 0x0f && rows[i].insn[0] != 0x66 &&
			    rows[i].insn[0] != 0xf3)
				continue; /* ESC without an x87 */
			memory_write(&g.memory, GUEST_CODE, rows[i].insn, sizeof(rows[i].insn));
			g.state.gpr.rip = model == CPU_X86_64 ? GUEST_CODE : 0;
			if (model != CPU_X86_64)
				g.state.sregs.seg[SEG_CS] = segment_real(GUEST_CODE >> 4, 0x9b);
			cpu_push(g.cpu, VCPU_ALL);
			there = cpu_instruction_length(g.cpu) != 0;
			if (there != (model >= (unsigned)rows[i].since))
				fail_msg("model %u, row %u", model, i);
		}
		guest_fini(&g);
	}
}

static int
set_up(void **state)
{
	(void)state;
	guest_init(&guest, CPU_X86_64);
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	guest_fini(&guest);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(control_registers_decide),
	    cmocka_unit_test(pending_exceptions_wait),
	    cmocka_unit_test(ferr_goes_to_the_board),
	    cmocka_unit_test(environment_of_real_mode),
	    cmocka_unit_test(no_x87_before_the_486),
	    cmocka_unit_test(generations_differ),
	};

	return (cmocka_run_group_tests(tests, set_up, tear_down));
}
