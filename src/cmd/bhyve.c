/*
 * bhyve: run a loaded VM. Options of July 2012, and -b, the BIOS mode that the project began with.
 *
 * A VM without a board (a raw pseudobios.bin) runs here by itself: its exits are handled by one
 * table, and whatever nobody can answer ends the run with the exit's block on standard output and
 * one line in words on standard error.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/bhyve.h"
#include "cmd/cmd.h"
#include "control/control.h"
#include "vmm/vmm.h"

#define COMMAND "bhyve"
#define SYNOPSIS \
	COMMAND " [-behvBHP] [-m MB] [-M MB] [-c N] [-p CPU] [-s SLOT,DRIVER[,FILE]]... [-E " \
		"ENGINE] VM"
#define BSP 0
#define BUDGET 1000000u /* instructions between two looks for signals and clients */
#define REST_MS 10
#define RAW_MAX 0x5000 /* bytes of a BIOS of the seed's kind */
#define RESET_PORT 0x64
#define RESET_COMMAND 0xfe

static const struct cmd_option options[] = {
    {'b', NULL, "BIOS mode: run real mode (unrestricted guest)"},
    {'m', "MB", "low memory: must be what the VM has"},
    {'M', "MB", "high memory: must be what the VM has"},
    {'c', "N", "vCPUs: 1"},
    {'s', "SLOT,DRIVER[,FILE]", "PCI slot; virtio-blk and ahci-hd make BIOS drives"},
    {'S', "SLOT,DRIVER[,FILE]", "as -s"},
    {'n', "SLOT,NAME", "name of a slot (not in this build)"},
    {'e', NULL, "end at an access to a port that nobody answers"},
    {'H', NULL, "HLT exits"},
    {'P', NULL, "PAUSE exits"},
    {'B', NULL, "inject #BP before the first instruction"},
    {'p', "CPU", "run on this host CPU"},
    {'g', "PORT", "GDB port (not in this build)"},
    {'x', NULL, "all vCPUs on one host CPU (as it is with one)"},
    {'t', "HZ", "time slice of -x (not in this build)"},
    {'z', "HZ", "guest HZ (not in this build)"},
    {'E', "ENGINE", "CPU engine: auto (the faster one), soft, kvm; also --engine"},
    {'v', NULL, "tell which engine was chosen, and why"},
    {'h', NULL, "show this"},
    {0, NULL, NULL},
};

/* Options that are taken and tell that nothing comes of them. */
static const struct {
	char letter;
	const char *text;
} missing[] = {
    {'n', "-n: names of slots are not in this build"},
    {'g', "-g: the GDB port is not in this build"},
    {'t', "-t: time slices are not in this build"},
    {'z', "-z: a guest clock rate is not in this build"},
};

/* Drivers of PCI slots that make BIOS drives. */
static const char *const disk_drivers[] = {"virtio-blk", "ahci-hd"};

/* One kind of exit; the status to end with, or RUN_ON. */
#define RUN_ON (-1)
struct run {
	struct vmctx *ctx;
	const struct bhyve_options *options;
	struct control *control; /* NULL: there is none */
	bool paused;
	bool quit;
	bool kicked; /* atomic */
};

static void
say_missing(int letter)
{
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
		if (missing[i].letter == letter)
			cmd_error(COMMAND, "%s", missing[i].text);
}

/* SLOT,DRIVER[,CONF]: take disks, tell about all else. */
static int
take_slot(char *spec, struct bhyve_options *opts)
{
	char *driver = strchr(spec, ',');
	char *conf;

	if (driver == NULL)
		return (cmd_error(COMMAND, "-s %s: SLOT,DRIVER[,FILE] is needed", spec));
	*driver++ = '\0';
	conf = strchr(driver, ',');
	if (conf != NULL)
		*conf++ = '\0';
	for (size_t i = 0; i < sizeof(disk_drivers) / sizeof(disk_drivers[0]); i++) {
		if (strcmp(driver, disk_drivers[i]) != 0)
			continue;
		if (conf == NULL || *conf == '\0')
			return (cmd_error(COMMAND, "-s %s,%s: which FILE?", spec, driver));
		if (opts->ndrives == VMM_DRIVES_MAX)
			return (cmd_error(COMMAND, "more than %d drives", VMM_DRIVES_MAX));
		opts->drives[opts->ndrives++] = conf;
		return (STATUS_OK);
	}
	cmd_error(COMMAND, "-s %s,%s: this device is not in this build", spec, driver);
	return (STATUS_OK);
}

static int
take_number(int letter, uint64_t *value)
{
	if (!cmd_parse_number(optarg, value))
		return (cmd_error(COMMAND, "-%c %s: not a number", letter, optarg));
	if (letter == 'c' && *value != 1)
		return (cmd_error(COMMAND, "-c %s: VMs have one vCPU in this build", optarg));
	return (STATUS_OK);
}

static int
take_option(int c, struct bhyve_options *opts)
{
	struct vmm_error err;
	uint64_t number;
	int status;

	switch (c) {
	case 'm':
	case 'M':
		if (cmd_parse_memory(
			(char)c, optarg, c == 'm' ? &opts->low_size : &opts->high_size, &err) != 0)
			return (cmd_fail(COMMAND, &err));
		return (STATUS_OK);
	case 'c':
	case 'p':
		status = take_number(c, &number);
		if (c == 'p')
			opts->pin = number < INT16_MAX ? (int)number : INT16_MAX;
		return (status);
	case 's':
	case 'S':
		return (take_slot(optarg, opts));
	case 'b':
		opts->bios = true;
		return (STATUS_OK);
	case 'e':
		opts->strict = true;
		return (STATUS_OK);
	case 'H':
		opts->halt_exit = true;
		return (STATUS_OK);
	case 'P':
		opts->pause_exit = true;
		return (STATUS_OK);
	case 'E':
		opts->engine.word = cmd_engine_word(optarg);
		return (opts->engine.word >= 0
			? STATUS_OK
			: cmd_error(
			      COMMAND, "--engine %s: must be one of auto, soft, kvm", optarg));
	case 'v':
		opts->engine.verbose = true;
		return (STATUS_OK);
	case 'B':
		opts->breakpoint = true;
		return (STATUS_OK);
	case ':':
	case '?':
		return (cmd_usage(COMMAND, SYNOPSIS));
	default:
		say_missing(c);
		return (STATUS_OK);
	}
}

/* -m and -M must say what the VM has. */
static int
check_memory(struct vmctx *ctx, const struct bhyve_options *opts, struct vmm_error *err)
{
	uint64_t low_size, high_size;

	vmm_memory_sizes(ctx, &low_size, &high_size);
	if ((opts->low_size == 0 || opts->low_size == low_size) &&
	    (opts->high_size == 0 || opts->high_size == high_size))
		return (0);
	return (vmm_fail(err, EINVAL,
	    "%s: it has %" PRIu64 " MB of low and %" PRIu64 " MB of high memory, not %" PRIu64
	    " and %" PRIu64,
	    vmm_name(ctx), low_size >> 20, high_size >> 20, opts->low_size >> 20,
	    opts->high_size >> 20));
}

/* Whether there is something to run. */
static int
check_loaded(struct vmctx *ctx, struct vmm_error *err)
{
	uint64_t low_size, high_size;

	vmm_memory_sizes(ctx, &low_size, &high_size);
	if (low_size + high_size == 0)
		return (vmm_fail(
		    err, EINVAL, "%s: it has no memory: nothing was loaded", vmm_name(ctx)));
	return (0);
}

static int
set_up(struct vmctx *ctx, const struct bhyve_options *opts, struct vmm_error *err)
{
	if (check_memory(ctx, opts, err) != 0 || check_loaded(ctx, err) != 0)
		return (-1);
	if ((opts->bios && vm_set_capability(ctx, BSP, VM_CAP_UNRESTRICTED_GUEST, 1) != 0) ||
	    (opts->halt_exit && vm_set_capability(ctx, BSP, VM_CAP_HALT_EXIT, 1) != 0) ||
	    (opts->pause_exit && vm_set_capability(ctx, BSP, VM_CAP_PAUSE_EXIT, 1) != 0) ||
	    (opts->breakpoint && vm_inject_event(ctx, BSP, VM_HW_EXCEPTION, VEC_BP) != 0))
		return (vmm_fail(err, errno, "%s: %s", vmm_name(ctx), strerror(errno)));
	if (opts->pin >= 0 && vm_set_pinning(ctx, BSP, opts->pin) != 0)
		return (vmm_fail(err, EINVAL, "-p %d: no such host CPU", opts->pin));
	return (0);
}

/* Exits. */

static int
exit_vmx(struct run *run, const struct vm_exit *vmexit)
{
	return (bhyve_report_exit(run->ctx, vmexit));
}

static int
exit_hlt(struct run *run, const struct vm_exit *vmexit)
{
	cmd_error(COMMAND,
	    "%s: halted at RIP %#" PRIx64 ", and without a board nothing can wake it",
	    vmm_name(run->ctx), vmexit->rip);
	return (STATUS_HALT);
}

static int
exit_paging(struct run *run, const struct vm_exit *vmexit)
{
	return (cmd_error(COMMAND, "%s: access to an address without memory at RIP %#" PRIx64,
	    vmm_name(run->ctx), vmexit->rip));
}

/* No board: reads give all ones, writes vanish; but OUT 64h,FEh is the keyboard's reset line. */
static int
exit_inout(struct run *run, const struct vm_exit *vmexit)
{
	static const char widths[] = "?bw?l";
	struct vcpu_gprs *gpr = &vmm_vcpu_state(run->ctx, BSP)->gpr;
	unsigned bytes = vmexit->u.inout.bytes;
	uint16_t port = vmexit->u.inout.port;
	uint64_t ones = bytes < 4 ? (1ull << 8 * bytes) - 1 : 0xffffffffull;

	if (!vmexit->u.inout.in && port == RESET_PORT &&
	    (vmexit->u.inout.eax & 0xff) == RESET_COMMAND)
		return (STATUS_REBOOT);
	if (run->options->strict)
		return (cmd_error(COMMAND, "%s: Unhandled %s%c 0x%04x at RIP %#" PRIx64,
		    vmm_name(run->ctx), vmexit->u.inout.in ? "in" : "out",
		    widths[bytes > 4 ? 0 : bytes], port, vmexit->rip));
	if (vmexit->u.inout.in)
		gpr->reg[GPR_RAX] = bytes == 4 ? ones : gpr->reg[GPR_RAX] | ones;
	gpr->rip = vmexit->rip + (uint64_t)vmexit->inst_length;
	return (RUN_ON);
}

static int
exit_on(struct run *run, const struct vm_exit *vmexit)
{
	(void)run;
	(void)vmexit;
	return (RUN_ON);
}

static int (*const handlers[VM_EXITCODE_MAX])(struct run *, const struct vm_exit *) = {
    [VM_EXITCODE_INOUT] = exit_inout,
    [VM_EXITCODE_VMX] = exit_vmx,
    [VM_EXITCODE_BOGUS] = exit_on,
    [VM_EXITCODE_HLT] = exit_hlt,
    [VM_EXITCODE_MTRAP] = exit_on,
    [VM_EXITCODE_PAUSE] = exit_on,
    [VM_EXITCODE_PAGING] = exit_paging,
    [VM_EXITCODE_HYPERCALL] = exit_vmx,
    [VM_EXITCODE_DEBUG] = exit_on,
};

/* Whether one of the signals in SET, which are blocked, came. */
static bool
signalled(const sigset_t *set)
{
	const struct timespec none = {0};

	return (sigtimedwait(set, NULL, &none) > 0);
}

/* Clients of the control socket. */

static void
kick_run(void *opaque)
{
	struct run *run = opaque;

	__atomic_store_n(&run->kicked, true, __ATOMIC_RELEASE);
	vmm_kick(run->ctx, BSP);
}

static bool
is_run_paused(void *opaque)
{
	const struct run *run = opaque;

	return (run->paused);
}

static void
pause_run(void *opaque, bool on)
{
	struct run *run = opaque;

	run->paused = on;
}

static void
quit_run(void *opaque)
{
	struct run *run = opaque;

	run->quit = true;
}

static struct control *
start_control(struct run *run)
{
	const struct control_runner runner = {
	    .kick = kick_run,
	    .is_paused = is_run_paused,
	    .pause = pause_run,
	    .quit = quit_run,
	    .opaque = run,
	    .ctx = run->ctx,
	};
	struct vmm_error err;
	struct control *control = control_start(&runner, &err);

	if (control == NULL)
		cmd_fail(COMMAND, &err);
	return (control);
}

/* One stretch of the guest; the status to end with, or RUN_ON. */
static int
run_on(struct run *run, enum vm_exitcode *why)
{
	struct vm_exit vmexit;
	struct vmm_error err;
	uint64_t rip = vmm_vcpu_state(run->ctx, BSP)->gpr.rip;

	if (vmm_run(run->ctx, BSP, rip, BUDGET, &vmexit, &err) != 0)
		return (cmd_fail(COMMAND, &err));
	if (handlers[vmexit.exitcode] == NULL)
		return (cmd_error(COMMAND, "%s: exit that nobody handles at RIP %#" PRIx64,
		    vmm_name(run->ctx), vmexit.rip));
	*why = vmexit.exitcode;
	return (handlers[vmexit.exitcode](run, &vmexit));
}

static int
run_loop(struct run *run, const sigset_t *signals)
{
	struct pollfd clients = {.fd = control_fd(run->control), .events = POLLIN};
	enum vm_exitcode why = VM_EXITCODE_BOGUS;
	int status;

	for (;;) {
		if (run->paused)
			poll(&clients, 1, REST_MS);
		else if ((status = run_on(run, &why)) != RUN_ON)
			return (status);
		if (!__atomic_exchange_n(&run->kicked, false, __ATOMIC_ACQUIRE) && !run->paused &&
		    why != VM_EXITCODE_BOGUS)
			continue;
		control_serve(run->control);
		if (run->quit || signalled(signals))
			return (
			    cmd_error(COMMAND, "%s: stopped; it can go on", vmm_name(run->ctx)));
	}
}

/* Run without a board; the VM is marked as running. */
static int
run_bare(struct vmctx *ctx, const struct bhyve_options *opts)
{
	struct run run = {.ctx = ctx, .options = opts};
	sigset_t signals, old;
	int status;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, &old);
	run.control = start_control(&run);
	status = run_loop(&run, &signals);
	control_stop(run.control, run.quit ? "host-qmp-quit" : "guest-shutdown", !run.quit);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return (status);
}

/* A BIOS of the seed's kind asks by VMCALL, which KVM answers in the kernel. */
static void
judge_raw(struct vmctx *ctx, struct engine_wish *wish)
{
	static const uint8_t vmcall[] = {0x0f, 0x01, 0xc1};
	uint8_t code[RAW_MAX];
	struct memory *mem = vmm_memory(ctx, NULL);

	wish->likes_soft = "a raw BIOS has no board, and needs no speed";
	if (mem != NULL && memory_read(mem, 0, code, sizeof(code)) &&
	    memmem(code, sizeof(code), vmcall, sizeof(vmcall)) != NULL)
		wish->needs_soft =
		    "its raw BIOS has VMCALL in it, which KVM answers in the kernel: "
		    "nobody would hear it";
}

static int
run_vm(struct vmctx *ctx, const struct bhyve_options *opts)
{
	struct bhyve_board *board = NULL;
	struct engine_wish wish = opts->engine;
	const struct engine_ops *engine;
	struct vmm_error err;
	int status;

	if (vmm_begin(ctx, VMM_WRITE, &err) != 0)
		return (cmd_fail(COMMAND, &err));
	/* Options are judged before the VM is marked as running. */
	if (set_up(ctx, opts, &err) != 0) {
		vmm_end(ctx, false, NULL);
		return (cmd_fail(COMMAND, &err));
	}
	if (vmm_firmware(ctx) == VMM_FW_RAW)
		judge_raw(ctx, &wish);
	if (cmd_choose_engine(COMMAND, &wish, &engine) != STATUS_OK) {
		vmm_end(ctx, false, NULL);
		return (STATUS_ERROR);
	}
	if (vmm_run_begin(ctx, &err) != 0) {
		vmm_end(ctx, false, NULL);
		return (cmd_fail(COMMAND, &err));
	}
	vmm_set_engine(ctx, engine);
	if (vmm_firmware(ctx) == VMM_FW_ROM)
		status = bhyve_run_board(ctx, opts, engine, &board);
	else
		status = run_bare(ctx, opts);
	fflush(stdout);
	vmm_run_end(ctx, NULL);
	if (vmm_end(ctx, true, &err) != 0)
		status = cmd_fail(COMMAND, &err);
	bhyve_free_board(board);
	return (status);
}

int
cmd_bhyve(int argc, char **argv)
{
	char letters[2 * sizeof(options)];
	static const struct option words[] = {
	    {"engine", required_argument, NULL, 'E'}, {NULL, 0, NULL, 0}};
	struct bhyve_options opts = {.pin = -1};
	struct vmm_error err;
	struct vmctx *ctx;
	int c, status;

	cmd_getopt_string(options, letters, sizeof(letters));
	while ((c = getopt_long(argc, argv, letters, words, NULL)) != -1) {
		if (c == 'h')
			return (cmd_help(SYNOPSIS, options));
		status = take_option(c, &opts);
		if (status != STATUS_OK)
			return (status);
	}
	if (optind != argc - 1)
		return (cmd_usage(COMMAND, SYNOPSIS));
	ctx = vmm_open(argv[optind], &err);
	if (ctx == NULL)
		return (cmd_fail(COMMAND, &err));
	status = run_vm(ctx, &opts);
	vm_close(ctx);
	return (status);
}
