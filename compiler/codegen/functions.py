"""Writes the function in C of a stage, and its tables."""

from __future__ import annotations

from compiler.codegen import tables
from compiler.codegen.activations import activations
from compiler.codegen.plan import Plan
from compiler.codegen.stage import TILE, Kernel, Stage, Window
from compiler.codegen.tensors import Form, Tensor
from compiler.codegen.text import Source, one_line, pixel_start, suffix
from compiler.ir import Binary, Dense, MaxPool, Weighted, value_range


__all__ = ["stage_function", "stage_line"]


def stage_line(stage: Stage) -> str:
    """Say in one line what a stage does."""
    nodes = (stage.layer, *stage.activations, stage.pool, stage.concat)
    names = ", ".join(node.name for node in nodes if node)
    sums = ""
    if stage.layer:
        bits = f"{stage.layer.bits} bit{'s'[:stage.layer.bits != 1]}"
        sums = f"{_size(stage.input)} -> {_size(stage.output)} with weights of {bits}; "
        if stage.addend:
            sums += f"plus {one_line(stage.addend.name)}; "
    return f"{one_line(names or stage.output.name)}: {sums}{_values(stage.output)}"


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))


def _values(tensor: Tensor) -> str:
    if isinstance(tensor.type, Binary):
        return "-1 or +1 each"
    low, high = value_range(tensor.type)
    return f"{low} .. {high} each"


def stage_function(stage: Stage, name: str, plan: Plan, source: Source) -> str:
    """Return the definition of a stage's function."""
    reads = ", ".join(f"const {tensor.ctype} *{read}" for tensor, read in _reads(stage))
    head = (f"/* {stage_line(stage)} */\n"
            f"static void {name}({reads}, {stage.output.ctype} *output)")
    if stage.layer is None and stage.pool:
        return "\n".join([_window_table(stage, name, source), head, "{",
                          f"    {_pool(stage, name)}", "}"])
    source.stage_bytes = 0
    write = _tiles if stage.tiled else _bands if stage.banded else _pixel
    before, inside = write(stage, name, plan, source)
    source.stack_bytes = max(source.stack_bytes, source.stage_bytes)
    if stage.pool:
        before.append(f"for (size_t i = 0; i < {stage.output.length}; i++)\n        output[i] = 0;")
    if stage.places != (1, 1) and write is _pixel:
        height, width = stage.covered
        inside = [f"for (size_t y = 0; y < {height}; y++)",
                  f"    for (size_t x = 0; x < {width}; x++) {{",
                  *(f"        {line}" for line in inside), "    }"]
    looks = any(f"&{name}_window" in line for line in inside)
    window = [_window_table(stage, name, source)] if looks else []
    if stage.spreads:
        window.append(_pool_table(stage, name, source))
    return "\n".join([*window, head, "{", *(f"    {line}" for line in (*before, *inside)), "}"])


def _window_table(stage: Stage, name: str, source: Source) -> str:
    """The definition of a `window_t`."""
    given = stage.input
    height, width, channels = given.picture
    in_planes = given.form is Form.PLANES
    words, planes = (given.words, given.planes) if in_planes else (channels, 1)
    window: Window | MaxPool = stage.window
    seen, tap, length = stage.seen, stage.tap, stage.window_words
    if stage.layer is None and stage.pool:
        window, seen, tap, length = stage.pool, channels, 0, 0
    elif not in_planes:
        tap, length = 0, tables.band_row(stage) if stage.banded else tables.row_bytes(stage)
        if isinstance(stage.layer, Dense):  # all that there is, as one pixel
            height, width, words, seen, window = 1, 1, given.count, given.count, Window((1, 1))
    kernel, stride, pads = window.kernel, window.stride, window.pads
    return source.window(f"{name}_window", (height, width, words, planes, *kernel, *stride,
                                            *pads[:2], seen, tap, length))


def _pool_table(stage: Stage, name: str, source: Source) -> str:
    """The definition of a `window_t` for the pool behind a layer."""
    made, pool = stage.output, stage.pool
    assert pool is not None
    return source.window(f"{name}_pool", (*stage.places, made.words, 1, *pool.kernel, *pool.stride,
                                          *pool.pads[:2], made.channels, 0, 0))


def _pool(stage: Stage, name: str) -> str:
    given, made = stage.input, stage.output
    height, width, _ = made.picture
    if given.form is Form.PLANES:
        return (f"pool_planes_{suffix(given)}(&{name}_window, input, {height}, {width}, "
                f"{int(given.signed and not isinstance(given.type, Binary))}, output);")
    return f"pool_values_{suffix(given)}(&{name}_window, input, {height}, {width}, output);"


# A pixel of a layer

def _reads(stage: Stage) -> list[tuple[Tensor, str]]:
    """What the function takes, with the names of its parameters."""
    names = ["input", *(f"other_{index}" for index in range(1, len(stage.others) + 1))]
    if stage.addend:
        names.append("addend")
    return list(zip(stage.reads, names, strict=True))


def _pixel(stage: Stage, name: str, plan: Plan, source: Source) -> tuple[list[str], list[str]]:
    """Statements ahead of the loops over pixels, and for one pixel (y, x)."""
    channels = stage.output.channels
    place = _place(stage)
    before: list[str] = []
    inside = [f"const size_t at = {pixel_start(stage.output, place)};"]
    values = ["int32_t values[NET_BLOCK] = {0};"]
    source.stage_bytes += 4 * tables.BLOCK * (2 if stage.addend else 1)
    if stage.layer is None and not stage.concat:
        sums = [_load(stage.input, "input", place, "first", "count", "values")]
    elif stage.concat or stage.window.groups > 1:
        length = tables.padded(channels) + tables.LANES
        before.append(f"int32_t sums[{length}] = {{0}};")
        source.stage_bytes += 4 * (length - tables.BLOCK)  # in the place of one block
        values, sums = ["int32_t *const values = sums + first;"], []
        if stage.concat:
            inside += _joined(stage, place)
        else:
            buffers, looks, each = _sums(stage, name, source)
            before += buffers
            inside += _grouped(stage, looks, each)
    else:
        buffers, looks, sums = _sums(stage, name, source)
        before += buffers
        inside += looks
    if stage.pool:
        place = f"(y * {stage.places[1]} + x)"
    sums += _bias(stage, name, source) + _added(stage, place)
    steps = [*values, *sums, *activations(stage, name, plan, source)]
    lanes = ["const size_t lanes = block_lanes(count);"] if any(
        "lanes," in line for line in steps) else []
    return before, [
        *inside, f"for (size_t first = 0; first < {channels}; first += NET_BLOCK) {{",
        f"    const size_t count = block_count(first, {channels});",
        *(f"    {line}" for line in (*lanes, *steps)), "}"]


def _tiles(stage: Stage, name: str, plan: Plan, source: Source) -> tuple[list[str], list[str]]:
    """Statements ahead of a loop over tiles, and the loop. A tile goes on from line to line."""
    channels = stage.output.channels
    height, width = stage.covered
    count = height * width
    source.stage_bytes += _tile_bytes(stage)
    before, looks, sums = _sums(stage, name, source)
    starts = [(pixel_start(stage.output, _place(stage)), "starts")]
    if stage.addend:
        starts.append((f"y * {stage.places[1]} + x", "places"))
    steps = ["const size_t at = starts[i];",
             "int32_t *const values = sums + lanes * i;",
             *_bias(stage, name, source), *_added(stage, "places[i]"),
             *activations(stage, name, plan, source)]
    return ["view_t views[NET_PIXELS];", *before, "size_t y = 0, x = 0;"], [
        f"for (size_t begin = 0; begin < {count}; begin += NET_PIXELS) {{",
        f"    const size_t pixels = tile_pixels({count} - begin);",
        *(f"    size_t {array}[NET_PIXELS];" for _, array in starts),
        "    for (size_t i = 0; i < pixels; i++) {",
        *(f"        {line}" for line in looks),
        *(f"        {array}[i] = {start};" for start, array in starts),
        f"        y += x + 1 == {width};",
        f"        x = x + 1 == {width} ? 0 : x + 1;", "    }",
        "    for (size_t i = pixels; i < NET_PIXELS; i++)", "        views[i] = views[0];",
        f"    for (size_t first = 0; first < {channels}; first += NET_BLOCK) {{",
        f"        const size_t count = block_count(first, {channels});",
        "        const size_t lanes = block_lanes(count);",
        f"        int32_t sums[NET_PIXELS * {tables.most_lanes(channels)}];",
        *(f"        {line}" for line in sums),
        "        for (size_t i = 0; i < pixels; i++) {",
        *(f"            {line}" for line in steps), "        }", "    }", "}"]


def _tile_bytes(stage: Stage) -> int:
    """Bytes of the sums of several pixels, and of what is added to those of one."""
    return 4 * (TILE * tables.most_lanes(stage.output.channels)
                + tables.BLOCK * bool(stage.addend))


def _bands(stage: Stage, name: str, plan: Plan, source: Source) -> tuple[list[str], list[str]]:
    """Statements ahead of the loops over rows of pixels and tiles of them, and the loops. The last
    tile of a row ends with it."""
    layer, channels = stage.layer, stage.output.channels
    assert layer is not None
    height, width = stage.covered
    length = stage.window.kernel[0] * tables.band_row(stage) + 3
    source.stage_bytes += length + TILE * 2 * tables.window_bytes(stage) + _tile_bytes(stage)
    weights = source.table(f"{name}_weights", tables.weights(stage), _about(layer))
    pointer = "input" if stage.input.ctype == "uint8_t" else "(const uint8_t *)input"
    flip = 0x80 if stage.input.signed else 0
    place = _place(stage)
    steps = [f"const size_t x = begin + i, at = {pixel_start(stage.output, place)};",
             "int32_t *const values = sums + lanes * i;",
             *_bias(stage, name, source), *_added(stage, f"(y * {stage.places[1]} + x)"),
             *activations(stage, name, plan, source)]
    kernel = tables.byte_kernel(stage)
    fours = tables.block_stride(stage) // 4
    step = stage.window.stride[1] * stage.seen
    most = tables.most_lanes(channels)
    return [f"uint8_t band[{length}];", f"uint64_t fours[NET_PIXELS * {fours}];"], [
        f"for (size_t y = 0; y < {height}; y++) {{",
        f"    fill_band(&{name}_window, {pointer}, y, {flip}, band);",
        f"    for (size_t next = 0; next < {width}; next += NET_PIXELS) {{",
        f"        const size_t begin = tile_begin(next, {width});",
        f"        const byte_view_t view = look_band(&{name}_window, band, begin);",
        f"        {kernel}_fours(&view, {step}, fours);",
        f"        for (size_t first = 0; first < {channels}; first += NET_BLOCK) {{",
        f"            const size_t count = block_count(first, {channels});",
        "            const size_t lanes = block_lanes(count);",
        f"            int32_t sums[NET_PIXELS * {most}];",
        f"            {kernel}_pixels({weights} + first * {4 * fours}, lanes, fours,",
        f"                            {fours}, sums);",
        "            for (size_t i = 0; i < NET_PIXELS; i++) {",
        *(f"                {line}" for line in steps), "            }", "        }", "    }", "}"]


def _place(stage: Stage) -> str:
    """Expression for the number of the pixel that is stored, or goes into its windows."""
    if stage.places == (1, 1):
        return "0"
    width = stage.places[1] if stage.spreads else stage.output.picture[1]
    if stage.pool and not stage.spreads:
        down, across = stage.pool.stride
        return f"(y / {down} * {width} + x / {across})"
    return f"(y * {width} + x)"


def _load(tensor: Tensor, name: str, place: str, first: str, count: str, target: str) -> str:
    """Statement that turns ``count`` channels of a pixel into integers; -1 and +1 are 0 and 1."""
    start = f"{name} + {pixel_start(tensor, place)} + {first}"
    if tensor.form is not Form.PLANES:
        return f"load_{suffix(tensor)}({start}, {count}, {target});"
    signed = tensor.signed and not isinstance(tensor.type, Binary)
    return (f"load_planes_{suffix(tensor)}({start} / NET_BLOCK, {tensor.plane_words}, "
            f"{tensor.planes}, {int(signed)}, {count}, {target});")


def _joined(stage: Stage, place: str) -> list[str]:
    """Statements that put the channels of several tensors side by side."""
    lines, offset = [], 0
    for tensor, name in _reads(stage):
        count = f"block_count(first, {tensor.channels})"
        lines += [f"for (size_t first = 0; first < {tensor.channels}; first += NET_BLOCK)",
                  f"    {_load(tensor, name, place, 'first', count, f'sums + {offset} + first')}"]
        offset += tensor.channels
    return lines


def _added(stage: Stage, place: str) -> list[str]:
    """Statements that add another tensor to the sums."""
    if not stage.addend:
        return []
    lines = ["int32_t added[NET_BLOCK];",
             _load(stage.addend, "addend", place, "first", "count", "added")]
    if isinstance(stage.addend.type, Binary):
        lines.append("double_sums(added, count, 1);")
    return [*lines, "add_bias(values, count, added);"]


def _sums(stage: Stage, name: str, source: Source) -> tuple[list[str], list[str], list[str]]:
    """Buffers, statements that find the window, and those that sum a block of channels."""
    layer, given = stage.layer, stage.input
    assert layer is not None
    weights, words = f"{name}_weights", tables.weights(stage)
    about = _about(layer)
    if stage.tiled:
        source.choice(weights, about, "NET_BYTEWISE", tables.by_byte(words, stage), words)
    else:
        source.table(weights, words, about)
    stride = tables.block_stride(stage)
    block = f"{weights} + first * {stride}"
    target = "values"
    if stage.window.groups > 1:
        each = layer.channels // stage.window.groups
        block = f"{weights} + (group * {tables.padded(each)} + first) * {stride}"
        target = f"sums + group * {each} + first"
    buffers, looks = _looks(stage, name, source)
    match stage.kernel:
        case Kernel.BINARY if stage.tiled:
            sums = f"binary_pixels({block}, lanes, views, sums);"
        case Kernel.BINARY:
            sums = f"binary_sums({block}, lanes, &view, {target});"
        case Kernel.INPUT_PLANES:
            sums = (f"input_plane_sums({block}, lanes, &view, {given.planes}, "
                    f"{int(given.signed)}, {target});")
        case Kernel.WEIGHT_PLANES:
            each = layer.channels // stage.window.groups
            apart = stage.window.groups * tables.padded(each) * stride
            sums = f"weight_plane_sums({block}, {apart}, lanes, &view, {layer.bits}, {target});"
        case Kernel.SHIFTS:
            flip = "128" if given.signed else "0"
            sums = f"shift_sums({block}, lanes, &view, {flip}, {target});"
        case _:
            flip = "0x80808080" if given.signed else "0"
            sums = f"{tables.byte_kernel(stage)}_sums({block}, lanes, &view, {flip}, {target});"
    return buffers, looks, [sums]


def _about(layer: Weighted) -> str:
    return f"{one_line(layer.name)}: {layer.channels} channels of {layer.fan_in} weights"


def _looks(stage: Stage, name: str, source: Source) -> tuple[list[str], list[str]]:
    """Buffers, and statements that find what a pixel sees."""
    given, window = stage.input, stage.window
    places = "0, 0" if stage.places == (1, 1) else "y, x"
    first = f"group * {stage.seen}" if window.groups > 1 else "0"
    if given.form is Form.BYTES:
        length = tables.window_bytes(stage)
        source.stage_bytes += length
        pointer = "input" if given.ctype == "uint8_t" else "(const uint8_t *)input"
        return [f"uint8_t buffer[{length}];"], [
            f"const byte_view_t view = look_bytes(&{name}_window, {pointer}, {places}, {first},",
            "                                    buffer);"]
    length = (given.planes + 1) * stage.window_words
    copied = stage.gathers or any(window.pads)
    source.stage_bytes += 8 * length * copied * (TILE if stage.tiled else 1)
    size, buffer = (f"NET_PIXELS * {length}", f"buffer + i * {length}") if stage.tiled else (
        f"{length}", "buffer")
    buffers = [f"uint64_t buffer[{size}];"] if copied else []
    if stage.gathers:
        view = f"gather_{suffix(given)}(&{name}_window, input, {places}, {first}, {buffer})"
    elif window.kernel == given.picture[:2] and not any(window.pads):
        view = f"look_whole(input, {given.plane_words}, {given.count})"
    elif copied:
        view = f"look(&{name}_window, input, {places}, {buffer})"
    else:
        view = f"look_inside(&{name}_window, input, {places})"
    return buffers, [f"views[i] = {view};" if stage.tiled else f"const view_t view = {view};"]


def _grouped(stage: Stage, looks: list[str], sums: list[str]) -> list[str]:
    """Statements that sum all channels, a group at a time."""
    assert stage.layer is not None
    each = stage.layer.channels // stage.window.groups
    return [
        f"for (size_t group = 0; group < {stage.window.groups}; group++) {{",
        *(f"    {line}" for line in looks),
        f"    for (size_t first = 0; first < {each}; first += NET_BLOCK) {{",
        f"        const size_t lanes = block_lanes(block_count(first, {each}));",
        *(f"        {line}" for line in sums), "    }", "}"]


def _bias(stage: Stage, name: str, source: Source) -> list[str]:
    bias = tables.bias(stage) if stage.layer else None
    if bias is None or stage.layer is None:
        return []
    about = {Kernel.WEIGHT_PLANES: "bias, less the sum of the channel's weights",
             Kernel.BYTES: "bias, less 128 times the sum of the channel's weights where the "
                           "inputs have a sign"}.get(stage.kernel or Kernel.BINARY, "bias")
    added = source.table(f"{name}_bias", bias, f"{one_line(stage.layer.name)}: {about}")
    return [f"add_bias(values, count, {added} + first);"]
