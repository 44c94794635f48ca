# HLT with interrupts off.
# verdict: nothing can wake it
# ends: 2
	.include "deaths.inc"
	begin
	cli
	hlt
	tables
