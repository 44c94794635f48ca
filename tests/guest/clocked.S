# Keeps all that tells time or chance: the time stamp counter, the timer's count, ticks, the RTC,
# RDRAND and keys, in memory from 20000h on, between HLTs and stretches of work; until key q, when
# it halts for good. Two runs with --clock icount and the same keys must be the same in all of it.
	.include "guest.inc"
	begin
	say	ready
	mov	ax, 0x2000
	mov	es, ax
	xor	di, di
1:	rdtsc
	stosd
	mov	al, 0
	out	0x43, al
	in	al, 0x40
	stosb
	in	al, 0x40
	stosb
	mov	eax, [0x46c]
	stosd
	mov	al, 0			# the RTC's seconds
	out	0x70, al
	in	al, 0x71
	stosb
	.byte	0x66, 0x0f, 0xc7, 0xf0	# rdrand eax
	stosd
	movzx	ecx, ax
	shl	ecx, 6
	inc	ecx
2:	dec	ecx			# as long as chance has it
	jnz	2b
	hlt
	mov	ah, 1
	int	0x16
	jz	1b
	mov	ah, 0
	int	0x16
	stosw
	cmp	al, 'q'
	jne	1b
	cli
	hlt
ready:	.asciz	"READY"
	end
