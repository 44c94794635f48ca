/* VM objects: names, life, locks, sections, and the library's calls on them. */
#include "vm_fixture.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bus/memory.h"

#define MB (1u << 20)

static void
names_are_checked(void **unused)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "-x", ".x", "a b", "\xc3\xa9",
	    "0123456789012345678901234567890123"};

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(vm_create(bad[i]), -1);
		assert_true(errno == EINVAL || errno == ENAMETOOLONG);
		assert_null(vm_open(bad[i]));
	}
	assert_int_equal(vm_create("0_a.b-C"), 0);
	assert_int_equal(vmm_destroy("0_a.b-C", NULL), 0);
}

static void
a_vm_lives_until_it_is_destroyed(void **unused)
{
	struct vmctx *ctx;

	(void)unused;
	assert_null(vm_open("vm1"));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(vm_create("vm1"), 0);
	assert_int_equal(vm_create("vm1"), -1);
	assert_int_equal(errno, EEXIST);
	ctx = vm_open("vm1");
	assert_non_null(ctx);
	vm_destroy(ctx);
	assert_null(vm_open("vm1"));
}

static void
handles_see_each_others_changes(void **state)
{
	struct vmctx *other = vm_open("vm0");
	uint64_t value;

	assert_int_equal(vm_set_register(*state, 0, VM_REG_GUEST_RAX, 0x1122334455667788), 0);
	assert_int_equal(vm_get_register(other, 0, VM_REG_GUEST_RAX, &value), 0);
	assert_true(value == 0x1122334455667788);
	assert_int_equal(vm_set_register(other, 0, VM_REG_GUEST_RAX, 5), 0);
	assert_int_equal(vm_get_register(*state, 0, VM_REG_GUEST_RAX, &value), 0);
	assert_int_equal(value, 5);
	vm_destroy(other);
	assert_int_equal(vm_get_register(*state, 0, VM_REG_GUEST_RAX, &value), -1);
	assert_int_equal(errno, ENOENT);
}

static void
every_register_keeps_its_value(void **state)
{
	uint64_t value, base;
	uint32_t limit, access;

	for (int reg = 0; reg < VM_REG_LAST; reg++) {
		bool table = reg == VM_REG_GUEST_GDTR || reg == VM_REG_GUEST_IDTR;
		bool segment = reg >= VM_REG_GUEST_ES && reg <= VM_REG_GUEST_TR;
		uint64_t want = 0x1000u + (unsigned)reg;

		assert_int_equal(vm_set_register(*state, 1, reg, want), table ? -1 : 0);
		if (!table) {
			assert_int_equal(vm_get_register(*state, 1, reg, &value), 0);
			if (reg == VM_REG_GUEST_CR0)
				want |= CR0_NE;
			else if (reg == VM_REG_GUEST_CR4)
				want |= CR4_VMXE;
			assert_int_equal(value, want);
		}
		assert_int_equal(vm_set_desc(*state, 1, reg, 0x123456789a, 0xfffff, 0x93),
		    table || segment ? 0 : -1);
		if (!table && !segment)
			continue;
		assert_int_equal(vm_get_desc(*state, 1, reg, &base, &limit, &access), 0);
		assert_true(base == 0x123456789a && limit == 0xfffff);
		assert_int_equal(access, table ? 0 : 0x93);
	}
}

static void
wrong_numbers_are_refused(void **state)
{
	uint64_t value;
	int number;

	assert_int_equal(vm_get_register(*state, -1, 0, &value), -1);
	assert_int_equal(vm_get_register(*state, VM_MAXCPU, 0, &value), -1);
	assert_int_equal(vm_get_register(*state, 0, -1, &value), -1);
	assert_int_equal(vm_get_register(*state, 0, VM_REG_LAST, &value), -1);
	assert_int_equal(vm_get_capability(*state, 0, VM_CAP_MAX, &number), -1);
	assert_int_equal(vm_get_pinning(*state, VM_MAXCPU, &number), -1);
	assert_int_equal(vm_set_pinning(*state, 0, 1000000), -1);
	assert_int_equal(vm_inject_event(*state, 0, VM_HW_INTR, 256), -1);
	assert_int_equal(vm_inject_event(*state, 0, VM_EVENT_MAX, 0), -1);
	assert_null(vm_get_stats(*state, -1, NULL, &number));
	assert_int_equal(errno, EINVAL);
}

static void
memory_has_two_segments(void **state)
{
	vm_paddr_t hpa;
	size_t len;
	char *low, *high;

	assert_int_equal(vm_get_memory_seg(*state, 0, &hpa, &len), 0);
	assert_true(len == 0 && hpa == 0);
	assert_int_equal(vm_setup_memory(*state, 0, 16 * MB, &low), 0);
	assert_int_equal(vm_setup_memory(*state, MEMORY_HIGH_BASE, 32 * MB, &high), 0);
	memcpy(low, "low", sizeof("low"));
	memcpy(high, "high", sizeof("high"));
	assert_string_equal(vm_map_memory(*state, 0, 4096), "low");
	assert_string_equal(vm_map_memory(*state, MEMORY_HIGH_BASE, 32 * MB), "high");
	assert_int_equal(vm_get_memory_seg(*state, MEMORY_HIGH_BASE, &hpa, &len), 0);
	assert_int_equal(len, 32 * MB);
	/* The same again is fine, another size is not. */
	assert_int_equal(vm_setup_memory(*state, 0, 16 * MB, NULL), 0);
	assert_int_equal(vm_setup_memory(*state, 0, 8 * MB, NULL), -1);
	assert_int_equal(errno, EEXIST);
	assert_ptr_equal(vm_map_memory(*state, 16 * MB, 4096), MAP_FAILED);
	assert_ptr_equal(vm_map_memory(*state, 0, 16 * MB + 4096), MAP_FAILED);
	assert_ptr_equal(vm_map_memory(*state, MEMORY_HIGH_BASE + 32 * MB, 4096), MAP_FAILED);
	assert_ptr_equal(vm_map_memory(*state, 1, 4096), MAP_FAILED);
}

static void
impossible_memory_is_refused(void **state)
{
	assert_int_equal(vm_setup_memory(*state, 0, 0, NULL), -1);
	assert_int_equal(vm_setup_memory(*state, 0, 4097, NULL), -1);
	assert_int_equal(vm_setup_memory(*state, 0x1000, 4096, NULL), -1);
	assert_int_equal(vm_setup_memory(*state, 0, 4ull << 30, NULL), -1);
	assert_int_equal(vm_setup_memory(*state, MEMORY_HIGH_BASE, 1ull << 40, NULL), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(vm_setup_memory(*state, MEMORY_HIGH_BASE, SIZE_MAX & ~4095ull, NULL), -1);
}

static void
capabilities_by_name(void **state)
{
	static const char *const names[] = {
	    "hlt_exit", "mtrap_exit", "pause_exit", "unrestricted_guest"};
	int value;

	for (int i = 0; i < VM_CAP_MAX; i++) {
		assert_int_equal(vm_capability_name2type(names[i]), i);
		assert_int_equal(vm_get_capability(*state, 0, (enum vm_cap_type)i, &value), 0);
		assert_int_equal(value, 0);
		assert_int_equal(vm_set_capability(*state, 0, (enum vm_cap_type)i, 7), 0);
		assert_int_equal(vm_get_capability(*state, 0, (enum vm_cap_type)i, &value), 0);
		assert_int_equal(value, 1);
	}
	assert_int_equal(vm_capability_name2type("hlt"), -1);
}

static void
events_wait_one_at_a_time(void **state)
{
	assert_int_equal(vm_inject_event2(*state, 0, VM_HW_EXCEPTION, 13, 0x10), 0);
	assert_int_equal(vm_inject_event(*state, 0, VM_HW_INTR, 32), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(vmm_begin(*state, VMM_READ, NULL), 0);
	assert_int_equal(vmm_view(*state, 0).entry_interruption_info, 0x80000b0d);
	vmm_end(*state, false, NULL);
	assert_int_equal(vm_inject_nmi(*state, 0), 0);
}

static void
there_is_no_passthrough(void **state)
{
	assert_int_equal(vm_assign_pptdev(*state, 0, 0, 0), -1);
	assert_int_equal(errno, ENODEV);
	assert_int_equal(vm_unassign_pptdev(*state, 0, 0, 0), -1);
	assert_int_equal(vm_map_pptdev_mmio(*state, 0, 0, 0, 0, 4096, 0), -1);
	assert_int_equal(vm_setup_msi(*state, 0, 0, 0, 0, 0, 0, 0), -1);
	errno = 0;
	assert_int_equal(vm_setup_msix(*state, 0, 0, 0, 0, 0, 0, 0, 0), -1);
	assert_int_equal(errno, ENODEV);
}

static void
interrupts_wait_for_the_local_apic(void **state)
{
	uint64_t waiting[VMM_VECTOR_WORDS];

	assert_int_equal(vm_lapic_irq(*state, 0, 32), -1);
	assert_int_equal(errno, ENODEV); /* no board */
	assert_int_equal(vmm_begin(*state, VMM_WRITE, NULL), 0);
	vmm_set_firmware(*state, VMM_FW_ROM);
	assert_int_equal(vmm_end(*state, true, NULL), 0);
	assert_int_equal(vm_lapic_irq(*state, 0, 15), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(vm_lapic_irq(*state, 0, 256), -1);
	assert_int_equal(vm_lapic_irq(*state, 0, 0x41), 0);
	vm_close(*state);
	*state = vm_open("vm0");
	assert_int_equal(vmm_begin(*state, VMM_WRITE, NULL), 0);
	vmm_take_irqs(*state, 0, waiting);
	assert_int_equal(waiting[1], 2);
	assert_int_equal(waiting[0] | waiting[2] | waiting[3], 0);
	vmm_take_irqs(*state, 0, waiting);
	assert_int_equal(waiting[1], 0);
	assert_int_equal(vmm_end(*state, true, NULL), 0);
}

static uint8_t
sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	for (size_t i = 0; i < size; i++)
		total = (uint8_t)(total + bytes[i]);
	return (total);
}

/* MP specification 1.4, 4.1 and 4.2. */
static void
tables_are_found_and_sum_to_zero(void **state)
{
	char oem[] = "OEM's";
	const uint8_t *pointer, *table;
	uint16_t length, entries;
	uint32_t address;
	char *memory;

	assert_int_equal(vm_build_tables(*state, 2, NULL, 0), -1); /* no memory */
	assert_int_equal(errno, EFAULT);
	assert_int_equal(vm_setup_memory(*state, 0, MB, &memory), 0);
	assert_int_equal(vm_build_tables(*state, 0, NULL, 0), -1);
	assert_int_equal(vm_build_tables(*state, VM_MAXCPU + 1, NULL, 0), -1);
	assert_int_equal(vm_build_tables(*state, 1, oem, 1 << 20), -1);
	assert_int_equal(vm_build_tables(*state, 2, oem, sizeof(oem)), 0);
	pointer = (const uint8_t *)memory + 0xf0400;
	assert_memory_equal(pointer, "_MP_", 4);
	assert_int_equal(sum(pointer, 16), 0);
	memcpy(&address, pointer + 4, sizeof(address));
	table = (const uint8_t *)memory + address;
	assert_memory_equal(table, "PCMP", 4);
	memcpy(&length, table + 4, sizeof(length));
	assert_int_equal(sum(table, length), 0);
	memcpy(&entries, table + 34, sizeof(entries));
	/* 2 processors of 20 bytes; a bus, an I/O APIC, 15 + 2 interrupts of 8. */
	assert_int_equal(entries, 2 + 1 + 1 + 17);
	assert_int_equal(length, 44 + 2 * 20 + 19 * 8);
	memcpy(&address, table + 28, sizeof(address));
	assert_string_equal(memory + address, "OEM's");
}

static void
stats_have_the_seeds_three_first(void **state)
{
	struct timeval now = {0};
	int entries;
	uint64_t *stats = vm_get_stats(*state, 0, &now, &entries);

	assert_non_null(stats);
	assert_int_not_equal(now.tv_sec, 0);
	assert_string_equal(vm_get_stat_desc(*state, 0), "vcpu migration across host cpus");
	assert_string_equal(vm_get_stat_desc(*state, 1), "vcpu total runtime");
	assert_string_equal(vm_get_stat_desc(*state, 2), "vm exits due to external interrupt");
	for (int i = 0; i < entries; i++)
		assert_non_null(vm_get_stat_desc(*state, i));
	assert_null(vm_get_stat_desc(*state, entries));
	assert_null(vm_get_stat_desc(*state, -1));
}

/* What another process does with a VM, as the exit status of a child. */
static int
in_child(int (*action)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(action());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static int
set_and_get_fail(void)
{
	struct vmctx *ctx = vm_open("vm0");
	uint64_t value;
	int entries;

	if (ctx == NULL || vm_set_register(ctx, 0, VM_REG_GUEST_RAX, 1) == 0 || errno != EBUSY)
		return (1);
	if (vm_get_register(ctx, 0, VM_REG_GUEST_RAX, &value) == 0 || errno != EBUSY)
		return (2);
	if (vm_get_stats(ctx, 0, NULL, &entries) == NULL)
		return (3);
	if (vmm_destroy("vm0", NULL) == 0 || errno != EBUSY)
		return (4);
	return (0);
}

static void
a_running_vm_is_its_runners(void **state)
{
	struct vmm_info info;

	assert_int_equal(vmm_run_begin(*state, NULL), 0);
	assert_int_equal(vmm_info("vm0", &info, NULL), 0);
	assert_int_equal(info.status, VMM_RUNNING);
	assert_int_equal(info.runner, getpid());
	assert_int_equal(in_child(set_and_get_fail), 0);
	assert_int_equal(vmm_run_end(*state, NULL), 0);
	assert_int_equal(vmm_info("vm0", &info, NULL), 0);
	assert_int_equal(info.status, VMM_STOPPED);
}

static int
run_and_die(void)
{
	struct vmctx *ctx = vm_open("vm0");

	if (vm_set_register(ctx, 0, VM_REG_GUEST_RBX, 77) != 0 || vmm_run_begin(ctx, NULL) != 0)
		return (1);
	_exit(0); /* as if killed: nothing is written */
}

static void
a_killed_vm_can_be_read_and_loaded(void **state)
{
	struct vmm_info info;
	struct vm_exit vmexit;
	uint64_t value;

	assert_int_equal(in_child(run_and_die), 0);
	assert_int_equal(vmm_info("vm0", &info, NULL), 0);
	assert_int_equal(info.status, VMM_KILLED);
	assert_int_equal(vm_get_register(*state, 0, VM_REG_GUEST_RBX, &value), 0);
	assert_int_equal(value, 77);
	assert_int_equal(vm_set_register(*state, 0, VM_REG_GUEST_RBX, 1), -1);
	assert_int_equal(errno, EOWNERDEAD);
	assert_int_equal(vm_run(*state, 0, 0, &vmexit), -1);
	assert_int_equal(errno, EOWNERDEAD);
	assert_int_equal(vmm_begin(*state, VMM_LOAD, NULL), 0);
	assert_int_equal(vmm_reset(*state, NULL), 0);
	assert_int_equal(vmm_end(*state, true, NULL), 0);
	assert_int_equal(vm_get_register(*state, 0, VM_REG_GUEST_RBX, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(vm_set_register(*state, 0, VM_REG_GUEST_RBX, 1), 0);
}

static void
reset_clears_memory_and_capabilities(void **state)
{
	struct vmm_drive drives[VMM_DRIVES_MAX];
	char *memory;
	int value;

	assert_int_equal(vm_setup_memory(*state, 0, MB, &memory), 0);
	memcpy(memory, "old", sizeof("old"));
	assert_int_equal(vm_set_capability(*state, 0, VM_CAP_UNRESTRICTED_GUEST, 1), 0);
	assert_int_equal(vmm_begin(*state, VMM_LOAD, NULL), 0);
	assert_int_equal(vmm_add_drive(*state, "/disk.img", true, NULL), 0);
	assert_int_equal(vmm_drives(*state, drives), 1);
	assert_string_equal(drives[0].path, "/disk.img");
	assert_true(drives[0].readonly);
	assert_int_equal(vmm_reset(*state, NULL), 0);
	assert_int_equal(vmm_drives(*state, drives), 0);
	assert_int_equal(vmm_end(*state, true, NULL), 0);
	assert_int_equal(memory[0], 0);
	assert_int_equal(vm_get_capability(*state, 0, VM_CAP_UNRESTRICTED_GUEST, &value), 0);
	assert_int_equal(value, 0);
}

static void
drives_are_remembered(void **state)
{
	struct vmm_drive drives[VMM_DRIVES_MAX];
	char long_path[5000];
	struct vmctx *other;

	assert_int_equal(vmm_begin(*state, VMM_WRITE, NULL), 0);
	for (int i = 0; i < VMM_DRIVES_MAX; i++) {
		snprintf(long_path, sizeof(long_path), "/disk%d", i);
		assert_int_equal(vmm_add_drive(*state, long_path, i & 1, NULL), 0);
	}
	assert_int_equal(vmm_add_drive(*state, "/more", false, NULL), -1);
	assert_int_equal(vmm_end(*state, true, NULL), 0);
	other = vm_open("vm0");
	assert_int_equal(vmm_begin(other, VMM_READ, NULL), 0);
	assert_int_equal(vmm_drives(other, drives), VMM_DRIVES_MAX);
	assert_string_equal(drives[7].path, "/disk7");
	assert_true(drives[7].readonly && !drives[6].readonly);
	vmm_end(other, false, NULL);
	vm_close(other);
}

/* A chip's state, saved by one run and restored by the next; kept by those who know nothing of it. */
static void
sections_of_chips_are_kept(void **state)
{
	uint32_t chip = 42, again = 0;
	struct section section = {.id = "i8254", .version = 1, .size = sizeof(chip), .data = &chip};
	struct vmctx *next;
	struct vmm_error err;

	assert_int_equal(vmm_run_begin(*state, NULL), 0);
	assert_int_equal(vmm_add_section(*state, &section, NULL), 0);
	chip = 43;
	assert_int_equal(vmm_run_end(*state, NULL), 0);
	next = vm_open("vm0");
	assert_int_equal(vm_set_register(next, 0, VM_REG_GUEST_RAX, 1), 0);
	vm_close(next);
	next = vm_open("vm0");
	assert_int_equal(vmm_run_begin(next, NULL), 0);
	section.data = &again;
	assert_int_equal(vmm_add_section(next, &section, NULL), 1);
	assert_int_equal(again, 43);
	vmm_run_end(next, NULL);
	vm_close(next);
	next = vm_open("vm0");
	assert_int_equal(vmm_run_begin(next, NULL), 0);
	section.version = 2;
	assert_int_equal(vmm_add_section(next, &section, &err), -1);
	assert_non_null(strstr(err.text, "i8254"));
	vmm_run_end(next, NULL);
	vm_close(next);
}

static void
a_damaged_vm_is_listed_and_destroyed(void **state)
{
	char path[128];
	struct vmm_info info;
	struct vmm_error err;
	struct vmctx *ctx;

	(void)state;
	snprintf(path, sizeof(path), "%s/vm0/state", vm_folder);
	assert_int_equal(truncate(path, 100), 0);
	assert_null(vm_open("vm0"));
	assert_int_equal(errno, EBADMSG);
	ctx = vmm_open("vm0", &err);
	assert_int_equal(vmm_begin(ctx, VMM_READ, &err), -1);
	assert_non_null(strstr(err.text, "vm0: its state cannot be read"));
	vm_close(ctx);
	assert_int_equal(vmm_info("vm0", &info, NULL), 0);
	assert_int_equal(info.status, VMM_DAMAGED);
	assert_int_equal(vmm_destroy("vm0", &err), 0);
}

static void
count_vm(void *opaque, const char *name)
{
	(void)name;
	(*(int *)opaque)++;
}

static void
a_volatile_vm_goes_and_may_be_kept(void **unused)
{
	struct vmctx *ctx, *last;
	struct vmm_error err;
	uint64_t value;
	int vms = 0;

	(void)unused;
	ctx = vmm_create_volatile("boot-1", MB, 0, &err);
	assert_non_null(ctx);
	assert_null(vmm_create_volatile("boot-1", MB, 0, &err));
	assert_non_null(strstr(err.text, "boot-1"));
	memory_put32(vmm_memory(ctx, NULL), 0x7c00, 0xaa55);
	vmm_vcpu_state(ctx, 0)->gpr.rip = 0x1234;
	assert_int_equal(vmm_keep(ctx, "last", &err), 0);
	assert_int_equal(vmm_keep(ctx, "last", &err), 0); /* replaces */
	vmm_discard(ctx);
	assert_int_equal(vmm_each(count_vm, &vms, NULL), 1);
	assert_int_equal(vms, 1);
	last = vm_open("last");
	assert_non_null(last);
	assert_int_equal(vm_get_register(last, 0, VM_REG_GUEST_RIP, &value), 0);
	assert_int_equal(value, 0x1234);
	assert_int_equal(*(uint32_t *)(void *)(vm_map_memory(last, 0x7000, 4096) + 0xc00), 0xaa55);
	vm_destroy(last);
}

int
main(void)
{
#define ON_VM(test) cmocka_unit_test_setup_teardown(test, vm_setup, vm_teardown)
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
	    IN_FOLDER(names_are_checked),
	    IN_FOLDER(a_vm_lives_until_it_is_destroyed),
	    ON_VM(handles_see_each_others_changes),
	    ON_VM(every_register_keeps_its_value),
	    ON_VM(wrong_numbers_are_refused),
	    ON_VM(memory_has_two_segments),
	    ON_VM(impossible_memory_is_refused),
	    ON_VM(capabilities_by_name),
	    ON_VM(events_wait_one_at_a_time),
	    ON_VM(there_is_no_passthrough),
	    ON_VM(interrupts_wait_for_the_local_apic),
	    ON_VM(tables_are_found_and_sum_to_zero),
	    ON_VM(stats_have_the_seeds_three_first),
	    ON_VM(a_running_vm_is_its_runners),
	    ON_VM(a_killed_vm_can_be_read_and_loaded),
	    ON_VM(reset_clears_memory_and_capabilities),
	    ON_VM(drives_are_remembered),
	    ON_VM(sections_of_chips_are_kept),
	    ON_VM(a_damaged_vm_is_listed_and_destroyed),
	    IN_FOLDER(a_volatile_vm_goes_and_may_be_kept),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
