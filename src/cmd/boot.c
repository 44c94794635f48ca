/* hyve86 boot: make a VM, load the pseudo BIOS, run it on this terminal, clean up. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <vmmapi.h>

#include "cmd/boot.h"
#include "cmd/cmd.h"
#include "cpu/cpu.h"
#include "inspect/gdb.h"
#include "inspect/trace.h"
#include "loader/loader.h"

#define LOW_MAX VMM_LOW_MAX

/* How each end of the machine is told and what status it gives. */
static const struct {
	int status;
	const char *why; /* NULL: nothing to explain */
} ends[] = {
    [MACHINE_POWER_OFF] = {STATUS_OK, NULL},
    [MACHINE_RESET] = {STATUS_OK, NULL},
    [MACHINE_HALTED] = {STATUS_HALT, "the guest halted with interrupts off"},
    [MACHINE_TRIPLE_FAULT] = {STATUS_TRIPLE_FAULT, "triple fault"},
    [MACHINE_STOPPED] = {STATUS_OK, NULL},
    [MACHINE_EXIT] = {STATUS_ERROR, "the CPU cannot go on"},
};

/* One drive letter's worth of the boot order. */
static void
set_boot_order(struct machine *m, char order)
{
	static const struct {
		char order;
		uint8_t drives[BIOS_BOOT_MAX];
	} orders[] = {
	    {'a', {0x00, 0xff, 0xff}}, {'c', {0x80, 0xff, 0xff}}, {0, {0x00, 0x80, 0xff}}};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (orders[i].order == order)
			memcpy(m->bios.boot_order, orders[i].drives, BIOS_BOOT_MAX);
}

/* A VM with the built-in pseudo BIOS, entered as after RESET. */
static int
load(struct vmctx *ctx, struct vmm_error *err)
{
	struct loader_file rom;
	int result;

	if (!loader_builtin_bios(&rom))
		return (vmm_fail(err, ENOMEM, "out of memory"));
	result = loader_bios(ctx, &rom, err);
	loader_close(&rom);
	if (result != 0)
		return (-1);
	if (vm_setup_boot_registers(ctx, 0) != 0 ||
	    vm_set_capability(ctx, 0, VM_CAP_UNRESTRICTED_GUEST, 1) != 0)
		return (vmm_fail(err, errno, "cannot set registers: %s", strerror(errno)));
	return (0);
}

static struct vmctx *
make_vm(const struct boot_options *opts, struct vmm_error *err)
{
	uint64_t low = opts->memory < LOW_MAX ? opts->memory : LOW_MAX;
	struct vmctx *ctx = vmm_create_volatile(opts->name, low, opts->memory - low, err);

	if (ctx != NULL && load(ctx, err) != 0) {
		vmm_discard(ctx);
		return (NULL);
	}
	return (ctx);
}

static int
load_linux(struct boot_run *run, const struct loader_file *kernel, const struct loader_file *initrd,
    struct vmm_error *err)
{
	struct loader_entry entry;

	if (loader_linux(run->machine.ctx, kernel, initrd, run->opts->append, &entry, err) != 0)
		return (-1);
	run->machine.bios.direct = (struct bios_direct){
	    .there = true,
	    .code_segment = entry.code_segment,
	    .data_segment = entry.data_segment,
	    .stack_pointer = entry.stack_pointer,
	};
	return (0);
}

/* The command line begins with the kernel's name, as GRUB's does. */
static int
load_multiboot(struct boot_run *run, const struct loader_file *file,
    const struct loader_file *module, struct vmm_error *err)
{
	const char *append = run->opts->append != NULL ? run->opts->append : "";
	struct loader_kernel kernel = {0};
	size_t size = strlen(file->path) + strlen(append) + 2;
	char *line = malloc(size);
	int result;

	if (line == NULL)
		return (vmm_fail(err, ENOMEM, "out of memory"));
	snprintf(line, size, "%s %s", file->path, append);
	result = loader_multiboot(run->machine.ctx, file, module, line, &kernel, err);
	free(line);
	if (result == 0)
		run->machine.bios.direct = (struct bios_direct){
		    .there = true,
		    .protected_mode = true,
		    .entry = (uint32_t)kernel.entry,
		    .eax = LOADER_MULTIBOOT_MAGIC,
		    .ebx = kernel.info,
		};
	return (result);
}

/* --kernel, --initrd, --append: into memory, and told to the BIOS. */
static int
load_kernel(struct boot_run *run, struct vmm_error *err)
{
	const struct boot_options *opts = run->opts;
	struct loader_file kernel = {0}, initrd = {0};
	const struct loader_file *module = opts->initrd != NULL ? &initrd : NULL;
	int result = -1;

	if (opts->kernel == NULL)
		return (0);
	if (loader_open(&kernel, opts->kernel, err) == 0 &&
	    (opts->initrd == NULL || loader_open(&initrd, opts->initrd, err) == 0))
		result = loader_is_multiboot(&kernel) && !loader_is_linux(&kernel)
		    ? load_multiboot(run, &kernel, module, err)
		    : load_linux(run, &kernel, module, err);
	loader_close(&initrd);
	loader_close(&kernel);
	return (result);
}

/* What only the built-in CPU does, and what it does better. */
static struct engine_wish
engine_wish(const struct boot_options *opts)
{
	struct engine_wish wish = opts->engine;

	if (opts->clock == MACHINE_CLOCK_ICOUNT)
		wish.needs_soft = "--clock icount counts instructions";
	else if (opts->cpu_model != 0 && opts->cpu_model - 1 != CPU_X86_64)
		wish.needs_soft = "--cpu: KVM has the host's processor";
	if (opts->gdb != NULL)
		wish.likes_soft = "--gdb: it has breakpoints without number";
	else if (opts->trace != NULL && strstr(opts->trace, "insn") != NULL)
		wish.likes_soft = "--trace insn: it goes by instructions";
	return (wish);
}

static struct machine_config
machine_config(const struct boot_options *opts, const struct engine_ops *engine)
{
	return ((struct machine_config){
	    .clock = opts->clock,
	    .no_reboot = opts->no_reboot,
	    .debug_exit_port = opts->debug_exit_port,
	    .coms = opts->nserial > 1 ? opts->nserial : 1,
	    .engine = opts->lockstep != NULL ? &engine_lockstep : engine,
	    .lockstep = opts->lockstep,
	    .cpu_model = opts->cpu_model,
	    .no_fpu = opts->cpu_model != 0 && opts->cpu_model - 1 < CPU_486,
	    .no_apic = opts->cpu_model != 0 && opts->cpu_model - 1 < CPU_PENTIUM,
	});
}

/* The status of a run that the machine ended. */
static int
status_of(struct boot_run *run, enum machine_end end)
{
	const struct script *script = &run->opts->script;

	if (run->decided)
		return (run->status);
	if (end == MACHINE_DEBUG_EXIT)
		return ((run->machine.exit_value << 1 | 1) & 0xff);
	if (end == MACHINE_HALTED && script->current < script->count)
		return (STATUS_ERROR);
	return (ends[end].status);
}

/* Tell why it ended badly, and keep the VM for those who look into it. */
static void
tell_failure(struct boot_run *run, enum machine_end end, int status)
{
	const struct script *script = &run->opts->script;
	struct vmm_error err;
	char why[256];

	if (status != STATUS_HALT && status != STATUS_TRIPLE_FAULT && status != STATUS_ERROR &&
	    status != 124)
		return;
	if (run->machine.end == MACHINE_DEBUG_EXIT)
		return;
	/* A file that could not be written is no fault of the guest's. */
	if (run->decided && run->status == STATUS_ERROR) {
		cmd_error(run->opts->command, "%s", script->err);
		return;
	}
	if (status == 124)
		snprintf(why, sizeof(why), "time-out");
	else
		snprintf(why, sizeof(why), "%s", ends[end].why != NULL ? ends[end].why : "ended");
	if (end == MACHINE_EXIT && run->machine.vcpu.exit.text[0] != '\0')
		snprintf(why, sizeof(why), "%s", run->machine.vcpu.exit.text);
	boot_failure_dump(run, why);
	if (script->current < script->count) {
		script_describe(script, why, sizeof(why));
		cmd_error(run->opts->command, "the script was at %s", why);
	}
	if (vmm_keep(run->machine.ctx, "last", &err) != 0)
		cmd_fail(run->opts->command, &err);
}

/* --trace */
static int
start_trace(struct boot_run *run)
{
	struct vmm_error err;

	if (run->opts->trace == NULL)
		return (STATUS_OK);
	run->trace = tracer_open(run->opts->trace, NULL, &err);
	if (run->trace == NULL)
		return (cmd_fail(run->opts->command, &err));
	if (tracer_attach(run->trace, &run->machine, &err) == 0)
		return (STATUS_OK);
	tracer_close(run->trace, NULL);
	run->trace = NULL;
	return (cmd_fail(run->opts->command, &err));
}

static int
stop_trace(struct boot_run *run)
{
	struct tracer *tracer = run->trace;
	struct vmm_error err;

	run->trace = NULL;
	return (tracer_close(tracer, &err) != 0 ? cmd_fail(run->opts->command, &err) : STATUS_OK);
}

/* --gdb: listen for it. The run begins with waiting for it. */
static int
start_gdb(struct boot_run *run)
{
	struct vmm_error err;

	if (run->opts->gdb == NULL)
		return (STATUS_OK);
	run->gdb = gdb_listen(&run->machine, run->opts->gdb, &err);
	if (run->gdb == NULL)
		return (cmd_fail(run->opts->command, &err));
	fprintf(stderr, "hyve86: %s: waiting for GDB: target remote :%u\n", run->opts->name,
	    gdb_port(run->gdb));
	return (STATUS_OK);
}

/* Run, with those who look in from outside told of the end. */
static enum machine_end
run_controlled(struct boot_run *run)
{
	struct vmm_error err;
	enum machine_end end;
	const char *reason;
	bool by_guest;

	run->control = control_start_machine(&run->machine, &run->gdb, &err);
	if (run->control == NULL)
		cmd_fail(run->opts->command, &err);
	if (run->gdb != NULL) {
		gdb_wait(run->gdb);
		run->started = host_ns();
	}
	end = machine_run(&run->machine);
	if (run->gdb != NULL)
		gdb_stop(run->gdb, GDB_ENDED);
	gdb_close(run->gdb);
	reason = control_end_reason(end, &by_guest);
	control_stop(run->control, reason, by_guest);
	run->control = NULL;
	return (end);
}

static int
run_machine(struct boot_run *run)
{
	struct boot_options *opts = run->opts;
	enum machine_end end;
	int status;

	for (unsigned i = 0; i < opts->nimages; i++)
		if (opts->images[i].block != NULL)
			machine_add_drive(
			    &run->machine, opts->images[i].drive, opts->images[i].block);
	set_boot_order(&run->machine, opts->order);
	if (start_trace(run) != STATUS_OK)
		return (STATUS_ERROR);
	if (boot_host_start(run) != STATUS_OK) {
		stop_trace(run);
		boot_host_stop(run);
		return (STATUS_ERROR);
	}
	run->machine.config.host = boot_host_calls(run);
	if (start_gdb(run) != STATUS_OK) {
		stop_trace(run);
		boot_host_stop(run);
		return (STATUS_ERROR);
	}
	end = run_controlled(run);
	status = status_of(run, end);
	boot_host_stop(run);
	if (stop_trace(run) != STATUS_OK)
		status = STATUS_ERROR;
	if (opts->lockstep != NULL)
		status = boot_lockstep_end(run, status);
	if (status != STATUS_DIFFERS)
		tell_failure(run, end, status);
	if (opts->stats != NULL && boot_write_stats(run) != STATUS_OK)
		status = STATUS_ERROR;
	return (status);
}

static int
boot(struct boot_options *opts)
{
	const struct engine_wish wish = engine_wish(opts);
	const struct engine_ops *engine;
	struct machine_config config;
	struct boot_run *run;
	struct vmm_error err;
	struct vmctx *ctx;
	int status;

	if (boot_open_images(opts) != STATUS_OK ||
	    cmd_choose_engine(opts->command, &wish, &engine) != STATUS_OK)
		return (STATUS_ERROR);
	run = calloc(1, sizeof(*run));
	if (run == NULL)
		return (cmd_error(opts->command, "out of memory"));
	run->opts = opts;
	ctx = make_vm(opts, &err);
	if (ctx == NULL) {
		free(run);
		return (cmd_fail(opts->command, &err));
	}
	/* The serial lines' defaults are known once the console is: at least COM1 is there. */
	config = machine_config(opts, engine);
	if (machine_init(&run->machine, ctx, &config, &err) != 0)
		status = cmd_fail(opts->command, &err);
	else {
		status =
		    load_kernel(run, &err) != 0 ? cmd_fail(opts->command, &err) : run_machine(run);
		machine_fini(&run->machine);
	}
	vmm_discard(ctx);
	free(run);
	return (status);
}

int
boot_main(int argc, char **argv, struct lockstep *lockstep)
{
	struct boot_options opts;
	int status = boot_parse(argc, argv, lockstep, &opts);

	if (status == STATUS_OK)
		status = opts.help ? boot_help(lockstep != NULL) : boot(&opts);
	boot_close_images(&opts);
	script_free(&opts.script);
	return (status);
}

int
cmd_boot(int argc, char **argv)
{
	return (boot_main(argc, argv, NULL));
}
