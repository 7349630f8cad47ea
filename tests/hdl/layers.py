"""Layers of any kind, for benches: descriptors, walks, weights and levels."""

from hdl.isa import Activation, Feed, Layer, Loop, Target, Walk
from tests.hdl.twins import any_levels, fields


__all__ = ["KINDS", "any_counts", "any_layer", "any_queued", "any_results", "any_signs",
           "any_walks", "walk"]


KINDS = ["bits", "pool", "octets", "levels", "rescale", "planes", "sums"]


def any_results(rng, config, kind, *, fixed):
    """Return fields of a layer that tell what is made of its sums, and its turns of PART."""
    pool = kind == "pool"
    if pool:
        kind = rng.choice(["bits", "levels", "rescale", "planes"])
    bits = {"planes": 1 + int(rng.integers(8)), "levels": int(rng.integers(2, 6)),
            "rescale": int(rng.integers(1, 9))}.get(kind, 1)
    scaled = kind == "rescale" or (kind == "planes" and (bits > 4 or rng.random() < 0.5))
    stride = 1 if scaled else (1 << bits) - 1
    gathers = kind in ("bits", "planes")
    while gathers and stride * config.pe > config.level_depth:
        bits, stride = bits - 1, stride // 2
    places = config.fixed_pe if fixed else config.pe
    most = min(places, config.level_depth // stride)
    parts = int(rng.integers(1, 4)) if rng.random() < 0.5 else 1
    if gathers and fixed:
        parts = config.pe // places
        if rng.random() < 0.3 and places > 1:
            parts, places = 2 * parts, places // 2
        channels = places
    elif gathers:
        channels = places
    else:
        channels = most if rng.random() < 0.5 else int(rng.integers(1, most + 1))
        parts = 1 if fixed else parts
        if pool:  # of octets: those of a word
            channels = config.fixed_simd
    target = {"sums": Target.SUMS, "planes": Target.PLANES, "bits": Target.BITS,
              }.get(kind, Target.OCTETS)
    activation = Activation.SUM if kind == "sums" else (
        Activation.RESCALE if scaled else Activation.THRESHOLD)
    signs = kind == "rescale" and rng.random() < 0.5
    # A window is pooled of octets as they are kept, which have a sign.
    flip = kind in ("levels", "rescale") and (not signs if pool else rng.random() < 0.5)
    return {"channels": channels, "stride": stride, "bits": bits, "target": target,
            "activation": activation, "pool": pool, "fixed": fixed,
            "shift": rng.integers(0, 12), "signed": signs, "flip": flip,
            "plane": rng.integers(min(config.memory_depth // 4, 256)) if kind == "planes" else 0,
            }, parts


def any_layer(rng, config, kind, *, fixed, words=None, passes=12):
    """Return a layer with results of a `KINDS`, and its walks."""
    made, parts = any_results(rng, config, kind, fixed=fixed)
    dense = rng.random() < 0.25  # one group: its weights are read only once
    tiles = 1  # that make a word of bits together
    if dense and kind == "bits" and not fixed:
        tiles = int(rng.choice([1, 2, 4]))
        made["channels"] //= tiles
    most = config.weight_depth // (parts if fixed else 1)
    if dense and (fixed or parts == 1):
        most *= 3
    words = min(words or int(rng.choice([1, 2, 3, rng.integers(1, 8), config.segment,
                                         config.segment + 1, rng.integers(1, most + 1)])), most)
    height = int(rng.choice([x for x in range(1, 5) if words % x == 0]))
    depth = int(rng.choice([x for x in range(1, 5) if words // height % x == 0]))
    # The array sums all channels of a pixel before those of the next.
    single = int(fixed or made["channels"] < config.pe or rng.random() < 0.4)
    bounded = rng.random() < 0.7
    layer = fields(
        Layer, **made, taps=words // height // depth, height=height, depth=depth,
        step=rng.integers(1 << 10), single=single,
        segment=rng.choice([config.segment, min(max(words, 2), config.segment),
                            rng.integers(2, config.segment + 1)]),
        feed=rng.choice([Feed.CHAIN, Feed.WHOLE, Feed.GROUP]) if single else Feed.CHAIN,
        columns=rng.integers(1, 256) if bounded else 0, lines=rng.integers(256),
        skip=rng.integers(2), zero=rng.integers(2),
        pixels=0 if single else rng.integers(config.p),
        pitch=rng.integers(1 << 9) if rng.random() < 0.5 else rng.integers(4))
    free = [Loop.WORD] if tiles > 1 else [Loop.TILE, Loop.WORD] if dense else range(1, 7)
    counts = {Loop.PART: parts, Loop.TILE: tiles} | any_counts(rng, free, max(passes // tiles, 1))
    return layer, any_walks(rng, layer, config, counts)


def any_signs(rng, config, passes=12):
    """Return a layer whose bits leave by groups, and its walks."""
    planes = int(rng.integers(1, 5)) if rng.random() < 0.5 else 0
    most = (1 << config.binary_width - 1) - 1
    fits = [words for words in range(1, config.segment + 1)  # of a plane
            if ((1 << planes) - 1 if planes else 1) * words * (config.simd // 2) <= most
            and words * max(planes, 1) <= min(config.segment, config.weight_depth)]
    if not fits:
        return any_signs(rng, config, passes)
    words = int(rng.choice([fits[0], fits[-1], rng.choice(fits)]))
    height = planes or int(rng.choice([x for x in range(1, 5) if words % x == 0]))
    inner = words if planes else words // height
    depth = int(rng.choice([x for x in range(1, 5) if inner % x == 0]))
    single, pool = int(rng.random() < 0.3), int(rng.random() < 0.5)
    width = 1 if single else 1 << int(rng.integers(config.p.bit_length()))  # of a window
    side = 1 if single else config.p // width if pool else config.p  # words of a pass
    tiles = 1 << int(rng.integers((config.simd // config.pe).bit_length()))  # of a word
    dense = rng.random() < 0.25  # weights are read only once
    bounded = rng.random() < 0.7
    layer = fields(
        Layer, taps=inner // depth, height=height, depth=depth, step=rng.integers(1 << 10),
        segment=rng.integers(height * inner, config.segment + 1) if height * inner > 1 else 2,
        feed=Feed.PLANES if planes else Feed.CHAIN, single=single, pool=pool,
        pixels=width - 1 if pool else rng.integers(config.p),
        columns=rng.integers(1, 256) if bounded else 0, lines=rng.integers(256),
        skip=rng.integers(2), zero=rng.integers(2), channels=config.pe, stride=1, bits=1,
        activation=Activation.SIGN, target=Target.BITS)
    free = [Loop.WORD] if dense else [Loop.DOWN, Loop.COLUMN, Loop.ROW, Loop.WORD]
    free += [Loop.ACROSS] * (not pool and not dense)
    counts = {Loop.TILE: tiles} | any_counts(rng, free, max(passes // tiles, 1))
    walks = any_walks(rng, layer, config, counts)
    # Whole addresses, or aligned parts of one, for each tile of a word.
    words_apart, tile = side * config.simd // 8, config.pe // 8
    for loop in Loop:
        place = int(rng.integers(-1 << 14, 1 << 14)) // words_apart * words_apart
        place += {Loop.TILE: tile, Loop.WORD: tile - tiles * tile}.get(loop, 0)
        walks[loop] |= {"output": place & 0xFFFF, "output_high": place >> 16 & 0xF}
    return layer, walks


def any_counts(rng, loops, passes):
    """Return how many turns ``loops`` have, at most ``passes`` together."""
    counts = {}
    for loop in rng.permutation(list(loops)):
        count = int(rng.choice([1, 2, 3, rng.integers(1, 1 + passes)]))
        counts[Loop(loop)] = count = count if count <= passes else 1
        passes //= count
    return counts


def any_walks(rng, layer, config, counts):
    """Return walks with differences of any kind; other loops than those in ``counts`` turn once."""
    octets = {Target.SUMS: 4, Target.OCTETS: 1}.get(layer["target"], config.pe // 8)
    align = 1 if layer["feed"] in (Feed.CHAIN, Feed.PLANES) else config.p
    return {loop: walk(counts.get(loop, 1), {
        "source": int(rng.integers(-1 << 14, 1 << 14)) // align * align,
        "x": int(rng.integers(-3, 4) if rng.random() < 0.5 else rng.integers(256)),
        "y": int(rng.integers(-3, 4)),
        "output": int(rng.integers(-1 << 14, 1 << 14)) // octets * octets,
    }) for loop in Loop}


def walk(count, place):
    """Return a `Walk` of signed differences."""
    output = place.get("output", 0)
    return fields(Walk, count=count, source=place.get("source", 0) & 0xFFFF,
                  x=place.get("x", 0) & 0xFF, y=place.get("y", 0) & 0xFF, output=output & 0xFFFF,
                  output_high=output >> 16 & 0xF)


def any_queued(rng, layer, walks, config):
    """Return weight words, the levels of each channel, and both in the order of a program; levels
    of `Activation.SIGN` have a place of their own there."""
    size = layer["taps"] * layer["height"] * layer["depth"]
    parts = walks[Loop.PART]["count"] if layer["fixed"] else 1
    width = (config.fixed_pe if layer["fixed"] else config.pe) * config.simd
    spread = int(rng.choice([4, 30, 300]) * (100 if layer["fixed"] else 1))
    weights, levels, queued = [], [], []
    by_signs = layer["activation"] == Activation.SIGN
    most = 1 << config.binary_width - 1  # beyond which a level of `Activation.SIGN` changes nothing
    for _ in range(walks[Loop.TILE]["count"] * walks[Loop.WORD]["count"]):
        tile = [any_levels(rng, layer, spread) for _ in range(parts * layer["channels"])]
        if by_signs:
            tile = [[int(rng.choice([-most, most, *[max(-most, min(most, level))] * 8]))]
                    for level, in tile]
        words = [int.from_bytes(rng.bytes(width // 8), "little") for _ in range(parts * size)]
        queued += [("sign" if by_signs else "level", level) for channel in tile
                   for level in channel]
        queued += [("weight", word) for word in words]
        weights += words
        levels += tile
    return weights, levels, queued
