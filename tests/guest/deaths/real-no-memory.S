# A jump to where no memory is.
# verdict: there is no memory at RIP
	.include "deaths.inc"
	begin
	no_idt
	ljmp	0xc000, 0
	tables
