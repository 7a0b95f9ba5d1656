"""The tutorial's names give the tutorial's numbers."""

import copy
import pickle
import threading
import warnings
import weakref

import numpy as np
import pytest
from sklearn.datasets import make_circles

from fastnn import reference, tutorial
from fastnn.catalog import activations
from fastnn.cli import numpy_network
from fastnn.cli.compare import in_numpy
from fastnn.tutorial import create_nn, l2_cost, neural_layer, relu, sigm, train

TOPOLOGIES = [[2, 4, 8, 1], [2, 4, 8, 16, 8, 4, 1]]


@pytest.fixture
def circles():
    X, Y = make_circles(n_samples=500, factor=0.5, noise=0.05, random_state=0)
    return X, Y[:, np.newaxis]


def nets(topology, seed):
    """Ours, and the one a newcomer writes, from the same np.random.seed."""
    np.random.seed(seed)
    ours = create_nn(topology, sigm)
    np.random.seed(seed)
    return ours, numpy_network.network(topology)


def difference(ours, theirs):
    return max(
        max(np.abs(a.W - b.W).max(), np.abs(a.b - b.b).max())
        for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=str)
def test_200_steps_one_by_one(every_build, topology, circles):
    ours, theirs = nets(topology, 0)
    start = nets(topology, 0)[0]
    for _ in range(200):
        got = train(ours, *circles, l2_cost, lr=0.05)
        want = numpy_network.step(theirs, *circles, 0.05)
    assert difference(ours, theirs) < 1e-10
    assert np.abs(got - want).max() < 1e-10
    assert difference(ours, start) > 0.1


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=str)
def test_200_steps_in_one_call(every_build, topology, circles):
    ours, theirs = nets(topology, 0)
    got = train(ours, *circles, l2_cost, lr=0.05, epochs=200)
    for _ in range(200):
        want = numpy_network.step(theirs, *circles, 0.05)
    assert difference(ours, theirs) < 1e-10
    assert np.abs(got - want).max() < 1e-10


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lr", [0.05, 0.5])
def test_every_single_step_is_the_tutorials(lr, seed, circles):
    """From the same parameters each time: at these rates rounding alone drives nets apart."""
    ours, theirs = nets(TOPOLOGIES[0], seed)
    for _ in range(100):
        train(ours, *circles, l2_cost, lr=lr)
        numpy_network.step(theirs, *circles, lr)
        assert difference(ours, theirs) < 1e-12 * max(np.abs(layer.W).max() for layer in theirs)
        for a, b in zip(ours, theirs, strict=True):
            b.W, b.b = a.W.copy(), a.b.copy()


def test_float32_only_where_everything_is(circles):
    X, Y = (a.astype(np.float32) for a in circles)
    ours, theirs = nets(TOPOLOGIES[0], 0)
    for layer in [*ours, *theirs]:
        layer.W, layer.b = layer.W.astype(np.float32), layer.b.astype(np.float32)
    got = train(ours, X, Y, l2_cost, lr=0.05, epochs=5)
    for _ in range(5):
        numpy_network.step(theirs, X, Y, 0.05)
    assert got.dtype == ours[0].W.dtype == ours[-1].b.dtype == np.float32
    assert 0 < difference(ours, theirs) < 1e-5
    assert train(ours, circles[0], Y, l2_cost).dtype == np.float64
    assert ours[0].W.dtype == np.float64


def test_layers_stay_plain_objects_and_old_arrays_stay_as_they_are(circles):
    net = create_nn([2, 4, 1], sigm)
    layers, kept = list(net), []
    for _ in range(4):
        kept.append((net[0].W, net[0].W.copy(), net[1].b, net[1].b.copy()))
        train(net, *circles, l2_cost, lr=0.05)
    for W, W_then, b, b_then in kept:
        np.testing.assert_array_equal(W, W_then)
        np.testing.assert_array_equal(b, b_then)
    assert all(a is b for a, b in zip(net, layers, strict=True))
    assert set(vars(net[0])) == {"W", "b", "act_f"}
    assert (net[0].W.shape, net[0].b.shape, net[1].b.shape) == ((2, 4), (1, 4), (1, 1))
    assert net[0].act_f is sigm


def test_data_is_let_go(circles):
    net, mine = create_nn([2, 4, 1], sigm), [array.copy() for array in circles]
    watched = [weakref.ref(array) for array in mine]
    for _ in range(3):
        train(net, *mine, l2_cost, lr=0.05)
    del mine
    assert [array() for array in watched] == [None, None]


def test_edits_between_steps_count(circles):
    ours, theirs = nets([2, 4, 1], 0)
    edits = [
        lambda net: net[0].W.__setitem__((0, 0), 0.25),
        lambda net: setattr(net[1], "W", net[1].W * 2),
        lambda net: setattr(net[0], "b", np.zeros((1, 4))),
        lambda net: net[1].b.fill(0.5),
        lambda net: net.append(net.pop()),
    ]
    for edit in edits:
        for net in (ours, theirs):
            edit(net)
        train(ours, *circles, l2_cost, lr=0.05)
        numpy_network.step(theirs, *circles, 0.05)
        assert difference(ours, theirs) < 1e-12


def test_other_data_between_steps_counts(circles):
    X, Y = circles
    ours, theirs = nets([2, 4, 1], 0)
    pieces = [slice(0, 500), slice(0, 100), slice(100, 200), slice(0, 500, 3), slice(7, 8)]
    for rows in [*pieces, *pieces]:
        train(ours, X[rows], Y[rows], l2_cost, lr=0.05)
        numpy_network.step(theirs, X[rows], Y[rows], 0.05)
        assert difference(ours, theirs) < 1e-12


def test_copies_and_pickles_of_a_net_train_compiled(circles):
    twins = [create_nn([2, 4, 1], sigm)]
    twins += [copy.deepcopy(twins[0]), pickle.loads(pickle.dumps(twins[0]))]
    cost = pickle.loads(pickle.dumps(l2_cost))
    for net in twins:
        assert net[0].act_f is sigm
        train(net, *circles, cost, lr=0.05, epochs=3)
        train(net, *circles, l2_cost, lr=0.05)
    assert difference(twins[0], twins[1]) == difference(twins[0], twins[2]) == 0
    assert pickle.loads(pickle.dumps(relu)) is relu


def as_matrix(array):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.asmatrix(array)


def test_w_of_other_types(circles):
    for make in (as_matrix, np.ndarray.tolist, np.asfortranarray):
        for act_f in (sigm, custom()):
            ours, theirs = nets([2, 4, 8, 1], 0)
            for layer in ours:
                layer.W, layer.act_f = make(layer.W), act_f
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for _ in range(3):
                    train(ours, *circles, l2_cost, lr=0.05)
                    numpy_network.step(theirs, *circles, 0.05)
            assert difference(ours, theirs) < 1e-12


def test_one_point_after_training(circles):
    """The loop that draws the boundary: found-again runs and others agree."""
    ours = nets([2, 4, 8, 1], 0)[0]
    train(ours, *circles, l2_cost, lr=0.05)
    for edit in (lambda: None, lambda: ours[0].W.__setitem__((0, 0), 2.0)):
        edit()
        copied = copy.deepcopy(ours)
        for point in ([[0.5, 0.25]], [[-2.0, 1e3]]):
            got = train(ours, np.array(point), None, l2_cost, train=False)
            np.testing.assert_array_equal(got, train(copied, point, None, l2_cost, train=False))
    with pytest.raises(ValueError, match=r"X\[0, 1\] is nan"):
        train(ours, np.array([[0.0, np.nan]]), None, l2_cost, train=False)
    ours[2].b[:] = np.inf
    with pytest.raises(ValueError, match=r"layer 2's b\[0, 0\] is inf"):
        train(ours, np.array([[0.0, 0.0]]), None, l2_cost, train=False)


def test_train_false_only_looks(circles):
    ours, theirs = nets([2, 4, 8, 1], 0)
    before = [layer.W for layer in ours]
    point = np.array([[0.3, -0.2]])
    # the tutorial asks for one point with all the targets
    got = train(ours, point, circles[1], l2_cost, train=False)
    np.testing.assert_allclose(got, numpy_network.step(theirs, point, np.zeros((1, 1)), 0.1),
                               rtol=1e-12)  # fmt: skip
    assert all(layer.W is W for layer, W in zip(ours, before, strict=True))
    assert got.shape == (1, 1)
    assert train(ours, point, None, l2_cost, train=False) == got


def test_activations_are_pairs_of_callables_for_arrays():
    x = np.linspace(-5, 5, 100)
    np.testing.assert_allclose(sigm[0](x), 1 / (1 + np.e ** (-x)), rtol=1e-13)
    np.testing.assert_array_equal(sigm[1](x), x * (1 - x))
    np.testing.assert_array_equal(relu(x), np.maximum(0, x))
    np.testing.assert_array_equal(relu[0](x), np.maximum(0, x))
    np.testing.assert_array_equal(relu[1](np.array([-1.0, 0.0, 2.0])), [0, 0, 1])
    assert sigm[0](np.array([-1e4, 1e4])).tolist() == [0, 1]
    f, derivative = relu
    assert callable(f)
    assert callable(derivative)


def test_cost():
    Yp, Yr = np.array([[0.5], [1.0]]), np.array([[0.0], [1.0]])
    assert l2_cost[0](Yp, Yr) == 0.125
    assert l2_cost[1](Yp, Yr).tolist() == [[0.5], [0.0]]


def test_relu_trains(circles):
    np.random.seed(1)
    net = create_nn([2, 16, 1], relu)
    net[-1].act_f = sigm
    train(net, *circles, l2_cost, lr=0.005, epochs=2000)
    got = train(net, circles[0], None, l2_cost, train=False)
    assert ((got > 0.5) == circles[1]).mean() > 0.95


def custom():
    return (lambda x: 1 / (1 + np.exp(-x)), lambda a: a * (1 - a))


def test_custom_activations_train_in_numpy_with_one_warning(circles):
    ours, theirs = nets([2, 4, 8, 1], 0)
    ours[1].act_f = custom()
    with pytest.warns(UserWarning, match="the slow way") as caught:
        got = train(ours, *circles, l2_cost, lr=0.05, epochs=20)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for _ in range(20):
        want = numpy_network.step(theirs, *circles, 0.05)
    assert difference(ours, theirs) < 1e-10
    assert np.abs(got - want).max() < 1e-10
    with pytest.warns(UserWarning, match="the slow way"):
        train(ours, *circles, l2_cost, train=False)


def test_a_loop_warns_once(circles):
    net = create_nn([2, 4, 1], custom())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(5):
            train(net, *circles, l2_cost, lr=0.05)
    assert len(caught) == 1


def test_custom_cost(circles):
    ours, theirs = nets([2, 4, 1], 0)
    double = (lambda Yp, Yr: 2 * np.mean((Yp - Yr) ** 2), lambda Yp, Yr: 2 * (Yp - Yr))
    with pytest.warns(UserWarning, match="the slow way"):
        train(ours, *circles, double, lr=0.05, epochs=3)
    for _ in range(3):
        # twice the cost is twice the rate
        numpy_network.step(theirs, *circles, 0.1)
    assert difference(ours, theirs) < 1e-12


def test_divergence(circles):
    X, Y = circles
    for act_f in (relu, (relu[0], relu[1])):
        np.random.seed(0)
        net = create_nn([2, 8, 1], act_f)
        before = [layer.W for layer in net]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            with pytest.raises(FloatingPointError, match=r"diverged in epoch 1: .*learning rate"):
                train(net, X * 100, Y, l2_cost, lr=1e307, epochs=5)
        for layer, W in zip(net, before, strict=True):
            np.testing.assert_array_equal(layer.W, W)


def test_threads_do_not_share_a_run(circles):
    def many(net, n):
        for _ in range(n):
            train(net, *circles, l2_cost, lr=0.05)

    together, alone = ([nets([2, 4, 8, 1], seed)[0] for seed in range(4)] for _ in range(2))
    threads = [threading.Thread(target=many, args=(net, 150)) for net in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for net, twin in zip(together, alone, strict=True):
        many(twin, 150)
        assert difference(net, twin) == 0


BAD = [
    ({"lr": 0}, ValueError, "lr must be a finite number"),
    ({"lr": np.nan}, ValueError, "lr must be a finite number"),
    ({"lr": "0.1"}, TypeError, "lr must be a finite number"),
    ({"epochs": 0}, ValueError, "epochs must be a whole number >= 1"),
    ({"epochs": 1.5}, TypeError, "epochs must be a whole number >= 1"),
    ({"X": np.zeros((500, 3))}, ValueError, "X must have 2 columns"),
    ({"X": np.zeros(2)}, ValueError, "X must have two dimensions"),
    ({"X": np.full((500, 2), np.nan)}, ValueError, r"X\[0, 0\] is nan"),
    ({"X": np.full((500, 2), np.inf)}, ValueError, r"X\[0, 0\] is inf"),
    ({"X": np.zeros((500, 2), object)}, TypeError, "X must hold real numbers"),
    ({"Y": np.zeros(500)}, ValueError, "Y must have two dimensions"),
    ({"Y": np.zeros((9, 1))}, ValueError, "Y must have 500 rows"),
    ({"Y": np.full((500, 1), -np.inf)}, ValueError, r"Y\[0, 0\] is -inf"),
    ({"Y": None}, TypeError, "Y must hold real numbers"),
    ({"neural_net": []}, TypeError, "neural_net must be a list of layers"),
    ({"neural_net": [1]}, TypeError, "layer 0 of neural_net has no W"),
    ({"l2_cost": l2_cost[0]}, TypeError, "l2_cost must be a pair of callables"),
]


@pytest.mark.parametrize("warm", [False, True], ids=["first", "found again"])
@pytest.mark.parametrize(("change", "error", "match"), BAD)
def test_bad_input(change, error, match, warm, circles):
    net = create_nn([2, 4, 1], sigm)
    X, Y = circles[0], circles[1].astype(float)
    if warm:
        train(net, X, Y, l2_cost, lr=0.05)
    before = [(layer.W.copy(), layer.b.copy()) for layer in net]
    arguments = {"neural_net": net, "X": X, "Y": Y, "l2_cost": l2_cost, "lr": 0.05, **change}
    with pytest.raises(error, match=match) as caught:
        train(**arguments)
    assert "\n" not in str(caught.value)
    for layer, (W, b) in zip(net, before, strict=True):
        np.testing.assert_array_equal(layer.W, W)
        np.testing.assert_array_equal(layer.b, b)
    train(net, X, Y, l2_cost, lr=0.05)


@pytest.mark.parametrize("warm", [False, True], ids=["first", "found again"])
def test_bad_layers(warm, circles):
    X, Y = circles[0], circles[1].astype(float)

    def refuse(edit, error, match):
        net = create_nn([2, 4, 1], sigm)
        if warm:
            train(net, X, Y, l2_cost, lr=0.05)
        edit(net)
        with pytest.raises(error, match=match):
            train(net, X, Y, l2_cost, lr=0.05)

    refuse(lambda net: net[1].W.fill(np.nan), ValueError, r"layer 1's W\[0, 0\] is nan")
    refuse(lambda net: net[0].b.fill(np.inf), ValueError, r"layer 0's b\[0, 0\] is inf")
    refuse(lambda net: setattr(net[1], "W", np.ones((3, 1))), ValueError, "must have 4 rows")
    refuse(lambda net: setattr(net[1], "W", np.ones(4)), ValueError, "must have shape")
    refuse(
        lambda net: setattr(net[1], "b", np.ones((2, 1))), ValueError, r"must have shape \(1, 1\)"
    )
    refuse(lambda net: setattr(net[0], "act_f", np.tanh), TypeError, "pair of callables")
    refuse(
        lambda net: net.__setitem__(slice(None), [net[1], net[1]]), ValueError, "same layer twice"
    )
    refuse(lambda net: delattr(net[1], "b"), TypeError, "layer 1 of neural_net has no b")
    with pytest.raises(TypeError, match="n_neur must be a whole number"):
        neural_layer(2, 1.5, sigm)
    complex_pair = (lambda x: x * (1 + 1j), lambda a: a)
    with pytest.warns(UserWarning, match="slow way"):
        refuse(lambda net: setattr(net[1], "act_f", complex_pair), TypeError, "complex128")
    for topology, error in (([2], ValueError), (5, TypeError), ("2-1", TypeError)):
        with pytest.raises(error, match="topology must"):
            create_nn(topology, sigm)
    state = np.random.get_state()[2]
    with pytest.raises(ValueError, match=r"topology\[2\]"):
        create_nn([2, 4, 0], sigm)
    assert np.random.get_state()[2] == state
    with pytest.raises(ValueError, match=r"topology\[0\] must be a whole number"):
        create_nn([0, 1], sigm)


@pytest.mark.parametrize("name", [row.name for row in activations.ACTIVATIONS if row.hidden])
def test_activations_of_the_catalog(every_build, name, circles):
    """A step, and NumPy's of the same arithmetic; the pair itself computes f and f'."""
    pair = tutorial.activation(name)
    row, z = activations.BY_NAME[name], np.linspace(-3, 3, 24).reshape(4, 6)
    value, slope = np.empty_like(z), np.empty_like(z)
    reference.activate(z, row.code, value)
    np.testing.assert_allclose(pair(z), value, rtol=1e-14, atol=1e-15)
    reference.derivative(z if row.stores_slope else value, row.code, slope)
    if row.stores_slope:
        with pytest.raises(TypeError, match="no function of its value"):
            pair[1](value)
    else:
        np.testing.assert_allclose(pair[1](value), slope, rtol=1e-14, atol=1e-15)
    assert pickle.loads(pickle.dumps(pair)) is pair
    assert copy.deepcopy(pair) is pair

    np.random.seed(0)
    ours = create_nn([2, 4, 8, 1], pair)
    net = [numpy_network.Layer(layer.W, layer.b, in_numpy(name)) for layer in ours]
    for _ in range(3):
        got = train(ours, *circles, l2_cost, lr=0.001)
        want = numpy_network.step(net, *circles, 0.001)
    np.testing.assert_allclose(got, want, rtol=1e-11)
    assert difference(ours, net) < 1e-11


def test_activations_by_name():
    assert tutorial.activation("logistic") is sigm
    assert tutorial.activation("relu") is relu
    with pytest.raises(ValueError, match=r"must be one of 'identity'.*did you mean 'tanh'"):
        tutorial.activation("tahn")
    with pytest.raises(ValueError, match="must be one of"):
        tutorial.activation("softmax")


def test_a_rate_too_large_leaves_a_net_that_trains():
    """An infinite step made NaN of the padding, which the next step began with."""
    dtype = "float32"
    np.random.seed(0)
    net = tutorial.create_nn([2, 3, 1], tutorial.activation("tanh"))
    for layer in net:
        layer.W, layer.b = layer.W.astype(dtype), layer.b.astype(dtype)
    X, Y = np.ones((4, 2), dtype), np.zeros((4, 1), dtype)
    tutorial.train(net, X, Y, tutorial.l2_cost, 0.01)
    with pytest.raises(FloatingPointError):
        tutorial.train(net, X, Y, tutorial.l2_cost, 1e200)
    fresh = copy.deepcopy(net)
    for one in (net, fresh):
        tutorial.train(one, X, Y, tutorial.l2_cost, 0.01)
    for a, b in zip(net, fresh, strict=True):
        np.testing.assert_array_equal(a.W, b.W)


class Growing:
    """Data that adds a layer to the net while it is read."""

    def __init__(self, net):
        self.net = net

    def __len__(self):
        return 4

    def __array__(self, dtype=None, copy=None):
        self.net.append(tutorial.neural_layer(2, 2, tutorial.sigm))
        return np.ones((4, 2))


def test_a_list_that_grows_meanwhile_is_refused():
    net = tutorial.create_nn([2, 3, 2], tutorial.sigm)
    with pytest.raises(ValueError, match="came or went"):
        tutorial.train(net, Growing(net), np.ones((4, 2)), tutorial.l2_cost)


# ---- layers that change under a run that is kept ------------------------------------------------


class Liar(list):
    """A list whose length is not that of its items."""

    def __len__(self):
        return 1


def test_a_list_whose_length_and_items_disagree():
    """What it gives one after the other is what counts."""
    net = tutorial.create_nn([2, 4, 3, 1], tutorial.sigm)
    twin = copy.deepcopy(net)
    X, Y = np.random.RandomState(0).rand(20, 2), np.zeros((20, 1))
    for _ in range(3):
        out = tutorial.train(Liar(net), X, Y, tutorial.l2_cost)
        np.testing.assert_array_equal(out, tutorial.train(twin, X, Y, tutorial.l2_cost))
        out = tutorial.train(Liar(net), X, Y, tutorial.l2_cost, train=False)
        np.testing.assert_array_equal(
            out, tutorial.train(twin, X, Y, tutorial.l2_cost, train=False)
        )


@pytest.mark.filterwarnings("ignore:Setting the shape")
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("layer", "name", "shape"), [
    (0, "W", (4, 2)), (1, "W", (2, 6)), (2, "W", (1, 3)), (1, "b", (3, 1)), (0, "W", (8,)),
])  # fmt: skip
def test_an_array_that_got_another_shape_is_refused(layer, name, shape, train):
    net = tutorial.create_nn([2, 4, 3, 1], tutorial.sigm)
    X, Y = np.random.RandomState(0).rand(20, 2), np.zeros((20, 1))
    for _ in range(2):
        tutorial.train(net, X, Y, tutorial.l2_cost)
        tutorial.train(net, X, Y, tutorial.l2_cost, train=False)
    getattr(net[layer], name).shape = shape
    with pytest.raises(ValueError, match="must have"):
        tutorial.train(net, X, Y, tutorial.l2_cost, train=train)


class ArrayLike:
    """What NumPy makes an array of, and has no length."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)


def test_data_without_a_length(every_build):
    np.random.seed(0)
    net = create_nn([2, 3, 1], sigm)
    other = copy.deepcopy(net)
    X, Y = np.random.rand(5, 2), np.random.rand(5, 1)
    for _ in range(2):
        out = train(net, ArrayLike(X), ArrayLike(Y), l2_cost)
        np.testing.assert_array_equal(out, train(other, X, Y, l2_cost))
    np.testing.assert_array_equal(train(net, ArrayLike(X), None, l2_cost, train=False),
                                  train(other, X, None, l2_cost, train=False))  # fmt: skip
