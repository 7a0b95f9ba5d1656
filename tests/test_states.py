"""States of networks: what goes into a pickle comes back, and nothing else is taken."""

import pickle

import numpy as np
import pytest

from fastnn import Network
from fastnn.parameters import SolverState
from fastnn.training.losses import LossOf

RNG = np.random.RandomState(0)
X, Y = RNG.randn(20, 3), RNG.rand(20, 2)
OPTIONS = [
    {}, {"solver": "sgd"}, {"solver": "sgd", "momentum": 0.9}, {"solver": "rmsprop"},
    {"solver": "rprop"}, {"solver": "lm"}, {"solver": "lbfgs"}, {"ema": 0.9},
    {"dropout": 0.2, "input_noise": 0.1},
    {"solver": "sgd", "ema": 0.5, "dropout": 0.1},
]  # fmt: skip
QUANTILES = {"loss": "quantile", "quantile": [0.1, 0.9]}


def fitted(loss=None, dtype="f8", **options):
    net = Network([3, 4, 2], "tanh", random_state=0, dtype=dtype, **(loss or {}))
    return net.fit(X, Y[:, :1] if loss == QUANTILES else Y, max_iter=2, **options)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("loss", [None, QUANTILES, {"loss": "huber", "delta": 0.5}])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_state_comes_back(options, loss, dtype):
    if options == {"solver": "lm"} and loss == QUANTILES:  # which have no curvature
        return
    net = fitted(loss, dtype, **options)
    y = Y[:, :1] if loss == QUANTILES else Y
    for other in (pickle.loads(pickle.dumps(net)), net.copy()):
        assert repr(other) == repr(net)
        assert other.loss_curve_ == net.loss_curve_
        other.partial_fit(X, y, **options)
        np.testing.assert_array_equal(
            other.params_, net.copy().partial_fit(X, y, **options).params_
        )


def test_before_any_step():
    net = Network([3, 4, 2], random_state=0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).params_, net.params_)


def test_an_average_that_nobody_has_seen():
    net = Network([3, 4, 2], random_state=0, out_activation="identity")
    with pytest.raises(FloatingPointError):
        net.fit(X, 1e300 * Y, ema=0.9)
    pickle.loads(pickle.dumps(net)).fit(X, Y, ema=0.9, max_iter=1)


def bad(**changes):
    return lambda state: state.update(changes)


def without(name):
    return lambda state: state.pop(name)


def of_solver(**changes):
    return lambda state: state.update(_solver={**state["_solver"], **changes})


BAD = {
    "no units": bad(_layer_units=()),
    "one layer": bad(_layer_units=(3,)),
    "a layer of 0": bad(_layer_units=(3, 0, 2)),
    "a layer of -1": bad(_layer_units=(3, -1, 2)),
    "others": bad(_layer_units=(2, 4, 2)),
    "as many": bad(_layer_units=(2, 5, 2), _params=np.zeros(26)),
    "far too many": bad(_layer_units=(3, 2**40, 2)),
    "units as text": bad(_layer_units="342"),
    "units with fractions": bad(_layer_units=(3, 4.5, 2)),
    "no activation": bad(_activations=()),
    "one activation": bad(_activations=("tanh",)),
    "three": bad(_activations=("tanh",) * 3),
    "an unknown one": bad(_activations=("tanh", "zzz")),
    "softmax inside": bad(_activations=("softmax", "identity")),
    "a name": bad(_activations="tanh"),
    "a loss of no name": bad(_loss="zzz"),
    "no loss": bad(_loss=None),
    "a loss without its number": bad(_loss=LossOf("huber")),
    "one number for two outputs": bad(_loss=LossOf("huber", (1.0,))),
    "a number too many": bad(_loss=LossOf("squared_error", (1.0, 1.0))),
    "levels that fall": bad(_loss=LossOf("quantile", (0.9, 0.1))),
    "numbers that are none": bad(_loss=LossOf("huber", (1.0, "1"))),
    "functions of another loss": bad(_loss=LossOf("squared_error", (), (min, max))),
    "functions that are none": bad(_loss=LossOf("given", (), (1, 2))),
    "no parameters": bad(_params=None),
    "too few": lambda state: state.update(_params=state["_params"][:-1]),
    "too many": lambda state: state.update(_params=np.append(state["_params"], 1.0)),
    "in two dimensions": lambda state: state.update(_params=state["_params"][None]),
    "of another type": lambda state: state.update(_params=state["_params"].astype("f4")),
    "swapped bytes": lambda state: state.update(_params=state["_params"].astype(">f8")),
    "a list": lambda state: state.update(_params=state["_params"].tolist()),
    "float32": bad(_dtype=np.dtype("f4")),
    "whole numbers": bad(_dtype=np.dtype("i4")),
    "a small state": bad(_state=np.zeros((2, 3))),
    "one vector for two": lambda state: state.update(_state=state["_state"][:1]),
    "four": bad(_state=np.zeros((4, 26))),
    "a state of another type": lambda state: state.update(_state=state["_state"].astype("f4")),
    "no solver": bad(_solver=None),
    "a solver without numbers": bad(_solver={"solver": "adam"}),
    "an unknown solver": of_solver(solver="zzz"),
    "a solver with fewer vectors": of_solver(solver="rmsprop", shown=np.zeros(26)),
    "steps below 0": of_solver(n_steps=-1),
    "half a step": of_solver(n_steps=0.5),
    "a seed of text": of_solver(seed="1"),
    "no last loss": of_solver(last_loss=None),
    "an average of others": of_solver(shown=np.zeros(3), raw=np.zeros(3)),
    "half an average": of_solver(raw=np.zeros(3)),
    "a random state of text": bad(_random_state="0"),
    "no threads": bad(_n_jobs=0),
    "losses below 0 epochs": bad(_dropped=-1),
    "losses of text": bad(loss_curve_=["1"]),
    "no curve": bad(loss_curve_=None),
    "a checksum of text": bad(_drawn="1"),
    **{f"without {name}": without(name) for name in (
        "_layer_units", "_activations", "_loss", "_dtype", "_params", "_state", "_random_state",
        "_n_jobs", "_dropped", "_drawn", "loss_curve_",
    )},
}  # fmt: skip


@pytest.mark.parametrize("change", BAD)
def test_what_does_not_fit_together_is_refused(change):
    state = fitted().__getstate__()
    BAD[change](state)
    other = fitted(solver="sgd", dtype="f4")
    before = other.copy()
    with pytest.raises((TypeError, ValueError)):
        other.__setstate__(state)
    np.testing.assert_array_equal(other.params_, before.params_)
    other.partial_fit(X, Y, solver="sgd")
    np.testing.assert_array_equal(other.params_, before.partial_fit(X, Y, solver="sgd").params_)
    with pytest.raises((TypeError, ValueError)):
        Network.__new__(Network).__setstate__(state)


@pytest.mark.parametrize("state", [None, 1, [], "state"])
def test_other_things_are_no_state(state):
    with pytest.raises(TypeError, match="a network's state is a dict"):
        fitted().__setstate__(state)


def test_what_kernels_train_is_a_copy():
    state = fitted().__getstate__()
    frozen = np.frombuffer(state["_params"].tobytes())
    net = Network.__new__(Network)
    net.__setstate__({**state, "_params": frozen})
    before = frozen.copy()
    net.fit(X, Y, max_iter=1)
    np.testing.assert_array_equal(frozen, before)


def test_states_of_a_version_before():
    """Whose loss was a name, and whose solver's state was one object."""
    net = fitted()
    state = net.__getstate__()
    solver = {**state.pop("_solver"), "solver": net._state.solver}
    state["_state"] = SolverState(packed=state["_state"], **solver)
    state["_loss"] = "squared_error"
    old = Network.__new__(Network)
    old.__setstate__(state)
    old.partial_fit(X, Y)
    np.testing.assert_array_equal(old.params_, net.partial_fit(X, Y).params_)


@pytest.mark.parametrize("solver", [None, -1, 99, [], True, "adam"])
def test_an_unknown_solver_of_a_version_before(solver):
    net = fitted()
    state = net.__getstate__()
    numbers = {**state.pop("_solver"), "solver": solver}
    with pytest.raises(ValueError, match="the state's solver is unknown"):
        net.__setstate__({**state, "_state": SolverState(packed=state["_state"], **numbers)})
