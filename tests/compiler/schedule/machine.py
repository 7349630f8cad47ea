"""The accelerator as `hdl.isa` has it, in NumPy: it runs an image, packet by packet."""

from collections import deque

import numpy as np

from compiler.schedule.image import Image
from hdl.fixed import rescale
from hdl.isa import Activation, Head, Layer, Opcode, Target


__all__ = ["Machine", "Results"]


class Machine:
    """Memory and queues of a board with ``image`` in its flash, after it was loaded.

    Queues have their depth: a program that would wait for ever is an AssertionError, and so is a
    level that is not there when a tile ends.
    """

    def __init__(self, config, image):
        parts = Image.from_bytes(image)
        assert parts.config_hash == config.hash
        self.config = config
        self.memory = bytearray(config.memory_depth * config.memory_width // 8)
        self.program = np.frombuffer(parts.program, "<u2")
        self.layers, self.weights, self.levels = deque(), deque(), deque()
        self.carry_out(np.frombuffer(parts.resident, "<u2"))

    def run(self):
        """One frame."""
        self.carry_out(self.program)

    # Packets

    def carry_out(self, halves):
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
            size = self.size_of(opcode, count)
            data = halves[at:at + size].astype("<u2").tobytes()
            at += size
            fixed = opcode in (Opcode.FIXED, Opcode.RESIDENT_FIXED)
            octets = (self.config.fixed_pe if fixed else self.config.pe) * self.config.simd // 8
            match opcode:
                case Opcode.LAYER:
                    bits = int.from_bytes(data, "little")
                    put(self.layers, {name: bits >> field.offset & (1 << field.width) - 1
                                      for name, field in Layer})
                case Opcode.STORE:
                    begin = address * self.config.memory_width // 8
                    self.memory[begin:begin + len(data)] = data
                case Opcode.LEVELS | Opcode.LEVELS_WIDE:
                    for level in np.frombuffer(data, "<i2" if opcode is Opcode.LEVELS else "<i4"):
                        put(self.levels, int(level))
                case _:
                    if opcode in (Opcode.RESIDENT, Opcode.RESIDENT_FIXED):
                        begin = address * self.config.memory_width // 8
                        data = bytes(self.memory[begin:begin + count * octets])
                    for index in range(count):
                        put(self.weights, data[index * octets:(index + 1) * octets])
        next(engine)
        assert at == len(halves), "something follows END"
        left = len(self.layers) + len(self.weights) + len(self.levels)
        assert left == 0, "something is left over"

    def size_of(self, opcode, count):
        """Halfwords behind the head of a packet."""
        return {
            Opcode.LAYER: Layer.size // 16,
            Opcode.WEIGHTS: count * self.config.pe * self.config.simd // 16,
            Opcode.FIXED: count * self.config.fixed_pe * self.config.simd // 16,
            Opcode.LEVELS: count,
            Opcode.LEVELS_WIDE: 2 * count,
            Opcode.STORE: count,
        }.get(opcode, 0)

    # Layers

    def engine(self):
        """Run layers; yields where a descriptor or a weight word is missing."""
        while True:
            while not self.layers:
                yield
            layer = self.layers[0]
            results, place = Results(layer, self.config), layer["output"]
            words = self.words_of(layer)
            for _ in range(layer["tiles"]):
                sums = 0
                for word in words:
                    while not self.weights:
                        yield
                    sums = sums + self.products(self.weights.popleft(), layer["fixed"]) @ word
                for channel in range(layer["channels"]):
                    assert len(self.levels) >= layer["stride"], "a level comes too late"
                    levels = [self.levels.popleft() for _ in range(layer["stride"])]
                    octets = results.octets(int(sums[channel]), levels)
                    self.memory[place:place + len(octets)] = octets
                    place += len(octets)
            self.layers.popleft()

    def words_of(self, layer):
        """Activations of one sum: (words, lanes)."""
        octets = self.config.simd // 8
        begin = layer["source"] * self.config.memory_width // 8
        data = np.frombuffer(self.memory, np.uint8, layer["words"] * octets, begin).copy()
        return self.numbers(data, layer["fixed"]).reshape(layer["words"], -1)

    def products(self, word, fixed):
        """Weights of one word: (channels, lanes)."""
        places = self.config.fixed_pe if fixed else self.config.pe
        return self.numbers(np.frombuffer(word, np.uint8), fixed).reshape(places, -1)

    @staticmethod
    def numbers(octets, fixed):
        if fixed:
            return octets.view(np.int8).astype(np.int64)
        return 2 * np.unpackbits(octets, bitorder="little").astype(np.int64) - 1


class Results:
    """What the drain writes of the sums of one layer."""

    def __init__(self, layer, config):
        self._layer, self._config = layer, config
        self._bits = []  # that wait for the others of a word

    def octets(self, total, levels):
        """Of the next sum, whose channel has ``levels``; a word of bits comes with its last."""
        layer = self._layer
        total = self._held(total + levels[0])
        if layer["target"] == Target.SUMS:
            return total.to_bytes(4, "little", signed=True)
        if layer["activation"] == Activation.RESCALE:
            bits, sign = layer["bits"], layer["signed"]
            low = -(1 << bits - 1) if sign else 0
            value = rescale(total, layer["shift"], low, low + (1 << bits) - 1)
        else:
            assert layer["activation"] == Activation.THRESHOLD
            node = 1
            for _ in range(layer["bits"]):
                node = 2 * node + (total >= 0)
                if node <= len(levels):
                    total = self._held(total + levels[node - 1])
            value = node - (1 << layer["bits"])
            if layer["target"] == Target.BITS:
                return self._gather(value)
            if layer["bits"] == 1:
                value = 2 * value - 1
        return bytes([value & 0xFF ^ layer["flip"] << 7])

    def _gather(self, bit):
        self._bits.append(bit)
        if len(self._bits) < self._config.pe:
            return b""
        octets = np.packbits(self._bits, bitorder="little").tobytes()
        self._bits = []
        return octets

    def _held(self, total):
        half = 1 << self._config.sum_width - 1
        assert -half <= total < half, "a sum overflows"
        return total
