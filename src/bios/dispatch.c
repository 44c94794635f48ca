/* The dispatcher: from a trap in the ROM's slot table to the handler of the service. */
#include <stddef.h>

#include "bios/call.h"

/* Interrupts by vector, and the slots behind them. */
static const struct bios_interrupt interrupts[ROM_SLOT_COUNT] = {
    [0x02] = {NULL, int02_nmi, NULL, "nmi"},
    [0x05] = {NULL, int05_print_screen, NULL, "print_screen"},
    [0x10] = {int10_services, NULL, int10_unsupported, NULL},
    [0x11] = {NULL, int11_equipment, NULL, "equipment"},
    [0x12] = {NULL, int12_memory_size, NULL, "memory_size"},
    [0x13] = {int13_services, NULL, int13_unsupported, NULL},
    [0x14] = {int14_services, NULL, int14_unsupported, NULL},
    [0x15] = {int15_services, NULL, int15_unsupported, NULL},
    [0x16] = {int16_services, NULL, int16_unsupported, NULL},
    [0x17] = {int17_services, NULL, int17_unsupported, NULL},
    [0x18] = {NULL, int18_no_boot, NULL, "no_boot"},
    [0x19] = {NULL, int19_boot, NULL, "boot"},
    [0x1a] = {int1a_services, NULL, int1a_unsupported, NULL},
    [0x40] = {int13_services, NULL, int13_unsupported, NULL},
    [SLOT_POST] = {NULL, post, NULL, "post"},
    [SLOT_TICK] = {NULL, irq0_tick, NULL, "tick"},
    [SLOT_KEY] = {NULL, irq1_key, NULL, "key"},
    [SLOT_IRQ_LOW] = {NULL, irq_low, NULL, "irq_low"},
    [SLOT_IRQ_HIGH] = {NULL, irq_high, NULL, "irq_high"},
    [SLOT_RTC] = {NULL, irq8_rtc, NULL, "rtc"},
    [SLOT_IRQ9] = {NULL, irq9_redirect, NULL, "irq9"},
    [SLOT_FLOPPY_IRQ] = {NULL, irq6_floppy, NULL, "floppy_irq"},
};

const struct bios_interrupt *
bios_interrupt_of(unsigned vector)
{
	const struct bios_interrupt *in = &interrupts[vector & 0xff];

	return (in->services != NULL || in->handler != NULL ? in : NULL);
}

/* The slot whose trap is at the linear address AT, -1 when there is none. */
static int
slot_at(uint64_t at)
{
	uint64_t offset = (at & ~3ull) - (ROM_BASE + ROM_SLOTS);

	if (offset >= ROM_SLOT_COUNT * ROM_SLOT_SIZE || offset % ROM_SLOT_SIZE != ROM_SLOT_TRAP)
		return (-1);
	return ((int)(offset / ROM_SLOT_SIZE));
}

static const struct bios_service *
find_service(const struct bios_interrupt *in, uint16_t ax)
{
	for (const struct bios_service *sv = in->services; sv->name != NULL; sv++)
		if (sv->function == (sv->whole ? ax : ax >> 8))
			return (sv);
	return (NULL);
}

/* What the call is, for those who count: SERVICE is NULL when nobody has heard of it. */
static struct bios_count
identify(const struct bios_call *c, const struct bios_service *service)
{
	const struct bios_interrupt *in = &interrupts[c->slot];
	bool plain = in->services == NULL;

	if (plain)
		return ((struct bios_count){.vector = (uint8_t)c->slot, .plain = 1});
	return ((struct bios_count){
	    .vector = (uint8_t)c->slot,
	    .function = service != NULL ? service->function : ax(c) >> 8,
	    .whole = service != NULL && service->whole,
	    .unknown = service == NULL || service->handler == NULL,
	});
}

static enum bios_result
serve(struct bios_call *c, const struct bios_service *service)
{
	const struct bios_interrupt *in = &interrupts[c->slot];

	if (in->services == NULL)
		return (in->handler != NULL ? in->handler(c) : BIOS_DONE);
	if (service != NULL && service->handler != NULL)
		return (service->handler(c));
	c->bios->unknown++;
	c->recent->unknown = 1;
	return (in->unsupported(c));
}

/* Serve, with those told who trace calls. */
static enum bios_result
serve_traced(
    struct bios_call *c, const struct bios_service *service, const struct bios_count *counted)
{
	const struct bios_tracer *tracer = &c->bios->tracer;
	const struct bios_event event = {
	    .vector = c->slot,
	    .counted = counted,
	    .name = service != NULL ? service->name : interrupts[c->slot].name,
	    .state = c->s,
	    .flags_at = c->flags_at,
	};
	enum bios_result result;

	tracer->call(tracer->opaque, &event);
	result = serve(c, service);
	tracer->done(tracer->opaque, &event, result);
	return (result);
}

/*
 * The call takes its place among the last ones. One that waits is served again and again: it is one
 * call. Interrupts of the board's own are none.
 */
static void
begin_recent(struct bios_call *c)
{
	struct bios_recent *recent = &c->bios->recent;

	c->recent = &recent->call[recent->count % BIOS_RECENT];
	*c->recent = (struct bios_recent_call){
	    .ax = ax(c),
	    .bx = (uint16_t)c->s->gpr.reg[GPR_RBX],
	    .cx = (uint16_t)c->s->gpr.reg[GPR_RCX],
	    .dx = (uint16_t)c->s->gpr.reg[GPR_RDX],
	    .es = c->s->sregs.seg[SEG_ES].selector,
	    .vector = (uint8_t)c->slot,
	};
}

static void
end_recent(struct bios_call *c, bool waits)
{
	c->recent->result = ax(c);
	c->recent->carry = memory_get16(c->bios->mem, c->flags_at) & RFLAGS_CF;
	if (!waits && c->slot < 256)
		c->bios->recent.count++;
}

unsigned
bios_trap(struct bios *bios, struct vcpu_state *s)
{
	const struct x86_segment *cs = &s->sregs.seg[SEG_CS], *ss = &s->sregs.seg[SEG_SS];
	/* RIP is behind the OUT, or on it while an engine completes the access: same four bytes. */
	int slot = slot_at(cs->base + (s->gpr.rip & 0xffff));
	uint64_t sp_mask = ss->access & AR_DB ? UINT32_MAX : UINT16_MAX;
	struct bios_call c = {.bios = bios, .s = s};
	const struct bios_service *service = NULL;
	struct bios_count counted;
	enum bios_result result;

	if (slot < 0)
		return (0);
	c.slot = (unsigned)slot;
	c.flags_at = ss->base + ((s->gpr.reg[GPR_RSP] + 4) & sp_mask);
	begin_recent(&c);
	if (interrupts[slot].services != NULL)
		service = find_service(&interrupts[slot], ax(&c));
	counted = identify(&c, service);
	result = bios->tracer.call != NULL && slot < 256 ? serve_traced(&c, service, &counted)
							 : serve(&c, service);
	end_recent(&c, result == BIOS_WAIT);
	if (result != BIOS_WAIT && slot < 256) {
		bios->calls[slot]++;
		bios_counts_add(&bios->counts, &counted);
	}
	if (result == BIOS_WAIT) {
		s->gpr.rip = (uint64_t)(ROM_SLOTS + slot * ROM_SLOT_SIZE);
		c.dirty |= VCPU_GPR;
	}
	return (c.dirty | VCPU_GPR);
}
