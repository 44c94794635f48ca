/* INT 14h: serial ports, INT 17h: printers. IBM PC/AT Technical Reference. */
#include "bios/call.h"

#define LSR_RX 0x01u
#define LSR_TX_EMPTY 0x20u
#define STATUS_TIMEOUT 0x80u
/* 16550 registers. */
enum { DATA, IER, FCR, LCR, MCR, LSR, MSR };

/* The port of COM DX+1, 0 when there is none. */
static uint16_t
com_port(const struct bios_call *c)
{
	return (dx(c) < 4 ? bda16(c->bios, BDA_COM + dx(c) * 2u) : 0);
}

static uint8_t
line_status(struct bios_call *c, uint16_t port)
{
	return (inb(c->bios, (uint16_t)(port + LSR)));
}

static enum bios_result
status_result(struct bios_call *c, uint16_t port)
{
	set_ah(c, line_status(c, port));
	set_al(c, inb(c->bios, (uint16_t)(port + MSR)));
	return (BIOS_DONE);
}

/* AL: bits 7-5 speed, 4-3 parity, 2 stop bits, 1-0 length. */
static enum bios_result
int14_00_initialize(struct bios_call *c)
{
	static const uint16_t divisors[] = {1047, 768, 384, 192, 96, 48, 24, 12};
	uint16_t port = com_port(c), divisor = divisors[al(c) >> 5];
	struct bios *b = c->bios;

	if (port == 0)
		return (BIOS_DONE);
	outb(b, (uint16_t)(port + LCR), 0x80);
	outb(b, port, divisor);
	outb(b, (uint16_t)(port + IER), divisor >> 8);
	outb(b, (uint16_t)(port + LCR), al(c) & 0x1fu);
	outb(b, (uint16_t)(port + IER), 0);
	outb(b, (uint16_t)(port + MCR), 0x03);
	return (status_result(c, port));
}

static enum bios_result
int14_01_send(struct bios_call *c)
{
	uint16_t port = com_port(c);
	uint8_t status;

	if (port == 0)
		return (BIOS_DONE);
	status = line_status(c, port);
	if (status & LSR_TX_EMPTY)
		outb(c->bios, port, al(c));
	else
		status |= STATUS_TIMEOUT;
	set_ah(c, status);
	return (BIOS_DONE);
}

static enum bios_result
int14_02_receive(struct bios_call *c)
{
	uint16_t port = com_port(c);
	uint8_t status;

	if (port == 0)
		return (BIOS_DONE);
	status = line_status(c, port);
	if (status & LSR_RX) {
		set_al(c, inb(c->bios, port));
		set_ah(c, status & 0x1eu);
	} else
		set_ah(c, status | STATUS_TIMEOUT);
	return (BIOS_DONE);
}

static enum bios_result
int14_03_status(struct bios_call *c)
{
	uint16_t port = com_port(c);

	return (port != 0 ? status_result(c, port) : BIOS_DONE);
}

enum bios_result
int14_unsupported(struct bios_call *c)
{
	set_ah(c, STATUS_TIMEOUT);
	return (BIOS_DONE);
}

const struct bios_service int14_services[] = {
    {0x00, false, "initialize", int14_00_initialize},
    {0x01, false, "send", int14_01_send},
    {0x02, false, "receive", int14_02_receive},
    {0x03, false, "status", int14_03_status},
    {0},
};

/* --- INT 17h: no printer port is on the board, so every call times out -------------------------------- */

static enum bios_result
no_printer(struct bios_call *c)
{
	set_ah(c, 0x01); /* time-out */
	return (BIOS_DONE);
}

enum bios_result
int17_unsupported(struct bios_call *c)
{
	return (no_printer(c));
}

const struct bios_service int17_services[] = {
    {0x00, false, "print", no_printer},
    {0x01, false, "initialize", no_printer},
    {0x02, false, "status", no_printer},
    {0},
};
