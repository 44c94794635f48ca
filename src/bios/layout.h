/* Addresses and numbers shared by rom.S and the host's side of the pseudo BIOS. */
#ifndef BIOS_LAYOUT_H
#define BIOS_LAYOUT_H

#define TRAP_PORT 0xee /* answered from the ROM's slots only */

#define ROM_SEGMENT 0xf000
#define ROM_BASE 0xf0000
#define ROM_SIZE 0x10000
#define ROM_SLOTS 0x1000 /* offset of slot 0 */
#define ROM_SLOT_SIZE 8
#define ROM_SLOT_TRAP 4 /* offset of the OUT in a slot */
#define ROM_SLOT_COUNT 272
#define ROM_CODE 0x2000
#define ROM_IDLE 0x2000
#define ROM_IRQ_LOW 0x2010
#define ROM_IRQ_HIGH 0x2020
#define ROM_IRQ_RTC 0x2030
#define ROM_IRQ_REDIRECT 0x2040
#define ROM_IRQ_FPU 0x2050
#define ROM_FONT_8X16 0x3000
#define ROM_FONT_8X14 0x4000
#define ROM_FONT_8X8 0x5000
#define ROM_FONT_9X16 0x5800 /* glyphs for cells of nine columns, each behind its code; 0 ends */
#define ROM_FONT_9X14 0x5c00
#define ROM_POST_ENTRY 0xe05b
#define ROM_CONFIG_TABLE 0xe6f5
#define ROM_DISKETTE_TABLE 0xefc7
#define ROM_FONT_OLD 0xfa6e /* the first half of the 8x8 one, where programs look for it */
#define ROM_IRET 0xff53
#define ROM_MODEL 0xfc
#define ROM_STACK 0x7c00

/* Slots behind the 256 vectors. */
#define SLOT_POST 256
#define SLOT_TICK 257
#define SLOT_KEY 258
#define SLOT_IRQ_LOW 259
#define SLOT_IRQ_HIGH 260
#define SLOT_RTC 261
#define SLOT_IRQ9 262
#define SLOT_FLOPPY_IRQ 263

/* What SLOT_KEY asks of the keyboard interrupt, in AH. */
#define KEY_PRINT 1
#define KEY_BREAK 2
#define KEY_SYSREQ 3

#endif
