# The kernel runs a user page under SMEP.
# verdict: CR4.SMEP keeps from being run
	.include "deaths.inc"
	begin
	protected
	identity 3
	mov	dword ptr [PAGES + 0x1000 + 0x20 * 4], 0x20007
	paging_on
	mov	eax, 0x100000
	mov	cr4, eax
	mov	eax, 0x20000
	jmp	eax
	tables
