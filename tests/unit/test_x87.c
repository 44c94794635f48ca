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

/* FIP and FDP in an environment in memory, unless they are 0. */
static void
relative_environment(struct machine_state *m, uint32_t code, uint32_t data)
{
	uint32_t fip, fdp;

	memcpy(&fip, m->data + 12, 4);
	memcpy(&fdp, m->data + 20, 4);
	fip = (uint32_t)to_relative(fip, code);
	fdp = (uint32_t)to_relative(fdp, data);
	memcpy(m->data + 12, &fip, 4);
	memcpy(m->data + 20, &fdp, 4);
}

static void
compare(const uint8_t *insn, size_t length, const struct machine_state *start)
{
	struct machine_state native = *start, ours = *start;

	host_run(&host, insn, length, &native);
	guest_run(&guest, insn, length, &ours);
	cases++;
	if ((insn[1] & 0xf8) == 0x30 && (insn[0] == 0xd9 || insn[0] == 0xdd)) {
		relative_environment(
		    &native, (uint32_t)(uintptr_t)host.code, (uint32_t)(uintptr_t)host.data);
		relative_environment(&ours, GUEST_CODE, GUEST_DATA);
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
	print_message("%lu cases\n", cases);
	assert_int_equal(failures, 0);
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
	};

	return (cmocka_run_group_tests(tests, set_up, tear_down));
}
