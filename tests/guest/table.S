# All characters, in modes by key: 0 to 7 are BIOS modes, s is 8x8 and m 8x14 characters, p another colour 7, u the cursor as a block,
# o the screen turned off. Below them a text says that it is done.
	.include "guest.inc"
	begin
	mov	ax, 0x0003
again:	int	0x10
	mov	ah, 0x0f
	int	0x10
	mov	bx, 0xb800
	cmp	al, 7
	jne	1f
	mov	bh, 0xb0
1:	mov	es, bx
draw:	xor	di, di
	mov	ax, 0x0700
2:	stosw
	inc	al
	jnz	2b
	mov	ax, 0x0200
	mov	bx, 0x0000
	mov	dx, 0x0800
	int	0x10
	inc	byte ptr [count]
	mov	al, [count]
	call	print_hex
key:	mov	ah, 0
	int	0x16
	xor	ah, ah
	cmp	al, '7'
	ja	3f
	sub	al, '0'
	jmp	again
3:	mov	bl, 0
	cmp	al, 's'
	mov	dx, 0x1112
	je	4f
	cmp	al, 'm'
	mov	dx, 0x1111
	je	4f
	cmp	al, 'u'
	mov	cx, 0x000f
	je	5f
	cmp	al, 'o'
	je	6f
	mov	dx, 0x3c8
	mov	al, 7
	out	dx, al
	inc	dx
	mov	al, 0x3f		# orange
	out	dx, al
	mov	al, 0x20
	out	dx, al
	mov	al, 0
	out	dx, al
	jmp	draw
4:	mov	ax, dx
	int	0x10
	jmp	draw
5:	mov	ah, 1
	int	0x10
	jmp	draw
6:	mov	dx, 0x3c4
	mov	ax, 0x2001
	out	dx, ax
	jmp	key
count:	.byte	0xc0 - 1
	end
