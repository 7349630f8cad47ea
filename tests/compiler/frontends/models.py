"""ONNX models and parameter folders that the tests make."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler import golden
from compiler.frontends import ModelError, load


CUSTOM = {"BipolarQuant": "qonnx.custom_op.general", "Quant": "qonnx.custom_op.general",
          "FloatQuant": "qonnx.custom_op.general", "MultiThreshold": "finn.custom_op.general"}


class Net:
    """An ONNX model that grows by one node after the other; ``x`` is its input."""

    def __init__(self, shape, *, kind=TensorProto.FLOAT, opset=20, dtype=np.float32):
        self.inputs = [helper.make_tensor_value_info("x", kind, shape)]
        self.opset = opset
        self.dtype = dtype
        self.nodes = []
        self.initializers = []
        self.annotations = []

    def constant(self, array):
        """Add an initializer, floating point as ``dtype``."""
        array = np.asarray(array)
        if array.dtype.kind == "f":
            array = array.astype(self.dtype)
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.array(array), name))
        return name

    def node(self, kind, *inputs, outputs=("",), domain=None, **attributes):
        """Add a node, arrays among its inputs becoming constants; return its last output."""
        names = [item if isinstance(item, str) else self.constant(item) for item in inputs]
        at = len(self.nodes)
        made = [name or f"{kind.lower()}{at}" for name in outputs]
        domain = CUSTOM.get(kind, "") if domain is None else domain
        self.nodes.append(helper.make_node(kind, names, made, name=f"n{at}", domain=domain,
                                           **attributes))
        return made[-1]

    def annotate(self, name, **facts):
        item = onnx.TensorAnnotation(tensor_name=name)
        for key, value in facts.items():
            item.quant_parameter_tensor_names.add(key=key, value=value)
        self.annotations.append(item)

    def model(self, *outputs):
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                  for name in outputs]
        graph = helper.make_graph(self.nodes, "g", self.inputs, values, self.initializers)
        graph.quantization_annotation.extend(self.annotations)
        domains = sorted({node.domain for node in self.nodes} - {""})
        return helper.make_model(graph, ir_version=10, opset_imports=[
            helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, 1) for d in domains)])

    def load(self, folder, *outputs, **options):
        return load(self.save(folder, *outputs), **options)

    def save(self, folder, *outputs):
        return write(self.model(*outputs), folder)

    def end(self, name, features):
        """Add a dense layer that changes nothing, since a model must have one."""
        return self.node("MatMul", name, np.eye(features))


def write(model, folder, name="model.onnx"):
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def run_op(folder, x, kind, *inputs, opset=20, **attributes):
    """Return what an operation on the batch ``x`` makes, (samples, features)."""
    net = Net([1, *x.shape[1:]], opset=opset)
    made = net.node(kind, "x", *inputs, **attributes)
    flat = net.node("Flatten", made)
    graph = net.load(folder, net.end(flat, x[0].size))
    return golden.run(graph, channels_last(x))


def channels_last(x):
    return np.moveaxis(x, 1, -1) if x.ndim > 2 else x


def run_model(model, x):
    """Run a model in ONNX Runtime; raises its own exceptions for what it does not take."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options,
                                       providers=["CPUExecutionProvider"])
    kind = {"tensor(double)": np.float64}.get(session.get_inputs()[0].type, np.float32)
    return session.run(None, {"x": x.astype(kind)})[0]


def agrees(folder, net, output, x, **options):
    """Load a model, hold it to ONNX Runtime on the batch ``x``, and return its graph.

    Without a graph, where ONNX Runtime does not take the model, it must be refused, too.
    """
    try:
        expected = run_model(net.model(output), x)
    except Exception as error:
        if type(error).__module__.startswith("onnxruntime"):
            with pytest.raises(ModelError):
                net.load(folder, output)
            return None
        raise
    graph = net.load(folder, output, **options)
    made = golden.run(graph, channels_last(x))
    np.testing.assert_allclose(made, channels_last(expected), rtol=1e-4, atol=1e-4)
    return graph


def mlp(rng, sizes=(12, 8, 6, 4), *, dialect="gemm"):
    """A binarized network in one of the dialects of Brevitas' exporters, and its parameters."""
    net = Net([1, sizes[0]])
    name = net.node("BipolarQuant", "x", np.ones(1))
    layers = []
    for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
        weights = rng.normal(size=(fan_out, fan_in)).astype(np.float32)
        norm = [rng.normal(size=fan_out).astype(np.float32) for _ in range(3)]
        norm.append(rng.uniform(0.5, 4, fan_out).astype(np.float32))
        layers.append((weights, norm))
        quantized = net.node("BipolarQuant", weights, np.ones(1))
        if dialect == "gemm":
            name = net.node("Gemm", name, quantized, transB=1)
        else:
            name = net.node("MatMul", name, net.node("Transpose", quantized, perm=[1, 0]))
        name = net.node("BatchNormalization", name, *norm)
        if len(layers) < len(sizes) - 1:
            name = net.node("BipolarQuant", name, np.ones(1))
    return net, name, layers


def mlp_output(x, layers):
    """The network of `mlp` in NumPy."""
    for weights, (gamma, beta, mean, variance) in layers:
        x = np.where(x >= 0, 1, -1) @ np.where(weights >= 0, 1, -1).T
        x = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    return x
