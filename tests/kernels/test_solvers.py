"""Single steps of every solver against the oracle."""

import numpy as np
import pytest
from cases import EVERY_BUILD, step_of
from conftest import SIZES

from fastnn import reference
from fastnn.catalog import solvers

EVERY_SOLVER = pytest.mark.parametrize(
    "solver", [row.name for row in solvers.SOLVERS if not row.searches]
)


def states_of(solver, n, dtype):
    return np.empty((solvers.BY_NAME[solver].n_states, n), dtype)


@EVERY_SOLVER
def test_solver_update(kernels, dtype, solver, rng):
    step = step_of(solver=solver, learning_rate=0.1, momentum=0.9, weight_decay=0.3, take_back=1)
    tolerance = 16 * np.finfo(dtype).eps
    for n in SIZES:
        params, grads = rng.randn(n).astype(dtype), rng.randn(n).astype(dtype)
        states = states_of(solver, n, dtype)
        states[...] = rng.rand(*states.shape)
        expected, expected_states = params.copy(), states.copy()
        kernels.solver_update(params, grads, states, step, 3)
        reference.solver_update(expected, grads, expected_states, step, 3)
        np.testing.assert_allclose(params, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(states, expected_states, rtol=tolerance, atol=tolerance)


@EVERY_SOLVER
def test_every_parameter_of_a_solver_counts(kernels, dtype, solver, rng):
    """With another momentum, beta_2 and so on, parameters end elsewhere; others change nothing."""
    grads = rng.randn(9).astype(dtype)
    defaults = {
        "learning_rate": 0.1,
        "momentum": 0.5,
        "beta_1": 0.5,
        "beta_2": 0.5,
        "epsilon": 0.5,
        "weight_decay": 0.5,
    }
    names = {"learning_rate_init": "learning_rate", "rho": "beta_2"}
    read = {names.get(p, p) for p in solvers.BY_NAME[solver].parameters} | {"learning_rate"}
    read -= {"decay_intercepts", "take_back"}  # switches, which have tests of their own
    if solver == "sgd":
        read -= {"momentum"}  # it becomes another solver by its momentum

    def end(module, **changed):
        params, states = np.ones(9, dtype), states_of(solver, 9, dtype)
        states[...] = 0.5
        step = step_of(solver=solver, **(defaults | changed))
        for t in (1, 2):
            module.solver_update(params, grads, states, step, t)
        return params

    for module in (kernels, reference):
        for name in defaults:
            differs = not np.array_equal(end(module), end(module, **{name: 0.25}))
            assert differs == (name in read), name


@EVERY_BUILD
@EVERY_SOLVER
def test_states_hold_no_subnormal_numbers(module, dtype, solver):
    params, grads = np.ones(9, dtype), np.zeros(9, dtype)
    states = states_of(solver, 9, dtype)
    states[...] = np.finfo(dtype).tiny
    module.solver_update(params, grads, states, step_of(solver=solver, momentum=0.9), 2)
    if solver == "rprop":  # its first state is a step size
        assert (states[0] > 0).all()
        states = states[1:]
    assert not states.any()


@EVERY_BUILD
def test_rprop(module, dtype):
    """Sizes grow by 1.2 and are halved; where the sign changed there is no step, or one back."""
    for take_back in (0, 1):
        step = step_of(solver="rprop", learning_rate=0.1, take_back=take_back)
        params, states = np.zeros(3, dtype), np.empty((2, 3), dtype)
        steps = [[1, -1, 0], [2, -3, 1], [-1, -1, -1], [5, 5, 5], [1, 0, 1e30]]
        ends = [[-0.1, 0.1, 0], [-0.22, 0.22, -0.1], [-0.22, 0.364, -0.1]]
        sizes = [[0.1, 0.1, 0.1], [0.12, 0.12, 0.1], [0.06, 0.144, 0.05]]
        if take_back:
            ends[2] = [-0.1, 0.364, 0.0]
        for t, (grads, end, size) in enumerate(zip(steps, ends, sizes, strict=False), 1):
            module.solver_update(params, np.array(grads, dtype), states, step, t)
            np.testing.assert_allclose(params, end, atol=1e-6)
            np.testing.assert_allclose(states[0], size, rtol=1e-6)
    grads = np.array([1, -1, 1e-3], dtype)
    for t in range(1, 200):  # sizes stay within 1e-6 .. 50
        module.solver_update(params, grads * (-1) ** (t // 2 if t > 100 else 0), states, step, t)
        assert (states[0] <= 50).all()
        assert (states[0] >= dtype.type(1e-6)).all()


@EVERY_BUILD
@EVERY_SOLVER
def test_average(module, dtype, solver, rng):
    """Its weight is at least t / (t + 9)'s rest; the parameters are those without one."""
    n, n_states = 21, solvers.BY_NAME[solver].n_states
    params = rng.randn(n).astype(dtype)
    alone, average = params.copy(), params.astype(np.float64)
    states, fewer = np.zeros((n_states + 1, n), dtype), np.zeros((n_states, n), dtype)
    states[-1] = params
    for t in range(1, 30):
        grads = rng.randn(n).astype(dtype)
        module.solver_update(params, grads, states, step_of(solver=solver, ema=0.7), t)
        module.solver_update(alone, grads, fewer, step_of(solver=solver), t)
        np.testing.assert_array_equal(params, alone)
        average += (1 - min(0.7, t / (t + 9))) * (params - average)
    np.testing.assert_allclose(
        states[-1],
        average,
        rtol=1e-5 if dtype == "f4" else 1e-13,
        atol=1e-6 if dtype == "f4" else 1e-14,
    )


@EVERY_BUILD
@pytest.mark.parametrize("epsilon", [0.0, 5e-324, 1e-46, 1e-300])
def test_epsilon_is_at_least_the_smallest_normal_number(module, dtype, epsilon):
    """One that rounds to 0 would make 0 / 0 of a parameter whose gradient is 0."""
    params, grads = np.ones(9, dtype), np.zeros(9, dtype)
    step = step_of(solver="adam", epsilon=epsilon)
    module.solver_update(params, grads, np.zeros((2, 9), dtype), step, 1)
    np.testing.assert_array_equal(params, np.ones(9))
    if epsilon < np.finfo(dtype).tiny:
        other, tiny = params.copy(), step_of(solver="adam", epsilon=float(np.finfo(dtype).tiny))
        grads[:] = np.finfo(dtype).tiny * 2.0 ** np.arange(9)
        module.solver_update(params, grads, np.zeros((2, 9), dtype), step, 1)
        module.solver_update(other, grads, np.zeros((2, 9), dtype), tiny, 1)
        np.testing.assert_array_equal(params, other)


def test_a_step_of_adam_is_rounded_like_its_operations(kernels, dtype, rng):
    """From small moments to large ones; one whose square overflows is tiny."""
    n, real = 4096, np.finfo(dtype)
    grads = np.exp(rng.uniform(-0.4, 0.4, n) * np.log(real.max)).astype(dtype)
    params, states = np.zeros(n, dtype), np.zeros((2, n), dtype)
    step = step_of(solver="adam", learning_rate=0.1, beta_1=0.5, beta_2=0.5, epsilon=1e-8)
    kernels.solver_update(params, grads, states, step, 1)
    m, v = states.astype(np.longdouble)
    rate = np.longdouble(dtype.type(0.1 * np.sqrt(0.5) / 0.5))
    expected = -rate * m / (np.sqrt(v) + np.longdouble(dtype.type(1e-8)))
    # of the product, the root and the sum half a unit each, and 0.55 of the quotient
    assert (np.abs(params - expected) <= 2.1 * real.eps * np.abs(expected)).all()
    params[:], states[:], grads[:] = 1, 1, real.max / 4
    kernels.solver_update(params, grads, states, step, 1)
    assert np.isinf(states[1]).all()
    np.testing.assert_allclose(params, 1, rtol=0, atol=0.02)
