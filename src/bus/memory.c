/* Guest-physical memory: the host range, the memory map, and access for everybody but the CPU. */
#include "bus/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096ull
#define GUARD (64 * 1024ull)
#define PLAIN_START (1024 * 1024ull)

/* Where low RAM from START on meets the first region that lies over it. */
static uint64_t
plain_from(const struct memory *mem, uint64_t start)
{
	uint64_t end = mem->low_size > start ? mem->low_size : start;

	for (unsigned i = mem->nbase; i < mem->nregions; i++) {
		const struct mem_region *r = &mem->regions[i];

		if (r->gpa + r->size > start && r->gpa < end)
			end = r->gpa > start ? r->gpa : start;
	}
	return (end);
}

static void
find_plain(struct memory *mem)
{
	mem->plain_end[0] = plain_from(mem, 0);
	mem->plain_end[1] = plain_from(mem, PLAIN_START);
}

static void
notify_changed(struct memory *mem, uint64_t gpa, uint64_t size)
{
	find_plain(mem);
	for (unsigned i = 0; i < mem->nlisteners; i++)
		if (mem->listeners[i].changed != NULL)
			mem->listeners[i].changed(mem->listeners[i].opaque, gpa, size);
}

/* How the file is mapped. */
struct mapping {
	int prot;
	int flags;
};

/* Map [gpa, gpa+size) of the file to its place in the reserved range. */
static int
map_part(struct memory *mem, uint64_t gpa, uint64_t size, const struct mapping *how)
{
	if (size == 0)
		return (0);
	if (mmap(mem->base + gpa, size, how->prot, how->flags | MAP_FIXED, mem->fd, (off_t)gpa) ==
	    MAP_FAILED)
		return (-1);
	return (memory_add_region(
	    mem, &(struct mem_region){.gpa = gpa, .size = size, .type = MEM_RAM, .name = "ram"}));
}

static int
grow_file(int fd, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return (-1);
	if ((uint64_t)st.st_size >= size)
		return (0);
	return (ftruncate(fd, (off_t)size));
}

/* Reserve the host range and map the file into it. */
static int
map_all(struct memory *mem, const struct mapping *how)
{
	int saved;

	mem->reservation_size = (size_t)(mem->limit + 2 * GUARD);
	mem->reservation = mmap(NULL, mem->reservation_size, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem->reservation == MAP_FAILED) {
		mem->reservation = NULL;
		return (-1);
	}
	mem->base = (uint8_t *)mem->reservation + GUARD;
	if (map_part(mem, 0, mem->low_size, how) == 0 &&
	    map_part(mem, MEMORY_HIGH_BASE, mem->high_size, how) == 0) {
		mem->nbase = mem->nregions;
		find_plain(mem);
		return (0);
	}
	saved = errno;
	memory_fini(mem);
	errno = saved;
	return (-1);
}

int
memory_init(struct memory *mem, int fd, uint64_t low_size, uint64_t high_size, bool writable)
{
	const struct mapping how = {PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED};
	uint64_t top = high_size != 0 ? MEMORY_HIGH_BASE + high_size : low_size;

	*mem = (struct memory){
	    .low_size = low_size,
	    .high_size = high_size,
	    .limit = top,
	    .a20_mask = UINT64_MAX,
	    .fd = fd,
	};
	if (low_size % PAGE != 0 || high_size % PAGE != 0 || low_size > MEMORY_HIGH_BASE) {
		errno = EINVAL;
		return (-1);
	}
	if (writable && grow_file(fd, top) != 0)
		return (-1);
	return (map_all(mem, &how));
}

static uint64_t
nothing_read(void *opaque, uint64_t offset, unsigned size)
{
	(void)opaque;
	(void)offset;
	(void)size;
	return (UINT64_MAX);
}

static void
nothing_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	(void)opaque;
	(void)offset;
	(void)size;
	(void)value;
}

int
memory_copy(struct memory *copy, const struct memory *src)
{
	static const struct mmio_ops nothing = {nothing_read, nothing_write};
	const struct mapping how = {PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE};

	*copy = (struct memory){
	    .low_size = src->low_size,
	    .high_size = src->high_size,
	    .limit = src->limit,
	    .a20_mask = src->a20_mask,
	    .fd = src->fd,
	};
	if (map_all(copy, &how) != 0)
		return (-1);
	memcpy(copy->regions, src->regions, sizeof(copy->regions));
	copy->nregions = src->nregions;
	find_plain(copy);
	for (unsigned i = 0; i < copy->nregions; i++)
		if (copy->regions[i].type == MEM_MMIO)
			copy->regions[i].ops = &nothing;
	return (0);
}

void
memory_fini(struct memory *mem)
{
	if (mem->reservation != NULL)
		munmap(mem->reservation, mem->reservation_size);
	mem->reservation = NULL;
	mem->base = NULL;
	mem->nregions = mem->nbase = 0;
}

void
memory_touched(struct memory *mem, uint64_t gpa, size_t len)
{
	/* Page by page while A20 is off: a range may then wrap. */
	size_t step = memory_get_a20(mem) ? len : PAGE;

	for (size_t part; len > 0; gpa += part, len -= part) {
		part = step == PAGE ? PAGE - gpa % PAGE : len;
		if (part > len)
			part = len;
		for (unsigned i = 0; i < mem->nlisteners; i++)
			if (mem->listeners[i].written != NULL)
				mem->listeners[i].written(
				    mem->listeners[i].opaque, gpa & mem->a20_mask, part);
	}
}

int
memory_add_region(struct memory *mem, const struct mem_region *region)
{
	if (mem->nregions == MEMORY_REGIONS_MAX) {
		errno = ENOSPC;
		return (-1);
	}
	mem->regions[mem->nregions++] = *region;
	notify_changed(mem, region->gpa, region->size);
	return (0);
}

void
memory_set_type(struct memory *mem, const char *name, enum mem_type type)
{
	for (unsigned i = 0; i < mem->nregions; i++) {
		struct mem_region *region = &mem->regions[i];

		if (strcmp(region->name, name) == 0 && region->type != type) {
			region->type = type;
			notify_changed(mem, region->gpa, region->size);
		}
	}
}

void
memory_move(struct memory *mem, const char *name, uint64_t gpa, enum mem_type type)
{
	for (unsigned i = 0; i < mem->nregions; i++) {
		struct mem_region *region = &mem->regions[i];
		uint64_t from = region->gpa;

		if (strcmp(region->name, name) != 0 || (from == gpa && region->type == type))
			continue;
		region->gpa = gpa;
		region->type = type;
		notify_changed(mem, from, region->size);
		notify_changed(mem, gpa, region->size);
	}
}

void
memory_set_a20(struct memory *mem, bool on)
{
	uint64_t mask = on ? UINT64_MAX : ~MEMORY_A20;

	if (mem->a20_mask == mask)
		return;
	mem->a20_mask = mask;
	notify_changed(mem, 0, UINT64_MAX);
}

void
memory_take_map(struct memory *mem, const struct mem_region *regions, unsigned n, bool a20)
{
	mem->nregions = n < MEMORY_REGIONS_MAX ? n : MEMORY_REGIONS_MAX;
	memcpy(mem->regions, regions, mem->nregions * sizeof(regions[0]));
	mem->a20_mask = a20 ? UINT64_MAX : ~MEMORY_A20;
	notify_changed(mem, 0, UINT64_MAX);
}

bool
memory_get_a20(const struct memory *mem)
{
	return (mem->a20_mask == UINT64_MAX);
}

int
memory_listen(struct memory *mem, const struct memory_listener *listener)
{
	if (mem->nlisteners == MEMORY_LISTENERS_MAX)
		return (-1);
	mem->listeners[mem->nlisteners++] = *listener;
	return (0);
}

void
memory_unlisten(struct memory *mem, const void *opaque)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < mem->nlisteners; i++)
		if (mem->listeners[i].opaque != opaque)
			mem->listeners[kept++] = mem->listeners[i];
	mem->nlisteners = kept;
}

struct mem_page
memory_page(const struct memory *mem, uint64_t gpa)
{
	gpa &= mem->a20_mask & ~(PAGE - 1);
	if (gpa < mem->plain_end[0] || (gpa >= PLAIN_START && gpa < mem->plain_end[1]))
		return ((struct mem_page){.type = MEM_RAM, .host = mem->base + gpa});
	for (unsigned i = mem->nregions; i-- > 0;) {
		const struct mem_region *region = &mem->regions[i];

		if (gpa - region->gpa >= region->size)
			continue;
		/* RAM or ROM without memory behind it (a window in a hole) is nothing. */
		if (region->type != MEM_MMIO && region->type != MEM_NONE &&
		    !(gpa < mem->low_size ||
			(gpa >= MEMORY_HIGH_BASE && gpa - MEMORY_HIGH_BASE < mem->high_size)))
			return ((struct mem_page){.type = MEM_NONE});
		return ((struct mem_page){
		    .type = region->type, .host = mem->base + gpa, .region = region});
	}
	return ((struct mem_page){.type = MEM_NONE});
}

/* Walk [gpa, gpa+len) page by page. WRITE: copy from buf (into ROM too if ROM_TOO), else to buf. */
static bool
copy_pages(
    const struct memory *mem, uint64_t gpa, uint8_t *buf, size_t len, bool write, bool rom_too)
{
	while (len > 0) {
		size_t offset = gpa % PAGE;
		size_t part = PAGE - offset < len ? PAGE - offset : len;
		struct mem_page page = memory_page(mem, gpa);

		if (page.type != MEM_RAM && !(page.type == MEM_ROM && (!write || rom_too)))
			return (false);
		if (write)
			memcpy(page.host + offset, buf, part);
		else
			memcpy(buf, page.host + offset, part);
		buf += part;
		gpa += part;
		len -= part;
	}
	return (true);
}

bool
memory_read(const struct memory *mem, uint64_t gpa, void *buf, size_t len)
{
	return (copy_pages(mem, gpa, buf, len, false, false));
}

bool
memory_write(struct memory *mem, uint64_t gpa, const void *buf, size_t len)
{
	bool ok = copy_pages(mem, gpa, (uint8_t *)(uintptr_t)buf, len, true, false);

	memory_touched(mem, gpa, len);
	return (ok);
}

bool
memory_load(struct memory *mem, uint64_t gpa, const void *buf, size_t len)
{
	bool ok = copy_pages(mem, gpa, (uint8_t *)(uintptr_t)buf, len, true, true);

	memory_touched(mem, gpa, len);
	return (ok);
}

bool
memory_is_ram(const struct memory *mem, uint64_t gpa, size_t len)
{
	if (gpa + len < gpa)
		return (false);
	for (uint64_t at = gpa & ~(PAGE - 1); at < gpa + len; at += PAGE)
		if (memory_page(mem, at).type != MEM_RAM)
			return (false);
	return (true);
}

uint8_t *
memory_span(const struct memory *mem, uint64_t gpa, size_t len)
{
	uint64_t first = gpa & mem->a20_mask;

	if (len == 0 || ((gpa + len - 1) & mem->a20_mask) - first != len - 1)
		return (NULL);
	return (memory_is_ram(mem, gpa, len) ? mem->base + first : NULL);
}

uint8_t
memory_get8(const struct memory *mem, uint64_t gpa)
{
	uint8_t value = 0;

	return (memory_read(mem, gpa, &value, sizeof(value)) ? value : 0);
}

uint16_t
memory_get16(const struct memory *mem, uint64_t gpa)
{
	uint16_t value = 0;

	return (memory_read(mem, gpa, &value, sizeof(value)) ? value : 0);
}

uint32_t
memory_get32(const struct memory *mem, uint64_t gpa)
{
	uint32_t value = 0;

	return (memory_read(mem, gpa, &value, sizeof(value)) ? value : 0);
}

void
memory_put8(struct memory *mem, uint64_t gpa, uint8_t value)
{
	memory_write(mem, gpa, &value, sizeof(value));
}

void
memory_put16(struct memory *mem, uint64_t gpa, uint16_t value)
{
	memory_write(mem, gpa, &value, sizeof(value));
}

void
memory_put32(struct memory *mem, uint64_t gpa, uint32_t value)
{
	memory_write(mem, gpa, &value, sizeof(value));
}
