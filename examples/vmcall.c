/*
 * Make a VM, put one instruction into its memory, run it in real mode, and see what it did: all
 * with libvmmapi, from outside the project's tree.
 *
 *	cc -o vmcall vmcall.c $(pkg-config --cflags --libs libvmmapi)
 *	./vmcall NAME
 */
#include <stdio.h>
#include <string.h>
#include <vmmapi.h>

#define MEMORY_SIZE (1 << 20)
#define GDT_ADDRESS 0x5000

static int
run(struct vmctx *ctx)
{
	static const unsigned char code[] = {0x0f, 0x01, 0xc1}; /* VMCALL */
	uint64_t gdt[3];
	struct vm_exit vmexit;
	char *memory;

	if (vm_setup_memory(ctx, 0, MEMORY_SIZE, &memory) != 0) {
		perror("vm_setup_memory");
		return (1);
	}
	memcpy(memory, code, sizeof(code));
	vm_setup_bios_gdt(gdt);
	memcpy(memory + GDT_ADDRESS, gdt, sizeof(gdt));
	if (vm_setup_bios_registers(ctx, 0, 0, 0, GDT_ADDRESS, 0) != 0 ||
	    vm_set_capability(ctx, 0, VM_CAP_UNRESTRICTED_GUEST, 1) != 0) {
		perror("registers");
		return (1);
	}
	if (vm_run(ctx, 0, 0, &vmexit) != 0) {
		perror("vm_run");
		return (1);
	}
	if (vmexit.exitcode != VM_EXITCODE_HYPERCALL) {
		fprintf(stderr, "exit code %d, VMX exit reason %u\n", (int)vmexit.exitcode,
		    (unsigned)vmexit.u.vmx.exit_reason);
		return (1);
	}
	printf("VMCALL at rip %#llx, %d bytes long\n", (unsigned long long)vmexit.rip,
	    vmexit.inst_length);
	return (0);
}

int
main(int argc, char **argv)
{
	struct vmctx *ctx;
	int status;

	if (argc != 2) {
		fprintf(stderr, "usage: %s NAME\n", argv[0]);
		return (1);
	}
	if (vm_create(argv[1]) != 0 || (ctx = vm_open(argv[1])) == NULL) {
		perror(argv[1]);
		return (1);
	}
	status = run(ctx);
	vm_destroy(ctx);
	return (status);
}
