/* The fields that entry rules look at, by name. */
#include <string.h>

#include "vmx/view.h"
#include "vmx/vmx.h"

enum place { IN_STATE, IN_VMX, IN_GUEST };

#define STATE(field) \
	IN_STATE, offsetof(struct vcpu_state, field), sizeof(((struct vcpu_state *)NULL)->field)
#define VMX(field) IN_VMX, offsetof(struct vmx, field), sizeof(((struct vmx *)NULL)->field)
#define GUEST(field) \
	IN_GUEST, offsetof(struct vmx_guest, field), sizeof(((struct vmx_guest *)NULL)->field)

static const struct {
	const char *name;
	enum place place;
	size_t offset;
	size_t size;
} fields[] = {
    {"cr0", STATE(sregs.cr0)},
    {"cr3", STATE(sregs.cr3)},
    {"cr4", STATE(sregs.cr4)},
    {"efer", STATE(sregs.efer)},
    {"dr7", STATE(debug.dr7)},
    {"rip", STATE(gpr.rip)},
    {"rflags", STATE(gpr.rflags)},
    {"sysenter_esp", STATE(msr.sysenter_esp)},
    {"sysenter_eip", STATE(msr.sysenter_eip)},
    {"pat", STATE(msr.pat)},
    {"cs", STATE(sregs.seg[SEG_CS].selector)},
    {"cs.base", STATE(sregs.seg[SEG_CS].base)},
    {"cs.limit", STATE(sregs.seg[SEG_CS].limit)},
    {"cs.access", STATE(sregs.seg[SEG_CS].access)},
    {"ss", STATE(sregs.seg[SEG_SS].selector)},
    {"ss.base", STATE(sregs.seg[SEG_SS].base)},
    {"ss.limit", STATE(sregs.seg[SEG_SS].limit)},
    {"ss.access", STATE(sregs.seg[SEG_SS].access)},
    {"ds", STATE(sregs.seg[SEG_DS].selector)},
    {"ds.base", STATE(sregs.seg[SEG_DS].base)},
    {"ds.limit", STATE(sregs.seg[SEG_DS].limit)},
    {"ds.access", STATE(sregs.seg[SEG_DS].access)},
    {"es", STATE(sregs.seg[SEG_ES].selector)},
    {"es.base", STATE(sregs.seg[SEG_ES].base)},
    {"es.limit", STATE(sregs.seg[SEG_ES].limit)},
    {"es.access", STATE(sregs.seg[SEG_ES].access)},
    {"fs", STATE(sregs.seg[SEG_FS].selector)},
    {"fs.base", STATE(sregs.seg[SEG_FS].base)},
    {"fs.limit", STATE(sregs.seg[SEG_FS].limit)},
    {"fs.access", STATE(sregs.seg[SEG_FS].access)},
    {"gs", STATE(sregs.seg[SEG_GS].selector)},
    {"gs.base", STATE(sregs.seg[SEG_GS].base)},
    {"gs.limit", STATE(sregs.seg[SEG_GS].limit)},
    {"gs.access", STATE(sregs.seg[SEG_GS].access)},
    {"tr", STATE(sregs.tr.selector)},
    {"tr.base", STATE(sregs.tr.base)},
    {"tr.limit", STATE(sregs.tr.limit)},
    {"tr.access", STATE(sregs.tr.access)},
    {"ldtr", STATE(sregs.ldtr.selector)},
    {"ldtr.base", STATE(sregs.ldtr.base)},
    {"ldtr.limit", STATE(sregs.ldtr.limit)},
    {"ldtr.access", STATE(sregs.ldtr.access)},
    {"gdtr.base", STATE(sregs.gdtr.base)},
    {"gdtr.limit", STATE(sregs.gdtr.limit)},
    {"idtr.base", STATE(sregs.idtr.base)},
    {"idtr.limit", STATE(sregs.idtr.limit)},
    {"activity", STATE(events.activity)},
    {"interruptibility", STATE(events.interruptibility)},
    {"pending_debug", STATE(events.pending_debug)},
    {"entry_interruption_info", VMX(entry_interruption_info)},
    {"entry_ctls", GUEST(entry_ctls)},
    {"debugctl", GUEST(debugctl)},
    {"vmcs_link", GUEST(vmcs_link)},
    {"pdpte0", GUEST(pdpte[0])},
    {"pdpte1", GUEST(pdpte[1])},
    {"pdpte2", GUEST(pdpte[2])},
    {"pdpte3", GUEST(pdpte[3])},
};

bool
vmx_field(const struct vmx_guest *guest, const char *name, uint64_t *value)
{
	const void *places[] = {
	    [IN_STATE] = guest->state, [IN_VMX] = guest->vmx, [IN_GUEST] = guest};

	*value = 0;
	if (strcmp(name, "procbased_ctls2") == 0) {
		*value = vmx_procbased_ctls2(guest->vmx);
		return (true);
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (strcmp(name, fields[i].name) != 0)
			continue;
		memcpy(value, (const char *)places[fields[i].place] + fields[i].offset,
		    fields[i].size);
		return (true);
	}
	return (false);
}
