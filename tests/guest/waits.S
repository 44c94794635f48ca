# Waits for a key, which never comes.
	.include "guest.inc"
	begin
	mov	ah, 0
	int	0x16
	quit	OK
	end
