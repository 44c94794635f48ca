# A reserved bit set in CR4.
# verdict: a bit this CPU does not have
	.include "deaths.inc"
	begin
	protected
	mov	eax, 0x80000000
	mov	cr4, eax
	tables
