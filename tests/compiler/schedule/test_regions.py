import numpy as np
import pytest

from compiler.errors import UserError
from compiler.ir import Binary, Concat, Conv, Graph, Input, Threshold
from compiler.schedule.layout import Layout
from compiler.schedule.regions import Region, regions_of
from compiler.schedule.tasks import tasks_of
from compiler.stages import split
from hdl.isa import Target


def found(*joins, last="all", inputs=16):
    """Regions of three layers in a row that each leave four channels, joined as told."""
    nodes = [Input(name="x", shape=(3, 5, 4), type=Binary())]
    for name, source in (("a", "x"), ("b", "a"), ("c", "b")):
        nodes += [Conv(name=f"{name}s", inputs=(source,), weights=np.ones((4, 1, 1, 4), int),
                       bits=1),
                  Threshold(name=name, inputs=(f"{name}s",), levels=np.zeros((1, 1), int))]
    nodes += [Concat(name=name, inputs=parts) for name, *parts in joins
              for parts in [tuple(parts)]]
    nodes.append(Conv(name="last", inputs=(last,), weights=np.ones((1, 1, 1, inputs), int), bits=1))
    parts = split(Graph(tuple(nodes), name="regions"))
    return regions_of(parts, tasks_of(parts))


def test_a_chain():
    """A tensor is there from when a layer leaves it until the next has read it."""
    assert found(last="c", inputs=4) == tuple(
        Region(name, (3, 5, channels), (channels,), {name: range(1)}, at - 1, at)
        for at, (name, channels) in enumerate([("x", 4), ("a", 4), ("b", 4), ("c", 4),
                                               ("last", 1)]))


def test_joins_of_joins():
    """Tensors that are joined are there from when the first is made until none is read."""
    x, whole, last = found(("inner", "a", "b"), ("all", "inner", "c"), inputs=12)
    assert (x.name, last.name) == ("x", "last")
    assert whole == Region("all", (3, 5, 12), (4, 4, 4), {
        "all": range(3), "inner": range(2), "a": range(1), "b": range(1, 2), "c": range(2, 3)},
        0, 3)


@pytest.mark.parametrize(("joins", "message"), [
    ([("all", "x", "a", "b", "c")], "Concat 'all' must join what layers leave, not 'x'"),
    ([("all", "c", "a", "b", "a")],
     "Concat 'all' must join tensors that are joined once, not 'a' again"),
    ([("one", "a", "b"), ("all", "one", "b", "c")],
     "Concat 'all' must join tensors that are joined once, not 'b' again"),
])
def test_refusals(joins, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        found(*joins)


@pytest.mark.parametrize("target", [Target.BITS, Target.OCTETS])
@pytest.mark.parametrize("shape", [(3, 5), ()])
def test_parts_lie_in_the_whole(target, shape):
    """Each part by itself is what all of it is there, and leaves the others alone."""
    rng = np.random.default_rng(0)
    sizes = 3, 40, 9
    region = Region("all", (*shape, 52), sizes, {
        "all": range(3), "ab": range(2), "a": range(1), "b": range(1, 2), "c": range(2, 3)}, 0, 3)
    whole = region.lies(Layout(type=Binary(), shape=(*shape, 3), target=target, p=2, simd=32,
                               border=1 if shape else 0))
    x = rng.choice([-1, 1], region.shape)
    data = whole.pack(x)
    assert whole.unpack(data).tolist() == x.tolist()
    used = np.zeros(len(data), int)
    for name, channels in (("ab", x[..., :43]), ("a", x[..., :3]), ("b", x[..., 3:43]),
                           ("c", x[..., 43:])):
        before, layout = region.part(name, whole)
        assert before + layout.octets <= whole.octets
        assert layout.unpack(data[before:before + layout.octets]).tolist() == channels.tolist()
        own = np.frombuffer(layout.pack(channels), np.uint8)
        if name != "ab":
            used[before:before + len(own)] += own
    assert used.astype(np.uint8).tobytes() == data
    assert region.part("all", whole) == (0, whole)
