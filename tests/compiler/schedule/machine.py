"""The accelerator as `hdl.isa` has it, in NumPy: it runs an image, packet by packet."""

from collections import deque
from functools import lru_cache

import numpy as np

from compiler.schedule.image import Image
from hdl.fixed import rescale
from hdl.isa import (
    GROUP,
    LAYER_HALVES,
    WALK_HALVES,
    Activation,
    Feed,
    Head,
    Layer,
    Loop,
    Opcode,
    Target,
    Walk,
)


__all__ = ["Machine", "Results", "fields_of"]


def fields_of(shape, data):
    """The fields of a `StructLayout`, from its octets."""
    bits = int.from_bytes(data, "little")
    return {name: bits >> field.offset & (1 << field.width) - 1 for name, field in shape}


class Machine:
    """Memory and queues of a board with ``image`` in its flash, after it was loaded.

    Nothing is known of memory that was not written. Queues have their depth: a program that waits
    for ever is an AssertionError, and so is a level that is not there when a pass ends.
    """

    def __init__(self, config, image, seed=0):
        parts = Image.from_bytes(image)
        resident, self.program = (np.frombuffer(x, "<u2") for x in (parts.resident, parts.program))
        assert parts.config_hash == config.hash
        self.config = config
        self.memory = np.random.default_rng(seed).integers(
            0, 256, config.memory_depth * config.memory_width // 8, np.uint8)
        self.layers, self.weights, self.levels = deque(), [], []
        self.held, self.signs, self.on_want = [], [], None  # weights and levels that stay
        self.shown = self.signed = self.wants = 0  # how many of them this frame has used
        self.carry_out(resident, first=True)

    def run(self):
        """One frame."""
        self.left = []  # the memory, when each layer had ended
        self.carry_out(self.program)

    def write(self, address, data):
        """Put ``data`` at an octet of the memory."""
        self.memory[address:address + len(data)] = np.frombuffer(data, np.uint8)

    def read(self, address, count):
        return self.memory[address:address + count].tobytes()

    # Packets

    def carry_out(self, halves, *, first=False):
        engine = self.engine()
        depths = {id(self.layers): 1, id(self.weights): self.config.weight_depth,
                  id(self.levels): self.config.level_depth}

        def put(queue, item):
            if len(queue) == depths[id(queue)]:
                next(engine)
            assert len(queue) < depths[id(queue)], "the program waits for ever"
            queue.append(item)

        at = 0
        while True:
            head, address = int(halves[at]), int(halves[at + 1])
            count = head & (1 << Head["count"].width) - 1
            opcode = Opcode(head >> Head["opcode"].offset)
            at += 2
            if opcode is Opcode.END:
                break
            if opcode is Opcode.HOLD:
                next(engine)
                assert not self.layers, "a layer waits for what comes behind it"
                if self.wants:
                    self.on_want()
                self.wants = count
                continue
            size = self.size_of(opcode, count)
            data = halves[at:at + size].astype("<u2").tobytes()
            at += size
            fixed = opcode in (Opcode.FIXED, Opcode.RESIDENT_FIXED)
            octets = (self.config.fixed_pe if fixed else self.config.pe) * self.config.simd // 8
            begin = address * self.config.memory_width // 8
            match opcode:
                case Opcode.LAYER:
                    put(self.layers, data)
                case Opcode.STORE:
                    self.write(begin, data)
                case Opcode.KEPT:
                    assert self.shown + count <= len(self.held), "words are not there"
                    self.weights += self.held[self.shown:self.shown + count]
                    self.shown += count
                case Opcode.SIGNS:
                    self.signs += np.frombuffer(data, "<i2").tolist()
                    assert len(self.signs) <= self.config.sign_depth * GROUP
                case Opcode.LEVELS | Opcode.LEVELS_WIDE:
                    for level in np.frombuffer(data, "<i2" if opcode is Opcode.LEVELS else "<i4"):
                        put(self.levels, int(level))
                case _:
                    if opcode in (Opcode.RESIDENT, Opcode.RESIDENT_FIXED):
                        data = self.read(begin, count * octets)
                    for index in range(count):
                        put(self.weights, data[index * octets:(index + 1) * octets])
        next(engine)
        assert at == len(halves), "something follows END"
        if first and self.config.signs:
            self.held, self.weights = self.weights, []
        self.shown = self.signed = 0
        left = len(self.layers) + len(self.weights) + len(self.levels)
        assert left == 0, "something is left over"

    def size_of(self, opcode, count):
        """Halfwords behind the head of a packet."""
        return {
            Opcode.LAYER: len(Loop) * WALK_HALVES + LAYER_HALVES,
            Opcode.WEIGHTS: count * self.config.pe * self.config.simd // 16,
            Opcode.FIXED: count * self.config.fixed_pe * self.config.simd // 16,
            Opcode.LEVELS: count,
            Opcode.LEVELS_WIDE: 2 * count,
            Opcode.STORE: count,
            Opcode.SIGNS: count,
        }.get(opcode, 0)

    # Layers

    def engine(self):
        """Run layers; yields where a descriptor or a weight word is missing."""
        while True:
            while not self.layers:
                yield
            data, size = self.layers[0], 2 * WALK_HALVES
            walk = {loop: fields_of(Walk, data[loop * size:(loop + 1) * size]) for loop in Loop}
            layer = fields_of(Layer, data[len(Loop) * size:])
            yield from self.layer(walk, layer)
            self.left.append(self.memory.copy())
            self.layers.popleft()

    def layer(self, walk, layer):
        """Run all passes of a layer."""
        place = Place(walk[Loop.BEGIN])
        turns = dict.fromkeys(Loop, 0)
        results = Results(layer, self.config)
        fixed, parts = layer["fixed"], walk[Loop.PART]["count"]
        passes = layer["height"] * layer["depth"] * layer["taps"]
        tile_loops = [Loop.ACROSS, Loop.DOWN, Loop.COLUMN, Loop.ROW]
        signs = layer["activation"] == Activation.SIGN
        assert not signs or passes <= layer["segment"], "bits are made of one segment"
        used, sums = 0, 0  # words of earlier parts of this pixel; sums of earlier planes
        while True:
            last = {loop: turns[loop] == walk[loop]["count"] - 1 for loop in list(Loop)[:-1]}
            pixels = 1 if layer["single"] else (
                layer["pixels"] + 1 if last[Loop.ACROSS] and not signs else self.config.p)
            words, counts = self.words_of(layer, place)
            ends = all(last[loop] for loop in tile_loops)
            frees = ends and (fixed or last[Loop.PART])  # words are used for the last time
            made = yield from self.sums_of(words[:pixels], counts[:pixels], fixed,
                                           0 if frees else used, passes, frees)
            sums = made if fixed or turns[Loop.PART] == 0 else 2 * sums + made
            if signs:
                window_ends = last[Loop.ACROSS] and last[Loop.DOWN]
                self.harvest_signs(results, layer, sums, place.output, window_ends)
            elif fixed or last[Loop.PART]:
                self.harvest(results, layer, sums, place.output, turns[Loop.PART] * fixed,
                             parts if fixed else 1, all(last[loop] for loop in tile_loops[:2]),
                             1 if fixed else parts)
            used = (used + passes) % (passes * parts) if fixed and not frees else 0
            if ends and signs:
                self.signed += layer["channels"]
            elif ends and last[Loop.PART]:
                count = layer["channels"] * layer["stride"] * (parts if fixed else 1)
                del self.levels[:count]
            if all(last.values()):
                return
            loop = next(loop for loop in Loop if not last[loop])
            for inner in range(loop):
                turns[inner] = 0
            turns[loop] += 1
            place.turn(walk[loop])

    def words_of(self, layer, place):
        """Walk a pass: activations (pixels, words, octets), and which of them count."""
        p, octets = self.config.p, self.config.simd // 8
        memory = self.memory.reshape(-1, p, octets)
        pixel, tap = np.ogrid[:p, :layer["taps"]]
        words, counts = [], []
        for row in range(layer["height"] * layer["depth"]):
            if row:
                place.source += layer["step"] * p
                place.y += row % layer["depth"] == 0
            source = place.source % (1 << 16)
            address, slot = source // p, source % p
            at = pixel + tap
            match layer["feed"]:
                case Feed.CHAIN | Feed.PLANES:
                    address, slot = address + (slot + at) // p, (slot + at) % p
                case Feed.WHOLE:
                    assert slot == 0
                    address, slot = address + at, 0 * at
                case Feed.GROUP:
                    assert slot == 0
                    address, slot = address + at // p * p, at % p
            words.append(memory[address % len(memory), slot])
            inside = ((place.x + at) % 256 < layer["columns"]) & (place.y % 256 < layer["lines"])
            counts.append(inside | (layer["columns"] == 0))
        words, counts = np.concatenate(words, 1), np.concatenate(counts, 1)
        outside = 0x80 if layer["zero"] else 0
        words = np.where(counts[..., np.newaxis], words, np.uint8(outside))
        counts = counts if layer["skip"] else np.ones_like(counts)
        if layer["feed"] == Feed.PLANES:
            worth = 1 << np.arange(layer["height"])[::-1]
            counts = counts * np.repeat(worth, layer["depth"] * layer["taps"])
        return words, counts

    def sums_of(self, words, counts, fixed, first, passes, frees):
        """Sums (pixels, channels) with the weights from number ``first`` of the queue on."""
        places = self.config.fixed_pe if fixed else self.config.pe
        total, at = np.zeros((len(words), places), np.int64), 0
        while at < passes:
            begin = 0 if frees else first + at
            while begin == len(self.weights):
                assert begin < self.config.weight_depth, "a tile does not fit the queue"
                yield
            weights = self.weights[begin:begin + passes - at]
            now = slice(at, at + len(weights))
            for pixel in range(len(words)):
                activations = numbers(words[pixel, now], fixed) * counts[pixel, now, np.newaxis]
                total[pixel] += np.tensordot(products(tuple(weights), places, fixed),
                                             activations, ((0, 2), (0, 1)))
            at += len(weights)
            if frees:
                del self.weights[:len(weights)]
        return total

    def harvest_signs(self, results, layer, sums, output, window_ends):
        """Make bits of the sums of a pass, of all pixels, and write them."""
        levels = np.array(self.signs[self.signed:self.signed + layer["channels"]])
        assert len(levels) == layer["channels"] == self.config.pe, "a level is not there"
        halves, most = sums // 2, 1 << self.config.binary_width - 1
        assert (sums == 2 * halves).all()
        assert np.abs(halves).max() < most, "a sum overflows"
        for place, octets in results.take_signs(halves + levels >= 0, output, window_ends):
            self.write(place % len(self.memory), octets)

    def harvest(self, results, layer, sums, output, part, parts, window_ends, planes):
        """Make results of the sums of a pass, which are of so many planes, and write them."""
        stride, channels = layer["stride"], layer["channels"]
        assert len(self.levels) >= channels * stride * parts, "a level comes too late"
        levels = np.array(self.levels[:channels * stride * parts]).reshape(parts, channels, stride)
        if planes > 1:
            levels[..., 0] = by_planes(levels[..., 0], planes, self.config)
        for place, octets in results.take(sums[:, :channels], levels[part], output,
                                          part == parts - 1, window_ends):
            self.write(place % len(self.memory), octets)


def by_planes(words, planes, config):
    """What first levels add to sums of bit planes: bits 7 from above, one with each plane behind
    the first, as if they were below the others."""
    width = config.sum_width - 7
    total = (words & (1 << width) - 1) - ((words >> width - 1 & 1) << width)
    for plane in range(planes - 1):
        total = 2 * total + (words >> config.sum_width - 1 - plane & 1)
    return total


@lru_cache(32)
def products(words, places, fixed):
    """Weights of words of the queue: (words, channels, lanes)."""
    octets = np.frombuffer(b"".join(words), np.uint8).reshape(len(words), places, -1)
    return numbers(octets, fixed)


def numbers(octets, fixed):
    """What octets are for a unit: along the last axis, 8 or 1 for each."""
    if fixed:
        return octets.view(np.int8).astype(np.int64)
    return 2 * np.unpackbits(octets, axis=-1, bitorder="little").astype(np.int64) - 1


class Place:
    """Where a pass begins."""

    def __init__(self, begin):
        self.source = self.x = self.y = self.output = 0
        self.turn(begin)

    def turn(self, entry):
        self.source = (self.source + entry["source"]) % (1 << 16)
        self.x = (self.x + entry["x"]) % (1 << 8)
        self.y = (self.y + entry["y"]) % (1 << 8)
        self.output = (self.output + entry["output"] + (entry["output_high"] << 16)) % (1 << 20)


class Results:
    """What the drain writes of the sums of one layer."""

    def __init__(self, layer, config):
        self._layer, self._config = layer, config
        self._gathered = {}  # by pixel: values of the parts so far, (channels,)
        self._joined = None  # the greatest values of a window so far

    def take(self, sums, levels, place, last_part=True, window_ends=True):
        """Return what a pass writes, as [(place, octets)].

        ``sums`` are (pixels, channels), ``levels`` (channels, stride); ``place`` is an octet of the
        memory. ``last_part`` and ``window_ends`` tell what the pass is the last of.
        """
        layer, writes = self._layer, []
        for pixel, row in enumerate(sums):
            values = [self.value(int(total), list(map(int, of)))
                      for total, of in zip(row, levels, strict=True)]
            values = self._gathered[pixel] = self._gathered.get(pixel, []) + values
            if not last_part and layer["target"] in (Target.BITS, Target.PLANES):
                continue
            del self._gathered[pixel]
            if layer["pool"]:
                assert last_part
                joined = values if self._joined is None else np.maximum(values, self._joined)
                self._joined = None if window_ends and pixel == len(sums) - 1 else joined
                values = joined
            if self._joined is None:
                writes += self._written(values, place)
            place += 0 if layer["pool"] else self._apart(len(values))
        return writes

    def take_signs(self, bits, place, window_ends):
        """Return what a pass writes whose bits, (pixels, channels), leave by groups, likewise."""
        layer = self._layer
        if layer["pool"]:
            windows = bits.reshape(-1, layer["pixels"] + 1, bits.shape[1]).any(1)
            bits = windows if self._joined is None else self._joined | windows
            self._joined = None if window_ends else bits
            if not window_ends:
                return []
        return [write for at, row in enumerate(bits.astype(int))
                for write in self._written(row, place + at * self._config.simd // 8)]

    def _apart(self, count):
        """Octets from a pixel of ``count`` values to the next."""
        match self._layer["target"]:
            case Target.SUMS:
                return 4 * (count - 1 + self._layer["pitch"])
            case Target.OCTETS:
                return count + 4 * self._layer["pitch"]
        return self._config.simd // 8

    def _written(self, values, place):
        """Return what is written of the values of a pixel."""
        layer = self._layer
        match layer["target"]:
            case Target.SUMS:
                return [(place, np.array(values, "<i4").tobytes())]
            case Target.OCTETS:
                return [(place, bytes(value & 0xFF ^ layer["flip"] << 7 for value in values))]
        apart = layer["plane"] * self._config.memory_width // 8
        size = self._config.simd // 8 if place % (self._config.simd // 8) == 0 else 0
        return [(place + apart * plane, np.packbits(np.array(values) >> plane & 1,
                                                    bitorder="little").tobytes().ljust(size, b"\0"))
                for plane in range(layer["bits"])]

    def value(self, total, levels):
        """The result of a sum, whose channel has ``levels``: of BITS 0 or 1."""
        layer = self._layer
        total = self._held(total + levels[0])
        if layer["target"] == Target.SUMS:
            return total
        if layer["activation"] == Activation.RESCALE:
            bits, sign = layer["bits"], layer["signed"]
            low = -(1 << bits - 1) if sign else 0
            return rescale(total, layer["shift"], low, low + (1 << bits) - 1)
        assert layer["activation"] == Activation.THRESHOLD
        node = 1
        for _ in range(layer["bits"]):
            node = 2 * node + (total >= 0)
            if node <= len(levels):
                total = self._held(total + levels[node - 1])
        value = node - (1 << layer["bits"])
        if layer["bits"] == 1 and layer["target"] == Target.OCTETS:
            return 2 * value - 1
        return value

    def _held(self, total):
        half = 1 << self._config.sum_width - 1
        assert -half <= total < half, "a sum overflows"
        return total
