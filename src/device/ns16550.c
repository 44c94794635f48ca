/* PC16550D UART; section and table numbers are those of the data sheet. */
#include "device/ns16550.h"

#include <string.h>

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_RX 0x01u
#define IER_THRE 0x02u
#define IER_LINE 0x04u
#define IER_MODEM 0x08u

#define IIR_NONE 0x01u
#define IIR_MODEM 0x00u
#define IIR_THRE 0x02u
#define IIR_RX 0x04u
#define IIR_LINE 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFOS 0xc0u

#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RX 0x02u
#define FCR_TRIGGER 0xc0u

#define LCR_DLAB 0x80u
#define LCR_BREAK 0x40u

#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u

#define LSR_DR 0x01u
#define LSR_OE 0x02u
#define LSR_ERRORS 0x1eu
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u

#define MSR_TERI 0x04u

#define CRYSTAL_HZ 1843200u

static bool
fifos_on(const struct ns16550 *chip)
{
	return ((chip->s.fcr & FCR_ENABLE) != 0);
}

/* Characters in the FIFO that raise the interrupt (table VI, FCR). */
static unsigned
trigger_level(const struct ns16550 *chip)
{
	static const uint8_t levels[4] = {1, 4, 8, 14};

	return (fifos_on(chip) ? levels[chip->s.fcr >> 6] : 1);
}

static unsigned
capacity(const struct ns16550 *chip)
{
	return (fifos_on(chip) ? NS16550_FIFO : 1);
}

/* CTS, DSR, RI, DCD: from the line, or in loop-back from RTS, DTR, OUT1, OUT2 (8.6). */
static uint8_t
modem_status(const struct ns16550 *chip)
{
	uint8_t mcr = chip->s.mcr;

	if ((mcr & MCR_LOOP) == 0)
		return (chip->s.inputs);
	return ((uint8_t)(((mcr & MCR_RTS) != 0 ? NS16550_CTS : 0) |
	    ((mcr & MCR_DTR) != 0 ? NS16550_DSR : 0) | ((mcr & MCR_OUT1) != 0 ? NS16550_RI : 0) |
	    ((mcr & MCR_OUT2) != 0 ? NS16550_DCD : 0)));
}

/* Interrupt identification without the FIFO bits, table 8.5: the highest that is enabled. */
static uint8_t
identify(const struct ns16550 *chip)
{
	const struct ns16550_state *s = &chip->s;

	if ((s->ier & IER_LINE) != 0 && (s->lsr & LSR_ERRORS) != 0)
		return (IIR_LINE);
	if ((s->ier & IER_RX) != 0 && s->nfifo >= trigger_level(chip))
		return (IIR_RX);
	if ((s->ier & IER_RX) != 0 && s->timed_out)
		return (IIR_TIMEOUT);
	if ((s->ier & IER_THRE) != 0 && s->thre_due)
		return (IIR_THRE);
	if ((s->ier & IER_MODEM) != 0 && (s->msr & 0x0f) != 0)
		return (IIR_MODEM);
	return (IIR_NONE);
}

static void
update(struct ns16550 *chip)
{
	/* In loop-back OUT2's pin is inactive. */
	bool gate = (chip->s.mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	line_set(&chip->irq, gate && identify(chip) != IIR_NONE);
}

/* Note what changed on the modem's lines since they were BEFORE. */
static void
modem_changed(struct ns16550 *chip, uint8_t before)
{
	uint8_t after = modem_status(chip), changed = (uint8_t)(before ^ after);

	/* RI counts when it goes away. */
	if ((after & NS16550_RI) != 0)
		changed &= (uint8_t)~NS16550_RI;
	chip->s.msr |= changed >> 4;
}

unsigned
ns16550_baud(const struct ns16550 *chip)
{
	return (CRYSTAL_HZ / 16 / (chip->s.divisor != 0 ? chip->s.divisor : 1u));
}

/* (Re)start the receiver's time-out: four characters without a read or an arrival (8.4). */
static void
start_timeout(struct ns16550 *chip)
{
	uint64_t bits = 2ull + 5 + (chip->s.lcr & 3) + (chip->s.lcr >> 2 & 1);
	uint64_t divisor = chip->s.divisor != 0 ? chip->s.divisor : 1u;

	chip->s.timed_out = 0;
	chip->s.deadline = CLOCK_NEVER;
	if (fifos_on(chip) && chip->s.nfifo > 0)
		chip->s.deadline = clock_now(chip->clock) +
		    mul_div(4 * bits * divisor * 16, NS_PER_SEC, CRYSTAL_HZ);
	timer_arm(chip->clock, &chip->timer, chip->s.deadline);
}

static void
fire(void *opaque, uint64_t deadline)
{
	struct ns16550 *chip = opaque;

	(void)deadline;
	chip->s.deadline = CLOCK_NEVER;
	chip->s.timed_out = chip->s.nfifo > 0;
	update(chip);
}

/* A character has come in, from the line or the loop. */
static void
receive(struct ns16550 *chip, uint8_t byte)
{
	if (chip->s.nfifo >= capacity(chip)) {
		chip->s.lsr |= LSR_OE;
		/* Without FIFOs the new one takes the old one's place. */
		if (!fifos_on(chip))
			chip->s.fifo[0] = byte;
	} else {
		chip->s.fifo[chip->s.nfifo++] = byte;
	}
	start_timeout(chip);
	update(chip);
}

void
ns16550_rx(struct ns16550 *chip, uint8_t byte)
{
	if ((chip->s.mcr & MCR_LOOP) == 0)
		receive(chip, byte);
}

unsigned
ns16550_rx_room(const struct ns16550 *chip)
{
	if ((chip->s.mcr & MCR_LOOP) != 0 || chip->s.nfifo >= capacity(chip))
		return (0);
	return (capacity(chip) - chip->s.nfifo);
}

static void
tell_room(const struct ns16550 *chip)
{
	if (chip->room != NULL && ns16550_rx_room(chip) > 0)
		chip->room(chip->opaque);
}

void
ns16550_set_modem(struct ns16550 *chip, uint8_t inputs)
{
	uint8_t before = modem_status(chip);

	chip->s.inputs = inputs & 0xf0;
	modem_changed(chip, before);
	update(chip);
}

static uint8_t
read_rbr(struct ns16550 *chip)
{
	if (chip->s.nfifo == 0)
		return (chip->s.rbr);
	chip->s.rbr = chip->s.fifo[0];
	chip->s.nfifo--;
	memmove(chip->s.fifo, chip->s.fifo + 1, chip->s.nfifo);
	start_timeout(chip);
	update(chip);
	tell_room(chip);
	return (chip->s.rbr);
}

static uint8_t
read_iir(struct ns16550 *chip)
{
	uint8_t iir = identify(chip);

	/* Reading it clears the transmitter's interrupt, if that is what it told. */
	if (iir == IIR_THRE)
		chip->s.thre_due = 0;
	update(chip);
	return (iir | (fifos_on(chip) ? IIR_FIFOS : 0));
}

static uint8_t
read_lsr(struct ns16550 *chip)
{
	uint8_t lsr = chip->s.lsr | LSR_THRE | LSR_TEMT;

	if (chip->s.nfifo > 0)
		lsr |= LSR_DR;
	chip->s.lsr = 0;
	update(chip);
	return (lsr);
}

static uint8_t
read_msr(struct ns16550 *chip)
{
	uint8_t msr = chip->s.msr | modem_status(chip);

	chip->s.msr = 0;
	update(chip);
	return (msr);
}

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	struct ns16550 *chip = opaque;
	bool dlab = (chip->s.lcr & LCR_DLAB) != 0;

	(void)size;
	switch (reg & 7) {
	case RBR_THR:
		return (dlab ? chip->s.divisor & 0xff : read_rbr(chip));
	case IER:
		return (dlab ? chip->s.divisor >> 8 : chip->s.ier);
	case IIR_FCR:
		return (read_iir(chip));
	case LCR:
		return (chip->s.lcr);
	case MCR:
		return (chip->s.mcr);
	case LSR:
		return (read_lsr(chip));
	case MSR:
		return (read_msr(chip));
	default:
		return (chip->s.scr);
	}
}

static void
write_thr(struct ns16550 *chip, uint8_t byte)
{
	static const uint8_t masks[4] = {0x1f, 0x3f, 0x7f, 0xff};

	/* The holding register is full for an instant, so that the request has a new edge. */
	chip->s.thre_due = 0;
	update(chip);
	byte &= masks[chip->s.lcr & 3];
	if ((chip->s.mcr & MCR_LOOP) != 0)
		receive(chip, byte);
	else if (chip->tx != NULL)
		chip->tx(chip->opaque, byte);
	chip->s.thre_due = 1;
	update(chip);
}

static void
write_ier(struct ns16550 *chip, uint8_t value)
{
	value &= 0x0f;
	/* Enabling it while the transmitter is empty interrupts. */
	if ((value & IER_THRE) != 0 && (chip->s.ier & IER_THRE) == 0)
		chip->s.thre_due = 1;
	chip->s.ier = value;
	update(chip);
}

/* FIFO control: "when FCR0 is changed, data is cleared from the FIFOs". */
static void
write_fcr(struct ns16550 *chip, uint8_t value)
{
	bool changed = ((value ^ chip->s.fcr) & FCR_ENABLE) != 0;

	if ((value & FCR_ENABLE) != 0)
		chip->s.fcr = value & (FCR_ENABLE | FCR_TRIGGER);
	else
		chip->s.fcr = 0; /* the other bits are not programmed without it */
	if (changed || (value & (FCR_ENABLE | FCR_CLEAR_RX)) == (FCR_ENABLE | FCR_CLEAR_RX)) {
		chip->s.nfifo = 0;
		start_timeout(chip);
		tell_room(chip);
	}
	update(chip);
}

static void
write_mcr(struct ns16550 *chip, uint8_t value)
{
	uint8_t before = modem_status(chip);
	bool loop = (chip->s.mcr & MCR_LOOP) != 0;

	chip->s.mcr = value & 0x1f;
	modem_changed(chip, before);
	update(chip);
	if (loop)
		tell_room(chip);
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t word)
{
	struct ns16550 *chip = opaque;
	bool dlab = (chip->s.lcr & LCR_DLAB) != 0;
	uint8_t value = (uint8_t)word;

	(void)size;
	switch (reg & 7) {
	case RBR_THR:
		if (dlab)
			chip->s.divisor = (uint16_t)((chip->s.divisor & 0xff00) | value);
		else
			write_thr(chip, value);
		break;
	case IER:
		if (dlab)
			chip->s.divisor = (uint16_t)((chip->s.divisor & 0xff) | value << 8);
		else
			write_ier(chip, value);
		break;
	case IIR_FCR:
		write_fcr(chip, value);
		break;
	case LCR:
		chip->s.lcr = value;
		break;
	case MCR:
		write_mcr(chip, value);
		break;
	case SCR:
		chip->s.scr = value;
		break;
	default: /* LSR and MSR are for reading */
		break;
	}
}

const struct port_ops ns16550_ports = {.read = port_read, .write = port_write};

void
ns16550_init(struct ns16550 *chip, unsigned number, struct clock *clock, struct line irq)
{
	memset(chip, 0, sizeof(*chip));
	chip->number = number;
	chip->clock = clock;
	chip->irq = irq;
	chip->s.inputs = NS16550_CTS | NS16550_DSR | NS16550_DCD;
	timer_init(&chip->timer, fire, chip);
	ns16550_reset(chip);
}

/* Master reset, table III; the divisor is not changed by it, and comes up as 9600 baud. */
void
ns16550_reset(struct ns16550 *chip)
{
	uint8_t inputs = chip->s.inputs;
	uint16_t divisor = chip->s.divisor;

	timer_cancel(chip->clock, &chip->timer);
	memset(&chip->s, 0, sizeof(chip->s));
	chip->s.inputs = inputs;
	chip->s.divisor = divisor != 0 ? divisor : 12;
	chip->s.deadline = CLOCK_NEVER;
	update(chip);
}

static int
restored(void *owner)
{
	struct ns16550 *chip = owner;
	struct ns16550_state *s = &chip->s;

	s->ier &= 0x0f;
	s->fcr &= FCR_ENABLE | FCR_TRIGGER;
	s->mcr &= 0x1f;
	s->lsr &= LSR_ERRORS;
	s->msr &= 0x0f;
	s->inputs &= 0xf0;
	if (s->nfifo > capacity(chip))
		s->nfifo = (uint8_t)capacity(chip);
	s->thre_due = s->thre_due != 0;
	s->timed_out = s->timed_out != 0 && s->nfifo > 0;
	timer_arm(chip->clock, &chip->timer, s->deadline);
	update(chip);
	return (0);
}

struct section
ns16550_section(struct ns16550 *chip)
{
	struct section section = {
	    .id = "ns16550.0",
	    .version = 1,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .restored = restored,
	    .owner = chip,
	};

	section.id[8] = (char)('0' + chip->number % 10);
	return (section);
}
