"""Networks of convolutions for the tests of the generated C."""

from hypothesis import reject
from hypothesis import strategies as st

from compiler.codegen.plan import make_plan
from compiler.errors import UserError
from compiler.ir import Conv, Graph, Input
from compiler.passes import to_integer
from sim.fuzz.networks import networks


__all__ = ["conv_graph", "integer_networks"]


def conv_graph(layer_weights, *, shape, bits, kind, **options):
    """One Conv alone: its sums are the result."""
    channels = layer_weights.shape[3] * options.get("groups", 1)
    x = Input(name="x", shape=(*shape, channels), type=kind)
    return Graph((x, Conv(name="conv", inputs=("x",), weights=layer_weights, bits=bits,
                          **options)))


@st.composite
def integer_networks(draw):
    """An integer graph of any kind that C can hold, and frames."""
    network = draw(networks())
    try:
        graph = to_integer(network.graph)
        make_plan(graph)
    except UserError:
        reject()
    return graph, network.frames
