# Halts with interrupts off: nothing can wake it.
	.include "guest.inc"
	begin
	cli
	hlt
	quit	NOT_OK
	end
