# An interrupt while the vector table is as short as can be.
# verdict: IDTR.limit is 0h
	.include "deaths.inc"
	begin
	no_idt
	int	0x10
	tables
