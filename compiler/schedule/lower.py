"""From one layer to its shape on a unit: which, how many channels at a time, in what passes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from compiler.errors import UserError
from compiler.ir import Requantize, Threshold
from compiler.schedule.layout import SUM_OCTETS, Layout
from compiler.schedule.tasks import Task
from hdl.config import Config
from hdl.isa import SERIAL, Activation, Feed, Layer, Target


__all__ = ["Lowered", "lower", "weight_octets"]

SOONEST = 7  # cycles from a pass to the next, at the least

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A layer as the accelerator runs it.

    A *pass* makes ``channels`` sums for each of its pixels. A *tile* is what needs the same
    weights: passes over all pixels, of ``parts`` times ``channels`` channels.
    """

    task: Task
    fixed: bool
    source: Layout
    output: Layout
    channels: int   # of a pass
    parts: int      # passes that make an octet together
    tiles: int      # of a word
    groups: int     # of tiles, which begin a word each
    kernel: Pair    # lines, and words of each
    depth: int      # words of a pixel that are summed
    stride: int     # levels of a channel
    bits: int       # of a result
    activation: Activation
    shared: bool    # pixels share weights
    diagonal: bool  # a pass reads the word of its own channels alone
    limit: int      # words that a unit can sum

    @property
    def made(self) -> int:
        """Channels that are made, padding included."""
        return self.groups * self.tiles * self.parts * self.channels

    @property
    def target(self) -> Target:
        return self.output.target

    @property
    def planes(self) -> int:
        """Bit planes of the input, which are summed one by one."""
        return self.source.planes

    @property
    def plane_passes(self) -> int:
        """Passes in which they are summed."""
        return 1 if self.source.feed is Feed.PLANES else self.planes

    @property
    def signs(self) -> bool:
        """Whether bits leave by groups of channels, of all pixels."""
        return self.activation is Activation.SIGN

    @property
    def segment(self) -> int:
        """Words after which sums are taken out: as rarely as possible, then as evenly."""
        return -(-self.words // -(-self.words // self.limit))

    @property
    def serial(self) -> bool:
        """Whether the sums are those of bit planes: twice the layer's, and a constant."""
        return self.source.target is Target.PLANES

    @property
    def words(self) -> int:
        """Weight words of a pass."""
        return self.kernel[0] * self.kernel[1] * self.depth

    @property
    def pooled(self) -> bool:
        return bool(self.task.pools)

    @property
    def pixels(self) -> int:
        """Pixels of a pass, but for the last of a row or a window."""
        return self.source.p if self.shared else 1

    @property
    def across(self) -> int:
        """Pixels of a row, or of a row of a window."""
        if self.pooled:
            return self.task.window[1]
        return self.output.shape[1] if self.task.conv else 1

    @property
    def passes(self) -> int:
        """Passes of a tile."""
        turns = self.plane_passes * self.parts * -(-self.across // self.pixels)
        if self.pooled and self.signs:
            return self.task.window[0] * self.columns * self.output.shape[0]
        if self.pooled:
            return turns * self.task.window[0] * self.output.shape[0] * self.output.shape[1]
        return turns * (self.output.shape[0] if self.task.conv else 1)

    @property
    def columns(self) -> int:
        """Passes side by side, each of the pixels of some whole windows, where bits leave by
        groups."""
        return -(-self.output.shape[1] * self.task.hop[1] // self.pixels)

    @property
    def shift(self) -> int:
        """Bits that RESCALE drops; the sums of bit planes have one more."""
        act = self.task.layer.activation
        return act.shift + self.serial if isinstance(act, Requantize) else 0

    @property
    def pitch(self) -> int:
        """From a pixel to the next, as `hdl.isa.Layer` has it."""
        behind = {Target.OCTETS: self.channels, Target.SUMS: SUM_OCTETS * (self.channels - 1)}
        return (self.output.pixel - behind.get(self.target, self.output.pixel)) // SUM_OCTETS

    @property
    def cycles(self) -> int:
        """Cycles of a tile, if nothing were waited for but the drain. An estimate."""
        steps = 1
        if self.signs:
            left = self.task.conv.pads[1] if self.task.conv else 0
            voids = (self.source.border - left) % self.source.p
            rows = self.words // self.kernel[1]
            return self.passes * max(self.words + rows * voids, SOONEST)
        if self.target is Target.SUMS:
            steps = 3
        elif self.activation is Activation.THRESHOLD and self.target is not Target.BITS:
            steps = 2 * self.bits + 1
        values = self.pixels * self.channels
        rows = 0
        if self.target is Target.PLANES:
            windows = self.task.window[0] * self.task.window[1] if self.pooled else 1
            rows = self.pixels * self.bits * (1 if self.fixed else 2) // windows
        drained = (self.plane_passes - 1) * max(self.words, values + 2) + max(
            self.words, values * steps + rows + 2)
        return self.passes // self.plane_passes * drained


def weight_octets(lowered: Lowered, config: Config) -> int:
    """Octets of a tile's weights."""
    places = config.fixed_pe if lowered.fixed else config.pe
    return lowered.parts * lowered.words * places * config.simd // 8


def lower(task: Task, fixed: bool, source: Layout, output: Layout, config: Config) -> Lowered:
    """Shape a layer for a unit, between an input and an output that lie as told.

    ``output.made`` need not be known. Raises UserError where this unit cannot do it.
    """
    if source.unfold is not None:
        task = task.unfolded()
    layer = task.layer
    activation, bits, stride = Activation.SUM, 1, 1
    match layer.activation:
        case Threshold(count=count):
            activation, bits = Activation.THRESHOLD, count.bit_length()
            stride = (1 << bits) - 1
        case Requantize():
            activation, bits = Activation.RESCALE, layer.activation.bits
    channels, parts = channels_of(task, fixed, output, stride, config)
    tiles, groups = tiles_of(layer.sums.channels, channels * parts, output, config)
    output = replace(output, made=tiles * groups * channels * parts)
    kernel, depth = kernel_of(task, source)
    lowered = Lowered(
        task=task, fixed=fixed, source=source, output=output, channels=channels, parts=parts,
        tiles=tiles, groups=groups, kernel=kernel, depth=depth, stride=stride, bits=bits,
        activation=activation, shared=False, limit=config.segment,
        diagonal=task.depthwise and in_turn(source) and (
            channels == config.fixed_simd or (parts == 1 and output.target is Target.OCTETS)),
    )
    if source.deep > 1 and (not lowered.diagonal or channels * parts != source.lanes * source.deep):
        raise UserError(f"Node {task.name!r} must make {source.lanes * source.deep} channels of "
                        f"those that follow each other in {layer.input!r}, not {channels * parts}")
    if lowered.diagonal:
        lowered = replace(lowered, depth=1)
    conv = task.conv
    if conv is not None and not fixed and config.p > 1 and conv.stride[1] == 1 and (
            channels == config.pe and (lowered.pooled or output.pixel % SUM_OCTETS == 0)):
        lowered = replace(lowered, shared=True)
    if source.feed is Feed.PLANES or config.signs:
        lowered = by_signs(lowered, config)
    check(lowered, config)
    return lowered


def by_signs(lowered: Lowered, config: Config) -> Lowered:
    """Let the bits of a layer leave by groups, if they can.

    Raises UserError where the layer can be run in no other way.
    """
    task, source, output = lowered.task, lowered.source, lowered.output
    within = source.feed is Feed.PLANES
    if within:
        lowered = replace(lowered, kernel=(source.planes, 1))
        most = ((1 << source.planes) - 1) * source.depth * (config.simd // 2)
        if most >= 1 << config.binary_width - 1 or source.planes >= 1 << Layer["height"].width:
            raise UserError(f"Node {task.name!r}: half sums of all planes of a window must be "
                            f"below {1 << config.binary_width - 1}, not {most}")
    window = task.window[1] if lowered.pooled else 1
    together = lowered.pixels // window * output.pixel
    suits = (
        config.signs and not lowered.fixed and output.target is Target.BITS
        and lowered.activation is Activation.THRESHOLD and lowered.channels == config.pe
        and lowered.words <= lowered.limit
        and (within or lowered.source.target is Target.BITS)
        and (not lowered.pooled or (lowered.shared and window == task.hop[1]
                                    and lowered.pixels % window == 0))
        and output.first % max(together, 1) == 0)
    if within and not suits:
        raise UserError(f"Node {task.name!r} must leave a bit for each sum, in whole addresses, as "
                        f"it reads windows, not {output.target.name}")
    return replace(lowered, activation=Activation.SIGN) if suits else lowered


def in_turn(source: Layout) -> bool:
    """Whether the lanes of all channels follow each other."""
    return bool((source.lane_of == range(source.shape[-1])).all())


def channels_of(task: Task, fixed: bool, output: Layout, stride: int,
                config: Config) -> tuple[int, int]:
    """Return how many channels a pass makes, and how many passes make an octet."""
    places = config.fixed_pe if fixed else config.pe
    if output.target in (Target.BITS, Target.PLANES):
        if config.pe * stride > config.level_depth:
            raise UserError(f"Node {task.name!r}: {config.pe} channels that are made together must "
                            f"have at most {config.level_depth} levels, not "
                            f"{config.pe * stride}")
        if len(output.shape) == 3 and config.pe > config.simd:
            raise UserError(f"Node {task.name!r}: an array for pictures must have at most "
                            f"{config.simd} channels, as a word has bits, not {config.pe}")
        return places, config.pe // places
    channels = min(places, config.level_depth // stride)
    if channels == 0:
        raise UserError(f"Node {task.name!r}: a channel must have at most {config.level_depth} "
                        f"levels, not {stride}")
    if output.target is Target.OCTETS and len(output.shape) == 3:
        channels = 1 << min(channels, output.lanes * output.deep).bit_length() - 1
    return channels, 1


def tiles_of(channels: int, tile: int, output: Layout, config: Config) -> tuple[int, int]:
    """Return how many tiles of ``tile`` channels there are to a word, and how many words."""
    if output.target is Target.SUMS or len(output.shape) == 1:
        if output.target in (Target.BITS, Target.PLANES):
            # Whole words, as the next layer reads them, and whole tiles, as they are gathered.
            step = max(config.simd, config.pe)
            channels = -(-channels // step) * step
        return -(-channels // tile), 1
    tiles = output.held * output.deep // tile
    if output.target is Target.OCTETS and output.depth == 1:
        tiles = -(-channels // tile)
    return tiles, output.depth


def kernel_of(task: Task, source: Layout) -> tuple[Pair, int]:
    """Return lines and words of the window that a sum sees, and words of a pixel."""
    if task.conv is not None:
        lines, columns = task.conv.kernel
        if source.lead is not None:
            columns = -(-columns * source.shape[2] // source.lanes)
        return (lines, columns * source.deep), source.depth
    if len(source.shape) == 1:
        return (1, source.width), 1
    return (source.height, source.width), source.depth


def check(lowered: Lowered, config: Config) -> None:
    """Refuse what the unit cannot do."""
    task, serial = lowered.task, lowered.serial
    low, high = task.layer.sum_type.low, task.layer.sum_type.high
    if high - low >= 1 << config.sum_width - 1 - serial:
        raise UserError(f"Node {task.name!r}: its sums must span less than "
                        f"{config.sum_width - 1 - serial} bits, not {low} to {high}")
    if serial and lowered.activation is Activation.SUM:
        raise UserError(f"Node {task.name!r}: sums of bit planes must be compared or rescaled, "
                        f"not left as they are")
    # What the first plane adds of a level has fewer bits.
    most = serial_sum(lowered, config)
    limit = 1 << config.sum_width - 1 - max(SERIAL + 1 - lowered.planes, 0)
    if serial and not lowered.signs and most >= limit:
        raise UserError(f"Node {task.name!r}: its sums of bit planes must be below {limit}, "
                        f"not {most}")
    if (lowered.pooled and lowered.target is Target.OCTETS
            and lowered.channels != config.fixed_simd):
        raise UserError(f"Node {task.name!r} must make {config.fixed_simd} channels at once, as "
                        f"its octets are pooled, not {lowered.channels}")
    if lowered.passes > lowered.parts and lowered.parts * lowered.words > config.weight_depth:
        raise UserError(f"Node {task.name!r}: the weights of a tile must have at most "
                        f"{config.weight_depth} words, as they are used again, not "
                        f"{lowered.parts * lowered.words}")
    if task.conv is not None and task.conv.padded:
        check_border(lowered)
    check_part(lowered, config)


def check_part(lowered: Lowered, config: Config) -> None:
    """Refuse parts of a joined tensor whose rows are not apart alike, or that are too narrow."""
    task, source, output = lowered.task, lowered.source, lowered.output
    rows = len(source.shape) == 3 and lowered.kernel[0] > 1 and lowered.depth > 1
    if source.whole and rows:
        raise UserError(f"Node {task.name!r} must read {task.layer.input!r} whole, or a line at a "
                        f"time, as it is joined to others, not {lowered.kernel[0]} lines")
    most = output.width * output.lanes
    if output.whole and len(output.shape) == 1 and lowered.made > most:
        raise UserError(f"Node {task.name!r} must make at most {most} channels, as others lie "
                        f"behind them, not {lowered.made}")


def check_border(lowered: Lowered) -> None:
    """Refuse borders that cannot be told from the picture, or not be left out of sums."""
    task, source = lowered.task, lowered.source
    assert task.conv is not None
    top, left, bottom, right = task.conv.pads
    if source.lead is not None:
        left, right = 0, lowered.kernel[1]
    for size in (top + source.height + bottom, left + source.width + right + source.p):
        if size > 256:
            raise UserError(f"Node {task.name!r}: a picture with borders must have at most 256 "
                            f"lines and columns, not {size}")
    odd = [size for size in source.parts or source.shape[2:] if size % 2]
    if not lowered.fixed and not lowered.serial and odd:
        raise UserError(f"Node {task.name!r}: a picture of bits with a border must have an even "
                        f"number of channels, not {odd[0]}")


def serial_sum(lowered: Lowered, config: Config) -> int:
    """Return what no sum of bit planes exceeds, with its levels, in magnitude."""
    layer = lowered.task.layer
    planes = ((1 << lowered.planes) - 1) * lowered.words * config.simd
    return 2 * planes + 2 * max(abs(layer.sum_type.low), abs(layer.sum_type.high))
