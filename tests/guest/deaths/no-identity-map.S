# Paging turned on with an empty page directory.
# verdict: the PDE is not present
	.include "deaths.inc"
	begin
	protected
	mov	eax, PAGES
	mov	cr3, eax
	paging_on
	tables
