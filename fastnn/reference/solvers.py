"""Solvers: one step on flat parameters, in place.

states has a row for each vector that the solver carries; t is the step's number, 1 at the first.
"""

from types import SimpleNamespace

import numpy as np

from fastnn.catalog.solvers import CODES
from fastnn.reference.layout import Array, quiet
from fastnn.reference.records import read_step


def flush(x: Array) -> None:
    """Set subnormal numbers to 0, in place: they change nothing and are slow."""
    x[np.abs(x) < np.finfo(x.dtype).tiny] = 0


def sgd_update(params: Array, grads: Array, states: Array, step: SimpleNamespace, t: int) -> None:
    """params -= lr g."""
    params -= step.learning_rate * grads


def momentum_update(
    params: Array, grads: Array, states: Array, step: SimpleNamespace, t: int
) -> None:
    """v = momentum v - lr g; params += v."""
    velocities = states[0]
    velocities *= step.momentum
    velocities -= step.learning_rate * grads
    flush(velocities)
    params += velocities


def nesterov_update(
    params: Array, grads: Array, states: Array, step: SimpleNamespace, t: int
) -> None:
    """v = momentum v - lr g; params += momentum v - lr g (Sutskever et al., 2013)."""
    velocities = states[0]
    velocities *= step.momentum
    velocities -= step.learning_rate * grads
    flush(velocities)
    params += step.momentum * velocities - step.learning_rate * grads


def adam_update(params: Array, grads: Array, states: Array, step: SimpleNamespace, t: int) -> None:
    """m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
    params -= lr sqrt(1-b2^t) / (1-b1^t) m / (sqrt(v) + epsilon) (Kingma and Ba, 2015).

    epsilon is at least the type's smallest normal number: 0 / 0 would be NaN.
    """
    first_moments, second_moments = states
    first_moments *= step.beta_1
    first_moments += (1 - step.beta_1) * grads
    second_moments *= step.beta_2
    second_moments += (1 - step.beta_2) * grads**2
    flush(first_moments)
    flush(second_moments)
    rate = step.learning_rate * float(np.sqrt(1 - step.beta_2**t)) / (1 - step.beta_1**t)
    epsilon = max(step.epsilon, float(np.finfo(params.dtype).tiny))
    params -= rate * first_moments / (np.sqrt(second_moments) + epsilon)


FUNCTIONS = {
    "sgd": sgd_update,
    "momentum": momentum_update,
    "nesterov": nesterov_update,
    "adam": adam_update,
}
BY_CODES = {CODES[name]: function for name, function in FUNCTIONS.items()}


@quiet
def solver_update(params: Array, grads: Array, states: Array, step: Array, t: int) -> None:
    """One step of the solver in the step record. An unknown code is a KeyError."""
    numbers = read_step(step)
    BY_CODES[numbers.solver](params, grads, states, numbers, t)
