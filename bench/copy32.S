# Flat 32-bit code: a block of 64 KiB copied by REP MOVSD, 16 times a round.
	.include "bench.inc"
	begin
	flat
	jmp	3f
1:	mov	ebx, 16
2:	mov	esi, 0x20000
	mov	edi, 0x40000
	mov	ecx, 16384
	rep	movsd
	dec	ebx
	jnz	2b
3:	times	1b
	finish
