import numpy as np
import pytest

from compiler.schedule import packets as make
from compiler.schedule.places import Room
from compiler.schedule.program import Writer, joined, keep
from compiler.schedule.residency import Choice, Run
from compiler.schedule.tiles import Tile
from hdl.config import Config
from hdl.isa import Opcode, Target
from tests.compiler.schedule.single import between, bits_conv, bits_dense


CONFIG = Config(weight_depth=16, level_depth=64)
RNG = np.random.default_rng(0)


def tile(words, levels=8):
    return Tile(RNG.integers(-99, 99, levels), RNG.integers(0, 256, (words, 32), np.uint8))


def layer(name):
    return make.Packet(Opcode.LAYER, name=name)


def written(choice, *layers):
    """The writer, after it was given layers of tiles."""
    writer = Writer(CONFIG, choice, [tile for tiles in layers for tile in tiles])
    for at, tiles in enumerate(layers):
        writer.add(layer(f"layer{at}"), len(tiles), fixed=False)
    return writer


def told(packets):
    return [(packet.opcode.name, packet.name or packet.count) for packet in packets]


def test_order():
    """Tiles come ahead of their layer as told; a room is filled behind the layer that frees it."""
    tiles = [tile(4) for _ in range(5)]
    rooms = (Room(0, 0, 50), Room(1, 50, 99))
    runs = ((Run(4),), (Run(4),), (Run(4),), (Run(1), Run(3, 0, 7)), (Run(4, 1, 60),))
    writer = written(Choice(runs, rooms, (1, 2, 1), 0.0), tiles[:1], tiles[1:4], tiles[4:])
    assert told(writer.program) == [
        ("LEVELS", 8), ("WEIGHTS", 4), ("LAYER", "layer0"),
        ("LEVELS", 16), ("WEIGHTS", 8), ("LAYER", "layer1"),
        ("LEVELS", 8), ("WEIGHTS", 1), ("RESIDENT", 3), ("STORE", 4 * 16),
        ("LEVELS", 8), ("RESIDENT", 4), ("LAYER", "layer2")]
    store, copy = writer.program[9], writer.program[11]
    assert store.address == copy.address == 60
    assert store.halves.tobytes() == tiles[4].weights.tobytes()
    assert told(writer.resident) == [("STORE", 3 * 16)]
    assert writer.resident[0].halves.tobytes() == tiles[3].weights[1:].tobytes()


def test_levels_come_some_at_a_time():
    """So the level queue holds those of the next tiles, too."""
    tiles = [tile(1) for _ in range(9)]
    runs = ((Run(1),),) * 9
    writer = written(Choice(runs, (), (1,), 0.0), tiles)
    assert told(writer.program) == [
        ("LEVELS", 8), ("WEIGHTS", 1), ("LAYER", "layer0"),
        ("LEVELS", 32), ("WEIGHTS", 4), ("LEVELS", 32), ("WEIGHTS", 4)]
    levels = np.concatenate([packet.halves.view("<i2") for packet in writer.program
                             if packet.opcode is Opcode.LEVELS])
    assert (levels == np.concatenate([of.levels for of in tiles])).all()


@pytest.mark.parametrize("room", [None, 0])
def test_a_tile_that_does_not_fit(room):
    """Its layer comes behind what the queue holds of it, or would wait for itself."""
    writer = written(Choice(((Run(40, room, 8),),), (Room(0, 0, 999),), (1,), 0.0), [tile(40)])
    kind = "WEIGHTS" if room is None else "RESIDENT"
    assert told(writer.program) == [("LEVELS", 8), (kind, 16), ("LAYER", "layer0"), (kind, 16),
                                    (kind, 8)]
    assert [packet.address for packet in writer.program[1::2]][:1] == [0 if room is None else 8]


def held_layers(config):
    """A layer whose bits leave by groups, between two others."""
    layers = [between(task, fixed, config, reader) for task, fixed, reader in [
        (bits_conv(count=1), True, None),
        (bits_dense(40, 64, count=1), False, bits_dense(64, 4)), (bits_dense(), False, None)]]
    assert [lowered.signs for lowered in layers] == [False, True, False]
    assert layers[1].target is Target.BITS
    return layers


def test_what_stays():
    """All weights come before the first frame, and with them levels of bits by groups; others are
    of the program, ahead of the layer that they are for."""
    config = Config(weight_depth=1 << 14, level_depth=64, sign_depth=64)
    sizes = [(3, 8), (4500, 4096 + 8), (2, 16)]  # words, and levels, of a tile
    own = [[tile(words, levels) for _ in range(2)] for words, levels in sizes]
    own[2] = [tile(2, 16) for _ in range(3)]
    layers = [(layer(f"layer{at}"), lowered, tiles)
              for at, (lowered, tiles) in enumerate(zip(held_layers(config), own, strict=True))]
    resident, program, ends = keep(config, layers)
    assert told(resident) == [
        ("FIXED", 6),
        ("WEIGHTS", 4095), ("WEIGHTS", 4095), ("WEIGHTS", 810), ("SIGNS", 4095), ("SIGNS", 4095),
        ("SIGNS", 18), ("WEIGHTS", 6)]
    assert told(program) == [
        ("LEVELS", 16), ("KEPT", 6), ("LAYER", "layer0"),
        ("KEPT", 4095), ("KEPT", 4095), ("KEPT", 810), ("LAYER", "layer1"),
        ("LEVELS", 32), ("KEPT", 4), ("LAYER", "layer2"), ("LEVELS", 16), ("KEPT", 2)]

    def data(packets, *opcodes):
        return b"".join(packet.halves.tobytes() for packet in packets if packet.opcode in opcodes)

    every = [of for tiles in own for of in tiles]
    assert data(resident, Opcode.WEIGHTS, Opcode.FIXED) == b"".join(
        of.weights.tobytes() for of in every)
    assert data(resident, Opcode.SIGNS) == b"".join(
        of.levels.astype("<i2").tobytes() for of in own[1])
    assert data(program, Opcode.LEVELS) == b"".join(
        of.levels.astype("<i2").tobytes() for of in own[0] + own[2])


def test_joined():
    runs = [Run(1), Run(2), Run(3, 0, 10), Run(4, 0, 22), Run(5, 1, 38), Run(6, 1, 59), Run(7)]
    assert joined(runs, 4) == [Run(3), Run(7, 0, 10), Run(5, 1, 38), Run(6, 1, 59), Run(7)]
    assert joined([], 4) == []
