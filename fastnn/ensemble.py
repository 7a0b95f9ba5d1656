"""NetworkEnsemble: networks of one shape as one object, whose parameters are one array.

Row i of that array is the vector of network i, so that coefs and intercepts of all networks are
views of it, and stay in step with the networks whoever changes which. Training is `fit_many`'s.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

import fastnn
from fastnn import documentation, parameters, threads, work
from fastnn.catalog.activations import ActivationName
from fastnn.catalog.initializers import InitName
from fastnn.catalog.losses import LossName
from fastnn.data import checks
from fastnn.forward import forward_rows
from fastnn.many import fit_many
from fastnn.network import Network
from fastnn.parameters import ParameterList, RealType
from fastnn.training.losses import DELTA, QUANTILE, OwnLoss
from fastnn.training.options import hints_at_keywords
from fastnn.training.side_by_side import Failure


class NetworkEnsemble:
    """Networks of one shape that train side by side and predict together.

    Parameters
    ----------
    n_nets : int
        How many networks.
    {of each network}
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        Draws first ``seeds_``, as ``randint(2**31 - 1, size=n_nets)``, and then the rows of each
        `fit` with bootstrap. Network i begins as ``Network(..., random_state=seeds_[i])``.
    n_jobs : None or int
        Threads, in `fit` for different networks: None for `fastnn.get_num_threads()`, -1 for all
        cores. The number changes no result.

    Attributes
    ----------
    coefs_ : sequence of ndarray, (n_nets, fan_in, fan_out)
    intercepts_ : sequence of ndarray, (n_nets, fan_out)
        For each layer those of all networks: views of ``params_``, to be edited in place, or
        assigned.
    params_ : ndarray, (n_nets, n_params)
        Row i is ``params_`` of network i, and the same memory.
    nets : tuple of Network
        They may be trained, edited and saved on their own. ``ensemble[i]`` is one of them.
    seeds_ : ndarray of int, (n_nets,)
        What each network's parameters and shuffles are drawn from.
    rows_ : list of (ndarray or None), or None
        The rows that each network was trained on in the last `fit`; None if all on all.
    failures_ : list of (FloatingPointError, ZeroDivisionError or None), or None
        What the last `fit` with ``errors="keep"`` says of each network.
    loss_ : ndarray, (n_nets,)
        The mean loss of each network's last epoch; NaN before any.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import NetworkEnsemble
    >>> X = np.linspace(-1, 1, 90)[:, np.newaxis]
    >>> ensemble = NetworkEnsemble(20, [1, 8, 1], "tanh", random_state=0)
    >>> ensemble = ensemble.fit(X, np.sin(3 * X), bootstrap=True, learning_rate_init=0.1)
    >>> mean, std = ensemble.predict_mean(X, return_std=True)
    >>> mean.shape, ensemble.coefs_[0].shape, bool(abs(mean - np.sin(3 * X)).max() < 0.2)
    ((90, 1), (20, 1, 8), True)

    All that the networks predict, files and copies:

    >>> ensemble.predict(X).shape, ensemble[0].n_iter_
    ((20, 90, 1), 200)
    >>> from fastnn import load
    >>> ensemble.save("twenty.fastnn")
    >>> (load("twenty.fastnn").params_ == ensemble.copy().params_).all()
    np.True_
    >>> ensemble.fit_state() is None
    True
    """

    @hints_at_keywords
    def __init__(
        self,
        n_nets: int,
        layer_units: Sequence[int],
        activation: ActivationName | Sequence[ActivationName] = "sigmoid",
        *,
        out_activation: ActivationName | None = None,
        loss: LossName | OwnLoss = "squared_error",
        delta: float = DELTA,
        quantile: float | Sequence[float] = QUANTILE,
        init: InitName = "auto",
        last_layer_scale: float = 1.0,
        dtype: RealType = np.float64,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        n_jobs: int | None = None,
    ) -> None:
        n_nets = checks.whole_number("n_nets", n_nets)
        self.n_jobs = n_jobs
        self._random_state = checks.random_state(random_state)
        seeds = self._random_state.randint(np.iinfo(np.int32).max, size=n_nets)
        nets = [
            Network(
                layer_units, activation, out_activation=out_activation, loss=loss, delta=delta,
                quantile=quantile, init=init, last_layer_scale=last_layer_scale, dtype=dtype,
                random_state=seed,
            )
            for seed in seeds.tolist()
        ]  # fmt: skip
        self._take(nets, seeds)

    def _take(
        self, nets: Sequence[Network], seeds: NDArray[np.int_], rows: list[Any] | None = None
    ) -> None:
        """Have these networks, and their parameters in one array."""
        first = nets[0]
        params = np.empty((len(nets), len(first.params_)), first.dtype)
        self._nets, self._params, self._vectors = tuple(nets), params, list(params)
        self.seeds_, self.rows_ = seeds, rows
        self.failures_: list[Failure | None] | None = None
        self._link()
        views, end = [], 0
        for shape in parameters.shapes_of(first.layer_units):
            begin, end = end, end + math.prod(shape)
            views.append(params[:, begin:end].reshape(len(nets), *shape))
        self._coefs = ParameterList("coefs_", views[::2])
        self._intercepts = ParameterList("intercepts_", views[1::2])

    def _link(self) -> None:
        """Have every network's parameters in its row: `__setstate__` of one gives it others.

        Raises
        ------
        ValueError
            If it is of another shape or type now.
        """
        first = self._nets[0]
        for i, (net, vector) in enumerate(zip(self._nets, self._vectors, strict=True)):
            if net._params is vector:
                continue
            if net._architecture() != first._architecture():
                raise ValueError(f"nets[{i}] is no longer a network as the others are: {net!r}")
            vector[:] = net._params
            net._build(vector)

    # ---- looking ----

    @property
    def nets(self) -> tuple[Network, ...]:
        """The networks."""
        return self._nets

    @property
    def n_jobs(self) -> int | None:
        """At most so many threads train and predict; None: `fastnn.get_num_threads()`."""
        return self._n_jobs

    @n_jobs.setter
    def n_jobs(self, value: int | None) -> None:
        self._n_jobs = checks.n_jobs("n_jobs", value)

    @property
    def params_(self) -> NDArray[Any]:
        """The parameters of all networks, (n_nets, n_params).

        A view: edit it in place, or assign to copy into it.
        """
        self._link()
        return self._params

    @params_.setter
    def params_(self, values: ArrayLike) -> None:
        array = checks.numeric_array("params_", values)
        if array.shape != self._params.shape:
            raise ValueError(f"params_ must have shape {self._params.shape}, got {array.shape}")
        self._link()
        self._params[:] = checks.finite_array("params_", array, self._params.dtype)

    @property
    def coefs_(self) -> ParameterList:
        """Views of the coefs of each layer, (n_nets, fan_in, fan_out)."""
        self._link()
        return self._coefs

    @coefs_.setter
    def coefs_(self, values: Sequence[ArrayLike]) -> None:
        self._link()
        self._coefs.assign(values)

    @property
    def intercepts_(self) -> ParameterList:
        """Views of the intercepts of each layer, (n_nets, fan_out)."""
        self._link()
        return self._intercepts

    @intercepts_.setter
    def intercepts_(self, values: Sequence[ArrayLike]) -> None:
        self._link()
        self._intercepts.assign(values)

    @property
    def loss_(self) -> NDArray[np.float64]:
        """The mean loss of each network's last epoch; NaN before any."""
        return np.array([net.loss_ for net in self._nets])

    @property
    def metadata(self) -> dict[str, Any]:
        """As of the first network, and ``"n_nets"``."""
        saved = {"date": self._saved_at} if self._saved_at else {}
        return {**self._nets[0].metadata, "n_nets": len(self), **saved}

    _saved_at: str | None = None  # the date in the file that it came from

    def __len__(self) -> int:
        return len(self._nets)

    def __iter__(self) -> Iterator[Network]:
        return iter(self._nets)

    @overload
    def __getitem__(self, i: int) -> Network: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[Network, ...]: ...
    def __getitem__(self, i: int | slice) -> Network | tuple[Network, ...]:
        return self._nets[i]

    def __repr__(self) -> str:
        return f"NetworkEnsemble({len(self)}, {repr(self._nets[0]).removeprefix('Network(')}"

    # ---- training ----

    @documentation.completed
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        bootstrap: bool = False,
        rows: Sequence[ArrayLike | None] | None = None,
        **options: Any,
    ) -> Self:
        """Train all networks with `fastnn.fit_many`, each as its own `fit` would.

        Parameters
        ----------
        {training data}
        bootstrap : bool
            Whether each network trains on n rows that are drawn with replacement, as scikit-learn
            names it.
        rows : sequence of array-like, optional
            Rows of your own for each network: indices, or None for all.
        **options
            Of `fastnn.fit_many`, those of `Network.fit` among them. A list has a value for each
            network.

        Returns
        -------
        NetworkEnsemble
            Itself.

        Raises
        ------
        TypeError, ValueError
            For bad input, before anything changes.
        FloatingPointError, ZeroDivisionError
            If networks diverged, when all are done, unless ``errors="keep"``, which leaves the
            errors in ``failures_``. Their parameters are the last finite ones.
        KeyboardInterrupt
            On Ctrl-C; each network is as its fit had it then.
        """
        if checks.boolean("bootstrap", bootstrap) and rows is not None:
            raise ValueError("bootstrap draws rows: give either bootstrap=True or rows")
        self._link()
        drawn = self._random_state.get_state(legacy=False)
        if bootstrap:
            rows = self._draw(X)
        before = [net.loss_curve_ for net in self._nets]
        try:
            failures = fit_many(self._nets, X, y, rows=rows, **{"n_jobs": self.n_jobs, **options})
        except BaseException:
            if all(net.loss_curve_ is curve for net, curve in zip(self, before, strict=True)):
                self._random_state.set_state(drawn)  # no fit has begun
            else:
                self._note(rows, None)
            raise
        self._note(rows, failures if options.get("errors") == "keep" else None)
        return self

    def _draw(self, X: Any) -> list[NDArray[np.int_]] | None:
        """Rows with replacement; None where there are none: `fit_many` says what is wrong."""
        try:
            n = len(X)
        except TypeError:
            return None
        return list(self._random_state.randint(n, size=(len(self), n))) if n else None

    def _note(
        self,
        rows: Sequence[ArrayLike | None] | None,
        failures: list[Failure | None] | None,
    ) -> None:
        """Take down what the last fit was given, and what became of it."""
        self.failures_, self.rows_ = failures, None
        if rows is not None:
            self.rows_ = [None if one is None else np.asarray(one) for one in rows]

    # ---- predicting ----

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """What each network predicts, as its own `predict` does.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
            The samples, one a row.

        Returns
        -------
        ndarray, (n_nets, n, layer_units[-1])
            The outputs of each network.

        Raises
        ------
        TypeError, ValueError
            If X is not a finite array of that shape.
        """
        threads.from_environment()  # a bad number is refused in small work too
        self._link()
        first = self._nets[0]
        x = first._check_x(X)
        out = np.empty((len(self), len(x), first.layer_units[-1]), first.dtype)
        n_threads = 1
        if len(x) * self._params.size > work.WORTH_A_THREAD:
            n_threads = threads.resolve(self.n_jobs)
        share = max(1, n_threads // len(self))

        def some(numbers: Iterator[int]) -> None:
            for i in numbers:
                net = self._nets[i]
                short = net._short_forward(x)  # None for much work, and for bad parameters
                if short is not None:
                    out[i] = short
                    continue
                with checks.naming(f"nets[{i}]"):
                    net._check_params()
                forward_rows(net._params, net._units, net._codes, x, out[i], share)

        threads.side_by_side(n_threads, range(len(self)), some)
        if first._sorts:
            out.sort(axis=2)
        return out

    @overload
    def predict_mean(self, X: ArrayLike, return_std: Literal[False] = ...) -> NDArray[Any]: ...
    @overload
    def predict_mean(
        self, X: ArrayLike, return_std: Literal[True]
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def predict_mean(self, X: ArrayLike, return_std: bool = False) -> Any:
        """The mean of what the networks predict, and their spread.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
            The samples, one a row.
        return_std : bool
            Whether to return the networks' standard deviation, too: ``predict(X).std(axis=0)``.
            The name is that of scikit-learn's `GaussianProcessRegressor.predict`. It tells how
            much the networks differ, without the noise of new targets.

        Returns
        -------
        ndarray, (n, layer_units[-1])
            The mean.
        ndarray, (n, layer_units[-1])
            If asked for: the standard deviation.

        Raises
        ------
        TypeError, ValueError
            If X is not a finite array of that shape.
        """
        return_std = checks.boolean("return_std", return_std)
        every = self.predict(X)
        mean = every.mean(axis=0)
        return (mean, every.std(axis=0)) if return_std else mean

    # ---- keeping ----

    @documentation.completed
    def save(self, path: str | os.PathLike[str], *, date: bool = False) -> None:
        """Write the ensemble, without its ``failures_``, to a file, for `fastnn.load`.

        Parameters
        ----------
        {saving}
        """
        fastnn.files.save(self, path, date=date)

    def fit_state(self) -> None:
        """None: no file holds an ensemble whose fit is running."""

    def copy(self) -> Self:
        """An ensemble with networks and a random state of its own.

        Returns
        -------
        NetworkEnsemble
            Equal to this one.
        """
        return copy.deepcopy(self)

    __copy__ = copy

    def __getstate__(self) -> dict[str, Any]:
        self._link()
        made = ("_nets", "_params", "_vectors", "_coefs", "_intercepts", "_saved_at")
        state = {name: value for name, value in vars(self).items() if name not in made}
        return {**state, "nets": list(self._nets)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        _check_state(state)
        own = {name: value for name, value in state.items() if name != "nets"}
        vars(self).update(own)
        self._take(state["nets"], state["seeds_"], state["rows_"])
        self.failures_ = state.get("failures_")


def _check_state(state: Any) -> None:
    """Refuse what is no ensemble's state: it may come from anywhere.

    Raises
    ------
    TypeError, ValueError
    """
    missing = {"nets", "seeds_", "rows_", "_random_state", "_n_jobs"}.difference(state)
    if missing:
        raise ValueError(f"an ensemble's state is without {min(missing)}")
    nets, seeds, rows = state["nets"], state["seeds_"], state["rows_"]
    if type(nets) is not list or not nets or not all(type(net) is Network for net in nets):
        raise TypeError("an ensemble's nets must be a list of Network")
    for i, net in enumerate(nets):
        if net._architecture() != nets[0]._architecture():
            raise ValueError(f"nets[{i}] is another network than the first: {net!r}")
    if not isinstance(seeds, np.ndarray) or seeds.shape != (len(nets),) or seeds.dtype.kind != "i":
        raise ValueError(f"seeds_ must be {len(nets)} whole numbers")
    if rows is not None and (type(rows) is not list or len(rows) != len(nets)):
        raise ValueError(f"rows_ must be None or a list of {len(nets)}")
    for one in rows or ():
        if one is not None and not (
            isinstance(one, np.ndarray) and one.ndim == 1 and one.dtype.kind in "iu"
        ):
            raise ValueError("rows_ must hold vectors of whole numbers, or None")
    if not isinstance(state["_random_state"], np.random.RandomState):
        raise TypeError(f"_random_state is {checks.shown(state['_random_state'])}")
    checks.n_jobs("_n_jobs", state["_n_jobs"])


_of_each = documentation.entries(documentation.sections(Network.__doc__).get("Parameters", ""))
NetworkEnsemble.__doc__ = documentation.complete(
    NetworkEnsemble.__doc__,
    **{
        "of each network": "\n".join(
            text for name, text in _of_each.items() if name not in ("random_state", "n_jobs")
        )
    },
)
