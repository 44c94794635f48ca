# Long mode asked for without CR4.PAE.
# verdict: paging needs CR4.PAE
	.include "deaths.inc"
	begin
	protected
	identity
	mov	ecx, 0xc0000080
	mov	eax, 0x100
	xor	edx, edx
	wrmsr
	paging_on
	tables
