"""Points of two classes in the plane, for `fastnn demo`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = tuple[NDArray[Any], NDArray[Any]]  # X (n, 2), and y (n,) of 0 and 1


def _circles(n: int, noise: float, random_state: np.random.RandomState) -> Points:
    from sklearn.datasets import make_circles

    points: Points = make_circles(n, factor=0.5, noise=noise, random_state=random_state)
    return points


def _moons(n: int, noise: float, random_state: np.random.RandomState) -> Points:
    from sklearn.datasets import make_moons

    X, y = make_moons(n, noise=noise, random_state=random_state)
    return X - [0.5, 0.25], y


def _blobs(n: int, noise: float, random_state: np.random.RandomState) -> Points:
    from sklearn.datasets import make_blobs

    centers = [[-0.7, -0.7], [0.7, 0.7]]
    points: Points = make_blobs(n, centers=centers, cluster_std=noise, random_state=random_state)
    return points


def _xor(n: int, noise: float, random_state: np.random.RandomState) -> Points:
    """A square in four; two quarters that touch at a corner are one class."""
    X = random_state.uniform(-1, 1, (n, 2))
    y = np.where(X[:, 0] * X[:, 1] > 0, 1, 0)
    return X + noise * random_state.standard_normal((n, 2)), y


def _spirals(n: int, noise: float, random_state: np.random.RandomState) -> Points:
    """Two arms of one and a half turns around each other."""
    y = np.arange(n) % 2
    radius = np.sqrt(random_state.uniform(0.03, 1.0, n))
    angle = 3 * np.pi * radius + np.pi * y
    X = 1.2 * radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return X + noise * random_state.standard_normal((n, 2)), y


class Dataset(NamedTuple):
    """Points of two classes, and what suits them."""

    make: Callable[[int, float, np.random.RandomState], Points]
    words: str
    noise: float
    topology: str = "2-4-8-1"
    epochs: int = 2000


DATASETS = {
    "circles": Dataset(_circles, "two rings", 0.05),
    "moons": Dataset(_moons, "two half moons", 0.1, "2-8-8-1", 5000),
    "spirals": Dataset(_spirals, "two spirals", 0.03, "2-16-16-1", 5000),
    "xor": Dataset(_xor, "four squares", 0.03),
    "blobs": Dataset(_blobs, "two blobs", 0.3),
}
