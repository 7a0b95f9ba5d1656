"""Every array that a kernel is handed has its length compared before it is read or written.

Each call below is right; with any one of its arrays a row, a column or an element shorter or
longer it is refused, or does the same as before where more room is no harm. Under AddressSanitizer
(`.ci/run sanitize`) the file also shows that nothing else was touched.
"""

import numpy as np
import pytest
from cases import codes_of, new_workspace, step_of, units_of

from fastnn import kernels as builds
from fastnn.parameters import count_params

UNITS, N, OUTPUTS = (3, 5, 2), 7, 2
CODES = codes_of("tanh", "identity")
ADAM = {"loss": "squared_error", "solver": "adam", "batch_size": 4, "budget": np.inf}


def arguments(module, dtype, weighted=False):
    """Name of a kernel -> its arguments, right ones; in dicts, so that one can be replaced."""
    rng = np.random.RandomState(0)

    def draw(*shape):
        return rng.uniform(0.1, 0.9, shape).astype(dtype)

    units, size = units_of(*UNITS), module.packed_size(units_of(*UNITS), dtype.itemsize)
    packed = builds.aligned_zeros(3 * size, dtype).reshape(3, size)
    n_params = count_params(UNITS)
    net = {"params": draw(n_params), "layer_units": units, "activations": CODES}
    rows = {"x": draw(N, 3), "columns": np.empty(0, np.int32), "row_starts": np.empty(0, np.intp)}
    sparse = {
        "x": draw(1, 9), "columns": np.arange(9, dtype=np.int32) % 3,
        "row_starts": np.array([0, 2, 3, 3, 5, 6, 8, 9]),
    }  # fmt: skip
    y = draw(N, OUTPUTS + weighted)
    workspace = new_workspace(module, units, N, dtype, -1, weighted=weighted)
    one = {name: new_workspace(module, units_of(*u), N, dtype) for name, u in LAYERS.items()}
    train = {
        "packed_rows": packed, "layer_units": units, "activations": CODES,
        "step": step_of(**ADAM, loss_numbers=[0.5] * OUTPUTS, dropout=[0.1, 0.0]),
        "workspace": new_workspace(module, units, 4, dtype, 2, weighted=weighted),
    }  # fmt: skip
    calls = {
        "pack": net | {"workspace": workspace, "packed": packed[0]},
        "unpack": {"packed": packed[0]} | net | {"workspace": workspace},
        "forward": net | rows | {"workspace": workspace, "out": draw(N, OUTPUTS)},
        "forward, sparse": net | sparse | {"workspace": workspace, "out": draw(N, OUTPUTS)},
        "forward, every layer": net | rows | {"workspace": workspace, "out": draw(N, 7)},
        "dense_forward": {
            "x": draw(N, 3), "coef": draw(3, 5), "intercept": draw(5), "activation": 1,
            "workspace": one["dense"], "out": draw(N, 5),
        },
        "propagate_delta": {
            "delta": draw(N, 5), "coef": draw(3, 5), "a": draw(N, 3), "activation": 1,
            "workspace": one["dense"], "out": draw(N, 3),
        },
        "softmax": {"z": draw(N, 5), "workspace": one["softmax"], "out": draw(N, 5)},
        "activate": {"x": draw(N), "activation": 1, "out": draw(N)},
        "derivative": {"x": draw(N), "activation": 1, "out": draw(N)},
        "loss_and_grad": {
            **net, "step": train["step"], **rows, "y": y, "workspace": workspace,
            "grads": draw(n_params),
        },
        "solver_update": {
            "params": draw(N), "grads": draw(N), "states": np.zeros((2, N), dtype),
            "step": step_of(**ADAM), "t": 1,
        },
        "train_epoch": {
            "params": net["params"], **train, **rows, "y": y,
            "order": np.arange(N), "team": None,
            "cursor": builds.new_cursor(stop=2).view(np.uint8), "loss_curve": np.zeros(2),
            "output": draw(N, OUTPUTS), "bit_generator": np.random.MT19937(0),
            "stopping": builds.new_stopping(best_loss=np.inf, finite=-1).view(np.uint8),
            "kept": packed[1:].copy(), "schedule": np.ones((3, 3)),
        },
    }  # fmt: skip
    if not weighted:
        calls["train_epoch, sparse"] = calls["train_epoch"] | sparse
    return calls


LAYERS = {"dense": (3, 5), "softmax": (5, 5)}
NAMES = [
    "pack", "unpack", "forward", "forward, sparse", "forward, every layer", "dense_forward",
    "propagate_delta", "softmax", "activate", "derivative", "loss_and_grad", "solver_update",
    "train_epoch", "train_epoch, sparse",
]  # fmt: skip
ROOMY = {"packed_rows", "workspace", "step", "cursor", "loss_curve", "stopping", "states"}


def is_no_harm(argument, axis, more):
    """Whether a call may go on: with more room, a column of weights, fewer rows of a schedule."""
    if argument == "y":
        return (axis, more) == (1, 1)
    return axis == 0 and ((argument in ROOMY and more > 0) or argument == "schedule")


def call(module, name, given):
    return getattr(module, name.partition(",")[0])(**given)


def other_lengths(array):
    """The array with a row or column less or more, in fresh memory of exactly that length."""
    for axis in range(array.ndim):
        for more in (-1, 1):
            shape = list(array.shape)
            shape[axis] += more
            other = np.zeros(shape, array.dtype)
            part = tuple(slice(min(n, m)) for n, m in zip(shape, array.shape, strict=True))
            other[part] = array[part]
            yield (axis, more), other


@pytest.mark.parametrize("name", NAMES)
def test_other_lengths_are_refused(kernels, dtype, name):
    given = arguments(kernels, dtype)[name]
    call(kernels, name, given)
    n_refused = 0
    for argument, array in given.items():
        if not isinstance(array, np.ndarray) or array.size == 0:
            continue
        if argument == "workspace" and "pack" in name:  # they need little of it
            array = array[:64]
            with pytest.raises(ValueError, match="workspace has 64"):
                call(kernels, name, {**given, argument: array})
            continue
        for (axis, more), other in other_lengths(array):
            if is_no_harm(argument, axis, more):
                continue
            with pytest.raises(ValueError, match=r"elements|do not go|layer_units"):
                call(kernels, name, {**given, argument: other})
            n_refused += 1
    assert n_refused >= 2


@pytest.mark.parametrize("name", ["loss_and_grad", "train_epoch"])
def test_weights_need_their_workspace(kernels, dtype, name):
    given = arguments(kernels, dtype, weighted=True)[name]
    call(kernels, name, given)
    with pytest.raises(ValueError, match="workspace has"):
        call(kernels, name, given | {"workspace": given["workspace"][:-1]})


@pytest.mark.parametrize("units", [(3, 0, 2), (3, -1, 2), (0, 5, 2), (2**31, 2**31, 2**31), (3,)])
def test_units_that_make_no_net(kernels, dtype, units):
    given = arguments(kernels, dtype)
    for name in ("pack", "unpack", "forward", "loss_and_grad", "train_epoch"):
        with pytest.raises(ValueError, match="layer_units"):
            call(kernels, name, given[name] | {"layer_units": units_of(*units)})
    for measure in (
        lambda u: kernels.workspace_size(u, 1, 8, 0, 1),
        lambda u: kernels.packed_size(u, 8),
        lambda u: kernels.useful_threads(u, 1, 8, 2),
    ):
        with pytest.raises(ValueError, match="layer_units"):
            measure(units_of(*units))


def test_records_that_point_elsewhere(kernels, dtype):
    given = arguments(kernels, dtype)["train_epoch"]
    for fields, message in (
        ({"stop": 3}, "loss_curve"), ({"stop": 2, "epoch": -1}, "epoch -1"),
        ({"stop": 2, "row": N + 1}, "row 8"), ({"stop": 2, "row": -1}, "row -1"),
    ):  # fmt: skip
        cursor = builds.new_cursor(**fields).view(np.uint8)
        with pytest.raises(ValueError, match=message):
            call(kernels, "train_epoch", given | {"cursor": cursor})
    for step in (
        step_of(**ADAM | {"batch_size": 0}), step_of(**ADAM | {"batch_size": -1}),
        step_of(**ADAM | {"batch_size": 2**60}), step_of(**ADAM, loss_numbers=[0.5]),
        step_of(**ADAM, dropout=[0.1]), step_of(**ADAM, ema=0.9),
        step_of(**ADAM, loss_numbers=[0.5] * OUTPUTS)[:-8],
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"batch_size is|elements"):
            call(kernels, "train_epoch", given | {"step": step})
    sparse = arguments(kernels, dtype)["train_epoch, sparse"]
    starts = sparse["row_starts"].copy()
    starts[0] = -1
    with pytest.raises(ValueError, match="row_starts begins"):
        call(kernels, "train_epoch, sparse", sparse | {"row_starts": starts})


IN_INIT = ("packed_rows", "layer_units", "activations", "step", "workspace", "cursor")
IN_BEGIN = (
    "params", "x", "columns", "row_starts", "y", "order", "team", "loss_curve", "output",
    "bit_generator", "stopping", "kept", "schedule",
)  # fmt: skip


@pytest.mark.parametrize("name", ["train_epoch", "train_epoch, sparse"])
def test_epochs_compare_lengths(kernels, dtype, name):
    given = arguments(kernels, dtype)[name]

    def train(given):
        epochs = kernels.Epochs(*(given[argument] for argument in IN_INIT))
        epochs.begin(*(given[argument] for argument in IN_BEGIN))
        epochs.until(2)

    train(given)
    for argument, array in given.items():
        if not isinstance(array, np.ndarray) or array.size == 0:
            continue
        for (axis, more), other in other_lengths(array):
            if is_no_harm(argument, axis, more):
                continue
            with pytest.raises(ValueError, match=r"elements|do not go|layer_units"):
                train({**given, argument: other})
    with pytest.raises(ValueError, match="budget of 0"):
        train(given | {"step": step_of(**ADAM | {"budget": 0.0})})
    epochs = kernels.Epochs(*(given[argument] for argument in IN_INIT))
    epochs.begin(*(given[argument] for argument in IN_BEGIN))
    with pytest.raises(ValueError, match="loss_curve has 2"):
        epochs.until(3)
    with pytest.raises(ValueError, match="epoch is -1"):
        epochs.seek(-1)
    with pytest.raises(ValueError, match="elements"):
        epochs.begin(*(given[a] if a != "x" else given[a][:, :-1].copy() for a in IN_BEGIN))
    with pytest.raises(RuntimeError, match="no data"):
        epochs.until(1)


def test_one_step_compares_lengths(kernels, dtype):
    given = arguments(kernels, dtype)["train_epoch"]
    step = step_of(**ADAM | {"batch_size": N})
    workspace = new_workspace(kernels, units_of(*UNITS), N, dtype, 2)
    init = {**given, "step": step, "workspace": workspace}
    epochs = kernels.Epochs(*(init[argument] for argument in IN_INIT))
    good = [given["params"], given["x"], given["y"], np.zeros(1)]
    assert epochs.one(*good) is not None
    for i, wrong in ((0, good[0][:-1].copy()), (3, np.zeros(0))):
        with pytest.raises(ValueError, match="elements"):
            epochs.one(*good[:i], wrong, *good[i + 1 :])
    for i in (1, 2):
        for _, other in other_lengths(good[i]):
            assert epochs.one(*good[:i], other, *good[i + 1 :]) is None


def test_teams(kernels):
    memory = builds.aligned_empty(kernels.team_size(3))
    for function, wrong in (
        (lambda team: kernels.open_team(team, 3), memory[:-1]),
        (lambda team: kernels.open_team(team, 0), memory),
        (lambda team: kernels.serve_team(team, 3), memory),
        (lambda team: kernels.serve_team(team, 0), memory),
        (kernels.close_team, memory[:8]),
        (kernels.free_team, memory[:8]),
    ):
        with pytest.raises(ValueError, match="elements"):
            function(wrong)


def test_short_loss_compares_lengths(kernels, dtype):
    given = arguments(kernels, dtype)["loss_and_grad"]
    good = {
        "params": given["params"], "layer_units": given["layer_units"],
        "activations": given["activations"], "x": given["x"], "y": given["y"], "loss": 0,
        "alpha": 0.0, "low": -np.inf, "high": np.inf, "one": False, "grads": given["grads"],
    }  # fmt: skip
    assert kernels.short_loss(*good.values()) is not None
    for name in ("params", "layer_units", "activations", "grads"):
        for _, other in other_lengths(good[name]):
            with pytest.raises(ValueError, match=r"elements|do not go|layer_units"):
                kernels.short_loss(*(good | {name: other}).values())
