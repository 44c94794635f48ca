# Asks the keyboard controller to pulse the reset line.
	.include "guest.inc"
	begin
	mov	al, 0xfe
	out	0x64, al
1:	hlt
	jmp	1b
	end
