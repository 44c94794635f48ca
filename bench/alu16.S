# Real mode: a loop of 10 register operations; 100,000 instructions a round.
	.include "bench.inc"
	begin
	jmp	3f
1:	mov	cx, 10000
2:	add	ax, bx
	xor	bx, ax
	add	si, ax
	rol	di, 1
	sub	dx, si
	or	ax, 1
	and	bx, 0x7fff
	inc	bp
	dec	cx
	jnz	2b
3:	times	1b
	finish
