"""Pools in ONNX, over windows and over whole pictures."""

from typing import Any

from compiler.frontends import onnx_constants
from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Clipped, Constant, Operand, Tensor
from compiler.frontends.onnx_windows import Window, picture, window
from compiler.ir import AveragePool, MaxPool, Pool


__all__ = ["average_pool", "global_average_pool", "global_max_pool", "max_pool", "reduce_mean"]


def max_pool(site: Site) -> tuple[Operand | None, ...]:
    """The maximum of a window; where it stood is not told."""
    of = picture(site)
    if any(site.builder.is_used(name) for name in site.proto.output[1:]):
        raise site.refusal("must be used for its values, not for their places")
    slides = window(site, of, site.pair("kernel_shape"), ceil=bool(site.integer("ceil_mode", 0)))
    made = _pool(site, MaxPool, of, slides)
    if isinstance(of, Clipped):  # the maximum of what was cut is the maximum, cut
        made = Clipped(made.name, made.index, of.low, of.high)
    return made, *[None] * (len(site.proto.output) - 1)


def average_pool(site: Site) -> Operand:
    """The mean of a window, in which a border counts as zeros."""
    of = picture(site)
    kernel = site.pair("kernel_shape")
    slides = window(site, of, kernel)
    if site.integer("ceil_mode", 0) and window(site, of, kernel, ceil=True) != slides:
        raise site.refusal("must have ceil_mode = 0 where the last window leaves the picture, "
                           "not 1")
    if any(slides.own) and not site.integer("count_include_pad", 0):
        raise site.refusal("must have count_include_pad = 1 where it has pads, not 0")
    return _pool(site, AveragePool, of, slides)


def global_max_pool(site: Site) -> Operand:
    return _global(site, MaxPool)


def global_average_pool(site: Site) -> Operand:
    return _global(site, AveragePool)


def reduce_mean(site: Site) -> Operand:
    """The mean over height and width, or of a constant."""
    if isinstance(site.operand(0), Constant):
        return onnx_constants.reduce_mean(site)
    picture(site)
    axes = site.axes() or ()
    if sorted(axis % 4 for axis in axes) != [2, 3]:
        raise site.refusal(f"must take the mean over height and width, the axes 2 and 3, "
                           f"not {axes}")
    made = _global(site, AveragePool)
    if site.integer("keepdims", 1):
        return made
    return Tensor(site.builder.flat(made).name, made.index[:, 0, 0])


def _global(site: Site, kind: type[Pool]) -> Tensor:
    of = picture(site)
    height, width, _ = site.builder.shape(of)
    whole = Window((height, width), (height, width), (0, 0, 0, 0), (0, 0, 0, 0))
    return _pool(site, kind, of, whole)


def _pool(site: Site, kind: type[Pool], of: Tensor, slides: Window) -> Tensor:
    fields: dict[str, Any] = {"kernel": slides.kernel, "stride": slides.stride,
                              "pads": slides.pads}
    return site.builder.add(kind(name=site.builder.free(site.output), inputs=(of.name,),
                                 **fields))
