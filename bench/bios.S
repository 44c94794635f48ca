# BIOS calls: INT 16h/01 (is there a key) and INT 1Ah/00 (the time) in turn, 200 calls a round.
	.include "bench.inc"
	begin
	sti
	jmp	3f
1:	mov	bp, 100
2:	mov	ah, 1
	int	0x16
	mov	ah, 0
	int	0x1a
	dec	bp
	jnz	2b
3:	times	1b
	finish
