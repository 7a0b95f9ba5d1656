"""The short way of the estimators' calls: what needs no validation gives what validation gives.

Each drawn call is made on three estimators that are alike: fastnn's, the same with the short way
closed, and scikit-learn's own.
"""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
import sklearn
from estimator_cases import PAIRS, VERSION, needs_weights, no_shortcuts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.neural_network import _multilayer_perceptron as originals

import fastnn
from fastnn import kernels, work
from fastnn.estimators import labels, shortcuts

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_FEATURES = 3


class Own(np.ndarray):
    """An array of another class."""


def frame(X):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def unaligned(X):
    memory = np.zeros(X.nbytes + 1, np.uint8)
    array = memory[1:].view(X.dtype).reshape(X.shape)
    array[...] = X
    return array


def with_a(value):
    def poisoned(X):
        X = X.copy()
        X.flat[X.size // 2] = value
        return X

    return poisoned


def swapped(X):
    return X.astype(X.dtype.newbyteorder())


FORMS = {
    "plain": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "whole numbers": lambda X: (4 * X).astype(int),
    "Fortran": np.asfortranarray,
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "read-only": read_only,
    "unaligned": unaligned,
    "other byte order": swapped,
    "subclass": lambda X: X.view(Own),
    "list": lambda X: X.tolist(),
    "objects": lambda X: X.astype(object),
    "DataFrame": frame,
    "sparse": scipy.sparse.csr_array,
    "NaN": with_a(np.nan),
    "infinite": with_a(-np.inf),
    "huge": with_a(1e200),
    "wider": lambda X: np.hstack([X, X]),
    "one dimension": lambda X: X.ravel(),
    "three dimensions": lambda X: X[np.newaxis],
    "no rows": lambda X: X[:0],
    "text": lambda X: X.astype(str),
    "complex": lambda X: X.astype(complex),
    "nothing": lambda X: None,
}
TARGETS = {
    "plain": lambda y: y,
    "float32": lambda y: y.astype(np.float32),
    "column": lambda y: y.reshape(-1, 1),
    "two columns": lambda y: np.column_stack([y, -y]),
    "Fortran": lambda y: np.asfortranarray(np.column_stack([y, -y])),
    "whole numbers": lambda y: (4 * y).astype(int),
    "list": lambda y: y.tolist(),
    "NaN": with_a(np.nan),
    "longer": lambda y: np.append(y, y),
    "nothing": lambda y: None,
    "objects": lambda y: y.astype(object),
}
LABELS = {
    "three": lambda y: np.digitize(y, [-0.5, 0.5]),
    "two": lambda y: np.where(y > 0, 7, -2),
    "one": lambda y: np.full(len(y), 5),
    "bool": lambda y: y > 0,
    "int8": lambda y: np.digitize(y, [-0.5, 0.5]).astype(np.int8),
    "unsigned": lambda y: np.digitize(y, [-0.5, 0.5]).astype(np.uint16),
    "strings": lambda y: np.array(["low", "middle", "high"])[np.digitize(y, [-0.5, 0.5])],
    "objects": lambda y: np.array(["a", "b"], object)[(y > 0).astype(int)],
    "floats": lambda y: np.digitize(y, [-0.5, 0.5]) * 1.0,
    "continuous": lambda y: y,
    "column": lambda y: np.digitize(y, [-0.5, 0.5]).reshape(-1, 1),
    "multilabel": lambda y: np.column_stack([y > 0, y > 0.5]).astype(int),
    "sparse multilabel": lambda y: scipy.sparse.csr_array(np.column_stack([y > 0, y < 1]) * 1),
    "list": lambda y: np.digitize(y, [-0.5, 0.5]).tolist(),
    "longer": lambda y: np.append(y, y) > 0,
    "NaN": with_a(np.nan),
    "nothing": lambda y: None,
}
WEIGHTS = {
    "none": lambda n: None,
    "plain": lambda n: np.arange(1.0, n + 1),
    "float32": lambda n: np.ones(n, np.float32),
    "whole numbers": lambda n: np.arange(n),
    "a number": lambda n: 2.0,
    "list": lambda n: [1.5] * n,
    "zero": lambda n: np.zeros(n),
    "NaN": lambda n: np.full(n, np.nan),
    "longer": lambda n: np.ones(n + 1),
    "column": lambda n: np.ones((n, 1)),
}


def outcome(function):
    """What a call gives or raises, and what it warns of."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            result = function()
        except Exception as error:  # whatever it is, it has to be the same
            result = type(error), str(error)
    told = [(w.category, str(w.message)) for w in seen]
    return result, told


def data(n, seed):
    rng = np.random.RandomState(seed)
    X = rng.randn(n, N_FEATURES)
    return X, X @ [1.0, -1.0, 0.5] + 0.1 * rng.randn(n)


def same(a, b):
    """Whether two results are one: arrays bit for bit, with their types."""
    if isinstance(a, np.ndarray):
        if type(a) is not type(b) or a.dtype != b.dtype:
            return False
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if scipy.sparse.issparse(a):
        return same(a.toarray(), b.toarray())
    return a == b or a is b or (a != a and b != b)  # NaN


def assert_same_state(a, b):
    """Attribute by attribute; the optimizer's and the LabelBinarizer's, too."""
    hidden = {"_flat", "_turns", "_solver", "_training", "_looked_at", "_optimizer"}
    names = vars(a).keys() - hidden
    assert names == vars(b).keys() - hidden
    pairs = [(getattr(a, n), getattr(b, n), n) for n in sorted(names)]
    if "_label_binarizer" in names:
        one, other = vars(a._label_binarizer), vars(b._label_binarizer)
        assert one.keys() == other.keys()
        pairs += [(one[n], other[n], n) for n in one]
    if hasattr(a, "_optimizer"):
        one, other = vars(a._optimizer), vars(b._optimizer)
        assert one.keys() == other.keys()
        pairs += [(one[n], other[n], n) for n in one]
    for x, y, name in pairs:
        if isinstance(x, list):
            assert len(x) == len(y), name
            assert all(map(same, x, y)), name
        elif isinstance(x, np.random.RandomState):
            assert all(map(np.array_equal, x.get_state(), y.get_state()))
        elif name != "_label_binarizer":
            assert same(x, y), name


FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FEW
@given(
    form=st.sampled_from(sorted(FORMS)),
    fitted_on=st.sampled_from(["plain", "DataFrame", "float32"]),
    n=st.sampled_from([1, 2, 33]), kind=st.sampled_from(["regressor", "three", "two", "strings"]),
)  # fmt: skip
def test_predictions(form, fitted_on, n, kind):
    X, y = data(40, 1)
    ours, theirs = PAIRS[kind == "regressor"]
    params = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    y = y if kind == "regressor" else LABELS[kind](y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp = ours(**params).fit(FORMS[fitted_on](X), y)
        other = theirs(**params).fit(FORMS[fitted_on](X), y)
    rows = FORMS[form](data(n, 2)[0])
    for name in ("predict", "predict_proba")[: 1 + (kind != "regressor")]:
        short, told = outcome(lambda: getattr(mlp, name)(rows))  # noqa: B023
        with no_shortcuts():
            long, told_long = outcome(lambda: getattr(mlp, name)(rows))  # noqa: B023
        assert same(short, long)
        assert told == told_long
        expected, warned = outcome(lambda: getattr(other, name)(rows))  # noqa: B023
        assert [t for t in told if t[0] is not RuntimeWarning] == [
            t for t in warned if t[0] is not RuntimeWarning
        ]
        if isinstance(expected, tuple):
            assert short == expected
        elif isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
            assert (short.dtype, short.shape) == (expected.dtype, expected.shape)
            assert short.flags.f_contiguous == expected.flags.f_contiguous


@FEW
@given(
    call=st.sampled_from(["fit", "partial_fit"]), form=st.sampled_from(sorted(FORMS)),
    targets=st.sampled_from(sorted(TARGETS)), of_labels=st.sampled_from(sorted(LABELS)),
    plain=st.sampled_from([0, 1, 2]), weights=st.sampled_from(sorted(WEIGHTS)),
    before=st.sampled_from(["nothing", "fit", "partial_fit"]), classifier=st.booleans(),
    warm_start=st.booleans(), solver=st.sampled_from(["adam", "sgd", "lbfgs"]), data_=st.data(),
)  # fmt: skip
def test_fits(
    call, form, targets, of_labels, plain, weights, before, classifier, warm_start, solver, data_
):
    """Same errors, warnings, parameters and attributes, whatever is given."""
    X, y = data(24, 3)
    cls = PAIRS[not classifier][0]
    # two of the three are plain more often than chance has it
    form = form if plain != 0 else "plain"
    kind = (of_labels if plain != 1 else "three") if classifier else targets
    make = LABELS[kind] if classifier else TARGETS[kind if plain != 1 else "plain"]
    options = {}
    if VERSION >= (1, 7) and plain == 2 and weights != "none":
        options["sample_weight"] = WEIGHTS[weights](24)
    params = {
        "hidden_layer_sizes": data_.draw(st.sampled_from([(4,), [4], 4, (), np.array([4])])),
        "max_iter": data_.draw(st.integers(1, 4)), "random_state": 0, "solver": solver,
        "batch_size": data_.draw(st.sampled_from(["auto", 5, 24, 100])),
        "shuffle": data_.draw(st.booleans()), "warm_start": warm_start,
    }  # fmt: skip
    results = []
    for closed in (False, True):
        mlp = cls(**params)

        def run(mlp=mlp):
            if before != "nothing":
                known = {"classes": np.arange(3)} if classifier and before == "partial_fit" else {}
                given_ = LABELS["three"](y) if classifier else y
                getattr(mlp, before)(X, given_, **known)
            more = {"classes": [0, 1, 2]} if classifier and call == "partial_fit" else {}
            getattr(mlp, call)(FORMS[form](X), make(y), **options, **more)
            return True

        if closed:
            with no_shortcuts():
                results.append((mlp, *outcome(run)))
        else:
            results.append((mlp, *outcome(run)))
    (short, *seen), (long, *seen_long) = results
    assert seen == seen_long
    assert_same_state(short, long)


@pytest.mark.parametrize("value", [-1.0, "much", None, np.nan])
@pytest.mark.parametrize("ours", [cls for cls, _ in PAIRS])
def test_changed_parameters_are_validated_anew(ours, value):
    X, y = data(20, 0)
    mlp = ours(max_iter=1, random_state=0).fit(X, y > 0)
    mlp.fit(X, y > 0)
    mlp.set_params(alpha=value)
    with pytest.raises(ValueError, match="The 'alpha' parameter of"):
        mlp.fit(X, y > 0)
    mlp.alpha = 0
    mlp.fit(X, y > 0)
    mlp.activation = "rely"
    with pytest.raises(ValueError, match="Did you mean 'relu'"):
        mlp.fit(X, y > 0)
    with sklearn.config_context(skip_parameter_validation=True):
        with pytest.raises(ValueError, match="did you mean 'relu'"):
            mlp.fit(X, y > 0)


def test_values_are_known_with_their_type():
    """1 == True == 1.0, but they are not all valid."""
    X, y = data(20, 0)
    for value in (1, True, 1.0, np.float64(1), "1"):
        ours, theirs = (
            outcome(lambda cls=cls, value=value: cls(max_iter=value, alpha=value).fit(X, y) and 0)
            for cls in PAIRS[1]
        )
        if isinstance(ours[0], tuple):  # alpha takes one value more
            ours = (
                (ours[0][0], ours[0][1].replace(" or a str among {'evidence'}", "")),
                *ours[1:],
            )
        assert ours[0] == theirs[0]


def test_a_search_over_many_values_remembers_few(monkeypatch):
    monkeypatch.setattr(shortcuts.KnownParameters, "MOST", 50)
    X, y = data(10, 0)
    for alpha in np.linspace(0, 1, 100).tolist():
        fastnn.MLPRegressor(alpha=alpha, max_iter=1, hidden_layer_sizes=2).fit(X, y)
    assert len(fastnn.MLPRegressor._valid._known) < 100


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("looked", [False, True])
def test_partial_fit_goes_on_where_it_was(ours, theirs, solver, looked):
    """Over rows of changing number, edited and replaced parameters, settings and copies."""
    X, y = data(60, 4)
    y = np.digitize(y, [-0.5, 0.5]) if ours is fastnn.MLPClassifier else y
    known = {"classes": [0, 1, 2]} if ours is fastnn.MLPClassifier else {}
    params = {"hidden_layer_sizes": (5, 4), "solver": solver, "random_state": 3}
    pair = [ours(**params), theirs(**params)]

    def edit(mlp):
        mlp.coefs_[0][1, 2] += 0.25

    def replace(mlp):
        mlp.coefs_[1] = mlp.coefs_[1] * 0.5

    def more_alpha(mlp):
        mlp.set_params(alpha=0.3)

    def other_activation(mlp):
        mlp.activation = "tanh"

    def stay(mlp):
        pass

    def other_batches(mlp):
        mlp.batch_size = 1

    def no_shuffle(mlp):
        mlp.shuffle = False

    def slower(mlp):  # the optimizer keeps the rate that it was made with
        mlp.learning_rate_init = 1e-5

    steps = [
        stay, stay, edit, stay, replace, stay, more_alpha, stay, other_activation, other_batches,
        no_shuffle, stay, slower, stay,
    ]  # fmt: skip
    for i, step in enumerate(steps):
        rows = slice(i, i + (9, 1)[i // 3 % 2])
        for j, mlp in enumerate(pair):
            if i:
                step(mlp)
            mlp.partial_fit(X[rows], y[rows], **known)
            if looked and i % 2:
                assert mlp._optimizer is vars(mlp)["_optimizer"]
            if i == 5:
                pair[j] = copy.deepcopy(mlp)
            if i == 7:
                pair[j] = pickle.loads(pickle.dumps(mlp))
        a, b = pair
        np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-9)
        for x, z in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
            np.testing.assert_allclose(x, z, rtol=1e-9, atol=1e-12)
    assert (a.t_, a.n_iter_, a._no_improvement_count) == (b.t_, b.n_iter_, b._no_improvement_count)
    one, other = vars(a._optimizer), vars(b._optimizer)
    assert one.keys() == other.keys()
    for name, value in other.items():
        if isinstance(value, list):
            for x, z in zip(one[name], value, strict=True):
                np.testing.assert_allclose(x, z, rtol=1e-7, atol=1e-12)
        else:
            assert one[name] == value, name


def test_who_has_looked_at_the_optimizer_sees_and_steers_it():
    X, y = data(8, 5)
    mlp, other = (cls(hidden_layer_sizes=(4,), random_state=0) for cls in PAIRS[1])
    held = []
    for estimator in (mlp, other):
        estimator.partial_fit(X, y).partial_fit(X, y)
        held.append(estimator._optimizer)
        estimator.partial_fit(X, y)
        held[-1].learning_rate_init = 0.1
        held[-1].ms[0] *= 2
        estimator.partial_fit(X, y).partial_fit(X, y)
        assert estimator._optimizer is held[-1]
    ours, theirs = held
    assert ours.t == theirs.t == 5
    for x, z in zip(ours.ms + ours.vs, theirs.ms + theirs.vs, strict=True):
        np.testing.assert_allclose(x, z, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(mlp.coefs_[0], other.coefs_[0], rtol=1e-9)
    new = copy.copy(mlp)
    state = ours.ms[0].copy()
    new.partial_fit(X, y)
    np.testing.assert_array_equal(ours.ms[0], state)


def test_each_estimator_has_its_own_random_state():
    X, y = data(30, 0)
    a, b = (fastnn.MLPRegressor(random_state=0, max_iter=3, batch_size=7) for _ in range(2))
    a.fit(X, y)
    b.fit(X, y)
    assert a._random_state is not b._random_state
    assert a._random_state._bit_generator is not b._random_state._bit_generator
    after = a._random_state.get_state()
    b.partial_fit(X, y).partial_fit(X, y)
    assert all(map(np.array_equal, after, a._random_state.get_state()))
    theirs = originals.MLPRegressor(random_state=0, max_iter=3, batch_size=7).fit(X, y)
    assert all(map(np.array_equal, after, theirs._random_state.get_state()))


@pytest.mark.parametrize("make", [np.random.RandomState, lambda seed: None], ids=["own", "global"])
def test_a_random_state_of_others_is_left_where_scikit_learn_leaves_it(make):
    X, y = data(30, 0)
    left = []
    for cls in PAIRS[1]:
        given_ = make(5)
        np.random.seed(5)
        mlp = cls(random_state=given_, max_iter=40, batch_size=7, tol=0.5, n_iter_no_change=3)
        mlp.fit(X, y).partial_fit(X, y)
        left.append((mlp.n_iter_, (given_ or np.random).get_state()[1:3]))
    assert left[0][0] == left[1][0]
    assert all(map(np.array_equal, left[0][1], left[1][1]))


# ---- many epochs in one compiled call -----------------------------------------------------------


@FEW
@given(
    tol=st.sampled_from([0.0, 1e-4, 0.05, 0.5]), patience=st.sampled_from([1, 3, 10, np.inf]),
    schedule=st.sampled_from(["constant", "adaptive", "invscaling"]),
    solver=st.sampled_from(["adam", "sgd"]), max_iter=st.sampled_from([1, 7, 60]),
    longest=st.sampled_from([1, 5, 1000]), budget=st.sampled_from([1, 1e4, 2e8]),
    batch_size=st.sampled_from(["auto", 7]), shuffle=st.booleans(), warm=st.booleans(),
)  # fmt: skip
def test_the_compiled_rule_is_scikit_learns(
    monkeypatch, tol, patience, schedule, solver, max_iter, longest, budget, batch_size, shuffle,
    warm,
):  # fmt: skip
    from fastnn.estimators import fitting

    monkeypatch.setattr(fitting, "MOST_EPOCHS", longest)
    monkeypatch.setattr(work, "BUDGET", budget)
    X, y = data(30, 6)
    params = {
        "hidden_layer_sizes": (4,), "tol": tol, "n_iter_no_change": patience, "solver": solver,
        "learning_rate": schedule, "max_iter": max_iter, "batch_size": batch_size,
        "shuffle": shuffle, "random_state": 1, "learning_rate_init": 0.02, "warm_start": warm,
    }  # fmt: skip
    fits, told = [], []
    for cls in PAIRS[1]:
        mlp = cls(**params)
        for _ in range(1 + warm):
            _, warned = outcome(lambda mlp=mlp: mlp.fit(X, y))
        fits.append(mlp)
        told.append(warned)
    ours, theirs = fits
    assert told[0] == told[1]
    assert type(ours.loss_) is type(theirs.loss_)
    assert type(ours.best_loss_) is type(theirs.best_loss_)
    assert {type(v) for v in ours.loss_curve_} == {type(v) for v in theirs.loss_curve_}
    for name in ("n_iter_", "t_", "_no_improvement_count"):
        assert getattr(ours, name) == getattr(theirs, name), name
        assert type(getattr(ours, name)) is type(getattr(theirs, name)), name
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-7)
    np.testing.assert_allclose(ours._optimizer.learning_rate, theirs._optimizer.learning_rate)
    assert all(map(np.array_equal, ours._random_state.get_state()[1:3],
                   theirs._random_state.get_state()[1:3]))  # fmt: skip


def test_a_subclass_with_a_rule_of_its_own():
    calls = []

    class Impatient(fastnn.MLPRegressor):
        def _update_no_improvement_count(self, *args):
            calls.append(self.n_iter_)
            super()._update_no_improvement_count(*args)
            self._no_improvement_count = 100 if self.n_iter_ == 4 else 0

    X, y = data(20, 0)
    assert Impatient(random_state=0).fit(X, y).n_iter_ == 4
    assert calls == [1, 2, 3, 4]


def test_a_fit_is_one_compiled_call(monkeypatch):
    runs = []

    class Watched(kernels.build.Epochs):
        def until(self, stop):
            runs.append(self)
            super().until(stop)

    monkeypatch.setattr(kernels.build, "Epochs", Watched)
    X, y = data(30, 0)
    fastnn.MLPRegressor(random_state=0, max_iter=50, batch_size=7).fit(X, y)
    assert [run.n_calls for run in runs] == [1]


def test_warnings_come_from_scikit_learns_module():
    X, y = data(20, 0)
    for cls in PAIRS[1]:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("error")
            warnings.filterwarnings("always", module=r"sklearn\.neural_network")
            cls(max_iter=2, batch_size=50).fit(X, y)
        assert [w.category.__name__ for w in seen] == ["UserWarning", "ConvergenceWarning"]


# ---- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("n_classes", [1, 2, 3, 5])
def test_plain_labels_are_binarized_as_by_scikit_learn(dtype, n_classes):
    y = (np.arange(20) % n_classes * 3).astype(dtype)
    expected = sklearn.preprocessing.LabelBinarizer().fit(y)
    binarizer = labels.binarizer_of(y)
    assert vars(binarizer).keys() == vars(expected).keys()
    for name, value in vars(expected).items():
        assert same(getattr(binarizer, name), value), name
    targets = labels.columns(binarizer, y)
    np.testing.assert_array_equal(targets, expected.transform(y).astype(bool))
    assert targets.dtype == bool
    outputs = np.random.RandomState(0).rand(9, targets.shape[1])
    column = outputs.ravel() if targets.shape[1] == 1 else outputs
    assert same(labels.of_outputs(binarizer, outputs), expected.inverse_transform(column))


def test_unknown_labels_are_refused_as_by_scikit_learn():
    X, _ = data(6, 0)
    y = np.array([0, 1, 2, 0, 1, 2])
    for bad, warm in itertools.product([y + 1, y == 1, y.astype(np.int8) * 100], [False, True]):
        told = []
        for cls in PAIRS[0]:
            mlp = cls(random_state=0, warm_start=warm, max_iter=1)
            mlp.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
            told.append(outcome(lambda mlp=mlp, bad=bad: mlp.partial_fit(X, bad) and 0))
            told[-1] += (outcome(lambda mlp=mlp: mlp.partial_fit(X, y, classes=[0, 1]) and 0),)
        assert told[0] == told[1]


@needs_weights
def test_weights_by_position():
    X, y = data(10, 0)
    weights = np.arange(1.0, 11)
    a = fastnn.MLPRegressor(random_state=0, max_iter=2).fit(X, y, weights)
    b = fastnn.MLPRegressor(random_state=0, max_iter=2).fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])


@pytest.mark.parametrize("batch_size", [0, -3, 1, 7, 1000])
def test_partial_fit_clips_batch_sizes_as_scikit_learn_does(batch_size, rng):
    """It validates no parameters: a batch of no rows reached the kernels."""
    X, y = rng.rand(40, 3), rng.rand(40)
    ours, theirs = (
        cls(hidden_layer_sizes=(5,), random_state=0).partial_fit(X, y)
        for cls in (fastnn.MLPRegressor, originals.MLPRegressor)
    )
    for net in (ours, theirs):
        net.batch_size = batch_size
    heard = []
    for net in (ours, theirs):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            net.partial_fit(X, y)
        heard.append([str(warning.message) for warning in caught])
    assert heard[0] == heard[1]
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 2.5), ("alpha", "x")])
def test_partial_fit_refuses_other_types(name, value, rng):
    X, y = rng.rand(40, 3), rng.rand(40)
    net = fastnn.MLPRegressor(hidden_layer_sizes=(5,), random_state=0).partial_fit(X, y)
    before = [coef.copy() for coef in net.coefs_]
    setattr(net, name, value)
    with pytest.raises(TypeError, match=name):
        net.partial_fit(X, y)
    for a, b in zip(before, net.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_hidden_layer_sizes_may_be_another_equal_array(rng):
    X, y = rng.rand(40, 3), rng.rand(40)
    sizes = np.array([5, 4])
    one, other = (fastnn.MLPRegressor(hidden_layer_sizes=sizes, random_state=0) for _ in range(2))
    for _ in range(3):
        one.partial_fit(X, y)
        other.set_params(hidden_layer_sizes=sizes.copy()).partial_fit(X, y)
    for a, b in zip(one.coefs_, other.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
