# Asks for a key and for the time again and again.
	.include "guest.inc"
	begin
1:	mov	ah, 1
	int	0x16
	mov	ah, 0
	int	0x1a
	mov	cx, 0xffff
2:	loop	2b
	jmp	1b
	end
