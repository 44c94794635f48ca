/* See disasm.h: Zydis's decoder and formatter. */
#include "cpu/disasm.h"

#include <stdio.h>
#include <Zydis/Zydis.h>

unsigned
disasm_bits(const struct vcpu_state *state)
{
	const struct vcpu_sregs *sr = &state->sregs;

	if ((sr->efer & EFER_LMA) && (sr->seg[SEG_CS].access & AR_L))
		return (64);
	return (sr->seg[SEG_CS].access & AR_DB ? 32 : 16);
}

unsigned
disasm(const uint8_t *code, size_t size, unsigned bits, uint64_t rip, char *text, size_t length)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisFormatter formatter;
	ZydisDecoder decoder;

	if (bits == 64)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (bits == 32)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
	if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, code, size, &insn, operands)) ||
	    ZYAN_FAILED(ZydisFormatterFormatInstruction(&formatter, &insn, operands,
		insn.operand_count_visible, text, length, rip, NULL))) {
		snprintf(text, length, "(bad)");
		return (0);
	}
	return (insn.length);
}
