/* The command line of hyve86 boot. */
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/boot.h"
#include "cmd/cmd.h"
#include "cpu/cpu.h"
#include "engine/lockstep.h"

#define MEMORY_DEFAULT (256ull << 20)
#define MEMORY_MIN (1ull << 20)

enum boot_option {
	OPT_MEMORY = 'm',
	OPT_CPUS = 'c',
	OPT_HELP = 'h',
	OPT_VERBOSE = 'v',
	OPT_NAME = 256,
	OPT_DISK,
	OPT_FLOPPY,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_BOOT,
	OPT_ENGINE,
	OPT_ENGINES,
	OPT_CPU,
	OPT_CLOCK,
	OPT_EPHEMERAL,
	OPT_CONSOLE,
	OPT_SERIAL,
	OPT_WAIT_FOR,
	OPT_TYPE,
	OPT_SCREENSHOT,
	OPT_TIMEOUT,
	OPT_DEBUG_EXIT,
	OPT_STATS,
	OPT_GDB,
	OPT_TRACE,
	OPT_NO_REBOOT,
	OPT_MISSING,
};

/* Every long option once: its value for getopt_long, and its line of help. */
static const struct {
	const char *name;
	int has_arg;
	int value;
	const char *argument;
	const char *help;
} table[] = {
    {"name", required_argument, OPT_NAME, "VM", "name of the VM (default boot-PID)"},
    {"floppy", required_argument, OPT_FLOPPY, "F[,ro]", "a floppy image (A:, then B:)"},
    {"disk", required_argument, OPT_DISK, "F[,ro]", "a hard disk image (80h, 81h, ...)"},
    {"kernel", required_argument, OPT_KERNEL, "F",
	"a Linux (bzImage) or multiboot kernel to boot directly"},
    {"initrd", required_argument, OPT_INITRD, "F", "its initial RAM disk"},
    {"append", required_argument, OPT_APPEND, "S", "its command line"},
    {"boot", required_argument, OPT_BOOT, "a|c", "boot from floppies or from hard disks"},
    {"engine", required_argument, OPT_ENGINE, "auto|soft|kvm",
	"the CPU engine (auto, the default: the faster one)"},
    {"engines", required_argument, OPT_ENGINES, "A,B",
	"the two CPU engines: soft,kvm (the default) or soft,soft"},
    {"cpu", required_argument, OPT_CPU, "MODEL",
	"8086, 286, 386, 486, pentium, p6 or x86-64 (the default)"},
    {"clock", required_argument, OPT_CLOCK, "host|icount", "what guest time follows"},
    {"ephemeral", no_argument, OPT_EPHEMERAL, NULL, "guest writes go to memory, not to the image"},
    {"console", required_argument, OPT_CONSOLE, "curses|text|none", "full screen, stream, nothing"},
    {"serial", required_argument, OPT_SERIAL, "stdio|file:F|none", "COM1; again for COM2, ..."},
    {"wait-for", required_argument, OPT_WAIT_FOR, "TEXT", "wait until the guest shows TEXT"},
    {"type", required_argument, OPT_TYPE, "TEXT", "type TEXT (\\n, <F1>, <C-a>, ...)"},
    {"screenshot", required_argument, OPT_SCREENSHOT, "FILE",
	"write the screen to FILE: .txt, .png or .ppm"},
    {"timeout", required_argument, OPT_TIMEOUT, "SEC", "end with status 124 after SEC seconds"},
    {"debug-exit", required_argument, OPT_DEBUG_EXIT, "PORT",
	"an OUT of V to PORT ends the run with status (V << 1) | 1"},
    {"trace", required_argument, OPT_TRACE, "KIND[:FILTER][:FILE]",
	"write what the guest does: bios, io, exit, insn"},
    {"gdb", required_argument, OPT_GDB, "[HOST:]PORT",
	"wait for GDB (target remote) at the first instruction"},
    {"stats", required_argument, OPT_STATS, "F", "write counts as JSON to F at the end"},
    {"no-reboot", no_argument, OPT_NO_REBOOT, NULL, "a guest reset ends the run"},
    {"help", no_argument, OPT_HELP, NULL, "show this"},
    /* Known, and not in this build. */
    {"cdrom", required_argument, OPT_MISSING, NULL, NULL},
};
#define OPTIONS (sizeof(table) / sizeof(table[0]))

#define SYNOPSIS(command) "hyve86 " command " [-m SIZE] [options] IMAGE..."

static const char *
synopsis(bool lockstep)
{
	return (lockstep ? SYNOPSIS("lockstep") : SYNOPSIS("boot"));
}

/* Whether the command, hyve86 boot or hyve86 lockstep, has the option. */
static bool
belongs(int option, bool lockstep)
{
	switch (option) {
	case OPT_ENGINE:
	case OPT_CLOCK: /* guest time is that of the instructions */
	case OPT_GDB:
	case OPT_VERBOSE:
		return (!lockstep);
	case OPT_ENGINES:
		return (lockstep);
	default:
		return (true);
	}
}

int
boot_help(bool lockstep)
{
	printf("usage: %s\n", synopsis(lockstep));
	printf("  %-28s %s\n", "-m SIZE", "memory: MB, or with K, M, G (default 256)");
	printf("  %-28s %s\n", "-c N", "vCPUs: 1");
	if (belongs(OPT_VERBOSE, lockstep))
		printf("  %-28s %s\n", "-v", "tell which engine was chosen, and why");
	for (size_t i = 0; i < OPTIONS; i++) {
		char left[64];

		if (table[i].help == NULL || !belongs(table[i].value, lockstep))
			continue;
		snprintf(left, sizeof(left), "--%s %s", table[i].name,
		    table[i].argument != NULL ? table[i].argument : "");
		printf("  %-28s %s\n", left, table[i].help);
	}
	return (STATUS_OK);
}

/* One of the words in LIST (ended by NULL): its index, or -1 after telling. */
static int
choose(
    const struct boot_options *opts, const char *option, const char *text, const char *const *list)
{
	char choices[128] = "";
	size_t used = 0;

	for (int i = 0; list[i] != NULL; i++) {
		if (strcmp(list[i], text) == 0)
			return (i);
		used += (size_t)snprintf(
		    choices + used, sizeof(choices) - used, "%s%s", i == 0 ? "" : ", ", list[i]);
	}
	cmd_error(opts->command, "--%s %s: must be one of %s", option, text, choices);
	return (-1);
}

static int
add_image(struct boot_options *opts, char *spec, enum boot_image_kind kind)
{
	size_t length = strlen(spec);
	struct boot_image *image;

	if (opts->nimages == BOOT_IMAGES_MAX)
		return (cmd_error(opts->command, "%s: more than %d images", spec, BOOT_IMAGES_MAX));
	image = &opts->images[opts->nimages++];
	*image = (struct boot_image){.path = spec, .kind = kind};
	if (length > 3 && strcmp(spec + length - 3, ",ro") == 0) {
		spec[length - 3] = '\0';
		image->readonly = true;
	}
	return (STATUS_OK);
}

static int
take_memory(struct boot_options *opts, const char *text)
{
	uint64_t bytes;

	if (!cmd_parse_size(text, &bytes) || bytes < MEMORY_MIN || bytes > VMM_MEMORY_MAX ||
	    bytes % 4096 != 0)
		return (cmd_error(
		    opts->command, "-m %s: memory must be from 1M to 64G, in whole pages", text));
	opts->memory = bytes;
	return (STATUS_OK);
}

static int
take_serial(struct boot_options *opts, const char *text)
{
	struct boot_serial_port *port;

	if (opts->nserial == MACHINE_COMS)
		return (cmd_error(opts->command, "--serial %s: there are four lines", text));
	port = &opts->serial[opts->nserial++];
	if (strcmp(text, "stdio") == 0)
		port->kind = SERIAL_STDIO;
	else if (strcmp(text, "none") == 0)
		port->kind = SERIAL_NONE;
	else if (strncmp(text, "file:", 5) == 0 && text[5] != '\0') {
		port->kind = SERIAL_FILE;
		port->file = text + 5;
	} else if (strcmp(text, "pty") == 0 || strncmp(text, "tcp:", 4) == 0)
		return (cmd_error(opts->command, "--serial %s: not in this build", text));
	else
		return (
		    cmd_error(opts->command, "--serial %s: must be stdio, file:F or none", text));
	return (STATUS_OK);
}

static int
take_timeout(struct boot_options *opts, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds > 0) || seconds > 1e9)
		return (cmd_error(
		    opts->command, "--timeout %s: must be a number of seconds above 0", text));
	opts->timeout_ns = (uint64_t)(seconds * 1e9);
	return (STATUS_OK);
}

static int
take_debug_exit(struct boot_options *opts, const char *text)
{
	uint64_t port;

	if (!cmd_parse_number(text, &port) || port > 0xffff)
		return (cmd_error(
		    opts->command, "--debug-exit %s: must be a port from 0 to 0xffff", text));
	opts->debug_exit_port = (int)port;
	return (STATUS_OK);
}

static int
take_name(struct boot_options *opts, const char *text)
{
	if (strlen(text) >= sizeof(opts->name) || *text == '\0')
		return (cmd_error(opts->command, "--name %s: must have 1 to %zu characters", text,
		    sizeof(opts->name) - 1));
	memcpy(opts->name, text, strlen(text) + 1);
	return (STATUS_OK);
}

static int
take_word(struct boot_options *opts, int option, const char *text)
{
	static const char *const clocks[] = {"host", "icount", NULL};
	static const char *const consoles[] = {"curses", "text", "none", NULL};
	static const char *const orders[] = {"a", "c", "d", NULL};
	int n;

	switch (option) {
	case OPT_ENGINE:
		opts->engine.word = cmd_engine_word(text);
		return (opts->engine.word >= 0
			? STATUS_OK
			: cmd_error(
			      opts->command, "--engine %s: must be one of auto, soft, kvm", text));
	case OPT_CLOCK:
		n = choose(opts, "clock", text, clocks);
		opts->clock = n == 1 ? MACHINE_CLOCK_ICOUNT : MACHINE_CLOCK_HOST;
		return (n < 0 ? STATUS_ERROR : STATUS_OK);
	case OPT_CONSOLE:
		n = choose(opts, "console", text, consoles);
		opts->console = (enum boot_console)(CONSOLE_CURSES + (n < 0 ? 0 : n));
		return (n < 0 ? STATUS_ERROR : STATUS_OK);
	default:
		n = choose(opts, "boot", text, orders);
		if (n == 2)
			return (cmd_error(opts->command, "--boot d: no CD-ROM in this build"));
		opts->order = text[0];
		return (n < 0 ? STATUS_ERROR : STATUS_OK);
	}
}

static int
add_step(struct boot_options *opts, int option, const char *text)
{
	char err[256];
	int result;

	if (option == OPT_WAIT_FOR)
		result = script_add_wait(&opts->script, text, err, sizeof(err));
	else if (option == OPT_TYPE)
		result = script_add_type(&opts->script, text, err, sizeof(err));
	else
		result = script_add_screenshot(&opts->script, text, err, sizeof(err));
	return (result == 0 ? STATUS_OK : cmd_error(opts->command, "%s", err));
}

/* Both words name an engine; the first must be one that can lead. */
static int
take_engines(struct boot_options *opts, const char *text)
{
	static const struct {
		const char *name;
		const struct engine_ops *engines[2];
	} pairs[] = {
	    {"soft,kvm", {&engine_soft, &engine_kvm}}, {"soft,soft", {&engine_soft, &engine_soft}}};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (strcmp(pairs[i].name, text) != 0)
			continue;
		memcpy(opts->lockstep->engines, pairs[i].engines, sizeof(pairs[i].engines));
		return (STATUS_OK);
	}
	return (cmd_error(opts->command, "--engines %s: must be soft,kvm or soft,soft", text));
}

/* Options that are kept as they are given. False: OPTION is none of them. */
static bool
keep_option(struct boot_options *opts, int option, const char *text)
{
	switch (option) {
	case OPT_GDB:
		opts->gdb = text;
		return (true);
	case OPT_TRACE:
		opts->trace = text;
		return (true);
	case OPT_STATS:
		opts->stats = text;
		return (true);
	case OPT_KERNEL:
		opts->kernel = text;
		return (true);
	case OPT_INITRD:
		opts->initrd = text;
		return (true);
	case OPT_APPEND:
		opts->append = text;
		return (true);
	case OPT_EPHEMERAL:
		opts->ephemeral = true;
		return (true);
	case OPT_NO_REBOOT:
		opts->no_reboot = true;
		return (true);
	case OPT_VERBOSE:
		opts->engine.verbose = true;
		return (true);
	case OPT_HELP:
		opts->help = true;
		return (true);
	default:
		return (false);
	}
}

static int
take_option(struct boot_options *opts, int option, const char *name, char *text)
{
	if (keep_option(opts, option, text))
		return (STATUS_OK);
	switch (option) {
	case OPT_MEMORY:
		return (take_memory(opts, text));
	case OPT_CPUS:
		return (strcmp(text, "1") == 0
			? STATUS_OK
			: cmd_error(opts->command, "-c %s: VMs have one vCPU in this build", text));
	case OPT_NAME:
		return (take_name(opts, text));
	case OPT_CPU:
		opts->cpu_model = cpu_model_by_name(text) + 1;
		return (opts->cpu_model != 0
			? STATUS_OK
			: cmd_error(opts->command,
			      "--cpu %s: must be one of 8086, 286, 386, 486, pentium, p6, x86-64",
			      text));
	case OPT_FLOPPY:
		return (add_image(opts, text, IMAGE_FLOPPY));
	case OPT_DISK:
		return (add_image(opts, text, IMAGE_DISK));
	case OPT_BOOT:
	case OPT_ENGINE:
	case OPT_CLOCK:
	case OPT_CONSOLE:
		return (take_word(opts, option, text));
	case OPT_ENGINES:
		return (take_engines(opts, text));
	case OPT_SERIAL:
		return (take_serial(opts, text));
	case OPT_WAIT_FOR:
	case OPT_TYPE:
	case OPT_SCREENSHOT:
		return (add_step(opts, option, text));
	case OPT_TIMEOUT:
		return (take_timeout(opts, text));
	case OPT_DEBUG_EXIT:
		return (take_debug_exit(opts, text));
	case OPT_MISSING:
		return (cmd_error(opts->command, "--%s: not in this build", name));
	default:
		return (cmd_usage(opts->command, synopsis(opts->lockstep != NULL)));
	}
}

int
boot_parse(int argc, char **argv, struct lockstep *lockstep, struct boot_options *opts)
{
	struct option options[OPTIONS + 1] = {0};
	const char *letters = lockstep != NULL ? "m:c:h" : "m:c:hv";
	int option, index = 0, status = STATUS_OK;
	size_t n = 0;

	*opts = (struct boot_options){.memory = MEMORY_DEFAULT,
	    .debug_exit_port = -1,
	    .command = lockstep != NULL ? "lockstep" : "boot",
	    .lockstep = lockstep};
	if (lockstep != NULL)
		opts->clock = MACHINE_CLOCK_ICOUNT;
	snprintf(opts->name, sizeof(opts->name), "boot-%d", (int)getpid());
	script_init(&opts->script);
	for (size_t i = 0; i < OPTIONS; i++)
		if (belongs(table[i].value, lockstep != NULL))
			options[n++] =
			    (struct option){table[i].name, table[i].has_arg, NULL, table[i].value};
	opterr = 0;
	optind = 1;
	while (status == STATUS_OK &&
	    (option = getopt_long(argc, argv, letters, options, &index)) != -1) {
		if (option == '?')
			return (cmd_error(opts->command,
			    "%s: unknown option, or its argument is missing (--help tells more)",
			    argv[optind - 1]));
		status = take_option(opts, option, options[index].name, optarg);
	}
	for (; status == STATUS_OK && optind < argc; optind++)
		status = add_image(opts, argv[optind], IMAGE_BY_CONTENT);
	if (status == STATUS_OK && opts->kernel == NULL &&
	    (opts->initrd != NULL || opts->append != NULL))
		return (cmd_error(opts->command, "--initrd and --append go with --kernel"));
	if (status == STATUS_OK && !opts->help && opts->nimages == 0 && opts->kernel == NULL)
		return (cmd_error(opts->command, "no IMAGE to boot (--help tells more)"));
	return (status);
}
