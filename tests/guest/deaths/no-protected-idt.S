# An interrupt in protected mode while IDTR still has the real-mode vector table.
# verdict: the real-mode vector table, which IDTR still has
	.include "deaths.inc"
	begin
	protected 0
	int	0x20
	tables
