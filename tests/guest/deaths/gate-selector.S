# A gate whose selector names a data segment.
# verdict: selector 0010h names GDT entry 2
	.include "deaths.inc"
	begin
	protected
	one_gate 0x20, DATA32, 0x8e
	int	0x20
	tables
