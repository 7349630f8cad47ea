"""Torch7 files of XNOR-Net and Binary-Weight-Networks, as github.com/allenai/XNOR-Net makes them.

Their code binarizes all convolutions but the first and the last when it tests: to the signs of the
weights, times the mean of their sizes in each output. That is done here. The first and the last
layer, which are of real numbers there, get weights of 8 bits, with a scale for each output, and
what is not the sign of something becomes integers of 8 bits. How large these must be, the norms
tell: up to three deviations above the mean.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from compiler import models, topology
from compiler.frontends.refusal import Refusal
from compiler.frontends.torch7_file import Module, modules, recognise
from compiler.ir import (
    Affine,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Quant,
    Relu,
    TensorType,
    Threshold,
)


__all__ = ["read", "recognise"]

Array = np.ndarray[Any, Any]

PICTURES = "alexnet-xnor"  # the description that tells what pictures the networks were trained on
BITS = 8                   # of edges
DEVIATIONS = 3             # above the mean that a norm gives, to the largest value
UNEVEN = 16                # times the middle channel's, the most steps of any channel

WEIGHTED = "SpatialConvolution", "SpatialConvolutionMM"
NORM = "SpatialBatchNormalization"
KINDS = (*WEIGHTED, NORM, "ReLU", "SpatialMaxPooling", "BinActiveZ", "SpatialDropout", "Dropout",
         "View", "LogSoftMax", "Sequential")


def read(path: Path, input_type: TensorType | None = None) -> Graph:
    """Read a network for pictures of 0 to 255, (227, 227, 3) in RGB.

    Raises `Refusal` for a damaged file, and for one that holds other modules.
    """
    if input_type not in (None, Fixed(8, signed=False)):
        raise Refusal(f"'{path}' has a network that reads pixels, and its input type must be "
                      f"uint8, not {input_type}")
    found = modules(path)
    for module in found:
        if module.kind not in KINDS:
            raise Refusal(f"{module} must be one of {', '.join(KINDS)}")
    return Graph(tuple(_Reader(found).nodes()), name=path.stem,
                 meta={"source": "Torch7, binarized as XNOR-Net does"})


class _Reader:
    """Writes the network module by module.

    What a module makes is ``scale * x + offset`` of the tensor ``x`` that the last node makes,
    with values for each channel. ``high`` is the largest that it is expected to be.
    """

    def __init__(self, found: list[Module]) -> None:
        self.modules = found
        self.weighted = [module for module in found if module.kind in WEIGHTED]
        net = topology.read(models.network(PICTURES))
        self.made, *_ = topology.pictures(net)
        self.shape: tuple[int, ...] = net.input
        self.scale: Array = np.full(net.input[-1], 1 / topology.steps(net))
        self.offset: Array = np.zeros(net.input[-1])
        self.high: Array | None = None

    def nodes(self) -> list[Node]:
        if not self.weighted:
            raise Refusal("A Torch7 file must hold at least one SpatialConvolution, not none")
        for module in self.modules:
            match module.kind:
                case "SpatialConvolution" | "SpatialConvolutionMM":
                    self._convolution(module)
                case "SpatialBatchNormalization":
                    self._norm(module)
                case "ReLU":
                    self._relu(module)
                case "BinActiveZ":
                    self._settle(module)
                    self._emit(Threshold(name=f"sign{module.number}", levels=np.zeros((1, 1))))
                case "SpatialMaxPooling":
                    self._pool(module)
                case "SpatialDropout" | "Dropout":
                    self._dropout(module)
                case "View":
                    self._view(module)
        if (self.scale != 1).any() or self.offset.any():
            self._settle(self.modules[-1])
        return self.made

    def _emit(self, node: Node, shape: tuple[int, ...] | None = None) -> None:
        self.made.append(type(node)(**{**vars(node), "inputs": (self.made[-1].name,)}))
        self.shape = shape or self.shape

    def _settle(self, module: Module) -> None:
        """Emit the scale and the offset."""
        self._emit(Affine(name=f"values{module.number}", scale=self.scale, offset=self.offset))
        self._plain()

    def _plain(self) -> None:
        self.scale, self.offset = np.ones(self.shape[-1]), np.zeros(self.shape[-1])

    def _convolution(self, module: Module) -> None:
        outputs, inputs = (module.whole(name, least=1) for name in ("nOutputPlane", "nInputPlane"))
        height, width = (module.whole(name, least=1) for name in ("kH", "kW"))
        if self.shape[-1] != inputs or len(self.shape) == 1 and height * width != 1:
            raise Refusal(f"{module} must read what the one ahead makes, {self.shape}, not "
                          f"{inputs} channels through {height} x {width}")
        if module.whole("groups", 1) != 1:
            raise Refusal(f"{module} must have 1 group, not {module.fields['groups']!r}")
        if self.offset.any():
            raise Refusal(f"{module} must follow the picture, a ReLU or a BinActiveZ, not a norm")
        weights = module.array("weight", outputs * inputs * height * width).reshape(
            outputs, inputs, height, width).transpose(0, 2, 3, 1)
        bias = np.zeros(outputs)
        if module.fields.get("bias") is not None:
            bias = module.array("bias", outputs)
        if module in (self.weighted[0], self.weighted[-1]):
            bits, weights, scale = BITS, *_integers(weights * self.scale)
        else:
            if (self.scale != self.scale[0]).any():
                raise Refusal(f"{module} must read channels of one scale")
            bits, scale = 1, np.abs(weights).mean((1, 2, 3)) * self.scale[0]
            weights = np.where(weights >= 0, 1, -1).astype(np.int8)
        self._sums(module, weights, bits)
        self.scale, self.offset, self.high = scale, bias, None

    def _sums(self, module: Module, weights: Array, bits: int) -> None:
        outputs, height, width, _ = weights.shape
        down, across = (module.whole(name, 1, least=1) for name in ("dH", "dW"))
        top, left = (module.whole(name, 0) for name in ("padH", "padW"))
        if self.shape[:2] == (height, width) and not top + left and len(self.shape) == 3:
            self._emit(Flatten(name=f"flat{module.number}"), (math.prod(self.shape),))
        if len(self.shape) == 1:
            self._emit(Dense(name=f"dense{module.number}", weights=weights.reshape(outputs, -1),
                             bits=bits), (outputs,))
            return
        node = Conv(name=f"conv{module.number}", weights=weights, bits=bits,
                    stride=(down, across), pads=(top, left) * 2)
        shape, _ = node.result((self.shape, Fixed(8)))
        self._emit(node, shape)

    def _norm(self, module: Module) -> None:
        channels = self.shape[-1]
        mean, variance = (module.array(name, channels) for name in ("running_mean", "running_var"))
        epsilon = module.real("eps")
        if (variance + epsilon <= 0).any():
            raise Refusal(f"{module} must have variances above 0, not {variance.min()}")
        gamma, beta = np.ones(channels), np.zeros(channels)
        if module.fields.get("weight") is not None:
            gamma, beta = (module.array(name, channels) for name in ("weight", "bias"))
        slope = gamma / np.sqrt(variance + epsilon)
        self.scale, self.offset = self.scale * slope, (self.offset - mean) * slope + beta
        self.high = beta + DEVIATIONS * np.abs(gamma)

    def _relu(self, module: Module) -> None:
        relu = Relu(name=f"relu{module.number}")
        after = self.modules[module.number:]
        ahead = next((step for step in after if step.kind in (*WEIGHTED, "BinActiveZ")), None)
        if ahead is None or ahead.kind == "BinActiveZ":
            self._settle(module)
            self._emit(relu)
            return
        if self.high is None:
            raise Refusal(f"{module} must follow a {NORM}, which tells how large its values are")
        scale, sizes = np.full_like(self.scale, 1.0), np.abs(self.scale)
        if ahead is self.weighted[-1] and _even(self.high, sizes):
            # The sizes of the slopes go through the Relu, into the weights of 8 bits behind it, so
            # the integers are a shift of the sums.
            largest = float((self.high / sizes).max())
            step = 2.0 ** max(math.ceil(math.log2(largest / ((1 << BITS) - 1))), 0)
            scale = sizes * step
            self.scale, self.offset = np.sign(self.scale) / step, (
                np.rint(self.offset / sizes) / step)
        else:
            scale *= max(float(self.high.max()), 1e-30) / ((1 << BITS) - 1)
            self.scale, self.offset = self.scale / scale, self.offset / scale
        self._settle(module)
        self._emit(relu)
        self._emit(Quant(name=f"octets{module.number}", bits=BITS, scale=1.0, signed=False))
        self.scale = scale

    def _pool(self, module: Module) -> None:
        kernel, stride, pads = (
            (module.whole(f"{name}H", default, least), module.whole(f"{name}W", default, least))
            for name, default, least in (("k", None, 1), ("d", None, 1), ("pad", 0, 0)))
        if (self.scale < 0).any():
            self._settle(module)
        node = MaxPool(name=f"pool{module.number}", kernel=kernel, stride=stride, pads=pads * 2)
        shape, _ = node.result((self.shape, Fixed(8)))
        rest = [(size + 2 * pad - width) % step for size, pad, width, step in
                zip(self.shape, pads, kernel, stride, strict=False)]
        if module.fields.get("ceil_mode") and any(rest):
            raise Refusal(f"{module} must take whole windows, not begin one with the last "
                          f"{max(rest)} lines or columns (ceil_mode)")
        self._emit(node, shape)

    def _dropout(self, module: Module) -> None:
        """SpatialDropout, and Dropout of version 1, scale what they let through in tests."""
        if module.kind == "SpatialDropout" or module.fields.get("v2") is False:
            kept = 1 - module.real("p")
            if not 0 < kept <= 1:
                raise Refusal(f"{module} must keep a share of its input, not {kept}")
            self.scale, self.offset = self.scale * kept, self.offset * kept

    def _view(self, module: Module) -> None:
        if len(self.shape) == 3 and self.shape[:2] != (1, 1):
            raise Refusal(f"{module} must read one place, not a picture of {self.shape[0]} x "
                          f"{self.shape[1]}")
        if len(self.shape) == 3:
            self._emit(Flatten(name=f"flat{module.number}"), self.shape[2:])


def _integers(weights: Array) -> tuple[Array, Array]:
    """Return weights of `BITS` bits, and the scale of each output."""
    high = (1 << BITS - 1) - 1
    largest = np.abs(weights).max((1, 2, 3))
    scale = np.where(largest > 0, largest, 1.0) / high
    return np.rint(weights / scale[:, None, None, None]).astype(np.int8), scale


def _even(high: Array, sizes: Array) -> bool:
    """Whether the largest values take about as many steps of the sums in all channels."""
    if not sizes.all():
        return False
    ends = high / sizes
    return bool(ends.max() > 0 and ends.max() <= UNEVEN * np.median(ends))
