# Flat 32-bit code: the primes below 65536 by Eratosthenes' sieve of bytes, once a round.
	.include "bench.inc"
	.equ	SIEVE, 0x20000
	.equ	SIZE, 65536
	begin
	flat
	jmp	5f
1:	mov	edi, SIEVE
	mov	ecx, SIZE / 4
	xor	eax, eax
	rep	stosd
	mov	esi, 2
2:	cmp	byte ptr [SIEVE + esi], 0
	jne	4f
	mov	edi, esi
	imul	edi, esi
3:	cmp	edi, SIZE
	jae	4f
	mov	byte ptr [SIEVE + edi], 1
	add	edi, esi
	jmp	3b
4:	inc	esi
	cmp	esi, 256
	jb	2b
5:	times	1b
	finish
