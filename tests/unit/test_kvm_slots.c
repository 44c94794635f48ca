/* The memory map as KVM's memory slots: every page is in the slot that it should be in, or in none. */
#include "unit.h"

#include "fake_kvm.h"

#define PAGE UINT64_C(4096)
#define MB (UINT64_C(1) << 20)
#define LOW (4 * MB)
#define HIGH (2 * MB)

static struct fake_board board;

static const struct mmio_ops no_ops;

static int
setup(void **state)
{
	(void)state;
	memset(&board, 0, sizeof(board));
	fake_kvm_reset(false);
	if (!fake_board_init(&board, LOW, HIGH))
		return (-1);
	return (fake_board_create(&board, true));
}

static int
teardown(void **state)
{
	(void)state;
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
	return (0);
}

static void
add(const char *name, uint64_t gpa, uint64_t size, enum mem_type type)
{
	assert_int_equal(
	    memory_add_region(&board.mem,
		&(struct mem_region){
		    .gpa = gpa, .size = size, .type = type, .ops = &no_ops, .name = name}),
	    0);
}

/* The page at GPA is where the map says; A20 off has nothing above the second megabyte. */
static void
check_page(uint64_t gpa)
{
	const struct kvm_userspace_memory_region *slot = fake_slot_at(gpa);
	struct mem_page page = memory_page(&board.mem, gpa);
	bool beyond = !memory_get_a20(&board.mem) && gpa >= 2 * MB;

	if ((page.type != MEM_RAM && page.type != MEM_ROM) || beyond) {
		if (slot != NULL)
			fail_msg("%#llx is in a slot", (unsigned long long)gpa);
		return;
	}
	if (slot == NULL)
		fail_msg("%#llx is in no slot", (unsigned long long)gpa);
	assert_ptr_equal(slot->userspace_addr + (gpa - slot->guest_phys_addr), page.host);
	assert_int_equal(slot->flags, page.type == MEM_ROM ? KVM_MEM_READONLY : 0);
}

static void
check_map(void)
{
	for (uint64_t gpa = 0; gpa < LOW + MB; gpa += PAGE)
		check_page(gpa);
	for (uint64_t gpa = MEMORY_HIGH_BASE - MB; gpa < MEMORY_HIGH_BASE + HIGH + MB; gpa += PAGE)
		check_page(gpa);
	assert_false(fake_kvm.overlap);
}

static bool
same(const struct kvm_userspace_memory_region *a, const struct kvm_userspace_memory_region *b)
{
	return (a->guest_phys_addr == b->guest_phys_addr && a->memory_size == b->memory_size &&
	    a->userspace_addr == b->userspace_addr && a->flags == b->flags);
}

/* Take the map over; slots that are the same before and after were left alone. */
static void
update(void)
{
	static struct kvm_userspace_memory_region before[FAKE_SLOTS];

	memcpy(before, fake_kvm.slots, sizeof(before));
	memset(fake_kvm.touched, 0, sizeof(fake_kvm.touched));
	assert_int_equal(kvm_update_slots(&board.vcpu), 0);
	check_map();
	for (unsigned i = 0; i < FAKE_SLOTS; i++)
		for (unsigned j = 0; j < FAKE_SLOTS && before[i].memory_size != 0; j++)
			if (same(&before[i], &fake_kvm.slots[j])) {
				assert_int_equal(i, j);
				assert_false(fake_kvm.touched[i]);
			}
}

static unsigned
slots(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_SLOTS; i++)
		n += fake_kvm.slots[i].memory_size != 0;
	return (n);
}

/* --- the tests --------------------------------------------------------------------------------------- */

static void
memory_alone(void **state)
{
	(void)state;
	update();
	assert_int_equal(slots(), 2);
	assert_int_equal(fake_slot_at(0)->memory_size, LOW);
	assert_int_equal(fake_slot_at(MEMORY_HIGH_BASE)->memory_size, HIGH);
	assert_null(fake_slot_at(LOW));
}

static void
rom_holes_and_devices(void **state)
{
	(void)state;
	add("window", 0xa0000, 0x20000, MEM_MMIO);
	add("rom", 0xf0000, 0x10000, MEM_ROM);
	add("hole", 0x200000, 0x1000, MEM_NONE);
	update();
	/* Below the window, between it and the ROM, the ROM, up to the hole, above it, above 4 GB. */
	assert_int_equal(slots(), 6);
	assert_null(fake_slot_at(0xa0000));
	assert_null(fake_slot_at(0xbffff));
	assert_int_equal(fake_slot_at(0xf0000)->flags, KVM_MEM_READONLY);
	assert_null(fake_slot_at(0x200000));
}

static void
a20_off(void **state)
{
	(void)state;
	add("window", 0xa0000, 0x20000, MEM_MMIO);
	add("rom", 0xf0000, 0x10000, MEM_ROM);
	memory_set_a20(&board.mem, false);
	update();
	for (uint64_t gpa = 0; gpa < MB; gpa += PAGE) {
		const struct kvm_userspace_memory_region *low = fake_slot_at(gpa);
		const struct kvm_userspace_memory_region *again = fake_slot_at(gpa + MB);

		assert_true((low == NULL) == (again == NULL));
		if (low == NULL)
			continue;
		assert_int_equal(low->userspace_addr + gpa - low->guest_phys_addr,
		    again->userspace_addr + gpa + MB - again->guest_phys_addr);
		assert_int_equal(low->flags, again->flags);
	}
	assert_null(fake_slot_at(2 * MB));
	assert_null(fake_slot_at(MEMORY_HIGH_BASE));
	memory_set_a20(&board.mem, true);
	update();
}

static void
what_stays_is_not_touched(void **state)
{
	unsigned calls;

	(void)state;
	add("window", 0xa0000, 0x20000, MEM_MMIO);
	add("rom", 0xf0000, 0x10000, MEM_ROM);
	update();
	calls = fake_kvm.slot_calls;
	update();
	assert_int_equal(fake_kvm.slot_calls, calls);
	/* The window as plain memory joins its neighbours: two slots go, one comes. */
	memory_set_type(&board.mem, "window", MEM_RAM);
	update();
	assert_int_equal(fake_kvm.slot_calls, calls + 3);
}

static void
regions_that_move(void **state)
{
	(void)state;
	add("lapic", 0xfee00000, 0x1000, MEM_MMIO);
	update();
	assert_int_equal(slots(), 2);
	memory_move(&board.mem, "lapic", 0x300000, MEM_MMIO);
	update();
	assert_null(fake_slot_at(0x300000));
	assert_int_equal(slots(), 3);
	memory_move(&board.mem, "lapic", 0x301000, MEM_MMIO);
	update();
	assert_non_null(fake_slot_at(0x300000));
	assert_null(fake_slot_at(0x301000));
	memory_move(&board.mem, "lapic", 0, MEM_NONE);
	update();
}

/* Whatever is laid, moved and changed. */
static void
random_maps(void **state)
{
	static char names[MEMORY_REGIONS_MAX][8];
	static const enum mem_type types[] = {MEM_NONE, MEM_RAM, MEM_ROM, MEM_MMIO};
	unsigned n = 0, seed = 1;

	(void)state;
	for (unsigned turn = 0; turn < 300; turn++) {
		uint64_t page = (uint64_t)rand_r(&seed) % (LOW / PAGE);
		uint64_t pages = 1 + (uint64_t)rand_r(&seed) % (turn % 2 == 0 ? 4 : 300);
		enum mem_type type = types[rand_r(&seed) % 4];
		uint64_t base = rand_r(&seed) % 4 == 0 ? MEMORY_HIGH_BASE : 0;

		/* RAM is only where there is memory behind it. */
		if (base != 0)
			page %= (HIGH - 300 * PAGE) / PAGE;
		else if (page + pages > LOW / PAGE)
			page = LOW / PAGE - pages;
		switch (n < 40 ? rand_r(&seed) % 4 : 1 + rand_r(&seed) % 3) {
		case 0:
			snprintf(names[n], sizeof(names[n]), "r%u", n);
			add(names[n++], base + page * PAGE, pages * PAGE, type);
			break;
		case 1:
			memory_set_a20(&board.mem, rand_r(&seed) % 2 == 0);
			break;
		case 2:
			if (n > 0)
				memory_set_type(
				    &board.mem, names[(unsigned)rand_r(&seed) % n], type);
			break;
		default:
			if (n > 0)
				memory_move(&board.mem, names[(unsigned)rand_r(&seed) % n],
				    base + page % 512 * PAGE, MEM_MMIO);
			break;
		}
		update();
	}
}

/* A slot that KVM refuses: an error that names the call, and the next try takes over the rest. */
static void
a_slot_is_refused(void **state)
{
	(void)state;
	add("rom", 0xf0000, 0x10000, MEM_ROM);
	for (unsigned n = 0; n < 4; n++) {
		memory_set_type(&board.mem, "rom", n % 2 == 0 ? MEM_RAM : MEM_ROM);
		fake_kvm.failure = (struct fake_failure){.call = KVM_SET_USER_MEMORY_REGION,
		    .argument = FAKE_ANY,
		    .skip = n,
		    .times = 1,
		    .error = ENOMEM};
		fake_kvm.failed = 0;
		board.vcpu.exit = (struct engine_exit_info){.kind = ENGINE_CANCELED};
		if (kvm_update_slots(&board.vcpu) != 0) {
			assert_int_equal(board.vcpu.exit.kind, ENGINE_ERROR);
			assert_non_null(strstr(board.vcpu.exit.text, "KVM_SET_USER_MEMORY_REGION"));
		}
		fake_kvm.failure.call = 0;
		update();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(memory_alone, setup, teardown),
	    cmocka_unit_test_setup_teardown(rom_holes_and_devices, setup, teardown),
	    cmocka_unit_test_setup_teardown(a20_off, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_stays_is_not_touched, setup, teardown),
	    cmocka_unit_test_setup_teardown(regions_that_move, setup, teardown),
	    cmocka_unit_test_setup_teardown(random_maps, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_slot_is_refused, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
