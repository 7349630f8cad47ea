from dataclasses import replace

import numpy as np

from compiler.train.batches import batches, count
from compiler.train.recipe import make_recipe


RECIPE = replace(make_recipe("digits", None, None, None, 1), batch=8, shift=0, mirror=False)
SAME = np.arange(1, 25, dtype=np.uint8).reshape(1, 3, 4, 2)


def epoch(pictures, labels, recipe, seed=0):
    made = list(batches(pictures, labels, recipe, np.random.default_rng(seed)))
    assert len(made) == count(pictures, recipe)
    assert max(len(y) for _, y in made) <= recipe.batch
    x, y = (np.concatenate(parts) for parts in zip(*made, strict=True))
    assert x.dtype == np.float32
    return x, y


def test_each_picture_once_with_its_label():
    pictures = np.arange(20 * 24, dtype=np.int64).reshape(20, 3, 4, 2)
    x, y = epoch(pictures, np.arange(20), RECIPE)
    assert sorted(y) == list(range(20)) != list(y)
    np.testing.assert_array_equal(x, pictures[y])
    assert (epoch(pictures, np.arange(20), RECIPE, seed=1)[1] != y).any()


def test_moved_to_all_places():
    x, _ = epoch(SAME.repeat(300, 0), np.zeros(300), replace(RECIPE, shift=1))
    around = np.pad(SAME[0], [(1, 1), (1, 1), (0, 0)])
    wanted = {around[down:down + 3, right:right + 4].astype(np.float32).tobytes()
              for down in range(3) for right in range(3)}
    assert len(wanted) == 9
    assert {picture.tobytes() for picture in x} == wanted


def test_mirrored_or_not():
    x, _ = epoch(SAME.repeat(300, 0), np.zeros(300), replace(RECIPE, mirror=True))
    turned = np.array([np.array_equal(picture, SAME[0, :, ::-1]) for picture in x])
    np.testing.assert_array_equal(x[~turned], SAME.repeat((~turned).sum(), 0))
    assert 100 < turned.sum() < 200
