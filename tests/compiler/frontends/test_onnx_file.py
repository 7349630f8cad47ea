import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from compiler import golden
from compiler.frontends import ModelError, load
from compiler.frontends.onnx_file import open_model, read_tensor
from compiler.frontends.refusal import Refusal
from tests.compiler.frontends.models import Net, mlp, mlp_output, write


DTYPES = [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8,
          np.uint16, np.uint32, np.bool_]


@given(st.data(), st.sampled_from(DTYPES))
def test_raw_data(tmp_path_factory, data, dtype):
    finite = {"allow_nan": False, "allow_infinity": False} if dtype(0).dtype.kind == "f" else {}
    array = data.draw(arrays.arrays(dtype, arrays.array_shapes(max_dims=4, min_side=0),
                                    elements=arrays.from_dtype(np.dtype(dtype), **finite)))
    got = read_tensor(numpy_helper.from_array(array, "t"), tmp_path_factory.getbasetemp())
    assert got.dtype == (np.float64 if array.dtype.kind == "f" else np.int64)
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16,
                                  TensorProto.BFLOAT16, TensorProto.INT8, TensorProto.UINT8,
                                  TensorProto.INT32, TensorProto.INT64, TensorProto.UINT32,
                                  TensorProto.BOOL])
def test_typed_data(tmp_path, kind):
    tensor = helper.make_tensor("t", kind, (2, 2), [0, 1, 1, 0])
    assert not tensor.raw_data
    np.testing.assert_array_equal(read_tensor(tensor, tmp_path), [[0, 1], [1, 0]])


def test_bfloat16(tmp_path):
    raw = np.array([0x3FC0, 0xC000], "<u2").tobytes()  # 1.5 and -2
    tensor = helper.make_tensor("t", TensorProto.BFLOAT16, (2,), raw, raw=True)
    np.testing.assert_array_equal(read_tensor(tensor, tmp_path), [1.5, -2.0])


def broken(**changes):
    tensor = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "w")
    for key, value in changes.items():
        if key == "dims":
            del tensor.dims[:]
            tensor.dims.extend(value)
        else:
            setattr(tensor, key, value)
    return tensor


@pytest.mark.parametrize(("changes", "match"), [
    ({"dims": (2, 4)}, r"^Tensor 'w' must hold 32 bytes, as its shape 2x4 has it, not 24$"),
    ({"dims": (-2, 3)}, "must have at most 8 axes and 268435456 elements, not shape -2x3$"),
    ({"dims": (1 << 40, 1 << 40)}, "must have at most 8 axes"),
    ({"dims": (1,) * 9}, r"must have at most 8 axes .* not shape 1x1x1x1x1x1x1x1x\.\.\.$"),
    ({"raw_data": bytes(23)}, "must hold 24 bytes, as its shape 2x3 has it, not 23$"),
    ({"raw_data": np.full(6, np.nan, np.float32).tobytes()},
     r"^Tensor 'w' must be finite, not nan at \(0, 0\)$"),
    ({"raw_data": np.array([0, 0, 0, 0, 0, -np.inf], np.float32).tobytes()},
     r"must be finite, not -inf at \(1, 2\)$"),
    ({"data_type": TensorProto.STRING}, "must be of type .*FLOAT.*, not STRING$"),
    ({"data_type": TensorProto.COMPLEX64}, "not COMPLEX64$"),
    ({"data_type": 999}, "not 999$"),
    ({"name": "a\nb" + "c" * 200, "raw_data": b""}, r"^Tensor 'a\\nbc*\.\.\.' must hold 24 bytes"),
])
def test_broken_tensors(tmp_path, changes, match):
    with pytest.raises(Refusal, match=match):
        read_tensor(broken(**changes), tmp_path)


def test_typed_data_of_another_size(tmp_path):
    tensor = helper.make_tensor("w", TensorProto.FLOAT, (2, 2), [0, 1, 1, 0])
    tensor.float_data.append(2.0)
    with pytest.raises(Refusal, match="must hold 4 values, as its shape 2x2 has it, not 5$"):
        read_tensor(tensor, tmp_path)


def test_segments(tmp_path):
    tensor = broken()
    tensor.segment.begin = 0
    with pytest.raises(Refusal, match="must be stored in one piece, not in segments$"):
        read_tensor(tensor, tmp_path)


# External data

def external(array, location, **entries):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=array.shape,
                         data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("entries", [{}, {"offset": 0, "length": 24}, {"offset": 4096}])
def test_external_data(tmp_path, entries):
    (tmp_path / "w.data").write_bytes(bytes(entries.get("offset", 0)) + ARRAY.tobytes() + b"more")
    np.testing.assert_array_equal(read_tensor(external(ARRAY, "w.data", **entries), tmp_path),
                                  ARRAY)


@pytest.mark.parametrize(("location", "entries", "match"), [
    ("missing.data", {}, ("^Tensor 'w' must have its data in 'missing.data', which is missing in "
                         "the folder of the model$")),
    ("../w.data", {}, r"must have its data in the folder of the model, not in '\.\./w\.data'$"),
    ("a/../../w.data", {}, "must have its data in the folder of the model"),
    ("link.data", {}, "must have its data in the folder of the model, not in 'link.data'$"),
    ("", {}, "must have its data in the folder of the model, not in ''$"),
    (".", {}, "which is missing"),
    ("a\0b", {}, "must have its data in"),
    ("w.data", {"offset": -4}, "must have data at an offset and of a length in bytes, not '-4'"),
    ("w.data", {"offset": "x"}, "must have data at an offset"),
    ("w.data", {"length": "9" * 30}, "must have data at an offset"),
    ("w.data", {"offset": 8}, "must have 24 bytes in 'w.data' from 8 on, not 16$"),
    ("w.data", {"offset": 1000}, "must have 24 bytes in 'w.data' from 1000 on, not 0$"),
    ("w.data", {"length": 20}, "must have 24 bytes in 'w.data' from 0 on, not 20$"),
])
def test_external_data_that_cannot_be_read(tmp_path, location, entries, match):
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (tmp_path, folder):
        (place / "w.data").write_bytes(ARRAY.tobytes())
    (folder / "link.data").symlink_to(tmp_path / "w.data")
    with pytest.raises(Refusal, match=match):
        read_tensor(external(ARRAY, location, **entries), folder)


def test_external_data_of_an_absolute_path(tmp_path):
    (tmp_path / "w.data").write_bytes(ARRAY.tobytes())
    with pytest.raises(Refusal, match="must have its data in the folder of the model"):
        read_tensor(external(ARRAY, str(tmp_path / "w.data")), tmp_path)


def test_model_with_external_data(tmp_path):
    rng = np.random.default_rng(0)
    net, name, layers = mlp(rng)
    onnx.save(net.model(name), tmp_path / "m.onnx", save_as_external_data=True,
              location="m.onnx.data", size_threshold=0)
    assert (tmp_path / "m.onnx.data").stat().st_size > 0
    x = rng.normal(size=(20, 12))
    np.testing.assert_allclose(golden.run(load(tmp_path / "m.onnx"), x), mlp_output(x, layers),
                               atol=1e-6)
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(ModelError, match="which is missing in the folder of the model"):
        load(tmp_path / "m.onnx")


# Files

@pytest.mark.parametrize(("content", "match"), [
    (b"", r"must be an ONNX model of less than 2 GiB, not 0 bytes$"),
    (b"PK\x03\x04 a zip", "must be an ONNX model, and is none, or damaged$"),
    (b"\x80\x02 a pickle", "must be an ONNX model, and is none, or damaged$"),
    (b"some text\n", "must be an ONNX model"),
    (b"\x08\x0a", "must be an ONNX model with at least one node$"),
])
def test_not_onnx(tmp_path, content, match):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=match):
        open_model(path)


@pytest.mark.parametrize("opset", [1, 6, 1000])
def test_opset(tmp_path, opset):
    net = Net([1, 2], opset=opset)
    name = net.end("x", 2)
    with pytest.raises(Refusal, match=rf"must use operators of opset 7 to \d+, not {opset}$"):
        open_model(net.save(tmp_path, name))


def test_no_opset(tmp_path):
    net = Net([1, 2])
    model = net.model(net.end("x", 2))
    del model.opset_import[:]
    with pytest.raises(Refusal, match=r"must use operators of opset 7 to \d+, not none$"):
        open_model(write(model, tmp_path))


@pytest.mark.parametrize("where", [
    lambda model: model.graph.node[0], lambda model: model.graph.initializer[0],
    lambda model: model.graph.input[0], lambda model: model.graph,
    lambda model: model.opset_import.add(domain="MARK"),
])
def test_names_that_are_no_text(tmp_path, where):
    net = Net([1, 2])
    model = net.model(net.end("x", 2))
    part = where(model)
    if hasattr(part, "name"):
        part.name = "MARK"
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString().replace(b"MARK", b"\xff\xfe\xfd\xfc"))
    with pytest.raises(Refusal, match="must be an ONNX model with all its names in UTF-8$"):
        open_model(path)
