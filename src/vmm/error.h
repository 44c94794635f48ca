/* Why a call on a VM failed: an errno value, and the reason in words for the user. */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

struct vmm_error {
	int error;
	char text[240]; /* a sentence without a full stop; names the VM or file */
};

/* Fill ERR (may be NULL) and errno; returns -1. */
int vmm_fail(struct vmm_error *err, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
