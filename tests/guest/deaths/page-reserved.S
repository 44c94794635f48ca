# The XD bit in a page table while EFER.NXE is 0.
# verdict: sets reserved bits 8000000000000000h
	.include "deaths.inc"
	begin
	protected
	mov	edi, PAGES
	mov	dword ptr [edi], PAGES + 0x1001
	mov	dword ptr [edi + 0x1000], 0x87
	mov	dword ptr [edi + 0x1008], 0x200087
	mov	dword ptr [edi + 0x100c], 0x80000000
	mov	cr3, edi
	mov	eax, 0x20
	mov	cr4, eax
	paging_on
	mov	eax, [0x200000]
	tables
