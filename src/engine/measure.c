/* Measuring engines: a guest of a few bytes, and how often it comes round. */
#include "engine/measure.h"

#include <sys/mman.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/clock.h"

#define PORT 0x80
#define START 0x1000
#define MEMORY_SIZE 0x10000u
#define ROUND 5000u		  /* instructions between two OUTs, about */
#define LONG_ENOUGH_NS 3000000ull /* of measuring */
#define TOO_LONG_NS 50000000ull	  /* an engine that slow has lost */
#define SLICE (TOO_LONG_NS / 10 / ENGINE_INSTRUCTION_NS)

/* The guest, and the board that counts its rounds. */
struct course {
	struct vcpu vcpu;
	struct vcpu_state state;
	struct vmx vmx;
	struct memory mem;
	struct bus bus;
	uint64_t began; /* host ns of the first OUT; what comes before warms up */
	uint64_t ended; /* of the last one */
	uint64_t rounds;
};

static void
round_done(void *chip, uint16_t reg, unsigned size, uint32_t value)
{
	struct course *c = chip;

	(void)reg;
	(void)size;
	(void)value;
	c->ended = host_ns();
	if (c->began == 0)
		c->began = c->ended;
	else
		c->rounds++;
	if (c->ended - c->began >= LONG_ENOUGH_NS)
		vcpu_stop(&c->vcpu);
}

static const struct port_ops ports = {.write = round_done};

static bool
lay_out(struct course *c)
{
	static const uint8_t program[] = {
	    0xb9, (ROUND / 2) & 0xff, (ROUND / 2) >> 8, /* mov cx, ROUND / 2 */
	    0x49,					/* dec cx */
	    0x75, 0xfd,					/* jnz */
	    0xe6, PORT,					/* out PORT, al */
	    0xeb, 0xf6,					/* jmp START */
	};
	int fd = memfd_create("hyve86-measure", MFD_CLOEXEC);
	bool ok = fd >= 0 && memory_init(&c->mem, fd, MEMORY_SIZE, 0, true) == 0;

	if (fd >= 0)
		close(fd);
	if (!ok)
		return (false);
	memory_write(&c->mem, START, program, sizeof(program));
	bus_attach(&c->bus, "measure", &ports, c, PORT, 1, 0);
	vcpu_state_reset(&c->state, 0);
	c->state.sregs.seg[SEG_CS] = segment_real(0, 0x9b);
	c->state.gpr.rip = START;
	vmx_init(&c->vmx);
	c->vmx.caps |= 1u << VMX_CAP_UNRESTRICTED_GUEST;
	return (true);
}

/* Run the course. False: it ended early; vcpu.exit says why. */
static bool
run(struct course *c)
{
	uint64_t start = host_ns();

	do
		vcpu_run(&c->vcpu, SLICE);
	while (c->vcpu.exit.kind == ENGINE_CANCELED && host_ns() - start < TOO_LONG_NS);
	return (c->vcpu.exit.kind == ENGINE_CANCELED || c->vcpu.exit.kind == ENGINE_STOPPED);
}

uint64_t
engine_measure(const struct engine_ops *ops, char *why, size_t size)
{
	struct course *c = calloc(1, sizeof(*c));
	const struct engine_world world = {
	    .mem = c != NULL ? &c->mem : NULL, .bus = c != NULL ? &c->bus : NULL};
	uint64_t speed = 0;

	if (c == NULL || !lay_out(c)) {
		snprintf(why, size, "%s", strerror(errno));
		free(c);
		return (0);
	}
	if (vcpu_create(&c->vcpu, ops, &c->state, &c->vmx, &world, 0) != 0)
		snprintf(why, size, "%s", c->vcpu.exit.text);
	else {
		if (!run(c))
			snprintf(why, size, "it does not run real mode: %s",
			    c->vcpu.exit.text[0] != '\0' ? c->vcpu.exit.text : "the guest died");
		else if (c->ended <= c->began)
			snprintf(why, size, "it is too slow to be measured");
		else
			speed = (uint64_t)((double)c->rounds * ROUND * 1e9 /
			    (double)(c->ended - c->began));
		vcpu_destroy(&c->vcpu);
	}
	memory_fini(&c->mem);
	free(c);
	return (speed);
}
