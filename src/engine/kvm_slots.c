/*
 * The memory map as KVM's memory slots: RAM, and ROM as read-only slots, whose writes come back as
 * KVM_EXIT_MMIO. What is no slot (holes, devices) exits at every access.
 *
 * While A20 is off, bit 20 of every address is 0: the first megabyte is there again at 1 MB, as
 * slots, and nothing above is a slot, so that accesses there exit and memory_page() answers them.
 */
#include <sys/ioctl.h>

#include "engine/kvm.h"

#define A20_OFF_END (2 * MEMORY_A20)

/* The next address above AT where the map may change, END at most. */
static uint64_t
next_edge(const struct memory *mem, uint64_t at, uint64_t end)
{
	uint64_t fold = memory_get_a20(mem) ? 0 : at & MEMORY_A20;
	uint64_t edge = end;

	if (!memory_get_a20(mem) && at < MEMORY_A20 && edge > MEMORY_A20)
		edge = MEMORY_A20;
	for (unsigned i = 0; i < mem->nregions; i++) {
		const uint64_t sides[2] = {
		    mem->regions[i].gpa, mem->regions[i].gpa + mem->regions[i].size};

		for (unsigned side = 0; side < 2; side++)
			if (sides[side] + fold > at && sides[side] + fold < edge)
				edge = sides[side] + fold;
	}
	return (edge);
}

/* The slots that the map asks for; their number. */
static unsigned
wanted_slots(const struct memory *mem, struct kvm_slot *list)
{
	uint64_t end = memory_get_a20(mem) ? mem->limit : A20_OFF_END;
	unsigned n = 0;

	for (uint64_t at = 0, next; at < end && n < KVM_SLOTS_MAX; at = next) {
		struct mem_page page = memory_page(mem, at);
		bool readonly = page.type == MEM_ROM;

		next = next_edge(mem, at, end);
		if (page.type != MEM_RAM && page.type != MEM_ROM)
			continue;
		if (n > 0 && list[n - 1].readonly == readonly &&
		    list[n - 1].gpa + list[n - 1].size == at &&
		    list[n - 1].host + list[n - 1].size == page.host)
			list[n - 1].size += next - at;
		else
			list[n++] = (struct kvm_slot){at, next - at, page.host, readonly};
	}
	return (n);
}

/* Slot NUMBER is SLOT from now on; size 0 removes it. */
static int
set_slot(struct vcpu *vcpu, unsigned number, const struct kvm_slot *slot)
{
	struct kvm_engine *k = vcpu->engine;
	struct kvm_userspace_memory_region region = {
	    .slot = number,
	    .flags = slot->readonly && slot->size != 0 ? KVM_MEM_READONLY : 0,
	    .guest_phys_addr = slot->gpa,
	    .memory_size = slot->size,
	    .userspace_addr = (uintptr_t)slot->host,
	};

	if (ioctl(k->vm, KVM_SET_USER_MEMORY_REGION, &region) != 0)
		return (kvm_failed(vcpu, "KVM_SET_USER_MEMORY_REGION"));
	k->slots[number] = *slot;
	return (0);
}

static bool
same_slot(const struct kvm_slot *a, const struct kvm_slot *b)
{
	return (a->gpa == b->gpa && a->size == b->size && a->host == b->host &&
	    a->readonly == b->readonly);
}

/* Whether SLOT is one of the N in LIST; it is taken out of it then. */
static bool
take_slot(struct kvm_slot *list, unsigned n, const struct kvm_slot *slot)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].size != 0 && same_slot(&list[i], slot)) {
			list[i].size = 0;
			return (true);
		}
	return (false);
}

int
kvm_update_slots(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	struct kvm_slot wanted[KVM_SLOTS_MAX];
	unsigned n = wanted_slots(vcpu->world.mem, wanted);

	/* What is there and wanted stays; the rest goes first, since slots must not overlap. */
	for (unsigned i = 0; i < KVM_SLOTS_MAX; i++)
		if (k->slots[i].size != 0 && !take_slot(wanted, n, &k->slots[i]) &&
		    set_slot(vcpu, i, &(struct kvm_slot){.gpa = k->slots[i].gpa}) != 0)
			return (-1);
	for (unsigned i = 0, number = 0; i < n; i++) {
		if (wanted[i].size == 0)
			continue;
		while (k->slots[number].size != 0)
			number++;
		if (set_slot(vcpu, number, &wanted[i]) != 0)
			return (-1);
	}
	k->map_changed = false;
	return (0);
}
