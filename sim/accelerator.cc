// The compiled accelerator between a model of the flash chip and the host's end of the serial line.
//
// Included after the header that write_cxxrtl makes of `sim.accelerator.SimulatedAccelerator`, with
// LAYERS and CAUSES as `hdl.counters` has them, and what `sim.forms` tells: ACTIVATIONS, pointers to
// the activation memory's parts, and NETLIST where cells of a chip are simulated.
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "flash_chip.h"

namespace {

struct Simulation {
    cxxrtl_design::p_top top;
    flash_chip *chip = nullptr;
    std::vector<uint8_t> memory;        // what was written to the activation memory
    std::vector<std::vector<uint8_t>> left;  // the same, when each layer of the frame had ended
    uint64_t counts[LAYERS * CAUSES] = {};
    uint64_t cycles = 0, frame_cycles = 0, flash_cycles = 0;
    int layer = 0;
    bool counting = false;

    int divisor = 8;                    // core cycles of a bit
    std::deque<uint8_t> to_board, from_board;
    int send_bit = -1, send_wait = 0, receive_bit = -1, receive_wait = 0;
    unsigned send_frame = 0, receive_frame = 0;

#ifdef NETLIST
#define PIN(name) top.p_##name
    // Registers of pins have other names, so what follows from them must be up to date, too.
    void settle() { top.step(); }
#else
#define PIN(name) top.p_pads_2e_##name.curr
    void settle() {}
#endif

    void edge(bool core) {
        top.p_fast__clk.set<uint8_t>(1);
        if (core) top.p_clk.set<uint8_t>(1);
        top.step();
        // What registers see is a rising edge; the falling one needs no evaluation.
        top.p_fast__clk.set<uint8_t>(0);
        top.prev_p_fast__clk.set<uint8_t>(0);
        if (core) {
            top.p_clk.set<uint8_t>(0);
            top.prev_p_clk.set<uint8_t>(0);
        }
        // Registers are up to date; what follows from them will be after the next edge, or now.
        settle();
        const int cs_n = PIN(cs__n).get<uint8_t>();
        const int sck = PIN(sck).get<uint8_t>();
        const uint8_t out = PIN(io__o).get<uint8_t>();
        const uint8_t oe = PIN(io__oe).get<uint8_t>();
        flash_chip_step(chip, cs_n, sck & 1, out, oe);
        top.p_io__i.set<uint8_t>(flash_chip_step(chip, cs_n, sck >> 1, out, oe));
    }

    void serial() {
        if (send_bit < 0 && !to_board.empty()) {
            send_frame = 0x200u | unsigned(to_board.front()) << 1;  // start bit, octet, stop bit
            to_board.pop_front();
            send_bit = send_wait = 0;
        }
        if (send_bit >= 0) {
            top.p_rx.set<uint8_t>(send_frame >> send_bit & 1);
            if (++send_wait == divisor) {
                send_wait = 0;
                if (++send_bit == 10) send_bit = -1;
            }
        }
        const bool tx = top.p_tx.get<uint8_t>();
        if (receive_bit < 0 && !tx) {
            receive_bit = receive_wait = 0;
            receive_frame = 0;
        }
        if (receive_bit >= 0) {
            if (receive_wait == divisor / 2) receive_frame |= unsigned(tx) << receive_bit;
            if (++receive_wait == divisor) {
                receive_wait = 0;
                if (++receive_bit == 10) {
                    from_board.push_back(uint8_t(receive_frame >> 1));
                    receive_bit = -1;
                }
            }
        }
    }

    void observe() {
        const bool now = top.p_probe____counting.get<uint8_t>();
        if (now && !counting) {
            memset(counts, 0, sizeof counts);
            frame_cycles = flash_cycles = 0;
            layer = 0;
            left.clear();
        }
        counting = now;
        if (now) {
            ++counts[layer * CAUSES + top.p_probe____cause.get<uint8_t>()];
            ++frame_cycles;
            flash_cycles += top.p_probe____flash__busy.get<uint8_t>();
            if (top.p_probe____end.get<uint8_t>() && layer < LAYERS - 1) ++layer;
        }
        if (const uint64_t mask = top.p_probe____write.get<uint64_t>()) {
            const size_t octets = top.p_probe____write.bits;
            const size_t at = top.p_probe____address.get<size_t>() * octets;
            for (size_t i = 0; i < octets; i++)
                if (mask >> i & 1) {
                    memory[at + i] = uint8_t(
                        top.p_probe____write__data.data[i / 4] >> i % 4 * 8);
                }
        }
        if (now && top.p_probe____end.get<uint8_t>()) left.push_back(memory);
    }

    void cycle() {
        serial();
        edge(true);
        edge(false);
        observe();
        ++cycles;
    }
};

}  // namespace

extern "C" {

Simulation *sim_create(uint32_t flash_size, double step_ns, int start, int part, int divisor,
                       uint64_t seed) {
    auto *sim = new Simulation;
    sim->chip = flash_chip_create(flash_size, step_ns, start, part);
    sim->divisor = divisor;
    const size_t octets = sim->top.p_probe____write.bits;
    sim->memory.resize((size_t(1) << sim->top.p_probe____address.bits) * octets);
    sim->top.p_rx.set<uint8_t>(1);
    // Memory holds anything at power-up.
    for (auto *memory : {ACTIVATIONS})
        for (size_t i = 0; i < memory->depth; i++)
            for (auto &chunk : (*memory)[i].data) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                chunk = uint32_t(seed >> 32) & (*memory)[i].msb_mask;
            }
    return sim;
}

void sim_destroy(Simulation *sim) {
    flash_chip_destroy(sim->chip);
    delete sim;
}

int sim_load(Simulation *sim, uint32_t offset, const uint8_t *bytes, size_t count) {
    return flash_chip_load(sim->chip, offset, bytes, count);
}

void sim_reset(Simulation *sim, int cycles) {
    sim->top.p_rst.set<uint8_t>(1);
    sim->top.p_fast__rst.set<uint8_t>(1);
    while (cycles--) sim->cycle();
    sim->top.p_rst.set<uint8_t>(0);
    sim->top.p_fast__rst.set<uint8_t>(0);
}

// Run until `wanted` octets have come from the board, or for `cycles`.
void sim_run(Simulation *sim, uint64_t cycles, size_t wanted) {
    while (cycles-- && (!wanted || sim->from_board.size() < wanted)) sim->cycle();
}

void sim_send(Simulation *sim, const uint8_t *bytes, size_t count) {
    sim->to_board.insert(sim->to_board.end(), bytes, bytes + count);
}

size_t sim_receive(Simulation *sim, uint8_t *bytes, size_t room) {
    size_t count = 0;
    for (; count < room && !sim->from_board.empty(); sim->from_board.pop_front())
        bytes[count++] = sim->from_board.front();
    return count;
}

void sim_counts(const Simulation *sim, uint64_t *counts) {
    memcpy(counts, sim->counts, sizeof sim->counts);
}

// 0: cycles since the beginning; 1: of the last frame; 2: of these, with a moving flash bus.
uint64_t sim_cycles(const Simulation *sim, int which) {
    return which == 0 ? sim->cycles : which == 1 ? sim->frame_cycles : sim->flash_cycles;
}

// What was in the memory when a layer of the last frame had ended.
size_t sim_memory(const Simulation *sim, size_t layer, size_t offset, uint8_t *bytes,
                  size_t count) {
    if (layer >= sim->left.size() || offset + count > sim->memory.size()) return 0;
    memcpy(bytes, sim->left[layer].data() + offset, count);
    return count;
}

size_t sim_complaints(const Simulation *sim) { return flash_chip_complaints(sim->chip); }

const char *sim_complaint(const Simulation *sim, size_t index) {
    return flash_chip_complaint(sim->chip, index);
}

}  // extern "C"
