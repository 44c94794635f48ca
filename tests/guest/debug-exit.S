# Ends the run as its first act.
	.include "guest.inc"
	begin
	quit	OK
	end
