/*
 * The host's side of a run: console and keyboard, serial lines, script, time-out, signals. The
 * machine calls in here between stretches of guest code.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/boot.h"
#include "cmd/cmd.h"
#include "console/capture.h"
#include "console/curses.h"
#include "console/terminal.h"
#include "console/text.h"
#include "inspect/gdb.h"
#include "inspect/trace.h"

#define STATUS_TIMEOUT 124
#define STATUS_SIGNAL 128
#define LOOK_NS 10000000 /* keys are fed and the script is looked at this often */

struct boot_host {
	struct console_text text;
	struct console_curses curses;
	bool text_started;
	bool curses_started;
	struct terminal_input input; /* --console none: standard input */
	bool input_used;
	struct key_feed feed;
	struct screen screen;
};

/* The signal that asks for the end, 0: none. Set by the handler. */
static volatile sig_atomic_t ending;

static void
on_signal(int number)
{
	ending = number;
}

/* --- serial lines -------------------------------------------------------------------------------------- */

static int
open_serial(struct boot_run *run, unsigned i)
{
	const struct boot_serial_port *port = &run->opts->serial[i];

	run->serial_fd[i] = -1;
	if (port->kind == SERIAL_STDIO)
		run->serial_fd[i] = STDOUT_FILENO;
	if (port->kind != SERIAL_FILE)
		return (STATUS_OK);
	run->serial_fd[i] = open(port->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (run->serial_fd[i] < 0)
		return (cmd_error(run->opts->command, "%s: %s", port->file, strerror(errno)));
	return (STATUS_OK);
}

static void
serial_byte(void *opaque, unsigned number, uint8_t byte)
{
	struct boot_run *run = opaque;
	int fd = run->serial_fd[number];

	if (number == 0)
		script_serial(&run->opts->script, byte);
	if (fd == STDOUT_FILENO && run->host->text_started) {
		console_text_raw(&run->host->text, byte); /* in order with the BIOS's text */
		return;
	}
	/* A full disk or a closed pipe loses the line's output, not the guest. */
	if (fd >= 0 && write(fd, &byte, 1) != 1 && errno != EINTR)
		run->serial_fd[number] = -1;
}

static void
debug_byte(void *opaque, uint8_t byte)
{
	(void)opaque;
	if (write(STDERR_FILENO, &byte, 1) != 1)
		return;
}

/* --- screen and keyboard ---------------------------------------------------------------------------------- */

static void
teletype(void *opaque, uint8_t ch)
{
	struct boot_run *run = opaque;

	console_text_putc(&run->host->text, ch);
}

static void
capture_screen(struct boot_run *run)
{
	screen_capture_machine(&run->host->screen, &run->machine);
}

static bool
send_key(void *opaque, uint8_t code)
{
	struct boot_run *run = opaque;

	return (machine_event(
	    &run->machine, (struct machine_event){.kind = MACHINE_EVENT_KEY, .value = code}));
}

/*
 * Whether the guest took the keys before. Until the BIOS has set up the keyboard (INT 19h comes
 * behind that) nothing is typed: its codes would not be translated yet.
 */
static bool
keys_taken(void *opaque)
{
	struct boot_run *run = opaque;

	return (run->machine.bios.calls[0x19] != 0 && i8042_taken(&run->machine.kbc));
}

static void
decide(struct boot_run *run, int status)
{
	if (!run->decided) {
		run->decided = true;
		run->status = status;
	}
	machine_event(&run->machine, (struct machine_event){.kind = MACHINE_EVENT_STOP});
}

static void
run_script(struct boot_run *run, uint64_t now, const struct key_sink *sink)
{
	struct script *script = &run->opts->script;

	if (run->script_done || script->count == 0)
		return;
	if (script_wants_screen(script))
		capture_screen(run);
	switch (script_poll(script, now, &run->host->screen, sink)) {
	case SCRIPT_RUNNING:
		break;
	case SCRIPT_DONE:
		run->script_done = true;
		decide(run, STATUS_OK);
		break;
	case SCRIPT_FAILED:
		decide(run, STATUS_ERROR); /* why is told when the terminal is ours again */
		break;
	}
}

/* The keyboard that is in use, NULL: none. */
static struct terminal_input *
keyboard(struct boot_host *h)
{
	if (h->curses_started)
		return (&h->curses.input);
	if (h->text_started)
		return (&h->text.input);
	return (h->input_used ? &h->input : NULL);
}

/* Keys from the person; Ctrl-] leaves. */
static void
feed_keys(struct boot_run *run, uint64_t host_now, uint64_t now, const struct key_sink *sink)
{
	struct terminal_input *input = keyboard(run->host);

	if (input != NULL && terminal_input_feed(input, host_now, &run->host->feed, now, sink))
		decide(run, STATUS_OK);
}

/* Keys and script, at guest time NOW; INPUT_NOW is the clock that given input is paced by. */
static void
look_at_input(struct boot_run *run, uint64_t input_now, uint64_t now)
{
	const struct key_sink sink = {.send = send_key, .ready = keys_taken, .opaque = run};

	feed_keys(run, input_now, now, &sink);
	run_script(run, now, &sink);
}

/* Under icount: all by guest time. */
static void
look(void *opaque)
{
	struct boot_run *run = opaque;
	uint64_t now = clock_now(&run->machine.clock);

	look_at_input(run, now, now);
}

static void
poll_host(void *opaque)
{
	struct boot_run *run = opaque;
	uint64_t host_now = host_ns();

	if (ending != 0)
		decide(run, STATUS_SIGNAL + ending);
	if (run->gdb != NULL)
		gdb_poll(run->gdb);
	if (run->trace != NULL)
		tracer_flush(run->trace);
	if (run->opts->timeout_ns != 0 && host_now - run->started >= run->opts->timeout_ns)
		decide(run, STATUS_TIMEOUT);
	control_serve(run->control);
	if (run->opts->clock == MACHINE_CLOCK_HOST)
		look_at_input(run, host_now, clock_now(&run->machine.clock));
	if (run->host->text_started)
		console_text_flush(&run->host->text);
	if (run->host->curses_started) {
		capture_screen(run);
		console_curses_draw(&run->host->curses, &run->host->screen);
	}
}

/* Sleep until input, the next timer, or the next look at the script. */
static void
idle(void *opaque, uint64_t ns)
{
	struct boot_run *run = opaque;
	struct terminal_input *input = keyboard(run->host);
	struct pollfd clients = {.fd = control_fd(run->control), .events = POLLIN};
	struct timespec ts;

	if (ns > LOOK_NS)
		ns = LOOK_NS;
	ts = (struct timespec){.tv_nsec = (long)ns};
	if (input != NULL)
		terminal_input_wait(input, &run->host->feed, clients.fd, ns);
	else
		ppoll(&clients, 1, &ts, NULL);
	poll_host(run);
}

static void
debug_stop(void *opaque)
{
	struct boot_run *run = opaque;

	if (run->gdb != NULL)
		gdb_stop(run->gdb, GDB_BREAK);
}

struct machine_host
boot_host_calls(struct boot_run *run)
{
	return ((struct machine_host){
	    .poll = poll_host,
	    .look = look,
	    .debug_stop = debug_stop,
	    .idle = idle,
	    .serial = serial_byte,
	    .debug = debug_byte,
	    .opaque = run,
	});
}

/* --- beginning and end ----------------------------------------------------------------------------------------- */

/* What the options leave open: a full screen on a terminal, else a stream. */
static void
apply_defaults(struct boot_options *opts)
{
	if (opts->console == CONSOLE_DEFAULT)
		opts->console =
		    isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) ? CONSOLE_CURSES : CONSOLE_TEXT;
	if (opts->nserial == 0) {
		opts->nserial = 1;
		opts->serial[0].kind = opts->console == CONSOLE_CURSES ? SERIAL_NONE : SERIAL_STDIO;
	}
}

static int
start_console(struct boot_run *run)
{
	struct boot_host *h = run->host;
	char err[256];

	key_feed_init(&h->feed, 0);
	switch (run->opts->console) {
	case CONSOLE_CURSES:
		if (console_curses_start(
			&h->curses, STDIN_FILENO, STDOUT_FILENO, err, sizeof(err)) != 0)
			return (cmd_error(run->opts->command, "%s", err));
		h->curses_started = true;
		break;
	case CONSOLE_TEXT:
		if (console_text_start(&h->text, STDIN_FILENO, STDOUT_FILENO, err, sizeof(err)) !=
		    0)
			return (cmd_error(run->opts->command, "%s", err));
		h->text_started = true;
		run->machine.bios.observer.putc = teletype;
		run->machine.bios.observer.opaque = run;
		break;
	default:
		/* A terminal stays as it is: nothing is shown, so nothing is typed. */
		h->input_used = !isatty(STDIN_FILENO);
		if (h->input_used)
			terminal_input_init(&h->input, STDIN_FILENO);
		break;
	}
	return (STATUS_OK);
}

int
boot_host_start(struct boot_run *run)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action = {.sa_handler = on_signal};

	run->host = calloc(1, sizeof(*run->host));
	if (run->host == NULL)
		return (cmd_error(run->opts->command, "out of memory"));
	run->started = host_ns();
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	apply_defaults(run->opts);
	for (unsigned i = 0; i < run->opts->nserial; i++)
		if (open_serial(run, i) != STATUS_OK)
			return (STATUS_ERROR);
	return (start_console(run));
}

void
boot_host_stop(struct boot_run *run)
{
	if (run->host == NULL)
		return;
	if (run->host->text_started)
		console_text_stop(&run->host->text);
	if (run->host->curses_started)
		console_curses_stop(&run->host->curses);
	free(run->host);
	run->host = NULL;
}
