/*
 * A change of a virtual CPU from outside, as vmmctl makes them: to a VM at hand, or as JSON to the
 * runner of one that runs.
 */
#ifndef CONTROL_CHANGE_H
#define CONTROL_CHANGE_H

#include <jansson.h>

#include "vmm/vmm.h"

enum change_kind {
	CHANGE_REGISTER,
	CHANGE_DESCRIPTOR,
	CHANGE_CAPABILITY,
	CHANGE_PINNING,
	CHANGE_EXCEPTION_BITMAP,
	CHANGE_ENTRY_INFO,
	CHANGE_NMI,
};

struct change {
	enum change_kind kind;
	const char *what; /* the register's name, as in --set-REG, or the capability's */
	uint64_t value;
	bool has_base, has_limit, has_access; /* of a descriptor; what is not given stays */
	uint64_t base;
	uint32_t limit, access;
};

/* Make CHANGE to VCPU of CTX, between vmm_begin(VMM_WRITE) and vmm_end(). 0, or -1 with ERR. */
int change_apply(struct vmctx *ctx, int vcpu, const struct change *change, struct vmm_error *err);
/* A new reference. */
json_t *change_to_json(const struct change *change);
/* OUT points into JSON, which must live as long. 0, or -1 with ERR. */
int change_from_json(const json_t *json, struct change *out, struct vmm_error *err);

#endif
