/* Errors with a reason. */
#include "vmm/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int
vmm_fail(struct vmm_error *err, int error, const char *format, ...)
{
	va_list args;

	if (err != NULL) {
		err->error = error;
		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
	}
	errno = error;
	return (-1);
}
