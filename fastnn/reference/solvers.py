"""Solvers: one step on flat parameters, in place.

states has a row for each vector that the solver carries, and one more for the average of the
parameters if there is one; t is the step's number, 1 at the first.
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


def adam_moments(
    grads: Array, states: Array, step: SimpleNamespace, t: int
) -> tuple[Array, Array, float]:
    """m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; m, sqrt(v) + epsilon and sqrt(1-b2^t).

    epsilon is at least the type's smallest normal number: 0 / 0 would be NaN.
    """
    first_moments, second_moments = states[:2]
    first_moments *= step.beta_1
    first_moments += (1 - step.beta_1) * grads
    second_moments *= step.beta_2
    second_moments += (1 - step.beta_2) * grads**2
    flush(first_moments)
    flush(second_moments)
    return first_moments, root(second_moments, step), float(np.sqrt(1 - step.beta_2**t))


def root(squares: Array, step: SimpleNamespace) -> Array:
    """sqrt(v) + epsilon."""
    roots: Array = np.sqrt(squares)
    roots += max(step.epsilon, float(np.finfo(squares.dtype).tiny))
    return roots


def adam_update(params: Array, grads: Array, states: Array, step: SimpleNamespace, t: int) -> None:
    """params -= lr sqrt(1-b2^t) / (1-b1^t) m / (sqrt(v) + epsilon) (Kingma and Ba, 2015)."""
    m, divisor, correction = adam_moments(grads, states, step, t)
    params -= step.learning_rate * correction / (1 - step.beta_1**t) * m / divisor


def adamw_update(
    params: Array, grads: Array, states: Array, step: SimpleNamespace, t: int
) -> None:
    """params -= lr weight_decay params, then as Adam (Loshchilov and Hutter, 2019)."""
    params *= 1 - step.learning_rate * step.weight_decay
    adam_update(params, grads, states, step, t)


def nadam_update(
    params: Array, grads: Array, states: Array, step: SimpleNamespace, t: int
) -> None:
    """Adam with Nesterov's momentum (Dozat, 2016): with mu_t = b1 (1 - 0.96^(0.004 t) / 2), in
    place of m (1 - mu_t) / (1 - mu_1 .. mu_t) g + mu_(t+1) / (1 - mu_1 .. mu_(t+1)) m."""
    m, divisor, correction = adam_moments(grads, states, step, t)
    mu = step.beta_1 * (1 - 0.5 * 0.96 ** (0.004 * np.arange(1, t + 2)))
    now, ahead = float(np.prod(mu[:-1])), float(np.prod(mu))
    rate = step.learning_rate * correction
    params -= (
        rate * float((1 - mu[-2]) / (1 - now)) * grads + rate * float(mu[-1] / (1 - ahead)) * m
    ) / divisor


def rmsprop_update(
    params: Array, grads: Array, states: Array, step: SimpleNamespace, t: int
) -> None:
    """v = b2 v + (1-b2) g^2; params -= lr g / (sqrt(v) + epsilon) (Tieleman and Hinton, 2012)."""
    squares = states[0]
    squares *= step.beta_2
    squares += (1 - step.beta_2) * grads**2
    flush(squares)
    params -= step.learning_rate * grads / root(squares, step)


def rprop_update(
    params: Array, grads: Array, states: Array, step: SimpleNamespace, t: int
) -> None:
    """Step sizes d of each parameter's own (Igel and Huesken, 2003), lr at the first step.

    d = min(1.2 d, 50) where g keeps its sign, max(d / 2, 1e-6) where that changes; params -=
    d sign(g), but nothing where it changed, and there the next g counts as 0. With take_back the
    last step is taken back there.
    """
    sizes, last = states[:2]
    if t == 1:
        sizes[:], last[:] = step.learning_rate, 0
    sign = np.sign(grads) * np.sign(last)
    if step.take_back:
        params += np.where(sign < 0, np.sign(last) * sizes, 0)
    one = sizes.dtype.type
    sizes[:] = np.where(sign > 0, np.minimum(sizes * one(1.2), 50), sizes)
    sizes[:] = np.where(sign < 0, np.maximum(sizes * one(0.5), one(1e-6)), sizes)
    last[:] = np.where(sign < 0, 0, grads)
    params -= np.sign(last) * sizes
    flush(last)  # the next step's: this one takes the sign of a subnormal gradient, too


FUNCTIONS = {
    "sgd": sgd_update,
    "momentum": momentum_update,
    "nesterov": nesterov_update,
    "adam": adam_update,
    "adamw": adamw_update,
    "nadam": nadam_update,
    "rmsprop": rmsprop_update,
    "rprop": rprop_update,
}
BY_CODES = {CODES[name]: function for name, function in FUNCTIONS.items()}


@quiet
def solver_update(params: Array, grads: Array, states: Array, step: Array, t: int) -> None:
    """Take one step of the solver in the step record.

    Parameters
    ----------
    params : ndarray, (n_params,)
        Changed in place.
    grads : ndarray, (n_params,)
        The gradient.
    states : ndarray, (n_states, n_params)
        What the solver carries from step to step, in place.
    step : ndarray
        The step's record. An unknown code is a KeyError.
    t : int
        The number of the step, 1 at the first.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> from fastnn.training.options import new_step
    >>> step = new_step("squared_error", solver="sgd", learning_rate_init=0.1)
    >>> params = np.array([1.0, 2.0])
    >>> reference.solver_update(params, np.array([10.0, 0.0]), np.empty((0, 2)), step, 1)
    >>> params
    array([0., 2.])
    """
    take_step(params, grads, states, read_step(step), t)


def take_step(params: Array, grads: Array, states: Array, step: SimpleNamespace, t: int) -> None:
    """`solver_update` by the record's fields; weight_decay may be an array like params.

    The last row of states takes the average, if there is one: average += w (params - average),
    w = 1 - min(ema, t / (t + 9)).
    """
    BY_CODES[step.solver](params, grads, states, step, t)
    if step.ema:
        states[-1] += (1 - min(step.ema, t / (t + 9))) * (params - states[-1])
