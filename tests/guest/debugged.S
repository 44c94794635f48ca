# A loop for a debugger to look at: a counter, and a BIOS call each time round.
	.include "guest.inc"
	begin
	mov	word ptr [0x600], 0
again:	inc	word ptr [0x600]
	mov	ax, 0x0e2e		# a dot
	mov	bx, 7
	int	0x10
	jmp	again
	end
