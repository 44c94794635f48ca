/*
 * bhyve's run of a VM with the pseudo BIOS: on the board that hyve86 boot has too. What the guest
 * writes by the BIOS, and to COM1, goes to standard output; standard input is the keyboard. Ctrl-]
 * or a signal stops the run, and the VM can go on.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "block/block.h"
#include "cmd/bhyve.h"
#include "cmd/cmd.h"
#include "console/text.h"
#include "control/control.h"
#include "machine/machine.h"

#define COMMAND "bhyve"
#define BSP 0
#define FIRST_DISK 0x80
#define LOOK_NS 10000000u /* keys are fed at this pace */

struct bhyve_board {
	struct machine machine;
	struct console_text text;
	struct key_feed feed;
	struct control *control; /* NULL: there is none */
	struct block *drives[VMM_DRIVES_MAX];
	unsigned ndrives;
	int signals;	 /* signalfd */
	bool strict_end; /* -e ended the run */
};

/* The host's side. */

static void
putc_text(void *opaque, uint8_t ch)
{
	struct bhyve_board *board = opaque;

	console_text_putc(&board->text, ch);
}

static void
serial_byte(void *opaque, unsigned number, uint8_t byte)
{
	struct bhyve_board *board = opaque;

	if (number == 0)
		console_text_raw(&board->text, byte);
}

/* -e: an access to a port that nobody answers ends the run. */
static void
unassigned(void *opaque, uint16_t port, unsigned size, bool is_write, uint32_t value)
{
	static const char widths[] = "?bw?l";
	struct bhyve_board *board = opaque;

	(void)value;
	/* The BIOS may look for chips that are not there. */
	if (board->strict_end || board->machine.state->sregs.seg[SEG_CS].base == ROM_BASE)
		return;
	board->strict_end = true;
	cmd_error(COMMAND, "%s: Unhandled %s%c 0x%04x at RIP %#" PRIx64,
	    vmm_name(board->machine.ctx), is_write ? "out" : "in", widths[size > 4 ? 0 : size],
	    port, board->machine.state->gpr.rip);
	machine_event(&board->machine, (struct machine_event){.kind = MACHINE_EVENT_STOP});
	vcpu_stop(&board->machine.vcpu);
}

static bool
send_key(void *opaque, uint8_t code)
{
	struct bhyve_board *board = opaque;

	return (machine_event(
	    &board->machine, (struct machine_event){.kind = MACHINE_EVENT_KEY, .value = code}));
}

static bool
keys_taken(void *opaque)
{
	struct bhyve_board *board = opaque;

	return (i8042_taken(&board->machine.kbc));
}

static void
poll_host(void *opaque)
{
	struct bhyve_board *board = opaque;
	const struct key_sink sink = {.send = send_key, .ready = keys_taken, .opaque = board};
	struct pollfd fd = {.fd = board->signals, .events = POLLIN};
	bool leave;

	control_serve(board->control);
	console_text_flush(&board->text);
	leave = terminal_input_feed(
	    &board->text.input, host_ns(), &board->feed, clock_now(&board->machine.clock), &sink);
	if (leave || poll(&fd, 1, 0) > 0)
		machine_event(&board->machine, (struct machine_event){.kind = MACHINE_EVENT_STOP});
}

static void
idle(void *opaque, uint64_t ns)
{
	struct bhyve_board *board = opaque;
	struct pollfd fds[] = {
	    {.fd = board->signals, .events = POLLIN},
	    {.fd = board->text.input.ended ? -1 : STDIN_FILENO, .events = POLLIN},
	    {.fd = control_fd(board->control), .events = POLLIN},
	};
	struct timespec ts = {.tv_nsec = (long)(ns < LOOK_NS ? ns : LOOK_NS)};

	ppoll(fds, sizeof(fds) / sizeof(fds[0]), &ts, NULL);
	poll_host(board);
}

/* Drives. */

static int
add_drive(struct bhyve_board *board, const char *path, bool readonly, struct vmm_error *err)
{
	struct block_error why;
	struct block *block;

	if (board->ndrives == VMM_DRIVES_MAX)
		return (vmm_fail(err, ENOSPC, "%s: more than %d drives", path, VMM_DRIVES_MAX));
	block = block_open(path, readonly ? BLOCK_RO : 0, &why);
	if (block == NULL)
		return (
		    vmm_fail(err, why.error != 0 ? why.error : EINVAL, "%s: %s", path, why.text));
	machine_add_drive(&board->machine, (uint8_t)(FIRST_DISK + board->ndrives), block);
	board->drives[board->ndrives++] = block;
	return (0);
}

/* FILE or FILE,ro of a -s option; other words behind a comma are bhyve's, and do nothing here. */
static int
add_slot(struct bhyve_board *board, const char *conf, struct vmm_error *err)
{
	const char *comma = strchr(conf, ',');
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%.*s",
		(int)(comma != NULL ? comma - conf : (long)strlen(conf)), conf) >= sizeof(path))
		return (vmm_fail(err, ENAMETOOLONG, "%.40s...: the path is too long", conf));
	return (add_drive(board, path, comma != NULL && strstr(comma, ",ro") != NULL, err));
}

/* The loader's drives, then those of -s; the first one is booted. */
static int
add_drives(struct bhyve_board *board, struct vmctx *ctx, const struct bhyve_options *opts,
    struct vmm_error *err)
{
	struct vmm_drive drives[VMM_DRIVES_MAX];
	unsigned n = vmm_drives(ctx, drives);

	for (unsigned i = 0; i < n; i++)
		if (add_drive(board, drives[i].path, drives[i].readonly, err) != 0)
			return (-1);
	for (unsigned i = 0; i < opts->ndrives; i++)
		if (add_slot(board, opts->drives[i], err) != 0)
			return (-1);
	board->machine.bios.boot_order[0] = FIRST_DISK;
	return (0);
}

/* Ends. */

/* The engine's exit as the library tells it. */
static struct vm_exit
vm_exit_of(const struct engine_exit_info *exit)
{
	return ((struct vm_exit){
	    .exitcode = exit->kind == ENGINE_HYPERCALL ? VM_EXITCODE_HYPERCALL : VM_EXITCODE_VMX,
	    .inst_length = (int)exit->instruction_length,
	    .rip = exit->rip,
	    .u.vmx = {.exit_reason = exit->reason & 0xffff,
		.exit_qualification = exit->qualification},
	});
}

/* A VM that was reset starts again when it is run again. */
static void
leave_reset(struct machine *m)
{
	board_reset(m);
	memory_set_a20(m->mem, true);
	vm_setup_boot_registers(m->ctx, BSP);
}

static int
tell_end(struct bhyve_board *board, enum machine_end end)
{
	struct machine *m = &board->machine;
	struct vm_exit vmexit = vm_exit_of(&m->vcpu.exit);

	switch (end) {
	case MACHINE_RESET:
		leave_reset(m);
		return (STATUS_REBOOT);
	case MACHINE_POWER_OFF:
		return (STATUS_POWEROFF);
	case MACHINE_HALTED:
		cmd_error(COMMAND, "%s: halted at RIP %#" PRIx64 " with interrupts off",
		    vmm_name(m->ctx), m->state->gpr.rip);
		return (STATUS_HALT);
	case MACHINE_STOPPED:
		if (board->strict_end)
			return (STATUS_ERROR);
		return (cmd_error(COMMAND, "%s: stopped; it can go on", vmm_name(m->ctx)));
	case MACHINE_EXIT:
		if (m->vcpu.exit.kind == ENGINE_ERROR)
			return (cmd_error(COMMAND, "%s: the CPU engine failed: %s",
			    vmm_name(m->ctx), m->vcpu.exit.text));
		return (bhyve_report_exit(m->ctx, &vmexit));
	default:
		return (bhyve_report_exit(m->ctx, &vmexit));
	}
}

/* Beginning. */

static int
start(struct bhyve_board *board, struct vmctx *ctx, const struct bhyve_options *opts,
    const struct engine_ops *engine, struct vmm_error *err)
{
	const struct machine_config config = {
	    .clock = MACHINE_CLOCK_HOST,
	    .no_reboot = true,
	    .debug_exit_port = -1,
	    .coms = 1,
	    .engine_options = ENGINE_OPT_HYPERCALL,
	    .engine = engine,
	    .host = {.poll = poll_host, .idle = idle, .serial = serial_byte, .opaque = board},
	};

	if (machine_init(&board->machine, ctx, &config, err) != 0)
		return (-1);
	board->machine.bios.observer.putc = putc_text;
	board->machine.bios.observer.opaque = board;
	if (opts->strict)
		board->machine.bus.observer =
		    (struct bus_observer){.unassigned = unassigned, .opaque = board};
	key_feed_init(&board->feed, 0);
	return (add_drives(board, ctx, opts, err));
}

static int
run(struct bhyve_board *board)
{
	struct machine *m = &board->machine;
	enum machine_end end;
	struct vmm_error why;
	const char *reason;
	char err[200];
	bool by_guest;

	if (console_text_start(&board->text, STDIN_FILENO, STDOUT_FILENO, err, sizeof(err)) != 0)
		return (cmd_error(COMMAND, "%s", err));
	board->control = control_start_machine(m, NULL, &why);
	if (board->control == NULL)
		cmd_fail(COMMAND, &why);
	end = machine_run(m);
	reason = control_end_reason(end, &by_guest);
	control_stop(board->control, reason, by_guest);
	console_text_stop(&board->text);
	vmm_stat_add(m->ctx, BSP, VMM_STAT_MIGRATIONS, 1);
	return (tell_end(board, end));
}

int
bhyve_run_board(struct vmctx *ctx, const struct bhyve_options *opts,
    const struct engine_ops *engine, struct bhyve_board **out)
{
	struct bhyve_board *board = calloc(1, sizeof(*board));
	struct vmm_error err;
	sigset_t signals, old;
	int status;

	*out = board;
	if (board == NULL)
		return (cmd_error(COMMAND, "out of memory"));
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, &old);
	board->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	status = start(board, ctx, opts, engine, &err) == 0 ? run(board) : cmd_fail(COMMAND, &err);
	machine_fini(&board->machine);
	/* What came meanwhile has been answered. */
	while (sigtimedwait(&signals, NULL, &(struct timespec){0}) > 0)
		continue;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return (status);
}

void
bhyve_free_board(struct bhyve_board *board)
{
	if (board == NULL)
		return;
	for (unsigned i = 0; i < board->ndrives; i++)
		block_close(board->drives[i]);
	if (board->signals >= 0)
		close(board->signals);
	free(board);
}
