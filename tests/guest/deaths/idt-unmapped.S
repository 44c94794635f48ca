# An IDT in a page that is not mapped.
# verdict: the PTE is not present
	.include "deaths.inc"
	begin
	protected
	one_gate 0x20, CODE32, 0x8e
	identity
	mov	dword ptr [PAGES + 0x1000 + (idt >> 12) * 4], 0
	paging_on
	int	0x20
	tables
