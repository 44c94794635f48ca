/*
 * vm_build_tables(): the MP configuration table, by which an operating system finds processors and
 * interrupt controllers. Intel MultiProcessor Specification 1.4, chapter 4.
 *
 * It lies in the BIOS area, at the address that bhyve gave it in 2012; the OEM's table, if any,
 * follows it.
 */
#include <errno.h>
#include <string.h>

#include "vmm/ctx.h"

#define TABLE_ADDRESS 0xf0400u
#define TABLE_END 0x100000u
#define SPEC_REVISION 4
#define LAPIC_ADDRESS 0xfee00000u
#define IOAPIC_ADDRESS 0xfec00000u
#define APIC_VERSION 0x11
#define CPU_ENABLED 1
#define CPU_BOOT 2
#define CPU_SIGNATURE 0xf00u
#define CPU_FEATURES 0x201u /* FPU, APIC */
#define ISA_IRQS 16

enum entry_type { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IO_INTERRUPT, ENTRY_LOCAL_INTERRUPT };
enum interrupt_type { INTERRUPT_INT, INTERRUPT_NMI, INTERRUPT_SMI, INTERRUPT_EXTINT };

/* 4.1 */
struct floating_pointer {
	char signature[4];
	uint32_t table;
	uint8_t length; /* in 16 bytes */
	uint8_t revision;
	uint8_t checksum;
	uint8_t features[5];
} __attribute__((packed));

/* 4.2 */
struct header {
	char signature[4];
	uint16_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem[8];
	char product[12];
	uint32_t oem_table;
	uint16_t oem_size;
	uint16_t entries;
	uint32_t lapic;
	uint32_t reserved;
} __attribute__((packed));

/* 4.3.1 */
struct cpu_entry {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
} __attribute__((packed));

/* 4.3.2 */
struct bus_entry {
	uint8_t type, id;
	char name[6];
} __attribute__((packed));

/* 4.3.3 */
struct ioapic_entry {
	uint8_t type, id, version, flags;
	uint32_t address;
} __attribute__((packed));

/* 4.3.4, 4.3.5 */
struct interrupt_entry {
	uint8_t type, interrupt_type;
	uint16_t flags; /* 0: as the bus has them */
	uint8_t bus, irq, apic, input;
} __attribute__((packed));

struct tables {
	struct floating_pointer pointer;
	struct header header;
	struct cpu_entry cpus[VM_MAXCPU];
	struct bus_entry bus;
	struct ioapic_entry ioapic;
	struct interrupt_entry interrupts[ISA_IRQS];
	struct interrupt_entry local[2];
} __attribute__((packed));

/* Append the SIZE bytes at ENTRY to the table that is being built at AT. */
static uint8_t *
append(uint8_t *at, struct header *header, const void *entry, size_t size)
{
	memcpy(at, entry, size);
	header->length = (uint16_t)(header->length + size);
	header->entries++;
	return (at + size);
}

/* What makes the sum of SIZE bytes 0. */
static uint8_t
checksum(const void *data, size_t size)
{
	const uint8_t *byte = data;
	uint8_t sum = 0;

	while (size-- > 0)
		sum = (uint8_t)(sum + *byte++);
	return ((uint8_t)-sum);
}

static uint8_t *
append_cpus(uint8_t *at, struct header *header, int ncpus)
{
	for (int i = 0; i < ncpus; i++) {
		struct cpu_entry entry = {.type = ENTRY_CPU,
		    .apic_id = (uint8_t)i,
		    .apic_version = APIC_VERSION,
		    .flags = i == 0 ? CPU_ENABLED | CPU_BOOT : CPU_ENABLED,
		    .signature = CPU_SIGNATURE,
		    .features = CPU_FEATURES};

		at = append(at, header, &entry, sizeof(entry));
	}
	return (at);
}

static uint8_t *
append_interrupts(uint8_t *at, struct header *header, uint8_t ioapic)
{
	struct interrupt_entry entry = {.type = ENTRY_IO_INTERRUPT, .apic = ioapic};
	struct interrupt_entry local = {.type = ENTRY_LOCAL_INTERRUPT, .apic = 0xff};

	for (uint8_t irq = 0; irq < ISA_IRQS; irq++) {
		if (irq == 2)
			continue; /* the cascade of the two 8259 */
		entry.irq = irq;
		entry.input = irq == 0 ? 2 : irq;
		at = append(at, header, &entry, sizeof(entry));
	}
	local.interrupt_type = INTERRUPT_EXTINT;
	at = append(at, header, &local, sizeof(local));
	local.interrupt_type = INTERRUPT_NMI;
	local.input = 1;
	return (append(at, header, &local, sizeof(local)));
}

/* The table without its OEM part; its size. */
static size_t
build(uint8_t *out, int ncpus, int oem_size)
{
	const struct bus_entry bus = {ENTRY_BUS, 0, {'I', 'S', 'A', ' ', ' ', ' '}};
	const struct ioapic_entry ioapic = {
	    ENTRY_IOAPIC, (uint8_t)ncpus, APIC_VERSION, 1, IOAPIC_ADDRESS};
	struct header header = {.signature = {'P', 'C', 'M', 'P'},
	    .length = sizeof(header),
	    .revision = SPEC_REVISION,
	    .oem = {'H', 'Y', 'V', 'E', '8', '6', ' ', ' '},
	    .product = {'V', 'M', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '},
	    .lapic = LAPIC_ADDRESS};
	struct floating_pointer pointer = {.signature = {'_', 'M', 'P', '_'},
	    .table = TABLE_ADDRESS + sizeof(pointer),
	    .length = sizeof(pointer) / 16,
	    .revision = SPEC_REVISION};
	uint8_t *table = out + sizeof(pointer);
	uint8_t *at = table + sizeof(header);

	at = append_cpus(at, &header, ncpus);
	at = append(at, &header, &bus, sizeof(bus));
	at = append(at, &header, &ioapic, sizeof(ioapic));
	at = append_interrupts(at, &header, ioapic.id);
	if (oem_size > 0) {
		header.oem_table = TABLE_ADDRESS + (uint32_t)(at - out);
		header.oem_size = (uint16_t)oem_size;
	}
	memcpy(table, &header, sizeof(header));
	header.checksum = checksum(table, header.length);
	memcpy(table, &header, sizeof(header));
	pointer.checksum = checksum(&pointer, sizeof(pointer));
	memcpy(out, &pointer, sizeof(pointer));
	return ((size_t)(at - out));
}

int
vm_build_tables(struct vmctx *ctx, int ncpus, void *oemtbl, int oemtblsz)
{
	uint8_t bytes[sizeof(struct tables)];
	struct memory *mem;
	size_t size;
	bool ok;

	if (ncpus < 1 || ncpus > VM_MAXCPU || oemtblsz < 0 || (oemtblsz > 0 && oemtbl == NULL) ||
	    oemtblsz > (int)(TABLE_END - TABLE_ADDRESS - sizeof(bytes))) {
		errno = EINVAL;
		return (-1);
	}
	if (vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	size = build(bytes, ncpus, oemtblsz);
	mem = vmm_memory(ctx, NULL);
	ok = mem != NULL && memory_load(mem, TABLE_ADDRESS, bytes, size) &&
	    (oemtblsz == 0 || memory_load(mem, TABLE_ADDRESS + size, oemtbl, (size_t)oemtblsz));
	if (vmm_end(ctx, false, NULL) != 0)
		return (-1);
	if (!ok)
		errno = EFAULT;
	return (ok ? 0 : -1);
}
