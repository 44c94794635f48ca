# The kernel writes to a read-only page under CR0.WP.
# verdict: the PTE does not let write (CR0.WP is 1)
	.include "deaths.inc"
	begin
	protected
	identity
	mov	dword ptr [PAGES + 0x1000 + 0x20 * 4], 0x20001
	mov	eax, cr0
	or	eax, 0x80010000
	mov	cr0, eax
	mov	[0x20000], eax
	tables
