"""Single steps of every solver against the oracle."""

import numpy as np
import pytest
from cases import EVERY_BUILD, step_of
from conftest import SIZES

from fastnn import reference
from fastnn.catalog import solvers

EVERY_SOLVER = pytest.mark.parametrize("solver", [row.name for row in solvers.SOLVERS])


def states_of(solver, n, dtype):
    return np.empty((solvers.BY_NAME[solver].n_states, n), dtype)


@EVERY_SOLVER
def test_solver_update(kernels, dtype, solver, rng):
    step = step_of(solver=solver, learning_rate=0.1, momentum=0.9)
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
    }
    names = {"learning_rate_init": "learning_rate"}
    read = {names.get(p, p) for p in solvers.BY_NAME[solver].parameters} | {"learning_rate"}
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
    module.solver_update(params, grads, states, step_of(solver=solver, momentum=0.9), 1)
    assert not states.any()


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
