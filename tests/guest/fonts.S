# Fonts: what INT 10h/1130h says of each, 50 rows, a glyph by INT 10h/1100h ('Z') and one past the BIOS ('Y').
	.include "guest.inc"
	begin
	xor	bx, bx
1:	call	tell			# BH 0 to 7
	inc	bh
	cmp	bh, 8
	jb	1b
	mov	ax, 0x1112
	mov	bl, 0
	int	0x10
	mov	bh, 3
	call	tell
	push	ds
	pop	es
	mov	ax, 0x1100
	mov	bx, 0x0800
	mov	cx, 1
	mov	dx, 'Z'
	mov	bp, offset chequers
	int	0x10
	mov	si, offset open
	call	set_ports
	mov	ax, 0xa000
	mov	es, ax
	mov	di, 'Y' * 32
	mov	si, offset stripes
	mov	cx, 8
	rep	movsb
	mov	si, offset close
	call	set_ports
	say	done
2:	sti
	hlt
	jmp	2b

# BH, ES:BP, CX, DL as digits
tell:	pusha
	push	es
	mov	ax, 0x1130
	int	0x10
	push	dx
	push	cx
	push	bp
	push	es
	mov	al, bh
	call	print_hex
	mov	cx, 3
1:	say	space
	pop	dx
	mov	al, dh
	call	print_hex
	mov	al, dl
	call	print_hex
	loop	1b
	say	space
	pop	ax
	call	print_hex
	say	newline
	pop	es
	popa
	ret

# Words for ports: index and value; 0 ends.
set_ports:
	lodsw
	test	ax, ax
	jz	1f
	mov	dx, ax
	lodsw
	out	dx, ax
	jmp	set_ports
1:	ret

open:	.word	0x3c4, 0x0402, 0x3c4, 0x0704, 0x3ce, 0x0005, 0x3ce, 0x0406, 0
close:	.word	0x3c4, 0x0302, 0x3c4, 0x0304, 0x3ce, 0x1005, 0x3ce, 0x0e06, 0
chequers:
	.byte	0xaa, 0x55, 0xaa, 0x55, 0xaa, 0x55, 0xaa, 0x55
stripes:
	.byte	0xff, 0x00, 0xff, 0x00, 0xff, 0x00, 0xff, 0x00
space:	.asciz	" "
newline:
	.asciz	"\r\n"
done:	.asciz	"XYZ\r\nDONE"
	end
