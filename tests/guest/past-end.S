# Reads the last sector of a 1.44 MB floppy: past the end of an image file that is shorter.
	.include "guest.inc"
	begin
	mov	ax, 0x0201
	mov	bx, 0x8000
	mov	cx, 79 << 8 | 18
	mov	dh, 1
	int	0x13
	jnc	fine
	mov	al, ah
	push	ax
	say	error
	pop	ax
	call	print_hex
	quit	NOT_OK
fine:	say	read
	quit	OK
error:	.asciz	"READ ERROR "
read:	.asciz	"READ OK"
	end	8
