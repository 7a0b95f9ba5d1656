"""Rows, states and arguments made of bytes: by atheris, a corpus, or plain random bytes.

`one_input(data)` is the target: it reads what to do from the bytes, does it, and raises what is
wrong. With atheris (`pip install atheris`), which follows the branches that Python code takes,

    python fuzz/from_bytes.py fuzz/corpus -max_total_time=60

looks for bytes that reach new branches; without it `number` draws them.
"""

import copy
import inspect
import random as _random
import sys
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse
import values
from machines import EXPECTED, REFUSALS, Finding, Machine, everything, outcome, rules
from values import chance

import fastnn
from fastnn import states as states_room
from fastnn.data import checks
from fastnn.parameters import SolverState
from fastnn.training.losses import LossOf

CORPUS = Path(__file__).parent / "corpus"


class Bytes(_random.Random):
    """Draws from bytes; zeros after their end."""

    def __new__(cls, data):
        return super().__new__(cls)

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        part = self.data[self.at : self.at + n]
        self.at += n
        return part.ljust(n, b"\0")

    def getrandbits(self, k):
        return int.from_bytes(self.take(-(-k // 8)), "little") & ((1 << k) - 1)

    def random(self):
        return self.getrandbits(24) / 2**24

    def _randbelow(self, n):  # the standard one draws again and again until it is below
        return self.getrandbits(max(8, n.bit_length() + 7)) % n

    @property
    def is_empty(self):
        return self.at >= len(self.data)


# ---- arrays whose bytes, strides and types are anything ----------------------------------------


DTYPES = ["f8", "f4", "f2", ">f8", ">f4", "i8", ">i4", "u1", "?", "c16", "O", "U3", "M8[s]", "g"]


def array(random):
    """An ndarray over some bytes, in any layout."""
    dtype = np.dtype(random.choice(DTYPES))
    shape = [
        random.choice([0, 1, 1, 2, 3, 4, 5]) for _ in range(random.choice([0, 1, 2, 2, 2, 3]))
    ]
    if dtype.kind == "O":
        out = np.empty(shape, object)
        out.fill(random.choice(values.ODD))
        return out
    memory = np.zeros(4096, np.uint8)
    given = np.frombuffer(random.take(random.choice([0, 64, 256])), np.uint8).copy()
    if dtype.kind == "U":
        given %= 8  # characters must be below 0x110000
    if dtype.kind == "?":
        given %= 2
    memory[2048 : 2048 + len(given)] = given
    offset = 2048 + random.choice([0, 0, 1, 4, 7])
    size = dtype.itemsize
    if dtype.kind == "U" and offset % 4:
        offset = 2048
    strides = [size * random.choice([0, 1, 1, 2, 5, -1, -3]) for _ in shape]
    if dtype.kind != "U" and chance(random, 0.2):
        strides = [one + random.choice([0, 1, 3]) for one in strides]
    out = np.ndarray(shape, dtype, memory, offset, strides)
    if chance(random, 0.5):
        out = np.ascontiguousarray(out)
    if chance(random, 0.2):
        out.flags.writeable = False
    return out


def sparse(random, n_columns):
    """A sparse matrix whose indices may point anywhere."""
    n = random.choice([0, 1, 2, 5])
    kind = random.choice([np.int32, np.int64])
    n_stored = random.choice([0, 1, 3, 8])
    far = [0, 1, 2, n_columns - 1, n_columns, -1, 2**31 - 1, -(2**31)]
    draw = lambda m, top: np.array(  # noqa: E731
        [random.choice(far) if chance(random, 0.05) else random.randrange(top) for _ in range(m)],
        kind,
    )
    indices = draw(n_stored, max(1, n_columns))
    indptr = (
        np.sort(draw(n + 1, n_stored + 1)) if chance(random, 0.7) else draw(n + 1, n_stored + 1)
    )
    if len(indptr) and chance(random, 0.8):
        indptr[0], indptr[-1] = 0, n_stored
    data = np.frombuffer(random.take(8 * n_stored), np.float64).copy()
    if chance(random, 0.8):
        data = values.generator(random).standard_normal(n_stored)
    make = random.choice(
        [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.csr_array]
    )
    matrix = make((max(n, 1), n_columns))
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    return matrix


# ---- targets ------------------------------------------------------------------------------------


def net_of(random):
    machine = Machine()
    try:
        return machine.new_net(random).net
    finally:
        machine.close()


def one_line(name, error):
    if isinstance(error, REFUSALS) and len(str(error).splitlines()) > 1:
        raise Finding(f"{name}: an error of several lines: {error!r}")


def rows(random, call):
    """Arrays of any kind as X, y and weights of a network."""
    net = net_of(random)
    before = everything(net)
    for _ in range(4):
        name = random.choice(["predict", "forward", "loss", "loss_and_grad", "fit", "partial_fit"])
        args = [array(random)]
        if name not in ("predict", "forward"):
            args.append(array(random))
        keywords = {"max_iter": 1} if name == "fit" else {}
        if len(args) == 2 and chance(random, 0.2):
            keywords["sample_weight"] = array(random)
        _, error = outcome(
            lambda n=name, a=args, k=keywords: call(f"Network.{n}", getattr(net, n), *a, **k),
            EXPECTED,
        )
        one_line(name, error)
        if isinstance(error, REFUSALS) or name not in ("fit", "partial_fit"):
            if everything(net) != before:
                raise Finding(f"{name} changes the network: {error!r}")
        before = everything(net)
        if not np.isfinite(net.params_).all():
            raise Finding("parameters that are not finite")


_fitted = {}


def fitted(kind):
    """An estimator that is fitted once."""
    if kind not in _fitted:
        rng = np.random.RandomState(0)
        X = rng.randn(12, 3)
        y = np.arange(12) % 3 if kind is fastnn.MLPClassifier else rng.randn(12, 2)
        _fitted[kind] = kind(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X, y)
    return copy.deepcopy(_fitted[kind])


def sparse_rows(random, call):
    kind = random.choice([fastnn.MLPClassifier, fastnn.MLPRegressor])
    estimator = fitted(kind)
    for _ in range(3):
        X = sparse(random, random.choice([3, 3, 3, 2, 0]))
        name = random.choice(["predict", "fit", "partial_fit"])
        args = [X]
        if name != "predict":
            n = X.shape[0]
            y = np.arange(n) % 3 if kind is fastnn.MLPClassifier else np.ones((n, 2))
            args.append(y)
        out, error = outcome(
            lambda n=name, a=args: call(f"{kind.__name__}.{n}", getattr(estimator, n), *a),
            (*EXPECTED, IndexError, OverflowError),  # of SciPy's own checks
        )
        if name == "predict" and error is None and len(out) != X.shape[0]:
            raise Finding("predict gives another number of rows")


def broken(random, value):
    """Something in the place of a part of a state."""
    way = random.randrange(6)
    if way == 0:
        return random.choice(values.ODD)
    if way == 1:
        return array(random)
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind == "f":
        value = np.ascontiguousarray(value)
        return random.choice(
            [
                value[:-1], value[::-1], value.astype("f4"), value.astype(">f8"), value.T,
                value[None], value.view(np.uint8),
            ]
        )  # fmt: skip
    if isinstance(value, (tuple, list)) and value:
        value = list(value)
        value[random.randrange(len(value))] = random.choice([0, -1, 1, 2**40, None, "tanh", 0.5])
        return random.choice([tuple, list])(value)
    if isinstance(value, bool) or value is None:
        return random.choice([0, 1, "", (), np.zeros(3)])
    if isinstance(value, (int, float)):
        return random.choice([-value, value + 1, 2**40, -1, 0, "1", float("nan")])
    if isinstance(value, dict) and value:
        value = dict(value)
        key = random.choice(list(value))
        if chance(random, 0.3):
            del value[key]
        else:
            value[key] = broken(random, value[key])
        return value
    if isinstance(value, LossOf):
        return LossOf(
            random.choice(["huber", "quantile", "squared_error", "given", "zzz", None, 3]),
            random.choice([(), (1.0,), (0.5, 0.1), (float("nan"),), [0.5], None, 3, ("a",)]),
            random.choice([None, (min, max), (min,), 3]),
        )
    if isinstance(value, str):
        return random.choice(["tanh", "f4", "zzz", b"f8", 3])
    return random.choice(values.ODD)


def states(random, call):
    """A network's state with some parts broken: refused, or a network that works."""
    net = net_of(random)
    x = np.zeros((2, net.layer_units[0]))
    options = {"solver": random.choice(values.SOLVERS)}
    if chance(random, 0.3):
        options["ema"] = 0.5
    y = values.targets(random, 2, net.layer_units[-1],
                       "squared_error" if net.loss_function == "given" else net.loss_function,
                       net.activations[-1])  # fmt: skip
    outcome(lambda: net.partial_fit(x, y, **options), EXPECTED)
    state = dict(net.__getstate__())
    for _ in range(random.choice([1, 1, 2])):
        key = random.choice(list(state))
        if chance(random, 0.15):
            del state[key]
            continue
        state[key] = broken(random, state[key])
    if chance(random, 0.05):
        state["_state"] = SolverState(*[random.choice(values.ODD) for _ in SolverState._fields])
    other = net_of(random) if chance(random, 0.5) else fastnn.Network.__new__(fastnn.Network)
    before = everything(other) if "_params" in vars(other) else None
    _, error = outcome(lambda: call("Network.__setstate__", other.__setstate__, state), REFUSALS)
    one_line("__setstate__", error)
    if error is not None:
        if before is not None and everything(other) != before:
            raise Finding(f"__setstate__ refuses and changes: {error!r}")
        return
    x = np.zeros((2, other.layer_units[0]))
    _, error = outcome(lambda: call("Network.predict", other.predict, x), EXPECTED)
    one_line("predict", error)
    y = np.full((2, 1 if other.loss_function == "quantile" else other.layer_units[-1]), 0.5)
    for name in ("partial_fit", "loss"):
        keywords = options if name == "partial_fit" else {}
        _, error = outcome(
            lambda n=name, k=keywords: call(f"Network.{n}", getattr(other, n), x, y, **k), EXPECTED
        )
        one_line(name, error)
    call("Network.__repr__", repr, other)
    call("Network.copy", other.copy)


def estimator_states(random, call):
    """An estimator's arrays replaced by others: kernels must not read past them."""
    kind = random.choice([fastnn.MLPClassifier, fastnn.MLPRegressor])
    estimator = fitted(kind)
    state = dict(estimator.__getstate__())
    for name in random.choice([["coefs_"], ["intercepts_"], ["coefs_", "intercepts_"]]):
        arrays_ = [np.array(one) for one in state[name]]
        i = random.randrange(len(arrays_))
        arrays_[i] = random.choice([
            array(random), arrays_[i][:-1], arrays_[i].astype("f4"), arrays_[i].T, None, 3.0,
            arrays_[i].astype(object), np.asfortranarray(arrays_[i]),
        ])  # fmt: skip
        state[name] = arrays_ if chance(random, 0.8) else arrays_[:-1]
    other = kind.__new__(kind)
    name = kind.__name__
    odd = (*EXPECTED, AttributeError, IndexError)  # as scikit-learn's own classes
    _, error = outcome(lambda: call(f"{name}.__setstate__", other.__setstate__, state), odd)
    if error is not None:
        return
    outcome(lambda: call(f"{name}.predict", other.predict, np.zeros((2, 3))), odd)
    y = [0, 1] if kind is fastnn.MLPClassifier else np.zeros((2, 2))
    outcome(lambda: call(f"{name}.partial_fit", other.partial_fit, np.zeros((2, 3)), y), odd)


def arguments(random, call):
    """Anything in the place of some argument of a constructor."""
    net = {"layer_units": [2, 3, 1]}
    for _ in range(random.choice([1, 2])):
        name = random.choice(list(values.BAD_OF_NETWORK))
        odd = random.choice([*values.ODD, *values.BAD_OF_NETWORK[name]])
        net[name] = array(random) if chance(random, 0.2) else odd
    _, error = outcome(lambda: call("Network", fastnn.Network, **net), REFUSALS)
    one_line("Network", error)
    params = array(random)
    units = [random.choice([0, 1, 2, 3]) for _ in range(random.choice([2, 3]))]
    out, error = outcome(
        lambda: call("Network.from_params", fastnn.Network.from_params, params, units, "tanh"),
        REFUSALS,
    )
    one_line("from_params", error)
    if error is None and np.isfinite(out.params_).all():
        outcome(lambda: call("Network.predict", out.predict, np.zeros((1, units[0]))), EXPECTED)
    checks.shown(random.choice(values.ODD))


def sequences(random, call):
    """The rules of the machines."""
    machine = Machine()
    names, _ = rules()
    try:
        for _ in range(12):
            if random.is_empty:
                break
            getattr(machine, random.choice(names))(random)
    finally:
        for name, n in machine.calls.items():
            call.calls[name] += n
        machine.close()


TARGETS = (rows, sparse_rows, states, estimator_states, arguments, states, rows)


class Call:
    """Makes public calls and counts them."""

    def __init__(self, log, calls):
        self.log, self.calls = log, calls

    def __call__(self, name, function, *args, **keywords):
        self.calls[name] += 1
        self.log(name)
        return function(*args, **keywords)


def one_input(data, log=lambda text: None, calls=None):
    """What these bytes say; raises what is wrong."""
    import collections

    random = Bytes(data)
    call = Call(log, collections.Counter() if calls is None else calls)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        which = random.getrandbits(8)
        target = sequences if which >= 250 else TARGETS[which % len(TARGETS)]
        log(target.__name__)
        target(random, call)


def corpus():
    return sorted(path for path in CORPUS.iterdir() if path.is_file())


def number(seed, n, log=lambda text: None, calls=None):
    """The n-th input: those of the corpus first, then such as they are, and random ones."""
    kept = corpus()
    if n < len(kept):
        data = kept[n].read_bytes()
    else:
        random = _random.Random(f"{seed}-bytes-{n}")
        data = random.randbytes(random.choice([16, 64, 256, 1024]))
        if kept and random.random() < 0.3:
            data = bytearray(random.choice(kept).read_bytes() or b"\0")
            for _ in range(random.randint(1, 8)):
                data[random.randrange(len(data))] = random.getrandbits(8)
            data = bytes(data)
    one_input(data, log, calls)


def main():
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris, or python fuzz/run.py without it")
    # not whole modules: to import them once more would make other classes of the same names
    for room in (checks, states_room):
        for function in list(vars(room).values()):
            if inspect.isfunction(function) and function.__module__ == room.__name__:
                atheris.instrument_func(function)
    atheris.Setup(sys.argv, lambda data: one_input(bytes(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
