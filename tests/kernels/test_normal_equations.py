"""Normal equations against the oracle, and the oracle against differences."""

import numpy as np
import pytest
from cases import DENSE, EVERY_BUILD, codes_of, loss_numbers, step_of, units_of
from conftest import SIZES

from fastnn import kernels as builds
from fastnn import reference
from fastnn.catalog import losses
from fastnn.parameters import count_params
from fastnn.reference.second_order import jacobian
from fastnn.threads import Team

WITH_CURVATURE = [row for row in losses.LOSSES if row.curvature]
NETS = [
    ((1, 1), ("identity",), "squared_error"),
    ((2, 4, 8, 1), ("sigmoid", "sigmoid", "sigmoid"), "squared_error"),
    ((1, 10, 1), ("tanh", "identity"), "squared_error"),
    ((3, 7, 2), ("silu", "silu"), "squared_error"),
    ((5, 33, 3), ("relu", "softmax"), "squared_error"),
    ((3, 16, 16, 2), ("gelu", "elu", "exp"), "squared_error"),
    *(
        ((4, 9, n), ("tanh", row.out_activation or out), row.name)
        for row in WITH_CURVATURE
        for n, out in ((1, "identity"), (3, "sigmoid"))
        if n > 1 or row.out_activation != "softmax"
    ),
]
EVERY_NET = pytest.mark.parametrize("net", NETS, ids=lambda net: "-".join(map(str, net[0])))


def problem(net, n, *, weighted=False, seed=0):
    """params, units, codes, x, y and the loss's numbers."""
    units, names, loss = net
    rng, row = np.random.RandomState(seed), losses.BY_NAME[loss]
    params = rng.uniform(-0.6, 0.6, count_params(units))
    x, shape = rng.randn(n, units[0]), (n, units[-1])
    if row.rows_sum_to_one:
        y = np.eye(units[-1])[rng.randint(units[-1], size=n)]
    else:
        y = rng.uniform(0.1, 0.9, shape) if row.low == 0 else rng.randn(*shape)
    if weighted:
        y = np.hstack([y, rng.uniform(0, 2, (n, 1))])
    return params, units_of(*units), codes_of(*names), x, y, loss_numbers(loss, units[-1])


def equations_of(module, net, given, *, alpha=0.0, rows=DENSE, dual=False, n_threads=1, team=None):
    _, units, codes, x, y, numbers = given
    size_of = module.dual_equations_size if dual else module.normal_equations_size
    workspace = builds.aligned_empty(size_of(units, len(y), y.shape[1] > units[-1]))
    workspace[:] = 255
    step = step_of(loss=net[2], alpha=alpha, loss_numbers=numbers)
    form = module.DualEquations if dual else module.NormalEquations
    return form(units, codes, step, x, *rows, y, workspace, team, n_threads)


def close(a, b, tolerance):
    """Relative to the largest: sums of many terms of both signs may be near 0."""
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


def of_condition(matrix, mu):
    """The tolerance of a solution: the condition is at most 1 + trace / mu."""
    return 8 * np.finfo(np.float64).eps * (1 + np.trace(matrix) / mu)


# ---- the oracle ---------------------------------------------------------------------------------


@EVERY_NET
def test_jacobian_gives_the_gradient(net):
    """J^T q is the gradient of the summed loss, for every loss and output."""
    params, units, codes, x, y, numbers = given = problem(net, 17, weighted=True)
    equations = equations_of(reference, net, given, alpha=0.3)
    equations.sum(params)
    grads, step = np.empty_like(params), step_of(loss=net[2], alpha=0.3, loss_numbers=numbers)
    reference.loss_and_grad(params, units, codes, step, x, *DENSE, y, None, grads)
    gradient = equations.equations()[1]
    close(gradient, equations.weight * grads, 1e-12)
    assert equations.weight == pytest.approx(y[:, -1].sum())


@EVERY_NET
def test_jacobian_is_that_of_the_outputs(net):
    """For squared errors, by central differences of the outputs; alike for all other losses."""
    net = (*net[:2], "squared_error")
    params, units, codes, x, y, _ = problem(net, 5)
    rows, residuals = jacobian(params, units, codes, losses.CODES[net[2]], x, y)

    def outputs(params):
        out = np.empty((5, units[-1]))
        reference.forward(params, units, codes, x, *DENSE, None, out)
        return out.ravel()

    np.testing.assert_allclose(residuals, outputs(params) - y.ravel(), rtol=1e-13)
    h, atol = 6e-6, 2e-9 * (1 + np.abs(outputs(params)).max())
    for i, direction in enumerate(np.eye(len(params)) * h):
        by_differences = (outputs(params + direction) - outputs(params - direction)) / (2 * h)
        np.testing.assert_allclose(rows[:, i], by_differences, rtol=2e-7, atol=atol)


@pytest.mark.parametrize("loss", ["binary_log_loss", "log_loss", "poisson"])
def test_curvature_is_the_second_derivative_by_logits(loss):
    """A net of one linear layer has it as its Hessian, by differences of the gradient."""
    out = losses.BY_NAME[loss].out_activation
    net = ((2, 3), (out,), loss)
    params, units, codes, x, y, _ = given = problem(net, 11)
    equations = equations_of(reference, net, given)
    equations.sum(params)
    step, h = step_of(loss=loss), 1e-5

    def gradient(params):
        grads = np.empty_like(params)
        reference.loss_and_grad(params, units, codes, step, x, *DENSE, y, None, grads)
        return equations.weight * grads

    hessian = [
        (gradient(params + e) - gradient(params - e)) / (2 * h) for e in np.eye(len(params)) * h
    ]
    np.testing.assert_allclose(equations.equations()[0], hessian, rtol=1e-6, atol=1e-8)


@EVERY_NET
def test_dual_form_is_the_other_one(net):
    """Both forms of the oracle take the same step."""
    for alpha in (0.0, 0.3):
        params, *_ = given = problem(net, 4, weighted=True)
        steps, promises = [], []
        for dual in (False, True):
            equations = equations_of(reference, net, given, alpha=alpha, dual=dual)
            equations.sum(params)
            steps.append(np.empty_like(params))
            promises.append(equations.solve(0.5, steps[-1]))
        close(*steps, 1e-10)
        assert promises[0] == pytest.approx(promises[1], rel=1e-10)


# ---- the kernels --------------------------------------------------------------------------------


@EVERY_NET
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_equations_and_steps(kernels, net, weighted):
    for n in (*SIZES[::2], 300):
        params, *_ = given = problem(net, n, weighted=weighted)
        ours = equations_of(kernels, net, given, alpha=0.1)
        theirs = equations_of(reference, net, given, alpha=0.1)
        for equations in (ours, theirs):
            equations.sum(params)
        if net[0] in ((2, 4, 8, 1), (1, 10, 1)):
            assert not ours.by_pairs
        assert ours.weight == pytest.approx(theirs.weight, rel=1e-14)
        assert ours.scale == pytest.approx(theirs.scale, rel=1e-12)
        scale = np.sqrt(theirs.scale * max(theirs.weight, 1))
        assert ours.steepest == pytest.approx(theirs.steepest, rel=1e-12, abs=1e-12 * scale)
        for a, b in zip(ours.jacobian(params), theirs.jacobian(params), strict=True):
            close(a, b, 1e-12)
        (matrix, gradient), (expected, expected_gradient) = ours.equations(), theirs.equations()
        close(matrix, expected, 1e-12)
        # the gradient's terms may cancel: relative to them
        scale = np.sqrt(np.diag(expected).max() * max(theirs.weight, 1))
        np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-12 * scale)
        step, expected_step = np.empty_like(params), np.empty_like(params)
        mu = 1e-3 * theirs.scale
        promised, expected_promise = ours.solve(mu, step), theirs.solve(mu, expected_step)
        tolerance = of_condition(expected, mu)
        np.testing.assert_allclose(
            step, expected_step, rtol=0, atol=tolerance * max(np.abs(expected_step).max(), scale)
        )
        assert promised == pytest.approx(expected_promise, rel=tolerance, abs=1e-13 * scale)


def test_wide_nets(kernels):
    """Of several blocks of the factorisation, and more parameters than rows; summed by pairs."""
    for units in ((3, 40, 3, 1), (8, 30, 1), (4, 20, 20, 1), (31, 2, 33, 2), (9, 7, 7, 5)):
        net = (units, ("tanh",) * (len(units) - 2) + ("identity",), "squared_error")
        params, *_ = given = problem(net, 60)
        ours, theirs = (equations_of(m, net, given) for m in (kernels, reference))
        for equations in (ours, theirs):
            equations.sum(params)
        assert ours.by_pairs == (units != (3, 40, 3, 1))
        for a, b in zip(ours.equations(), theirs.equations(), strict=True):
            close(a, b, 1e-12)
        step, expected = np.empty_like(params), np.empty_like(params)
        for share in (1e-6, 1.0):
            mu = share * theirs.scale
            tolerance = of_condition(theirs.equations()[0], mu)
            promised = theirs.solve(mu, expected)
            assert ours.solve(mu, step) == pytest.approx(promised, rel=tolerance)
            close(step, expected, tolerance)


@EVERY_NET
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_dual_equations_and_steps(kernels, net, weighted, alpha):
    for n in (*SIZES[::3], 61):
        check_dual(kernels, net, problem(net, n, weighted=weighted), alpha, (1e-3, 1.0))


def check_dual(kernels, net, given, alpha, shares):
    ours, theirs = (
        equations_of(m, net, given, alpha=alpha, dual=True) for m in (kernels, reference)
    )
    params = given[0]
    for equations in (ours, theirs):
        equations.sum(params)
    scale = np.sqrt(theirs.scale * max(theirs.weight, 1))
    assert ours.weight == pytest.approx(theirs.weight, rel=1e-14)
    assert ours.scale == pytest.approx(theirs.scale, rel=1e-12)
    assert ours.steepest == pytest.approx(theirs.steepest, rel=1e-12, abs=1e-12 * scale)
    for a, b in zip(ours.products(), theirs.products(), strict=True):
        close(a, b, 1e-12)
    matrix = sum(theirs.products())
    step, expected = np.empty_like(params), np.empty_like(params)
    for share in shares:
        mu = share * theirs.scale
        tolerance = of_condition(matrix, mu)
        promised, expected_promise = ours.solve(mu, step), theirs.solve(mu, expected)
        most = max(np.abs(expected).max(), scale)
        np.testing.assert_allclose(step, expected, rtol=0, atol=tolerance * most)
        assert promised == pytest.approx(expected_promise, rel=tolerance, abs=1e-13 * scale)


def test_dual_form_with_little_damping_and_much_penalty(kernels):
    """Intercepts, which have no penalty, ask for mu alone."""
    net = ((10, 12, 1), ("tanh", "identity"), "squared_error")
    params, *_ = given = problem(net, 40)
    step, expected = np.empty_like(params), np.empty_like(params)
    dual, normal = (
        equations_of(m, net, given, alpha=1.0, dual=d)
        for m, d in ((kernels, True), (reference, False))
    )
    for equations in (dual, normal):
        equations.sum(params)
    for share, tolerance in ((1e-4, 1e-11), (1e-6, 1e-9), (1e-8, 1e-7)):
        mu = share * dual.scale
        promised = dual.solve(mu, step)
        assert promised == pytest.approx(normal.solve(mu, expected), rel=tolerance)
        close(step, expected, tolerance)


def test_dual_form_of_wide_nets(kernels):
    """Of several blocks of the factorisation, chunks of rows, and wide layers."""
    for units, n in (((3, 40, 3, 1), 300), ((33, 65, 17, 2), 150), ((9, 100, 1), 601)):
        net = (units, ("tanh",) * (len(units) - 2) + ("identity",), "squared_error")
        for alpha in (0.0, 0.01):
            check_dual(kernels, net, problem(net, n), alpha, (1e-6, 1.0))
    net = ((20, 50, 4), ("silu", "softmax"), "log_loss")
    check_dual(kernels, net, problem(net, 90), 0.01, (1e-6, 1.0))


@pytest.mark.parametrize("dual", [False, True], ids=["normal", "dual"])
def test_sparse_rows_are_dense_ones(kernels, rng, dual):
    from scipy.sparse import csr_array

    net = ((9, 5, 1), ("tanh", "identity"), "squared_error")
    params, units, codes, x, y, numbers = problem(net, 40)
    x[rng.rand(*x.shape) < 0.7] = 0
    sparse = csr_array(x)
    rows = sparse.indices.astype(np.int32), sparse.indptr.astype(np.intp)
    both = []
    for given_x, places in ((x, DENSE), (sparse.data[np.newaxis], rows)):
        equations = equations_of(
            kernels, net, (params, units, codes, given_x, y, numbers), rows=places, dual=dual
        )
        equations.sum(params)
        step = np.empty_like(params)
        both.append((equations.solve(0.1, step), step.tobytes()))
    assert both[0] == both[1]


@pytest.mark.parametrize("dual", [False, True], ids=["normal", "dual"])
@pytest.mark.parametrize("units", [(10, 60, 2), (1, 40, 1), (2, 6, 6, 6, 1)], ids=str)
@pytest.mark.parametrize("n_threads", [2, 3, 4])
def test_threads_change_no_bit(kernels, n_threads, units, dual):
    net = (units, (*("tanh",) * (len(units) - 2), "identity"), "squared_error")
    params, *_ = given = problem(net, 350 if dual else 700)
    results = []
    for count in (1, n_threads):
        with Team(kernels, count) as team:
            equations = equations_of(
                kernels, net, given, n_threads=count, team=team.memory, dual=dual
            )
            equations.sum(params)
            step = np.empty_like(params)
            promised = equations.solve(1e-3 * equations.scale, step)
            matrices = equations.products() if dual else equations.equations()
        results.append((promised, step.tobytes(), *(a.tobytes() for a in matrices)))
    assert results[0] == results[1]


def test_penalty_and_inverse(kernels):
    for net in (NETS[1], NETS[2], ((8, 12, 1), ("tanh", "identity"), "squared_error")):
        params, *_ = given = problem(net, 300)
        strengths = np.random.RandomState(0).rand(len(params))
        both, found = [], []
        for module in (kernels, reference):
            equations = equations_of(module, net, given)
            equations.sum(params)
            equations.penalise(params, strengths)
            both.append(equations.equations())
            out = np.empty((len(params), len(params)))
            found.append((equations.inverse(0.01, out), out))
            assert equations.inverse(-1e6, out.copy()) is None
        for a, b in zip(*both, strict=True):
            close(a, b, 1e-12)
        tolerance = of_condition(both[1][0], 0.01)
        assert found[0][0] == pytest.approx(found[1][0], rel=1e-9)
        close(found[0][1], found[1][1], tolerance)
        np.testing.assert_array_equal(found[0][1], found[0][1].T)


@EVERY_BUILD
@pytest.mark.parametrize("dual", [False, True], ids=["normal", "dual"])
def test_singular_equations_have_no_solution(module, dual):
    """More parameters than rows; damped they have one."""
    net = ((2, 3, 1), ("tanh", "identity"), "squared_error")
    params, *_ = given = problem(net, 2)
    equations = equations_of(module, net, given, dual=dual)
    equations.sum(params)
    step = np.full_like(params, 7)
    assert equations.solve(-equations.scale, step) is None
    penalised = equations_of(module, net, given, dual=dual, alpha=1.0)
    penalised.sum(params)
    assert penalised.solve(-0.5, step) is None  # alpha outweighs it
    assert (step == 7).all()
    assert equations.solve(1e-3 * equations.scale, step) > 0


@EVERY_BUILD
def test_losses_without_curvature_are_refused(module):
    for row in losses.LOSSES:
        net = ((2, 3, 1), ("tanh", row.out_activation or "identity"), row.name)
        if row.curvature or row.out_activation == "softmax":
            continue
        for dual in (False, True):
            with pytest.raises(ValueError, match="no curvature"):
                equations_of(module, net, problem(net, 5), dual=dual)
    assert {row.name for row in losses.LOSSES if not row.curvature} == {
        "absolute_error", "quantile", "given",
    }  # fmt: skip


@pytest.mark.parametrize("dual", [False, True], ids=["normal", "dual"])
def test_lengths_are_compared(kernels, dual):
    net = ((3, 5, 2), ("tanh", "identity"), "squared_error")
    params, units, codes, x, y, _ = problem(net, 7)
    size_of = kernels.dual_equations_size if dual else kernels.normal_equations_size
    size = size_of(units, 7, False)

    def new(**changed):
        given = {
            "layer_units": units, "activations": codes, "step": step_of(loss=0), "x": x,
            "columns": DENSE[0], "row_starts": DENSE[1], "y": y,
            "workspace": builds.aligned_empty(size),
        } | changed  # fmt: skip
        form = kernels.DualEquations if dual else kernels.NormalEquations
        return form(*given.values())

    for changed in (
        {"x": x[:6].copy()}, {"x": x[:, :2].copy()}, {"y": y[:, :1].copy()},
        {"y": np.zeros((7, 4))}, {"activations": codes[:1].copy()},
        {"step": step_of()[:40].copy()},
        {"workspace": builds.aligned_empty(size - 8)}, {"y": y[:0].copy()},
        {"x": x.astype(np.float32)}, {"y": y[::-1]}, {"layer_units": units.astype(np.int32)},
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            new(**changed)
    equations = new()
    for wrong in (params[1:].copy(), params.astype(np.float32), np.zeros((1, len(params)))):
        with pytest.raises((ValueError, TypeError)):
            equations.sum(wrong)
        with pytest.raises((ValueError, TypeError)):
            equations.solve(1.0, wrong)
