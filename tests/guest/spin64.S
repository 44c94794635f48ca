# Goes to 64-bit mode and turns a counter there, for a debugger to look at.
	.include "guest.inc"
	.equ PML4, 0x10000
	begin
	cli
	lgdt	[gdt_pointer]
	mov	dword ptr [0x600], 0
	mov	ax, PML4 >> 4
	mov	es, ax
	xor	di, di
	mov	cx, 0x3000 / 2
	xor	ax, ax
	rep	stosw
	mov	word ptr es:[0], 0x1007
	mov	byte ptr es:[2], PML4 >> 16
	mov	word ptr es:[0x1000], 0x2007
	mov	byte ptr es:[0x1002], PML4 >> 16
	mov	byte ptr es:[0x2000], 0x87
	mov	eax, PML4
	mov	cr3, eax
	mov	eax, 0x20
	mov	cr4, eax
	mov	ecx, 0xc0000080
	rdmsr
	or	ah, 1
	wrmsr
	mov	eax, cr0
	or	eax, 0x80000001
	mov	cr0, eax
	ljmp	8, offset start64
	.code64
start64:
	mov	rax, 0x123456789abcdef0
again:	inc	dword ptr [0x600]
	jmp	again
	.code16
	.balign	8
gdt:	.quad	0, 0x00af9b000000ffff
gdt_pointer:
	.word	15
	.long	gdt
	end
