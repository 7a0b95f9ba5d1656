"""The public calls whose allocations fail in test_allocations: CASES, by name."""

import copy
import pickle

import allocations
import numpy as np
from allocations import Case, content
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fastnn import (
    MLPClassifier,
    MLPRegressor,
    Network,
    find_learning_rate,
    fit_many,
    threads,
    tutorial,
    work,
)

RNG = np.random.RandomState(0)
X, Y = RNG.rand(40, 3), RNG.rand(40)
LABELS = (Y > 0.5).astype(int)
MANY_X, MANY_Y = RNG.rand(6_000, 20), RNG.rand(6_000, 3)
CASES = {}


def case(name, *args, **kwargs):
    CASES[name] = lambda: Case(*args, **kwargs)


# ---- networks ----

OWN = (lambda a, y: (a - y) ** 2 / 2, lambda a, y: a - y)
FITS = {
    "adam": {}, "sgd": {"solver": "sgd", "momentum": 0.9}, "rprop": {"solver": "rprop"},
    "average": {"ema": 0.9}, "dropout": {"dropout": 0.2, "solver": "nadam"},
    "schedule": {"solver": "sgd", "learning_rate": "step"},
    "callback": {"callback": lambda net: None}, "own loss": {"loss": OWN},
    "weights": {"sample_weight": np.arange(40.0), "solver": "rmsprop"}, "float32": {"dtype": "f4"},
    "validation": {"X_val": X[:9], "y_val": Y[:9]},
    "best": {"X_val": X[:9], "y_val": Y[:9], "n_iter_no_change": 3},
    "whole": {"batch_size": 40}, "lists": {"X": X.tolist(), "y": Y.tolist()},
}  # fmt: skip


def fit_case(units=(3, 4, 1), X=X, y=Y, **options):
    options = {"max_iter": 4, "batch_size": 16, **options}
    made = {name: options.pop(name) for name in ("loss", "dtype", "n_jobs") if name in options}
    steps = 1 if options.get("solver") == "rprop" else -(-len(X) // options["batch_size"])
    if options.get("solver") == "rprop":
        del options["batch_size"]

    def new():
        return Network(units, "tanh", random_state=0, **made)

    seen = []

    def look(net):
        seen.append(net.params_.tobytes())

    look(new())
    whole = new()
    given = options.get("callback")
    whole.fit(X, y, **{**options, "callback": [given, look] if given else look})

    def check(net, error):
        n, state = len(net.loss_curve_), net._state
        assert net.loss_curve_ == whole.loss_curve_[:n], "another curve"
        if "loss" in made:  # one's own, whose epochs are many calls
            n_steps = 0 if state is None else state.n_steps
            assert steps * n <= n_steps <= steps * (n + 1), f"{n_steps} steps, {n} losses"
        elif "ema" not in options or allocations.IN_A_ROW == 1:  # else perhaps without an average
            assert net.params_.tobytes() in seen, "parameters of no epoch"
            k = seen.index(net.params_.tobytes())
            n_steps = 0 if state is None else state.n_steps
            assert n == k or (n < k and allocations.IN_A_ROW > 1), f"{n} losses, {k} epochs"
            assert n_steps == steps * n, f"{n_steps} steps, {n} losses"
        assert net._step is None
        net.partial_fit(X, y)
        assert np.isfinite(net.fit(X, y, max_iter=1).predict(X)).all()

    return Case(new, lambda net: net.fit(X, y, **options), check)


for how, options in FITS.items():
    CASES[f"fit, {how}"] = lambda options=options: fit_case(**options)


def many_threads():
    """As if this process had 4 cores, and all work were worth them, in parts of 1,024 rows."""
    threads._available, work.WORTH_A_THREAD, work.BUDGET = lambda: 4, 0, 1e6


def threads_case(call=None, units=None):
    many_threads()
    if call is None:
        return fit_case(NARROW, MANY_X, MANY_Y, batch_size=6_000, max_iter=2, solver="sgd")
    return Case(lambda: Network(units, "tanh", random_state=0), call)


CASES["fit, four threads"] = threads_case
NARROW, WIDE = (20, 40, 3), (20, 300, 50, 3)  # narrow nets predict without threads
IN_THREADS = {
    "predict": (lambda net: net.predict(MANY_X), WIDE),
    "loss": (lambda net: net.loss(MANY_X, MANY_Y), NARROW),
    "loss_and_grad": (lambda net: net.loss_and_grad(MANY_X, MANY_Y), NARROW),
}
for how, given in IN_THREADS.items():
    CASES[f"{how}, four threads"] = lambda given=given: threads_case(*given)


def many_case(layout, n_jobs):
    """Networks of which each is as some epoch left it."""
    many_threads()
    n_epochs = [3, 1, 4, 2, 3]

    def new():
        return [Network([3, 4, 1], "tanh", random_state=i) for i in range(5)]

    def call(nets):
        return fit_many(nets, X, Y, max_iter=n_epochs, batch_size=16, layout=layout, n_jobs=n_jobs)

    seen = [{new()[i].params_.tobytes(): []} for i in range(5)]
    for i, n in enumerate(n_epochs):
        for k in range(1, n + 1):
            net = new()[i]
            fit_many([net], X, Y, max_iter=k, batch_size=16, layout=layout, n_jobs=1)
            seen[i][net.params_.tobytes()] = net.loss_curve_

    def check(nets, error):
        for i, net in enumerate(nets):
            assert net.params_.tobytes() in seen[i], "parameters of no epoch"
            if allocations.IN_A_ROW == 1:
                assert net.loss_curve_ == seen[i][net.params_.tobytes()], "another curve"
            assert net._n_jobs is None
            net._random_state.rand()  # nobody holds its lock
            net.partial_fit(X, Y)
            assert np.isfinite(net.fit(X, Y, max_iter=1).predict(X)).all()

    return Case(new, call, check)


for how, given in {"": ("samples", 1), ", lanes": ("nets", 1), ", two threads": ("samples", 2),
                   ", lanes, two threads": ("nets", 2)}.items():  # fmt: skip
    CASES[f"fit_many{how}"] = lambda given=given: many_case(*given)


def small_net():
    return Network([3, 4, 1], "tanh", random_state=0)


def trained_net(**options):
    return small_net().partial_fit(X, Y, **options)


def partial_fit_case(new, **options):
    seen, net = [], new()
    for _ in range(4):
        seen.append((net.params_.tobytes(), list(net.loss_curve_)))
        net.partial_fit(X, Y, **options)

    def check(net, error):
        params = [one for one, _ in seen]
        if allocations.IN_A_ROW > 1:
            net.partial_fit(X, Y)
            assert np.isfinite(net.fit(X, Y, max_iter=1).predict(X)).all()
            return
        assert net.params_.tobytes() in params, "parameters of no step"
        k = params.index(net.params_.tobytes())
        assert net.loss_curve_ == seen[k][1], f"{len(net.loss_curve_)} losses, epoch {k}"
        steps = 0 if net._state is None else net._state.n_steps
        assert steps == len(seen[k][1]) * seen_steps, f"{steps} steps, epoch {k}"
        net.partial_fit(X, Y)
        assert np.isfinite(net.fit(X, Y, max_iter=1).predict(X)).all()

    seen_steps = -(-len(X) // options.get("batch_size", 200))
    return Case(
        new, lambda net: net.partial_fit(X, Y, **options).partial_fit(X, Y, **options), check
    )


CASES["partial_fit, first"] = lambda: partial_fit_case(small_net)
CASES["partial_fit, again"] = lambda: partial_fit_case(trained_net)
CASES["partial_fit, batches"] = lambda: partial_fit_case(small_net, batch_size=16)
CASES["partial_fit, dropout"] = lambda: partial_fit_case(small_net, dropout=0.5)
CASES["partial_fit, average"] = lambda: partial_fit_case(small_net, ema=0.9)


def nothing():
    return None


case("Network", nothing, lambda _: Network([3, 5, 4, 1], ["tanh", "silu", "sigmoid"], loss="huber",
                                           random_state=0))  # fmt: skip
case("Network, orthogonal", nothing, lambda _: Network([3, 5, 1], init="orthogonal",
                                                       random_state=0))  # fmt: skip
case("from_params", nothing, lambda _: Network.from_params(np.arange(21.0), [3, 4, 1], "tanh"))
METHODS = {
    "predict": lambda net: net.predict(X), "predict, a list": lambda net: net.predict(X.tolist()),
    "predict, a row": lambda net: net.predict(X[:1]), "forward": lambda net: net.forward(X),
    "predict, many rows": lambda net: net.predict(np.ones((5000, 3))),
    "loss": lambda net: net.loss(X, Y[:, None]), "loss, a list": lambda net: net.loss(
        X.tolist(), Y.tolist(), alpha=1, sample_weight=np.ones(40)),
    "loss, many rows": lambda net: net.loss(np.ones((3000, 3)), np.ones(3000)),
    "loss_and_grad": lambda net: net.loss_and_grad(X, Y[:, None]),
    "loss_and_grad, many rows": lambda net: net.loss_and_grad(np.ones((3000, 3)), np.ones(3000)),
    "copy": lambda net: net.copy(), "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "repr": repr, "summary": lambda net: str(net.summary(100)),
    "check_data": lambda net: net.check_data(X.tolist(), Y.tolist()),
    "find_learning_rate": lambda net: find_learning_rate(net, X, Y, n_steps=5, random_state=0),
}  # fmt: skip
for how, call in METHODS.items():
    case(how, trained_net, call)


def whole_or_not(part, whole):
    """A check that one attribute is either as before or as after."""

    def check(net, error):
        assert content(part(net)) == content(whole), "half of it"

    return check


STATE = small_net().fit(X, Y, max_iter=2).__getstate__()
case("setstate", trained_net, lambda net: net.__setstate__(copy.deepcopy(STATE)),
     lambda net, error: net.partial_fit(X, Y).predict(X))  # fmt: skip
case("params_", trained_net, lambda net: setattr(net, "params_", np.arange(21.0)),
     whole_or_not(lambda net: net.params_, np.arange(21.0)))  # fmt: skip
NEW_COEFS = [np.ones((3, 4)), np.ones((4, 1))]
LISTS = [one.tolist() for one in NEW_COEFS]
case("coefs_", trained_net, lambda net: setattr(net, "coefs_", LISTS),
     whole_or_not(lambda net: net.coefs_[:], NEW_COEFS))  # fmt: skip


# ---- estimators ----


def estimator_case(cls, method, first=False, **options):
    y = LABELS if cls is MLPClassifier else Y
    options = {"hidden_layer_sizes": (4,), "max_iter": 4, "random_state": 0, **options}
    given = {"classes": [0, 1]} if cls is MLPClassifier and method == "partial_fit" else {}

    def new():
        return cls(**options) if first else cls(**options).fit(X, y)

    def call(mlp):
        return content(getattr(mlp, method)(X, y, **given).coefs_)

    curves, seen = {}, []
    for epochs in range(5):
        one = new()
        if epochs and method == "fit":
            if options.get("solver") == "lbfgs":
                break
            one.set_params(max_iter=epochs).fit(X, y)
        elif epochs:
            for _ in range(epochs):
                one.partial_fit(X, y, **given)
        seen.append(content([*getattr(one, "coefs_", []), *getattr(one, "intercepts_", [])]))
        curves[len(seen) - 1] = list(getattr(one, "loss_curve_", []))

    def check(mlp, error):
        try:
            assert np.isfinite(mlp.predict(X)).all()
        except NotFittedError:
            assert first
        if hasattr(mlp, "coefs_"):
            assert len(mlp.coefs_) == len(mlp.intercepts_) == 2, "half a net"
        if options.get("solver") != "lbfgs" and "early_stopping" not in options:
            now = content([*getattr(mlp, "coefs_", []), *getattr(mlp, "intercepts_", [])])
            if now in seen:
                k, n = seen.index(now), len(getattr(mlp, "loss_curve_", []))
                whole = k == 0 or mlp.loss_curve_ == curves[k]
                short = n == 0 or mlp.loss_curve_ == curves[k][:n]
                assert whole or (short and allocations.IN_A_ROW > 1), f"{n} losses, epoch {k}"
            else:  # what fit draws at first
                assert getattr(mlp, "loss_curve_", []) == [], "a curve, parameters of no epoch"
            mlp.partial_fit(X, y, **({"classes": [0, 1]} if cls is MLPClassifier else {}))
        mlp.fit(X, y).predict(X)
        assert mlp.n_iter_ >= 1

    return Case(new, call, check)


for cls in (MLPClassifier, MLPRegressor):
    for how, options in {
        "first fit": {"first": True}, "fit": {}, "fit, sgd": {"solver": "sgd"},
        "fit, lbfgs": {"solver": "lbfgs"}, "fit, early stopping": {"early_stopping": True},
        "first partial_fit": {"first": True}, "partial_fit": {},
        "partial_fit, sgd": {"solver": "sgd"},
    }.items():  # fmt: skip
        method = "partial_fit" if "partial" in how else "fit"
        CASES[f"{cls.__name__}, {how}"] = lambda cls=cls, method=method, options=options: (
            estimator_case(cls, method, **options)
        )


def fitted(cls):
    def new():
        y = LABELS if cls is MLPClassifier else Y
        return cls(hidden_layer_sizes=(4,), max_iter=4, random_state=0).fit(X, y)

    return new


for how, call in {
    "predict": lambda mlp: mlp.predict(X), "predict, a row": lambda mlp: mlp.predict(X[:1]),
    "predict_proba": lambda mlp: mlp.predict_proba(X),
    "score": lambda mlp: mlp.score(X, LABELS), "clone": clone, "deepcopy": copy.deepcopy,
    "pickle": lambda mlp: pickle.loads(pickle.dumps(mlp)),
    "find_learning_rate": lambda mlp: find_learning_rate(mlp, X, LABELS, n_steps=5,
                                                         random_state=0),
}.items():  # fmt: skip
    case(f"MLPClassifier, {how}", fitted(MLPClassifier), call)
case("MLPRegressor, predict", fitted(MLPRegressor), lambda mlp: mlp.predict(X))
case("MLPRegressor, score", fitted(MLPRegressor), lambda mlp: mlp.score(X, Y))


# ---- the tutorial ----


def tutorial_net():
    np.random.seed(0)
    return tutorial.create_nn([3, 4, 1], tutorial.sigm)


def layers_of(net):
    return [content([layer.W, layer.b]) for layer in net]


def tutorial_case(epochs, steps=3):
    def call(net):
        return [
            tutorial.train(net, X, Y[:, None], tutorial.l2_cost, epochs=epochs)
            for _ in range(steps)
        ]

    seen, net = [layers_of(tutorial_net())], tutorial_net()
    for _ in range(epochs * steps):
        tutorial.train(net, X, Y[:, None], tutorial.l2_cost)
        seen.append(layers_of(net))

    def check(net, error):
        assert layers_of(net) in seen, "parameters of no step"
        assert seen.index(layers_of(net)) % epochs == 0
        tutorial.train(net, X, Y[:, None], tutorial.l2_cost)

    return Case(tutorial_net, call, check)


case("create_nn", nothing, lambda _: tutorial_net())
CASES["train, a step"] = lambda: tutorial_case(1)
CASES["train, many steps"] = lambda: tutorial_case(4)
case("train, forward", tutorial_net,
     lambda net: [tutorial.train(net, X, None, tutorial.l2_cost, train=False)
                  for _ in range(2)])  # fmt: skip


# ---- calls with faults ----


class Forgetful:
    """A call that loses a parameter where memory fails, or that reports another error."""

    def __init__(self, how):
        self.how = how

    def __call__(self, net):
        kept = net.params_[0]
        net.params_[0] = 0
        try:
            made = [bytearray(1000) for _ in range(30)]
        except MemoryError:
            if self.how == "hides it":
                raise ValueError("no") from None
            raise
        net.params_[0] = kept
        return len(made)


for how in ("loses one", "hides it"):
    CASES[f"planted, {how}"] = lambda how=how: Case(trained_net, Forgetful(how))
PLANTED = [name for name in CASES if name.startswith("planted")]

# ---- threads ----


def threaded_fit():
    net = Network(NARROW, "tanh", random_state=0)
    return net.fit(MANY_X, MANY_Y, batch_size=6_000, max_iter=2, solver="sgd").params_


THREADED = {
    "fit": threaded_fit,
    "predict": lambda: Network(WIDE, "tanh", random_state=0).predict(MANY_X),
    "loss": lambda: Network(NARROW, "tanh", random_state=0).loss_and_grad(MANY_X, MANY_Y),
}
