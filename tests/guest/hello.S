# Greets by INT 10h, then names each key that INT 16h gives until it is a `q`.  A key without a
# character of its own is shown as a dot.
	.include "guest.inc"
	begin
	say	greeting
next:	xor	ah, ah
	int	0x16
	push	ax
	cmp	al, ' '
	jae	1f
	mov	al, '.'
1:	mov	[key], al
	say	pressed
	pop	ax
	push	ax
	mov	al, ah
	call	print_hex
	say	newline
	pop	ax
	cmp	al, 'q'
	jne	next
	quit	OK

greeting:
	.asciz	"HELLO FROM REAL MODE\r\n"
pressed:
	.ascii	"KEY "
key:	.asciz	"? SCAN "
newline:
	.asciz	"\r\n"
	end
