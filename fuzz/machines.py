"""Random sequences of public calls, held to the oracle.

`Machine` has a few networks, estimators and the tutorial's layers, and rules: methods that draw
a call from an object with the methods of `random.Random`, make it, and look at what it left. A
plain generator drives the rules fast (`drive`), Hypothesis finds short examples (`State`), and the
bytes of a file can drive them too (see `from_bytes`).

After a training call the same call is made again, in one of three ways:

* by the oracle, from the same parameters, on plain arrays: see `comparing` for how near they must
  be;
* by a copy with another number of threads, on arrays in another layout: bits must be the same;
* not at all: only invariants are looked at.
"""

import collections
import contextlib
import copy
import io
import math
import os
import pickle
import random as _random
import tempfile
import threading
import warnings

import numpy as np
import values
from comparing import Finding, Noise, agree, as_oracle, outcome
from values import chance

import fastnn
from fastnn import callbacks, kernels, threads, tutorial, work
from fastnn.catalog import losses

REFUSALS = (TypeError, ValueError)
EXPECTED = (TypeError, ValueError, FloatingPointError, ZeroDivisionError)


class Stop(Exception):
    """Raised by a callback."""


# ---- losses and callbacks of one's own, which pickles find by their names -----------------------


def half_square(output, target):
    return 0.5 * (output - target) ** 2


def difference(output, target):
    return output - target


OWN_LOSS = (half_square, difference)


def stops(net):
    return len(net.loss_curve_) >= 2


def shrinks(net):
    net.coefs_[0][...] *= 0.5


def replaces(net):
    net.params_ = net.params_ * 0.75


def slows(net):
    net.learning_rate_ *= 0.5


def trains_a_copy(net):
    other = net.copy()
    x = np.ones((2, net.layer_units[0]))
    other.predict(x)
    other.reset_solver()


def goes_back(net):
    net.__setstate__(net.__getstate__())


def refuses_later(net):
    if len(net.loss_curve_) >= 2:
        raise Stop("enough")


def curve_length(net):
    return len(net.loss_curve_)


CALLBACKS = [
    stops,
    shrinks,
    replaces,
    slows,
    trains_a_copy,
    goes_back,
    refuses_later,
    curve_length,
]


def everything(net):
    """A network's state, to the bit."""
    state = net.__getstate__()
    solver = state["_solver"]
    generator = state["_random_state"].get_state(legacy=False)["state"]
    generator = {k: v.tobytes() if isinstance(v, np.ndarray) else v for k, v in generator.items()}
    return (
        net._params.tobytes(), tuple(state["loss_curve_"]), state["_dropped"], state["_n_jobs"],
        None if state["_state"] is None else state["_state"].tobytes(),
        repr(solver), generator, repr(state["validation_scores_"]),
        repr(state["validation_loss_curve_"]), state["best_iteration_"],
    )  # fmt: skip


def of_trained(net):
    """What a fit leaves, as numbers; the solver's state too."""
    state = net.__getstate__()
    out = [net._params.copy(), list(net.loss_curve_)]
    if net.validation_scores_ is not None:
        out.append(list(net.validation_scores_))
    if state["_state"] is not None:
        out += list(state["_state"])
    return out


class Net:
    """A network, and what a rule has to know of it."""

    def __init__(self, net):
        self.net = net
        self.units = net.layer_units
        self.length = max(net.layer_units)


class Machine:
    """What the rules work on."""

    MOST = 3  # networks at a time

    def __init__(self, log=None):
        self.calls = collections.Counter()
        self.log = log or (lambda text: None)
        self.nets, self.estimators, self.layers = [], [], None
        self.n_threads = threading.active_count()
        self.many_threads = False
        self._undo = contextlib.ExitStack()
        self._undo.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")

    def close(self):
        self._undo.close()
        self.nets, self.estimators, self.layers = [], [], None

    # ---- calls ----

    @property
    def n_calls(self):
        return self.calls.total()

    def call(self, name, function, *args, **keywords):
        """Make one public call."""
        self.calls[name] += 1
        self.log(name)
        return function(*args, **keywords)

    def set(self, name, one, attribute, value):
        self.call(name, setattr, one, attribute, value)

    def settle(self, one, before, error):
        """After a refusal: a line, and everything as it was."""
        if isinstance(error, REFUSALS) and "\n" in str(error):
            raise Finding(f"an error of several lines: {error!r}")
        if everything(one.net) != before:
            raise Finding(f"{error!r}, but the network is another")

    def refused(self, one, name, function, *args, **keywords):
        """Make a call that must raise TypeError or ValueError and change nothing."""
        before = everything(one.net)
        _, error = outcome(lambda: self.call(name, function, *args, **keywords), REFUSALS)
        if error is None:
            raise Finding(f"{name} takes bad input: {keywords!r:.200} {args!r:.200}")
        self.settle(one, before, error)

    def invariants(self, one):
        net = one.net
        if net.layer_units != one.units or not np.isfinite(net._params).all():
            raise Finding("parameters that are not finite")
        shapes = [(a, b) for a, b in zip(one.units, one.units[1:], strict=False)]
        if [c.shape for c in net.coefs_] != shapes:
            raise Finding("coefs_ of other shapes")
        if net.n_iter_ != net._dropped + len(net.loss_curve_):
            raise Finding("n_iter_ and loss_curve_ disagree")
        if not all(map(math.isfinite, net.loss_curve_)):
            raise Finding("a loss that is not finite")
        if threading.active_count() > self.n_threads:
            raise Finding("a thread outlives its fit")

    # ---- drawing ----

    def some_net(self, random):
        if not self.nets or (len(self.nets) < self.MOST and chance(random, 0.1)):
            self.new_net(random)
        return random.choice(self.nets)

    def data(self, random, one, n=None):
        """X and y in double precision, as plain as can be."""
        n = n or random.choice([1, 2, 3, 5, 8, 13, 17])
        x = values.rows(random, n, one.units[0])
        net = one.net
        loss = net.loss_function
        loss = "squared_error" if loss == "given" else loss
        y = values.targets(random, n, one.units[-1], loss, net.activations[-1])
        if y.shape[1] == 1 and chance(random, 0.4):
            y = y[:, 0]
        return x, y

    # ---- rules: networks ----

    def new_net(self, random):
        units = [random.randint(1, 9) for _ in range(random.choice([2, 3, 3, 3, 4, 5]))]
        if chance(random, 0.03):
            units[0] = random.choice([16, 33, 65])
        keywords = {"random_state": random.choice([0, random.getrandbits(32)])}
        if chance(random, 0.05):
            keywords["random_state"] = np.random.default_rng(random.getrandbits(30))
        loss = random.choice(values.LOSSES) if chance(random, 0.7) else "squared_error"
        if chance(random, 0.05):
            keywords["loss"] = OWN_LOSS
            loss = "given"
        elif loss != "squared_error" or chance(random, 0.3):
            keywords["loss"] = loss
        if loss == "huber" and chance(random, 0.7):
            keywords["delta"] = random.choice([0.1, 1.0, 3.0])
        if loss == "quantile":
            keywords["quantile"] = np.linspace(0, 1, units[-1] + 2)[1:-1].tolist()
        if loss == "log_loss" and units[-1] == 1:
            units[-1] = 2
        needed = losses.BY_NAME[loss].out_activation
        n_layers = len(units) - 1
        if chance(random, 0.5):
            keywords["activation"] = random.choice(values.HIDDEN)
            if needed is None and chance(random, 0.5):
                outs = values.EVERY if units[-1] > 1 else values.HIDDEN
                keywords["out_activation"] = random.choice(outs)
        else:
            last = needed or random.choice(values.HIDDEN)
            keywords["activation"] = [
                *(random.choice(values.HIDDEN) for _ in range(n_layers - 1)), last
            ]  # fmt: skip
        keywords["dtype"] = random.choice(["f8", "f4", np.float64, np.float32, "float32"])
        if chance(random, 0.5):
            keywords["init"] = random.choice(values.INITS)
        if chance(random, 0.1):
            keywords["last_layer_scale"] = random.choice([0.0, 0.5, 2.0])
        if chance(random, 0.2):
            keywords["n_jobs"] = random.choice([1, 2, -1])
        if chance(random, 0.1):
            name = random.choice(list(values.BAD_OF_NETWORK))
            bad = {"layer_units": units, **keywords}
            bad[name] = random.choice(values.BAD_OF_NETWORK[name])
            if "out_activation" in bad and not isinstance(bad.get("activation"), str):
                bad.pop("out_activation", None) if name != "out_activation" else None
            _, error = outcome(lambda: self.call("Network", fastnn.Network, **bad), REFUSALS)
            if error is None:
                raise Finding(f"Network takes {name}={bad[name]!r:.100}")
            if "\n" in str(error):
                raise Finding(f"an error of several lines: {error!r}")
        net = self.call("Network", fastnn.Network, units, **keywords)
        self.nets.append(Net(net))
        if len(self.nets) > self.MOST:
            del self.nets[0]
        self.invariants(self.nets[-1])
        return self.nets[-1]

    rule_new = new_net

    LOOKS = ("predict", "predict", "predict", "forward", "loss", "loss", "loss_and_grad")

    def rule_look(self, random):
        """The forward pass, the loss and its gradient."""
        one, name = self.some_net(random), random.choice(self.LOOKS)
        net = one.net
        x, y = self.data(random, one)
        needs_y, keywords = name.startswith("loss"), {}
        if needs_y and chance(random, 0.3):
            keywords["alpha"] = random.choice([0.0, 0.1, 1, 100.0])
        plain = {**keywords}
        if needs_y and chance(random, 0.3):
            w = values.weights(random, len(x))
            plain["sample_weight"] = w
            keywords["sample_weight"] = values.in_some_layout(random, w)
        given = values.in_some_layout(random, x)
        targets = [values.in_some_layout(random, y)] if needs_y else []
        function = getattr(net, name)
        before = net._params.tobytes()
        got, error = outcome(
            lambda: self.call(f"Network.{name}", function, given, *targets, **keywords), EXPECTED
        )
        if net._params.tobytes() != before:
            raise Finding(f"{name} changes parameters")
        if error is None and name == "predict" and got.dtype != net.dtype:
            raise Finding(f"predict gives {got.dtype}")
        way = random.random()
        if way < 0.3:
            self._same_looks(net, name, got, error, x, [y] if needs_y else [], plain)
        elif way < 0.65:
            self._as_oracle_looks(one, name, got, error, x, y if needs_y else None, plain)

    def _same_looks(self, net, name, got, error, x, targets, keywords):
        x, targets = np.array(x, np.float64), [np.array(y) for y in targets]
        again, other = outcome(lambda: getattr(net, name)(x, *targets, **keywords), EXPECTED)
        if type(error) is not type(other) or bits(got) != bits(again):
            raise Finding(f"{name} of another layout: {got!r:.200} or {again!r:.200}")

    def _as_oracle_looks(self, one, name, got, error, x, y, keywords):
        state = one.net.__getstate__()
        dtype = one.net.dtype

        def oracle(noise):
            with as_oracle():
                twin = revived(state)
                twin._params[...] = noise.move(twin._params, dtype)
                args = [noise.move(x, dtype)]
                if y is not None:
                    args.append(noise.shrink(y, dtype))
                return parts(getattr(twin, name)(*args, **keywords))

        agree(
            None if error else parts(got), error, oracle, dtype, max(one.length, len(x)),
            expected=EXPECTED,
        )  # fmt: skip

    def rule_look_around(self, random):
        """What is no arithmetic of kernels."""
        one = self.some_net(random)
        net = one.net
        x, y = self.data(random, one)
        with np.errstate(over="ignore"):
            if not all(np.isfinite(np.asarray(a, net.dtype)).all() for a in (x, y)):
                return  # too large: `rule_look` has those
        name = random.choice(
            ["summary", "check_data", "predict_proba", "decision_function", "classes_", "repr",
             "activations", "loss_options", "loss_", "n_iter_", "learning_rate_", "n_jobs"]
        )  # fmt: skip
        if name == "summary":
            text = str(self.call("Network.summary", net.summary, random.choice([None, 1, 10**6])))
            if "total" not in text:
                raise Finding("a summary without a total")
        elif name == "check_data":
            a, b = self.call(
                "Network.check_data", net.check_data, values.in_some_layout(random, x),
                values.in_some_layout(random, y),
            )  # fmt: skip
            if not all(
                array.flags.c_contiguous and array.flags.aligned and array.dtype == net.dtype
                for array in (a, b)
            ):
                raise Finding("check_data gives arrays that kernels cannot read")
            with np.errstate(over="ignore"):
                if not np.array_equal(a, np.asarray(x, net.dtype)):
                    raise Finding("check_data changes numbers")
        elif name in ("predict_proba", "decision_function"):
            if hasattr(net, name):
                function = getattr(net, name)
                out = self.call(f"Network.{name}", function, values.in_some_layout(random, x))
                if len(out) != len(x):
                    raise Finding(f"{name} gives {len(out)} rows of {len(x)}")
        elif name == "repr":
            self.call("Network.__repr__", repr, net)
        elif name in ("classes_", "learning_rate_"):
            self.call(f"Network.{name}", lambda: getattr(net, name, None))
        else:
            self.call(f"Network.{name}", getattr, net, name)

    def rule_partial_fit(self, random):
        """Small epochs, again and again: what is kept between calls."""
        one = self.some_net(random)
        x, y = self.data(random, one)
        options = values.solver_options(random, len(one.units) - 2, schedule=False)
        if options.get("solver") != "rprop" and chance(random, 0.4):
            options["batch_size"] = random.choice([1, 2, 5, "auto", 10**6])
        if chance(random, 0.2):
            options["shuffle"] = chance(random, 0.5)
        times = random.choice([1, 1, 2, 4])
        layouts = ("C",) if chance(random, 0.5) else tuple(values.LAYOUTS)
        x, y = np.array(x, one.net.dtype if chance(random, 0.7) else None), np.array(y)
        if layouts == ("C",):
            with np.errstate(over="ignore"):
                cast = y.astype(one.net.dtype)
            y = cast if np.isfinite(cast).all() else y
        for _ in range(times):
            self.train(random, one, "partial_fit", x, y, dict(options), layouts)

    def rule_fit(self, random):
        one = self.some_net(random)
        x, y = self.data(random, one)
        options = values.solver_options(random, len(one.units) - 2)
        options["max_iter"] = random.choice([1, 1, 2, 3])
        if options.get("solver") != "rprop" and chance(random, 0.5):
            options["batch_size"] = random.choice([1, 2, 5, "auto", 10**6])
        if chance(random, 0.2):
            options["shuffle"] = chance(random, 0.5)
        if chance(random, 0.15):
            x_val, y_val = self.data(random, one)
            options |= {"X_val": np.array(x_val), "y_val": np.array(y_val)}
            if chance(random, 0.4):
                options |= {"n_iter_no_change": random.randint(1, 2), "tol": 0.0}
            if chance(random, 0.3):
                options["sample_weight_val"] = values.weights(random, len(x_val))
        if chance(random, 0.2):
            options["callback"] = random.choice([
                *CALLBACKS, [stops, shrinks], callbacks.Recorder(),
                callbacks.ValidationLoss(x, y) if not np.isnan(np.sum(y)) else stops,
            ])  # fmt: skip
            if isinstance(options["callback"], callbacks.ValidationLoss) and np.ndim(y) == 1:
                options["callback"] = stops
            options["callback_every"] = random.choice([1, 2])
        self.train(random, one, "fit", x, y, options, tuple(values.LAYOUTS))

    def rule_search(self, random):
        """The loss falls with each step; layout and number of threads change no bit."""
        one = self.some_net(random)
        net = one.net
        x, y = self.data(random, one)
        options = {"solver": random.choice(values.SEARCHES)}
        if chance(random, 0.4):
            options["alpha"] = random.choice([1e-6, 0.1, 10.0])
        if chance(random, 0.3):
            options["sample_weight"] = values.weights(random, len(x))
        if chance(random, 0.2):
            options["damping"] = random.choice([1e-12, 1.0, 1e6])
        if chance(random, 0.2):
            options["gain_ratio"] = False
        name = random.choice(["fit", "fit", "partial_fit"])
        if name == "fit":
            options["max_iter"] = random.choice([1, 2, 3, 8])
        state, before = pickled(net), everything(net)
        _, error = outcome(
            lambda: self.call(f"Network.{name}", getattr(net, name), x, y, **options), EXPECTED
        )
        if isinstance(error, REFUSALS):
            self.settle(one, before, error)
        self.invariants(one)
        if error is None:
            given = {key: options[key] for key in ("alpha", "sample_weight") if key in options}
            done = options.get("max_iter", 1)
            losses = [*net.loss_curve_[-min(done, len(net.loss_curve_)) :]]
            if name == "fit" and not (np.diff(losses) < 0).all():
                raise Finding(f"losses of a search rise: {losses}")
            # a float32 network computes its loss with other rounding than the search, and range
            if net.dtype == np.float64 and net.loss(x, y, **given) > losses[-1]:
                raise Finding(f"a search ends with a higher loss than {losses}")
        self._same_fit(random, net, name, state, error, x, y, options)

    def rule_many(self, random):
        """Side by side networks end with the bits of their own fits, or are refused together.

        Where lanes may be networks, those are fits of one network by the same function.
        """
        one = self.some_net(random)
        x, y = self.data(random, one)
        nets = [one.net.copy() for _ in range(random.randint(1, 4))]
        twins = [net.copy() for net in nets]
        options = values.solver_options(random, len(one.units) - 2)
        if chance(random, 0.2):
            options = {"solver": random.choice(values.SEARCHES)}
        if options.get("solver") != "rprop" and chance(random, 0.5):
            options["batch_size"] = random.choice([1, 3, "auto"])
        options["max_iter"] = [random.randint(1, 4) for _ in nets]
        given = {}
        for name, share in (("rows", 0.7), ("rows_val", 0.2)):
            if chance(random, share):
                given[name] = [
                    np.array([random.randrange(len(x)) for _ in range(random.randint(1, 9))])
                    for _ in nets
                ]
        if chance(random, 0.2):
            given["sample_weight"] = values.weights(random, len(x))
        layout = random.choice(["samples", "nets"])
        before = [everything(net) for net in nets]
        found, error = outcome(
            lambda: self.call(
                "fit_many", fastnn.fit_many, nets, x, y, n_jobs=random.choice([None, 1, 2]),
                errors="keep", layout=layout, **given, **options,
            ),
            REFUSALS,
        )  # fmt: skip
        if error is not None:
            if [everything(net) for net in nets] != before:
                raise Finding(f"fit_many raises {error!r}, but networks are others")
            return
        weights = given.get("sample_weight")
        for i, (net, twin) in enumerate(zip(nets, twins, strict=True)):
            rows = given["rows"][i] if "rows" in given else np.arange(len(x))
            own = {k: v[i] if isinstance(v, list) else v for k, v in options.items()}
            if layout != "samples":
                alone = {k: v if k == "sample_weight" else [v[i]] for k, v in given.items()}
                fastnn.fit_many([twin], x, y, layout=layout, errors="keep", **alone, **own)
                if everything(net) != everything(twin):
                    raise Finding("fit_many of many networks gives other bits than of one")
                continue
            if weights is not None:
                own["sample_weight"] = weights[rows]
            if "rows_val" in given:
                held = given["rows_val"][i]
                own |= {"X_val": x[held], "y_val": y[held]}
                if weights is not None:
                    own["sample_weight_val"] = weights[held]
            _, failure = outcome(lambda: twin.fit(x[rows], y[rows], **own), EXPECTED)  # noqa: B023
            if type(failure) is not type(found[i]):
                raise Finding(f"alone {failure!r}, side by side {found[i]!r}")
            if everything(net) != everything(twin):
                raise Finding("fit_many gives other bits than fit")

    def train(self, random, one, name, x, y, options, layouts):
        net = one.net
        if chance(random, 0.2):
            options["sample_weight"] = values.weights(random, len(x))
        if net.loss_function in ("log_loss", "binary_log_loss") and chance(random, 0.15):
            options["label_smoothing"] = random.choice([0.0, 0.1, 0.5])
        given = (
            values.in_some_layout(random, x, layouts),
            values.in_some_layout(random, y, layouts),
        )
        keywords = dict(options)
        if "sample_weight" in options:
            keywords["sample_weight"] = values.in_some_layout(random, options["sample_weight"])
        way = random.random()
        way = "oracle" if way < 0.25 else "bits" if way < 0.5 else "nothing"
        if way == "oracle" and options.get("solver") == "rprop":
            way = "bits"  # it goes by signs of gradients, which may be sums that nearly cancel
        state = pickled(net) if way != "nothing" else None
        before = everything(net) if chance(random, 0.2) else None
        expected = (*EXPECTED, Stop)
        _, error = outcome(
            lambda: self.call(f"Network.{name}", getattr(net, name), *given, **keywords), expected
        )
        if isinstance(error, REFUSALS):
            if before is not None:
                self.settle(one, before, error)
            if "\n" in str(error):
                raise Finding(f"an error of several lines: {error!r}")
        self.invariants(one)
        if error is None and name == "fit" and "callback" not in options:
            at_most = options["max_iter"]
            done = len(net.loss_curve_)
            if done > at_most or (done < at_most and "n_iter_no_change" not in options):
                raise Finding(f"fit of {at_most} epochs has a loss_curve_ of {done}")
        if way == "bits":
            self._same_fit(random, net, name, state, error, x, y, options)
        elif way == "oracle":
            self._as_oracle_fits(one, name, state, error, x, y, options)

    def _same_fit(self, random, net, name, state, error, x, y, options):
        """A pickled copy with another number of threads, on plain arrays."""
        twin = pickle.loads(state)
        twin.n_jobs = random.choice([1, 2, 3, None])
        _, other = outcome(
            lambda: getattr(twin, name)(np.array(x), np.array(y), **options), (*EXPECTED, Stop)
        )
        if type(error) is not type(other):
            raise Finding(f"{name} raises {error!r}, of another layout {other!r}")
        mine, its = everything(net), everything(twin)
        if mine[:3] + mine[4:] != its[:3] + its[4:]:
            raise Finding(f"{name} of another layout and number of threads gives other bits")

    def _as_oracle_fits(self, one, name, state, error, x, y, options):
        net, dtype = one.net, one.net.dtype
        rate = options.get("learning_rate_init", 1e-3)

        def oracle(noise):
            with as_oracle():
                twin = pickle.loads(state)
                keywords = dict(options)
                if not noise.is_none:
                    twin._params[...] = noise.move(twin._params, dtype)
                    for which, move in (("X_val", noise.move), ("y_val", noise.shrink)):
                        if which in keywords:
                            keywords[which] = move(keywords[which], dtype)
                args = noise.move(x, dtype), noise.shrink(y, dtype)
                getattr(twin, name)(*args, **keywords)
                return of_trained(twin)

        n_epochs = options.get("max_iter", 1)
        agree(
            None if error else of_trained(net), error, oracle, dtype,
            max(one.length, len(x)) * n_epochs, rate, expected=(*EXPECTED, Stop),
        )  # fmt: skip

    def rule_edit(self, random):
        """Edits of views, and assignments."""
        one = self.some_net(random)
        net = one.net
        rng = values.generator(random)
        i = random.randrange(len(one.units) - 1)
        what = random.choice(["coefs_", "intercepts_"])
        items = getattr(net, what)
        way = random.choice(["view", "item", "list", "params_", "element", "bad", "poison"])
        new = rng.standard_normal(items[i].shape)
        if way == "view":
            self.call(f"Network.{what}", items[i].__setitem__, Ellipsis, new)
        elif way == "element":
            self.call(f"Network.{what}", items[i].fill, random.choice([0.0, 1.0, 1e-40, 30.0]))
        elif way == "item":
            self.call(f"Network.{what}", items.__setitem__, i, values.in_some_layout(random, new))
            if not np.array_equal(items[i], new.astype(net.dtype)):
                raise Finding(f"{what}[{i}] is not what was assigned")
        elif way == "list":
            every = [rng.standard_normal(one_.shape) for one_ in items]
            given = [values.in_some_layout(random, a) for a in every]
            self.set(f"Network.{what}", net, what, given)
            if not all(map(np.array_equal, items, [a.astype(net.dtype) for a in every])):
                raise Finding(f"{what} are not what was assigned")
        elif way == "params_":
            every = rng.standard_normal(net._params.shape)
            self.set("Network.params_", net, "params_", values.in_some_layout(random, every))
            if not np.array_equal(net._params, every.astype(net.dtype)):
                raise Finding("params_ are not what was assigned")
        elif way == "bad":
            bad = random.choice([
                new[:, None], "zzz", None, np.full(new.shape, np.nan), new.astype(complex),
                np.full(new.shape, 1e300 if net.dtype == np.float32 else np.inf), [[1.0], [1, 2]],
            ])  # fmt: skip
            if random.random() < 0.5:
                self.refused(one, f"Network.{what}", items.__setitem__, i, bad)
            else:
                every = [np.array(one_) for one_ in items]
                every[i] = bad
                self.refused(one, f"Network.{what}", setattr, net, what, every)
        else:
            self._poison(random, one, items[i])
        self.invariants(one)

    def _poison(self, random, one, view):
        """Parameters that are not finite are refused, and come back."""
        kept = view.copy()
        view.flat[random.randrange(view.size)] = random.choice([np.nan, np.inf, -np.inf])
        x, y = self.data(random, one)
        name = random.choice(["predict", "forward", "loss", "loss_and_grad", "fit", "partial_fit"])
        args = (x,) if name in ("predict", "forward") else (x, y)
        self.refused(one, f"Network.{name}", getattr(one.net, name), *args)
        view[...] = kept

    def rule_copy(self, random):
        """Copies and pickles go on as the network itself does."""
        one = self.some_net(random)
        net, way = (
            one.net,
            random.choice(["copy", "deepcopy", "pickle", "state", "from_params", "file"]),
        )
        if way == "copy":
            other = self.call("Network.copy", net.copy)
        elif way == "deepcopy":
            other = self.call("Network.__deepcopy__", copy.deepcopy, net)
        elif way == "pickle":
            protocol = random.randint(2, pickle.HIGHEST_PROTOCOL)
            other = self.call(
                "Network.__reduce__", lambda: pickle.loads(pickle.dumps(net, protocol))
            )
        elif way == "state":
            other = random.choice(self.nets).net.copy()
            self.call("Network.__setstate__", other.__setstate__, pickle.loads(
                pickle.dumps(self.call("Network.__getstate__", net.__getstate__))
            ))  # fmt: skip
        elif way == "file":
            other = self.from_file(net, "Network")
            if other is None:
                return
        else:
            options = dict(net.loss_options)
            shared = net.params_.copy()
            other = self.call(
                "Network.from_params", fastnn.Network.from_params, shared, net.layer_units,
                net.activations, **options,
            )  # fmt: skip
            if not np.shares_memory(other.params_, shared):
                raise Finding("from_params copies")
            x = values.generator(random).standard_normal((3, one.units[0]))
            if bits(other.predict(x)) != bits(net.predict(x)):
                raise Finding("a network from the same parameters predicts otherwise")
            self.nets[random.randrange(len(self.nets))] = Net(other)
            return
        if everything(other) != everything(net):
            raise Finding(f"a {way} is not the same")
        if np.shares_memory(other._params, net._params):
            raise Finding(f"a {way} shares parameters")
        self.nets[random.randrange(len(self.nets))] = Net(other)

    def from_file(self, model, kind):
        """What comes back from a file, or None: it holds no functions and only finite numbers."""
        with tempfile.TemporaryDirectory(prefix="fastnn-fuzz-") as folder:
            path = os.path.join(folder, "model.fastnn")
            if self.call(f"{kind}.fit_state", model.fit_state) is not None:
                raise Finding("a fit is running")
            _, error = outcome(lambda: self.call(f"{kind}.save", model.save, path), REFUSALS)
            if error is None:
                return self.call("load", fastnn.load, path)
            if "\n" in str(error) or os.listdir(folder):
                raise Finding(f"an error of several lines, or a file: {error!r}")
            function = "own" in str(error) or "holds no" in str(error) or "not hold" in str(error)
            if not (function or "finite" in str(error)):
                raise Finding(f"{kind}.save: {error!r}")

    def rule_reset_solver(self, random):
        net = self.some_net(random).net
        self.call("Network.reset_solver", net.reset_solver)

    def rule_bad_data(self, random):
        """Rows, targets and weights that must be refused."""
        one = self.some_net(random)
        net = one.net
        x, y = self.data(random, one, random.choice([2, 3, 5]))
        x, y = np.array(x, np.float64), np.array(y, np.float64)
        name = random.choice(
            ["predict", "forward", "loss", "loss_and_grad", "fit", "partial_fit", "check_data"]
        )
        alone = name in ("predict", "forward")
        of_y = not alone and chance(random, 0.5)
        known = dict(values.BAD_ROWS)
        kind = random.choice(list(known))
        if kind == "longer" and alone:
            return
        if kind == "objects" and alone and x.size == 0:
            return
        wrong = y.reshape(len(y), -1) if of_y else x
        bad = known[kind](wrong)
        if of_y and kind == "wider" and net.loss_function == "quantile":
            return  # a column for each level is taken
        args = (bad,) if alone else (x, bad) if of_y else (bad, y)
        self.refused(one, f"Network.{name}", getattr(net, name), *args)

    def rule_bad_option(self, random):
        one = self.some_net(random)
        net = one.net
        x, y = self.data(random, one, random.choice([2, 3, 5]))
        name = random.choice(["fit", "partial_fit"])
        table = dict(values.BAD_OPTIONS)
        if name == "fit":
            table |= values.BAD_OF_FIT
        key = random.choice(list(table))
        bad = random.choice(table[key])
        keywords = {key: bad}
        if key == "dropout" and len(one.units) == 2 and isinstance(bad, float):
            return  # 1.0 for no hidden layer is refused, too; -0.1 as well
        if key in ("y_val",) and bad is None:
            return
        self.refused(one, f"Network.{name}", getattr(net, name), x, y, **keywords)

    def rule_odd_argument(self, random):
        """Anything in the place of anything: refused in one line, or taken."""
        one = self.some_net(random)
        net = one.net
        x, y = self.data(random, one)
        args = [x, y]
        keywords = {"max_iter": 1}
        odd = random.choice(values.ODD)
        name = random.choice(["fit", "partial_fit", "predict", "loss", "summary", "n_jobs"])
        if name == "n_jobs":
            name, function, args, keywords = "n_jobs", net.__setattr__, ["n_jobs", odd], {}
        elif name == "summary":
            function, args, keywords = net.summary, [odd], {}
        else:
            function = getattr(net, name)
            keywords = keywords if name == "fit" else {}
            if name == "predict":
                args = [odd]
            elif chance(random, 0.3):
                args[random.randrange(2)] = odd
            elif name == "loss":
                keywords[random.choice(["alpha", "sample_weight"])] = odd
            else:
                table = list(values.BAD_OPTIONS) + (
                    list(values.BAD_OF_FIT) if name == "fit" else []
                )
                keywords[random.choice(table[:-2])] = odd
        before = everything(net)
        with contextlib.redirect_stdout(io.StringIO()):
            _, error = outcome(
                lambda: self.call(f"Network.{name}", function, *args, **keywords),
                (*EXPECTED, Stop),
            )
        if isinstance(error, REFUSALS):
            self.settle(one, before, error)
        net.n_jobs = None

    # ---- rules: the process ----

    def rule_threads(self, random):
        n = random.choice([None, 1, 2, 3, 0, -1, "2", 1.5, True, 2**70])
        good = n is None or (n in (-1, 1, 2, 3) and n is not True)
        before = self.call("get_num_threads", fastnn.get_num_threads)
        _, error = outcome(
            lambda: self.call("set_num_threads", fastnn.set_num_threads, n), REFUSALS
        )
        if (error is None) != good and n != 2**70:
            raise Finding(f"set_num_threads({n!r}): {error!r}")
        if error is not None and fastnn.get_num_threads() != before:
            raise Finding("set_num_threads refuses and sets")
        fastnn.set_num_threads(None)

    def rule_many_threads(self, random):
        """For the rest of this machine small work is shared among threads, or no longer."""
        if self.many_threads or not chance(random, 0.25):
            return
        self.many_threads = True
        patched = self._undo
        for room, name, value in (
            (threads, "_available", lambda: 3), (work, "WORTH_A_THREAD", 1.0),
            (work, "BUDGET", random.choice([1.0, 2e8])),
        ):  # fmt: skip
            patched.callback(setattr, room, name, getattr(room, name))
            setattr(room, name, value)

    def rule_config(self, random):
        if not chance(random, 0.05):
            return
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.call("show_config", fastnn.show_config)
        if kernels.ISA not in said.getvalue():
            raise Finding("show_config does not say the instruction set")
        import sklearn.neural_network

        theirs = sklearn.neural_network.MLPClassifier
        with self.call("patch_sklearn", fastnn.patch_sklearn):
            if sklearn.neural_network.MLPClassifier is not fastnn.MLPClassifier:
                raise Finding("patch_sklearn does not patch")
            if chance(random, 0.5):
                self.call("unpatch_sklearn", fastnn.unpatch_sklearn)
        if sklearn.neural_network.MLPClassifier is not theirs:
            raise Finding("scikit-learn's class does not come back")

    def rule_find_learning_rate(self, random):
        if not chance(random, 0.1):
            return
        one = self.some_net(random)
        net = one.net
        x, y = self.data(random, one, 8)
        before = everything(net)
        found, error = outcome(
            lambda: self.call(
                "find_learning_rate", fastnn.find_learning_rate, net,
                values.in_some_layout(random, x), values.in_some_layout(random, y), n_steps=5,
                batch_size=random.choice([None, 3]),
            ),
            EXPECTED,
        )  # fmt: skip
        if everything(net) != before:
            raise Finding("find_learning_rate changes its network")
        if error is None and len(found.losses) > 5:
            raise Finding("more steps than asked for")

    # ---- rules: the tutorial ----

    def rule_tutorial(self, random):
        if self.layers is None or chance(random, 0.1):
            units = [random.randint(1, 6) for _ in range(random.randint(2, 4))]
            np.random.seed(random.getrandbits(32))
            pair = self.call(
                "tutorial.activation", tutorial.activation, random.choice(values.HIDDEN)
            )
            self.layers = self.call("tutorial.create_nn", tutorial.create_nn, units, pair)
        layers = self.layers
        n = random.choice([1, 3, 8])
        x = values.rows(random, n, layers[0].W.shape[0])
        y = values.generator(random).standard_normal((n, layers[-1].W.shape[1]))
        if chance(random, 0.1):
            layers[0].W = layers[0].W * 0.5
        trains = chance(random, 0.7)
        lr, epochs = random.choice([0.01, 0.05, 0.5]), random.choice([1, 1, 1, 3])
        given = values.in_some_layout(random, x), values.in_some_layout(random, y)
        if chance(random, 0.1):
            kind = random.choice([k for k in values.BAD_ROWS if k != "longer"])
            arrays = [array.tobytes() for layer in layers for array in (layer.W, layer.b)]
            _, error = outcome(
                lambda: self.call(
                    "tutorial.train", tutorial.train, layers, values.BAD_ROWS[kind](x), y,
                    tutorial.l2_cost, lr, trains, epochs,
                ),
                REFUSALS,
            )  # fmt: skip
            if error is None or "\n" in str(error):
                raise Finding(f"tutorial.train of rows with {kind}: {error!r}")
            if arrays != [a.tobytes() for layer in layers for a in (layer.W, layer.b)]:
                raise Finding("tutorial.train refuses and trains")
            return
        before = copy.deepcopy(layers)
        got, error = outcome(
            lambda: self.call(
                "tutorial.train", tutorial.train, layers, *given, tutorial.l2_cost, lr, trains,
                epochs,
            ),
            EXPECTED,
        )  # fmt: skip
        if not all(np.isfinite(layer.W).all() and np.isfinite(layer.b).all() for layer in layers):
            raise Finding("the tutorial's layers are not finite")
        if not chance(random, 0.3):
            return

        def oracle(noise):
            with as_oracle():
                twin = copy.deepcopy(before)
                for layer in twin:
                    layer.W, layer.b = (
                        noise.move(layer.W, np.float64), noise.move(layer.b, np.float64)
                    )  # fmt: skip
                out = tutorial.train(
                    twin, noise.move(x, np.float64), noise.shrink(y, np.float64),
                    tutorial.l2_cost, lr, trains, epochs,
                )  # fmt: skip
                return [out, *(a for layer in twin for a in (layer.W, layer.b))]

        left = [got, *(a for layer in layers for a in (layer.W, layer.b))]
        agree(
            None if error else left, error, oracle, np.float64, 8 * epochs, lr, expected=EXPECTED
        )
        if error is not None:
            self.layers = None

    # ---- rules: estimators ----

    def new_estimator(self, random):
        kind = random.choice([fastnn.MLPClassifier, fastnn.MLPRegressor])
        n_hidden = random.choice([1, 1, 2])
        options = {
            "hidden_layer_sizes": tuple(random.randint(1, 6) for _ in range(n_hidden)),
            "activation": random.choice(values.HIDDEN), "max_iter": random.choice([1, 2]),
            "random_state": random.getrandbits(16),
            "solver": random.choice([*values.SOLVERS, "adam", "sgd", "lbfgs"]),
            "learning_rate_init": random.choice([1e-3, 0.1]),
            "batch_size": "auto",
        }  # fmt: skip
        stochastic = options["solver"] != "lbfgs"
        if stochastic and options["solver"] != "rprop":
            options["batch_size"] = random.choice(["auto", 2, 5])
            options["clip_norm"] = random.choice([0.0, 0.5])
        if options["solver"] == "sgd":
            options["learning_rate"] = random.choice(["constant", "invscaling", "adaptive"])
        if stochastic and chance(random, 0.2):
            options["ema"] = 0.5
        if stochastic and chance(random, 0.2):
            options["dropout"] = 0.3
        if stochastic and chance(random, 0.2):
            options |= {"early_stopping": True, "validation_fraction": 0.25}
        if chance(random, 0.3):
            options["alpha"] = random.choice([0.0, 0.1])
        if kind is fastnn.MLPRegressor and chance(random, 0.5):
            loss = random.choice(["huber", "absolute_error", "log_cosh"])
            if "loss" in kind._get_param_names():  # scikit-learn 1.6 has one
                options["loss"] = loss
        if kind is fastnn.MLPClassifier and chance(random, 0.2):
            options["label_smoothing"] = 0.1
        estimator = self.call(kind.__name__, kind, **options)
        self.estimators.append([estimator, random.randint(1, 5), random.choice([2, 3])])
        if len(self.estimators) > 2:
            del self.estimators[0]
        return self.estimators[-1]

    def some_rows_and_labels(self, random, entry, n=None):
        """X in double precision, y; whole numbers may be sparse as well."""
        estimator, n_features, n_classes = entry
        n = n or random.choice([8, 12, 15])
        rng = values.generator(random)
        X = rng.standard_normal((n, n_features))
        if chance(random, 0.4):
            X[rng.random(X.shape) < 0.5] = 0
        if isinstance(estimator, fastnn.MLPClassifier):
            return X, np.arange(n) % n_classes
        return X, rng.standard_normal(n if n_classes == 2 else (n, 2))

    def some_estimator(self, random):
        if not self.estimators or chance(random, 0.1):
            return self.new_estimator(random)
        return random.choice(self.estimators)

    def rule_estimator_fits(self, random):
        entry = self.some_estimator(random)
        estimator = entry[0]
        kind = type(estimator).__name__
        X, y = self.some_rows_and_labels(random, entry)
        name = random.choice(["fit", "partial_fit", "partial_fit"])
        if estimator.solver == "lbfgs" or estimator.early_stopping:
            name = "fit"
        given = (
            values.sparse(random, X)
            if chance(random, 0.4)
            else values.in_some_layout(
                random, X, [one for one in values.LAYOUTS if one != "__array__"]
            )
        )
        before = pickle.dumps(estimator)
        if name == "fit" and chance(random, 0.2) and not isinstance(given, (list, tuple)):
            self.call(f"{kind}.set_callbacks", estimator.set_callbacks, random.choice(
                [stops, shrinks, slows] if estimator.solver != "lbfgs" else [stops]
            ))  # fmt: skip
            before = pickle.dumps(estimator)
        classes = {}
        if name == "partial_fit" and kind == "MLPClassifier":
            classes = {"classes": np.arange(entry[2])}
        weights = {}
        if chance(random, 0.2):
            weights["sample_weight"] = values.weights(random, len(X)) + 0.5
        _, error = outcome(
            lambda: self.call(
                f"{kind}.{name}", getattr(estimator, name), given, y, **classes, **weights
            ),
            EXPECTED,
        )
        if error is not None and not hasattr(estimator, "coefs_"):
            self.estimators.remove(entry)
        if error is None:
            n_epochs = estimator.n_iter_ if estimator.solver != "lbfgs" else None
            if not all(np.isfinite(one).all() for one in estimator.coefs_):
                raise Finding("an estimator's parameters are not finite")
            if n_epochs is not None and name == "fit" and len(estimator.loss_curve_) != n_epochs:
                raise Finding("n_iter_ and loss_curve_ disagree")
        if threading.active_count() > self.n_threads:
            raise Finding("a thread outlives its fit")
        if estimator.solver == "lbfgs" or not chance(random, 0.4):
            return  # a line search takes another way after the last digit

        def left(one):
            curve = [one.loss_curve_] if hasattr(one, "loss_curve_") else []
            if getattr(one, "validation_scores_", None):
                curve.append(one.validation_scores_)
            return [*one.coefs_, *one.intercepts_, *curve]

        def oracle(noise):
            with as_oracle():
                twin = pickle.loads(before)
                getattr(twin, name)(noise.move(X, np.float64), y, **classes, **weights)
                return left(twin)

        agree(
            None if error else left(estimator), error, oracle,
            estimator.coefs_[0].dtype if hasattr(estimator, "coefs_") else np.dtype(float),
            len(X) * 2, estimator.learning_rate_init, expected=EXPECTED,
        )  # fmt: skip

    def rule_estimator_looks(self, random):
        entry = self.some_estimator(random)
        estimator = entry[0]
        if not hasattr(estimator, "coefs_"):
            return
        kind = type(estimator).__name__
        X, y = self.some_rows_and_labels(random, entry, random.choice([1, 2, 5, 8]))
        given = (
            values.sparse(random, X)
            if chance(random, 0.4)
            else values.in_some_layout(
                random, X, [one for one in values.LAYOUTS if one != "__array__"]
            )
        )
        names = ["predict", "score"]
        if kind == "MLPClassifier":
            names += ["predict_proba", "predict_log_proba"]
        name = random.choice(names)
        args = (given, y) if name == "score" else (given,)
        if name == "score" and len(X) < 2:
            return
        before = [one.tobytes() for one in estimator.coefs_]
        out = self.call(f"{kind}.{name}", getattr(estimator, name), *args)
        if before != [one.tobytes() for one in estimator.coefs_]:
            raise Finding(f"{kind}.{name} changes coefs_")
        if name in ("score", "predict_log_proba"):
            return
        if kind == "MLPClassifier" and name == "predict":  # a tie may go either way
            p = estimator.predict_proba(X)
            if not np.array_equal(out, estimator.classes_[p.argmax(axis=1)]) and (
                np.ptp(np.sort(p, axis=1)[:, -2:], axis=1).min() > 1e-6
            ):
                raise Finding("predict and predict_proba disagree")
            return

        def oracle(noise):
            with as_oracle():
                twin = pickle.loads(state)  # an estimator keeps memory of its build's size
                return [getattr(twin, name)(noise.move(X, np.float64))]

        state = pickle.dumps(estimator)

        agree([out], None, oracle, estimator.coefs_[0].dtype, 16, expected=EXPECTED)

    def rule_estimator_looks_around(self, random):
        """Parameters, clones, pickles and scikit-learn's own classes."""
        from sklearn.base import clone

        entry = self.some_estimator(random)
        estimator = entry[0]
        cls = type(estimator)
        kind, way = (
            cls.__name__,
            random.choice(["params", "bad", "clone", "pickle", "theirs", "file", "summary"]),
        )
        if way == "params":
            params = self.call(f"{kind}.get_params", estimator.get_params)
            new = {"alpha": random.choice([0.0, 1e-4, 0.1]), "n_jobs": random.choice([None, 1, 2])}
            self.call(f"{kind}.set_params", estimator.set_params, **new)
            if estimator.get_params() != {**params, **new}:
                raise Finding("set_params sets something else")
        elif way == "bad":
            key, value = random.choice([
                ("alpha", -1.0), ("solver", "zzz"), ("activation", "softmax"), ("ema", 1.0),
                ("hidden_layer_sizes", (0,)), ("batch_size", -1), ("dropout", [0.1] * 9),
                ("learning_rate", "zzz"), ("learning_rate_init", 0.0), ("n_jobs", 0),
                ("max_iter", 0), ("tol", -1.0), ("clip_norm", -1.0), ("input_noise", -1.0),
            ])  # fmt: skip
            wrong = clone(estimator).set_params(**{key: value})
            X, y = self.some_rows_and_labels(random, entry)
            _, error = outcome(lambda: self.call(f"{kind}.fit", wrong.fit, X, y), REFUSALS)
            ignored = key in ("ema", "dropout", "clip_norm", "learning_rate", "batch_size",
                              "input_noise", "learning_rate_init")  # fmt: skip
            if error is None and not (ignored and estimator.solver == "lbfgs"):
                raise Finding(f"{kind}.fit takes {key}={value!r}")
            if hasattr(wrong, "coefs_") and error is not None and key != "n_jobs":
                raise Finding(f"{kind}.fit refuses {key}={value!r} after it began")
        elif way == "clone":
            other = clone(estimator)
            if repr(other.get_params()) != repr(estimator.get_params()):
                raise Finding("a clone has other parameters")
        elif hasattr(estimator, "coefs_"):
            X, y = self.some_rows_and_labels(random, entry)
            if way == "summary":
                if "total" not in str(self.call(f"{kind}.summary", estimator.summary, 10)):
                    raise Finding("a summary without a total")
                return
            if way in ("pickle", "file"):
                if way == "file":
                    other = self.from_file(estimator, kind)
                    if other is None:
                        return
                else:
                    other = pickle.loads(pickle.dumps(estimator))
                if bits(other.predict(X)) != bits(estimator.predict(X)):
                    raise Finding(f"a {way} predicts otherwise")
                entry[0] = other
                return
            theirs, error = outcome(
                lambda: self.call(f"{kind}.to_sklearn", estimator.to_sklearn), REFUSALS
            )
            if error is not None:
                if "\n" in str(error):
                    raise Finding(f"an error of several lines: {error!r}")
                return  # scikit-learn has no such activation, loss or solver
            back = self.call(f"{kind}.from_sklearn", cls.from_sklearn, theirs)
            if bits(back.coefs_) != bits(estimator.coefs_):
                raise Finding("to_sklearn and from_sklearn change coefs_")


def bits(result):
    """A result to the bit."""
    if result is None:
        return None
    return [np.asarray(one).tobytes() for one in parts(result)]


def parts(result):
    """A result as a list of arrays."""
    if isinstance(result, np.ndarray):
        return [result]
    if isinstance(result, (list, tuple)):
        return [array for one in result for array in parts(one)]
    return [np.asarray(result)]


def pickled(net):
    return pickle.dumps(net, pickle.HIGHEST_PROTOCOL)


def revived(state):
    """A network of this state, which is not copied: nobody trains it."""
    net = fastnn.Network.__new__(fastnn.Network)
    net.__setstate__(state)
    return net


# ---- who drives ---------------------------------------------------------------------------------

#: how often each rule comes
WEIGHTS = {
    "look": 34, "partial_fit": 12, "fit": 6, "search": 4, "many": 1, "edit": 10, "copy": 3,
    "look_around": 8, "new": 3, "reset_solver": 2, "bad_data": 8, "bad_option": 6,
    "odd_argument": 5, "threads": 1, "many_threads": 0.1, "config": 0.2,
    "find_learning_rate": 0.3, "tutorial": 4,
    "estimator_fits": 0.25, "estimator_looks": 0.6, "estimator_looks_around": 1,
}  # fmt: skip


def rules(machine_class=Machine):
    """(names, weights), every rule with a weight."""
    names = [name for name in dir(machine_class) if name.startswith("rule_")]
    return names, [WEIGHTS.get(name.removeprefix("rule_"), 1) for name in names]


def drive(seed, number, n_rules=40, log=None, machine_class=Machine, calls=None):
    """One machine, from the start; the same for the same seed and number.

    Raises whatever a rule raises.
    """
    random = _random.Random(f"{seed}-{number}")
    machine = machine_class(log)
    names, shares = rules(machine_class)
    try:
        for name in random.choices(names, shares, k=n_rules):
            machine.log(name)
            getattr(machine, name)(random)
    finally:
        machine.close()
        if calls is not None:
            calls.update(machine.calls)
    return machine


__all__ = ["Finding", "Machine", "Noise", "drive", "rules"]
