# An interrupt whose gate is not present.
# verdict: not present (P is 0)
	.include "deaths.inc"
	begin
	protected
	one_gate 0x20, CODE32, 0x0e
	int	0x20
	tables
