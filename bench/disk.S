# Disk: INT 13h/42 reads of 32 KiB, one behind the other in the first 8 MiB; 1 MiB a round.
	.include "bench.inc"
	begin
	mov	byte ptr [drive], dl
	sti
	jmp	3f
1:	mov	bp, 32
2:	mov	ah, 0x42
	mov	dl, byte ptr [drive]
	mov	si, offset packet
	int	0x13
	jc	failed
	mov	ax, [packet + 8]
	add	ax, 64
	and	ax, 0x3fff
	mov	[packet + 8], ax
	xor	word ptr [packet + 6], 0x800
	dec	bp
	jnz	2b
3:	times	1b
	jmp	4f
failed:	jmp	failed
drive:	.byte	0
	.balign	4
packet:	.byte	16, 0
	.word	64, 0, 0x2000		# to 2000:0000 and 2800:0000 in turn
	.quad	0
4:	finish
