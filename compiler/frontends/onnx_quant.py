"""Quantizers: QONNX's `BipolarQuant`, `Quant` and `FloatQuant`, FINN's `MultiThreshold`, `Sign`."""

from typing import Any

import numpy as np

from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Clipped, Constant, Operand, Tensor
from compiler.frontends.refusal import quoted
from compiler.golden import minifloat
from compiler.ir import Affine, Minifloat, Quant, Real, Threshold


__all__ = ["bipolar_quant", "float_quant", "multi_threshold", "quant", "sign", "threshold"]

Array = np.ndarray[Any, Any]

_ROUNDING = {"ROUND", "HALF_EVEN"}
_MAX_LEVELS = 255


def sign(site: Site) -> Operand:
    """-1 below 0, else +1: binarized networks have no third value, so 0 counts as positive."""
    operand = site.operand(0)
    if isinstance(operand, Constant):
        return Constant(_signs(operand.values), np.array(1.0), 1)
    return threshold(site, operand, _zero())


def _zero() -> Array:
    return np.array([[0.0]])


def threshold(site: Site, of: Tensor, levels: Array, suffix: str = "") -> Tensor:
    """Add a Threshold; refuses levels that a Clip before it hides."""
    if isinstance(of, Clipped) and of.hides(levels):
        raise site.refusal(f"must have levels above {of.low} and up to {of.high}, to which what "
                           f"it reads is cut, not {levels.min()} to {levels.max()}")
    return site.emit(Threshold, of, suffix, levels=levels)


def _signs(values: Array) -> Array:
    return np.where(values >= 0, 1.0, -1.0)


def bipolar_quant(site: Site) -> Operand:
    """The sign, times a scale."""
    operand = site.operand(0)
    if isinstance(operand, Constant):
        step = _step(site, operand)
        return Constant(_signs(operand.values) * step, step, 1)
    values = _positive(site, site.constant(1).values)
    if values.ndim > operand.index.ndim and values.shape[0] == 1:
        values = values[0]
    scale = site.spread(operand, values, "scale")
    if isinstance(scale, float) and scale == 1.0:
        return threshold(site, operand, _zero())
    bits = threshold(site, operand, _zero(), "_sign")
    return site.emit(Affine, bits, scale=scale)


def _positive(site: Site, scale: Array) -> Array:
    if scale.size == 0 or (scale <= 0).any():
        raise site.refusal(f"must have positive scales, not "
                           f"{scale.min() if scale.size else 'none'}")
    return scale.astype(np.float64)


def _step(site: Site, weights: Constant) -> Array:
    """The scale of weights, with as many axes as they have, or none."""
    scale = _positive(site, site.constant(1).values)
    if scale.size == 1:
        return scale.reshape(())
    try:
        np.broadcast_to(scale, weights.values.shape)
    except ValueError:
        raise site.refusal(f"must have a scale that fits its weights of {weights.values.shape}, "
                           f"not shape {scale.shape}") from None
    return scale.reshape(*[1] * (weights.values.ndim - scale.ndim), *scale.shape)


def quant(site: Site) -> Operand:
    """Rounding to integers of some bits, times a scale."""
    operand = site.operand(0)
    mode = site.text("rounding_mode", "ROUND").upper()
    if mode not in _ROUNDING:
        raise site.refusal(f"must round half to even (rounding_mode ROUND), not {quoted(mode)}")
    width = site.scalar(3, "width")
    if width not in range(1, 33):
        raise site.refusal(f"must have a width of 1 to 32 bits, not {width}")
    bits, signed = int(width), bool(site.integer("signed", 1))
    narrow = bool(site.integer("narrow", 0))
    if isinstance(operand, Constant):
        return _quantized_weights(site, operand, bits, signed, narrow)
    scale = site.scalar(1, "scale")
    _positive(site, np.array(scale))
    zero_point = site.scalar(2, "zero point")
    if isinstance(operand, Clipped):
        ends = np.rint(np.array([operand.low, operand.high]) / scale + zero_point)
        low, high = _limits(bits, signed, narrow)
        if ends[0] > low or ends[1] < high:
            raise site.refusal(f"must round to integers within {ends[0]:g} to {ends[1]:g}, to "
                               f"which what it reads is cut, not {low} to {high}")
    return site.emit(Quant, operand, bits=bits, scale=scale, signed=signed, narrow=narrow,
                     zero_point=zero_point)


def _limits(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """Lowest and highest integer of a quantizer."""
    if signed:
        return -(1 << bits - 1) + narrow, (1 << bits - 1) - 1
    return 0, (1 << bits) - 1 - narrow


def _quantized_weights(site: Site, weights: Constant, bits: int, signed: bool,
                       narrow: bool) -> Constant:
    if site.constant(2).values.any():
        raise site.refusal("must have 0 as the zero point of weights")
    step = _step(site, weights)
    integers = np.clip(np.rint(weights.values / step), *_limits(bits, signed, narrow))
    return Constant(site.finite(integers * step), step, bits if signed else bits + 1)


def float_quant(site: Site) -> Operand:
    """Rounding to minifloats: saturating, of no scale, and of no numbers but the usual ones."""
    operand = site.operand(0)
    sizes = {what: site.scalar(at, what) for at, what in enumerate(
        ("scale", "exponent bitwidth", "mantissa bitwidth", "exponent bias", "maximum"), 1)}
    exponent, mantissa = (sizes[f"{what} bitwidth"] for what in ("exponent", "mantissa"))
    if not exponent.is_integer() or not mantissa.is_integer():
        raise site.refusal(f"must have whole bits of exponent and mantissa, not {exponent} and "
                           f"{mantissa}")
    name = site.builder.free(site.output)
    made = Minifloat(name=name, exponent=int(exponent), mantissa=int(mantissa))
    made.result(((1,), Real()))
    needs = {"scale": 1.0, "exponent bias": float(1 - made.lowest)}
    for what, need in needs.items():
        if sizes[what] != need:
            raise site.refusal(f"must have {need:g} as its {what}, not {sizes[what]:g}")
    if sizes["maximum"] < made.most:
        raise site.refusal(f"must have a maximum of {made.most:g}, the greatest number of its "
                           f"bits, not {sizes['maximum']:g}")
    for flag, value in (("has_inf", 0), ("has_nan", 0), ("has_subnormal", 0), ("saturation", 1)):
        if site.integer(flag, value) != value:
            raise site.refusal(f"must have {flag} = {value}, not {site.integer(flag, value)}")
    mode = site.text("rounding_mode", "ROUND").upper()
    if mode not in _ROUNDING:
        raise site.refusal(f"must round half to even (rounding_mode ROUND), not {quoted(mode)}")
    if isinstance(operand, Constant):
        return Constant(minifloat(operand.values, made).astype(np.float64))
    return site.emit(Minifloat, operand, exponent=made.exponent, mantissa=made.mantissa)


def multi_threshold(site: Site) -> Operand:
    """How many levels are reached, times a scale, plus an offset."""
    tensor = site.tensor(0)
    last = site.text("data_layout", "NCHW") in ("NHWC", "NWC")
    levels = _levels(site, tensor, last)
    scale, offset = site.number("out_scale", 1.0), site.number("out_bias", 0.0)
    if levels.shape[1] == 1:  # the Threshold makes -1 and +1 of the counts 0 and 1
        scale, offset = scale / 2, offset + scale / 2
    if (scale, offset) == (1.0, 0.0):
        return threshold(site, tensor, levels)
    counts = threshold(site, tensor, levels, "_levels")
    return site.emit(Affine, counts, scale=scale, offset=offset)


def _levels(site: Site, tensor: Tensor, last: bool) -> Array:
    """Levels for each channel of our tensor, in rising order."""
    levels = site.along_channels(tensor, 1, "row of levels", last=last).astype(np.float64)
    if levels.ndim != 2 or not 1 <= levels.shape[1] <= _MAX_LEVELS:
        raise site.refusal(f"must have 1 to {_MAX_LEVELS} levels a channel, "
                           f"not shape {levels.shape}")
    levels = np.sort(levels, axis=1)
    if len(levels) == 1:
        return levels
    places = np.arange(len(levels))
    if not last:
        places = places.reshape(-1, *[1] * (tensor.index.ndim - 1))
    rows = np.asarray(site.spread(tensor, places, "row of levels"), np.int64)
    return levels[rows]
