/*
 * The two 8237A DMA controllers of the AT (Intel data sheet 231466) and their page registers
 * (74LS612, IBM AT Technical Reference, "DMA"). Channels 0..3 move bytes, 5..7 words; channel 4
 * joins the controllers.
 *
 * A device that owns a channel calls i8237_run() with its data when it would raise DREQ. Transfers
 * from memory to memory are not there, as in PCs.
 */
#ifndef DEVICE_I8237_H
#define DEVICE_I8237_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/memory.h"
#include "bus/section.h"

#define I8237_CHANNELS 8

struct i8237_channel {
	uint16_t base_address;
	uint16_t base_count;
	uint16_t address;
	uint16_t count; /* transfers left, minus one */
	uint8_t mode;
	uint8_t pad;
};

struct i8237_controller {
	struct i8237_channel channel[4];
	uint8_t command;
	uint8_t status; /* terminal counts, bits 3..0 */
	uint8_t request;
	uint8_t mask;
	uint8_t high_byte; /* the flip-flop: the high byte comes next */
	uint8_t pad[3];
};

struct i8237_state {
	struct i8237_controller controller[2];
	uint8_t page[16];
};

struct i8237 {
	struct i8237_state s;
	struct memory *memory;
};

extern const struct port_ops i8237_low_ports;  /* channels 0..3, registers 0..15 */
extern const struct port_ops i8237_high_ports; /* channels 4..7, registers 0..31: two each */
extern const struct port_ops i8237_page_ports; /* registers 0..15 */

void i8237_init(struct i8237 *chip, struct memory *memory);
void i8237_reset(struct i8237 *chip);
/*
 * Move up to LEN bytes between BUF and memory, in the direction that CHANNEL is programmed for,
 * until its terminal count. Returns how many bytes, 0 when it is masked or disabled; *ENDED
 * (unless NULL) tells of the terminal count. Verify transfers only count.
 */
size_t i8237_run(struct i8237 *chip, unsigned channel, void *buf, size_t len, bool *ended);
struct section i8237_section(struct i8237 *chip);

#endif
