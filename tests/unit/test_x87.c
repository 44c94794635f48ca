/*
 * The x87 against the host's: each opcode from random states, operands of all kinds, all rounding
 * and precision modes, masked and unmasked exceptions; then what the host cannot show.
 *
 * HYVE86_TEST_FPU says how many cases an opcode gets.
 */
#include "native.h"

static struct host host;
static struct guest guest;

/* --- random states --------------------------------------------------------------------------------- */

/* Numbers of every kind, near each other often enough for sums to cancel and round. */
static void
random_f80(uint64_t *seed, struct image *f, unsigned i)
{
	uint64_t r = random64(seed), mant = random64(seed);
	unsigned exp = 16383 - 70 + (unsigned)(r >> 8) % 140;

	if (r & 0x10000)
		mant = mant >> (r >> 20 & 63) << (r >> 20 & 63);
	mant |= 1ull << 63;
	switch (r % 24) {
	case 0:
		exp = 0, mant = 0;
		break;
	case 1:
		exp = 0, mant &= ~(1ull << 63); /* denormal */
		break;
	case 2:
		exp = 0; /* pseudo-denormal */
		break;
	case 3:
		exp = 0x7fff, mant = 1ull << 63;
		break;
	case 4:
		exp = 0x7fff, mant |= 1ull << 62;
		break;
	case 5:
		exp = 0x7fff, mant &= ~(1ull << 62), mant |= 1;
		break;
	case 6:
		mant &= ~(1ull << 63); /* unnormal: not supported since the 387 */
		break;
	case 7:
		exp = 1 + (unsigned)(r >> 8) % 70;
		break;
	case 8:
		exp = 0x7ffe - (unsigned)(r >> 8) % 70;
		break;
	case 9:
		exp = (unsigned)(r >> 8) & 0x7fff;
		break;
	case 10:
		exp = 0x3fff, mant = 1ull << 63;
		break;
	case 11:
		exp = 0x3f80 + (unsigned)(r >> 8) % 32; /* around the smallest float32 */
		break;
	default:
		break;
	}
	f->st[i].mant = mant;
	f->st[i].se = (uint16_t)(exp | (r >> 40 & 1) << 15);
}

static void
random_data(uint64_t *seed, struct machine_state *m)
{
	uint64_t r = random64(seed);
	struct image f = {0};

	for (unsigned i = 0; i < 32; i += 8) {
		uint64_t v = random64(seed);

		memcpy(m->data + i, &v, 8);
	}
	if (r % 8 == 0)
		memset(m->data + (r >> 8) % 8, r & 64 ? 0xff : 0, 1 + (r >> 16) % 9);
	if (r % 8 == 1)
		m->data[3] = m->data[7] = 0x7f, m->data[2] |= 0x80, m->data[6] |= 0xf0;
	if (r % 8 == 2)
		m->data[3] &= 0x80, m->data[2] &= 0x7f, m->data[7] &= 0x80, m->data[6] &= 0xf;
	if (r % 8 == 3) {
		random_f80(seed, &f, 0);
		memcpy(m->data, &f.st[0], 10);
	}
	if (r % 8 == 4)
		for (unsigned i = 0; i < 9; i++)
			m->data[i] = (uint8_t)((m->data[i] / 16 % 10) << 4 | m->data[i] % 16 % 10);
}

static void
random_x87(uint64_t *seed, struct machine_state *m)
{
	struct image *f = &m->fx;
	uint64_t r = random64(seed);

	memset(m, 0, sizeof(*m));
	f->fcw = (uint16_t)(0x40 | (r & 0x1f3f));
	if (r & 1 << 16)
		f->fcw |= 0x3f;
	if (r & 1 << 17)
		f->fcw = 0x37f;
	f->fsw = (uint16_t)(r >> 20 & 0x7f7f);
	f->fsw &= (uint16_t) ~(~f->fcw & 0x3f); /* nothing pending */
	f->ftw = (uint8_t)(r >> 40);
	if (r >> 50 & 7)
		f->ftw |= 0xff >> (r >> 53 & 1);
	if ((r >> 50 & 7) == 1) /* all but one, which is the new top */
		f->ftw = (uint8_t) ~(1u << (((f->fsw >> 11) - 1) & 7));
	f->mxcsr = 0x1f80;
	f->fip = RELATIVE + 0x123;
	f->fdp = RELATIVE + 0x456;
	f->fop = (uint16_t)(random64(seed) & 0x7ff);
	for (unsigned i = 0; i < 8; i++)
		random_f80(seed, f, i);
	for (unsigned i = 0; i < N_COUNT; i++)
		m->reg[i] = random64(seed);
	m->reg[N_RBX] = 0;
	m->flags = 0x202 | (random64(seed) & FLAGS_COMPARED);
	random_data(seed, m);
}

/* --- against the host --------------------------------------------------------------------------------- */

static unsigned long cases, failures;

/* FIP and FDP in an environment of SIZE-byte fields in memory. */
static void
relative_environment(struct machine_state *m, unsigned size, uint64_t code, uint64_t data)
{
	const uint64_t mask = size == 2 ? 0xffff : 0xffffffff;
	uint64_t fip = 0, fdp = 0;

	memcpy(&fip, m->data + size * 3, size);
	memcpy(&fdp, m->data + size * 5, size);
	fip = to_relative(fip, code & mask);
	fdp = to_relative(fdp, data & mask);
	memcpy(m->data + size * 3, &fip, size);
	memcpy(m->data + size * 5, &fdp, size);
}

static void
compare(const uint8_t *insn, size_t length, const struct machine_state *start)
{
	struct machine_state native = *start, ours = *start;
	uint8_t esc = insn[length - 2], modrm = insn[length - 1];

	host_run(&host, insn, length, &native);
	guest_run(&guest, insn, length, &ours);
	cases++;
	if (!host_has_our_pointers()) {
		if ((esc == 0xd9 || esc == 0xdd) && (modrm & 0xe0) == 0x20)
			return; /* FNSTENV, FNSAVE and their opposites */
		forget_pointers(&native, &ours);
	}
	if ((modrm & 0xf8) == 0x30 && (esc == 0xd9 || esc == 0xdd)) {
		unsigned size = length == 3 ? 2 : 4;

		relative_environment(&native, size, (uintptr_t)host.code, (uintptr_t)host.data);
		relative_environment(&ours, size, GUEST_CODE, GUEST_DATA);
	}
	native.fx.mxcsr_mask = ours.fx.mxcsr_mask = 0;
	if (native.vector >= 0) { /* the CPU's frame is not the host's */
		native.flags = ours.flags;
	}
	if (states_equal(&native, &ours, FLAGS_COMPARED))
		return;
	if (failures++ < 10) {
		print_error("%02x %02x differs\n", insn[0], insn[1]);
		print_image("start ", start);
		print_image("host  ", &native);
		print_image("hyve86", &ours);
	}
}

static void
run_opcode(const uint8_t *insn, size_t length, unsigned n)
{
	uint64_t seed = random_seed((uint64_t)insn[0] << 8 | insn[1]);
	unsigned long before = failures;

	for (unsigned i = 0; i < n; i++) {
		struct machine_state m;

		random_x87(&seed, &m);
		compare(insn, length, &m);
	}
	if (failures != before)
		print_error(
		    "%02x %02x: %lu of %u differ\n", insn[0], insn[1], failures - before, n);
}

static unsigned
cases_per_opcode(unsigned otherwise)
{
	return ((unsigned)number_from("HYVE86_TEST_FPU", otherwise));
}

static void
registers_as_on_the_host(void **state)
{
	(void)state;
	host_signals();
	for (unsigned esc = 0; esc < 8; esc++)
		for (unsigned modrm = 0xc0; modrm < 0x100; modrm++) {
			uint8_t insn[2] = {(uint8_t)(0xd8 + esc), (uint8_t)modrm};

			run_opcode(
			    insn, 2, cases_per_opcode(esc == 1 && modrm >= 0xe0 ? 2000 : 400));
		}
	print_message("%lu cases\n", cases);
	assert_int_equal(failures, 0);
}

static void
memory_as_on_the_host(void **state)
{
	(void)state;
	host_signals();
	for (unsigned esc = 0; esc < 8; esc++)
		for (unsigned reg = 0; reg < 8; reg++) {
			uint8_t insn[2] = {(uint8_t)(0xd8 + esc), (uint8_t)(reg << 3 | 3)};

			run_opcode(insn, 2, cases_per_opcode(3000));
		}
	for (unsigned i = 0; i < 4; i++) { /* environments and states of 16 bits */
		uint8_t insn[3] = {0x66, i & 1 ? 0xdd : 0xd9, i & 2 ? 0x33 : 0x23};

		run_opcode(insn, 3, cases_per_opcode(2000));
	}
	print_message("%lu cases\n", cases);
	assert_int_equal(failures, 0);
}

/* --- what the host does not show ------------------------------------------------------------------- */

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
	host_init(&host);
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
	    cmocka_unit_test(registers_as_on_the_host),
	    cmocka_unit_test(memory_as_on_the_host),
	    cmocka_unit_test(control_registers_decide),
	    cmocka_unit_test(pending_exceptions_wait),
	    cmocka_unit_test(ferr_goes_to_the_board),
	    cmocka_unit_test(environment_of_real_mode),
	    cmocka_unit_test(no_x87_before_the_486),
	    cmocka_unit_test(generations_differ),
	};

	return (cmocka_run_group_tests(tests, set_up, tear_down));
}
