"""Every compiled build against the oracle, function by function."""

import inspect
import itertools

import numpy as np
import pytest
from conftest import COMPILED, SIZES

from fastnn import kernels as builds
from fastnn import reference
from fastnn.kernels import ACTIVATIONS, LOSSES, SOLVERS
from fastnn.network import NO_COLUMNS, NO_ROW_STARTS, SparseRows, aligned_zeros, new_workspace
from fastnn.threads import Team

HIDDEN = ["identity", "sigmoid", "tanh", "relu"]
FUNCTIONS = ["exp", "sigmoid", "tanh"]
DENSE = (NO_COLUMNS, NO_ROW_STARTS)


def units_of(*units):
    return np.array(units, np.intp)


def codes_of(*names):
    return np.array([ACTIVATIONS[name] for name in names], np.int32)


def ulps(got, exact, dtype):
    """Distance in units of the last place of the exact value's own type."""
    exact = np.asarray(exact)
    unit = np.spacing(np.abs(exact).astype(dtype)).astype(exact.dtype)
    return np.abs(got.astype(exact.dtype) - exact) / unit


# ---- the contract -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPILED)
def test_names_and_signatures_are_the_references(name):
    module = builds.load(name)
    functions = {n for n, f in vars(module).items() if callable(f) and not n.startswith("_")}
    assert len(functions) >= 20
    for function in functions:
        got = list(inspect.signature(getattr(module, function)).parameters)
        assert got == list(inspect.signature(getattr(reference, function)).parameters), function
        assert getattr(module, function).__doc__, function


def test_stub_file_has_the_kernels_signatures():
    import ast
    from pathlib import Path

    stub = ast.parse((Path(builds.__file__).parent / "_kernels.pyi").read_text())
    functions = {f.name: [a.arg for a in f.args.args] for f in stub.body
                 if isinstance(f, ast.FunctionDef)}  # fmt: skip
    assert len(functions) >= 20
    for name, parameters in functions.items():
        assert parameters == list(inspect.signature(getattr(reference, name)).parameters), name


def test_at_least_one_build_runs():
    assert "baseline" in COMPILED


def test_peak_counts_what_it_does(kernels, dtype):
    sink = np.zeros(1, dtype)
    n = kernels.peak_multiply_adds(1000, sink)
    lanes = kernels.build_info()[f"lanes_f{8 * dtype.itemsize}"]
    assert n == 12 * 1000 * lanes
    # 66 is the sum of the chains' starts; each decays to 1, where x = .999 x + .001
    np.testing.assert_allclose(sink[0], 12 + (66 - 12) * 0.999**1000, rtol=1e-3)


# ---- elementwise --------------------------------------------------------------------------------


def exact(function, x):
    """In the next wider type, if the machine has one that is wider."""
    wide = np.longdouble if x.dtype == np.float64 else np.float64
    if np.finfo(wide).eps > np.finfo(x.dtype).eps / 100:
        pytest.skip("needs a long double wider than double")
    x = x.astype(wide)
    with np.errstate(all="ignore"):
        if function == "sigmoid":
            return 1 / (1 + np.exp(-x))
        return getattr(np, function)(x)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_within_4_ulp(kernels, dtype, function, rng):
    big = np.log(float(np.finfo(dtype).max))
    x = np.concatenate([
        rng.uniform(-big, big, 40000),
        rng.uniform(-1, 1, 40000),
        rng.choice([-1, 1], 40000) * 2.0 ** rng.uniform(-60, 3, 40000),
        np.arange(-80, 80) * np.log(2),
        (np.arange(-80, 80) + 0.5) * np.log(2),
        [0.0, -0.0],
    ]).astype(dtype)  # fmt: skip
    out = np.empty_like(x)
    getattr(kernels, function)(x, out)
    want = exact(function, x)
    tiny = np.finfo(dtype).tiny
    normal = (np.abs(want) >= tiny) & (np.abs(want) <= np.finfo(dtype).max)
    assert normal.mean() > 0.9 or function == "tanh"
    assert ulps(out[normal], want[normal], dtype).max() <= 4
    # below the smallest normal number: at most that far off
    assert (np.abs(out[~normal] - want[~normal].astype(dtype)) <= tiny).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_at_the_edges_of_the_range(kernels, dtype, function):
    """Every one of the numbers around the bounds of exp, where an exponent could overflow."""
    info = np.finfo(dtype)
    edges = [np.log(float(info.max)), np.log(float(info.tiny)), 0.0]
    x = np.concatenate([e + np.arange(-40, 41) * np.spacing(dtype.type(e)) for e in edges])
    x = np.concatenate([x, -x]).astype(dtype)
    out = np.empty_like(x)
    getattr(kernels, function)(x, out)
    want = exact(function, x)
    inside = (np.abs(want) >= info.tiny) & (np.abs(want) <= info.max)
    assert ulps(out[inside], want[inside], dtype).max() <= 4
    assert (out[np.abs(want) > info.max] == np.inf).all()
    assert (np.abs(out[np.abs(want) < info.tiny]) <= info.tiny).all()


def test_extremes(kernels, dtype):
    big = float(np.finfo(dtype).max)
    x = np.array([-np.inf, -big, -1e4, -0.0, 0.0, 1e4, big, np.inf, np.nan], dtype)
    out = np.empty_like(x)
    want = {
        "exp": [0, 0, 0, 1, 1, np.inf, np.inf, np.inf, np.nan],
        "sigmoid": [0, 0, 0, 0.5, 0.5, 1, 1, 1, np.nan],
        "tanh": [-1, -1, -1, -0.0, 0.0, 1, 1, 1, np.nan],
        "relu": [0, 0, 0, 0, 0, dtype.type(1e4), big, np.inf, np.nan],
    }
    for function, values in want.items():
        getattr(kernels, function)(x, out)
        np.testing.assert_array_equal(out, np.array(values, dtype), err_msg=function)
    kernels.tanh(x, out)
    assert np.signbit(out[:5]).tolist() == [True, True, True, True, False]


@pytest.mark.parametrize("function", [*FUNCTIONS, "relu"])
def test_a_value_does_not_depend_on_its_position(kernels, dtype, function, rng):
    x = (rng.randn(97) * 5).astype(dtype)
    whole = np.empty_like(x)
    getattr(kernels, function)(x, whole)
    for n in SIZES:
        for start in (0, 1, 3):
            piece = x[start : start + n]
            out = np.empty_like(piece)
            getattr(kernels, function)(piece, out)
            np.testing.assert_array_equal(out, whole[start : start + n])


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "relu"])
def test_derivatives(kernels, dtype, function, rng):
    a = rng.uniform(-1, 1, 97).astype(dtype)
    a[:3] = 0, 1, -1
    got, want = np.empty_like(a), np.empty_like(a)
    getattr(kernels, f"{function}_derivative")(a, got)
    getattr(reference, f"{function}_derivative")(a, want)
    np.testing.assert_allclose(got, want, rtol=0, atol=np.finfo(dtype).eps)


@pytest.mark.parametrize("n", [0, *SIZES, 1000])
def test_shuffle_is_numpys(kernels, n):
    """The same permutations, and the same random numbers left."""
    ours, numpys = np.random.RandomState(n), np.random.RandomState(n)
    got, want = np.arange(n), np.arange(n)
    for _ in range(5):
        kernels.shuffle(ours._bit_generator, got)
        numpys.shuffle(want)
        np.testing.assert_array_equal(got, want)
    assert ours.randint(1 << 30) == numpys.randint(1 << 30)


@pytest.mark.parametrize("n", SIZES)
def test_all_finite(kernels, dtype, n):
    x = np.full(n, np.finfo(dtype).max, dtype)
    assert kernels.all_finite(x) is True
    for bad in (np.nan, np.inf, -np.inf):
        for i in {0, n // 2, n - 1}:
            y = x.copy()
            y[i] = bad
            assert kernels.all_finite(y) is False
    assert kernels.all_finite(x[:0]) is True


# ---- layers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [*HIDDEN, "softmax", "exp"])
def test_dense_forward(kernels, dtype, activation, rng):
    eps = np.finfo(dtype).eps
    shapes = [(n, 3, 5) for n in SIZES] + [(17, k, 4) for k in SIZES] + [(17, 3, n) for n in SIZES]
    for n, fan_in, fan_out in [*shapes, (300, 97, 65), (1000, 2, 1)]:
        x = rng.randn(n, fan_in).astype(dtype)
        coef = rng.randn(fan_in, fan_out).astype(dtype)
        intercept = rng.randn(fan_out).astype(dtype)
        x.flags.writeable = False
        got, want = np.full((n, fan_out), np.nan, dtype), np.empty((n, fan_out), dtype)
        workspace = new_workspace(kernels, units_of(fan_in, fan_out), n, dtype)
        kernels.dense_forward(x, coef, intercept, ACTIVATIONS[activation], workspace, got)
        reference.dense_forward(x, coef, intercept, ACTIVATIONS[activation], None, want)
        # the sum is off by (length) eps of its absolute sum; no activation makes that larger, but
        # softmax adds it over the row and exp multiplies it
        bound = (fan_in + 2) * eps * (np.abs(x) @ np.abs(coef) + np.abs(intercept)) + 8 * eps
        if activation == "softmax":
            bound = 2 * bound.max(axis=1, keepdims=True) + 2 * fan_out * eps
        if activation == "exp":
            bound = want * (2 * bound + 8 * eps)
        assert (np.abs(got - want) <= bound).all(), (n, fan_in, fan_out)


@pytest.mark.parametrize("activation", HIDDEN)
def test_propagate_delta(kernels, dtype, activation, rng):
    eps = np.finfo(dtype).eps
    shapes = [(n, 3, 5) for n in SIZES] + [(17, k, 4) for k in SIZES] + [(17, 3, n) for n in SIZES]
    for n, fan_in, fan_out in [*shapes, (300, 65, 97)]:
        delta = rng.randn(n, fan_out).astype(dtype)
        coef = rng.randn(fan_in, fan_out).astype(dtype)
        a = rng.uniform(-1, 1, (n, fan_in)).astype(dtype)
        got, want = np.full((n, fan_in), np.nan, dtype), np.empty((n, fan_in), dtype)
        workspace = new_workspace(kernels, units_of(fan_in, fan_out), n, dtype)
        kernels.propagate_delta(delta, coef, a, ACTIVATIONS[activation], workspace, got)
        reference.propagate_delta(delta, coef, a, ACTIVATIONS[activation], None, want)
        bound = (fan_out + 4) * eps * (np.abs(delta) @ np.abs(coef).T)
        assert (np.abs(got - want) <= 2 * bound).all(), (n, fan_in, fan_out)


def test_softmax(kernels, dtype, rng):
    for n in SIZES:
        for n_outputs in (1, 2, 3, 10, 33):
            z = (rng.randn(n, n_outputs) * 20).astype(dtype)
            z[0, 0] = 1e4
            got, want = np.empty_like(z), np.empty_like(z)
            workspace = new_workspace(kernels, units_of(n_outputs, n_outputs), n, dtype)
            kernels.softmax(z, workspace, got)
            reference.softmax(z, None, want)
            rtol = (n_outputs + 8) * np.finfo(dtype).eps
            np.testing.assert_allclose(got, want, rtol=rtol, atol=np.finfo(dtype).tiny)


def test_a_sample_does_not_depend_on_its_position(kernels, dtype, rng):
    units, codes = units_of(5, 33, 7, 2), codes_of("sigmoid", "tanh", "softmax")
    params = rng.randn(reference.packed_size(units, 8)).astype(dtype)
    x = rng.randn(97, 5).astype(dtype)

    def forward(rows):
        out = np.empty((len(rows), 2), dtype)
        workspace = new_workspace(kernels, units, len(rows), dtype)
        kernels.forward(params, units, codes, np.ascontiguousarray(rows), *DENSE, workspace, out)
        return out

    whole = forward(x)
    for n in SIZES:
        np.testing.assert_array_equal(forward(x[97 - n :]), whole[97 - n :])


# widths around whole vectors and panels; wide enough for coefs that take several goes; one that
# packing would take out of the caches, and one without a hidden layer
FEW_NETS = [
    ((5, 33, 7, 2), ("sigmoid", "tanh", "softmax")),
    ((1, 1, 64), ("tanh", "identity")),
    ((65, 16, 17, 31, 8), ("relu", "identity", "tanh", "exp")),
    ((200, 63, 65, 1), ("relu", "relu", "sigmoid")),
    ((130, 97, 15), ("tanh", "softmax")),
    ((520, 530, 3), ("relu", "softmax")),
    ((40, 5), ("softmax",)),
]


@pytest.mark.parametrize("net", range(len(FEW_NETS)))
def test_few_rows_have_the_bits_of_many(kernels, dtype, net, rng):
    """Few rows go without packing, in blocks; what is next to the arrays is left alone."""
    units, codes = units_of(*FEW_NETS[net][0]), codes_of(*FEW_NETS[net][1])
    n_params = sum((k + 1) * n for k, n in itertools.pairwise(units))
    # not aligned, and the end of what may be read
    params = np.empty(n_params + 1, dtype)[1:]
    params[:] = rng.uniform(-1, 1, n_params) / 4
    x = rng.randn(97, units[0]).astype(dtype)
    packed = np.zeros(kernels.packed_size(units, dtype.itemsize), dtype)
    workspace = new_workspace(kernels, units, 97, dtype)
    kernels.pack(params, units, codes, workspace, packed)
    for width in (units[-1], units[1:].sum()):
        whole = np.empty((97, width), dtype)
        kernels.forward(packed, units, codes, x, *DENSE, workspace, whole, True)
        for n in [*range(1, 41), 47, 48, 49]:
            own = new_workspace(kernels, units, n, dtype)
            own[:] = 255
            out = np.full((n + 2, width), 7, dtype)
            kernels.forward(params, units, codes, x[97 - n :], *DENSE, own, out[1:-1])
            np.testing.assert_array_equal(out[1:-1], whole[97 - n :])
            assert (out[[0, -1]] == 7).all()


@pytest.mark.parametrize("kind", ["rising", "half", "any"])
@pytest.mark.parametrize("net", range(len(FEW_NETS)))
def test_plain_and_packed_coefs_give_sparse_rows_the_same_bits(kernels, dtype, net, kind, rng):
    units, codes = units_of(*FEW_NETS[net][0]), codes_of(*FEW_NETS[net][1])
    n_params = sum((k + 1) * n for k, n in itertools.pairwise(units))
    params = (rng.uniform(-1, 1, n_params) / 4).astype(dtype)
    packed = np.zeros(kernels.packed_size(units, dtype.itemsize), dtype)
    kernels.pack(params, units, codes, new_workspace(kernels, units, 1, dtype), packed)
    for n in [*range(1, 18), 33, 40, 48, 49, 97, 300]:
        sparse, dense = sparse_rows(rng, n, units[0], dtype, kind)
        workspace = new_workspace(kernels, units, n, dtype)
        for width in (units[-1], units[1:].sum()):
            out, want = np.empty((n, width), dtype), np.empty((n, width), dtype)
            kernels.forward(packed, units, codes, dense, *DENSE, workspace, want, True)
            for rows in (sparse, (dense, *DENSE)):
                workspace[:] = 255
                kernels.forward(params, units, codes, *rows, workspace, out)
                np.testing.assert_array_equal(out, want)


def test_pack_and_unpack(kernels, dtype, rng):
    for units in [(1, 1), (2, 4, 8, 1), (3, 16, 17), (5, 33, 97, 8)]:
        units, codes = units_of(*units), codes_of(*["relu"] * (len(units) - 1))
        params = rng.randn(reference.packed_size(units, 8)).astype(dtype)
        packed = aligned_zeros(kernels.packed_size(units, dtype.itemsize), dtype)
        workspace = new_workspace(kernels, units, 1, dtype)
        kernels.pack(params, units, codes, workspace, packed)
        assert np.count_nonzero(packed) == len(params)
        back = np.empty_like(params)
        kernels.unpack(packed, units, codes, workspace, back)
        np.testing.assert_array_equal(back, params)


# ---- networks -----------------------------------------------------------------------------------

NETS = [
    ((1, 1), ("identity",), "squared_error"),
    ((2, 4, 8, 1), ("sigmoid", "sigmoid", "sigmoid"), "squared_error"),
    ((3, 7, 5), ("tanh", "relu"), "squared_error"),
    ((4, 33, 2), ("relu", "softmax"), "squared_error"),
    ((5, 17, 3), ("tanh", "softmax"), "log_loss"),
    ((2, 65, 16, 1), ("relu", "tanh", "sigmoid"), "binary_log_loss"),
    ((97, 64, 31, 4), ("relu", "identity", "sigmoid"), "binary_log_loss"),
    ((2, 4, 8, 16, 8, 4, 1), ("sigmoid",) * 6, "squared_error"),
    ((3, 17, 1), ("tanh", "exp"), "poisson"),
    ((7, 33, 5), ("relu", "exp"), "poisson"),
    ((4, 9, 3), ("tanh", "exp"), "squared_error"),
    ((4, 33, 3), ("relu", "identity"), "mean_squared_error"),
]


def problem(rng, dtype, units, n, loss):
    params = rng.uniform(-1, 1, reference.packed_size(units, 8)) / np.sqrt(units[0])
    x = rng.randn(n, units[0]).astype(dtype)
    if loss == "log_loss":
        y = np.eye(units[-1])[rng.randint(units[-1], size=n)].astype(dtype)
    elif loss == "poisson":
        # zeros among them; not 1, which the outputs are near: a delta would be all cancellation
        y = (1.3 * rng.poisson(1.5, (n, units[-1]))).astype(dtype)
    else:
        y = rng.rand(n, units[-1]).astype(dtype)
    return params.astype(dtype), x, y


def assert_close(got, want, dtype, length, floor=1e-3):
    """Equal but for the rounding of sums of `length` terms, relative to the largest."""
    tolerance = 1e-12 if dtype == np.float64 else 4 * np.sqrt(length) * np.finfo(dtype).eps
    scale = max(np.abs(want).max(), floor)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("n", [1, 7, 33, 500])
@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net[0]}-{net[2]}")
def test_forward_loss_and_grad(kernels, dtype, net, n, rng):
    units, codes, loss = units_of(*net[0]), codes_of(*net[1]), LOSSES[net[2]]
    params, x, y = problem(rng, dtype, units, n, net[2])
    workspace = new_workspace(kernels, units, n, dtype)
    every, want = (np.empty((n, units[1:].sum()), dtype) for _ in range(2))
    kernels.forward(params, units, codes, x, *DENSE, workspace, every)
    reference.forward(params, units, codes, x, *DENSE, None, want)
    assert_close(every, want, dtype, units.max())
    last = np.empty((n, units[-1]), dtype)
    kernels.forward(params, units, codes, x, *DENSE, workspace, last)
    np.testing.assert_array_equal(last, every[:, -units[-1] :])
    packed = aligned_zeros(kernels.packed_size(units, dtype.itemsize), dtype)
    kernels.pack(params, units, codes, workspace, packed)
    kernels.forward(packed, units, codes, x, *DENSE, workspace, last, True)
    np.testing.assert_array_equal(last, every[:, -units[-1] :])
    for alpha in (0.0, 0.5):
        got, grads = np.empty_like(params), np.empty_like(params)
        value = kernels.loss_and_grad(
            params, units, codes, loss, alpha, x, *DENSE, y, workspace, got
        )
        want = reference.loss_and_grad(
            params, units, codes, loss, alpha, x, *DENSE, y, None, grads
        )
        for module in (kernels, reference):
            alone = module.loss_and_grad(
                params, units, codes, loss, alpha, x, *DENSE, y, workspace, np.empty(0, dtype)
            )
            assert alone == (value if module is kernels else want)
        # activations are of order 1, and a loss may be a small difference of theirs
        assert_close(np.array([value]), np.array([want]), dtype, n * units.max(), floor=0.1)
        assert_close(got, grads, dtype, n * units.max())


def test_poisson_where_exp_leaves_the_range(kernels, dtype):
    """0 log 0 is 0; a rate of 0 for what happened, or an infinite one, is a loss not finite."""
    units, codes, loss = units_of(1, 1), codes_of("exp"), LOSSES["poisson"]
    cases = [(-1e4, 0, 0), (-1e4, 2, np.inf), (1e4, 0, np.inf), (1e4, 2, np.nan), (0, 1, 0)]
    for module in (kernels, reference):
        workspace = new_workspace(module, units, 1, dtype)
        for z, y, want in cases:
            got = module.loss_and_grad(
                np.array([1, 0], dtype), units, codes, loss, 0.0, np.array([[z]], dtype),
                *DENSE, np.array([[y]], dtype), workspace, np.empty(2, dtype),
            )  # fmt: skip
            np.testing.assert_equal(got, want)


def test_mean_squared_error_differs_from_squared_error_in_what_it_reports(kernels, dtype, rng):
    units, codes = units_of(4, 33, 3), codes_of("relu", "tanh")
    params, x, y = problem(rng, dtype, units, 67, "squared_error")
    workspace, values, grads = new_workspace(kernels, units, 67, dtype), [], []
    for loss in ("squared_error", "mean_squared_error"):
        grads.append(np.empty_like(params))
        values.append(
            kernels.loss_and_grad(
                params, units, codes, LOSSES[loss], 0.0, x, *DENSE, y, workspace, grads[-1]
            )
        )
    np.testing.assert_allclose(values[1], values[0] / 3, rtol=1e-15)
    np.testing.assert_array_equal(grads[0], grads[1])


def with_weights(rng, y):
    """y with a column of weights: some zero, some negative, and adding up to more than 0."""
    weights = rng.exponential(size=(len(y), 1)) * rng.choice([0, 1, 1, 1, -0.1], (len(y), 1))
    weights[: len(y) // 2 + 1] += 1
    return np.hstack([y, weights.astype(y.dtype)])


@pytest.mark.parametrize("n", [1, 7, 33, 500])
@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net[0]}-{net[2]}")
def test_weighted_loss_and_grad(kernels, dtype, net, n, rng):
    units, codes, loss = units_of(*net[0]), codes_of(*net[1]), LOSSES[net[2]]
    params, x, y = problem(rng, dtype, units, n, net[2])
    y = with_weights(rng, y)
    workspace = new_workspace(kernels, units, n, dtype, weighted=True)
    workspace[:] = 255
    for alpha in (0.0, 0.5):
        got, grads = np.empty_like(params), np.empty_like(params)
        value = kernels.loss_and_grad(
            params, units, codes, loss, alpha, x, *DENSE, y, workspace, got
        )
        want = reference.loss_and_grad(
            params, units, codes, loss, alpha, x, *DENSE, y, None, grads
        )
        assert_close(np.array([value]), np.array([want]), dtype, n * units.max(), floor=0.1)
        assert_close(got, grads, dtype, n * units.max())


def test_without_weight_the_mean_is_not_a_number(kernels, dtype, rng):
    units, codes = units_of(3, 5, 2), codes_of("tanh", "identity")
    params, x, y = problem(rng, dtype, units, 7, "squared_error")
    y = np.hstack([y, np.zeros((7, 1), dtype)])
    for module in (kernels, reference):
        grads = np.empty_like(params)
        workspace = new_workspace(module, units, 7, dtype, weighted=True)
        assert np.isnan(
            module.loss_and_grad(params, units, codes, 0, 0.0, x, *DENSE, y, workspace, grads)
        )
        assert np.isnan(grads).all()


def run(module, dtype, net, params, x, y, solver, batch_size, order, n_epochs, **options):
    units, codes, loss = units_of(*net[0]), codes_of(*net[1]), LOSSES[net[2]]
    n_states = {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2}[solver]
    code = SOLVERS[{"momentum": "sgd"}.get(solver, solver)]
    momentum = {"sgd": 0.0, "adam": 0.9}.get(solver, 0.7)
    n_packed = module.packed_size(units, dtype.itemsize)
    packed = aligned_zeros((1 + n_states) * n_packed, dtype).reshape(1 + n_states, n_packed)
    n_threads, weighted = options.get("n_threads", 1), y.shape[1] > units[-1]
    workspace = new_workspace(module, units, batch_size, dtype, n_states, n_threads, weighted)
    workspace[:] = 255  # NaN: what is read must have been written
    params, cursor = params.copy(), np.zeros(6, np.intp)
    rows = x if isinstance(x, SparseRows) else (x, *DENSE)
    curve, output = np.zeros(n_epochs), np.full((len(y), units[-1]), np.nan, dtype)
    calls, arrays = 0, (params, packed, units, codes, rows[0], y, order, workspace, cursor, curve)
    if options.get("views"):
        arrays = module.typed_views(*arrays)
    taken, packed, units, codes, row_array, y, order, workspace, places, losses = arrays
    with Team(module, n_threads) as team:
        for stop in [*options.get("pauses", ()), n_epochs]:
            cursor[3], cursor[5] = builds.START, stop
            while cursor[3] < builds.FINISHED:
                module.train_epoch(
                    taken, packed, units, codes, loss, code,
                    options.get("learning_rate", 0.01), momentum, 0.999, 1e-8,
                    options.get("alpha", 0.0), options.get("sum_coef_grads", False),
                    options.get("keep_going", False), row_array, *rows[1:], y, order, batch_size,
                    options.get("budget", 1e9), workspace, team.memory, team.n_threads, places,
                    losses, output,
                )  # fmt: skip
                calls += 1
            if cursor[3] != builds.FINISHED:
                break
    return params, curve, output, cursor[:4], calls


@pytest.mark.parametrize("solver", ["sgd", "momentum", "nesterov", "adam"])
@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net[0]}-{net[2]}")
def test_train_epoch(kernels, dtype, net, solver, rng):
    for n, batch_size in [(33, 33), (500, 500), (67, 16), (5, 1)]:
        shuffled = batch_size < n
        params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
        order = rng.permutation(n).astype(np.intp) if shuffled else np.empty(0, np.intp)
        for options in ({}, {"alpha": 0.1}, {"sum_coef_grads": True, "learning_rate": 0.001}):
            args = (dtype, net, params, x, y, solver, batch_size, order, 1)
            got, want = run(kernels, *args, **options), run(reference, *args, **options)
            steps = -(-n // batch_size)
            length = steps * n * max(net[0])
            if solver == "adam":
                # m / sqrt(v) of a gradient that is nearly zero is noise of the order of the step
                rate = options.get("learning_rate", 0.01)
                sure = np.abs(got[0] - params) > 0.5 * rate
                assert sure.mean() > 0.25
                assert_close(got[0][sure], want[0][sure], dtype, 100 * length)
                assert np.abs(got[0] - want[0]).max() <= 2 * rate * steps
            else:
                assert_close(got[0], want[0], dtype, length)
                assert_close(got[2], want[2], dtype, length)
            assert np.abs(got[0] - params).max() > 0
            assert_close(got[1], want[1], dtype, length, floor=0.1)
            assert got[3].tolist() == want[3].tolist() == [1, 0, steps, builds.FINISHED]


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net[0]}-{net[2]}")
def test_train_epoch_with_weights(kernels, dtype, net, solver, rng):
    for n, batch_size in [(33, 33), (500, 500), (67, 16), (5, 1)]:
        params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
        y = with_weights(rng, y)
        y[:, -1] += (batch_size == 1) * (y[:, -1] == 0)
        order = rng.permutation(n).astype(np.intp) if batch_size < n else np.empty(0, np.intp)
        for options in ({"alpha": 0.1}, {"sum_coef_grads": True, "learning_rate": 0.001}):
            args = (dtype, net, params, x, y, solver, batch_size, order, 1)
            got, want = run(kernels, *args, **options), run(reference, *args, **options)
            steps = -(-n // batch_size)
            length = steps * n * max(net[0])
            if solver == "adam":
                rate = options.get("learning_rate", 0.01)
                assert np.abs(got[0] - want[0]).max() <= 2 * rate * steps
            else:
                assert_close(got[0], want[0], dtype, length)
                assert_close(got[2], want[2], dtype, length)
            assert np.abs(got[0] - params).max() > 0
            assert_close(got[1], want[1], dtype, length, floor=0.1)
            assert got[3].tolist() == want[3].tolist() == [1, 0, steps, builds.FINISHED]


# one chunk, several, cached, mini-batches with a rest, slices: (net, n, batch_size)
WAYS = [
    (NETS[1], 33, 33),
    (NETS[6], 900, 900),
    (NETS[5], 300, 128),
    (((3, 7, 2), ("tanh", "softmax"), "log_loss"), 20_000, 20_000),
    (((3, 7, 2), ("tanh", "exp"), "poisson"), 25_000, 10_000),
    (((3, 7, 2), ("tanh", "softmax"), "squared_error"), 67, 16),
]


@pytest.mark.parametrize("way", range(len(WAYS)))
def test_weights_of_1_are_no_weights(kernels, dtype, way, rng):
    """And rows of weight 0 change nothing, wherever they stand."""
    net, n, batch_size = WAYS[way]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    weighted = np.hstack([y, np.ones((n, 1), dtype)])
    args = (dtype, net, params, x)
    rest = ("adam", batch_size, np.empty(0, np.intp), 2)
    plain = run(kernels, *args, y, *rest, alpha=0.1)
    got = run(kernels, *args, weighted, *rest, alpha=0.1)
    np.testing.assert_array_equal(got[0], plain[0])
    np.testing.assert_array_equal(got[2], plain[2])
    np.testing.assert_allclose(got[1], plain[1], rtol=n * np.finfo(dtype).eps)

    absent = rng.rand(n) < 0.4
    absent[0] = False
    weighted[absent, -1] = 0
    got = run(kernels, *args, weighted, *rest, alpha=0.1)
    x[absent], weighted[absent, :-1] = 5, 0.25
    other = run(kernels, *args, weighted, *rest, alpha=0.1)
    np.testing.assert_array_equal(got[0], other[0])
    np.testing.assert_array_equal(got[1], other[1])


@pytest.mark.parametrize("way", range(len(WAYS)))
def test_weighted_training_is_the_same_in_pieces_and_by_threads(kernels, dtype, way, rng):
    net, n, batch_size = WAYS[way]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    y = with_weights(rng, y)
    order = rng.permutation(n) if batch_size < n else np.empty(0, np.intp)
    args = (kernels, dtype, net, params, x, y, "nesterov", batch_size, order, 3)
    one = run(*args, alpha=0.1)
    for options in ({"n_threads": 2}, {"n_threads": 3}, {"n_threads": 2, "budget": 1.0}):
        got = run(*args, alpha=0.1, **options)
        for a, b in zip(one[:4], got[:4], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("budget", [1e9, 1.0])
def test_a_batch_without_weight_ends_training_before_its_step(kernels, dtype, budget, rng):
    net = ((3, 9, 2), ("tanh", "identity"), "squared_error")
    params, x, y = problem(rng, dtype, units_of(*net[0]), 40, net[2])
    y = np.hstack([y, np.ones((40, 1), dtype)])
    y[16:24, -1] = [2, 1, 1, 0, 0, -1, -1, -2]
    args = (dtype, net, params, x, y, "adam", 8)
    as_they_lie = np.empty(0, np.intp)
    for module in (kernels, reference):
        got = run(module, *args, as_they_lie, 3, budget=budget)
        assert got[3].tolist() == [0, 0, 2, builds.WEIGHTLESS]
        before = run(module, dtype, net, params, x[:16], y[:16], "adam", 8, as_they_lie, 1)
        np.testing.assert_array_equal(got[0], before[0])
    # all rows weigh nothing: not even a first step
    y[:, -1] = 0
    for batch_size in (8, 40):
        args = (dtype, net, params, x, y, "adam", batch_size, as_they_lie, 3)
        got = run(kernels, *args, budget=budget)
        assert got[3].tolist() == [0, 0, 0, builds.WEIGHTLESS]
        np.testing.assert_array_equal(got[0], params)


def test_many_full_batch_epochs(kernels, rng):
    dtype, net = np.dtype(np.float64), NETS[1]
    params, x, y = problem(rng, dtype, units_of(*net[0]), 500, net[2])
    args = (dtype, net, params, x, y, "sgd", 500, np.empty(0, np.intp), 50)
    got = run(kernels, *args, sum_coef_grads=True)
    want = run(reference, *args, sum_coef_grads=True)
    for a, b in zip(got[:3], want[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("batch_size", "n"), [(500, 500), (32, 500)])
def test_the_budget_changes_nothing(kernels, dtype, batch_size, n, rng):
    net = NETS[5]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    args = (dtype, net, params, x, y, "adam", batch_size, np.empty(0, np.intp), 3)
    whole = run(kernels, *args)
    pieces = run(kernels, *args, budget=1.0)
    assert whole[4] == 1
    assert pieces[4] >= 3 * -(-n // batch_size)
    for a, b in zip(whole[:4], pieces[:4], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize("way", range(len(WAYS)))
def test_pauses_change_nothing(kernels, dtype, way, solver, views, rng):
    net, n, batch_size = WAYS[way]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    order = rng.permutation(n) if batch_size < n else None
    y = with_weights(rng, y) if solver == "nesterov" else y
    for array in (x, y):
        array.flags.writeable = False
    args = (kernels, dtype, net, params, x, y, solver, batch_size, order, 4)
    options = {"alpha": 0.1, "keep_going": solver == "sgd"}
    whole = run(*args, **options)
    for budget in (1e9, 1.0):
        got = run(*args, pauses=[1, 3], views=views, budget=budget, **options)
        for a, b in zip(whole[:4], got[:4], strict=True):
            np.testing.assert_array_equal(a, b)


def test_views_are_of_the_arrays(kernels, dtype):
    params, packed, curve = np.zeros(3, dtype), np.zeros((1, 128), dtype), np.zeros(2)
    x, y, cursor = np.zeros((4, 2), dtype), np.zeros((4, 1), dtype), np.zeros(6, np.intp)
    units, codes, workspace = units_of(2, 1), codes_of("relu"), np.zeros(4, np.uint8)
    arrays = (params, packed, units, codes, x, y, None, workspace, cursor, curve)
    for view, array in zip(kernels.typed_views(*arrays), arrays, strict=True):
        if array is None:
            assert view is None
        else:
            assert np.asarray(view).dtype == array.dtype
            assert np.asarray(view).shape == array.shape
            assert np.shares_memory(view, array)


@pytest.mark.parametrize("pauses", [(), (1, 2)])
@pytest.mark.parametrize("budget", [1e9, 1.0])
@pytest.mark.parametrize("solver", ["sgd", "nesterov", "adam"])
def test_divergence_puts_back_the_epochs_start(kernels, dtype, solver, budget, pauses, rng):
    net = ((3, 9, 2), ("relu", "identity"), "squared_error")
    params, x, y = problem(rng, dtype, units_of(*net[0]), 40, net[2])
    rate = float(np.sqrt(np.finfo(dtype).max)) if solver == "adam" else 3.0
    args = (dtype, net, params, x, y, solver, 8, np.empty(0, np.intp))
    got = run(kernels, *args, 500, learning_rate=rate, budget=budget, pauses=pauses)
    epoch, row, step, status = got[3].tolist()
    assert status == builds.DIVERGED
    assert row == 0
    assert 5 * epoch <= step <= 5 * epoch + 5
    assert np.isfinite(got[0]).all()
    if epoch:
        before = run(kernels, *args, epoch, learning_rate=rate)[0]
        np.testing.assert_array_equal(got[0], before)
        # in the first epoch after a pause
        got = run(kernels, *args, 500, learning_rate=rate, budget=budget, pauses=[epoch])
        np.testing.assert_array_equal(got[0], before)
        assert got[3].tolist() == [epoch, 0, step, builds.DIVERGED]
    else:
        np.testing.assert_array_equal(got[0], params)
    want = run(reference, *args, 500, learning_rate=rate, pauses=pauses)
    assert abs(want[3][0] - epoch) <= 1


def sparse_rows(rng, n, n_features, dtype, kind):
    """Few values in any order of columns, some twice, some 0, some rows empty; and them dense.

    Columns rise in the rows of kind "rising", which the first layer may take as they are, and in
    the first half of kind "half". Around the rows there is more in memory.
    """
    rows = []
    for i in range(n):
        count = rng.binomial(n_features, 0.05) * (rng.rand() < 0.9)
        if kind == "rising" or (kind == "half" and i < n // 2):
            rows.append(np.sort(rng.permutation(n_features)[:count]))
        else:
            rows.append(rng.randint(n_features, size=count + rng.randint(3)))
    columns = np.concatenate([[1, 0, 1], *rows, [0, 2]]).astype(np.int32)
    row_starts = 3 + np.cumsum([0, *map(len, rows)]).astype(np.intp)
    # whole numbers, whose sums do not depend on their order
    values = rng.randint(-4, 5, size=(1, len(columns))).astype(dtype) / 4
    dense = np.zeros((n, n_features), dtype)
    for i in range(n):
        for at in range(row_starts[i], row_starts[i + 1]):
            dense[i, columns[at]] += values[0, at]
    return SparseRows(values, columns, row_starts), dense


KINDS = ["rising", "half", "any"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 3, 7, 33, 500])
def test_sparse_rows_have_the_bits_of_dense_ones(kernels, dtype, n, kind, rng):
    for net in NETS:
        units, codes, loss = units_of(*net[0]), codes_of(*net[1]), LOSSES[net[2]]
        params, _, y = problem(rng, dtype, units, n, net[2])
        sparse, dense = sparse_rows(rng, n, units[0], dtype, kind)
        workspace = new_workspace(kernels, units, n, dtype)
        for width in (units[-1], units[1:].sum()):
            out, want = np.empty((n, width), dtype), np.empty((n, width), dtype)
            workspace[:] = 255
            kernels.forward(params, units, codes, *sparse, workspace, out)
            kernels.forward(params, units, codes, dense, *DENSE, workspace, want)
            np.testing.assert_array_equal(out, want)
            reference.forward(params, units, codes, *sparse, None, out)
            reference.forward(params, units, codes, dense, *DENSE, None, want)
            np.testing.assert_array_equal(out, want)
        got, want = np.empty_like(params), np.empty_like(params)
        args = (params, units, codes, loss, 0.1)
        workspace[:] = 255
        value = kernels.loss_and_grad(*args, *sparse, y, workspace, got)
        assert value == kernels.loss_and_grad(*args, dense, *DENSE, y, workspace, want)
        np.testing.assert_array_equal(got, want)
        reference.loss_and_grad(*args, *sparse, y, None, got)
        reference.loss_and_grad(*args, dense, *DENSE, y, None, want)
        np.testing.assert_array_equal(got, want)


def test_rows_without_any_value(kernels, dtype):
    units, codes = units_of(3, 4, 1), codes_of("tanh", "identity")
    params = np.arange(reference.packed_size(units, 8)).astype(dtype)
    nothing = SparseRows(np.empty((1, 0), dtype), NO_COLUMNS, np.zeros(8, np.intp))
    for module in (kernels, reference):
        out, want = np.empty((7, 1), dtype), np.empty((7, 1), dtype)
        workspace = new_workspace(module, units, 7, dtype)
        module.forward(params, units, codes, *nothing, workspace, out)
        module.forward(params, units, codes, np.zeros((7, 3), dtype), *DENSE, workspace, want)
        np.testing.assert_array_equal(out, want)


def test_really_sparse_rows_are_never_made_dense(kernels, dtype, rng):
    """Their tiles, which would be most of the workspace, are not even written."""
    units, codes = units_of(5000, 20, 1), codes_of("relu", "identity")
    params, x, y = problem(rng, dtype, units, 64, "squared_error")
    columns = rng.randint(5000, size=64).astype(np.int32)
    sparse = SparseRows(x[:1, :64].copy(), columns, np.arange(65))
    grads = np.empty_like(params)
    untouched = []
    for rows in (sparse, (x, *DENSE)):
        workspace = new_workspace(kernels, units, 64, dtype)
        workspace[:] = 255
        kernels.loss_and_grad(params, units, codes, 0, 0.0, *rows, y, workspace, grads)
        untouched.append((workspace == 255).sum())
    assert untouched[0] > untouched[1] + 0.9 * x.nbytes


SPARSE_WAYS = [
    *WAYS,
    (((300, 20, 3), ("relu", "softmax"), "log_loss"), 400, 64),
    (((600, 203, 1), ("tanh", "identity"), "squared_error"), 500, 200),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", range(len(SPARSE_WAYS)))
def test_training_on_sparse_rows_has_the_bits_of_dense_ones(kernels, dtype, way, kind, rng):
    net, n, batch_size = SPARSE_WAYS[way]
    params, _, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    sparse, dense = sparse_rows(rng, n, net[0][0], dtype, kind)
    if kind == "half":
        y = with_weights(rng, y)
    order = rng.permutation(n) if batch_size < n else np.empty(0, np.intp)
    rest = (y, "adam", batch_size, order, 3)
    want = run(kernels, dtype, net, params, dense, *rest, alpha=0.1)
    for options in (
        {},
        {"n_threads": 2},
        {"n_threads": 3, "budget": 1.0},
    ):
        got = run(kernels, dtype, net, params, sparse, *rest, alpha=0.1, **options)
        for a, b in zip(want[:4], got[:4], strict=True):
            np.testing.assert_array_equal(a, b)
    oracle = run(reference, dtype, net, params, sparse, *rest, alpha=0.1)
    again = run(reference, dtype, net, params, dense, *rest, alpha=0.1)
    np.testing.assert_array_equal(oracle[0], again[0])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "batch_size"), [(40, 8), (40, 40), (6000, 6000)])
def test_keep_going_through_what_is_not_finite(kernels, dtype, n, batch_size, weighted, rng):
    net = ((20, 40, 3), ("relu", "identity"), "squared_error")
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    if weighted:
        y = with_weights(rng, y)
    args = (dtype, net, params, x, y, "sgd", batch_size, np.empty(0, np.intp), 60)
    stopped = run(kernels, *args, learning_rate=100.0)
    assert stopped[3][3] == builds.DIVERGED
    finite = int(stopped[3][0])
    assert finite < 59
    got = run(kernels, *args, learning_rate=100.0, keep_going=True)
    want = run(reference, *args, learning_rate=100.0, keep_going=True)
    steps = 60 * -(-n // batch_size)
    assert got[3].tolist() == want[3].tolist() == [60, 0, steps, builds.FINISHED]
    np.testing.assert_array_equal(got[1][:finite], stopped[1][:finite])
    for curve, end in ((got[1], got[0]), (want[1], want[0])):
        assert np.isnan(curve[finite + 1 :]).all()
        assert np.isnan(end).any()
    for options in ({"n_threads": 2}, {"n_threads": 3, "budget": 1.0}):
        other = run(kernels, *args, learning_rate=100.0, keep_going=True, **options)
        for a, b in zip(got[:4], other[:4], strict=True):
            np.testing.assert_array_equal(a, b)


def test_keep_going_changes_no_finite_training(kernels, dtype, rng):
    net = NETS[5]
    params, x, y = problem(rng, dtype, units_of(*net[0]), 300, net[2])
    args = (kernels, dtype, net, params, x, y, "adam", 128, np.empty(0, np.intp), 3)
    for a, b in zip(run(*args)[:4], run(*args, keep_going=True)[:4], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_update(kernels, dtype, nesterov, rng):
    for n in SIZES:
        for momentum in (None, 0.9):
            params, grads, v = (rng.randn(n).astype(dtype) for _ in range(3))
            v = v[:0] if momentum is None else v
            want_params, want_v = params.copy(), v.copy()
            kernels.sgd_update(params, grads, v, 0.1, momentum or 0.0, nesterov)
            reference.sgd_update(want_params, grads, want_v, 0.1, momentum or 0.0, nesterov)
            tolerance = 8 * np.finfo(dtype).eps
            np.testing.assert_allclose(params, want_params, rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(v, want_v, rtol=tolerance, atol=tolerance)


def test_adam_update(kernels, dtype, rng):
    for n in SIZES:
        params, grads, m = (rng.randn(n).astype(dtype) for _ in range(3))
        v = rng.rand(n).astype(dtype)
        want = [a.copy() for a in (params, m, v)]
        kernels.adam_update(params, grads, m, v, 0.1, 0.9, 0.999, 1e-8, 3)
        reference.adam_update(want[0], grads, want[1], want[2], 0.1, 0.9, 0.999, 1e-8, 3)
        tolerance = 16 * np.finfo(dtype).eps
        for got, expected in zip((params, m, v), want, strict=True):
            np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_moments_and_velocities_hold_no_subnormal_numbers(kernels, dtype):
    tiny = np.finfo(dtype).tiny
    m, v, u = (np.full(9, tiny, dtype) for _ in range(3))
    params, grads = np.ones(9, dtype), np.zeros(9, dtype)
    kernels.adam_update(params, grads, m, v, 0.1, 0.9, 0.999, 1e-8, 1)
    kernels.sgd_update(params, grads, u, 0.1, 0.9, False)
    assert not np.any([m, v, u])
