"""Network.summary: the numbers, and how they print."""

import numpy as np
import pytest

from fastnn import Network


def test_numbers():
    net = Network([5, 7, 33, 2], ["tanh", "relu", "softmax"], loss="log_loss", dtype="float32")
    summary = net.summary(1000)
    assert [layer.name for layer in summary.layers] == ["hidden 1", "hidden 2", "output"]
    assert [layer.shape for layer in summary.layers] == [coef.shape for coef in net.coefs_]
    assert tuple(layer.activation for layer in summary.layers) == net.activations
    assert summary.n_params == net.params_.size
    assert summary.n_bytes == net.params_.nbytes
    # forward, gradients, and deltas of all layers but the input
    products = [5 * 7, 7 * 33, 33 * 2]
    assert summary.multiply_adds == 3 * sum(products) - products[0]
    assert summary.multiply_adds_an_epoch == 1000 * summary.multiply_adds
    assert net.summary().multiply_adds_an_epoch is None


@pytest.mark.parametrize("units", [[1, 1], [2, 4, 8, 1], [784, 1024, 1024, 10], [3, 12345, 2]])
def test_it_prints_as_a_table(units):
    net = Network(units)
    text = str(net.summary())
    assert text == repr(net.summary())
    lines = text.splitlines()
    assert len(lines) == len(units) - 1 + 7
    assert len({len(line) for line in lines[1:-1]}) == 1
    assert f" {net.params_.size:,} " in lines[-2]
    assert lines[-1] == "Multiply-adds are those of training on one sample."
    assert str(net.summary(50)).endswith(f"; {50 * net.summary().multiply_adds:,} an epoch of 50.")


def test_memory_has_units():
    assert " 16 B " in str(Network([1, 1]).summary())
    assert " 14.2 MiB " in str(Network([784, 1024, 1024, 10]).summary())


def test_a_wrong_number_is_refused():
    with pytest.raises(ValueError, match="n_samples must be a whole number >= 1, got 0"):
        Network([1, 1]).summary(0)
    with pytest.raises(TypeError, match="n_samples must be a whole number"):
        Network([1, 1]).summary(np.ones(3))
