/*
 * Virtual-8086 mode extensions (CR4.VME) and protected-mode virtual interrupts (CR4.PVI): with
 * IOPL below 3, RFLAGS.VIF stands in for IF. SDM vol. 3A, 20.3 and 20.4.
 */
#ifndef CPU_VME_H
#define CPU_VME_H

#include "cpu/internal.h"

/* Virtual-8086 code whose 16-bit PUSHF, POPF and IRET use VIF. */
bool vme_active(const struct cpu *c);
/* Code whose CLI and STI use VIF: the same, or privilege 3 with PVI. */
bool virtual_if(const struct cpu *c);
/* FLAGS as pushed there: IF is VIF, IOPL is 3. */
uint64_t vme_flags_image(const struct cpu *c, uint64_t flags);
/* May FLAGS be loaded there? #GP(0) for TF, and for IF while an interrupt waits (VIP). */
bool vme_flags_ok(struct cpu *c, uint64_t flags);
/* Take over FLAGS (16 bits) there. */
void vme_flags_load(struct cpu *c, uint64_t flags);
/*
 * INT n in virtual-8086 mode. *REDIRECT: it goes through the 8086 program's own vector table, by
 * the TSS's redirection map (20.3.3.4). False: #GP(0), or a fault reading the map.
 */
bool vme_interrupt(struct cpu *c, unsigned vector, bool *redirect);

#endif
