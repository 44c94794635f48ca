# Real mode: 10,000 calls a round with the stack in the page that the code is in.
	.include "bench.inc"
	begin
	mov	sp, 0x7c00
	jmp	3f
1:	mov	cx, 10000
2:	push	cx
	call	f
	pop	cx
	dec	cx
	jnz	2b
3:	times	1b
	jmp	4f
f:	push	bp
	mov	bp, sp
	mov	ax, [bp + 4]
	add	ax, ax
	pop	bp
	ret
4:	finish
