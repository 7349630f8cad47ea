import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from compiler.datasets import DataError
from compiler.ir import Binary, Fixed, Input, Real
from compiler.pictures import SUFFIXES, is_picture, read_picture


BYTE = Fixed(8, signed=False)


def node(*shape, kind=BYTE):
    return Input(name="x", shape=shape, type=kind)


def write(path, values, mode=None):
    picture = Image.fromarray(np.asarray(values, np.uint8))
    picture = picture.convert(mode) if mode else picture
    picture.save(path)
    return path


def random_picture(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_same_size_is_taken_as_it_is(tmp_path, suffix):
    colours = random_picture(5, 7, 3)
    path = write(tmp_path / f"a{suffix}", colours)
    np.testing.assert_array_equal(read_picture(path, node(5, 7, 3), {}), colours[None])
    assert is_picture(path)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".gif", ".jpeg"])
def test_lossy_formats(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix.upper()}", np.full((16, 16, 3), 128))
    assert is_picture(path)
    assert abs(read_picture(path, node(8, 8, 3), {}) - 128).max() <= 3


def test_smaller_is_the_mean(tmp_path):
    grey = random_picture(12, 8)
    path = write(tmp_path / "a.png", grey)
    means = grey.reshape(3, 4, 4, 2).mean((1, 3))
    made = read_picture(path, node(3, 4, 1), {})
    assert made.shape == (1, 3, 4, 1)
    assert abs(made[0, ..., 0] - means).max() <= 1


def test_larger_keeps_the_range(tmp_path):
    made = read_picture(write(tmp_path / "a.png", [[0, 255]]), node(4, 8, 1), {})
    assert (made.min(), made.max()) == (0, 255)
    assert (np.diff(made[0, 0, :, 0]) >= 0).all()


def test_flat_input_is_a_square(tmp_path):
    grey = random_picture(8, 8)
    path = write(tmp_path / "a.png", grey)
    np.testing.assert_array_equal(read_picture(path, node(64), {}), grey.reshape(1, 64))


def test_metadata_tells(tmp_path):
    grey = random_picture(4, 8)
    path = write(tmp_path / "a.png", grey)
    meta = {"picture": {"shape": (4, 8, 1), "white": 16}}
    made = read_picture(path, node(32, kind=Fixed(5, signed=False)), meta)
    np.testing.assert_array_equal(made[0], np.floor(grey.ravel() * (16 / 255) + 0.5))
    assert read_picture(path, node(32, kind=Real()), meta).shape == (1, 32)


@given(st.integers(1, 8))
def test_range_of_the_type(tmp_path_factory, bits):
    path = write(tmp_path_factory.mktemp("p") / "a.png", np.arange(256).reshape(16, 16))
    made = read_picture(path, node(256, kind=Fixed(bits, signed=False)), {}).ravel()
    assert (made[0], made[-1]) == (0, (1 << bits) - 1)
    assert set(np.diff(made)) <= {0, 1}


def test_bits(tmp_path):
    path = write(tmp_path / "a.png", [[0, 127], [128, 255]])
    assert read_picture(path, node(4, kind=Binary()), {}).tolist() == [[-1, -1, 1, 1]]


def test_colours_become_grey_and_grey_colours(tmp_path):
    path = write(tmp_path / "a.png", np.full((2, 2, 3), 77))
    assert read_picture(path, node(4), {}).tolist() == [[77] * 4]
    path = write(tmp_path / "b.png", np.full((2, 2), 77))
    assert (read_picture(path, node(2, 2, 3), {}) == 77).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"])
def test_modes(tmp_path, mode):
    path = write(tmp_path / ("a.tiff" if mode in ("CMYK", "PA") else "a.png"),
                 np.full((2, 2, 3), 255), mode)
    assert (read_picture(path, node(4), {}) == 255).all()


def test_transparent_is_black(tmp_path):
    colours = np.full((2, 2, 4), 255, np.uint8)
    colours[0, 0, 3] = 0
    path = write(tmp_path / "a.png", colours)
    assert read_picture(path, node(4), {}).tolist() == [[0, 255, 255, 255]]


def test_turned_by_the_camera(tmp_path):
    picture = Image.fromarray(np.repeat(np.array([[0], [255]], np.uint8), 16, 0).repeat(32, 1))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(tmp_path / "a.jpg", exif=exif)
    made = read_picture(tmp_path / "a.jpg", node(2, 2, 1), {})[0, ..., 0]
    assert (made[0] > 250).all()
    assert (made[1] < 5).all()


# What is refused

@pytest.mark.parametrize(("write", "line"), [
    (lambda path: None, "must be a picture that is whole: .*No such file"),
    (lambda path: path.write_bytes(b""), "must be a picture that Pillow can read"),
    (lambda path: path.write_bytes(b"GIF89a"), "must be a picture that"),
    (lambda path: path.mkdir(), "must be a picture that is whole: .*directory"),
    (lambda path: Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(path),
     "must be a picture of 8 bits a channel, not of mode I;16"),
])
def test_files(tmp_path, write, line):
    path = tmp_path / "a.png"
    write(path)
    with pytest.raises(DataError, match=f"^'{path}' {line}"):
        read_picture(path, node(4), {})


def test_cut_off_anywhere(tmp_path):
    whole = write(tmp_path / "a.png", random_picture(6, 6)).read_bytes()
    for end in range(len(whole) - 24):  # behind the last pixel
        (tmp_path / "b.png").write_bytes(whole[:end])
        with pytest.raises(DataError, match="must be a picture that"):
            read_picture(tmp_path / "b.png", node(36), {})


@pytest.mark.parametrize(("given_node", "meta", "line"), [
    (node(10), {}, r"Input 'x' must be a picture of 1 or 3 channels, or .*, not \(10,\); give it "),
    (node(4, 4, 2), {}, r"Input 'x' must be a picture of .* not \(4, 4, 2\)"),
    (node(16), {"picture": {"shape": (8, 8, 1), "white": 1}}, "Input 'x' must be a picture"),
    (node(16, kind=Real()), {}, "Input 'x' must have pixels of a known range, .*input-type uint8"),
    (node(16, kind=Fixed(8)), {}, "Input 'x' must have pixels of a known range"),
])
def test_networks(tmp_path, given_node, meta, line):
    path = write(tmp_path / "a.png", random_picture(4, 4))
    with pytest.raises(DataError, match=f"^{line}"):
        read_picture(path, given_node, meta)


def test_names():
    assert all(is_picture(f"a{suffix}") for suffix in SUFFIXES)
    assert not any(is_picture(name) for name in ("digits", "x.npy", "a.bin", "png"))
