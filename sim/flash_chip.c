#include "flash_chip.h"
#include "flash_facts.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 32
#define LENGTH 160
#define SLACK_NS 0.01 /* forgives the rounding of times */

enum phase { OPCODE, ADDRESS, MODE, DUMMY, OUTPUT, INPUT, IGNORED };

struct flash_chip {
    uint8_t *bytes;
    uint32_t size;
    int part;
    double step_ns, now; /* `now` is the beginning of the step */

    /* Between transactions */
    uint8_t status[3], stored[3]; /* in use, and after a reset */
    bool asleep, continuous, reset_enabled, volatile_enabled;
    double busy_until, deselect_ns;

    /* In a transaction */
    const struct command *command;
    enum phase phase;
    unsigned bits; /* seen in this phase */
    uint32_t shifted;
    uint32_t address;
    unsigned output_bit; /* next bit of the byte that is driven, from the highest */
    uint8_t output, drives;
    uint8_t told; /* complaints made once in a transaction */

    /* Edges */
    int cs_n, sck;
    uint8_t io;
    double selected_at, deselected_at, rose_at, fell_at, shortest;

    size_t complaints;
    char kept[KEPT][LENGTH];
};

enum { TOLD_CLOCK = 1, TOLD_CONTENTION = 2, TOLD_FLOATING = 4, TOLD_SETUP = 8, TOLD_HOLD = 16,
       TOLD_END = 32 };

static void complain(flash_chip *chip, const char *format, ...)
{
    if (chip->complaints < KEPT) {
        char *line = chip->kept[chip->complaints];
        int used = snprintf(line, LENGTH, "%.1f ns: ", chip->now);
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(line + used, LENGTH - (size_t)used, format, arguments);
        va_end(arguments);
    }
    chip->complaints++;
}

/* True the first time in a transaction. */
static bool first_time(flash_chip *chip, uint8_t kind)
{
    bool first = !(chip->told & kind);
    chip->told |= kind;
    return first;
}

static void enter(flash_chip *chip, enum phase phase)
{
    chip->phase = phase;
    chip->bits = 0;
    chip->shifted = 0;
    chip->output_bit = 8;
}

/* Which lines the chip samples now, as a mask; 0 where it does not look. */
static uint8_t sampled(const flash_chip *chip)
{
    if (chip->phase == OPCODE || chip->phase == INPUT)
        return 1;
    if (chip->phase == ADDRESS || chip->phase == MODE)
        return (uint8_t)((1u << chip->command->lines) - 1);
    return 0;
}

static void decode(flash_chip *chip, uint8_t opcode)
{
    const struct command *command = NULL;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (commands[i].opcode == opcode)
            command = &commands[i];

    enter(chip, IGNORED);
    if (command == NULL) {
        complain(chip, "command %02Xh is unknown", opcode);
        return;
    }
    if (command->kind == NOTHING) /* has no effect, whatever the chip does */
        return;
    if (chip->asleep && opcode != 0xab) {
        complain(chip, "%s (%02Xh) in power-down", command->name, opcode);
        return;
    }
    if (chip->selected_at < chip->busy_until - SLACK_NS && opcode != 0x05) {
        complain(chip, "%s (%02Xh) %.1f ns before the chip is ready", command->name, opcode,
                 chip->busy_until - chip->selected_at);
        return;
    }
    if (command->lines == 4 && !(chip->status[1] & QUAD_ENABLE)) {
        complain(chip, "%s (%02Xh) while QE is 0", command->name, opcode);
        return;
    }
    if (command->kind == ARRAY_WRITE) {
        complain(chip, "%s (%02Xh) would write to the chip", command->name, opcode);
        return;
    }
    chip->command = command;
    chip->address = 0;
    enter(chip, command->kind == READ ? ADDRESS : command->kind == REGISTER ? OUTPUT : INPUT);
}

/* After the last bit of an address, mode bits or dummy clocks. */
static void advance(flash_chip *chip)
{
    if (chip->phase == ADDRESS) {
        chip->address = chip->shifted;
        enter(chip, chip->command->lines > 1 ? MODE : chip->command->dummies ? DUMMY : OUTPUT);
    } else if (chip->phase == MODE) {
        /* On two lines, the lower half is left to the dummy clocks. */
        unsigned mode = chip->command->lines == 4 ? chip->shifted : chip->shifted << 4;
        chip->continuous = (mode >> 4 & 3) == 2 && chip->part == FLASH_CHIP_IM;
        if (chip->part == FLASH_CHIP_IQ && mode >> 4 != 0xf)
            complain(chip, "mode bits %02Xh, where this part wants Fxh", mode);
        if (chip->continuous && chip->command != quad_read)
            complain(chip, "continuous read on two lines, which this model has not");
        enter(chip, DUMMY);
    } else {
        enter(chip, OUTPUT);
    }
}

static void check_clock(flash_chip *chip)
{
    bool slow = chip->command != NULL && chip->command->opcode == 0x03;
    double limit = 1000.0 / (slow ? SCK_SLOW_MHZ : SCK_MHZ);
    if (chip->shortest < limit - SLACK_NS && first_time(chip, TOLD_CLOCK))
        complain(chip, "a clock period of %.2f ns, less than %.2f ns", chip->shortest, limit);
}

static void rising(flash_chip *chip, uint8_t io, uint8_t io_oe)
{
    uint8_t lines = sampled(chip);
    if (chip->rose_at >= chip->selected_at && chip->now - chip->rose_at < chip->shortest)
        chip->shortest = chip->now - chip->rose_at;
    if (chip->rose_at < chip->selected_at && chip->now - chip->selected_at < SELECT_SETUP_NS)
        complain(chip, "the clock rises %.2f ns after cs_n fell", chip->now - chip->selected_at);
    chip->rose_at = chip->now;

    if ((lines & ~io_oe) && first_time(chip, TOLD_FLOATING))
        complain(chip, "lines %Xh float when they are sampled", lines & ~io_oe);
    if ((io ^ chip->io) & lines && first_time(chip, TOLD_SETUP))
        complain(chip, "a line changes with the rising clock");

    chip->bits++;
    if (lines)
        chip->shifted = chip->shifted << (lines == 1 ? 1 : chip->command->lines) | (io & lines);
    if (chip->phase == OPCODE && chip->bits == 8)
        decode(chip, (uint8_t)chip->shifted);
    else if ((chip->phase == ADDRESS && chip->bits == 24 / chip->command->lines)
             || (chip->phase == MODE && chip->bits == 2)
             || (chip->phase == DUMMY && chip->bits == chip->command->dummies))
        advance(chip);
    check_clock(chip);
}

static uint8_t output_byte(flash_chip *chip)
{
    const uint8_t identity[3] = {0xef, chip->part == FLASH_CHIP_IM ? 0x70 : 0x40, 0x18};
    switch (chip->command->opcode) {
    case 0x05:
        return (uint8_t)(chip->status[0] | (chip->now < chip->busy_until ? BUSY : 0));
    case 0x15:
        return chip->status[2];
    case 0x35:
        return chip->status[1];
    case 0x9f:
        return identity[chip->address % 3];
    default:
        return chip->bytes[chip->address];
    }
}

static void falling(flash_chip *chip)
{
    if (chip->phase != OUTPUT)
        return;
    unsigned lines = chip->command->lines;
    if (chip->output_bit == 0) {
        chip->output_bit = 8;
        chip->address++;
    }
    if (chip->address >= chip->size) {
        if (first_time(chip, TOLD_END))
            complain(chip, "address %06Xh is beyond the chip", (unsigned)chip->address);
        chip->address %= chip->size;
    }
    chip->output_bit -= lines;
    uint8_t bits = (uint8_t)(output_byte(chip) >> chip->output_bit);
    chip->output = lines == 1 ? (uint8_t)((bits & 1) << 1) : (uint8_t)(bits & ((1u << lines) - 1));
    chip->drives = lines == 1 ? 0x2 : (uint8_t)((1u << lines) - 1);
    chip->fell_at = chip->now;
}

static void write_status(flash_chip *chip, uint8_t opcode)
{
    unsigned first = opcode == 0x01 ? 0 : opcode == 0x31 ? 1 : 2;
    unsigned count = chip->bits / 8;
    if (chip->bits % 8 || count == 0 || count > (opcode == 0x01 ? 2u : 1u)) {
        complain(chip, "%s (%02Xh) with %u bits", chip->command->name, opcode, chip->bits);
        return;
    }
    bool enabled = chip->status[0] & WRITE_ENABLED;
    if (!chip->volatile_enabled && !enabled) {
        complain(chip, "%s (%02Xh) was not enabled", chip->command->name, opcode);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        chip->status[first + i] = (uint8_t)(chip->shifted >> 8 * (count - 1 - i));
        if (!chip->volatile_enabled)
            chip->stored[first + i] = chip->status[first + i];
    }
    chip->status[0] &= (uint8_t)~(WRITE_ENABLED | BUSY);
    if (chip->part == FLASH_CHIP_IQ)
        chip->status[1] |= QUAD_ENABLE;
    if (!chip->volatile_enabled) {
        complain(chip, "%s (%02Xh) writes what the chip stores", chip->command->name, opcode);
        chip->busy_until = chip->now + STATUS_NS;
    }
}

static void run_plain(flash_chip *chip, uint8_t opcode)
{
    switch (opcode) {
    case 0x04:
        chip->status[0] &= (uint8_t)~WRITE_ENABLED;
        break;
    case 0x06:
        chip->status[0] |= WRITE_ENABLED;
        break;
    case 0x99:
        if (!chip->reset_enabled) {
            complain(chip, "Reset (99h) without Enable Reset (66h)");
            break;
        }
        memcpy(chip->status, chip->stored, sizeof chip->status);
        chip->busy_until = chip->now + RESET_NS;
        break;
    case 0xab:
        if (chip->asleep)
            chip->busy_until = chip->now + WAKE_NS;
        chip->asleep = false;
        break;
    case 0xb9:
        chip->asleep = true;
        chip->busy_until = chip->now + SLEEP_NS;
        break;
    }
}

static void deselected(flash_chip *chip)
{
    static const char *const parts[] = {"a command", "an address", "mode bits"};
    const struct command *command = chip->command;
    uint8_t opcode = command == NULL || chip->phase == OPCODE ? 0xff : command->opcode;

    if (chip->rose_at >= chip->selected_at && chip->now - chip->rose_at < SELECT_HOLD_NS)
        complain(chip, "cs_n rises %.2f ns after the clock", chip->now - chip->rose_at);
    if (chip->phase <= MODE && chip->bits)
        complain(chip, "cs_n rises after %u clocks of %s", chip->bits, parts[chip->phase]);

    if (chip->phase == INPUT && command->kind == STATUS_WRITE)
        write_status(chip, opcode);
    else if (chip->phase == INPUT && chip->bits && opcode != 0xab)
        complain(chip, "%s (%02Xh) with %u bits", command->name, opcode, chip->bits);
    else if (chip->phase == INPUT)
        run_plain(chip, opcode);

    if (chip->phase != OPCODE) {
        chip->reset_enabled = opcode == 0x66;
        chip->volatile_enabled = opcode == 0x50;
    }
    chip->deselect_ns = chip->phase == INPUT ? DESELECT_WRITE_NS : DESELECT_READ_NS;
    chip->deselected_at = chip->now;
    enter(chip, IGNORED);
}

static void selected(flash_chip *chip)
{
    double high = chip->now - chip->deselected_at;
    if (high < chip->deselect_ns - SLACK_NS)
        complain(chip, "cs_n was high for %.2f ns, less than %.2f ns", high, chip->deselect_ns);
    chip->selected_at = chip->now;
    chip->shortest = 1e9;
    chip->told = 0;
    chip->drives = 0;
    chip->command = chip->continuous ? quad_read : NULL;
    enter(chip, chip->continuous ? ADDRESS : OPCODE);
}

uint8_t flash_chip_step(flash_chip *chip, int cs_n, int sck, uint8_t io_out, uint8_t io_oe)
{
    uint8_t io = (uint8_t)((io_out & io_oe) | (~io_oe & 0xf));

    if (cs_n && !chip->cs_n)
        deselected(chip);
    if (!cs_n && chip->cs_n)
        selected(chip);
    if (!cs_n && sck && !chip->sck)
        rising(chip, io, io_oe);
    if (!cs_n && !sck && chip->sck)
        falling(chip);
    if (cs_n && chip->now - chip->deselected_at >= RELEASE_NS)
        chip->drives = 0;

    if (!cs_n && !(chip->status[1] & QUAD_ENABLE) && !(io & 8) && first_time(chip, TOLD_HOLD))
        complain(chip, "IO3 is low while QE is 0, which holds the chip");
    if ((io_oe & chip->drives) && first_time(chip, TOLD_CONTENTION))
        complain(chip, "host and chip drive the same line");

    uint8_t output = chip->output;
    if ((io_oe & chip->drives) || chip->now + chip->step_ns - chip->fell_at < OUTPUT_NS)
        output ^= 0xf; /* as wrong as can be */
    chip->cs_n = cs_n;
    chip->sck = sck;
    chip->io = io;
    chip->now += chip->step_ns;
    return (uint8_t)((output & chip->drives) | (io & ~chip->drives));
}

flash_chip *flash_chip_create(uint32_t size, double step_ns, int start, int part)
{
    if (size == 0 || !(step_ns > 0) || start < FLASH_CHIP_NORMAL || start > FLASH_CHIP_READING
        || part < FLASH_CHIP_IM || part > FLASH_CHIP_IQ)
        return NULL;
    flash_chip *chip = calloc(1, sizeof *chip);
    if (chip == NULL)
        return NULL;
    chip->bytes = malloc(size);
    if (chip->bytes == NULL) {
        free(chip);
        return NULL;
    }
    memset(chip->bytes, 0xff, size);
    chip->size = size;
    chip->step_ns = step_ns;
    chip->part = part;
    chip->stored[1] = chip->status[1] = part == FLASH_CHIP_IQ ? QUAD_ENABLE : 0;
    chip->asleep = start == FLASH_CHIP_POWER_DOWN;
    chip->cs_n = 1;
    chip->io = 0xf;
    chip->shortest = 1e9;
    chip->deselected_at = chip->rose_at = chip->fell_at = -1e9;
    enter(chip, IGNORED);
    if (start == FLASH_CHIP_READING) {
        chip->status[1] |= QUAD_ENABLE;
        chip->continuous = part == FLASH_CHIP_IM;
        chip->command = quad_read;
        chip->cs_n = 0;
        chip->drives = 0xf;
        enter(chip, OUTPUT);
    }
    return chip;
}

void flash_chip_destroy(flash_chip *chip)
{
    if (chip != NULL)
        free(chip->bytes);
    free(chip);
}

int flash_chip_load(flash_chip *chip, uint32_t offset, const uint8_t *bytes, size_t count)
{
    if (offset > chip->size || count > chip->size - offset)
        return -1;
    memcpy(chip->bytes + offset, bytes, count);
    return 0;
}

size_t flash_chip_complaints(const flash_chip *chip)
{
    return chip->complaints;
}

const char *flash_chip_complaint(const flash_chip *chip, size_t index)
{
    return index < chip->complaints && index < KEPT ? chip->kept[index] : NULL;
}
