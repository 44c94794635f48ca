# A division by zero, and no vector for it.
# verdict: divides by zero
	.include "deaths.inc"
	begin
	no_idt
	xor	cx, cx
	div	cx
	tables
