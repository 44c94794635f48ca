# Resets of the CPU alone, from which a program comes back through 40:67 (CMOS shutdown code 0Ah, as
# 286 programs left protected mode): port 92h, the keyboard controller, port CF9h, a triple fault.
	.include "guest.inc"
	begin
	xor	bp, bp
next:	mov	al, 0x0f
	out	0x70, al
	mov	al, 0x0a
	out	0x71, al
	mov	word ptr [0x467], offset back
	mov	word ptr [0x469], 0
	mov	[stage], bp
	mov	bx, bp
	shl	bx, 1
	jmp	[bx + stages]
back:	xor	ax, ax			# the CPU is as after RESET, memory as it was
	mov	ds, ax
	mov	ss, ax
	mov	sp, 0x7c00
	smsw	ax
	test	al, 1
	jnz	bad
	mov	bp, [stage]
	test	bp, bp
	jnz	1f
	in	al, 0x92		# its bit says who it was, until it is cleared
	test	al, 1
	jz	bad
	and	al, 0xfe
	out	0x92, al
1:	inc	bp
	cmp	bp, 4
	jne	next
	quit	OK
bad:	quit	NOT_OK

by_92:	in	al, 0x92
	or	al, 1
	out	0x92, al
	jmp	none
by_8042:
	mov	al, 0xfe
	out	0x64, al
	jmp	none
by_cf9:	mov	dx, 0xcf9
	mov	al, 0
	out	dx, al
	mov	al, 4
	out	dx, al
	jmp	none
by_fault:
	lidt	[no_idt]
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	int3
none:	mov	ecx, 1000000		# at the next instruction, or thereabouts
1:	dec	ecx
	jnz	1b
	jmp	bad
stages:	.word	by_92, by_8042, by_cf9, by_fault
no_idt:	.word	0, 0, 0
stage:	.word	0
	end
