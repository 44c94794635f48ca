# A breakpoint whose vector, like that of every fault on the way, lies beyond the IDT's limit.
	.include "guest.inc"
	begin
	lidt	[empty]
	int3
	quit	NOT_OK
empty:	.word	0
	.long	0
	end
