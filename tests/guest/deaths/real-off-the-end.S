# Code that runs off the end of its segment.
# verdict: RIP 10000h lies beyond CS.limit ffffh
	.include "deaths.inc"
	begin
	no_idt
	ljmp	0x9000, 0xfff0
	tables
