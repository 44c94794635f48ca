# A far jump to an entry that lies beyond the limit of GDTR.
# verdict: beyond the GDT
	.include "deaths.inc"
	begin
	no_idt
	lgdt	[gdt_pointer]
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	ljmp	OUTSIDE, 0
	tables
