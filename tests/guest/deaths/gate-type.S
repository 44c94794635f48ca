# An IDT entry that is a segment descriptor.
# verdict: no gate but a segment descriptor
	.include "deaths.inc"
	begin
	protected
	one_gate 0x20, CODE32, 0x9b
	int	0x20
	tables
