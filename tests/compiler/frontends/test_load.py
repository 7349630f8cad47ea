import doctest
import shutil

import numpy as np
import pytest

from compiler import frontends
from compiler.frontends import INPUT_TYPES, ModelError, load
from tests.compiler.frontends.models import Net
from tests.compiler.frontends.test_bnn_pynq import random_layers
from tests.compiler.frontends.test_bnn_pynq import write as write_folder


def test_by_content_whatever_the_name(tmp_path):
    net = Net([1, 2])
    path = net.save(tmp_path, net.end("x", 2))
    for name in ("net.npz", "net", "net.bin"):
        shutil.copy(path, tmp_path / name)
        assert load(tmp_path / name).name == "net"
    folder = write_folder(tmp_path / "folder.onnx", random_layers())
    assert load(str(folder)).name == "folder.onnx"


def test_folder_of_something_else(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ModelError, match=r"^Folder '.*' must hold BNN-PYNQ parameters \(0-0-w"):
        load(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(ModelError, match="but there is nothing of that name$"):
        load(tmp_path / "nothing")


def test_input_types(tmp_path):
    with pytest.raises(ModelError, match="^The input type must be one of uint8, int8, binary, "
                                         "real, not 'float'$"):
        load(tmp_path, input_type="float")
    assert list(INPUT_TYPES) == ["uint8", "int8", "binary", "real"]


def test_the_example_runs():
    assert doctest.testmod(frontends).attempted
    assert not doctest.testmod(frontends).failed


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    net = Net([1, 2])
    path = net.save(tmp_path, net.end("x", 2))

    def refuse(self):
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(type(path), "read_bytes", refuse)
    with pytest.raises(ModelError, match="must be readable: Permission denied$"):
        load(path)


def test_graph_is_ready_for_the_golden_model(tmp_path):
    net = Net([1, 2])
    graph = net.load(tmp_path, net.end("x", 2))
    assert not graph.nodes[-1].weights.flags.writeable
    assert np.isfinite(graph.nodes[-1].weights).all()
