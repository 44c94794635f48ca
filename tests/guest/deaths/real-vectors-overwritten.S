# The vector table zeroed; the next call runs into it.
# verdict: the interrupt vector table is overwritten: INT 10h
# ends: 124
	.include "deaths.inc"
	begin
	cli
	xor	di, di
	xor	ax, ax
	mov	cx, 0x100
	rep	stosw
	int	0x10
	tables
