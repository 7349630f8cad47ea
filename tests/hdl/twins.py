"""Layers as `hdl.isa` has them, in NumPy and literally, without any notion of time."""

from dataclasses import dataclass

import numpy as np

from hdl.fixed import rescale
from hdl.isa import SERIAL, Activation, Feed, Loop, Target


__all__ = ["Pass", "Results", "any_levels", "fields", "passes", "run", "serial_level",
           "sums_of", "words_of"]


@dataclass(frozen=True)
class Pass:
    """One turn of the innermost loop: where it begins, and the turn and the turns of each loop."""

    source: int
    x: int
    y: int
    output: int
    turns: tuple[tuple[int, int], ...]

    def first(self, loop):
        return self.turns[loop][0] == 0

    def last(self, *loops):
        return all(self.turns[loop][0] == self.turns[loop][1] - 1 for loop in loops)

    @property
    def flags(self):
        """As `hdl.walker.Flags`."""
        window = (Loop.ACROSS, Loop.DOWN)
        return {"part_first": self.first(Loop.PART), "part_last": self.last(Loop.PART),
                "across_last": self.last(Loop.ACROSS), "window_last": self.last(*window),
                "group_last": self.last(*window, Loop.COLUMN, Loop.ROW),
                "last": self.last(*list(Loop)[:Loop.BEGIN])}


def fields(kind, **values):
    """Return all fields of a layout; those that are not given are 0."""
    unknown = set(values) - {name for name, _ in kind}
    assert not unknown, unknown
    return {name: 0 for name, _ in kind} | {name: int(x) for name, x in values.items()}


def passes(walks, layer, config):
    """Go around the loops. A pass leaves its place at its last row."""
    place = dict.fromkeys(("source", "x", "y", "output"), 0)
    modulo = {"source": 1 << 16, "x": 256, "y": 256,
              "output": 1 << (config.memory_depth * config.memory_width // 8 - 1).bit_length()}

    def move(**by):
        for name, distance in by.items():
            place[name] = (place[name] + distance) % modulo[name]

    def turn(loop):
        walk = walks[loop]
        move(source=walk["source"], x=walk["x"], y=walk["y"],
             output=walk["output"] + (walk["output_high"] << 16))

    def around(loop, turns):
        if loop < 0:
            yield Pass(**place, turns=turns)
            move(source=(layer["height"] * layer["depth"] - 1) * layer["step"] * config.p,
                 y=layer["height"] - 1)
            return
        count = walks[loop]["count"]
        for at in range(count):
            if at:
                turn(loop)
            yield from around(loop - 1, ((at, count), *turns))

    turn(Loop.BEGIN)
    yield from around(Loop.WORD, ())


def words_of(at, layer, config, memory):
    """Return the words of a pass, and which of them count: (words, p) each.

    ``memory`` has a word for each place. In `Feed.WHOLE` and `Feed.GROUP` only those of pixel 0
    mean something.
    """
    p, words, keep = config.p, [], []
    border = int.from_bytes(bytes([layer["zero"] << 7]) * (config.simd // 8), "little")
    for row in range(layer["height"] * layer["depth"]):
        begin = at.source + row * layer["step"] * p
        y = (at.y + row // layer["depth"]) % 256
        for tap in range(layer["taps"]):
            for pixel in range(p):
                place = {
                    Feed.CHAIN: begin + tap + pixel,
                    Feed.PLANES: begin + tap + pixel,
                    Feed.WHOLE: begin - begin % p + tap * p,
                    Feed.GROUP: begin + tap // p * p * p + tap % p}[Feed(layer["feed"])]
                x = (at.x + tap + pixel) % 256
                inside = not layer["columns"] or (x < layer["columns"] and y < layer["lines"])
                words.append(memory[place % len(memory)] if inside else border)
                keep.append(inside or not layer["skip"])
    return np.array(words, object).reshape(-1, p), np.array(keep).reshape(-1, p)


def numbers(words, lanes, *, fixed):
    """Return the numbers of words: (..., lanes), -1 and +1 or signed octets."""
    octets = lanes if fixed else lanes // 8
    data = b"".join(int(word).to_bytes(octets, "little") for word in words.ravel())
    if fixed:
        return np.frombuffer(data, np.int8).reshape(*words.shape, -1).astype(int)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    return bits.reshape(*words.shape, -1).astype(int) * 2 - 1


def sums_of(words, keep, weights, layer, config):
    """Return what a unit sums: (p, channels), of words and their weight words."""
    fixed = layer["fixed"]
    lanes, places = ((config.fixed_simd, config.fixed_pe) if fixed
                     else (config.simd, config.pe))
    mask = (1 << config.simd) - 1
    split = np.array([[word >> config.simd * at & mask for at in range(places)]
                      for word in weights], object)
    a = numbers(words, lanes, fixed=fixed) * keep[..., None]
    w = numbers(split, lanes, fixed=fixed)
    if layer["feed"] == Feed.PLANES:  # each is worth twice the one behind it
        planes = np.arange(layer["height"])[::-1].repeat(len(words) // layer["height"])
        a = a << planes[:, None, None]
    return np.einsum("npl,ncl->pc", a, w)[:, :layer["channels"]]


class Results:
    """What the drain makes of the sums of a layer: writes it to ``memory``, a bytearray."""

    def __init__(self, layer, config, memory):
        self._layer, self._config, self._memory = layer, config, memory
        self._row, self._window = [], None

    def write(self, place, data):
        for index, octet in enumerate(data):
            self._memory[(place + index) % len(self._memory)] = octet

    def take(self, sums, levels, at):
        """Sums of a pass, (pixels, channels), and the levels of each channel."""
        layer, config, place = self._layer, self._config, at.output
        for pixel, of_pixel in enumerate(sums):
            closes = not layer["pool"] or (
                at.flags["window_last"] and pixel == len(sums) - 1)
            if layer["target"] == Target.SUMS:
                made = np.array(of_pixel) + [of_channel[0] for of_channel in levels]
                self.write(place, made.astype("<i4").tobytes())
                place += 4 * (len(made) - 1 + layer["pitch"])
                continue
            self._row += [self.value(int(total), of_channel)
                          for total, of_channel in zip(of_pixel, levels, strict=True)]
            row = self._row
            if layer["pool"] and self._window:
                row = [max(pair) for pair in zip(row, self._window, strict=False)]
            if layer["target"] == Target.OCTETS:
                if closes:
                    self.write(place, [self.octet(value) for value in row])
                    place += len(row) + 4 * layer["pitch"]
                self._row, self._window = [], None if closes else row
            elif len(row) == config.pe:
                if closes:
                    self.planes(place, row)
                    place += config.simd // 8
                self._row, self._window = [], None if closes else row

    def take_signs(self, sums, levels, at):
        """Sums of all pixels of a pass that makes bits by groups; each channel has one level."""
        layer, config = self._layer, self._config
        assert not (sums % 2).any()
        bits = (sums // 2 + np.array(levels)[:, 0] >= 0).astype(int)
        if layer["pool"]:
            bits = bits.reshape(-1, layer["pixels"] + 1, config.pe).max(1)
            if self._window is not None:
                bits = np.maximum(bits, self._window)
            self._window = None if at.flags["window_last"] else bits
        if self._window is None:
            for index, row in enumerate(bits.tolist()):
                self.planes(at.output + index * config.simd // 8, row)

    def planes(self, place, row):
        layer, config = self._layer, self._config
        for plane in range(layer["bits"] if layer["target"] == Target.PLANES else 1):
            bits = sum((value >> plane & 1) << index for index, value in enumerate(row))
            # The first channels of a word clear the others.
            size = config.pe // 8 if place % (config.simd // 8) else config.simd // 8
            self.write(place, bits.to_bytes(size, "little"))
            place += layer["plane"] * config.memory_width // 8

    def octet(self, value):
        layer = self._layer
        if layer["bits"] == 1 and layer["activation"] == Activation.THRESHOLD:
            value = 2 * value - 1
        return value & 0xFF ^ layer["flip"] << 7

    def value(self, total, levels):
        layer, bits = self._layer, self._layer["bits"]
        total += levels[0]
        if layer["activation"] == Activation.RESCALE:
            low = -(1 << bits - 1) if layer["signed"] else 0
            return rescale(total, layer["shift"], low, low + (1 << bits) - 1)
        node = 1
        for _ in range(bits):
            node = 2 * node + (total >= 0)
            if node <= len(levels):
                total += levels[node - 1]
        return node - (1 << bits)


def run(layer, walks, config, inputs, outputs, weights, levels):
    """Run a layer from ``inputs``, a list of words, to ``outputs``, a bytearray.

    ``weights`` are words, ``levels`` those of each channel; both for the whole layer.
    """
    size = layer["taps"] * layer["height"] * layer["depth"]
    results = Results(layer, config, outputs)
    fixed, weight, level, sums = layer["fixed"], 0, 0, 0
    channels = layer["channels"]
    for at in passes(walks, layer, config):
        words, keep = words_of(at, layer, config, inputs)
        part = at.turns[Loop.PART][0] if fixed else 0
        begin = weight + part * size
        unit = sums_of(words, keep, weights[begin:begin + size], layer, config)
        sums = unit if fixed or at.first(Loop.PART) else 2 * sums + unit
        flags = at.flags
        if fixed or flags["part_last"]:
            pixels = 1 if layer["single"] else (
                layer["pixels"] + 1 if flags["across_last"] else config.p)
            begin = level + part * channels
            of_pass = levels[begin:begin + channels]
            if not fixed and not at.first(Loop.PART):
                of_pass = [[serial_level(of[0], at.turns[Loop.PART][1], config), *of[1:]]
                           for of in of_pass]
            if layer["activation"] == Activation.SIGN:
                results.take_signs(sums[:1 if layer["single"] else config.p], of_pass, at)
            else:
                results.take(sums[:pixels], of_pass, at)
        if flags["group_last"] and flags["part_last"]:
            parts = at.turns[Loop.PART][1] if fixed else 1
            weight += parts * size
            level += parts * channels
    assert weight == len(weights)
    assert level == len(levels)


def serial_level(level, planes, config):
    """What a first level adds to the sum of bit planes: its high bits are its last ones."""
    high, low = level & (1 << config.sum_width - SERIAL) - 1, level >> config.sum_width - SERIAL
    high -= (high >> config.sum_width - SERIAL - 1) << config.sum_width - SERIAL
    total = high
    for plane in range(1, planes):
        total = 2 * total + (low >> SERIAL - plane & 1)
    return total


def any_levels(rng, layer, spread):
    """Levels of a channel as the drain adds them, in heap order."""
    count = layer["stride"]
    rising = np.sort(rng.integers(-spread, spread + 1, count))
    levels = []
    for node in range(1, count + 1):
        depth = node.bit_length()
        at = ((2 * (node - (1 << depth - 1)) + 1) << layer["bits"] - depth) - 1
        levels.append(-int(rising[at if count > 1 else 0]))
    return [level - levels[(at + 1) // 2 - 1] if at else level for at, level in enumerate(levels)]
