import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from compiler import golden
from compiler.errors import UserError
from sim.fuzz.networks import networks
from sim.fuzz.saved import load, save


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_same_network(tmp_path, network):
    save(network, tmp_path / "one.npz")
    again = load(tmp_path / "one.npz")
    np.testing.assert_array_equal(again.frames, network.frames)
    for (node, found), (_, expected) in zip(golden.trace(again.graph, again.frames),
                                            golden.trace(network.graph, network.frames),
                                            strict=True):
        assert again.graph.type(node.name) == network.graph.type(node.name)
        np.testing.assert_array_equal(found, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["one.npz"]


@pytest.mark.parametrize("content", [None, b"", b"PK no", "other"])
def test_other_files(tmp_path, content):
    path = tmp_path / "other.npz"
    if content == "other":
        np.savez(path, frames=np.zeros(3))
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=(
            rf"^'{re.escape(str(path))}' must be a network that the fuzzer saved, but: ")):
        load(path)
