"""NetworkEnsemble: one array of parameters, the bits of single networks, copies and files."""

import copy
import pickle
import signal

import numpy as np
import pytest
from conftest import UNCHECKED_ONLY

import fastnn
from fastnn import Network, NetworkEnsemble, fit_many, work
from fastnn.catalog import activations, losses

RNG = np.random.RandomState(0)
X = RNG.randn(60, 3)
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])
ARGUMENTS = ([3, 5, 2], "tanh")


def ensemble(n=4, **given):
    return NetworkEnsemble(n, *ARGUMENTS, **{"random_state": 0, **given})


def single(seeds, **given):
    return [Network(*ARGUMENTS, random_state=int(seed), **given) for seed in seeds]


def in_step(some):
    """Networks, views and the whole array are the same numbers in the same memory."""
    for i, net in enumerate(some):
        assert np.shares_memory(some.params_[i], net.params_)
        np.testing.assert_array_equal(some.params_[i], net.params_)
        for of_all, of_one in ((some.coefs_, net.coefs_), (some.intercepts_, net.intercepts_)):
            assert len(of_all) == len(of_one)
            for a, b in zip(of_all, of_one, strict=True):
                assert np.shares_memory(a, b)
                np.testing.assert_array_equal(a[i], b)


def same(some, nets):
    for one, other in zip(some, nets, strict=True):
        np.testing.assert_array_equal(one.params_, other.params_)
        assert one.loss_curve_ == other.loss_curve_


def drawn(seed):
    """Arguments of a network and options of its fit."""
    rng = np.random.RandomState(seed)

    def one(*values):
        return values[rng.randint(len(values))]

    hidden = [row.name for row in activations.ACTIVATIONS if row.hidden]
    public = [row.name for row in losses.LOSSES if row.public and row.out_activation is None]
    loss = one(*public)
    given = {
        "activation": one(*hidden), "loss": loss, "dtype": one("float64", "float32"),
        "init": one("auto", "uniform", "orthogonal"), "last_layer_scale": one(1.0, 0.5),
        "out_activation": "identity",
        **({"quantile": [0.2, 0.7]} if loss == "quantile" else {}),
    }  # fmt: skip
    options = {
        "solver": one("adam", "sgd", "nadam", "lbfgs"), "max_iter": one(1, 3, [1, 2, 3]),
        "batch_size": one("auto", 16, [8, 60, 7]), "n_jobs": one(1, 2, None),
    }  # fmt: skip
    if options["solver"] == "lbfgs":
        del options["batch_size"]
    return given, options


@pytest.mark.parametrize("seed", range(12))
def test_bits_of_single_networks(seed):
    given, options = drawn(seed)
    units = [3, 6, 2]
    some = NetworkEnsemble(3, units, random_state=seed, **given)
    stream = np.random.RandomState(seed)
    np.testing.assert_array_equal(some.seeds_, stream.randint(2**31 - 1, size=3))
    nets = [Network(units, random_state=int(one), **given) for one in some.seeds_]
    same(some, nets)
    in_step(some)
    y = Y[:, 0] if given["loss"] == "quantile" else Y
    for bootstrap in (True, False):  # the second goes on
        rows = list(stream.randint(60, size=(3, 60))) if bootstrap else None
        assert some.fit(X, y, bootstrap=bootstrap, **options) is some
        fit_many(nets, X, y, rows=rows, **options)
        same(some, nets)
        in_step(some)
        if bootstrap:
            np.testing.assert_array_equal(some.rows_, rows)
    assert some.rows_ is None
    predicted = some.predict(X)
    assert predicted.dtype == some.params_.dtype
    np.testing.assert_array_equal(predicted, [net.predict(X) for net in nets])
    mean, std = some.predict_mean(X, return_std=True)
    np.testing.assert_array_equal(mean, predicted.mean(axis=0))
    np.testing.assert_array_equal(std, predicted.std(axis=0))
    np.testing.assert_array_equal(some.predict_mean(X), mean)
    np.testing.assert_array_equal(some.loss_, [net.loss_ for net in nets])


def test_what_changes_one_changes_the_other():
    some = ensemble()
    some.coefs_[0][1] = 7
    assert (some[1].coefs_[0] == 7).all()
    some[2].intercepts_[1] = [3, 4]
    assert some.intercepts_[1][2].tolist() == [3, 4]
    some.coefs_[1] = np.ones((4, 5, 2))
    some.params_[3] = 0
    assert not some[3].params_.any()
    some[0].params_ = np.arange(32.0)
    some[1].fit(X, Y, max_iter=2).partial_fit(X, Y)
    in_step(some)
    some.params_ = np.zeros((4, 32))
    some.intercepts_ = [np.ones((4, 5)), np.full((4, 2), 2)]
    np.testing.assert_array_equal(some.predict(X), np.full((4, 60, 2), 2.0))
    some[0].__setstate__(ensemble(1)[0].__getstate__())  # another vector
    in_step(some)
    assert some.coefs_[0][0].any()
    some[1].__setstate__(Network([3, 2]).__getstate__())
    with pytest.raises(ValueError, match=r"nets\[1\] is no longer a network as the others"):
        some.predict(X)


def test_a_sequence_of_networks():
    some = ensemble()
    assert len(some) == len(some.nets) == len(list(some)) == 4
    assert some[-1] is some.nets[3]
    assert some[1:3] == some.nets[1:3]
    with pytest.raises(IndexError):
        some[4]
    assert repr(some).startswith("NetworkEnsemble(4, [3, 5, 2], activation=('tanh', 'identity')")
    assert some.coefs_[0].shape == (4, 3, 5)
    assert some.intercepts_[1].shape == (4, 2)
    assert some.params_.shape == (4, 32)
    assert np.isnan(some.loss_).all()
    assert some.metadata["n_nets"] == 4


@pytest.mark.parametrize("random_state", [np.random.RandomState, np.random.default_rng])
def test_a_stream_of_ones_own(random_state):
    first, second = (ensemble(random_state=random_state(3)) for _ in range(2))
    for some in (first, second):
        some.fit(X, Y, bootstrap=True, max_iter=2)
    same(first, second)
    assert (ensemble(random_state=None).seeds_ != ensemble(random_state=None).seeds_).any()


def test_rows_of_ones_own():
    rows = [[0, 1, 2], None, np.arange(30), [5] * 4]
    some, nets = ensemble(), single(ensemble().seeds_)
    rates = [0.1, 0.01, 0.1, 0.01]
    some.fit(X, Y, rows=rows, max_iter=3, learning_rate_init=rates, layout="samples")
    for net, own, rate in zip(nets, rows, (0.1, 0.01, 0.1, 0.01), strict=True):
        chosen = slice(None) if own is None else own
        net.fit(X[chosen], Y[chosen], max_iter=3, learning_rate_init=rate)
    same(some, nets)
    assert some.rows_[1] is None
    assert some.rows_[3].tolist() == [5] * 4


@pytest.mark.parametrize("units", [[3, 5, 2], [3, 64, 64, 2]])
def test_predictions_by_several_threads(units, monkeypatch):
    some = NetworkEnsemble(3, units, "tanh", random_state=0)
    rows = RNG.randn(700, 3)
    alone = some.predict(rows)
    monkeypatch.setattr(work, "WORTH_A_THREAD", 1e4)
    monkeypatch.setattr("fastnn.threads._available", lambda: 4)
    for n_jobs in (1, 2, 3, 4):
        some.n_jobs = n_jobs
        np.testing.assert_array_equal(some.predict(rows), alone)
        np.testing.assert_array_equal(some.predict(rows.tolist()), alone)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"n_nets": 0}, ValueError, "n_nets must be a whole number >= 1"),
        ({"n_nets": 2.5}, TypeError, "n_nets must be a whole number"),
        ({"layer_units": [3]}, ValueError, "layer_units"),
        ({"activation": "tan"}, ValueError, "activation"),
        ({"random_state": -1}, ValueError, "random_state"),
        ({"n_jobs": 0}, ValueError, "n_jobs"),
        ({"dtype": "int"}, ValueError, "dtype"),
        ({"hidden": 3}, TypeError, "unexpected keyword argument 'hidden'"),
        ({"max_iter": 3}, TypeError, "fit takes 'max_iter'"),
    ],
)
def test_bad_arguments(given, error, message):
    with pytest.raises(error, match=message):
        NetworkEnsemble(**{"n_nets": 2, "layer_units": [3, 2], **given})


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"rows": [[0]] * 4, "bootstrap": True}, ValueError, "give either bootstrap=True or rows"),
        ({"bootstrap": "rows"}, TypeError, "bootstrap must be True or False"),
        ({"rows": [[0]] * 3}, ValueError, "rows has 3 values for 4 networks"),
        ({"X": X[:, :2], "bootstrap": True}, ValueError, r"nets\[0\]: X must have 3"),
        ({"X": np.where(X > 2, np.nan, X), "bootstrap": True}, ValueError, r"nets\[0\]: X"),
        ({"X": np.empty((0, 3)), "bootstrap": True}, ValueError, r"nets\[0\]: X"),
        ({"X": 3, "bootstrap": True}, ValueError, r"nets\[0\]: X"),
        ({"max_iters": 3, "bootstrap": True}, TypeError, "did you mean 'max_iter'"),
        ({"max_iter": [1, 2, 0, 1], "bootstrap": True}, ValueError, r"nets\[2\]: max_iter"),
        ({"n_jobs": 0}, ValueError, "n_jobs"),
    ],
)  # fmt: skip
def test_refused_before_anything_changes(given, error, message):
    some, other = ensemble(), ensemble()
    with pytest.raises(error, match=message):
        some.fit(**{"X": X, "y": Y, "max_iter": 2, **given})
    same(some, other)
    assert some.rows_ is None
    for one in (some, other):
        one.fit(X, Y, bootstrap=True, max_iter=2)  # the same draws
    same(some, other)


def test_bad_values():
    some = ensemble()
    with pytest.raises(ValueError, match=r"coefs_\[0\] must have shape"):
        some.coefs_[0] = np.ones((3, 5))
    with pytest.raises(ValueError, match=r"params_ must have shape \(4, 32\)"):
        some.params_ = np.zeros(32)
    with pytest.raises(ValueError, match=r"intercepts_\[1\]"):
        some.intercepts_ = [np.zeros((4, 5)), np.full((4, 2), np.nan)]
    with pytest.raises(ValueError, match="X must have 3"):
        some.predict(X[:, :2])
    with pytest.raises(TypeError, match="return_std"):
        some.predict_mean(X, return_std=1)
    some[2].coefs_[0][0, 0] = np.inf
    with pytest.raises(ValueError, match=r"nets\[2\]: coefs_\[0\]"):
        some.predict(X)


def test_networks_that_diverge():
    some = ensemble()
    options = {"max_iter": 9, "solver": "sgd", "learning_rate_init": [0.1, 1e200, 0.1, 0.1]}
    with pytest.raises(FloatingPointError, match=r"1 of 4 networks \(1\) diverged"):
        some.fit(X, Y, bootstrap=True, **options)
    assert len(some.rows_) == 4
    assert np.isfinite(some.params_).all()
    some.fit(X, Y, errors="keep", **options)
    assert [type(one) for one in some.failures_] == [
        type(None), FloatingPointError, type(None), type(None),
    ]  # fmt: skip
    in_step(some)
    some.params_ = np.zeros((4, 32))
    assert some.fit(X, Y, max_iter=1).failures_ is None


@UNCHECKED_ONLY
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c(n_jobs):
    x = RNG.randn(3000, 3)
    some = NetworkEnsemble(4, [3, 60, 60, 2], "tanh", random_state=0)

    def interrupt(*_):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2, 2.0)
        with pytest.raises(KeyboardInterrupt):
            some.fit(x, np.sin(x[:, :2]), bootstrap=True, max_iter=3000, n_jobs=n_jobs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert np.isfinite(some.params_).all()
    in_step(some)
    some.fit(x, np.sin(x[:, :2]), max_iter=1)


@pytest.mark.parametrize(
    "copied",
    [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy, NetworkEnsemble.copy],
    ids=["pickle", "copy", "deepcopy", "method"],
)
def test_copies(copied):
    some = ensemble(n_jobs=1).fit(X, Y, bootstrap=True, max_iter=2)
    again = copied(some)
    same(again, some)
    in_step(some)
    in_step(again)
    assert not np.shares_memory(again.params_, some.params_)
    assert again.n_jobs == 1
    np.testing.assert_array_equal(again.rows_, some.rows_)
    np.testing.assert_array_equal(again.seeds_, some.seeds_)
    for one in (some, again):
        one.fit(X, Y, bootstrap=True, max_iter=2)
    same(again, some)


@pytest.mark.parametrize("rows", [None, [[0, 1], None, [3], [4]]])
def test_files(rows, tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "some.fastnn"
    some = ensemble().fit(X, Y, rows=rows, max_iter=2, solver="sgd", momentum=0.9)
    some.save(path, date=True)
    again = fastnn.load(path)
    same(again, some)
    in_step(again)
    assert again.metadata.keys() - {"date"} == some.metadata.keys()
    for one in (some, again):
        one.fit(X, Y, bootstrap=True, max_iter=2)
        one[1].partial_fit(X, Y)
    same(again, some)
    for one, name in ((some, "a"), (again, "b")):
        one.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    data = bytearray(path.read_bytes())
    for at in (8, len(data) // 2, len(data) - 1):
        damaged = data.copy()
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"some\.fastnn"):
            fastnn.load(path)
    some.thing = 3
    with pytest.raises(TypeError, match="thing"):
        some.save(path)
    own = ensemble(loss=(lambda a, y: (a - y) ** 2, lambda a, y: 2 * (a - y)))
    with pytest.raises(TypeError, match="loss of one's own"):
        own.save(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("nets"),
        lambda content: content["nets"].pop(),
        lambda content: content["nets"].append(3),
        lambda content: content["nets"][1].update(layer_units=[3, 4, 2]),
        lambda content: content["nets"][1].update(loss=["log_cosh", []]),
        lambda content: content.update(seeds_=None),
        lambda content: content.update(rows_=[1, 2]),
        lambda content: content.update(rows_=[1, 2, 3, 4]),
        lambda content: content.update(random_state=None),
        lambda content: content.update(n_jobs=0),
    ],
)
def test_files_that_do_not_hold_together(change, tmp_path):
    """With a right checksum."""
    pytest.importorskip("safetensors")
    from fastnn.files import container

    path = tmp_path / "some.fastnn"
    ensemble().save(path)
    description, tensors = container.read(path)
    for name in ("checksum", "format"):
        del description[name]
    change(description["content"])
    container.write(path, description, tensors)
    with pytest.raises(ValueError, match="does not hold together"):
        fastnn.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"nets": []}, {"nets": [3]}, {"nets": None}, {"seeds_": np.zeros(3, int)},
        {"rows_": [1]}, {"_random_state": 3}, {"_n_jobs": "all"},
    ],
)  # fmt: skip
def test_pickles_that_do_not_hold_together(change):
    some = ensemble()
    state = {**some.__getstate__(), **change}
    other = ensemble()
    with pytest.raises((TypeError, ValueError)):
        other.__setstate__(state)
    same(other, some)
    with pytest.raises(ValueError, match="without nets"):
        other.__setstate__({k: v for k, v in some.__getstate__().items() if k != "nets"})
