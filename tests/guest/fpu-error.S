# The x87's exceptions the PC/AT way (CR0.NE is 0): FERR#, IRQ 13, the BIOS's handler at INT 75h,
# which writes port F0h and calls INT 02h. POST has initialized the x87. (QEMU 7.2 ends with a failed
# assertion of its own at the first FERR#.)
	.include "guest.inc"
	begin
	fnstcw	[control]
	cmp	word ptr [control], 0x037f
	jne	bad
	fnstenv	[environment]
	cmp	word ptr [environment + 4], 0xffff # all registers are empty
	jne	bad
	mov	word ptr [0x02 * 4], offset handler
	mov	word ptr [0x02 * 4 + 2], 0
	sti

	fninit
	mov	word ptr [control], 0x037b # division by zero is not masked
	fldcw	[control]
	fld1
	fldz
	fdivp	st(1), st		# noted only
	cmp	word ptr [count], 0
	jne	bad
	fwait				# and told here
	nop
	cmp	word ptr [count], 1
	jne	bad
	test	word ptr [status], 4
	jz	bad
	fld1				# it was cleared
	fwait
	cmp	word ptr [count], 1
	jne	bad

	fldz				# the handler leaves this one: told once
	mov	byte ptr [leave], 1
	fdivp	st(1), st
	fwait
	nop
	cmp	word ptr [count], 2
	jne	bad
	fnclex
	mov	byte ptr [leave], 0

	in	al, 0xa1		# masked at the 8259: waits there
	or	al, 0x20
	out	0xa1, al
	fninit
	fldcw	[control]
	fld1
	fldz
	fdivp	st(1), st
	in	al, 0xa1
	and	al, 0xdf
	out	0xa1, al
	fwait
	nop
	cmp	word ptr [count], 3
	jne	bad
	quit	OK
bad:	quit	NOT_OK

handler:
	inc	word ptr [count]
	fnstsw	[status]
	cmp	byte ptr [leave], 0
	jne	1f
	fnclex
1:	iret
count:	.word	0
control: .word	0
status:	.word	0
leave:	.byte	0
environment:
	.space	28
	end
