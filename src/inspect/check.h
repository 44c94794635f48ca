/* hyve86 check: the rules of VM entry that a virtual CPU breaks. */
#ifndef INSPECT_CHECK_H
#define INSPECT_CHECK_H

#include <jansson.h>
#include <stdio.h>

#include "inspect/subject.h"

#define CHECK_RULES_MAX 256

struct check_result {
	bool unrestricted; /* checked with unrestricted guest */
	unsigned nrules;   /* that were looked at */
	unsigned nbroken, nunknown;
	const struct vmx_rule *broken[CHECK_RULES_MAX];	 /* in the manual's order */
	const struct vmx_rule *unknown[CHECK_RULES_MAX]; /* that need memory which is not there */
};

/* Check S with the capabilities CAPS (bits of enum vmx_cap) in place of its own. */
struct check_result check(const struct subject *s, uint32_t caps);
/* What RESULT says of S, for people. */
void check_print(FILE *out, const struct subject *s, const struct check_result *result);
/* The same for programs; NULL when memory is short. */
json_t *check_json(const struct subject *s, const struct check_result *result);
/* The broken rules of RESULT on one line without its end, to TEXT of SIZE bytes. */
void check_line(char *text, size_t size, const struct check_result *result);

#endif
