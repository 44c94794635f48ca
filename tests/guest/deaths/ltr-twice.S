# LTR of a task state segment that is busy already.
# verdict: busy TSS
	.include "deaths.inc"
	begin
	protected
	mov	dword ptr [gdt + ZERO], 0x80000067
	mov	dword ptr [gdt + ZERO + 4], 0x00008b00
	mov	ax, ZERO
	ltr	ax
	tables
