"""The short way from Python: it gives what the long way gives, or nothing."""

import numpy as np
import pytest
from cases import DENSE, EVERY_BUILD, codes_of, new_workspace, step_of, units_of

from fastnn import Network, initializers, tutorial
from fastnn import kernels as builds
from fastnn.catalog import losses

SHAPES = [
    ([2, 4, 8, 1], "tanh"),
    ([64, 100, 10], "relu"),
    ([3, 1], "sigmoid"),
    ([5, 17, 3], "silu"),
]


def net_of(units, activation, dtype):
    return Network(units, activation, random_state=0, dtype=dtype)


def arrays_of(net):
    return [a for layer in zip(net.coefs_, net.intercepts_, strict=True) for a in layer]


def forward_of(module, net):
    return module.Forward(arrays_of(net), codes_of(*net.activations))


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("n", [1, 3, 12, 13, 40, 97, 700])
@pytest.mark.parametrize(("units", "activation"), SHAPES)
def test_forward_has_the_bits_of_the_kernel(kernels, dtype, units, activation, n, every, rng):
    net = net_of(units, activation, dtype)
    x = rng.randn(n, units[0]).astype(dtype)
    expected = np.empty((n, sum(units[1:]) if every else units[-1]), dtype)
    codes, layer_units = codes_of(*net.activations), units_of(*units)
    size = kernels.workspace_size(layer_units, n, dtype.itemsize, -1, 1)
    kernels.forward(
        net.params_, layer_units, codes, x, *DENSE, builds.aligned_empty(size), expected
    )
    got = forward_of(kernels, net)(x, every)
    assert got.dtype == dtype
    assert got.flags.owndata
    np.testing.assert_array_equal(got, expected)
    # and from arrays that are no neighbors in memory
    arrays = [a.copy() for a in arrays_of(net)]
    np.testing.assert_array_equal(kernels.Forward(arrays, codes)(x, every), expected)


def test_forward_reads_the_arrays_as_they_are(kernels, dtype, rng):
    net = net_of([3, 5, 2], "tanh", dtype)
    forward, x = forward_of(kernels, net), rng.randn(2, 3).astype(dtype)
    before = forward(x)
    net.coefs_[1][:] *= 2
    assert (forward(x) != before).any()
    np.testing.assert_array_equal(forward(x), forward_of(kernels, net)(x))


def unfit_rows(dtype):
    x = np.ones((4, 3), dtype)
    other = np.float32 if dtype == np.float64 else np.float64
    wrong = x.copy()
    wrong[2, 1] = np.nan
    infinite = x.copy()
    infinite[3, 2] = -np.inf
    raw = np.zeros(x.nbytes + 1, np.uint8)
    return {
        "list": x.tolist(),
        "none": None,
        "another type": x.astype(other),
        "whole numbers": x.astype(int),
        "columns first": np.asfortranarray(x),
        "a part": np.ones((4, 6), dtype)[:, :3],
        "every other row": np.ones((8, 3), dtype)[::2],
        "byte order": x.astype(dtype.newbyteorder()),
        "unaligned": raw[1:].view(dtype).reshape(x.shape),
        "one dimension": x[0],
        "three dimensions": x[None],
        "no row": x[:0],
        "too wide": np.ones((4, 4), dtype),
        "subclass": x.view(type("Sub", (np.ndarray,), {})),
        "masked": np.ma.masked_array(x),
        "nan": wrong,
        "infinite": infinite,
    }


UNFIT = sorted(unfit_rows(np.dtype(float)))


@pytest.mark.parametrize("name", UNFIT)
def test_nothing_else_goes_the_short_way(kernels, dtype, name):
    x = unfit_rows(dtype)[name]
    assert forward_of(kernels, net_of([3, 2], "relu", dtype))(x) is None
    assert not kernels.is_ready(x, dtype.num, 3)
    y, params = np.ones((4, 2), dtype), np.ones(8, dtype)
    assert not kernels.can_train(params, x, y, 4, 3, 2, -1, 1, False)
    assert not kernels.can_train(params, x, y, 0, 3, 2, -1, 1, False)
    assert short_loss(kernels, params, x, y) is None
    assert kernels.can_train(params, np.ones((4, 3), dtype), y, 4, 3, 2, -1, 1, False)


def short_loss(module, params, x, y, alpha=0.0, low=-1.0, high=1.0, to_one=False, grads=None):
    """The loss of a net 3-2."""
    net = params, units_of(3, 2), codes_of("tanh")
    return module.short_loss(*net, x, y, losses.CODES["squared_error"], alpha, low, high, to_one,
                             grads)  # fmt: skip


@EVERY_BUILD
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("n", [1, 13, 97, 1024])
@pytest.mark.parametrize(
    ("units", "names", "loss"),
    [
        ([2, 4, 8, 1], ["tanh", "silu", "sigmoid"], "binary_log_loss"),
        ([64, 100, 10], ["relu", "softmax"], "log_loss"),
        ([3, 1], ["identity"], "squared_error"),
    ],
)
def test_short_loss_has_the_bits_of_the_kernel(module, dtype, units, names, loss, n, alpha, rng):
    net = Network(units, names, loss=loss, random_state=0, dtype=dtype)
    params, codes, layer_units = net.params_, codes_of(*names), units_of(*units)
    x, row = rng.randn(n, units[0]).astype(dtype), losses.BY_NAME[loss]
    y = np.eye(units[-1], dtype=dtype)[rng.randint(units[-1], size=n)]
    step, workspace = step_of(loss=loss, alpha=alpha), new_workspace(module, layer_units, n, dtype)
    expected, grads = np.empty_like(params), np.empty_like(params)
    value = module.loss_and_grad(
        params, layer_units, codes, step, x, *DENSE, y, workspace, expected
    )
    args = (params, layer_units, codes, x, y, row.code, alpha, row.low, row.high,
            row.rows_sum_to_one)  # fmt: skip
    assert module.short_loss(*args, grads) == value
    np.testing.assert_array_equal(grads, expected)
    assert module.short_loss(*args, None) == value


@EVERY_BUILD
def test_other_losses_go_the_long_way(module, dtype):
    params, x, y = np.ones(8, dtype), np.ones((4, 3), dtype), np.zeros((4, 2), dtype)
    assert short_loss(module, params, x, y) is not None
    assert short_loss(module, params, x, y, alpha=0.5) is not None
    for alpha in (0, True, -1.0, np.nan, np.inf, np.float64(0.5), "0.5", None):
        assert short_loss(module, params, x, y, alpha) is None
    assert short_loss(module, params, x, y, low=0.5) is None
    assert short_loss(module, params, x, y, high=-0.5) is None
    assert short_loss(module, params, x, y, to_one=True) is None
    assert short_loss(module, params, x[:3], y) is None
    assert short_loss(module, params, x, y[:, :1].copy()) is None
    assert short_loss(module, params, x, None) is None
    # more rows may be cut into parts, whose sum may have other bits
    x, y = np.ones((1025, 3), dtype), np.zeros((1025, 2), dtype)
    assert short_loss(module, params, x, y) is None
    assert short_loss(module, params, x[:-1], y[:-1]) is not None
    params[5] = np.inf
    assert short_loss(module, params, x[:4], y[:4]) is None


@pytest.mark.parametrize("spoil", ["nan", "shape", "type", "removed"])
def test_a_net_that_changed_goes_the_long_way(kernels, dtype, spoil):
    net = net_of([3, 4, 2], "tanh", dtype)
    arrays = [a.copy() for a in arrays_of(net)]
    forward, x = kernels.Forward(arrays, codes_of(*net.activations)), np.ones((1, 3), dtype)
    assert forward(x) is not None
    if spoil == "nan":
        arrays[2][0, 0] = np.nan
    elif spoil == "shape":
        arrays[2].resize((2, 4), refcheck=False)
    elif spoil == "type":
        arrays = [*arrays[:2], arrays[2].astype(int), arrays[3]]
        forward = kernels.Forward(arrays, codes_of(*net.activations))
    else:
        arrays[3].resize(0, refcheck=False)
    assert forward(x) is None


def test_work_that_takes_long_goes_the_long_way(kernels):
    net = Network([1000, 1000, 1], random_state=0)
    forward = forward_of(kernels, net)
    assert forward(np.zeros((90, 1000))) is not None
    assert forward(np.zeros((101, 1000))) is None  # it would not answer Ctrl-C


@EVERY_BUILD
def test_forward_needs_a_pair_for_each_layer(module):
    for arrays in ([], [np.ones((2, 2))], [np.ones((2, 2)), np.ones(2)] * 2):
        with pytest.raises(ValueError, match="a W and a b for each activation"):
            module.Forward(arrays, codes_of("relu"))


@EVERY_BUILD
def test_views_of(module, dtype):
    vector = np.arange(11, dtype=dtype)
    views = module.views_of(vector, ((2, 3), (1, 3), (2,)))
    assert [view.tolist() for view in views] == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8]], [9, 10]]
    views[1][0, 0] = -1
    assert vector[6] == -1
    assert all(view.base is not None and view.flags.writeable for view in views)
    with pytest.raises(ValueError, match="more numbers"):
        module.views_of(vector, ((4, 3),))
    with pytest.raises(ValueError, match="more numbers"):
        module.views_of(vector, ((-1, -3),))


def test_views_outlive_the_vector(kernels):
    (view,) = kernels.views_of(np.full(1000, 7.0), ((10, 100),))
    np.zeros(1000)
    assert (view == 7).all()


@EVERY_BUILD
@pytest.mark.parametrize("n", [0, 1, 127, 128, 100_000])
def test_aligned_bytes(module, n):
    for zeros in (True, False):
        memory = module.aligned_bytes(n, zeros)
        assert memory.shape == (n,)
        assert memory.dtype == np.uint8
        assert memory.flags.carray
        assert n == 0 or memory.ctypes.data % 128 == 0
        assert not zeros or not memory.any()
        memory[:] = 1


@EVERY_BUILD
@pytest.mark.parametrize("random_state", [7, "generator"])
def test_draw_uniform_is_numpys(module, dtype, random_state):
    def fresh():
        if random_state == "generator":
            return np.random.RandomState(np.random.Generator(np.random.PCG64(3)).bit_generator)
        return np.random.RandomState(random_state)

    ours, theirs = fresh(), fresh()
    arrays = [np.empty(shape, dtype) for shape in ((3, 21), (64,), (1, 65), (0,), (1000,))]
    bounds = [0.1, 1.0, 1e-3, 1.0, 7 / 3]
    module.draw_uniform(ours._bit_generator, bounds, arrays)
    for bound, array in zip(bounds, arrays, strict=True):
        expected = theirs.uniform(-bound, bound, array.shape).astype(dtype)
        # a compiler may have fused product and sum in NumPy
        np.testing.assert_allclose(array, expected, rtol=0, atol=bound * np.finfo(dtype).eps)
    assert ours.randint(2**32) == theirs.randint(2**32)


def test_draw_uniform_refuses_what_it_cannot_write(kernels):
    generator, good = np.random.MT19937(0), np.empty(3)
    read_only = np.empty(3)
    read_only.flags.writeable = False
    for wrong in (np.empty(3, int), np.empty((3, 3)).T[:2], np.empty(6)[::2], read_only):
        with pytest.raises(TypeError, match="not an array that kernels can use"):
            kernels.draw_uniform(generator, [1.0], [wrong])
    with pytest.raises(ValueError, match="shorter"):
        kernels.draw_uniform(generator, [1.0, 1.0], [good])


@pytest.mark.parametrize("init", ["glorot", "uniform"])
@pytest.mark.parametrize("short", [True, False])
def test_first_parameters_have_the_bits_of_numpys(init, short, dtype, monkeypatch):
    if not short:  # as where NumPy's compiler fused product and sum
        monkeypatch.setattr(initializers, "_rounds_as_numpy", lambda build: False)
    units, rng = [5, 33, 2], np.random.RandomState(11)
    net = Network(units, "relu", init=init, dtype=dtype, random_state=11)
    for coef, intercept in zip(net.coefs_, net.intercepts_, strict=True):
        bound = 1.0 if init == "uniform" else np.sqrt(6 / sum(coef.shape))
        for array in (coef, intercept) if init == "glorot" else (intercept, coef):
            expected = rng.uniform(-bound, bound, array.shape).astype(dtype)
            np.testing.assert_array_equal(array, expected)
    assert net._random_state.randint(2**32) == rng.randint(2**32)


def test_a_random_state_of_ones_own_is_asked():
    class Halves(np.random.RandomState):
        def uniform(self, low=0.0, high=1.0, size=None):
            return np.full(size, high / 2)

    net = Network([3, 2], init="uniform", random_state=Halves(0))
    assert (net.params_ == 0.5).all()


@EVERY_BUILD
def test_draws_that_round_otherwise_are_noticed(module):
    class Fused:
        @staticmethod
        def draw_uniform(bit_generator, bounds, arrays):
            module.draw_uniform(bit_generator, bounds, arrays)
            for array in arrays:
                array[-1] = np.nextafter(array[-1], 2)

    assert not initializers._rounds_as_numpy(Fused)


@EVERY_BUILD
def test_holds(module):
    class Thing:
        def __init__(self, a, b):
            self.a, self.b = a, b

    one, two = Thing([1], "x"), Thing([1], "y")
    values = one.a, one.b, two.a, two.b
    assert module.holds([one, two], ("a", "b"), values)
    assert not module.holds([two, one], ("a", "b"), values)
    assert not module.holds([one], ("a", "b"), values)
    assert not module.holds([one, two, one], ("a", "b"), values)
    assert not module.holds([one, object()], ("a", "b"), values)
    two.a = [1]  # equal, but another
    assert not module.holds([one, two], ("a", "b"), values)


@EVERY_BUILD
@pytest.mark.parametrize(
    ("rows", "low", "high", "to_one", "good"),
    [
        ([[0, 1], [0.5, 0.5]], 0, 1, True, True),
        ([[0, 1], [0.5, 0.25]], 0, 1, True, False),
        ([[0, 1], [0.5, 0.25]], 0, 1, False, True),
        ([[0, 1.5], [0.5, 0.25]], 0, 1, False, False),
        ([[-0.5, 1], [0.5, 0.25]], 0, np.inf, False, False),
        ([[-5e30, 1], [0.5, 1e30]], -np.inf, np.inf, False, True),
    ],
)
def test_can_train_looks_at_targets(module, dtype, rows, low, high, to_one, good):
    x, y = np.ones((2, 3), dtype), np.array(rows, dtype)
    assert module.can_train(np.ones(8, dtype), x, y, 2, 3, 2, low, high, to_one) == good


@EVERY_BUILD
def test_can_train_looks_at_params(module, dtype):
    memory = np.ones(20, dtype)
    x, y = np.ones((2, 3), dtype), np.ones((2, 2), dtype)
    assert not module.can_train(memory[:8], memory[6:12].reshape(2, 3), y, 2, 3, 2, 0, 1, False)
    assert not module.can_train(memory[:8], x, memory[7:11].reshape(2, 2), 2, 3, 2, 0, 1, False)
    assert module.can_train(memory[:8], memory[8:14].reshape(2, 3), y, 2, 3, 2, 0, 1, False)
    memory[3] = np.inf
    assert not module.can_train(memory[:8], x, y, 2, 3, 2, 0, 1, False)


@EVERY_BUILD
def test_give_views_counts_before_it_gives(module, dtype):
    class Layer:
        W = b = None

    for n in (1, 3):
        layers = [Layer() for _ in range(n)]
        with pytest.raises(ValueError, match="came or went"):
            module.give_views(
                layers, ("W", "b"), np.zeros(14, dtype), ((2, 3), (3,), (1, 4), (1,))
            )
        assert all(layer.W is None for layer in layers)


@EVERY_BUILD
def test_epochs_need_data(module, dtype):
    units, codes = units_of(2, 1), codes_of("identity")
    packed = builds.aligned_zeros(module.packed_size(units, dtype.itemsize), dtype)
    epochs = module.Epochs(
        packed.reshape(1, -1), units, codes, builds.new_step(batch_size=1).view(np.uint8),
        new_workspace(module, units, 1, dtype, 0), builds.new_cursor().view(np.uint8),
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="no data"):
        epochs.until(1)


def test_epochs_refuse_what_kernels_cannot_read(kernels, dtype):
    units, codes = units_of(2, 1), codes_of("identity")
    packed = builds.aligned_zeros(kernels.packed_size(units, dtype.itemsize), dtype)
    whole = (
        packed.reshape(1, -1), units, codes, builds.new_step(batch_size=1).view(np.uint8),
        new_workspace(kernels, units, 1, dtype, 0), builds.new_cursor().view(np.uint8),
    )  # fmt: skip
    epochs = kernels.Epochs(*whole)
    for i, wrong in ((1, units.astype(np.int32)), (2, codes.astype(int)), (3, "step")):
        with pytest.raises(TypeError, match="not an array that kernels can use"):
            kernels.Epochs(*whole[:i], wrong, *whole[i + 1 :])
    x, y, params = np.ones((3, 2), dtype), np.ones((3, 1), dtype), np.zeros(3, dtype)
    good = [params, x, *DENSE, y, None, None, np.zeros(1), None]
    epochs.begin(*good)
    for i, wrong in ((0, params.tolist()), (1, x.T), (4, y[:, 0]), (7, np.zeros(1, np.float32))):
        with pytest.raises(TypeError, match="not an array that kernels can use"):
            epochs.begin(*good[:i], wrong, *good[i + 1 :])
    params.flags.writeable = False
    with pytest.raises(TypeError, match="not an array that kernels can use"):
        epochs.begin(*good)


@EVERY_BUILD
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_one_epoch_is_what_begin_and_until_do(module, dtype, solver, rng):
    units, codes = units_of(3, 5, 2), codes_of("tanh", "sigmoid")
    size = module.packed_size(units, dtype.itemsize)
    x, y = rng.randn(9, 3).astype(dtype), rng.rand(9, 2).astype(dtype)
    params = rng.randn(5 * 4 + 2 * 6).astype(dtype)
    step = step_of(loss="squared_error", solver=solver, batch_size=9, budget=np.inf)
    memory = module.workspace_size(units, 9, dtype.itemsize, 2, 1)

    def new():
        packed = builds.aligned_zeros(3 * size, dtype).reshape(3, size)
        workspace = builds.aligned_zeros(memory, np.uint8)
        cursor = builds.new_cursor().view(np.uint8)
        return module.Epochs(packed, units, codes, step, workspace, cursor), packed

    (epochs, packed), (other, other_packed) = new(), new()
    curve, other_curve, outputs = np.zeros(3), np.zeros(1), np.empty_like(y)
    given, want = params.copy(), params.copy()
    for _ in range(3):
        got = epochs.one(given, x, y, curve)
        assert not np.may_share_memory(got[0], given)
        other.begin(want, x, *DENSE, y, None, None, other_curve, outputs)
        other.seek(0)
        other.until(1)
        given = got[0]
        for a, b in ((given, want), (got[1], outputs), (curve[:1], other_curve)):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(packed, other_packed)
        assert epochs.status == other.status == builds.FINISHED
        assert epochs.n_steps == other.n_steps
    for wrong in (x[:8], x[:, :2], x.tolist(), x.T, x.astype("f2"), x[::-1], x[0]):
        assert epochs.one(given, wrong, y, curve) is None
        assert epochs.one(given, x, wrong, curve) is None
    np.testing.assert_array_equal(given, want)
    with pytest.raises(RuntimeError, match="no data"):
        epochs.until(1)
    x[3, 1] = np.nan
    epochs.one(given, x, y, curve)
    assert epochs.status == builds.DIVERGED
    np.testing.assert_array_equal(given, want)


# ---- what stands on it --------------------------------------------------------------------------


def test_a_point_of_the_tutorial_is_the_same_either_way():
    np.random.seed(0)
    net = tutorial.create_nn([2, 4, 8, 1], tutorial.sigm)
    X = np.random.RandomState(1).randn(30, 2)
    Y = (X[:, :1] > 0).astype(float)

    def points():
        return np.vstack([train(row[None]) for row in X])

    def train(x):
        return tutorial.train(net, x, Y, tutorial.l2_cost, train=False)

    for _ in range(3):
        np.testing.assert_array_equal(points(), train(X.tolist()))  # lists go the long way
        net[1].W[0, 0] += 1  # in place
        np.testing.assert_array_equal(points(), train(X.tolist()))
        net[1].W = net[1].W * 0.5  # another array
        np.testing.assert_array_equal(points(), train(X.tolist()))
        tutorial.train(net, X, Y, tutorial.l2_cost, 0.1)
        np.testing.assert_array_equal(points(), train(X.tolist()))
    net[0].act_f = tutorial.relu
    np.testing.assert_array_equal(points(), train(X.tolist()))
    net[2].b[0, 0] = np.nan
    with pytest.raises(ValueError, match="layer 2's b"):
        train(X[:1])


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("n", [1, 30])
def test_partial_fit_goes_on_as_a_new_run_would(solver, n, rng):
    options = {"solver": solver, "batch_size": 8, "learning_rate_init": 0.01}
    X, y = rng.randn(10, n, 4), rng.rand(10, n, 2)
    kept, fresh = (Network([4, 6, 2], random_state=0) for _ in range(2))
    for i, (x, targets) in enumerate(zip(X, y, strict=True)):
        kept.partial_fit(x, targets, **options)
        fresh.partial_fit(x.tolist(), targets, **options)
        vars(fresh)["_again"] = None
        np.testing.assert_array_equal(kept.params_, fresh.params_)
        assert kept.loss_curve_ == fresh.loss_curve_
        assert kept.n_iter_ == i + 1
        if i == 4:  # what ends what was kept
            for net in (kept, fresh):
                net.reset_solver()
        if i == 6:
            options["learning_rate_init"] = 0.02
        if i == 7:
            for net in (kept, fresh):
                net.fit(x, targets, max_iter=2)
                net.loss_curve_ = [0.0] * (i + 1)
        if i == 8:
            kept, fresh = kept.copy(), fresh.copy()


def test_partial_fit_still_refuses_bad_input(rng):
    net = Network([4, 6, 2], "tanh", loss="log_loss", random_state=0)
    x, y = rng.randn(1, 4), np.array([[0.0, 1.0]])
    for _ in range(2):
        net.partial_fit(x, y)
    before = net.params_.copy()
    for X, targets, options in (
        (x * np.nan, y, {}), (x[:, :3], y, {}), (x, y * 2, {}), (x, [[0.5, 0.4]], {}),
        (x, y, {"alpha": -1}), (x, y, {"nesterovs_momentum": 1}), (x, y, {"shuffle": 1}),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            net.partial_fit(X, targets, **options)
        assert (net.params_ == before).all()
        net.partial_fit(x, y)
        before = net.params_.copy()
    net.params_[0] = np.nan
    with pytest.raises(ValueError, match="coefs_"):
        net.partial_fit(x, y)


def test_partial_fit_after_divergence(rng):
    net = Network([1, 1], "identity", random_state=0)
    x, y = np.ones((1, 1)), np.ones((1, 1))
    net.partial_fit(x, y, solver="sgd", learning_rate_init=1.0)
    n = net.n_iter_
    with pytest.raises(FloatingPointError, match="in epoch 1:"):
        net.partial_fit(x * 1e300, y, solver="sgd", learning_rate_init=1.0)
    assert np.isfinite(net.params_).all()
    assert net.n_iter_ == n
    net.partial_fit(x, y, solver="sgd", learning_rate_init=1.0)
    assert net.n_iter_ == n + 1
