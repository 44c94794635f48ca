# A write through a read-only segment.
# verdict: FS does not allow this access: it is read-only data
	.include "deaths.inc"
	begin
	protected
	mov	ax, READ_ONLY
	mov	fs, ax
	mov	fs:[0], eax
	tables
