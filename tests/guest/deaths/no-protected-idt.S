# An interrupt in protected mode while IDTR still has the real-mode vector table.
# verdict: IDT entry 32
	.include "deaths.inc"
	begin
	protected
	int	0x20
	tables
