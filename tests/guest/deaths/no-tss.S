# An interrupt from privilege 3, and no task register.
# verdict: LTR was never done
	.include "deaths.inc"
	begin
	protected
	one_gate 0x20, CODE32, 0xee
	to_user
	int	0x20
	tables
