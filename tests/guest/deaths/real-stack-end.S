# A push to an odd stack pointer of 1.
# verdict: the stack at SS:ffffh is beyond SS.limit ffffh
	.include "deaths.inc"
	begin
	no_idt
	mov	sp, 1
	push	ax
	tables
