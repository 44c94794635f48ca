# Reads its second sector by INT 13h/02 and prints the text there; on a hard disk then the third
# by the extended read, INT 13h/42.
	.include "guest.inc"
	begin
	mov	ax, 0x0201
	mov	bx, 0x8000
	mov	cx, 2
	mov	dh, 0
	int	0x13
	jc	failed
	say	0x8000
	cmp	byte ptr [boot_drive], 0x80
	jb	1f
	mov	dl, [boot_drive]
	mov	si, offset packet
	mov	ah, 0x42
	int	0x13
	jc	failed
	say	0x8000
1:	quit	OK

failed:	mov	al, ah
	push	ax
	say	error
	pop	ax
	call	print_hex
	quit	NOT_OK

error:	.asciz	"READ ERROR "
	.balign	4
packet:	.byte	16, 0
	.word	1, 0x8000, 0		# one sector to 0000:8000
	.quad	2			# from LBA 2
	end

	.org	0x200
	.asciz	"TEXT OF SECTOR 1\r\n"
	.org	0x400
	.asciz	"TEXT OF SECTOR 2\r\n"
	.org	0x600
