# A 32-bit IDT, too short for 64-bit gates.
# verdict: needs bytes 200h to 20fh of the IDT
	.include "deaths.inc"
	begin
	protected
	one_gate 0x20, CODE32, 0x8e
	long_mode
	lidt	[short_idt]
	int	0x20
short_idt:
	.word	0x1ff
	.quad	idt
	tables
