/* The trace of instructions: each with its bytes, and the registers that it changed. */
#include <inttypes.h>
#include <string.h>

#include "cpu/disasm.h"
#include "inspect/trace_parts.h"
#include "inspect/walk.h"

static const char *const names[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};

static bool
selected(const struct tracer *t, uint64_t at)
{
	const struct trace_select *select = &t->select[TRACE_INSN];

	for (unsigned i = 0; i < select->nfilters; i++)
		if (at >= select->filter[i].first && at <= select->filter[i].last)
			return (true);
	return (select->nfilters == 0);
}

/* The bytes at RIP, through the guest's page tables. */
static size_t
fetch(const struct tracer *t, uint8_t *code)
{
	struct subject s = {.mem = t->m->mem};

	s.state.sregs = t->m->state->sregs;
	s.state.gpr = t->m->state->gpr;
	return (walk_read(&s, vcpu_linear_rip(t->m->state), code, DISASM_MAX));
}

/* Keep what is about to run. */
void
tracer_insn_before(void *opaque)
{
	struct tracer *t = opaque;
	const struct vcpu_state *s = t->m->state;
	struct trace_text text = {t->insn, sizeof(t->insn)};
	uint8_t code[DISASM_MAX];
	char words[96];
	unsigned length;
	size_t got;

	t->insn[0] = '\0';
	vcpu_pull(&t->m->vcpu, VCPU_GPR | VCPU_SREGS);
	if (s->events.activity != VCPU_ACTIVE || !selected(t, vcpu_linear_rip(s)))
		return;
	t->gpr = s->gpr;
	t->sregs = s->sregs;
	t->instructions = vcpu_instructions(&t->m->vcpu);
	got = fetch(t, code);
	length = disasm(code, got, disasm_bits(s), s->gpr.rip, words, sizeof(words));
	tracer_put(&text, "%04X:%04" PRIX64 " ", s->sregs.seg[SEG_CS].selector, s->gpr.rip);
	for (unsigned i = 0; i < 8; i++)
		tracer_put(&text, i < length ? "%02x" : "  ", i < length ? code[i] : 0);
	tracer_put(&text, " %-32s", got == 0 ? "(no memory)" : words);
}

static void
put_changes(const struct tracer *t, struct trace_text *text)
{
	const struct vcpu_state *s = t->m->state;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		if (s->gpr.reg[i] != t->gpr.reg[i])
			tracer_put(text, " %s=%" PRIx64, names[i], s->gpr.reg[i]);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (s->sregs.seg[i].selector != t->sregs.seg[i].selector)
			tracer_put(text, " %s=%x", segment_names[i], s->sregs.seg[i].selector);
	if (s->gpr.rflags != t->gpr.rflags)
		tracer_put(text, " rflags=%" PRIx64, s->gpr.rflags);
	if (s->sregs.cr0 != t->sregs.cr0)
		tracer_put(text, " cr0=%" PRIx64, s->sregs.cr0);
	if (s->sregs.cr3 != t->sregs.cr3)
		tracer_put(text, " cr3=%" PRIx64, s->sregs.cr3);
	if (s->sregs.cr4 != t->sregs.cr4)
		tracer_put(text, " cr4=%" PRIx64, s->sregs.cr4);
}

void
tracer_insn_after(void *opaque)
{
	struct tracer *t = opaque;
	const struct vcpu_state *s = t->m->state;
	char line[2 * TRACE_TEXT];
	struct trace_text text = {line, sizeof(line)};

	if (t->insn[0] == '\0')
		return;
	vcpu_pull(&t->m->vcpu, VCPU_GPR | VCPU_SREGS);
	if (vcpu_instructions(&t->m->vcpu) != t->instructions) {
		tracer_put(&text, "%s", t->insn);
		put_changes(t, &text);
	} else if (s->gpr.rip != t->gpr.rip ||
	    s->sregs.seg[SEG_CS].selector != t->sregs.seg[SEG_CS].selector) {
		/* An interrupt came before it, or it faulted. */
		tracer_put(&text, "%s interrupted: goes to %04X:%04" PRIX64, t->insn,
		    s->sregs.seg[SEG_CS].selector, s->gpr.rip);
	} else {
		return;
	}
	if (t->fold != NULL)
		tracer_fold_end(t);
	tracer_line(t, clock_now(&t->m->clock), line);
}
