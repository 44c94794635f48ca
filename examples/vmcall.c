/*
 * A program outside the tree that uses libvmmapi: it makes a VM of 1 MB, puts one VMCALL at its
 * address 0, runs it in real mode and says how it stopped.
 *
 *	cc -o vmcall vmcall.c $(pkg-config --cflags --libs libvmmapi)
 *	./vmcall vm0
 */
#include <stdio.h>
#include <string.h>

#include <vmmapi.h>

static const unsigned char vmcall[] = {0x0f, 0x01, 0xc1};

static int
run(struct vmctx *ctx)
{
	struct vm_exit exit;
	char *memory;

	if (vm_setup_memory(ctx, 0, 1024 * 1024, &memory) != 0)
		return (-1);
	memcpy(memory, vmcall, sizeof(vmcall));
	if (vm_set_capability(ctx, 0, VM_CAP_UNRESTRICTED_GUEST, 1) != 0 ||
	    vm_setup_bios_registers(ctx, 0, 0, 0, 0x5000, 0) != 0 || vm_run(ctx, 0, 0, &exit) != 0)
		return (-1);
	if (exit.exitcode != VM_EXITCODE_HYPERCALL) {
		fprintf(stderr, "unexpected exit code %d\n", (int)exit.exitcode);
		return (1);
	}
	printf(
	    "VMCALL at rip %#llx, %d bytes long\n", (unsigned long long)exit.rip, exit.inst_length);
	return (0);
}

int
main(int argc, char **argv)
{
	struct vmctx *ctx;
	int status;

	if (argc != 2) {
		fprintf(stderr, "usage: %s VM\n", argv[0]);
		return (1);
	}
	if (vm_create(argv[1]) != 0 || (ctx = vm_open(argv[1])) == NULL) {
		perror(argv[1]);
		return (1);
	}
	status = run(ctx);
	if (status < 0)
		perror(argv[1]);
	vm_destroy(ctx);
	return (status != 0);
}
