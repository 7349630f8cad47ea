import pytest

from compiler.errors import UserError
from compiler.explore.store import Store, digest, sources


def test_keeps_results(tmp_path):
    store = Store(tmp_path / "a" / "points")
    assert store.read("one") is None
    store.write("one", {"cycles": 7})
    assert store.read("one") == {"cycles": 7}
    assert [path.name for path in store.folder.iterdir()] == ["one.json"]


@pytest.mark.parametrize("content", ["", "{\"cycles\": ", "[1]"])
def test_what_is_not_whole_is_not_there(tmp_path, content):
    (tmp_path / "one.json").write_text(content)
    assert Store(tmp_path).read("one") is None


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"^Output '{tmp_path}/file/points' must be a folder that "
                                        "can be written, but: Not a directory$"):
        Store(tmp_path / "file" / "points").write("one", {})


def test_names():
    assert digest([1, "a"]) == digest([1, "a"]) != digest([1, "b"])
    assert len({sources("hdl"), sources("hdl", "compiler"), sources("compiler")}) == 3
