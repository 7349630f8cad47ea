import numpy as np
import pytest

from compiler.frontends.onnx_values import Constant, Tensor, apply


def tensor(*shape):
    return Tensor("t", np.arange(int(np.prod(shape))).reshape(shape))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_tensor_moves_within_each_sample(batch):
    moved = apply(lambda values: values.transpose(0, 2, 1), tensor(2, 3), batch)
    np.testing.assert_array_equal(moved.index, [[0, 3], [1, 4], [2, 5]])
    assert not moved.in_order
    back = apply(lambda values: values.transpose(0, 2, 1), moved, batch)
    assert back.in_order
    assert back.features == 6


@pytest.mark.parametrize(("batch", "function"), [
    (1, lambda values: values.reshape(-1)),
    (1, lambda values: values.reshape(6, 1)),
    (2, lambda values: values.reshape(-1)),
    (2, lambda values: values.reshape(4, 3)),
    (2, lambda values: values.reshape(3, 2, 2).transpose(1, 0, 2)),
    (2, lambda values: values.transpose(1, 0, 2)),
])
def test_tensor_keeps_the_batch_axis(batch, function):
    with pytest.raises(ValueError, match="batch axis|mixes samples"):
        apply(function, tensor(2, 3), batch)


def test_constant_moves_with_its_step():
    step = np.array([[0.5], [2.0]])
    constant = Constant(np.array([[1, -1, 3], [4, 2, -2]]) * step, step, 3)
    moved = apply(lambda values: values.T, constant, 1)
    np.testing.assert_array_equal(moved.integers, [[1, 4], [-1, 2], [3, -2]])
    assert moved.bits == 3
    same = apply(lambda values: values.T, Constant(np.eye(2), np.array(0.25), 2), 1)
    np.testing.assert_array_equal(same.integers, 4 * np.eye(2))
