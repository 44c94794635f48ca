/* Subjects from VMs. */
#include "inspect/subject.h"

#include <errno.h>
#include <string.h>

/* The board's section of the state file, if this VM has a board. */
static void
take_history(struct subject *s, struct vmctx *ctx)
{
	const struct section section = {.id = MACHINE_HISTORY_ID,
	    .version = MACHINE_HISTORY_VERSION,
	    .size = sizeof(s->history),
	    .data = &s->history};

	s->has_history = vmm_read_section(ctx, &section, NULL) == 1 &&
	    s->history.cpu.nfaults <= HISTORY_FAULTS &&
	    s->history.cpu.nbranches <= HISTORY_BRANCHES;
}

/* What is not RAM on our board, where the state file alone does not say it. */
static void
map_board(struct memory *mem)
{
	static const struct mem_region regions[] = {
	    {.gpa = 0xc0000, .size = 0x30000, .type = MEM_NONE, .name = "expansion"},
	    {.gpa = ROM_BASE, .size = ROM_SIZE, .type = MEM_ROM, .name = "bios"},
	};

	for (unsigned i = 0; i < mem->nregions; i++)
		if (strcmp(mem->regions[i].name, "bios") == 0)
			return;
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
		memory_add_region(mem, &regions[i]);
}

int
subject_from_vm(struct subject *s, struct vmctx *ctx, int vcpu, struct vmm_error *err)
{
	const struct vcpu_state *state = vmm_vcpu_state(ctx, vcpu);
	const struct vmx *vmx = vmm_vmx(ctx, vcpu);
	struct memory *mem;

	memset(s, 0, sizeof(*s));
	snprintf(s->name, sizeof(s->name), "%s", vmm_name(ctx));
	if (state == NULL || vmx == NULL)
		return (vmm_fail(err, EINVAL, "%s: there is no vCPU %d", s->name, vcpu));
	s->state = *state;
	s->vmx = *vmx;
	s->vmcs_link = UINT64_MAX;
	s->has_vmx = true;
	s->has_exit = vmx->entered != 0;
	mem = vmm_memory(ctx, err);
	if (mem == NULL)
		return (-1);
	take_history(s, ctx);
	if (memory_copy(&s->copy, mem) != 0)
		return (vmm_fail(
		    err, errno, "%s: its memory cannot be mapped: %s", s->name, strerror(errno)));
	s->mem = &s->copy;
	s->vmcall_exits = vmm_firmware(ctx) == VMM_FW_RAW;
	if (vmm_firmware(ctx) == VMM_FW_ROM && s->copy.low_size >= ROM_BASE + ROM_SIZE)
		map_board(&s->copy);
	if (s->has_history)
		memory_set_a20(s->mem, s->history.a20 != 0);
	return (0);
}

int
subject_from_machine(struct subject *s, const struct machine *m, struct vmm_error *err)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->name, sizeof(s->name), "%s", vmm_name(m->ctx));
	s->state = *m->state;
	s->vmx = *m->vcpu.vmx;
	s->vmcs_link = UINT64_MAX;
	s->has_vmx = s->has_exit = true;
	vcpu_history(&m->vcpu, &s->history.cpu);
	s->history.bios = m->bios.recent;
	s->has_history = true;
	if (memory_copy(&s->copy, m->mem) != 0)
		return (vmm_fail(
		    err, errno, "%s: its memory cannot be mapped: %s", s->name, strerror(errno)));
	s->mem = &s->copy;
	return (0);
}

struct vmx_guest
subject_guest(const struct subject *s)
{
	struct vmx_guest guest = vmx_guest(&s->state, &s->vmx);
	uint64_t at;

	guest.vmcs_link = s->vmcs_link;
	if (s->entry_ctls != 0)
		guest.entry_ctls = s->entry_ctls;
	if (s->mem != NULL && vmx_pdptes_at(&guest, &at))
		guest.has_pdptes = memory_read(s->mem, at, guest.pdpte, sizeof(guest.pdpte));
	return (guest);
}

void
subject_free(struct subject *s)
{
	if (s->mem != NULL)
		memory_fini(s->mem);
	s->mem = NULL;
}
