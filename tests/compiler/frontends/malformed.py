"""Spoils good models in every way we can think of; each is a function of a model and a dice."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from compiler.frontends.onnx_ops import HANDLERS, LATER
from tests.compiler.frontends.models import Net, mlp


__all__ = ["BASES", "SPOILERS", "spoil_bytes", "spoil_model"]

ODD_INTEGERS = [-(1 << 63), -(1 << 31), -7, -2, -1, 0, 1, 2, 3, 5, 64, 1 << 20, 1 << 31, 1 << 40,
                (1 << 63) - 1]
ODD_NUMBERS = [float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e-45, 3e38]


# Models to start from

def brevitas(rng, dialect):
    net, name, _ = mlp(rng, dialect=dialect)
    return net.model(name)


def finn(rng):
    net = Net([1, 1, 3, 4], opset=12)
    net.annotate("x", finn_datatype="UINT8", tensor_layout="['N', 'C', 'H', 'W']")
    name = net.node("Reshape", net.node("Div", "x", np.array(255.0)), np.array([1, -1]))
    name = net.node("MultiThreshold", name, np.zeros((1, 1)), out_scale=2.0, out_bias=-1.0,
                    out_dtype="BIPOLAR")
    name = net.node("MatMul", name, rng.choice([-1.0, 1.0], (12, 6)))
    name = net.node("Unsqueeze", net.node("Mul", name, np.array(1.0)), axes=[2])
    name = net.node("BatchNormalization", name, *rng.uniform(0.5, 2, (4, 6)))
    name = net.node("MultiThreshold", net.node("Squeeze", name, axes=[2]),
                    np.sort(rng.normal(size=(6, 3)), 1), out_dtype="UINT2")
    name = net.node("MatMul", name, rng.normal(size=(6, 4)))
    return net.model(net.node("TopK", name, np.array([1]), outputs=("values", "")))


def quantized(rng):
    net = Net(["n", 2, 2, 3])
    name = net.node("Quant", "x", np.array(0.1), np.array(0.0), np.array(8.0), signed=1)
    sizes = net.node("Concat", net.node("Shape", "x"), np.array([1]), axis=0)
    sizes = net.node("Concat", net.node("Unsqueeze", net.node("Gather", sizes, np.array(0)),
                                        np.array([0])),
                     net.node("Constant", value_ints=[-1]), axis=0)
    name = net.node("Reshape", name, sizes)
    weights = net.node("Quant", rng.normal(size=(12, 5)), rng.uniform(0.1, 1, (1, 5)),
                       np.zeros(1), np.array(4.0), narrow=1)
    name = net.node("Add", net.node("MatMul", name, weights), np.ones(5))
    name = net.node("Sign", net.node("Clip", name, np.array(-1.0), np.array(1.0)))
    name = net.node("Gemm", name, rng.normal(size=(3, 5)), np.ones(3), transB=1, alpha=0.5)
    name = net.node("Softmax", net.node("Cast", name, to=TensorProto.FLOAT), axis=-1)
    return net.model(net.node("ArgMax", name, axis=1))


def plain(rng):
    net = Net([1, 12])
    weights = rng.normal(size=(6, 12))
    scale = net.node("ReduceMean", net.node("Abs", weights), np.array([1]), keepdims=1)
    name = net.node("Gemm", "x", net.node("Mul", net.node("Sign", weights), scale), transB=1)
    name = net.node("Clip", net.node("Neg", name), np.array(-1.0), np.array(1.0))
    name = net.node("Where", net.node("Less", name, np.array(0.5)), np.array(1.0), np.array(-1.0))
    name = net.node("Dropout", net.node("Identity", name))
    return net.model(net.node("MatMul", name, rng.integers(-9, 9, (6, 3)) * 1.0))


def convolutional(rng):
    """All that there is for pictures: borders, groups, pools, a residual, branches side by side."""
    net = Net([1, 2, 7, 8])
    name = net.node("Pad", "x", np.array([0, 0, 1, 0, 0, 0, 1, 0]), np.array(0.0), mode="constant")
    first = net.node("BipolarQuant", rng.normal(size=(4, 2, 3, 3)), np.ones(1))
    name = net.node("Conv", name, first, strides=[1, 1], pads=[0, 1, 0, 1], kernel_shape=[3, 3])
    name = net.node("BatchNormalization", name, *rng.uniform(0.5, 2, (4, 4)))
    name = net.node("BipolarQuant", name, np.ones(1))
    other = net.node("Conv", name, rng.normal(size=(4, 2, 3, 3)), np.ones(4), group=2,
                     auto_pad="SAME_UPPER", dilations=[1, 1])
    name = net.node("Clip", net.node("Add", name, other), np.array(-1.0), np.array(1.0))
    name = net.node("Sign", net.node("MaxPool", name, kernel_shape=[2, 2], strides=[2, 2],
                                     ceil_mode=1))
    left = net.node("AveragePool", name, kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                    count_include_pad=1)
    name = net.node("Concat", left, name, axis=1)
    name = net.node("Conv", name, rng.normal(size=(6, 8, 1, 1)))
    mean = net.node("ReduceMean", name, np.array([2, 3]), keepdims=0)
    name = net.node("Concat", net.node("Flatten", net.node("GlobalMaxPool", name)), mean, axis=1)
    return net.model(net.node("Gemm", name, rng.normal(size=(12, 3))))


BASES = {
    "gemm":      lambda rng: brevitas(rng, "gemm"),
    "matmul":    lambda rng: brevitas(rng, "matmul"),
    "finn":      finn,
    "quantized": quantized,
    "plain":     plain,
    "pictures":  convolutional,
}


# Ways to spoil one

def pick(rng, items):
    items = list(items)
    return items[rng.integers(len(items))] if items else None


def names(model):
    graph = model.graph
    found = {name for node in graph.node for name in (*node.input, *node.output)}
    return sorted(found | {"", "nothing", "a\nb\x1b[31m" * 40})


def drop_node(model, rng):
    del model.graph.node[rng.integers(len(model.graph.node))]


def repeat_node(model, rng):
    model.graph.node.append(pick(rng, model.graph.node))


def move_node(model, rng):
    nodes = [model.graph.node[at] for at in rng.permutation(len(model.graph.node))]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def rename_input(model, rng):
    node = pick(rng, model.graph.node)
    if node.input:
        node.input[rng.integers(len(node.input))] = pick(rng, names(model))


def rename_output(model, rng):
    node = pick(rng, model.graph.node)
    if node.output:
        node.output[rng.integers(len(node.output))] = pick(rng, names(model))


def drop_input(model, rng):
    node = pick(rng, model.graph.node)
    if node.input:
        del node.input[rng.integers(len(node.input))]


def drop_outputs(model, rng):
    del pick(rng, model.graph.node).output[:]


def add_input(model, rng):
    pick(rng, model.graph.node).input.append(pick(rng, names(model)))


def change_kind(model, rng):
    pick(rng, model.graph.node).op_type = pick(rng, [*HANDLERS, *LATER, "Erf", "", "If", "Loop"])


def change_domain(model, rng):
    pick(rng, model.graph.node).domain = pick(rng, ["", "ai.onnx", "finn", "com.microsoft"])


def change_attribute(model, rng):
    node = pick(rng, model.graph.node)
    known = ["axis", "axes", "perm", "transA", "transB", "alpha", "beta", "epsilon", "to", "k",
             "signed", "narrow", "rounding_mode", "out_scale", "out_bias", "data_layout", "largest",
             "keepdims", "value", "value_ints", "allowzero", "start", "min", "max", "kernel_shape",
             "strides", "pads", "auto_pad", "dilations", "group", "ceil_mode", "mode",
             "count_include_pad", "storage_order"]
    name = pick(rng, [item.name for item in node.attribute] + known)
    value = pick(rng, [*ODD_INTEGERS, *ODD_NUMBERS, "text", [0, 1], [1, 0], [-1], [1 << 40],
                       [0.5], np.ones(3), [], [2, 2], [1, 0, 2, 0], [1 << 40] * 4, [-1] * 4,
                       [1 << 62, 1 << 62], "SAME_LOWER", "VALID"])
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    if isinstance(value, np.ndarray):
        value = numpy_helper.from_array(value)
    if value != []:
        node.attribute.append(helper.make_attribute(name, value))


def drop_initializer(model, rng):
    if model.graph.initializer:
        del model.graph.initializer[rng.integers(len(model.graph.initializer))]


def change_dims(model, rng):
    tensor = pick(rng, model.graph.initializer)
    if tensor is not None and tensor.dims:
        tensor.dims[rng.integers(len(tensor.dims))] = pick(rng, ODD_INTEGERS)


def reverse_dims(model, rng):
    tensor = pick(rng, model.graph.initializer)
    if tensor is not None:
        dims = list(tensor.dims)[::-1]
        del tensor.dims[:]
        tensor.dims.extend(dims)


def add_axis(model, rng):
    tensor = pick(rng, model.graph.initializer)
    if tensor is not None:
        tensor.dims.extend([1] * int(rng.integers(1, 70)))


def change_values(model, rng):
    tensor = pick(rng, model.graph.initializer)
    if tensor is not None and tensor.data_type == TensorProto.FLOAT:
        values = np.frombuffer(tensor.raw_data, np.float32).copy()
        if values.size:
            values[rng.integers(values.size)] = pick(rng, ODD_NUMBERS)
            tensor.raw_data = values.tobytes()


def change_type(model, rng):
    tensor = pick(rng, model.graph.initializer)
    if tensor is not None:
        tensor.data_type = int(rng.integers(-1, 30))


def truncate_tensor(model, rng):
    tensor = pick(rng, model.graph.initializer)
    if tensor is not None:
        tensor.raw_data = tensor.raw_data[:rng.integers(len(tensor.raw_data) + 1)]


def make_external(model, rng):
    tensor = pick(rng, model.graph.initializer)
    if tensor is not None:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=pick(rng, [
            "weights.data", "../../../etc/passwd", "/etc/passwd", "", ".", "model.onnx", "a\0b"]))
        tensor.external_data.add(key=pick(rng, ["offset", "length"]),
                                 value=pick(rng, ["0", "-1", "x", "9" * 40, "8"]))


def change_shape(model, rng):
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dim = pick(rng, dims)
    if dim is not None:
        dim.dim_value = pick(rng, ODD_INTEGERS)


def drop_axis(model, rng):
    dims = model.graph.input[0].type.tensor_type.shape.dim
    if dims:
        del dims[rng.integers(len(dims))]


def change_input_type(model, rng):
    model.graph.input[0].type.tensor_type.elem_type = int(rng.integers(0, 30))


def no_input_type(model, rng):
    model.graph.input[0].ClearField("type")


def more_inputs(model, rng):
    model.graph.input.append(helper.make_tensor_value_info(pick(rng, names(model)),
                                                           TensorProto.FLOAT, [1, 4]))


def change_output(model, rng):
    model.graph.output[0].name = pick(rng, names(model))


def more_outputs(model, rng):
    model.graph.output.append(model.graph.output[0])


def change_opset(model, rng):
    for item in model.opset_import:
        item.version = pick(rng, ODD_INTEGERS)


def annotate(model, rng):
    item = model.graph.quantization_annotation.add(tensor_name=model.graph.input[0].name)
    item.quant_parameter_tensor_names.add(
        key=pick(rng, ["finn_datatype", "tensor_layout"]),
        value=pick(rng, ["UINT8", "INT0", "UINT9", "INT", "BIPOLAR", "", "['N']", "NHWC", "["]))


SPOILERS = [drop_node, repeat_node, move_node, rename_input, rename_output, drop_input,
            drop_outputs, add_input, change_kind, change_domain, change_attribute,
            drop_initializer, change_dims, reverse_dims, add_axis, change_values, change_type,
            truncate_tensor, make_external, change_shape, drop_axis, change_input_type,
            no_input_type, more_inputs, change_output, more_outputs, change_opset, annotate]


def spoil_model(model, rng, spoilers=SPOILERS):
    """Spoil a model in one to three ways, and return their names."""
    chosen = [pick(rng, spoilers) for _ in range(rng.integers(1, 4))]
    used = []
    for spoiler in chosen:
        if model.graph.node and model.graph.input:
            spoiler(model, rng)
            used.append(spoiler.__name__)
    return used


def spoil_bytes(data, rng):
    """Cut, overwrite, remove or insert bytes of a file."""
    data = bytearray(data)
    way = rng.integers(4)
    at, other = sorted(int(i) for i in rng.integers(0, len(data) + 1, 2))
    if way == 0:
        del data[at:]
    elif way == 1:
        for place in rng.integers(0, len(data), rng.integers(1, 9)):
            data[place] = rng.integers(256)
    elif way == 2:
        del data[at:min(other, at + 64)]
    else:
        data[at:at] = rng.bytes(int(rng.integers(1, 32)))
    return bytes(data)
