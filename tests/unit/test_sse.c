/*
 * MMX and SSE against the host's: every opcode of these sets that Zydis knows, with registers, with
 * memory aligned and not, with all immediates, from random states under any MXCSR.
 *
 * HYVE86_TEST_FPU says how many cases a form gets.
 */
#include "native.h"

#include <Zydis/Zydis.h>

static struct host host;
static struct guest guest;
static unsigned long cases, forms, failures;

/* --- random states --------------------------------------------------------------------------------- */

static uint32_t
random_float32(uint64_t *seed)
{
	uint64_t r = random64(seed);
	uint32_t frac = (uint32_t)(r >> 8) & 0x7fffff, sign = (uint32_t)(r >> 63) << 31;

	if (r & 0x80)
		frac = frac >> (r >> 40 & 31) << (r >> 40 & 31) & 0x7fffff;
	switch (r & 15) {
	case 0:
		return (sign);
	case 1:
		return (sign | frac);
	case 2:
		return (sign | 0x7f800000);
	case 3:
		return (sign | 0x7fc00000 | frac);
	case 4:
		return (sign | 0x7f800001 | (frac & 0x3fffff));
	case 5:
		return (sign | 0x7f000000 | frac);
	case 6:
		return (sign | 0x00800000 | frac);
	case 7:
		return (sign | (uint32_t)(r >> 32 & 0xff) << 23 | frac);
	case 8:
		return (sign | (uint32_t)(64 + (r >> 32 & 7)) << 23 | frac); /* products: tiny */
	case 9:
		return (sign | (uint32_t)(127 + (r >> 32 & 63)) << 23 | frac);
	default:
		return (sign | (uint32_t)(120 + (r >> 32 & 15)) << 23 | frac);
	}
}

static uint64_t
random_float64(uint64_t *seed)
{
	uint64_t r = random64(seed), frac = random64(seed) & 0xfffffffffffff;
	uint64_t sign = r & 1ull << 63;

	if (r & 0x80)
		frac = frac >> (r >> 40 & 63) << (r >> 40 & 63) & 0xfffffffffffff;
	switch (r & 15) {
	case 0:
		return (sign);
	case 1:
		return (sign | frac);
	case 2:
		return (sign | 0x7ffull << 52);
	case 3:
		return (sign | 0xfffull << 51 | frac);
	case 4:
		return (sign | 0x7ffull << 52 | (frac & ~(1ull << 51)) | 1);
	case 5:
		return (sign | 0x7feull << 52 | frac);
	case 6:
		return (sign | 0x001ull << 52 | frac);
	case 7:
		return (sign | (r >> 32 & 0x7ff) << 52 | frac);
	case 8:
		return (sign | (512 + (r >> 32 & 7)) << 52 | frac);
	case 9:
		return (sign | (1023 - 150 + (r >> 32 & 31)) << 52 | frac); /* tiny as float32 */
	case 10:
		return (sign | (1023 + (r >> 32 & 127)) << 52 | frac);
	default:
		return (sign | (1016 + (r >> 32 & 15)) << 52 | frac);
	}
}

static void
random_vector(uint64_t *seed, void *at)
{
	uint64_t q[2] = {random64(seed), random64(seed)}, r = random64(seed);
	uint32_t d[4];

	if (r % 8 < 3) {
		for (unsigned i = 0; i < 4; i++)
			d[i] = random_float32(seed);
		memcpy(q, d, sizeof(d));
	} else if (r % 8 < 6) {
		q[0] = random_float64(seed);
		q[1] = random_float64(seed);
	} else if (r % 8 == 6) {
		for (unsigned i = 0; i < 16; i++) /* extremes of each size; text */
			if (r >> (8 + i) & 1)
				((uint8_t *)q)[i] = (uint8_t)(r >> 40 & 1 ? 0
					: r >> 41 & 1			  ? 0x80
									  : 0xff);
	}
	if (r >> 60 == 0)
		q[0] &= 0x1f, q[1] = 0; /* shift counts */
	memcpy(at, q, sizeof(q));
}

static void
random_sse(uint64_t *seed, struct machine_state *m)
{
	struct image *f = &m->fx;
	uint64_t r = random64(seed);

	memset(m, 0, sizeof(*m));
	f->fcw = 0x37f;
	f->fsw = (uint16_t)(r & 0x7f7f);
	f->ftw = (uint8_t)(r >> 16);
	f->mxcsr = (uint32_t)(r >> 24) & 0xffff;
	if (r & 1ull << 44)
		f->mxcsr |= 0x1f80;
	if (r & 1ull << 45)
		f->mxcsr = 0x1f80;
	f->fip = RELATIVE + 0x123;
	f->fdp = RELATIVE + 0x456;
	for (unsigned i = 0; i < 8; i++) {
		random_vector(seed, &f->st[i]);
		f->st[i].se = (uint16_t)random64(seed);
		memset(f->st[i].pad, 0, sizeof(f->st[i].pad));
	}
	for (unsigned i = 0; i < 16; i++)
		random_vector(seed, &f->xmm[i]);
	if (r >> 46 & 1)
		f->xmm[1] = f->xmm[0];
	for (unsigned i = 0; i < N_COUNT; i++) {
		m->reg[i] = random64(seed);
		if (random64(seed) & 1) /* lengths of strings */
			m->reg[i] = (m->reg[i] % 40) - 20;
	}
	m->reg[N_RBX] = 0;
	m->flags = 0x202 | (random64(seed) & FLAGS_COMPARED);
	for (unsigned i = 0; i < 64; i += 16)
		random_vector(seed, m->data + i);
}

/* --- forms -------------------------------------------------------------------------------------------- */

static bool
is_ours(const ZydisDecodedInstruction *insn)
{
	switch (insn->meta.isa_set) {
	case ZYDIS_ISA_SET_PENTIUMMMX:
	case ZYDIS_ISA_SET_SSE:
	case ZYDIS_ISA_SET_SSE2:
	case ZYDIS_ISA_SET_SSE2MMX:
	case ZYDIS_ISA_SET_SSE3:
	case ZYDIS_ISA_SET_SSSE3:
	case ZYDIS_ISA_SET_SSSE3MMX:
	case ZYDIS_ISA_SET_SSE4:
	case ZYDIS_ISA_SET_SSE42:
	case ZYDIS_ISA_SET_SSEMXCSR:
	case ZYDIS_ISA_SET_POPCNT:
	case ZYDIS_ISA_SET_CLFSH:
		break;
	default:
		return (false);
	}
	return (insn->mnemonic != ZYDIS_MNEMONIC_MASKMOVQ &&
	    insn->mnemonic != ZYDIS_MNEMONIC_MASKMOVDQU && insn->mnemonic != ZYDIS_MNEMONIC_FISTTP);
}

struct form {
	uint8_t bytes[16];
	unsigned length;
	unsigned imm_at; /* 0: none */
	const char *name;
};

/* DPPS and DPPD have steps, and the flags of those behind the first unmasked exception vary. */
static bool
steps_unknown(const struct form *form, const struct machine_state *a, const struct machine_state *b)
{
	return (strncmp(form->name, "dpp", 3) == 0 && (a->vector == 19 || b->vector == 19));
}

static void
compare(const struct form *form, const uint8_t *insn, const struct machine_state *start)
{
	struct machine_state native = *start, ours = *start;

	host_run(&host, insn, form->length, &native);
	guest_run(&guest, insn, form->length, &ours);
	cases++;
	native.fx.mxcsr_mask = ours.fx.mxcsr_mask = 0;
	if (native.vector >= 0)
		native.flags = ours.flags;
	if (!host_has_our_pointers())
		forget_pointers(&native, &ours);
	if (steps_unknown(form, &native, &ours) || states_equal(&native, &ours, FLAGS_COMPARED))
		return;
	if (failures++ < 6) {
		print_error("%s differs:", form->name);
		for (unsigned i = 0; i < form->length; i++)
			print_error(" %02x", insn[i]);
		print_error("\n");
		print_image("start ", start);
		print_image("host  ", &native);
		print_image("hyve86", &ours);
	}
}

static void
run_form(const struct form *form, unsigned n)
{
	uint64_t seed = random_seed(forms++);
	unsigned long before = failures;
	uint8_t insn[16];

	memcpy(insn, form->bytes, sizeof(insn));
	for (unsigned i = 0; i < n; i++) {
		struct machine_state m;

		random_sse(&seed, &m);
		if (form->imm_at != 0)
			insn[form->imm_at] = (uint8_t)(i / 2);
		compare(form, insn, &m);
	}
	if (failures != before)
		print_error("%s (%02x %02x %02x %02x): %lu of %u differ\n", form->name, insn[0],
		    insn[1], insn[2], insn[3], failures - before, n);
}

/* One encoding: PREFIX (0: none), REX (0: none), MAP's bytes, OPCODE, MODRM, displacement. */
static void
try_form(uint8_t prefix, uint8_t rex, uint8_t map, unsigned opcode, uint8_t modrm, unsigned n)
{
	struct form form = {.length = 0};
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisDecoder decoder;

	if (prefix != 0)
		form.bytes[form.length++] = prefix;
	if (rex != 0)
		form.bytes[form.length++] = rex;
	form.bytes[form.length++] = 0x0f;
	if (map != 0)
		form.bytes[form.length++] = map;
	form.bytes[form.length++] = (uint8_t)opcode;
	form.bytes[form.length++] = modrm;
	if (modrm >> 6 == 1)
		form.bytes[form.length++] = modrm & 0x20 ? 0x10 : 0x13;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(
		&decoder, form.bytes, sizeof(form.bytes), &insn, operands)) ||
	    !is_ours(&insn))
		return;
	for (unsigned i = 0; i < insn.operand_count_visible; i++) /* not compared: R8 to R15 */
		if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER && rex == 0x45 &&
		    ZydisRegisterGetId(operands[i].reg.value) >= 8 &&
		    ZydisRegisterGetClass(operands[i].reg.value) != ZYDIS_REGCLASS_XMM)
			return;
	form.name = ZydisMnemonicGetString(insn.mnemonic);
	if (insn.raw.imm[0].size != 0)
		form.imm_at = insn.raw.imm[0].offset;
	form.length = insn.length;
	run_form(&form, form.imm_at != 0 && n < 512 && n >= 200 ? 512 : n);
}

static void
run_map(uint8_t map)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
	/* XMM0, XMM1; XMM1, XMM1; [RBX]; [RBX+13h]; [RBX+10h] with XMM6 */
	static const uint8_t modrms[] = {0xc1, 0xc9, 0x03, 0x43, 0x73};
	unsigned n = (unsigned)number_from("HYVE86_TEST_FPU", 300);

	host_signals();
	for (unsigned p = 0; p < COUNT(prefixes); p++)
		for (unsigned opcode = 0; opcode < 256; opcode++) {
			/* Groups have their instructions in the register field. */
			bool group =
			    map == 0 && ((opcode >= 0x71 && opcode <= 0x73) || opcode == 0xae);

			if (map == 0 && (opcode == 0xae || opcode == 0x38 || opcode == 0x3a))
				continue;
			for (unsigned i = 0; i < COUNT(modrms) && !group; i++) {
				try_form(prefixes[p], 0, map, opcode, modrms[i], n);
				if (i == 0 || i == 2) {
					try_form(prefixes[p], 0x48, map, opcode, modrms[i], n / 2);
					try_form(prefixes[p], 0x45, map, opcode, 0xc2, n / 3);
				}
			}
			for (unsigned reg = 0; reg < 8 && group; reg++)
				try_form(
				    prefixes[p], 0, map, opcode, (uint8_t)(0xc2 | reg << 3), 512);
		}
	print_message("%lu forms, %lu cases\n", forms, cases);
	assert_int_equal(failures, 0);
}

static void
map_0f_as_on_the_host(void **state)
{
	(void)state;
	run_map(0);
}

static void
map_0f38_as_on_the_host(void **state)
{
	(void)state;
	run_map(0x38);
}

static void
map_0f3a_as_on_the_host(void **state)
{
	(void)state;
	run_map(0x3a);
}

/* --- the state as a whole -------------------------------------------------------------------------------- */

/* An image for FXRSTOR and XRSTOR; not always a good one. */
static void
random_image(uint64_t *seed, struct machine_state *m)
{
	struct machine_state other;
	uint64_t r = random64(seed), bv = r >> 32 & 3;

	random_sse(seed, &other);
	other.fx.fcw = (uint16_t)random64(seed);
	other.fx.fsw = (uint16_t)random64(seed);
	other.fx.fop = (uint16_t)random64(seed);
	other.fx.fip = random64(seed) & 0x7fffffffffff;
	other.fx.fdp = random64(seed) & 0x7fffffffffff;
	if (r % 8 == 0)
		other.fx.mxcsr |= 0x10000u << (r >> 8) % 16;
	memcpy(m->data, &other.fx, sizeof(other.fx));
	memset(m->data + 512, 0, 64);
	memcpy(m->data + 512, &bv, 8);
	if (r % 8 == 1)
		m->data[520 + (r >> 8) % 16] = 1;
}

/* What differs between hosts, or is an address, in a saved image. */
static void
normalize_image(struct machine_state *m, uint64_t code, uint64_t data)
{
	const uint32_t mask = 0xffff;
	uint64_t pointer[2];

	memcpy(pointer, m->data + 8, 16);
	pointer[0] = to_relative(pointer[0], code);
	pointer[1] = to_relative(pointer[1], data);
	memcpy(m->data + 8, pointer, 16);
	memcpy(m->data + 28, &mask, 4);
}

static void
state_as_on_the_host(void **state)
{
	static const struct form images[] = {
	    {.bytes = {0x0f, 0xae, 0x03}, .length = 3, .name = "fxsave"},
	    {.bytes = {0x48, 0x0f, 0xae, 0x03}, .length = 4, .name = "fxsave64"},
	    {.bytes = {0x0f, 0xae, 0x43, 0x08}, .length = 4, .name = "fxsave unaligned"},
	    {.bytes = {0x0f, 0xae, 0x0b}, .length = 3, .name = "fxrstor"},
	    {.bytes = {0x48, 0x0f, 0xae, 0x0b}, .length = 4, .name = "fxrstor64"},
	    {.bytes = {0x0f, 0xae, 0x13}, .length = 3, .name = "ldmxcsr"},
	    {.bytes = {0x0f, 0xae, 0x1b}, .length = 3, .name = "stmxcsr"},
	    {.bytes = {0x0f, 0xae, 0x23}, .length = 3, .name = "xsave"},
	    {.bytes = {0x48, 0x0f, 0xae, 0x23}, .length = 4, .name = "xsave64"},
	    {.bytes = {0x0f, 0xae, 0x2b}, .length = 3, .name = "xrstor"},
	    {.bytes = {0x48, 0x0f, 0xae, 0x2b}, .length = 4, .name = "xrstor64"},
	    {.bytes = {0x0f, 0xae, 0x6b, 0x10}, .length = 4, .name = "xrstor unaligned"},
	    {.bytes = {0x0f, 0xae, 0x3b}, .length = 3, .name = "clflush"},
	    {.bytes = {0x0f, 0xae, 0xe8}, .length = 3, .name = "lfence"},
	    {.bytes = {0x0f, 0xae, 0xf0}, .length = 3, .name = "mfence"},
	    {.bytes = {0x0f, 0xae, 0xf8}, .length = 3, .name = "sfence"},
	    {.bytes = {0x0f, 0xf7, 0xca}, .length = 3, .name = "maskmovq"},
	    {.bytes = {0x66, 0x0f, 0xf7, 0xca}, .length = 4, .name = "maskmovdqu"},
	};
	unsigned n = (unsigned)number_from("HYVE86_TEST_FPU", 500);
	uint64_t seed = random_seed(1);

	(void)state;
	if (!host_has_our_pointers())
		skip();
	host_signals();
	guest.state.fpu.xcr0 = 3;
	for (unsigned i = 0; i < COUNT(images); i++)
		for (unsigned j = 0; j < n; j++) {
			struct machine_state m, native, ours;
			const struct form *form = &images[i];

			random_sse(&seed, &m);
			random_image(&seed, &m);
			m.reg[N_RAX] = random64(&seed) & 3;
			m.reg[N_RDX] = 0;
			m.reg[N_RDI] = RELATIVE + random64(&seed) % 64;
			native = ours = m;
			host_run(&host, form->bytes, form->length, &native);
			guest_run(&guest, form->bytes, form->length, &ours);
			normalize_image(&native, (uintptr_t)host.code, (uintptr_t)host.data);
			normalize_image(&ours, GUEST_CODE, GUEST_DATA);
			native.fx.mxcsr_mask = ours.fx.mxcsr_mask;
			cases++;
			if (native.vector >= 0)
				native.flags = ours.flags;
			if (states_equal(&native, &ours, FLAGS_COMPARED))
				continue;
			if (failures++ < 4) {
				print_error("%s differs:\n", form->name);
				print_image("start ", &m);
				print_image("host  ", &native);
				print_image("hyve86", &ours);
				for (unsigned k = 0; k < DATA_SIZE; k++)
					if (native.data[k] != ours.data[k])
						print_error("data[%u] %02x %02x\n", k,
						    native.data[k], ours.data[k]);
			}
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
	    cmocka_unit_test(map_0f_as_on_the_host),
	    cmocka_unit_test(map_0f38_as_on_the_host),
	    cmocka_unit_test(map_0f3a_as_on_the_host),
	    cmocka_unit_test(state_as_on_the_host),
	};

	return (cmocka_run_group_tests(tests, set_up, tear_down));
}
