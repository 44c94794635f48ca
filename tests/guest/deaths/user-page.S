# User code reads a page of the supervisor.
# verdict: the PTE is the supervisor's, the access user code's
	.include "deaths.inc"
	begin
	protected
	identity
	mov	dword ptr [PAGES + 0x1000 + 0x20 * 4], 0x20003
	paging_on
	to_user
	mov	eax, [0x20000]
	tables
