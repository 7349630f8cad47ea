"""Torch7 files, written module by module, and what PyTorch makes of the same modules."""

import struct
from dataclasses import dataclass

import numpy as np


@dataclass
class Module:
    """``kind`` is a class of Lua; a Sequential has ``modules``."""

    kind: str
    fields: dict


def sequential(*modules):
    return Module("nn.Sequential", {"modules": dict(enumerate(modules, 1)), "train": False})


def convolution(chance, inputs, outputs, kernel, stride=1, pad=0, kind="cudnn"):
    weight = chance.normal(0, (2 / (kernel * kernel * inputs)) ** 0.5,
                           (outputs, inputs, kernel, kernel)).astype(np.float32)
    return Module(f"{kind}.SpatialConvolution", {
        "nInputPlane": inputs, "nOutputPlane": outputs, "kW": kernel, "kH": kernel,
        "dW": stride, "dH": stride, "padW": pad, "padH": pad, "weight": weight,
        "bias": chance.normal(0, 0.1, outputs).astype(np.float32)})


def norm(chance, channels, epsilon, falling=True):
    gamma = chance.uniform(0.5, 1.5, channels)
    if falling:
        gamma *= np.where(chance.random(channels) < 0.2, -1, 1)
    return Module("nn.SpatialBatchNormalization", {
        "eps": epsilon, "momentum": 0.1, "affine": True,
        "running_mean": chance.normal(0, 0.1, channels).astype(np.float32),
        "running_var": chance.uniform(0.5, 1.5, channels).astype(np.float32),
        "weight": gamma.astype(np.float32),
        "bias": chance.normal(0, 0.2, channels).astype(np.float32)})


def relu():
    return Module("cudnn.ReLU", {"inplace": True, "threshold": 0, "val": 0})


def pool(kernel=3, stride=2):
    return Module("nn.SpatialMaxPooling", {"kW": kernel, "kH": kernel, "dW": stride, "dH": stride,
                                           "padW": 0, "padH": 0, "ceil_mode": False})


def dropout(share=0.1):
    return Module("nn.SpatialDropout", {"p": share, "train": False})


def end(classes):
    return [Module("nn.View", {"numElements": classes}), Module("nn.LogSoftMax", {})]


def xnor(chance, width, classes=10):
    """models/alexnetxnor.lua of XNOR-Net, with ``width`` of its channels."""
    n = [int(width * channels) for channels in (96, 256, 384, 384, 256, 4096, 4096)]

    def binary(inputs, outputs, kernel, pad=0, *more):
        return sequential(norm(chance, inputs, 1e-4), sequential(Module("nn.BinActiveZ", {})),
                          convolution(chance, inputs, outputs, kernel, 1, pad), *more)

    return sequential(
        convolution(chance, 3, n[0], 11, 4, 2), norm(chance, n[0], 1e-5), relu(), pool(),
        binary(n[0], n[1], 5, 2, pool()), binary(n[1], n[2], 3, 1), binary(n[2], n[3], 3, 1),
        binary(n[3], n[4], 3, 1, pool()), dropout(), binary(n[4], n[5], 6), dropout(),
        binary(n[5], n[6], 1), norm(chance, n[6], 1e-3), relu(),
        convolution(chance, n[6], classes, 1), *end(classes))


def bwn(chance, width, classes=10):
    """models/alexnet.lua of XNOR-Net, with ``width`` of its channels."""
    n = [int(width * channels) for channels in (96, 256, 384, 384, 256, 4096, 4096)]

    def block(inputs, outputs, *window):
        return sequential(convolution(chance, inputs, outputs, *window),
                          norm(chance, outputs, 1e-3), relu())

    return sequential(
        block(3, n[0], 11, 4, 2), pool(), block(n[0], n[1], 5, 1, 2), pool(),
        block(n[1], n[2], 3, 1, 1), block(n[2], n[3], 3, 1, 1), block(n[3], n[4], 3, 1, 1), pool(),
        dropout(), block(n[4], n[5], 6), dropout(), block(n[5], n[6], 1),
        convolution(chance, n[6], classes, 1), *end(classes))


def opened(module):
    """Yield the modules in their order."""
    if module.kind == "nn.Sequential":
        for part in module.fields["modules"].values():
            yield from opened(part)
    else:
        yield module


def forward(torch, network, x, *, start=0, learn=False):
    """Yield each module behind the first ``start`` ones, with what it makes in tests.

    ``x`` are pictures (batch, channels, height, width), or what the module ahead made of them.
    Where ``learn`` is set, norms take their means and variances from what they read.
    """
    modules = list(opened(network))
    weighted = [module for module in modules if "Convolution" in module.kind]
    for module in modules[start:]:
        fields = module.fields
        match module.kind.rpartition(".")[2]:
            case "SpatialConvolution":
                weight = torch.from_numpy(fields["weight"])
                if module in weighted[1:-1]:  # binarizeConvParms of its util.lua
                    weight = weight.sign() * weight.abs().mean((1, 2, 3), keepdim=True)
                x = torch.nn.functional.conv2d(
                    x, weight, torch.from_numpy(fields["bias"]), (fields["dH"], fields["dW"]),
                    (fields["padH"], fields["padW"]))
            case "SpatialBatchNormalization":
                if learn:
                    fields["running_mean"] = x.mean((0, 2, 3)).numpy()
                    fields["running_var"] = x.var((0, 2, 3)).numpy() + np.float32(1e-6)
                x = torch.nn.functional.batch_norm(
                    x, *(torch.from_numpy(fields[name]) for name in
                         ("running_mean", "running_var", "weight", "bias")), eps=fields["eps"])
            case "ReLU":
                x = x.relu()
            case "BinActiveZ":
                x = x.sign()
            case "SpatialMaxPooling":
                x = torch.nn.functional.max_pool2d(x, fields["kH"], fields["dH"])
            case "SpatialDropout":
                x = x * (1 - fields["p"])
            case "View":
                x = x.reshape(len(x), -1)
            case "LogSoftMax":
                x = x.log_softmax(1)
        yield module, x


def write(path, network):
    """Write a module as `torch.save` does; arrays become tensors of CUDA."""
    path.write_bytes(encoded(network))
    return path


def encoded(network):
    parts, seen = [], {}

    def number(form, *values):
        parts.append(struct.pack(f"<{form}", *values))

    def text(value):
        number("i", len(value))
        parts.append(value.encode())

    def begin(tag, thing):
        """Write a reference, and return whether the thing itself must follow."""
        known = id(thing) in seen
        index = seen.setdefault(id(thing), len(seen) + 1)
        number("ii", tag, index)
        return not known

    def thing(value):
        match value:
            case None:
                number("i", 0)
            case bool():
                number("ii", 5, value)
            case int() | float():
                number("id", 1, value)
            case str():
                number("i", 2)
                text(value)
            case dict():
                if begin(3, value):
                    number("i", len(value))
                    for key, item in value.items():
                        thing(key)
                        thing(item)
            case Module():
                if begin(4, value):
                    text("V 1")
                    text(value.kind)
                    thing(value.fields)
            case np.ndarray():
                if begin(4, value):
                    tensor(value)

    def tensor(values):
        text("V 1")
        text("torch.CudaTensor")
        steps = [step // 4 for step in np.ascontiguousarray(values).strides]
        number(f"i{2 * values.ndim + 1}q", values.ndim, *values.shape, *steps, 1)
        number("ii", 4, len(seen) + 1)
        seen[object()] = None
        text("V 1")
        text("torch.CudaStorage")
        number("q", values.size)
        parts.append(values.astype("<f4").tobytes())

    thing(network)
    return b"".join(parts)
