# Makes as many BIOS calls, and then as many port writes, as the two words behind "OFTEN" say: tests
# that count exits write them.  Nothing else asks for the host meanwhile.
	.include "guest.inc"
	begin
	cli
	mov	cx, [calls]
	jcxz	2f
1:	int	0x12
	loop	1b
2:	mov	cx, [ports]
	jcxz	4f
3:	out	0x80, al
	loop	3b
4:	quit	OK

	.ascii	"OFTEN"
calls:	.word	1
ports:	.word	1
	end
