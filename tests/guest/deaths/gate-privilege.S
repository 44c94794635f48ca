# INT from privilege 3 through a gate of DPL 0.
# verdict: a gate of DPL 0, which INT may not use
	.include "deaths.inc"
	begin
	protected
	one_gate 0x20, CODE32, 0x8e
	to_user
	int	0x20
	tables
