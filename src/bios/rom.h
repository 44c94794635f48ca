/* The built-in pseudo BIOS ROM, also installed as pseudobios.bin. */
#ifndef BIOS_ROM_H
#define BIOS_ROM_H

#include <stdint.h>

#include "bios/layout.h"

extern const uint8_t bios_rom[ROM_SIZE];

#endif
