# Writes its boot sector as it was read to the second sector, reads it back and compares.
	.include "guest.inc"
	begin
	mov	byte ptr [boot_drive], 0	# as in the image
	mov	bp, dx
	mov	ax, 0x0301
	mov	bx, offset written
	mov	cx, 2
	mov	dh, 0
	int	0x13
	jc	failed
	mov	ax, 0x0201
	mov	bx, 0x8000
	mov	cx, 2
	mov	dx, bp
	mov	dh, 0
	int	0x13
	jc	failed
	mov	si, offset written
	mov	di, 0x8000
	mov	cx, 256
	repe	cmpsw
	jne	differs
	say	fine
	quit	OK

failed:	mov	al, ah
	push	ax
	say	error
	pop	ax
	call	print_hex
	quit	NOT_OK
differs:
	say	wrong
	quit	NOT_OK

error:	.asciz	"WRITE ERROR "
wrong:	.asciz	"OTHER DATA READ BACK"
fine:	.asciz	"WRITE OK"
	.balign	16
	.equ	written, _start
	end	64
