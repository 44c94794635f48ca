/* The state after RESET. SDM vol. 3A, table 9-1 "IA-32 and Intel 64 Processor States". */
#include "arch/vcpu_state.h"

#include <string.h>

#define FXSAVE_FCW 0
#define FXSAVE_MXCSR 24

static void
fpu_reset(struct vcpu_fpu *fpu)
{
	const uint16_t fcw = 0x0040; /* RESET; FNINIT would leave 037F */
	const uint32_t mxcsr = 0x1f80;

	memset(fpu, 0, sizeof(*fpu));
	memcpy(&fpu->fxsave[FXSAVE_FCW], &fcw, sizeof(fcw));
	fpu->fxsave[4] = 0xff; /* abridged tag word: RESET clears all registers to +0.0, valid */
	memcpy(&fpu->fxsave[FXSAVE_MXCSR], &mxcsr, sizeof(mxcsr));
	fpu->xcr0 = 1;
}

void
vcpu_state_reset(struct vcpu_state *state, uint32_t signature)
{
	memset(state, 0, sizeof(*state));
	for (int i = 0; i < SEG_COUNT; i++)
		state->sregs.seg[i] = segment_real(0, 0x93);
	state->sregs.seg[SEG_CS] = segment_real(0xf000, 0x9b);
	state->sregs.seg[SEG_CS].base = 0xffff0000;
	state->sregs.ldtr = (struct x86_segment){.limit = 0xffff, .access = 0x82};
	state->sregs.tr = (struct x86_segment){.limit = 0xffff, .access = 0x8b};
	state->sregs.gdtr.limit = 0xffff;
	state->sregs.idtr.limit = 0xffff;
	state->sregs.cr0 = CR0_CD | CR0_NW | CR0_ET;
	state->sregs.apic_base = 0xfee00900;
	state->gpr.rip = 0xfff0;
	state->gpr.rflags = RFLAGS_1;
	state->gpr.reg[GPR_RDX] = signature;
	state->debug.dr6 = 0xffff0ff0;
	state->debug.dr7 = 0x400;
	state->msr.pat = 0x0007040600070406;
	state->msr.misc_enable = MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_MONITOR;
	fpu_reset(&state->fpu);
}

uint64_t
vcpu_linear_rip(const struct vcpu_state *state)
{
	const struct x86_segment *cs = &state->sregs.seg[SEG_CS];

	if ((state->sregs.efer & EFER_LMA) && (cs->access & AR_L))
		return (state->gpr.rip);
	return ((uint32_t)(cs->base + state->gpr.rip));
}
