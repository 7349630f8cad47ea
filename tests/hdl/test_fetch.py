# amaranth: UnusedElaboratable=no

import random

import cocotb
import numpy as np
import pytest

from compiler.schedule import packets as make
from compiler.schedule.walk import Descriptor
from hdl.config import Config
from hdl.fetch import Fetch
from hdl.isa import WALK_HALVES, Layer, Loop, Opcode, Walk
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth, signed


CONFIG = Config(simd=16, fixed_pe=4, weight_depth=4, level_depth=8, memory_depth=64)
SIGNS = Config(simd=16, fixed_pe=4, weight_depth=4, level_depth=8, memory_depth=64, sign_depth=4)


class Queues:
    """What fetch fills: weight words, levels, descriptors and the memory."""

    def __init__(self, world, config, rng):
        self.world, self.config, self.rng = world, config, rng
        self.memory = [rng.getrandbits(config.memory_width) for _ in range(config.memory_depth)]
        self.weights, self.held = [], 0   # words, and how many of them are in the queue
        self.levels, self.kept = [], 0
        self.shown, self.signs = [], []   # numbers of words that stay, and levels that do
        self.layers, self.walks, self.idle = [], [], True
        self.word = [None] * (config.weight_width // 16)  # halfwords of the word in hand
        self.rates = 1, 1, 1, 1

    def drive(self):
        """Set what fetch sees of them in this cycle."""
        config, world = self.config, self.world
        self.grants = self.rng.random() < self.rates[0]
        world.set("weight_space", self.held < config.weight_depth)
        world.set("weight_spare", self.held < config.weight_depth - 1)
        world.set("level_space", self.kept < config.level_depth)
        world.set("layers__ready", not self.idle and self.rng.random() < self.rates[1] / 8)
        world.set("idle", self.idle)

    def look(self):
        """Take what fetch makes in this cycle; returns what the memory reads."""
        config, world = self.config, self.world
        per_part = config.memory_width // 16
        lanes, data = world.get("lanes"), world.get("part_data")
        for lane in range(per_part):
            if lanes >> lane & 1:
                assert self.held < config.weight_depth, "a word has no place"
                place = world.get("part") * per_part + lane
                self.word[place] = data >> 16 * lane & 0xFFFF
        if world.get("complete"):
            self.weights.append(self.word)
            self.word = [None] * len(self.word)
            self.held += 1
        if world.get("level_write"):
            assert self.kept < config.level_depth, "a level has no place"
            self.levels.append(signed(world.get("level"), config.sum_width))
            self.kept += 1
        if config.signs and world.get("kept"):
            self.shown.append(world.get("kept"))
        if config.signs and world.get("sign_write"):
            assert not world.get("level_write")
            self.signs.append(signed(world.get("level"), config.sum_width))
        if world.get("walk"):
            assert not world.get("layers__valid"), "the loops of a layer are changed"
            self.walks.append(world.get("half"))
        if world.get("layers__valid") and world.get("layers__ready"):
            self.layers.append(world.get("layers__payload"))
            self.idle = True
        elif world.get("layers__valid") and self.rng.random() < 0.1:
            self.idle = False  # a layer begins; its descriptor is taken when it ends
        read = self.rng.getrandbits(config.memory_width)
        if world.get("request") and world.get("grant"):
            address, write = world.get("address"), world.get("stores") and world.get("write")
            read = self.access(address, write, world.get("write_data"), read)
        self.held -= self.held > 0 and self.rng.random() < self.rates[2] / 8
        self.kept -= min(self.kept, self.rng.choice([0, 0, 1, 3])
                         if self.rng.random() < self.rates[3] else 0)
        return read

    def access(self, address, write, data, read):
        if not write:
            return self.memory[address]
        for lane in range(self.config.memory_width // 8):
            if write >> lane & 1:
                mask = 0xFF << 8 * lane
                self.memory[address] = self.memory[address] & ~mask | data & mask
        return read


def any_packet(rng, config, kind):
    """A packet of a kind, END for none."""
    fixed = bool(rng.integers(2))
    octets = (config.fixed_pe if fixed else config.pe) * config.simd // 8
    match kind:
        case "weights":
            return make.weights(rng.integers(0, 256, (rng.integers(1, 9), octets), np.uint8),
                                fixed=fixed)
        case "resident":
            count = int(rng.integers(1, 6))
            size = count * octets * 8 // config.memory_width
            return make.resident(count, int(rng.integers(config.memory_depth - size + 1)),
                                 fixed=fixed)
        case "store":
            data = rng.bytes(2 * int(rng.integers(1, 60)))
            size = -(-8 * len(data) // config.memory_width)
            packet, = make.store(int(rng.integers(config.memory_depth - size + 1)), data,
                                 octets=config.memory_width // 8)
            return packet
        case "levels":
            return make.levels(rng.integers(-32768, 32768, rng.integers(1, 20)))
        case "wide":
            half = 1 << config.sum_width - 1
            return make.levels(np.array([half - 1, -half, *rng.integers(-half, half, 5)]))
        case "kept":
            return make.kept(int(rng.choice([1, make.MAX_COUNT, rng.integers(1, make.MAX_COUNT)])))
        case "signs":
            return make.signs(np.array([-32768, 32767, *rng.integers(-32768, 32768, 6)]))
        case "layer":
            return make.layer("any", Descriptor(
                tuple(any_fields(rng, Walk) for _ in Loop), any_fields(rng, Layer)))
        case "hold":
            return make.hold(wants=bool(rng.integers(2)))
    return make.end()


def any_fields(rng, kind):
    return {name: int(rng.integers(1 << field.width)) for name, field in kind}


def expected_of(packets, config, memory):
    """Weight words as halfwords, levels, descriptors, and what stays, that packets bring; changes
    ``memory``."""
    weights, levels, layers, walks, held, signs = [], [], [], [], [], []
    for packet in packets:
        halves = packet.halves.tolist()
        match packet.opcode:
            case Opcode.LAYER:
                loops = len(Loop) * WALK_HALVES
                walks += halves[:loops]
                layers.append(int.from_bytes(packet.halves[loops:].tobytes(), "little"))
            case Opcode.LEVELS | Opcode.LEVELS_WIDE:
                kind = "<i2" if packet.opcode is Opcode.LEVELS else "<i4"
                levels += np.frombuffer(packet.halves.tobytes(), kind).tolist()
            case Opcode.KEPT:
                held.append(packet.count)
            case Opcode.SIGNS:
                signs += np.frombuffer(packet.halves.tobytes(), "<i2").tolist()
            case Opcode.STORE:
                octets = config.memory_width // 8
                twin = bytearray(b"".join(word.to_bytes(octets, "little") for word in memory))
                begin = packet.address * octets
                twin[begin:begin + 2 * packet.count] = packet.halves.tobytes()
                memory[:] = [int.from_bytes(twin[at:at + octets], "little")
                             for at in range(0, len(twin), octets)]
            case Opcode.END | Opcode.HOLD:
                pass
            case _:
                fixed = packet.opcode in (Opcode.FIXED, Opcode.RESIDENT_FIXED)
                size = (config.fixed_pe if fixed else config.pe) * config.simd // 16
                if packet.opcode in (Opcode.RESIDENT, Opcode.RESIDENT_FIXED):
                    lanes = config.memory_width // 16
                    halves = [memory[packet.address + at // lanes] >> 16 * (at % lanes) & 0xFFFF
                              for at in range(packet.count * size)]
                padding = [None] * (config.weight_width // 16 - size)
                weights += [halves[at:at + size] + padding for at in range(0, len(halves), size)]
    return weights, levels, layers, walks, held, signs


async def carry_out(world, queues, packets, *, stall):
    """Send packets, the last of them END, and wait until they are carried out."""
    halves, at, rng = make.encode(packets).tolist(), 0, queues.rng
    offered, patience, wanted = False, 0, 0
    # How many layers have ended where the host is wanted for something.
    calls = [sum(before.opcode is Opcode.LAYER for before in packets[:place])
             for place, packet in enumerate(packets)
             if packet.opcode is Opcode.HOLD and packet.count]
    while True:
        if rng.random() < 0.01:
            queues.rates = tuple(rng.choice([0.1, 0.5, 1, 4]) for _ in range(4))
        queues.drive()
        offered = at < len(halves) and (offered or rng.random() >= stall)
        world.set("halves__valid", offered)
        world.set("halves__payload", halves[at] if offered else rng.getrandbits(16))
        await world.settle()
        world.set("grant", world.get("request") and queues.grants)
        wants = world.get("wanting")
        if wants and not wanted:
            assert len(queues.layers) == calls.pop(0), "the host is wanted at the wrong time"
        wanted = wants and rng.random() >= 0.02
        world.set("granted", wants and not wanted)
        await world.settle()
        assert not world.get("held") or (wants and queues.idle)
        done, idle = world.get("done"), queues.idle
        taken = offered and world.get("halves__ready")
        read = queues.look()
        await world.tick()
        world.set("read_data", read)
        if taken:
            at, offered, patience = at + 1, False, 0
        patience += 1
        assert patience < 5000, "fetch has stopped"
        if done:
            assert at == len(halves)
            layers = [packet for packet in packets if packet.opcode is Opcode.LAYER]
            assert idle, "END came before the last layer did"
            assert not calls, "END came before the host was wanted"
            assert len(queues.layers) == len(layers), "END came before the last layer did"
            break


async def programs(world, config, seed, count, *, stall, kinds=None):
    """Programs of any packets, one after another."""
    rng, queues = np.random.default_rng(seed), Queues(world, config, random.Random(seed))
    for name in ("halves__valid", "grant", "granted", "read_data"):
        world.set(name, 0)
    kinds = kinds or ["weights", "weights", "resident", "resident", "levels", "wide", "layer",
                      "store", "hold"] + ["kept", "signs"] * config.signs
    for _ in range(count):
        packets = [any_packet(rng, config, rng.choice(kinds)) for _ in range(12)]
        packets.append(make.end())
        queues.weights, queues.levels, queues.layers, queues.walks = [], [], [], []
        queues.shown, queues.signs = [], []
        memory = list(queues.memory)
        await carry_out(world, queues, packets, stall=stall)
        for _ in range(2):  # the last copy arrives
            queues.drive()
            world.set("halves__valid", 0)
            world.set("granted", 0)
            await world.settle()
            assert not world.get("done")
            assert not world.get("wanting")
            read = queues.look()
            await world.tick()
            world.set("read_data", read)
        weights, levels, layers, walks, held, signs = expected_of(packets, config, memory)
        assert queues.memory == memory
        assert queues.weights == weights
        assert queues.levels == levels
        assert queues.layers == layers
        assert queues.walks == walks
        assert queues.shown == held
        assert queues.signs == signs


async def full_rate(world, config):
    """A part of a word is copied in every cycle, if there is but a place for that word."""
    queues = Queues(world, config, random.Random(0))
    for name in ("halves__valid", "grant", "granted", "read_data"):
        world.set(name, 0)
    queues.rates = 1, 1, 0, 0
    for held in range(config.weight_depth):
        queues.held = held
        halves, asked = make.encode([make.resident(1, 5, fixed=False)]).tolist(), []
        for _ in range(20):
            queues.drive()
            world.set("halves__valid", bool(halves))
            world.set("halves__payload", halves[0] if halves else 0)
            world.set("grant", 1)
            await world.settle()
            asked.append(world.get("request"))
            if halves and world.get("halves__ready"):
                halves.pop(0)
            queues.look()
            await world.tick()
        parts = config.weight_width // config.memory_width
        assert asked == [0] * 2 + [1] * parts + [0] * (18 - parts)


async def stores_at_full_rate(world, config):
    """A halfword is stored in two cycles, the second of which is that of the write."""
    queues = Queues(world, config, random.Random(0))
    for name in ("halves__valid", "grant", "granted", "read_data"):
        world.set(name, 0)
    queues.rates = 1, 1, 0, 0
    octets = config.memory_width // 8
    halves, writes = make.encode(make.store(5, bytes(range(1, 19)), octets=octets)).tolist(), []
    for _ in range(24):
        queues.drive()
        world.set("halves__valid", bool(halves))
        world.set("halves__payload", halves[0] if halves else 0)
        await world.settle()
        world.set("grant", world.get("request"))
        await world.settle()
        writes.append(world.get("stores") and world.get("write"))
        if halves and world.get("halves__ready"):
            halves.pop(0)
        queues.look()
        await world.tick()
    lanes = [0b11 << at % octets for at in range(0, 18, 2)]
    assert writes == [0] * 2 + [mask for lane in lanes for mask in (0, lane)] + [0] * 4


CONFIGS = {"16": CONFIG,
           "signs": SIGNS,
           "8": Config(simd=8, p=4, weight_depth=2, level_depth=8, memory_depth=64),
           "one part": Config(simd=8, p=8, fixed_pe=8, weight_depth=2, memory_depth=64,
                              level_depth=8)}


@pytest.mark.parametrize("stall", [0, 0.4])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_programs(config, stall):
    in_amaranth(Fetch(config), lambda world: programs(world, config, 0, 12, stall=stall))


@pytest.mark.parametrize("kind", ["weights", "resident", "levels", "wide", "layer", "store",
                                  "hold"])
def test_one_kind(kind):
    """Packets of a kind one right after another."""
    in_amaranth(Fetch(CONFIG), lambda world: programs(world, CONFIG, 1, 4, stall=0, kinds=[kind]))


@pytest.mark.parametrize("kind", ["kept", "signs"])
def test_one_kind_that_stays(kind):
    in_amaranth(Fetch(SIGNS), lambda world: programs(world, SIGNS, 1, 4, stall=0, kinds=[kind]))


def test_full_rate():
    in_amaranth(Fetch(CONFIG), full_rate, CONFIG)


def test_stores_at_full_rate():
    in_amaranth(Fetch(CONFIG), stores_at_full_rate, CONFIG)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(stall=[0, 0.4])
async def any_programs(dut, stall):
    await programs(await Verilog.begin(dut), CONFIG, 2, 5, stall=stall)


def test_verilog(tmp_path):
    assert simulate(Fetch(CONFIG), __name__, tmp_path) == 2
