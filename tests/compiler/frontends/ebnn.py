"""eBNN, as its Python writes it and as its C runs it: a twin for tests, one output at a time."""

import numpy as np


__all__ = ["answer", "arrays", "header", "random_blocks", "scores"]


def random_blocks(rng, size, depth, forms, *, binary=False, classes=5):
    """Return blocks for pictures of ``size`` x ``size``: each of ``forms`` is (filters, kernel,
    stride, pad, pool kernel, pool stride, pool pad) or the outputs of a dense layer."""
    blocks, shape = [], (depth, size, size)
    for at, form in enumerate([*forms, classes]):
        name = "l_" + "b_" * (at > 0 or binary)
        if isinstance(form, tuple):
            filters, kernel, stride, pad, pool, hop, edge = form
            weights = rng.integers(0, 2, (filters, shape[0], kernel, kernel))
            name += "conv_" + "pool_" * (form[4:] != (1, 1, 0))
            side = ((shape[1] + 2 * pad - kernel) // stride - pool + 2 * edge + 1) // hop + 1
            made = filters, side, side
        else:
            weights = rng.integers(0, 2, (form, int(np.prod(shape))))
            name, made = name.replace("l_b_", "l_") + "b_linear_", (form,)
            name = name.replace("l_b_b_", "l_b_")
        last = at == len(forms)
        outputs = len(weights)
        spread = np.sqrt(weights[0].size) * (0.5 if at == 0 and not binary else 1)
        blocks.append({
            "name": f"{name}bn_{'softmax' if last else 'bst'}{at}", "form": form, "last": last,
            "reads": shape, "float": at == 0 and not binary and isinstance(form, tuple),
            "W": weights, "b": rng.normal(0, 0.1, outputs).astype(np.float32),
            "gamma": rng.normal(0, 1, outputs).astype(np.float32),
            "beta": rng.normal(0, 0.3, outputs).astype(np.float32),
            "mean": rng.normal(0, spread, outputs).astype(np.float32),
            "std": rng.uniform(0.5, 2 * spread, outputs).astype(np.float32)})
        shape = made
    return blocks


def packed(rows):
    """Bytes of rows of bits, as eBNN's `np_to_uint8C` with the pad "1" makes them."""
    return [int("".join(map(str, row[at:at + 8])).ljust(8, "1"), 2)
            for row in rows for at in range(0, len(row), 8)]


def arrays(block):
    """The arrays of a block by their names."""
    conv = isinstance(block["form"], tuple)
    stem, weights = f"{block['name']}_{'bconv' if conv else 'bl'}", block["W"]
    rows = weights.reshape(len(weights), -1)
    if conv and not block["float"]:
        rows = weights.reshape(weights.shape[0] * weights.shape[1], -1)
    return {f"{stem}_b": block["b"], f"{stem}_W": np.array(packed(rows.tolist()), np.uint8)} | {
        f"{block['name']}_bn_{key}": block[key] for key in ("beta", "gamma", "mean", "std")}


def header(blocks):
    """The text that eBNN generates."""
    text = ['#include "ebnn.h"']
    for block in blocks:
        for key, values in arrays(block).items():
            kind = "uint8_t" if values.dtype == np.uint8 else "float"
            text.append(f"{kind} {key}[{len(values)}] = {{{','.join(map(str, values))}}};")
        name, form = block["name"], block["form"]
        conv = isinstance(form, tuple)
        stem = f"{name}_{'bconv' if conv else 'bl'}"
        if conv:
            depth, width, height = block["reads"]
            pairs = [value for value in form[1:] for _ in (0, 1)]
            numbers = [1, form[0], width, height, depth, *pairs]
        else:
            numbers = [1, block["W"].shape[1], form]
        function = ("fconv_layer" if block["float"] else "bconv_layer") if conv else (
            "blinear_sm_layer" if block["last"] else "blinear_layer")
        kind = "float" if block["float"] else "uint8_t"
        text.append(f"void {name}({kind}* input, uint8_t* output){{\n"
                    f"  {function}(input, {stem}_W, output, {stem}_b, {name}_bn_gamma, "
                    f"{name}_bn_beta, {name}_bn_mean, {name}_bn_std, "
                    f"{', '.join(map(str, numbers))});\n}}\n")
    text += ["", "uint8_t temp1[9] = {0};", "uint8_t temp2[9] = {0};",
             (f"void ebnn_compute({'float' if blocks[0]['float'] else 'uint8_t'} *input, "
             "uint8_t *output){")]
    before = "input"
    for at, block in enumerate(blocks):
        after = "output" if block["last"] else f"temp{at % 2 + 1}"
        text.append(f"  {block['name']}({before}, {after});")
        before = after
    return "\n".join([*text, "}"])


def answer(blocks, pixels):
    """The class of one picture (depth, height, width): of pixels from 0 to 1, or of bits."""
    return int(np.argmax(scores(blocks, pixels)))


def scores(blocks, pixels):
    """What the class is the highest of."""
    values = pixels
    for block in blocks:
        found = [scored(block, float(highest), at) for at, highest in results(block, values)]
        if block["last"]:
            break
        values = np.array([score >= 0 for score in found], int).reshape(block["W"].shape[0], -1)
        side = round(values.shape[1] ** 0.5)
        values = values.reshape(-1, side, side) if isinstance(block["form"], tuple) else (
            values.reshape(-1))
    return found


def scored(block, value, at):
    value = value + float(block["b"][at]) - float(block["mean"][at])
    return (value / float(block["std"][at])) * float(block["gamma"][at]) + float(block["beta"][at])


def results(block, values):
    """Yield each channel with the highest sum of each window, in eBNN's order."""
    signs = 2 * block["W"] - 1
    numbers = values if block["float"] else 2 * values - 1
    if not isinstance(block["form"], tuple):
        for at, row in enumerate(signs):
            yield at, (row * numbers.reshape(-1)).sum()
        return
    filters, kernel, stride, pad, pool, hop, edge = block["form"]
    side = numbers.shape[1]
    padded = np.pad(numbers.astype(float), ((0, 0), (pad, pad), (pad, pad)))
    places = (side + 2 * pad - kernel) // stride + 1
    for at in range(filters):
        for top in range(-edge, places + edge - pool + 1, hop):
            for left in range(-edge, places + edge - pool + 1, hop):
                yield at, max(
                    (padded[:, stride * i:stride * i + kernel, stride * j:stride * j + kernel]
                     * signs[at]).sum()
                    for i in range(top, top + pool) if 0 <= i < places
                    for j in range(left, left + pool) if 0 <= j < places)
