# IRET to a selector that is no code.
# verdict: selector 0013h names GDT entry 2
	.include "deaths.inc"
	begin
	protected
	push	2
	push	DATA32 + 3
	push	0
	iretd
	tables
