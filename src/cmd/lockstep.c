/* hyve86 lockstep: boot an image on two engines at once, and tell where they begin to differ. */
#include <inttypes.h>
#include <string.h>

#include "cmd/boot.h"
#include "cmd/cmd.h"
#include "cpu/disasm.h"
#include "engine/lockstep.h"
#include "inspect/walk.h"

#define CODE_SHOWN 8 /* bytes of an instruction */

int
cmd_lockstep(int argc, char **argv)
{
	struct lockstep ls = {.engines = {&engine_soft, &engine_kvm}};

	return (boot_main(argc, argv, &ls));
}

/* --- what differs ------------------------------------------------------------------------------------- */

static const char *const whats[] = {
    [LOCKSTEP_SAME] = "nothing",
    [LOCKSTEP_ACCESS] = "what they ask of a device",
    [LOCKSTEP_MISSING] = "only one of them asks something of a device",
    [LOCKSTEP_EXTRA] = "only one of them asks something of a device",
    [LOCKSTEP_EXIT] = "what they stop for",
    [LOCKSTEP_REGISTERS] = "registers",
    [LOCKSTEP_MEMORY] = "memory",
    [LOCKSTEP_LOST] = "one does not come to where the other is",
};

static const char *const exits[] = {
    [ENGINE_CANCELED] = "runs on",
    [ENGINE_HYPERCALL] = "VMCALL",
    [ENGINE_HLT] = "HLT",
    [ENGINE_TRIPLE_FAULT] = "triple fault",
    [ENGINE_ENTRY_FAILED] = "VM entry failed",
    [ENGINE_DEBUG] = "breakpoint",
    [ENGINE_STOPPED] = "runs on",
    [ENGINE_INOUT] = "port access",
    [ENGINE_PAGING] = "access to no memory",
    [ENGINE_VARIES] = "before an instruction whose result varies",
    [ENGINE_ERROR] = "error of the engine",
};

static void
print_access(const char *name, const struct lockstep_access *a)
{
	static const char *const kinds[] = {
	    [LOCKSTEP_PORT] = "port",
	    [LOCKSTEP_MMIO] = "memory-mapped register",
	    [LOCKSTEP_MSR] = "MSR",
	};

	fprintf(stderr, "  %-5s %s of %u bytes, %s %" PRIx64 "h", name, a->write ? "write" : "read",
	    a->size, kinds[a->kind], a->address);
	if (a->write)
		fprintf(stderr, ", value %" PRIx64 "h", a->value);
	fprintf(stderr, "\n");
}

static void
print_side(const struct lockstep_side *side)
{
	if (side->has_access)
		print_access(side->name, &side->access);
	else if (side->has_exit)
		fprintf(stderr, "  %-5s %s\n", side->name, exits[side->exit]);
}

static void
print_registers(
    const struct lockstep_report *r, const struct vcpu_state *a, const struct vcpu_state *b)
{
	bool any = false;

	for (unsigned i = 0; i < lockstep_nregisters; i++) {
		const struct lockstep_register *reg = &lockstep_registers[i];

		if (lockstep_register_diff(reg, a, b) == 0)
			continue;
		if (!any)
			fprintf(stderr, "  %-16s %16s  %16s\n", "register",
			    r->side[LOCKSTEP_LEADER].name, r->side[LOCKSTEP_FOLLOWER].name);
		any = true;
		fprintf(stderr, "  %-16s %16" PRIx64 "  %16" PRIx64 "\n", reg->name,
		    lockstep_register_get(reg, a), lockstep_register_get(reg, b));
	}
}

static void
print_memory(const struct lockstep_report *r)
{
	fprintf(stderr,
	    "  memory at %" PRIx64 "h; %" PRIu64
	    " bytes of that page differ; the same at exit %" PRIu64 "\n",
	    r->gpa, r->differing, r->checked);
	for (unsigned side = 0; side < 2; side++) {
		fprintf(stderr, "  %-5s", r->side[side].name);
		for (unsigned i = 0; i < LOCKSTEP_BYTES; i++)
			fprintf(stderr, " %02x", r->bytes[side][i]);
		fprintf(stderr, "\n");
	}
}

/* --- what led there ----------------------------------------------------------------------------------- */

static void
print_instruction(const struct boot_run *run, const struct vcpu_state *s)
{
	struct subject subject = {.mem = run->machine.mem, .state = *s};
	unsigned bits = disasm_bits(s), length;
	uint8_t code[DISASM_MAX];
	char text[96];
	size_t got;

	got = walk_read(&subject, (bits == 64 ? 0 : s->sregs.seg[SEG_CS].base) + s->gpr.rip, code,
	    sizeof(code));
	length = disasm(code, got, bits, s->gpr.rip, text, sizeof(text));
	fprintf(stderr, "  %04X:%04" PRIX64 " ", s->sregs.seg[SEG_CS].selector, s->gpr.rip);
	for (unsigned i = 0; i < CODE_SHOWN; i++)
		fprintf(stderr, i < length ? "%02x" : "  ", i < length ? code[i] : 0);
	fprintf(stderr, "  %s\n", got == 0 ? "(no memory)" : text);
}

static void
print_steps(const struct boot_run *run, const struct lockstep_report *r)
{
	if (r->nsteps == 0)
		return;
	fprintf(stderr,
	    "%" PRIu64 " instructions since they last were the same; the last of them:\n",
	    r->steps);
	for (unsigned i = 0; i < r->nsteps; i++)
		print_instruction(run, &r->step[i]);
	if (r->reproduced) {
		fprintf(
		    stderr, "they differ behind the last one, when it is run again from there:\n");
		print_registers(r, &r->behind[LOCKSTEP_LEADER], &r->behind[LOCKSTEP_FOLLOWER]);
	} else if (r->stepped)
		fprintf(stderr, "run again one by one, these do not make them differ\n");
}

static void
print_report(const struct boot_run *run, const struct lockstep_report *r)
{
	fprintf(stderr,
	    "hyve86: %s: %s and %s differ after %" PRIu64 " exits and %" PRIu64
	    " instructions: %s\n",
	    run->opts->name, r->side[LOCKSTEP_LEADER].name, r->side[LOCKSTEP_FOLLOWER].name,
	    r->exits, r->instructions, whats[r->what]);
	for (unsigned side = 0; side < 2; side++)
		print_side(&r->side[side]);
	if (r->what == LOCKSTEP_MEMORY)
		print_memory(r);
	/* What followed from the first difference would only hide it. */
	if (!r->reproduced)
		print_registers(
		    r, &r->side[LOCKSTEP_LEADER].state, &r->side[LOCKSTEP_FOLLOWER].state);
	print_steps(run, r);
}

int
boot_lockstep_end(const struct boot_run *run, int status)
{
	struct lockstep *ls = run->opts->lockstep;
	bool complete = lockstep_finish(ls);

	if (ls->report.what != LOCKSTEP_SAME) {
		print_report(run, &ls->report);
		return (STATUS_DIFFERS);
	}
	fprintf(stderr,
	    "hyve86: %s: no difference between %s and %s in %" PRIu64 " exits, %" PRIu64
	    " accesses, %" PRIu64 " instructions, %" PRIu64 " pages compared%s\n",
	    run->opts->name, ls->engines[LOCKSTEP_LEADER]->name,
	    ls->engines[LOCKSTEP_FOLLOWER]->name, ls->exits, ls->accesses,
	    vcpu_instructions(&run->machine.vcpu), ls->pages,
	    complete ? "" : "; the last stretch was not compared");
	return (status);
}
