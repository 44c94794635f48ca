# Runs for ever.
	.include "guest.inc"
	begin
1:	jmp	1b
	end
