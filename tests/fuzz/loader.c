/*
 * Loaders. The first byte of an input says which one, the next two how long the second file (an
 * initial RAM disk, a multiboot module) is; then come the second file and the first.
 */
#include "loader/loader.h"

#include <string.h>

#include "fuzz.h"
#include "vm.h"

#define LOW_SIZE (16u << 20)

/* SIZE bytes at their exact size, so that a sanitizer sees reads beyond. */
static struct loader_file
file_of(const uint8_t *data, size_t size)
{
	struct loader_file file = {
	    .path = "fuzz", .data = malloc(size != 0 ? size : 1), .size = size};

	FUZZ_CHECK(file.data != NULL);
	memcpy(file.data, data, size);
	return (file);
}

static struct vmctx *
vm(void)
{
	static struct vmctx *ctx;
	struct vmm_error err;

	if (ctx != NULL)
		return (ctx);
	fuzz_folder();
	ctx = vmm_create_volatile("fuzz", LOW_SIZE, 0, &err);
	FUZZ_CHECK(ctx != NULL && vmm_memory(ctx, &err) != NULL);
	return (ctx);
}

/* Load FILE, and SECOND with it, in the way of number HOW. */
static void
load(unsigned how, struct loader_file *file, struct loader_file *second)
{
	static const char *const lines[] = {NULL, "", "console=ttyS0", "a b=\"c d\""};
	const char *line = lines[how >> 4 & 3];
	struct loader_kernel kernel;
	struct loader_entry entry;
	struct vmm_error err;

	switch (how & 7) {
	case 0:
		if (loader_check_bios(file, &err) == 0)
			(void)loader_bios(vm(), file, &err);
		break;
	case 1:
		(void)loader_kernel(vm(), file, (uint64_t)how << 16, line, &kernel, &err);
		break;
	case 2:
		(void)loader_elf(vm(), file, &kernel, &err);
		break;
	case 3:
	case 4:
		if (loader_is_multiboot(file))
			(void)loader_multiboot(
			    vm(), file, how & 8 ? second : NULL, line, &kernel, &err);
		break;
	default:
		if (loader_is_linux(file))
			(void)loader_linux(vm(), file, how & 8 ? second : NULL, line, &entry, &err);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loader_file file, second;
	size_t rest;

	if (size < 4)
		return (0);
	rest = (size_t)(data[1] | data[2] << 8) % (size - 3);
	second = file_of(data + 3, rest);
	file = file_of(data + 3 + rest, size - 3 - rest);
	load(data[0], &file, &second);
	free(file.data);
	free(second.data);
	return (0);
}
