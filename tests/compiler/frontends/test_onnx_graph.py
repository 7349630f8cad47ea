import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from compiler import golden
from compiler.frontends import ModelError, load
from compiler.ir import BatchNorm, Binary, Dense, Fixed, Input, Real, Threshold
from tests.compiler.frontends.models import Net, mlp, mlp_output, write


@given(seed=st.integers(0, 1000), dialect=st.sampled_from(["gemm", "matmul"]))
def test_binarized_network(tmp_path_factory, seed, dialect):
    rng = np.random.default_rng(seed)
    net, name, layers = mlp(rng, dialect=dialect)
    graph = net.load(tmp_path_factory.mktemp("net"), name)
    assert [type(node) for node in graph.nodes] == [
        Input, Threshold, *[Dense, BatchNorm, Threshold] * 2, Dense, BatchNorm]
    x = rng.normal(size=(20, 12))
    np.testing.assert_allclose(golden.run(graph, x), mlp_output(x, layers), atol=1e-6)


def test_plain_onnx(tmp_path):
    """Weights of -1 and +1 as they are, `Sign`, a picture divided by 255, and `Softmax`."""
    rng = np.random.default_rng(0)
    first, second = rng.choice([-1.0, 1.0], (16, 8)), rng.choice([-1.0, 1.0], (8, 3))
    net = Net(["n", 1, 4, 4])
    name = net.node("Sub", net.node("Div", "x", np.array(255.0)), np.array(0.5))
    name = net.node("Sign", net.node("Flatten", name))
    name = net.node("Sign", net.node("Add", net.node("MatMul", name, first), np.arange(8.0)))
    name = net.node("Softmax", net.node("Gemm", name, second, np.ones(3)))
    graph = net.load(tmp_path, name, input_type="uint8")
    x = rng.integers(0, 256, (30, 16))
    bits = np.where(x > 127, 1, -1) @ first + np.arange(8)
    np.testing.assert_array_equal(golden.run(graph, x), np.where(bits >= 0, 1, -1) @ second + 1)
    assert [node.bits for node in graph.nodes if isinstance(node, Dense)] == [1, 1]


def test_name_and_source(tmp_path):
    net = Net([1, 2])
    model = net.model(net.end("x", 2))
    model.producer_name, model.producer_version = "maker", "1.2"
    graph = load(write(model, tmp_path, "digits.v2.onnx"))
    assert graph.name == "digits.v2"
    assert graph.meta["source"] == "digits.v2.onnx (maker 1.2)"


# The input

@pytest.mark.parametrize(("shape", "ours"), [
    ((1, 4), (4,)), (("n", 4), (4,)), ((0, 4), (4,)), ((8, 4), (4,)),
    ((1, 3, 4), (3, 4, 1)), ((1, 2, 3, 4), (3, 4, 2)),
])
def test_shapes(tmp_path, shape, ours):
    net = Net(shape)
    features = int(np.prod(ours))
    assert net.load(tmp_path, net.end(net.node("Flatten", "x"), features)).input.shape == ours


@pytest.mark.parametrize("shape", [(4,), (), None, (1, "n"), (1, 0), (1, -3), (1, 2, 3, 4, 5),
                                   (1, 1 << 20, 1 << 20), (1 << 20, 1 << 20)])
def test_wrong_shapes(tmp_path, shape):
    net = Net(shape)
    with pytest.raises(ModelError, match="^Input 'x' must have"):
        net.load(tmp_path, net.end("x", 4))


@pytest.mark.parametrize(("kind", "note", "given", "expected"), [
    (TensorProto.FLOAT, None, None, Real()),
    (TensorProto.DOUBLE, None, None, Real()),
    (TensorProto.FLOAT, "FLOAT32", None, Real()),
    (TensorProto.FLOAT, "UINT8", None, Fixed(8, signed=False)),
    (TensorProto.FLOAT, "INT4", None, Fixed(4)),
    (TensorProto.FLOAT, "INT32", None, Real()),
    (TensorProto.FLOAT, "BIPOLAR", None, Binary()),
    (TensorProto.UINT8, None, None, Fixed(8, signed=False)),
    (TensorProto.INT8, None, None, Fixed(8)),
    (TensorProto.FLOAT, None, "uint8", Fixed(8, signed=False)),
    (TensorProto.FLOAT, "UINT8", "real", Real()),
    (TensorProto.FLOAT, None, "binary", Binary()),
    (TensorProto.FLOAT, None, "int8", Fixed(8)),
])
def test_input_type(tmp_path, kind, note, given, expected):
    net = Net([1, 4], kind=kind)
    if note:
        net.annotate("x", finn_datatype=note)
    name = net.end(net.node("Cast", "x", to=TensorProto.FLOAT), 4)
    assert net.load(tmp_path, name, input_type=given).input.type == expected


def test_wrong_element_type(tmp_path):
    net = Net([1, 4], kind=TensorProto.STRING)
    with pytest.raises(ModelError, match="'x' must hold floating point, uint8 or int8, not"):
        net.load(tmp_path, net.end("x", 4))


@pytest.mark.parametrize("how", ["transpose", "annotation"])
def test_channels_last_input(tmp_path, how):
    net = Net([1, 3, 4, 2])
    name = net.node("Transpose", "x", perm=[0, 3, 1, 2]) if how == "transpose" else "x"
    if how == "annotation":
        net.annotate("x", tensor_layout="['N', 'H', 'W', 'C']")
    weights = np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)
    graph = net.load(tmp_path, net.node("MatMul", net.node("Flatten", name), weights))
    assert graph.input.shape == (3, 4, 2)
    x = np.random.default_rng(1).normal(size=(6, 3, 4, 2))
    flat = (x.transpose(0, 3, 1, 2) if how == "transpose" else x).reshape(6, -1)
    np.testing.assert_allclose(golden.run(graph, x), flat @ weights, atol=1e-6)


# The graph

def test_nodes_that_nothing_needs_are_left_out(tmp_path):
    net = Net([1, 2])
    net.node("Conv", "x", np.ones((1, 1, 1, 1)))
    name = net.end("x", 2)
    net.node("NonZero", name)
    assert len(net.load(tmp_path, name).nodes) == 2


def test_every_refusal_at_once(tmp_path):
    net = Net([1, 2, 4, 4])
    name = net.node("MaxPool", net.node("Conv", "x", np.ones((2, 3, 1, 1))))
    name = net.node("Gemm", net.node("Flatten", name), net.node("Sigmoid", np.ones((32, 2))))
    with pytest.raises(ModelError) as caught:
        net.load(tmp_path, net.node("Flub", name, domain="com.example"))
    kinds = [text.partition("(")[2].partition(")")[0] for text in caught.value.refusals]
    assert kinds == ["Conv", "Sigmoid", "com.example.Flub"]
    assert str(caught.value).splitlines() == list(caught.value.refusals)


def test_what_depends_on_a_refused_node_is_not_refused_for_that(tmp_path):
    net = Net([1, 4])
    name = net.node("Mul", net.node("Add", "x", np.ones(3)), np.ones(3))
    with pytest.raises(ModelError) as caught:
        net.load(tmp_path, net.end(name, 3))
    assert len(caught.value.refusals) == 1


@pytest.mark.parametrize("kind", ["Sub", "Mul", "Div"])
def test_other_joins(tmp_path, kind):
    net = Net([1, 4])
    name = net.node(kind, net.node("Relu", "x"), net.node("Sign", "x"))
    with pytest.raises(ModelError, match="'relu0' and 'sign1': only Add and Concat join tensors$"):
        net.load(tmp_path, net.end(name, 4))


def test_tensors_that_only_give_their_shape_are_left_out(tmp_path):
    net = Net([1, 4])
    shape = net.node("Shape", net.node("Relu", "x"))
    graph = net.load(tmp_path, net.end(net.node("Reshape", net.node("Sign", "x"), shape), 4))
    assert [type(node) for node in graph.nodes] == [Input, Threshold, Dense]


def test_an_unknown_node(tmp_path):
    net = Net([1, 4])
    with pytest.raises(ModelError) as caught:
        net.load(tmp_path, net.end(net.node("Erf", "x"), 4))
    text, = caught.value.refusals
    assert text == ("Node 'n0' (Erf) must be a layer (Conv, Gemm, MatMul), a pool (MaxPool, "
                    "AveragePool), BatchNormalization, a sign (Sign, BipolarQuant, "
                    "MultiThreshold), Quant, Relu, Add or Concat, or arithmetic with a constant")


def two_inputs(net, model):
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4]))


def two_outputs(net, model):
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4]))


def unsorted(net, model):
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def cyclic(net, model):
    model.graph.node[0].input[0] = model.graph.node[1].output[0]


def constant_output(net, model):
    model.graph.output[0].name = model.graph.initializer[0].name


def input_is_output(net, model):
    model.graph.output[0].name = "x"


def unknown_output(net, model):
    model.graph.output[0].name = "nothing"


def missing_initializer(net, model):
    del model.graph.initializer[0]


def made_twice(net, model):
    model.graph.node[0].output[0] = model.graph.node[1].output[0]


def makes_the_input(net, model):
    model.graph.node[0].output[0] = "x"


@pytest.mark.parametrize(("spoil", "match"), [
    (two_inputs, r"^Graph 'g' must have one input, not 2 \('x', 'z'\)$"),
    (two_outputs, r"^Graph 'g' must have one output, not 2 \('matmul1', 'z'\)$"),
    (unsorted, (r"^Node 'n1' \(MatMul\) must read tensors that the model has or an earlier node "
               r"makes, not 'relu0'$")),
    (cyclic, r"^Node 'n0' \(Relu\) must read tensors that .* not 'matmul1'$"),
    (constant_output, "^Output 'c0' must depend on the input$"),
    (input_is_output, (r"^The model must have at least one layer with weights \(Conv, Gemm or "
                       r"MatMul\)$")),
    (unknown_output, "^Output 'nothing' must depend on the input$"),
    (missing_initializer, r"^Node 'n1' \(MatMul\) must read tensors that .* not 'c0'$"),
    (made_twice, "^Tensor 'matmul1' must have one maker, not two$"),
    (makes_the_input, "^Tensor 'x' must have one maker, not two$"),
])
def test_malformed_graphs(tmp_path, spoil, match):
    net = Net([1, 4])
    model = net.model(net.end(net.node("Relu", "x"), 4))
    spoil(net, model)
    with pytest.raises(ModelError, match=match):
        load(write(model, tmp_path))


def test_output_in_another_order(tmp_path):
    net = Net([1, 4])
    name = net.node("Reshape", net.end("x", 4), np.array([1, 2, 2]))
    name = net.node("Flatten", net.node("Transpose", name, perm=[0, 2, 1]))
    with pytest.raises(ModelError, match="must have the channels of a layer in their order"):
        net.load(tmp_path, name)
