/*
 * A Linux kernel (bzImage) by the 16-bit boot protocol: its set-up code runs in real mode and asks
 * the BIOS. Documentation/arch/x86/boot.rst of the kernel, protocol 2.02 and later.
 */
#include <errno.h>
#include <string.h>

#include "loader/loader.h"

/* Offsets in the file of the header's fields. */
#define SETUP_SECTS 0x1f1
#define BOOT_FLAG 0x1fe
#define MAGIC 0x202
#define VERSION 0x206
#define TYPE_OF_LOADER 0x210
#define LOADFLAGS 0x211
#define RAMDISK_IMAGE 0x218
#define RAMDISK_SIZE 0x21c
#define HEAP_END_PTR 0x224
#define CMD_LINE_PTR 0x228
#define INITRD_ADDR_MAX 0x22c
#define CMDLINE_SIZE 0x238
#define HEADER_END 0x23c

#define HDRS 0x53726448u
#define LOADED_HIGH 0x01u
#define CAN_USE_HEAP 0x80u
#define LOADER_UNDEFINED 0xff

/* The layout that the protocol recommends: set-up, heap and stack, command line. */
#define SETUP_SEGMENT 0x9000u
#define SETUP_ADDRESS (SETUP_SEGMENT * 16u)
#define HEAP_END 0xe000u
#define CMDLINE_ADDRESS (SETUP_ADDRESS + HEAP_END)
#define CMDLINE_MAX 0x17ffu
#define KERNEL_ADDRESS 0x100000u
#define SECTOR 512u
#define INITRD_MAX_OLD 0x37ffffffu

static uint16_t
get16(const struct loader_file *file, size_t at)
{
	uint16_t value;

	memcpy(&value, file->data + at, sizeof(value));
	return (value);
}

static uint32_t
get32(const struct loader_file *file, size_t at)
{
	uint32_t value;

	memcpy(&value, file->data + at, sizeof(value));
	return (value);
}

static void
put32(const struct loader_file *file, size_t at, uint32_t value)
{
	memcpy(file->data + at, &value, sizeof(value));
}

bool
loader_is_linux(const struct loader_file *file)
{
	return (file->size >= HEADER_END && get16(file, BOOT_FLAG) == 0xaa55 &&
	    get32(file, MAGIC) == HDRS);
}

/* Is it a kernel that this loader can boot? */
static int
check(const struct loader_file *kernel, size_t setup_size, struct vmm_error *err)
{
	if (!loader_is_linux(kernel))
		return (vmm_fail(err, EINVAL,
		    "%s: neither a Linux kernel (bzImage) nor a multiboot one", kernel->path));
	if (get16(kernel, VERSION) < 0x0202 || !(kernel->data[LOADFLAGS] & LOADED_HIGH))
		return (vmm_fail(err, ENOTSUP,
		    "%s: a kernel older than boot protocol 2.02, or not a bzImage", kernel->path));
	if (kernel->size <= setup_size)
		return (vmm_fail(err, EINVAL, "%s: it is cut short", kernel->path));
	return (0);
}

/* The initrd goes as high as the kernel allows and memory reaches. */
static int
place_initrd(struct vmctx *ctx, const struct loader_file *kernel, const struct loader_file *initrd,
    uint64_t kernel_end, struct vmm_error *err)
{
	uint64_t low_size, high_size, top, at;
	uint32_t max =
	    get16(kernel, VERSION) >= 0x0203 ? get32(kernel, INITRD_ADDR_MAX) : INITRD_MAX_OLD;

	vmm_memory_sizes(ctx, &low_size, &high_size);
	top = low_size < (uint64_t)max + 1 ? low_size : (uint64_t)max + 1;
	at = top < initrd->size ? 0 : (top - initrd->size) & ~0xfffull;
	if (at < kernel_end)
		return (vmm_fail(
		    err, ENOMEM, "%s: too little memory for it behind the kernel", initrd->path));
	put32(kernel, RAMDISK_IMAGE, (uint32_t)at);
	put32(kernel, RAMDISK_SIZE, (uint32_t)initrd->size);
	return (loader_copy(ctx, initrd, at, 0, initrd->size, initrd->size, err));
}

static int
place_cmdline(
    struct vmctx *ctx, const struct loader_file *kernel, const char *cmdline, struct vmm_error *err)
{
	uint32_t max = get16(kernel, VERSION) >= 0x0206 ? get32(kernel, CMDLINE_SIZE) : 255;
	struct loader_file line = {.path = "--append", .size = strlen(cmdline) + 1};

	if (line.size > max + 1 || line.size > CMDLINE_MAX)
		return (vmm_fail(err, EINVAL, "--append: longer than the kernel takes"));
	line.data = (uint8_t *)(uintptr_t)cmdline;
	put32(kernel, CMD_LINE_PTR, CMDLINE_ADDRESS);
	return (loader_copy(ctx, &line, CMDLINE_ADDRESS, 0, line.size, line.size, err));
}

int
loader_linux(struct vmctx *ctx, const struct loader_file *kernel, const struct loader_file *initrd,
    const char *cmdline, struct loader_entry *entry, struct vmm_error *err)
{
	unsigned sects = kernel->size > SETUP_SECTS ? kernel->data[SETUP_SECTS] : 0;
	size_t setup_size = ((sects != 0 ? sects : 4) + 1) * SECTOR;
	uint64_t kernel_size;

	if (check(kernel, setup_size, err) != 0)
		return (-1);
	kernel_size = kernel->size - setup_size;
	kernel->data[TYPE_OF_LOADER] = LOADER_UNDEFINED;
	kernel->data[LOADFLAGS] |= CAN_USE_HEAP;
	kernel->data[HEAP_END_PTR] = (HEAP_END - 0x200) & 0xff;
	kernel->data[HEAP_END_PTR + 1] = (HEAP_END - 0x200) >> 8;
	if (initrd != NULL &&
	    place_initrd(ctx, kernel, initrd, KERNEL_ADDRESS + kernel_size, err) != 0)
		return (-1);
	if (place_cmdline(ctx, kernel, cmdline != NULL ? cmdline : "", err) != 0 ||
	    loader_copy(ctx, kernel, SETUP_ADDRESS, 0, setup_size, setup_size, err) != 0 ||
	    loader_copy(ctx, kernel, KERNEL_ADDRESS, setup_size, kernel_size, kernel_size, err) !=
		0)
		return (-1);
	*entry = (struct loader_entry){
	    .code_segment = SETUP_SEGMENT + 0x20,
	    .data_segment = SETUP_SEGMENT,
	    .stack_pointer = HEAP_END,
	};
	return (0);
}
