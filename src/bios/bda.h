/* The BIOS data area at 40:0. IBM PC/AT Technical Reference, "BIOS data areas". */
#ifndef BIOS_BDA_H
#define BIOS_BDA_H

#define BDA 0x400u

#define BDA_COM 0x00u  /* 4 words: ports of COM1-4 */
#define BDA_LPT 0x08u  /* 3 words: ports of LPT1-3 */
#define BDA_EBDA 0x0eu /* segment of the extended BIOS data area */
#define BDA_EQUIPMENT 0x10u
#define BDA_MEMORY 0x13u /* KB */
#define BDA_SHIFT 0x17u	 /* keyboard shift flags */
#define BDA_SHIFT2 0x18u
#define BDA_ALT_NUMBER 0x19u /* Alt and digits on the keypad */
#define BDA_KEY_HEAD 0x1au
#define BDA_KEY_TAIL 0x1cu
#define BDA_KEY_RING 0x1eu
#define BDA_KEY_RING_END 0x3eu
#define BDA_FLOPPY_RECALIBRATE 0x3eu
#define BDA_FLOPPY_MOTOR 0x3fu
#define BDA_FLOPPY_TIMEOUT 0x40u
#define BDA_FLOPPY_STATUS 0x41u
#define BDA_VIDEO_MODE 0x49u
#define BDA_COLUMNS 0x4au
#define BDA_PAGE_SIZE 0x4cu
#define BDA_PAGE_START 0x4eu
#define BDA_CURSOR 0x50u /* 8 words: row and column on each page */
#define BDA_CURSOR_SHAPE 0x60u
#define BDA_PAGE 0x62u
#define BDA_CRTC 0x63u
#define BDA_CRT_MODE 0x65u
#define BDA_CRT_PALETTE 0x66u
#define BDA_RESUME 0x67u /* far pointer for CMOS shutdown code 0Ah */
#define BDA_TICKS 0x6cu
#define BDA_MIDNIGHT 0x70u
#define BDA_BREAK 0x71u
#define BDA_RESET 0x72u
#define BDA_DISK_STATUS 0x74u
#define BDA_DISK_COUNT 0x75u
#define BDA_LPT_TIMEOUT 0x78u
#define BDA_COM_TIMEOUT 0x7cu
#define BDA_KEY_START 0x80u
#define BDA_KEY_END 0x82u
#define BDA_ROWS 0x84u /* text rows minus 1 */
#define BDA_CHAR_HEIGHT 0x85u
#define BDA_VIDEO_CONTROL 0x87u
#define BDA_VIDEO_SWITCHES 0x88u
#define BDA_VIDEO_MODESET 0x89u
#define BDA_VIDEO_DCC 0x8au
#define BDA_DISK_INTERRUPT 0x8eu
#define BDA_KEY_FLAGS 0x96u
#define BDA_KEY_LEDS 0x97u
#define BDA_WAIT_POINTER 0x98u
#define BDA_WAIT_COUNT 0x9cu
#define BDA_WAIT_FLAG 0xa0u

#endif
