# Counts the timer's interrupts in protected mode, and shows the count on the screen: for tests that
# stop it and let it go on elsewhere.
	.include "guest.inc"
	.equ CODE, 8
	.equ DATA, 16
	.equ SCREEN, 0xb8000 + 10 * 160
	begin
	cli
	lidt	[idt_pointer]
	to_protected 0x7c00
	in	al, 0x21
	and	al, 0xfe		# the timer alone
	out	0x21, al
	sti
round:	hlt
	mov	edi, SCREEN
	mov	esi, offset text
	mov	ah, 7
1:	lodsb
	test	al, al
	jz	2f
	stosw
	jmp	1b
2:	mov	eax, [ticks]
	mov	ecx, 6			# digits, the last one first
	mov	ebx, 10
	add	edi, 10
3:	xor	edx, edx
	div	ebx
	or	dl, '0'
	mov	dh, 7
	mov	[edi], dx
	sub	edi, 2
	loop	3b
	jmp	round

tick:	inc	dword ptr [ticks]
	push	eax
	mov	al, 0x20
	out	0x20, al
	pop	eax
	iretd

	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:	.word	gdt_pointer - gdt - 1
	.long	gdt
interrupts:
	.word	tick, CODE, 0x8e00, 0
idt_pointer:	.word	9 * 8 - 1
	.long	interrupts - 8 * 8	# vector 8 is the first that is there
ticks:	.long	0
text:	.asciz	"MOVES "
	end
