/* The machine's life: building it, guest time, the run loop, events from outside, resets. */
#include "machine/machine.h"

#include <sys/random.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#define POLL_NS 10000000ull /* how often the host is asked, while the guest runs */
#define BUDGET 100000u	    /* instructions between two looks at the clock */
#define BUDGET_MIN 500u
#define ICOUNT_EPOCH 946684800ll /* 2000-01-01: where CMOS starts then */
#define IDLE_NS 50000000ull	 /* the longest sleep between two looks */
#define CMOS_SHUTDOWN 0x0f

/* --- guest time ------------------------------------------------------------------------------------- */

static uint64_t
host_clock(void *opaque)
{
	const struct machine *m = opaque;

	return (m->paused ? m->paused_at : host_ns() - m->host_base);
}

/* Instructions retired, plus what HLT skipped (time.guest_ns). */
static uint64_t
icount_clock(void *opaque)
{
	const struct machine *m = opaque;

	return (m->time.guest_ns + vcpu_instructions(&m->vcpu) * MACHINE_ICOUNT_NS);
}

static uint64_t
tsc_now(void *opaque)
{
	const struct machine *m = opaque;

	return (clock_now(&m->clock)); /* 1 GHz */
}

/* Somebody armed a timer ahead of all others: what the CPU may run until then is less. */
static void
sooner(void *opaque, uint64_t deadline)
{
	struct machine *m = opaque;

	(void)deadline;
	vcpu_kick(&m->vcpu);
}

/* Guest time is kept in the state file, so that a stopped VM goes on where it was. */
static int
time_restored(void *owner)
{
	const int64_t wall_max = 400000000000; /* more than 9999 years */
	struct machine *m = owner;

	/* Three hundred years of guest time leave room for any timer. */
	if (m->time.guest_ns > INT64_MAX || m->time.wall_offset > wall_max ||
	    m->time.wall_offset < -wall_max)
		return (-1);
	m->host_base = host_ns() - m->time.guest_ns;
	m->clock.wall_offset = m->time.wall_offset;
	return (0);
}

static int
init_time(struct machine *m, struct vmm_error *err)
{
	struct section section = {.id = "clock",
	    .version = 1,
	    .size = sizeof(m->time),
	    .data = &m->time,
	    .restored = time_restored,
	    .owner = m};
	bool host = m->config.clock == MACHINE_CLOCK_HOST;

	clock_init(&m->clock, host ? host_clock : icount_clock, m);
	m->clock.sooner = sooner;
	m->clock.sooner_opaque = m;
	m->host_base = host_ns();
	m->clock.wall_offset = host ? (int64_t)time(NULL) : ICOUNT_EPOCH;
	m->time.wall_offset = m->clock.wall_offset;
	return (vmm_add_section(m->ctx, &section, err) < 0 ? -1 : 0);
}

/* --- history -------------------------------------------------------------------------------------------- */

static int
history_restored(void *owner)
{
	struct machine *m = owner;

	if (m->history.cpu.nfaults > HISTORY_FAULTS || m->history.cpu.nbranches > HISTORY_BRANCHES)
		return (-1);
	m->bios.recent = m->history.bios;
	memory_set_a20(m->mem, m->history.a20 != 0);
	return (0);
}

static int
init_history(struct machine *m, struct vmm_error *err)
{
	const struct section section = {.id = MACHINE_HISTORY_ID,
	    .version = MACHINE_HISTORY_VERSION,
	    .size = sizeof(m->history),
	    .data = &m->history,
	    .restored = history_restored,
	    .owner = m};

	return (vmm_add_section(m->ctx, &section, err) < 0 ? -1 : 0);
}

void
machine_update(struct machine *m)
{
	vcpu_pull(&m->vcpu, VCPU_ALL);
	counts_update(m);
	vcpu_history(&m->vcpu, &m->history.cpu);
	m->history.bios = m->bios.recent;
	m->history.a20 = memory_get_a20(m->mem);
}

/* --- building ----------------------------------------------------------------------------------------- */

static int
interrupt_acknowledge(void *opaque)
{
	struct machine *m = opaque;

	return (lapic_ack(&m->lapic));
}

static void
coprocessor_error(void *opaque)
{
	struct machine *m = opaque;

	portf0_error(&m->portf0);
}

/* A BIOS call that waits is due: the CPU leaves HLT as if something had woken it. */
static void
wake_up(void *opaque, uint64_t deadline)
{
	struct machine *m = opaque;

	(void)deadline;
	if (m->state->events.activity != VCPU_HLT)
		return;
	vcpu_pull(&m->vcpu, VCPU_EVENTS);
	m->state->events.activity = VCPU_ACTIVE;
	vcpu_push(&m->vcpu, VCPU_EVENTS);
}

static void
wake_at(void *opaque, uint64_t deadline)
{
	struct machine *m = opaque;

	timer_arm(&m->clock, &m->wake, deadline);
}

/* What is looked at by host time otherwise: two runs see the same at the same instruction. */
static void
look(void *opaque, uint64_t deadline)
{
	struct machine *m = opaque;

	timer_arm(&m->clock, &m->look, deadline + MACHINE_LOOK_NS);
	if (m->config.host.look != NULL)
		m->config.host.look(m->config.host.opaque);
}

static void
init_bios(struct machine *m)
{
	m->bios = (struct bios){
	    .mem = m->mem,
	    .bus = &m->bus,
	    .clock = &m->clock,
	    .boot_order = {0xff, 0xff, 0xff},
	    .wake_at = wake_at,
	    .no_fpu = m->config.no_fpu,
	    .opaque = m,
	};
	timer_init(&m->wake, wake_up, m);
	timer_init(&m->look, look, m);
}

/* RDRAND: no two runs alike, but for those that count instructions. */
static uint64_t
random_seed(const struct machine_config *config)
{
	uint64_t seed = 0;

	if (config->clock == MACHINE_CLOCK_HOST && getrandom(&seed, sizeof(seed), 0) < 0)
		seed = host_ns();
	return (seed);
}

/* What the library's vm_lapic_irq() left while nobody ran the VM. */
static void
take_irqs(struct machine *m)
{
	uint64_t waiting[VMM_VECTOR_WORDS];

	vmm_take_irqs(m->ctx, 0, waiting);
	for (unsigned v = 0; v < VMM_VECTOR_WORDS * 64; v++)
		if (waiting[v / 64] >> v % 64 & 1)
			lapic_interrupt(&m->lapic, v);
}

/* Everything on the board but the vCPU. */
static int
build(struct machine *m, struct vmm_error *err)
{
	if (init_time(m, err) != 0)
		return (-1);
	board_init(m);
	init_bios(m);
	if (init_history(m, err) != 0 || counts_init(m, err) != 0 ||
	    board_add_sections(m, err) != 0)
		return (-1);
	take_irqs(m);
	return (0);
}

int
machine_init(struct machine *m, struct vmctx *ctx, const struct machine_config *config,
    struct vmm_error *err)
{
	struct engine_world world;

	memset(m, 0, sizeof(*m));
	m->config = *config;
	m->ctx = ctx;
	m->mem = vmm_memory(ctx, err);
	m->state = vmm_vcpu_state(ctx, 0);
	if (m->mem == NULL || m->state == NULL)
		return (-1);
	world = (struct engine_world){
	    .mem = m->mem,
	    .bus = &m->bus,
	    .cpu_model = config->cpu_model,
	    .int_ack = interrupt_acknowledge,
	    .int_ack_opaque = m,
	    .ferr = coprocessor_error,
	    .ferr_opaque = m,
	    .tsc = tsc_now,
	    .tsc_opaque = m,
	    .random_seed = random_seed(config),
	    .lockstep = config->lockstep,
	};
	if (!config->no_apic)
		world.apic = lapic_port(&m->lapic);
	if (vcpu_create(&m->vcpu, config->engine, m->state, vmm_vmx(ctx, 0), &world,
		config->engine_options) != 0)
		return (vmm_fail(
		    err, errno, "%s: cannot make a vCPU: %s", vmm_name(ctx), m->vcpu.exit.text));
	if (build(m, err) == 0)
		return (0);
	vcpu_destroy(&m->vcpu);
	return (-1);
}

void
machine_fini(struct machine *m)
{
	if (m->vcpu.ops == NULL)
		return;
	m->time.guest_ns = clock_now(&m->clock);
	vcpu_destroy(&m->vcpu);
}

void
machine_add_drive(struct machine *m, uint8_t drive, struct block *block)
{
	const struct floppy_format *format;
	struct bios_disk *d;

	if (drive >= 0x80) {
		d = &m->bios.disk[(drive - 0x80) % BIOS_DISKS];
		d->geometry = block_disk_geometry(block);
	} else {
		d = &m->bios.floppy[drive % BIOS_FLOPPIES];
		format = floppy_format_for(block_sectors(block));
		if (format == NULL)
			return;
		d->geometry = format->geometry;
		d->drive_type = format->drive_type;
	}
	d->block = block;
}

/* --- events from outside --------------------------------------------------------------------------------- */

bool
machine_event(struct machine *m, struct machine_event event)
{
	event.when = clock_now(&m->clock);
	switch (event.kind) {
	case MACHINE_EVENT_KEY:
		if (!i8042_key_scancode(&m->kbc, event.value))
			return (false);
		break;
	case MACHINE_EVENT_SERIAL:
		if (event.number >= m->config.coms || !ns16550_rx_room(&m->com[event.number]))
			return (false);
		ns16550_rx(&m->com[event.number], event.value);
		break;
	case MACHINE_EVENT_STOP:
		if (m->end == MACHINE_RUNS)
			m->end = MACHINE_STOPPED;
		break;
	case MACHINE_EVENT_RESET:
		m->reset_pending = true;
		break;
	}
	if (m->observer.event != NULL)
		m->observer.event(m->observer.opaque, &event);
	return (true);
}

/* --- pausing ------------------------------------------------------------------------------------------------ */

void
machine_pause(struct machine *m)
{
	if (m->paused)
		return;
	m->paused_at = clock_now(&m->clock);
	m->paused = true;
	counts_stop(m);
	vcpu_kick(&m->vcpu); /* from a bus handler: this was the last instruction */
}

void
machine_resume(struct machine *m)
{
	if (!m->paused)
		return;
	m->paused = false;
	counts_start(m);
	m->host_base = host_ns() - m->paused_at;
}

void
machine_kick(struct machine *m)
{
	__atomic_store_n(&m->kicked, true, __ATOMIC_RELEASE);
	vcpu_kick(&m->vcpu);
}

/* --- running ------------------------------------------------------------------------------------------------ */

/* Does CMOS ask for a jump through 40:67 after a reset (286 programs leaving protected mode)? */
static bool
resume_asked(struct machine *m)
{
	uint8_t code = mc146818_get(&m->rtc, CMOS_SHUTDOWN);

	return (code == 0x05 || code == 0x0a);
}

/* RESET of the CPU, and of the chips unless the program wants to go on. */
static void
reset(struct machine *m)
{
	bool resume = resume_asked(m);

	m->reset_pending = false;
	if (!resume) {
		m->resets++;
		if (m->config.no_reboot) {
			m->end = MACHINE_RESET;
			return;
		}
		board_reset(m);
	}
	vcpu_state_reset(m->state, 0);
	if (m->config.no_apic)
		m->state->sregs.apic_base = 0;
	lapic_reset(&m->lapic, m->state->sregs.apic_base);
	/* The ROM's copy below 4 GB is not mapped: start at its place below 1 MB. */
	m->state->sregs.seg[SEG_CS].base = ROM_BASE;
	memory_set_a20(m->mem, true);
	vcpu_push(&m->vcpu, VCPU_ALL);
}

/* How long the vCPU may sleep: to the next timer, but not longer than IDLE_NS. */
static uint64_t
sleep_time(struct machine *m)
{
	uint64_t next = clock_next(&m->clock), now = clock_now(&m->clock);

	if (next <= now)
		return (0);
	return (next - now < IDLE_NS ? next - now : IDLE_NS);
}

/* Let the host wait. */
static void
idle(struct machine *m, uint64_t ns)
{
	if (m->config.host.idle == NULL)
		return;
	counts_stop(m);
	m->config.host.idle(m->config.host.opaque, ns);
	if (!m->paused)
		counts_start(m);
}

/* HLT: with interrupts off nothing but an NMI or a reset wakes it, and here there is neither. */
static void
sleep_until_event(struct machine *m)
{
	uint64_t ns;

	if (!(m->state->gpr.rflags & RFLAGS_IF)) {
		m->end = MACHINE_HALTED;
		return;
	}
	ns = sleep_time(m);
	if (m->config.clock == MACHINE_CLOCK_ICOUNT) {
		m->time.guest_ns += ns;
		return;
	}
	idle(m, ns);
}

static void
debug_stop(struct machine *m)
{
	m->step = false;
	if (m->config.host.debug_stop != NULL)
		m->config.host.debug_stop(m->config.host.opaque);
}

/* Deal with the engine's exit. */
static void
handle_exit(struct machine *m)
{
	vmm_stat_exit(m->ctx, 0, m->vcpu.exit.kind);
	switch (m->vcpu.exit.kind) {
	case ENGINE_CANCELED:
	case ENGINE_STOPPED:
		break;
	case ENGINE_HLT:
		sleep_until_event(m);
		break;
	case ENGINE_TRIPLE_FAULT:
		/* A 286 program's other way out of protected mode. */
		if (resume_asked(m))
			m->reset_pending = true;
		else
			m->end = MACHINE_TRIPLE_FAULT;
		break;
	case ENGINE_DEBUG:
		debug_stop(m);
		break;
	default:
		m->end = MACHINE_EXIT;
		break;
	}
}

static void
poll_host(struct machine *m)
{
	bool kicked = __atomic_exchange_n(&m->kicked, false, __ATOMIC_ACQUIRE);
	uint64_t now = host_ns();

	if (m->config.host.poll == NULL || (now < m->next_poll && !kicked))
		return;
	m->next_poll = now + POLL_NS;
	m->config.host.poll(m->config.host.opaque);
}

/*
 * Instructions until somebody must look: under icount exactly to the next timer; with the host's
 * clock as far as it will not be late by much.
 */
static uint64_t
budget(struct machine *m)
{
	uint64_t next = clock_next(&m->clock), now = clock_now(&m->clock), n, most;

	most = m->vcpu.ops->timed ? POLL_NS / ENGINE_INSTRUCTION_NS : BUDGET;
	if (next <= now)
		return (m->vcpu.ops->timed ? BUDGET_MIN : 1);
	/* Rounded up, without overflow when no timer is armed. */
	if (m->config.clock == MACHINE_CLOCK_ICOUNT)
		n = (next - now - 1) / MACHINE_ICOUNT_NS + 1;
	else
		n = (next - now) / ENGINE_INSTRUCTION_NS + BUDGET_MIN;
	return (n < most ? n : most);
}

/* While paused: the host waits for who lets the machine go on. */
static void
rest(struct machine *m)
{
	idle(m, IDLE_NS);
}

/* Run the vCPU for a while: one instruction, if somebody looks at each. */
static void
run_vcpu(struct machine *m)
{
	const struct machine_observer *o = &m->observer;

	if (o->before != NULL)
		o->before(o->opaque);
	vcpu_run(&m->vcpu, m->step || o->before != NULL ? 1 : budget(m));
	/* Two engines in lockstep are slow at exits: who polls a timer is not to need millions. */
	if (m->config.lockstep != NULL && m->vcpu.exit.kind == ENGINE_STOPPED)
		m->time.guest_ns += MACHINE_EXIT_NS;
	if (o->after != NULL)
		o->after(o->opaque);
	if (o->exit != NULL)
		o->exit(o->opaque);
}

enum machine_end
machine_run(struct machine *m)
{
	uint64_t rip, instructions;
	bool stepped;

	counts_start(m);
	if (m->config.clock == MACHINE_CLOCK_ICOUNT)
		timer_arm(&m->clock, &m->look, clock_now(&m->clock) + MACHINE_LOOK_NS);
	while (m->end == MACHINE_RUNS) {
		poll_host(m);
		clock_fire(&m->clock, clock_now(&m->clock));
		if (m->reset_pending)
			reset(m);
		if (m->end != MACHINE_RUNS)
			break;
		if (m->paused) {
			rest(m);
			continue;
		}
		rip = m->state->gpr.rip;
		instructions = vcpu_instructions(&m->vcpu);
		run_vcpu(m);
		/* A kick alone is no step. */
		stepped = m->step &&
		    (m->vcpu.exit.kind != ENGINE_CANCELED || m->state->gpr.rip != rip ||
			vcpu_instructions(&m->vcpu) != instructions);
		handle_exit(m);
		if (stepped && m->step && m->end == MACHINE_RUNS)
			debug_stop(m);
	}
	machine_update(m);
	return (m->end);
}
