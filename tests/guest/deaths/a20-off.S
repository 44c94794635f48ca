# A kernel is cleared to 1 MB while the A20 gate is off: it is the first 64 KB that go.
# verdict: the A20 gate is off
	.include "deaths.inc"
	begin
	in	al, 0x92
	and	al, 0xfd
	out	0x92, al
	mov	ax, 0x2400
	int	0x15
	protected
	mov	edi, 0x100000
	mov	ecx, 0x4000
	xor	eax, eax
	rep	stosd
	tables
