# A far jump to an entry that is all zero.
# verdict: the entry is all zero
	.include "deaths.inc"
	begin
	no_idt
	lgdt	[gdt_pointer]
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	ljmp	ZERO, 0
	tables
