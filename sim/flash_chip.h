/* A model of a W25Q128JV-class SPI flash chip, evaluated once per half cycle of its bus.
 *
 * It knows status registers, power-down, software reset, reads on one and on four lines, and
 * continuous read. It never stores anything. Whatever a chip's data sheet forbids is recorded as
 * a complaint, a line of text; the model then does what a chip most likely would.
 */
#ifndef FLASH_CHIP_H
#define FLASH_CHIP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct flash_chip flash_chip;

/* What the chip was doing when the simulation began. */
enum flash_chip_start {
    FLASH_CHIP_NORMAL,     /* waits for a command */
    FLASH_CHIP_POWER_DOWN, /* as an iCE40 leaves it after it was configured */
    FLASH_CHIP_READING,    /* in the middle of a quad read, continuous where the part can */
};

/* Which of the W25Q128JV it is, by the letters of its ordering code. */
enum flash_chip_part {
    FLASH_CHIP_IM, /* QE is 0 from the factory; knows continuous read */
    FLASH_CHIP_IQ, /* QE is always 1; mode bits must be Fxh */
};

/* Create a chip of `size` bytes, all 0xFF. `step_ns` is the time that one step takes,
 * `start` one of flash_chip_start, `part` one of flash_chip_part.
 * Returns NULL where memory is short, or a value out of range. */
flash_chip *flash_chip_create(uint32_t size, double step_ns, int start, int part);
void flash_chip_destroy(flash_chip *chip);

/* Store `count` bytes at `offset`. Returns 0, or -1 where they do not fit. */
int flash_chip_load(flash_chip *chip, uint32_t offset, const uint8_t *bytes, size_t count);

/* Hold the pins at these levels for one step, and return the levels of the four lines at its end.
 * `io_out` and `io_oe` are what the host drives, line 0 in bit 0. A line that nobody drives
 * reads as 1. */
uint8_t flash_chip_step(flash_chip *chip, int cs_n, int sck, uint8_t io_out, uint8_t io_oe);

/* How often the chip complained, and the complaint at `index`; NULL for one that was not kept. */
size_t flash_chip_complaints(const flash_chip *chip);
const char *flash_chip_complaint(const flash_chip *chip, size_t index);

#ifdef __cplusplus
}
#endif

#endif
