# Calls the BIOS in many ways, for tests of what is told about calls.
	.include "guest.inc"
	begin
	mov	ax, 0x0e48		# 'H'
	mov	bx, 7
	int	0x10
	mov	ax, 0x0e69		# 'i'
	int	0x10
	mov	ax, 0x0e0a
	int	0x10
	int	0x12
	mov	ax, 0x0201		# read sector 1 to 1000:0200
	mov	bx, 0x1000
	mov	es, bx
	mov	bx, 0x0200
	mov	cx, 1
	mov	dx, [boot_drive]
	mov	dh, 0
	int	0x13
	mov	ax, 0x0201		# beyond the last track
	mov	cx, 0x6001
	int	0x13
	mov	ah, 0x42
	mov	si, offset packet
	mov	dl, 0x80		# there is no disk
	int	0x13
	mov	ah, 0x77		# nobody has that
	int	0x13
	mov	ah, 0x4b		# known, and not built
	int	0x13
	xor	ebx, ebx
	mov	eax, 0xe820
	mov	edx, 0x534d4150
	mov	ecx, 20
	mov	di, 0x300
	int	0x15
	mov	ah, 1
	int	0x16
	mov	ah, 0x86		# 5 ms
	xor	cx, cx
	mov	dx, 5000
	int	0x15
	mov	dx, 0x2f8		# nobody there
	mov	al, 'x'
	out	dx, al
	mov	al, 0x0f		# CMOS, shutdown status
	out	0x70, al
	in	al, 0x71
	sti
	hlt
	quit	OK

	.balign	4
packet:	.byte	16, 0
	.word	3, 0x0000, 0x2000	# three sectors to 2000:0000
	.quad	2048
	end
