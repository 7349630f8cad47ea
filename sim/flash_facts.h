/* What the data sheets of the W25Q-JV family say: times, status bits and commands. */
#ifndef FLASH_FACTS_H
#define FLASH_FACTS_H

#include <stdint.h>

/* AC characteristics at 2.7 V to 3.6 V; where members differ, the stricter value */
#define SCK_MHZ          104.0 /* FR: every command but Read Data */
#define SCK_SLOW_MHZ      50.0 /* fR: Read Data */
#define SELECT_SETUP_NS    5.0 /* tSLCH: selected to rising clock */
#define SELECT_HOLD_NS     5.0 /* tCHSH: rising clock to deselected */
#define DESELECT_READ_NS  10.0 /* tSHSL1 */
#define DESELECT_WRITE_NS 50.0 /* tSHSL2 */
#define RELEASE_NS         7.0 /* tSHQZ: deselected to lines released */
#define OUTPUT_NS          7.0 /* tCLQV: falling clock to output valid */
#define SLEEP_NS        3000.0 /* tDP */
#define WAKE_NS         3000.0 /* tRES1 */
#define RESET_NS       30000.0 /* tRST */
#define STATUS_NS   15000000.0 /* tW */

#define QUAD_ENABLE   0x02u /* in status register 2 */
#define WRITE_ENABLED 0x02u /* in status register 1 */
#define BUSY 0x01u          /* in status register 1 */

enum kind { NOTHING, PLAIN, READ, REGISTER, STATUS_WRITE, ARRAY_WRITE };

struct command {
    uint8_t opcode;
    enum kind kind;
    const char *name;
    unsigned lines; /* that address and data use */
    unsigned dummies;
};

static const struct command commands[] = {
    {0x01, STATUS_WRITE, "Write Status 1", 1, 0},
    {0x02, ARRAY_WRITE, "Page Program", 1, 0},
    {0x03, READ, "Read Data", 1, 0},
    {0x04, PLAIN, "Write Disable", 1, 0},
    {0x05, REGISTER, "Read Status 1", 1, 0},
    {0x06, PLAIN, "Write Enable", 1, 0},
    {0x0b, READ, "Fast Read", 1, 8},
    {0x11, STATUS_WRITE, "Write Status 3", 1, 0},
    {0x15, REGISTER, "Read Status 3", 1, 0},
    {0x20, ARRAY_WRITE, "Sector Erase", 1, 0},
    {0x31, STATUS_WRITE, "Write Status 2", 1, 0},
    {0x32, ARRAY_WRITE, "Quad Page Program", 1, 0},
    {0x35, REGISTER, "Read Status 2", 1, 0},
    {0x50, PLAIN, "Volatile Status Write Enable", 1, 0},
    {0x52, ARRAY_WRITE, "Block Erase 32 kB", 1, 0},
    {0x60, ARRAY_WRITE, "Chip Erase", 1, 0},
    {0x66, PLAIN, "Enable Reset", 1, 0},
    {0x99, PLAIN, "Reset", 1, 0},
    {0x9f, REGISTER, "JEDEC ID", 1, 0},
    {0xab, PLAIN, "Release Power-down", 1, 0},
    {0xb9, PLAIN, "Power-down", 1, 0},
    {0xbb, READ, "Fast Read Dual I/O", 2, 2},
    {0xc7, ARRAY_WRITE, "Chip Erase", 1, 0},
    {0xd8, ARRAY_WRITE, "Block Erase 64 kB", 1, 0},
    {0xeb, READ, "Fast Read Quad I/O", 4, 4},
    {0xff, NOTHING, "Mode Reset", 1, 0},
};
static const struct command *const quad_read = &commands[24];

#endif
