/* The two 8237A DMA controllers of the AT and their page registers. */
#include "device/i8237.h"

#include <string.h>

enum { CMD_STATUS = 8, REQUEST, MASK_ONE, MODE, CLEAR_FF, MASTER_CLEAR, CLEAR_MASK, MASK_ALL };

#define COMMAND_OFF 0x04u /* controller disable */
#define MODE_DIRECTION 0x0cu
#define MODE_VERIFY 0x00u
#define MODE_WRITE 0x04u /* to memory */
#define MODE_READ 0x08u	 /* from memory */
#define MODE_AUTO 0x10u
#define MODE_DOWN 0x20u
#define MODE_SELECT 0xc0u
#define MODE_CASCADE 0xc0u

static void
master_clear(struct i8237_controller *c)
{
	c->command = c->status = c->request = c->high_byte = 0;
	c->mask = 0x0f;
}

static uint8_t
read_register(struct i8237_controller *c, unsigned reg)
{
	const struct i8237_channel *ch = &c->channel[reg >> 1 & 3];
	uint16_t value;

	if (reg < CMD_STATUS) {
		value = (reg & 1) != 0 ? ch->count : ch->address;
		c->high_byte ^= 1;
		return ((uint8_t)(c->high_byte ? value : value >> 8));
	}
	if (reg == CMD_STATUS) {
		value = (uint16_t)(c->request << 4 | c->status);
		c->status = 0;
		return ((uint8_t)value);
	}
	if (reg == MASK_ALL)
		return (c->mask | 0xf0);
	return (0); /* the temporary register is for memory to memory */
}

static void
write_channel(struct i8237_controller *c, unsigned reg, uint8_t value)
{
	struct i8237_channel *ch = &c->channel[reg >> 1 & 3];
	uint16_t *base = (reg & 1) != 0 ? &ch->base_count : &ch->base_address;

	if (c->high_byte)
		*base = (uint16_t)((*base & 0xff) | value << 8);
	else
		*base = (uint16_t)((*base & 0xff00) | value);
	c->high_byte ^= 1;
	*((reg & 1) != 0 ? &ch->count : &ch->address) = *base;
}

/* Set or clear bit VALUE[1:0] of REGISTER as VALUE[2] says. */
static uint8_t
one_bit(uint8_t value, uint8_t bits)
{
	uint8_t bit = (uint8_t)(1u << (value & 3));

	return ((uint8_t)((value & 4) != 0 ? bits | bit : bits & ~bit));
}

static void
write_register(struct i8237_controller *c, unsigned reg, uint8_t value)
{
	switch (reg) {
	case CMD_STATUS:
		c->command = value;
		break;
	case REQUEST:
		c->request = one_bit(value, c->request);
		break;
	case MASK_ONE:
		c->mask = one_bit(value, c->mask);
		break;
	case MODE:
		c->channel[value & 3].mode = value & 0xfc;
		break;
	case CLEAR_FF:
		c->high_byte = 0;
		break;
	case MASTER_CLEAR:
		master_clear(c);
		break;
	case CLEAR_MASK:
		c->mask = 0;
		break;
	case MASK_ALL:
		c->mask = value & 0x0f;
		break;
	default:
		write_channel(c, reg, value);
		break;
	}
}

/* Guest-physical address of the channel's next transfer. */
static uint64_t
current_address(const struct i8237 *chip, unsigned channel)
{
	/* Where the page registers of channels 0..7 are; 4's is refresh. */
	static const uint8_t page_of[I8237_CHANNELS] = {7, 3, 1, 2, 15, 11, 9, 10};
	uint64_t page = chip->s.page[page_of[channel]];
	uint64_t address = chip->s.controller[channel / 4].channel[channel & 3].address;

	if (channel < 4)
		return (page << 16 | address);
	return ((page & 0xfe) << 16 | address << 1);
}

/* How many bytes go in one piece: to the end of buffer, count, or 64 K transfers. */
static size_t
piece(const struct i8237_channel *ch, size_t unit, size_t len)
{
	size_t transfers = len / unit;

	if ((ch->mode & MODE_DOWN) != 0)
		return (unit);
	if (transfers > (size_t)ch->count + 1)
		transfers = (size_t)ch->count + 1;
	if (transfers > 0x10000u - ch->address)
		transfers = 0x10000u - ch->address;
	return (transfers * unit);
}

static void
terminal_count(struct i8237_controller *c, unsigned n)
{
	struct i8237_channel *ch = &c->channel[n];

	c->status |= (uint8_t)(1u << n);
	c->request &= (uint8_t) ~(1u << n);
	if ((ch->mode & MODE_AUTO) != 0) {
		ch->address = ch->base_address;
		ch->count = ch->base_count;
	} else {
		c->mask |= (uint8_t)(1u << n);
	}
}

size_t
i8237_run(struct i8237 *chip, unsigned channel, void *buf, size_t len, bool *ended)
{
	struct i8237_controller *c = &chip->s.controller[channel / 4 & 1];
	struct i8237_channel *ch = &c->channel[channel & 3];
	size_t unit = channel < 4 ? 1 : 2, done = 0, bytes;
	uint8_t *at = buf;
	bool end = false;

	if (ended != NULL)
		*ended = false;
	if (channel >= I8237_CHANNELS || (c->mask >> (channel & 3) & 1) != 0 ||
	    (c->command & COMMAND_OFF) != 0 || (ch->mode & MODE_SELECT) == MODE_CASCADE)
		return (0);
	while (len - done >= unit && !end) {
		uint16_t transfers;

		bytes = piece(ch, unit, len - done);
		/* Where nothing is, nothing is moved; the controller does not know. */
		if ((ch->mode & MODE_DIRECTION) == MODE_WRITE)
			memory_write(
			    chip->memory, current_address(chip, channel), at + done, bytes);
		else if ((ch->mode & MODE_DIRECTION) == MODE_READ &&
		    !memory_read(chip->memory, current_address(chip, channel), at + done, bytes))
			memset(at + done, 0xff, bytes);
		transfers = (uint16_t)(bytes / unit);
		end = bytes / unit == (size_t)ch->count + 1;
		ch->count = (uint16_t)(ch->count - transfers);
		ch->address = (uint16_t)((ch->mode & MODE_DOWN) != 0 ? ch->address - transfers
								     : ch->address + transfers);
		done += bytes;
	}
	if (end)
		terminal_count(c, channel & 3);
	if (ended != NULL)
		*ended = end;
	return (done);
}

static uint32_t
low_read(void *opaque, uint16_t reg, unsigned size)
{
	struct i8237 *chip = opaque;

	(void)size;
	return (read_register(&chip->s.controller[0], reg & 15u));
}

static void
low_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	struct i8237 *chip = opaque;

	(void)size;
	write_register(&chip->s.controller[0], reg & 15u, (uint8_t)value);
}

static uint32_t
high_read(void *opaque, uint16_t reg, unsigned size)
{
	struct i8237 *chip = opaque;

	(void)size;
	return (read_register(&chip->s.controller[1], reg >> 1 & 15u));
}

static void
high_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	struct i8237 *chip = opaque;

	(void)size;
	write_register(&chip->s.controller[1], reg >> 1 & 15u, (uint8_t)value);
}

static uint32_t
page_read(void *opaque, uint16_t reg, unsigned size)
{
	const struct i8237 *chip = opaque;

	(void)size;
	return (chip->s.page[reg & 15u]);
}

static void
page_write(void *opaque, uint16_t reg, unsigned size, uint32_t value)
{
	struct i8237 *chip = opaque;

	(void)size;
	chip->s.page[reg & 15u] = (uint8_t)value;
}

const struct port_ops i8237_low_ports = {.read = low_read, .write = low_write};
const struct port_ops i8237_high_ports = {.read = high_read, .write = high_write};
const struct port_ops i8237_page_ports = {.read = page_read, .write = page_write};

void
i8237_init(struct i8237 *chip, struct memory *memory)
{
	memset(chip, 0, sizeof(*chip));
	chip->memory = memory;
	i8237_reset(chip);
}

void
i8237_reset(struct i8237 *chip)
{
	master_clear(&chip->s.controller[0]);
	master_clear(&chip->s.controller[1]);
}

static int
restored(void *owner)
{
	struct i8237 *chip = owner;

	for (unsigned i = 0; i < 2; i++) {
		struct i8237_controller *c = &chip->s.controller[i];

		c->status &= 0x0f;
		c->request &= 0x0f;
		c->mask &= 0x0f;
		c->high_byte &= 1;
	}
	return (0);
}

struct section
i8237_section(struct i8237 *chip)
{
	return ((struct section){
	    .id = "i8237",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .restored = restored,
	    .owner = chip,
	});
}
