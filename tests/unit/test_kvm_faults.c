/*
 * KVM that fails: each call of the engine in turn, with each of the errors that the kernel's
 * Documentation/virt/kvm/api.rst gives it. Always a message that names the call, a vCPU that can
 * be read and destroyed, and nothing left behind. With /dev/kvm also on the host's, whose other
 * calls do what they do.
 */
#include "unit.h"

#include "fake_kvm.h"

#define PORT 0x80
#define DEVICE_AT 0xd0000u
#define ERRORS_MAX 10
#define ALL_CALLS_MAX 4 /* times that a call is let through before it fails */

static struct fake_board board;
static unsigned port_writes, device_accesses;

/* --- the board ----------------------------------------------------------------------------------------- */

static void
write_port(void *chip, uint16_t reg, unsigned size, uint32_t value)
{
	(void)chip;
	(void)reg;
	(void)size;
	(void)value;
	port_writes++;
}

static const struct port_ops ports = {.write = write_port};

static uint64_t
read_device(void *opaque, uint64_t offset, unsigned size)
{
	(void)opaque;
	assert_true(offset + size <= 0x1000);
	device_accesses++;
	return (0x5a);
}

static void
write_device(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	(void)value;
	read_device(opaque, offset, size);
}

static const struct mmio_ops device = {.read = read_device, .write = write_device};

static int
acknowledge(void *opaque)
{
	(void)opaque;
	return (0x20);
}

/* In real mode: a port, a device, and round again; it has FPU and MSRs to be asked for. */
static const uint8_t program[] = {
    0xb8, 0x00, 0xd0, /* mov ax, d000h */
    0x8e, 0xd8,	      /* mov ds, ax */
    0xfb,	      /* sti */
    0xe6, PORT,	      /* out 80h, al */
    0xa0, 0x00, 0x00, /* mov al, [0] */
    0xeb, 0xf9,	      /* jmp to the out */
};

static void
lay_out(void)
{
	memset(&board, 0, sizeof(board));
	port_writes = device_accesses = 0;
	assert_true(fake_board_init(&board, 1 << 20, 0));
	assert_int_equal(memory_add_region(&board.mem,
			     &(struct mem_region){.gpa = DEVICE_AT,
				 .size = 0x1000,
				 .type = MEM_MMIO,
				 .ops = &device,
				 .name = "device"}),
	    0);
	bus_attach(&board.bus, "port", &ports, &board, PORT, 1, 0);
	memory_write(&board.mem, 0x1000, program, sizeof(program));
}

static int
create(void)
{
	const struct engine_world world = {
	    .mem = &board.mem, .bus = &board.bus, .int_ack = acknowledge};

	return (vcpu_create(&board.vcpu, &engine_kvm, &board.state, &board.vmx, &world, 0));
}

/* --- a guest for the fake: all exits in turn ----------------------------------------------------------------- */

static void
exit_io(struct kvm_run *run, bool in, uint8_t size, uint32_t count)
{
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = PORT;
	run->io.count = count;
	run->io.data_offset = 4096;
}

static void
exit_mmio(struct kvm_run *run, uint64_t gpa, uint32_t len, bool write)
{
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = gpa;
	run->mmio.len = len;
	run->mmio.is_write = write;
}

static int
busy_guest(struct kvm_run *run, unsigned n)
{
	fake_kvm.regs.rip = 0x1000 + n;
	fake_kvm.regs.rflags = RFLAGS_IF | 2;
	switch (n) {
	case 0:
		exit_io(run, false, 1, 3);
		return (0);
	case 1:
		exit_io(run, true, 4, 2);
		return (0);
	case 2:
		exit_mmio(run, DEVICE_AT, 4, true);
		return (0);
	case 3:
		exit_mmio(run, DEVICE_AT + 1, 2, false);
		return (0);
	case 4:
		run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
		return (0);
	case 5:
		run->exit_reason = KVM_EXIT_X86_RDMSR;
		run->msr.index = MSR_APIC_BASE;
		return (0);
	default:
		return (EINTR);
	}
}

/* --- what must hold whatever failed -------------------------------------------------------------------------- */

static void
check_text(const char *name)
{
	const char *text = board.vcpu.exit.text;

	if (strstr(text, name) == NULL)
		fail_msg("\"%s\" does not name %s", text, name);
	assert_true(strlen(text) < sizeof(board.vcpu.exit.text) - 1);
	assert_null(strstr(text, "Success"));
}

/* All groups can be asked for; those in the run page are there. */
static void
check_readable(uint64_t rip)
{
	struct vcpu_history history;

	fake_kvm.failure.call = 0;
	vcpu_pull(&board.vcpu, VCPU_ALL);
	if (rip != 0)
		assert_int_equal(board.state.gpr.rip, rip);
	vcpu_history(&board.vcpu, &history);
}

/* Run a few turns of the program, with an interrupt and an NMI. */
static void
run_all(void)
{
	vcpu_set_intr(&board.vcpu, true);
	vcpu_raise_nmi(&board.vcpu);
	vcpu_run(&board.vcpu, 100000);
	if (board.vcpu.exit.kind == ENGINE_ERROR)
		return;
	vcpu_pull(&board.vcpu, VCPU_ALL);
	vcpu_push(&board.vcpu, VCPU_ALL);
	memory_set_type(&board.mem, "device", MEM_NONE);
	memory_set_type(&board.mem, "device", MEM_MMIO);
	if (board.vcpu.exit.kind != ENGINE_ERROR)
		vcpu_run(&board.vcpu, 1);
}

static const struct {
	unsigned long call;
	const char *name; /* in the message */
	int errors[ERRORS_MAX];
	bool at_creation;
} calls[] = {
    {FAKE_OPEN, "/dev/kvm", {EACCES, ENOENT, ENODEV, ENXIO, EMFILE, ENFILE, EPERM, EBUSY, ENOMEM},
	true},
    {KVM_GET_API_VERSION, "KVM_GET_API_VERSION", {ENOTTY, EINVAL}, true},
    {KVM_CHECK_EXTENSION, "KVM_CAP_", {ENOTTY, EINVAL}, true},
    {KVM_CREATE_VM, "KVM_CREATE_VM", {ENOMEM, EBUSY, EMFILE, ENFILE, EINVAL, ENODEV, EIO}, true},
    {KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR", {EINVAL, EFAULT, EEXIST}, true},
    {KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR", {EINVAL, ENOMEM, EEXIST}, true},
    {KVM_ENABLE_CAP, "KVM_ENABLE_CAP", {EINVAL, ENOSYS, EFAULT, EPERM}, true},
    {KVM_X86_SET_MSR_FILTER, "KVM_X86_SET_MSR_FILTER", {EINVAL, EFAULT, ENOMEM}, true},
    {KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", {ENOTTY, EINVAL}, true},
    {KVM_CREATE_VCPU, "KVM_CREATE_VCPU", {EINVAL, EEXIST, ENOMEM, EMFILE, EBUSY, EIO}, true},
    {FAKE_MMAP, "run page", {ENOMEM, EACCES, EAGAIN, EINVAL, EPERM}, true},
    {KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID", {E2BIG, ENOMEM, EFAULT, EINVAL}, true},
    {KVM_SET_CPUID2, "KVM_SET_CPUID2", {EINVAL, E2BIG, ENOMEM, EFAULT}, true},
    {FAKE_TIMER, "timer_create", {EAGAIN, ENOMEM, EINVAL}, false},
    {KVM_SET_SIGNAL_MASK, "KVM_SET_SIGNAL_MASK", {EINVAL, EFAULT}, false},
    {KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION",
	{EINVAL, EEXIST, ENOMEM, EFAULT, E2BIG}, false},
    {KVM_SET_XSAVE, "KVM_SET_XSAVE", {EINVAL, EFAULT, ENOMEM}, false},
    {KVM_GET_XSAVE, "KVM_GET_XSAVE", {EINVAL, EFAULT, ENOMEM}, false},
    {KVM_SET_XCRS, "KVM_SET_XCRS", {EINVAL, EFAULT}, false},
    {KVM_GET_XCRS, "KVM_GET_XCRS", {EINVAL, EFAULT}, false},
    {KVM_SET_MSRS, "KVM_SET_MSRS", {EINVAL, EFAULT, ENOMEM, E2BIG}, false},
    {KVM_GET_MSRS, "KVM_GET_MSRS", {EINVAL, EFAULT, ENOMEM, E2BIG}, false},
    {KVM_SET_DEBUGREGS, "KVM_SET_DEBUGREGS", {EINVAL, EFAULT}, false},
    {KVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS", {EINVAL, EFAULT}, false},
    {KVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS", {EINVAL, EFAULT}, false},
    {KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS", {EINVAL, EFAULT}, false},
    {KVM_SET_GUEST_DEBUG, "KVM_SET_GUEST_DEBUG", {EINVAL, EBUSY, EFAULT}, false},
    {KVM_INTERRUPT, "KVM_INTERRUPT", {EINVAL, EEXIST, ENXIO, EFAULT}, false},
    {KVM_NMI, "KVM_NMI", {EINVAL, ENXIO}, false},
    {KVM_RUN, "KVM_RUN", {EINVAL, EFAULT, ENOEXEC, ENOSYS, EPERM, ENOMEM, EAGAIN, EIO, EBUSY},
	false},
};

/* CALLS[I] fails with its error J after SKIP that do not. Whether it came to that. */
static bool
fail_call(size_t i, unsigned j, unsigned skip, bool real)
{
	unsigned files = open_files();
	bool failed;

	fake_kvm_reset(real);
	fake_kvm.guest = busy_guest;
	lay_out();
	fake_kvm.failure = (struct fake_failure){
	    .call = calls[i].call, .argument = FAKE_ANY, .skip = skip, .error = calls[i].errors[j]};
	if (create() == 0) {
		run_all();
		failed = fake_kvm.failed > 0;
		if (failed) {
			assert_int_equal(board.vcpu.exit.kind, ENGINE_ERROR);
			check_text(calls[i].name);
		}
		check_readable(0);
		vcpu_destroy(&board.vcpu);
	} else {
		failed = true;
		assert_true(calls[i].at_creation);
		assert_int_equal(
		    errno, calls[i].call == KVM_CHECK_EXTENSION ? ENOTSUP : calls[i].errors[j]);
		check_text(calls[i].name);
		assert_non_null(strstr(board.vcpu.exit.text, "--engine soft"));
	}
	memory_fini(&board.mem);
	assert_int_equal(fake_kvm.maps, 0);
	assert_int_equal(open_files(), files);
	return (failed);
}

static void
every_call(bool real)
{
	for (size_t i = 0; i < COUNT(calls); i++) {
		bool once = false;

		for (unsigned j = 0; j < ERRORS_MAX && calls[i].errors[j] != 0; j++)
			for (unsigned skip = 0; skip < ALL_CALLS_MAX; skip++)
				once |= fail_call(i, j, skip, real);
		if (!once && !real)
			fail_msg("%s never failed", calls[i].name);
	}
}

static void
every_call_of_the_fake(void **state)
{
	(void)state;
	every_call(false);
}

static void
every_call_of_the_host(void **state)
{
	(void)state;
	if (access("/dev/kvm", R_OK | W_OK) != 0)
		skip();
	fake_kvm_reset(true);
	lay_out();
	if (create() != 0) {
		memory_fini(&board.mem);
		skip();
	}
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
	every_call(true);
}

/* --- answers that are no errors, but short ---------------------------------------------------------------------- */

/* Creation with F: refused, in words that name NAME. */
static void
refused(struct fake_failure f, const char *name)
{
	unsigned files = open_files();

	fake_kvm_reset(false);
	fake_kvm.failure = f;
	lay_out();
	assert_int_equal(create(), -1);
	assert_int_equal(errno, ENOTSUP);
	check_text(name);
	assert_non_null(strstr(board.vcpu.exit.text, "--engine soft"));
	memory_fini(&board.mem);
	assert_int_equal(open_files(), files);
	assert_int_equal(fake_kvm.maps, 0);
}

static void
a_kvm_that_cannot(void **state)
{
	static const struct {
		unsigned long number;
		const char *name;
	} needed[] = {{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
	    {KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM"},
	    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
	    {KVM_CAP_SYNC_REGS, "KVM_CAP_SYNC_REGS"}, {KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
	    {KVM_CAP_XSAVE, "KVM_CAP_XSAVE"}, {KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
	    {KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR"},
	    {KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER"}};

	(void)state;
	for (size_t i = 0; i < COUNT(needed); i++)
		refused((struct fake_failure){.call = KVM_CHECK_EXTENSION,
			    .argument = needed[i].number},
		    needed[i].name);
	refused(
	    (struct fake_failure){
		.call = KVM_CHECK_EXTENSION, .argument = KVM_CAP_SYNC_REGS, .value = 1},
	    "KVM_CAP_SYNC_REGS");
	refused(
	    (struct fake_failure){.call = KVM_GET_API_VERSION, .argument = FAKE_ANY, .value = 11},
	    "KVM_GET_API_VERSION");
	refused(
	    (struct fake_failure){
		.call = KVM_GET_VCPU_MMAP_SIZE, .argument = FAKE_ANY, .value = 100},
	    "KVM_GET_VCPU_MMAP_SIZE");
}

/* KVM does the first few MSRs: the message names the next one. */
static void
some_msrs(void **state)
{
	static const unsigned long sets[] = {KVM_SET_MSRS, KVM_GET_MSRS};

	(void)state;
	for (size_t set = 0; set < COUNT(sets); set++)
		for (int done = 0; done < 12; done++) {
			fake_kvm_reset(false);
			lay_out();
			assert_int_equal(create(), 0);
			fake_kvm.failure = (struct fake_failure){
			    .call = sets[set], .argument = FAKE_ANY, .value = done};
			vcpu_run(&board.vcpu, 1000);
			vcpu_pull(&board.vcpu, VCPU_ALL);
			assert_int_equal(board.vcpu.exit.kind, ENGINE_ERROR);
			check_text("MSR 0x");
			check_readable(0);
			vcpu_destroy(&board.vcpu);
			memory_fini(&board.mem);
		}
}

/* A call that a signal interrupts is made again. */
static void
creation_is_interrupted(void **state)
{
	(void)state;
	fake_kvm_reset(false);
	fake_kvm.failure = (struct fake_failure){
	    .call = KVM_CREATE_VM, .argument = FAKE_ANY, .times = 3, .error = EINTR};
	lay_out();
	assert_int_equal(create(), 0);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* --- exits ------------------------------------------------------------------------------------------------------ */

static int (*one_exit)(struct kvm_run *run);

static int
guest_of_one_exit(struct kvm_run *run, unsigned n)
{
	fake_kvm.regs.rip = 0x1234;
	return (n == 0 ? one_exit(run) : EINTR);
}

/* The guest leaves once, by EXIT. */
static void
leave_by(int (*exit)(struct kvm_run *run), unsigned budget)
{
	fake_kvm_reset(false);
	fake_kvm.guest = guest_of_one_exit;
	one_exit = exit;
	lay_out();
	memory_put16(&board.mem, 0x1234, 0xfeeb); /* jmp $, where the built-in CPU goes on */
	assert_int_equal(create(), 0);
	vcpu_run(&board.vcpu, budget);
}

static void
end_exit(void)
{
	check_readable(0x1234);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

static uint32_t number;

static int
numbered_exit(struct kvm_run *run)
{
	run->exit_reason = number;
	return (0);
}

static void
exits_that_nobody_knows(void **state)
{
	static const uint32_t numbers[] = {KVM_EXIT_UNKNOWN, KVM_EXIT_EXCEPTION, KVM_EXIT_HYPERCALL,
	    KVM_EXIT_NMI, KVM_EXIT_OSI, KVM_EXIT_SYSTEM_EVENT, KVM_EXIT_X86_BUS_LOCK, 39, 1000,
	    0x80000000, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		number = numbers[i];
		leave_by(numbered_exit, 1000);
		assert_int_equal(board.vcpu.exit.kind, ENGINE_ERROR);
		check_text("does not know");
		end_exit();
	}
}

static int
failed_entry(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = 0x80000021;
	return (0);
}

static void
entry_refused(void **state)
{
	(void)state;
	leave_by(failed_entry, 1000);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_ENTRY_FAILED);
	check_text("0x80000021");
	end_exit();
}

static int
internal_error(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = number;
	run->internal.ndata = UINT32_MAX;
	return (0);
}

/* The built-in CPU does what KVM cannot emulate; what is KVM's own error ends the run. */
static void
internal_errors(void **state)
{
	(void)state;
	for (number = 0; number < 10; number++) {
		bool emulation = number >= KVM_INTERNAL_ERROR_EMULATION &&
		    number <= KVM_INTERNAL_ERROR_DELIVERY_EV;

		leave_by(internal_error, 1000);
		assert_int_equal(board.vcpu.counts.lent, emulation ? 1 : 0);
		assert_int_equal(board.vcpu.exit.kind, emulation ? ENGINE_CANCELED : ENGINE_ERROR);
		if (!emulation)
			check_text("KVM_EXIT_INTERNAL_ERROR");
		end_exit();
	}
}

/* The run page as no KVM would fill it. */
static uint64_t offset;
static uint32_t count;
static uint8_t size;

static int
odd_io(struct kvm_run *run)
{
	exit_io(run, number != 0, size, count);
	run->io.data_offset = offset;
	run->io.port = 0xffff;
	return (0);
}

static void
ports_outside_of_the_page(void **state)
{
	static const uint64_t offsets[] = {0, 4096, FAKE_RUN_SIZE - 4, FAKE_RUN_SIZE,
	    FAKE_RUN_SIZE + 1, 1 << 20, UINT64_MAX - 3, UINT64_MAX};
	static const uint32_t counts[] = {0, 1, 2, 4096, 0x80000000, UINT32_MAX};

	(void)state;
	for (number = 0; number < 2; number++)
		for (size_t i = 0; i < COUNT(offsets); i++)
			for (size_t j = 0; j < COUNT(counts); j++)
				for (size = 0; size < 9; size++) {
					bool good = size != 0 && size != 3 && size < 5 &&
					    offsets[i] <= FAKE_RUN_SIZE &&
					    (uint64_t)counts[j] * size <=
						FAKE_RUN_SIZE - offsets[i];

					/* Who reads to the page's beginning overwrites the exit. */
					if (good && offsets[i] == 0)
						continue;
					offset = offsets[i];
					count = counts[j];
					leave_by(odd_io, 1000);
					assert_int_equal(board.vcpu.exit.kind,
					    good ? ENGINE_CANCELED : ENGINE_ERROR);
					end_exit();
				}
}

static int
odd_mmio(struct kvm_run *run)
{
	exit_mmio(run, offset, count, number != 0);
	return (0);
}

static void
memory_anywhere(void **state)
{
	static const uint64_t offsets[] = {0, 0xfffff, 0x100000, DEVICE_AT, DEVICE_AT + 0xfff,
	    DEVICE_AT - 1, 0xffffffff, 1ull << 32, 1ull << 52, UINT64_MAX - 7, UINT64_MAX};
	static const uint32_t counts[] = {0, 1, 3, 8, 255, UINT32_MAX};

	(void)state;
	for (number = 0; number < 2; number++)
		for (size_t i = 0; i < COUNT(offsets); i++)
			for (size_t j = 0; j < COUNT(counts); j++) {
				offset = offsets[i];
				count = counts[j];
				leave_by(odd_mmio, 1000);
				assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
				end_exit();
			}
}

/* --- what is kept ------------------------------------------------------------------------------------------------- */

static int
refuse_once(struct kvm_run *run, unsigned n)
{
	(void)n;
	/* KVM leaves its own registers in the page. */
	memset(&fake_kvm.regs, 0, sizeof(fake_kvm.regs));
	memset(&fake_kvm.sregs, 0, sizeof(fake_kvm.sregs));
	run->exit_reason = KVM_EXIT_UNKNOWN;
	return (EINVAL);
}

/* A state that KVM does not take stays the vCPU's: another engine may. */
static void
a_refused_state_stays(void **state)
{
	(void)state;
	fake_kvm_reset(false);
	fake_kvm.guest = refuse_once;
	lay_out();
	board.state.gpr.reg[GPR_RBX] = 0x77;
	assert_int_equal(create(), 0);
	vcpu_run(&board.vcpu, 1000);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_ERROR);
	check_text("KVM_RUN");
	assert_non_null(strstr(board.vcpu.exit.text, "--engine soft"));
	check_readable(0x1000);
	assert_int_equal(board.state.gpr.reg[GPR_RBX], 0x77);
	assert_int_equal(board.state.sregs.seg[SEG_CS].base, 0);
	fake_kvm.guest = busy_guest;
	fake_kvm.entries = 0;
	vcpu_run(&board.vcpu, 1000);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
	assert_true(port_writes > 0);
	assert_int_equal(fake_kvm.regs.rbx, 0x77);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* The first thing that fails is what is told; the other groups can be read. */
static void
the_first_failure_is_told(void **state)
{
	(void)state;
	fake_kvm_reset(false);
	fake_kvm.guest = busy_guest;
	lay_out();
	assert_int_equal(create(), 0);
	vcpu_run(&board.vcpu, 1000);
	fake_kvm.debugregs.db[2] = 0x4711;
	fake_kvm.failure =
	    (struct fake_failure){.call = KVM_GET_XSAVE, .argument = FAKE_ANY, .error = EINVAL};
	vcpu_pull(&board.vcpu, VCPU_ALL);
	check_text("KVM_GET_XSAVE");
	assert_int_equal(board.state.debug.dr[2], 0x4711);
	fake_kvm.failure.call = KVM_GET_MSRS;
	vcpu_pull(&board.vcpu, VCPU_ALL);
	check_text("KVM_GET_XSAVE");
	check_readable(0);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* An NMI that KVM was not given yet is in the state that another engine goes on with. */
static void
an_nmi_is_kept(void **state)
{
	(void)state;
	fake_kvm_reset(false);
	lay_out();
	assert_int_equal(create(), 0);
	vcpu_run(&board.vcpu, 1000);
	vcpu_raise_nmi(&board.vcpu);
	fake_kvm.failure =
	    (struct fake_failure){.call = KVM_NMI, .argument = FAKE_ANY, .error = EINVAL};
	vcpu_run(&board.vcpu, 1000);
	check_text("KVM_NMI");
	check_readable(0);
	assert_int_equal(board.state.events.nmi_pending, 1);
	vcpu_run(&board.vcpu, 1000);
	assert_int_equal(fake_kvm.events.nmi.pending, 1);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* HLT ends by what another engine left to be delivered. */
static void
what_waits_ends_a_halt(void **state)
{
	(void)state;
	fake_kvm_reset(false);
	lay_out();
	board.state.events.activity = VCPU_HLT;
	board.state.events.inject_type = EVENT_HW_INTR;
	board.state.events.inject_vector = 0x20;
	board.state.gpr.rflags |= RFLAGS_IF;
	assert_int_equal(create(), 0);
	vcpu_run(&board.vcpu, 1000);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
	assert_int_equal(board.state.events.activity, VCPU_ACTIVE);
	assert_int_equal(fake_kvm.events.interrupt.nr, 0x20);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* A software interrupt that waits is delivered, which takes the built-in CPU. */
static void
a_software_interrupt(void **state)
{
	(void)state;
	fake_kvm_reset(false);
	lay_out();
	memory_put16(&board.mem, 4 * 0x21, 0x3000);
	memory_put16(&board.mem, 4 * 0x21 + 2, 0);
	memory_put16(&board.mem, 0x3000, 0xfeeb);
	board.state.gpr.reg[GPR_RSP] = 0x8000;
	board.state.events.inject_type = EVENT_SW_INTR;
	board.state.events.inject_vector = 0x21;
	assert_int_equal(create(), 0);
	vcpu_run(&board.vcpu, 1000);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
	check_readable(0x3000);
	assert_int_equal(memory_get16(&board.mem, 0x8000 - 6), 0x1000);
	assert_int_equal(board.state.events.inject_type, EVENT_NONE);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* --- steps and stops ---------------------------------------------------------------------------------------------- */

static int
unemulated(struct kvm_run *run, unsigned n)
{
	(void)n;
	number = KVM_INTERNAL_ERROR_EMULATION;
	return (internal_error(run));
}

/* A step is one instruction, whoever executes it. */
static void
a_step_on_the_built_in_cpu(void **state)
{
	static const uint8_t nops[16] = {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
	    0x90, 0x90, 0x90, 0x90, 0x90, 0x90};

	(void)state;
	fake_kvm_reset(false);
	fake_kvm.guest = unemulated;
	lay_out();
	memory_write(&board.mem, 0x1000, nops, sizeof(nops));
	assert_int_equal(create(), 0);
	for (unsigned i = 1; i < 10; i++) {
		vcpu_run(&board.vcpu, 1);
		assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
		assert_int_equal(board.state.gpr.rip, 0x1000 + i);
	}
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* A #DB that no breakpoint of the debugger's made is the guest's. */
static int
guests_own_debug(struct kvm_run *run, unsigned n)
{
	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.dr6 = 0xffff0ff0u | DR6_BS;
	return (n == 0 ? 0 : EINTR);
}

static void
a_debug_exception_of_the_guests(void **state)
{
	const struct cpu_watch at = {.kinds = WATCH_EXEC, .address = 0x5000, .bytes = 1};

	(void)state;
	fake_kvm_reset(false);
	fake_kvm.guest = guests_own_debug;
	lay_out();
	assert_int_equal(create(), 0);
	assert_int_equal(vcpu_watch(&board.vcpu, &at, 1), 0);
	vcpu_run(&board.vcpu, UINT64_MAX);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
	assert_int_equal(fake_kvm.entries, 2);
	assert_int_equal(fake_kvm.events.exception.injected, 1);
	assert_int_equal(fake_kvm.events.exception.nr, VEC_DB);
	assert_true(fake_kvm.debugregs.dr6 & DR6_BS);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* A loop that the guest rewrites in between, which nobody tells the built-in CPU. */
static int
rewrite(struct kvm_run *run, unsigned n)
{
	fake_kvm.regs.rip = 0x1000;
	if (n == 8)
		fake_kvm.regs.rax = 0;
	board.mem.base[0x1000] = n < 8 ? 0x40 : 0x4b; /* inc ax; dec bx */
	return (n < 9 ? unemulated(run, n) : EINTR);
}

static void
code_that_changed(void **state)
{
	(void)state;
	fake_kvm_reset(false);
	fake_kvm.guest = rewrite;
	lay_out();
	memory_put16(&board.mem, 0x1001, 0xfdeb); /* jmp 1000h */
	assert_int_equal(create(), 0);
	vcpu_run(&board.vcpu, UINT64_MAX);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
	assert_int_equal(board.vcpu.counts.lent, 9);
	assert_int_equal(board.state.gpr.reg[GPR_RAX], 0);
	assert_int_not_equal(board.state.gpr.reg[GPR_RBX], 0);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* Exceptions that lead to exceptions for ever, none of which ends an instruction. */
static int
endless_faults(struct kvm_run *run, unsigned n)
{
	sigset_t pending;

	sigpending(&pending);
	return (sigismember(&pending, KVM_KICK_SIGNAL) ? EINTR : unemulated(run, n));
}

static void
faults_for_ever(void **state)
{
	(void)state;
	fake_kvm_reset(false);
	fake_kvm.guest = endless_faults;
	lay_out();
	memory_put16(&board.mem, 0x1000, 0x0b0f); /* ud2, its own handler */
	memory_put32(&board.mem, 4 * VEC_UD, 0x1000);
	assert_int_equal(create(), 0);
	vcpu_run(&board.vcpu, 1000000);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
	assert_true(board.vcpu.counts.lent > 1);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* So do breakpoints stop it. */
static void
a_breakpoint_on_the_built_in_cpu(void **state)
{
	static const uint8_t nops[] = {[0 ... 63] = 0x90};
	const struct cpu_watch at = {.kinds = WATCH_EXEC, .address = 0x1030, .bytes = 1};

	(void)state;
	fake_kvm_reset(false);
	fake_kvm.guest = unemulated;
	lay_out();
	memory_write(&board.mem, 0x1000, nops, sizeof(nops));
	assert_int_equal(create(), 0);
	assert_int_equal(vcpu_watch(&board.vcpu, &at, 1), 0);
	vcpu_run(&board.vcpu, 1000000);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_DEBUG);
	assert_int_equal(board.state.gpr.rip, 0x1030);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

static void
stop_port(void *chip, uint16_t reg, unsigned bytes, uint32_t value)
{
	write_port(chip, reg, bytes, value);
	vcpu_stop(&board.vcpu);
}

static int
one_more(struct kvm_run *run)
{
	if (port_writes >= 3)
		return (0);
	exit_io(run, false, 1, 1);
	return (1);
}

static int
string_out(struct kvm_run *run, unsigned n)
{
	(void)n;
	exit_io(run, false, 1, 1);
	return (0);
}

/* A stop comes behind the instruction, though KVM leaves in the middle of it. */
static void
a_stop_behind_the_instruction(void **state)
{
	static const struct port_ops stops = {.write = stop_port};
	const struct kvm_engine *k;

	(void)state;
	fake_kvm_reset(false);
	fake_kvm.guest = string_out;
	fake_kvm.complete = one_more;
	lay_out();
	memset(&board.bus, 0, sizeof(board.bus));
	bus_attach(&board.bus, "port", &stops, &board, PORT, 1, 0);
	assert_int_equal(create(), 0);
	vcpu_run(&board.vcpu, 1000);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_STOPPED);
	assert_int_equal(port_writes, 3);
	k = board.vcpu.engine;
	assert_false(k->unfinished);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

/* A guest that leaves for ever: time ends it. */
static int
endless_mmio(struct kvm_run *run, unsigned n)
{
	sigset_t pending;

	(void)n;
	sigpending(&pending);
	if (sigismember(&pending, KVM_KICK_SIGNAL))
		return (EINTR);
	exit_mmio(run, DEVICE_AT, 4, false);
	return (0);
}

static int
endless_failure(struct kvm_run *run, unsigned n)
{
	return (endless_mmio(run, n) == EINTR ? EINTR : unemulated(run, n));
}

static void
time_ends_a_busy_guest(void **state)
{
	static int (*const guests[])(struct kvm_run * run, unsigned n) = {
	    endless_mmio, endless_failure};

	(void)state;
	for (size_t i = 0; i < COUNT(guests); i++) {
		fake_kvm_reset(false);
		fake_kvm.guest = guests[i];
		lay_out();
		memory_put16(&board.mem, 0x1000, 0xfeeb);
		assert_int_equal(create(), 0);
		vcpu_run(&board.vcpu, 1000000);
		assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
		vcpu_kick(&board.vcpu);
		vcpu_run(&board.vcpu, UINT64_MAX);
		assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
		vcpu_destroy(&board.vcpu);
		memory_fini(&board.mem);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_call_of_the_fake),
	    cmocka_unit_test(every_call_of_the_host),
	    cmocka_unit_test(a_kvm_that_cannot),
	    cmocka_unit_test(some_msrs),
	    cmocka_unit_test(creation_is_interrupted),
	    cmocka_unit_test(exits_that_nobody_knows),
	    cmocka_unit_test(entry_refused),
	    cmocka_unit_test(internal_errors),
	    cmocka_unit_test(ports_outside_of_the_page),
	    cmocka_unit_test(memory_anywhere),
	    cmocka_unit_test(a_refused_state_stays),
	    cmocka_unit_test(the_first_failure_is_told),
	    cmocka_unit_test(an_nmi_is_kept),
	    cmocka_unit_test(what_waits_ends_a_halt),
	    cmocka_unit_test(a_software_interrupt),
	    cmocka_unit_test(a_step_on_the_built_in_cpu),
	    cmocka_unit_test(a_debug_exception_of_the_guests),
	    cmocka_unit_test(code_that_changed),
	    cmocka_unit_test(faults_for_ever),
	    cmocka_unit_test(a_breakpoint_on_the_built_in_cpu),
	    cmocka_unit_test(a_stop_behind_the_instruction),
	    cmocka_unit_test(time_ends_a_busy_guest),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
