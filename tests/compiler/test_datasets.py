import builtins
import gzip
import re
import struct

import numpy as np
import pytest

from compiler.datasets import DataError, load
from compiler.errors import MissingToolError


X = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
Y = np.array([1, 0], np.uint8)


def idx(array):
    kind = {"u1": 8, "i2": 11, "f4": 13}[array.dtype.str[1:]]
    return (struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
            + array.astype(array.dtype.newbyteorder(">")).tobytes())


def write_mnist(folder, *, pack=bytes, suffix=""):
    for stem, x, y in ("train", X, Y), ("t10k", X + 100, 1 - Y):
        (folder / f"{stem}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(x)))
        (folder / f"{stem}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(y)))


@pytest.mark.parametrize(("pack", "suffix"), [(bytes, ""), (gzip.compress, ".gz")])
def test_folder_and_file(tmp_path, pack, suffix):
    write_mnist(tmp_path, pack=pack, suffix=suffix)
    test, train = load(tmp_path), load(str(tmp_path), split="train")
    file = load(tmp_path / f"train-images-idx3-ubyte{suffix}")
    np.testing.assert_array_equal(test.x, X + 100)
    np.testing.assert_array_equal(test.labels, 1 - Y)
    for data in train, file:
        np.testing.assert_array_equal(data.x, X)
        np.testing.assert_array_equal(data.labels, Y)
    assert train.classes == ("0", "1")
    assert train.shaped((12,)).shape == (2, 12)


@pytest.mark.parametrize("kind", ["u1", "i2", "f4"])
def test_types(tmp_path, kind):
    (tmp_path / "pictures").write_bytes(idx(X.astype(kind)))
    data = load(tmp_path / "pictures")
    np.testing.assert_array_equal(data.x, X)
    assert data.x.dtype == np.dtype(kind)
    assert data.labels is None


def test_numpy(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "xy.npz", x=X, y=Y, classes=["cat", "dog"])
    np.savez(tmp_path / "only.npz", x=X)
    assert load(tmp_path / "x.npy").labels is None
    assert load(tmp_path / "only.npz").labels is None
    both = load(tmp_path / "xy.npz")
    assert both.classes == ("cat", "dog")
    np.testing.assert_array_equal(both.labels, Y)


def test_digits():
    pytest.importorskip("sklearn")
    train, test = load("digits", split="train"), load("digits")
    assert len(train) + len(test) == 1797
    assert 440 <= len(test) <= 450
    assert np.bincount(test.labels).min() >= 43
    assert (test.x.dtype, test.x.shape[1:], test.x.max()) == (np.uint8, (64,), 16)
    both = {row.tobytes() for row in train.x} & {row.tobytes() for row in test.x}
    assert not both
    np.testing.assert_array_equal(test.x, load("digits").x)


@pytest.mark.parametrize("split", ["train", "test"])
def test_xor(split):
    data = load("xor", split=split)
    assert data.x.shape == (4, 32)
    assert data.x.dtype == np.int8
    assert data.x[:, :2].tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    assert (data.x[:, 2:] == -1).all()
    assert [data.classes[label] for label in data.labels] == [
        "equal", "different", "different", "equal"]


def test_xor_beside_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xor").write_bytes(idx(X))
    np.testing.assert_array_equal(load("xor").x, X)


def test_digits_without_scikit_learn(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingToolError, match=r"^Digits need scikit-learn: install it with "
                                               r"`pip install xnorloom\[train\]`$"):
        load("digits")


CIFAR = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


def write_cifar(path, pictures, labels):
    """Records of a class, then the planes of red, green and blue."""
    path.write_bytes(b"".join(
        bytes([label]) + b"".join(picture[..., plane].tobytes() for plane in range(3))
        for picture, label in zip(pictures, labels, strict=True)))


def test_cifar_file(tmp_path):
    write_cifar(tmp_path / "some.bin", CIFAR, [3, 9, 0, 1])
    data = load(tmp_path / "some.bin")
    np.testing.assert_array_equal(data.x, CIFAR)
    np.testing.assert_array_equal(data.labels, [3, 9, 0, 1])
    assert data.x.dtype == np.uint8
    assert data.classes[3] == "cat"
    assert data.shaped((32, 32, 3)).shape == CIFAR.shape


def test_cifar_folder(tmp_path):
    write_cifar(tmp_path / "test_batch.bin", CIFAR[:1], [7])
    for part in range(5):
        write_cifar(tmp_path / f"data_batch_{part + 1}.bin", CIFAR[[part % 4]], [part])
    np.testing.assert_array_equal(load(tmp_path).x, CIFAR[:1])
    train = load(tmp_path, split="train")
    np.testing.assert_array_equal(train.x, CIFAR[[0, 1, 2, 3, 0]])
    np.testing.assert_array_equal(train.labels, range(5))


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "must hold CIFAR-10 records of 3073 bytes each, not 0 bytes"),
    (bytes(3074), "must hold CIFAR-10 records of 3073 bytes each, not 3074 bytes"),
    (b"\x0a" + bytes(3072), "must hold classes of 0 to 9 as CIFAR-10 has them, not 10"),
])
def test_damaged_cifar(tmp_path, content, sentence):
    path = tmp_path / "some.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match="^" + re.escape(f"'{path}' {sentence}") + "$"):
        load(path)


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "must begin as IDX files do, with 00 00, a type and a number of axes, not nothing"),
    (b"PK\3\4", ("must begin as IDX files do, with 00 00, a type and a number of axes, "
                 "not 50 4b 03 04")),
    (idx(X)[:9], "must have 3 axes, not end in its head"),
    (idx(X)[:-1], "must have 24 bytes of data for (2, 3, 4), not 23"),
    (idx(X) + b"!", "must have 24 bytes of data for (2, 3, 4), not 25"),
    (idx(Y), "must hold inputs as numbers of (count, ...), not uint8 of (2,)"),
])
def test_damaged(tmp_path, content, sentence):
    path = tmp_path / "pictures"
    path.write_bytes(content)
    with pytest.raises(DataError, match="^" + re.escape(f"'{path}' {sentence}") + "$"):
        load(path)


def test_damaged_gzip(tmp_path):
    path = tmp_path / "pictures.gz"
    for content in gzip.compress(idx(X))[:-9], b"plain", gzip.compress(idx(X))[:20] + b"rubbish":
        path.write_bytes(content)
        with pytest.raises(DataError, match="must be a"):
            load(path)


def test_labels_that_do_not_match(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(X))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(DataError, match="must have a label for each of its 2 inputs, not 3$"):
        load(tmp_path)


@pytest.mark.parametrize(("arrays", "sentence"), [
    ({"pictures": X}, "must hold an array 'x', not pictures"),
    ({"x": X, "y": np.ones(2)}, r"must be integers of \(count,\), not float64 of \(2,\)"),
    ({"x": X, "y": np.array([0, -1])}, "must count from 0, not -1"),
    ({"x": np.array(["a"])[:, None]}, "must hold inputs as numbers"),
    ({"x": np.array([{}, {}])}, "must be a data set that is whole"),
])
def test_wrong_arrays(tmp_path, arrays, sentence):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=sentence):
        load(tmp_path / "a.npz")


def test_other_errors(tmp_path):
    with pytest.raises(DataError, match=f"^'{tmp_path}/none' must be a readable data set: No such"):
        load(tmp_path / "none")
    with pytest.raises(DataError, match="^Split must be one of train, test, not 'all'$"):
        load("digits", split="all")
    (tmp_path / "bad.npz").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(DataError, match="must be a data set that is whole"):
        load(tmp_path / "bad.npz")
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(DataError, match=r"^Inputs of 'x.npy' must fill \(11,\), as the network "
                                        r"reads it, not \(3, 4\)$"):
        load(tmp_path / "x.npy").shaped((11,))
