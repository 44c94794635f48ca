# A read beyond the limit of a small segment.
# verdict: the operand at FS:1000h is beyond FS.limit fffh
	.include "deaths.inc"
	begin
	protected
	mov	ax, SMALL
	mov	fs, ax
	mov	eax, fs:[0x1000]
	tables
