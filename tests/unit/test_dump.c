/* vmmctl's output against the dump that the project began with. */
#include "vm_fixture.h"

#include "inspect/dump.h"
#include "inspect/qemu.h"
#include "inspect/subject.h"

#define SEED_DUMP TEST_SOURCE_DIR "/../e2e/data/dump-after-load.txt"
#define OUTPUT_SIZE 16384

/* TEXT with its tabs expanded to columns of 8. */
static void
expand(const char *text, char *out, size_t size)
{
	size_t n = 0, column = 0;

	for (; *text != '\0' && n + 9 < size; text++) {
		if (*text != '\t') {
			out[n++] = *text;
			column = *text == '\n' ? 0 : column + 1;
			continue;
		}
		do
			out[n++] = ' ';
		while (++column % 8 != 0);
	}
	out[n] = '\0';
}

/* What dump_all says of CTX, tabs expanded. */
static void
dump_of(struct vmctx *ctx, char *out)
{
	static char text[OUTPUT_SIZE];
	FILE *file = fmemopen(text, sizeof(text), "w");

	assert_non_null(file);
	assert_int_equal(dump_all(file, ctx, 0, NULL), 0);
	fclose(file);
	expand(text, out, OUTPUT_SIZE);
}

static void
seed_dump(char *out)
{
	FILE *file = fopen(SEED_DUMP, "r");
	size_t n;

	assert_non_null(file);
	n = fread(out, 1, OUTPUT_SIZE - 1, file);
	out[n] = '\0';
	fclose(file);
}

/* The VM of that dump: 128 and 256 MB, the seed's registers with their wrong limits. */
static void
make_seed_vm(struct vmctx *ctx)
{
	static const int segments[] = {
	    VM_REG_GUEST_DS, VM_REG_GUEST_ES, VM_REG_GUEST_FS, VM_REG_GUEST_GS, VM_REG_GUEST_SS};

	assert_int_equal(vm_setup_memory(ctx, 0, 128u << 20, NULL), 0);
	assert_int_equal(vm_setup_memory(ctx, MEMORY_HIGH_BASE, 256u << 20, NULL), 0);
	assert_int_equal(vm_setup_bios_registers(ctx, 0, 0, 0, 0x5000, 0), 0);
	for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
		assert_int_equal(vm_set_desc(ctx, 0, segments[i], 0, 0, 0x93), 0);
	assert_int_equal(vm_set_desc(ctx, 0, VM_REG_GUEST_CS, 0, 0, 0x209b), 0);
	assert_int_equal(vm_set_desc(ctx, 0, VM_REG_GUEST_IDTR, 0, 0, 0), 0);
}

/* Lines whose values are the host's own. */
static bool
of_the_host(const char *line)
{
	static const char *const names[] = {"eptp[", "msr_bitmap[", "vpid[", "host_"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(line, names[i], strlen(names[i])) == 0)
			return (true);
	return (false);
}

static void
dump_equals_the_seeds(void **state)
{
	static char ours[OUTPUT_SIZE], seed[OUTPUT_SIZE];
	char *ours_at = ours, *seed_at = seed, *our_line, *seed_line;
	int lines = 0;

	make_seed_vm(*state);
	dump_of(*state, ours);
	seed_dump(seed);
	while ((our_line = strsep(&ours_at, "\n")) != NULL && *our_line != '\0') {
		seed_line = strsep(&seed_at, "\n");
		assert_non_null(seed_line);
		if (!of_the_host(our_line))
			assert_string_equal(our_line, seed_line);
		lines++;
	}
	assert_int_equal(lines, 99);
	assert_string_equal(strsep(&seed_at, "\n"), "errno = 22");
}

static void
one_item_is_a_line_of_all(void **state)
{
	static char all[OUTPUT_SIZE], one[OUTPUT_SIZE];
	bool of_2012 = true;

	make_seed_vm(*state);
	dump_of(*state, all);
	for (unsigned i = 0; dump_item_name(i) != NULL; i++) {
		static char text[OUTPUT_SIZE];
		FILE *file = fmemopen(text, sizeof(text), "w");

		assert_int_equal(dump_one(file, *state, 0, dump_item_name(i), NULL), 0);
		fclose(file);
		expand(text, one, sizeof(one));
		/* From CR2 on they are those that --get-all of 2012 did not have. */
		if (strcmp(dump_item_name(i), "cr2") == 0)
			of_2012 = false;
		assert_true(one[0] != '\0');
		if (of_2012)
			assert_non_null(strstr(all, one));
	}
	assert_int_equal(dump_one(stdout, *state, 0, "nothing", NULL), 1);
}

static void
registers_by_name(void **unused)
{
	(void)unused;
	assert_int_equal(dump_register_by_name("rax"), VM_REG_GUEST_RAX);
	assert_int_equal(dump_register_by_name("cs"), VM_REG_GUEST_CS);
	assert_int_equal(dump_register_by_name("desc-cs"), VM_REG_GUEST_CS);
	assert_int_equal(dump_register_by_name("desc-gdtr"), VM_REG_GUEST_GDTR);
	assert_int_equal(dump_register_by_name("dr6"), VM_REG_GUEST_DR6);
	assert_int_equal(dump_register_by_name("desc-rax"), -1);
	assert_int_equal(dump_register_by_name("lowmem"), -1);
}

static void
exit_block(void **unused)
{
	static const struct vm_exit vmexit = {
	    .exitcode = VM_EXITCODE_VMX, .inst_length = 3, .u.vmx = {.exit_reason = 2}};
	char text[512] = "";
	FILE *file = fmemopen(text, sizeof(text), "w");

	(void)unused;
	dump_vmx_exit(file, 0, &vmexit);
	fclose(file);
	assert_string_equal(text,
	    "vm exit[0]\n"
	    "\treason\t\tVMX\n"
	    "\trip\t\t0x0000000000000000\n"
	    "\tinst_length\t3\n"
	    "\terror\t\t0\n"
	    "\texit_reason\t2\n"
	    "\tqualification\t0x0000000000000000\n");
}

/* In QEMU's form: a 64-bit guest, read back by what reads QEMU's own. */
static void
info_registers_reads_back(void **unused)
{
	static const struct x86_segment code = {
	    .selector = 0x8, .limit = 0xffffffff, .access = 0xa09b};
	static const struct x86_segment data = {
	    .selector = 0x10, .base = 0x123456789a, .limit = 0xffffffff, .access = 0xc093};
	static struct vcpu_state s;
	static struct subject back;
	static char text[OUTPUT_SIZE];
	FILE *file = fmemopen(text, sizeof(text), "w+");

	(void)unused;
	vcpu_state_reset(&s, 0);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		s.gpr.reg[i] = 0x1111111111111111u * i;
	s.gpr.rip = 0xffffffff80001234;
	s.gpr.rflags = 0x246;
	s.sregs.cr0 = 0x80050033;
	s.sregs.cr3 = 0x123456000;
	s.sregs.cr4 = 0x6f0;
	s.sregs.efer = 0xd01;
	s.sregs.seg[SEG_CS] = code;
	s.sregs.seg[SEG_SS] = data;
	s.sregs.gdtr = (struct x86_table){.base = 0xffffffff81000000, .limit = 0x7f};
	s.debug.dr7 = 0x400;
	qemu_info_registers(file, &s, true);
	rewind(file);
	assert_int_equal(subject_from_dump(&back, file, "it", NULL), 0);
	fclose(file);
	assert_memory_equal(back.state.gpr.reg, s.gpr.reg, sizeof(s.gpr.reg));
	assert_int_equal(back.state.gpr.rip, s.gpr.rip);
	assert_int_equal(back.state.gpr.rflags, s.gpr.rflags);
	assert_int_equal(back.state.sregs.cr0, s.sregs.cr0);
	assert_int_equal(back.state.sregs.cr3, s.sregs.cr3);
	assert_int_equal(back.state.sregs.cr4, s.sregs.cr4);
	assert_int_equal(back.state.sregs.efer, s.sregs.efer);
	assert_int_equal(back.state.sregs.gdtr.base, s.sregs.gdtr.base);
	assert_int_equal(back.state.sregs.gdtr.limit, s.sregs.gdtr.limit);
	for (unsigned i = SEG_CS; i <= SEG_SS; i++) {
		assert_int_equal(back.state.sregs.seg[i].selector, s.sregs.seg[i].selector);
		assert_int_equal(back.state.sregs.seg[i].base, s.sregs.seg[i].base);
		assert_int_equal(back.state.sregs.seg[i].limit, s.sregs.seg[i].limit);
		assert_int_equal(back.state.sregs.seg[i].access, s.sregs.seg[i].access);
	}
	subject_free(&back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(dump_equals_the_seeds, vm_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(one_item_is_a_line_of_all, vm_setup, vm_teardown),
	    cmocka_unit_test(registers_by_name),
	    cmocka_unit_test(exit_block),
	    cmocka_unit_test(info_registers_reads_back),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
