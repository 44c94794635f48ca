# A word at the last byte of a segment.
# verdict: the operand at DS:ffffh is beyond DS.limit ffffh
	.include "deaths.inc"
	begin
	no_idt
	mov	ax, [0xffff]
	tables
