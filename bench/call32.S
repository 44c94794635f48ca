# Flat 32-bit code: 10,000 calls of a small function with a frame a round.
	.include "bench.inc"
	begin
	flat
	jmp	3f
1:	mov	ecx, 10000
2:	push	ecx
	call	f
	add	esp, 4
	dec	ecx
	jnz	2b
3:	times	1b
	jmp	4f
f:	push	ebp
	mov	ebp, esp
	mov	eax, [ebp + 8]
	lea	eax, [eax + eax * 2 + 1]
	pop	ebp
	ret
4:	finish
