import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from compiler.cli import commands
from compiler.datasets import DataError
from compiler.ir import Fixed, Input
from compiler.picture_folders import is_picture_folder, read_picture_folder
from compiler.workload import inputs_of, open_workload


NODE = Input(name="x", shape=(2, 2, 1), type=Fixed(8, signed=False))


def fill(folder, **classes):
    """Write pictures of one grey each, by class."""
    for name, greys in classes.items():
        (folder / name).mkdir(parents=True)
        for at, grey in enumerate(greys):
            Image.new("L", (4, 6), grey).save(folder / name / f"{at}.png")
    return folder


def greys(data):
    assert (data.x == data.x[:, :1, :1]).all()
    return data.x[:, 0, 0, 0].tolist()


def test_names_are_sorted_and_classes_take_turns(tmp_path):
    data = read_picture_folder(fill(tmp_path / "pets", dog=[1], cat=[2, 3, 4], eel=[5, 6]),
                               NODE, {})
    assert greys(data) == [2, 1, 5, 3, 6, 4]
    assert data.labels.tolist() == [0, 1, 2, 0, 2, 0]
    assert (data.classes, data.name) == (("cat", "dog", "eel"), "pets")
    assert data.x.shape == (6, 2, 2, 1)


def test_few_are_read(tmp_path):
    fill(tmp_path, cat=[2, 3], dog=[1])
    (tmp_path / "cat" / "1.png").write_bytes(b"no picture")
    assert greys(read_picture_folder(tmp_path, NODE, {}, 2)) == [2, 1]
    with pytest.raises(DataError, match="1.png' must be a picture that Pillow can read$"):
        read_picture_folder(tmp_path, NODE, {})


def test_names_of_the_network(tmp_path):
    fill(tmp_path, dog=[1], cat=[2])
    data = read_picture_folder(tmp_path, NODE, {"classes": ["eel", "dog", "cat"]})
    assert dict(zip(greys(data), data.labels.tolist(), strict=True)) == {1: 1, 2: 2}
    assert data.classes == ("eel", "dog", "cat")


def test_numbers(tmp_path):
    fill(tmp_path, **{"10": [1], "9": [2], "0": [3]})
    data = read_picture_folder(tmp_path, NODE, {})
    assert dict(zip(greys(data), data.labels.tolist(), strict=True)) == {1: 10, 2: 9, 3: 0}
    assert data.classes == tuple(map(str, range(11)))


def test_other_names_than_those_of_the_network(tmp_path):
    fill(tmp_path, dog=[1], cats=[2])
    with pytest.raises(DataError, match=f"^Folders in '{tmp_path}' must have the names of the "
                                        "network's classes, cat, dog, or their numbers, not "
                                        "'cats'$"):
        read_picture_folder(tmp_path, NODE, {"classes": ("cat", "dog")})


def test_what_is_one(tmp_path):
    assert not is_picture_folder(tmp_path / "nothing")
    assert not is_picture_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    assert not is_picture_folder(tmp_path)
    assert not is_picture_folder(tmp_path / "a.png")
    fill(tmp_path, **{".hidden": [1]})
    assert not is_picture_folder(tmp_path)
    fill(tmp_path, cat=[1])
    assert is_picture_folder(tmp_path)
    (tmp_path / "cat" / "notes.txt").touch()
    (tmp_path / "cat" / ".0.png").touch()
    assert greys(read_picture_folder(tmp_path, NODE, {})) == [1]


@pytest.fixture
def digits(tmp_path):
    """The digits that ship with us, as pictures."""
    work = open_workload(None)
    data = work.samples(30)
    white = work.graph.meta.get("picture", {"white": 31})["white"]  # else, that of 5 bits
    for at, (pixels, label) in enumerate(zip(data.x, data.labels, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        grey = np.rint(pixels.reshape(8, 8) * (255.0 / white)).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / str(label) / f"{at:02}.png")
    return tmp_path, data


def test_pictures_are_what_they_were_made_of(digits):
    folder, data = digits
    found = inputs_of(open_workload(None).graph, str(folder))
    order = sorted(range(30), key=lambda at: (
        sum(data.labels[:at] == data.labels[at]), data.labels[at]))
    np.testing.assert_array_equal(found.labels, data.labels[order])
    np.testing.assert_array_equal(found.x, data.x[order])


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_evaluate(threads, digits):
    folder, data = digits
    found = [json.loads(CliRunner().invoke(commands, [
        "evaluate", "digits", *words, "--scheduler", threads, "--json"]).stdout)
        for words in (["--data", str(folder)], ["--samples", "30"])]
    assert found[0]["confusion"] == found[1]["confusion"]


def test_network_that_names_its_classes(digits):
    folder, _ = digits
    graph = open_workload(None).graph
    named = replace(graph, meta={"classes": tuple("abcdefghij")})
    assert inputs_of(named, str(folder)).classes == tuple("abcdefghij")
