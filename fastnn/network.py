"""Network: a multilayer perceptron whose training runs in compiled calls.

This file is the public face of one network: it checks input, calls the rooms below and keeps what
a fit leaves. Compiled epochs are in `training.run`, the layout of parameters in `parameters`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import documentation, parameters, threads, work
from fastnn.callbacks import NOBODY, CallbackLike, Listeners
from fastnn.catalog import activations
from fastnn.catalog.activations import ActivationName
from fastnn.catalog.losses import LossName
from fastnn.data import checks
from fastnn.displayable import Displayable
from fastnn.forward import forward_rows
from fastnn.initializers import INITIALIZERS
from fastnn.layers import Layers
from fastnn.parameters import RealType
from fastnn.training import options, own_loss
from fastnn.training.again import Again, can_train
from fastnn.training.losses import DELTA, QUANTILE, OwnLoss, check_loss, smoothed
from fastnn.training.objective import MeanLoss, short_loss
from fastnn.training.options import SolverOptions, hints_at_keywords, takes_solver_options
from fastnn.training.run import TrainingRun, draw_order

# partial_fit keeps this many losses at most: it may be called for ever.
LONGEST_CURVE = 100_000


class Network(Layers, Displayable):
    """A multilayer perceptron: dense layers, each with an activation.

    Parameters
    ----------
    layer_units : sequence of int
        Units of every layer, inputs first: ``[2, 4, 8, 1]`` takes 2 features and gives 1 output.
    activation : str or sequence of str
        For the hidden layers: {hidden activations}.
        Or one for each layer, the output included; {output activations} may come last.
    out_activation : str, optional
        The output's activation. By default the one that belongs to the loss: ``"softmax"`` for
        ``"log_loss"``, ``"sigmoid"`` for ``"binary_log_loss"``, ``"exp"`` for ``"poisson"``
        and ``"gamma"``; for others ``"sigmoid"`` in a sigmoid network and else ``"identity"``.
    loss : str or pair of functions
        A mean over the samples:

        {losses}

        Or two functions of (output, target), arrays (n, n_outputs): of the values, (n,) or
        (n, n_outputs), and of their derivatives by the output. They are called once a batch, from
        Python, which costs some 25 us a batch besides the time that they take.
    delta : float > 0
        Of the loss ``"huber"``.
    quantile : float in (0, 1), or rising sequence of them
        Levels of the loss ``"quantile"``, one for each output. All outputs learn the one column
        y, and `predict` sorts each row, so that quantiles never cross.
    init : str
        ``"glorot"``: uniform within sqrt(f / (fan_in + fan_out)), f = 2 for sigmoid hidden layers
        and otherwise 6 (Glorot and Bengio, 2010), coefs then intercepts of each layer, in
        scikit-learn's order; ``"uniform"``: uniform in [-1, 1), intercepts then coefs of each
        layer, in the tutorial's order.
    dtype : dtype
        float64 or float32, of parameters and arithmetic.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        Draws the parameters and then the shuffles. None is NumPy's global state; a Generator's
        bit generator is used and advanced.
    n_jobs : None or int
        At most so many threads train and predict: None for `fastnn.get_num_threads()`, -1 for all
        cores. The number changes no result, and small work is done by one thread.

    Attributes
    ----------
    coefs_ : sequence of ndarray, (fan_in, fan_out)
    intercepts_ : sequence of ndarray, (fan_out,)
        Views of the parameters: edit them in place, or assign items or the whole.
    loss_curve_ : list of float
        The mean loss of each epoch of the last `fit` and the `partial_fit` calls after it, seen
        before each step, with the penalty. `partial_fit` keeps the last {longest} at most.
    loss_ : float
        The last of them; NaN before any.
    n_iter_ : int
        How many epochs that were.

    Raises
    ------
    TypeError, ValueError
        With a line that names the argument, for any other input.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> y = np.array([[0], [1], [1], [0]])
    >>> net = Network([2, 8, 1], activation="tanh", loss="binary_log_loss", random_state=0)
    >>> net.fit(X, y, solver="adam", learning_rate_init=0.1, max_iter=200)
    Network([2, 8, 1], activation=('tanh', 'sigmoid'), loss='binary_log_loss', dtype='float64')
    >>> net.predict(X).round().ravel()
    array([0., 1., 1., 0.])
    """

    @hints_at_keywords
    def __init__(
        self,
        layer_units: Sequence[int],
        activation: ActivationName | Sequence[ActivationName] = "sigmoid",
        *,
        out_activation: ActivationName | None = None,
        loss: LossName | OwnLoss = "squared_error",
        delta: float = DELTA,
        quantile: float | Sequence[float] = QUANTILE,
        init: Literal["glorot", "uniform"] = "glorot",
        dtype: RealType = np.float64,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        n_jobs: int | None = None,
    ) -> None:
        units = checks.layer_units(layer_units)
        loss_of = check_loss(loss, units[-1], delta, quantile)
        names = checks.layer_activations(activation, out_activation, loss_of.name, units)
        real = parameters.as_dtype(dtype)
        draw = checks.choice("init", init, INITIALIZERS)
        self._random_state = checks.random_state(random_state)
        self.n_jobs = n_jobs
        self._make(units, names, loss_of, parameters.new_params(units, real))
        gains = [activations.BY_NAME[name].gain for name in names[:-1] or names]
        draw(self._random_state, self._coefs[:], self._intercepts[:], gains)
        self._drawn = parameters.checksum(self._params)  # tells whether they are still those

    # ---- looking ----

    def forward(self, X: ArrayLike) -> list[NDArray[Any]]:
        """The activations of every layer.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])

        Returns
        -------
        list of ndarray, (n, units) for each layer, the output last

        Raises
        ------
        TypeError, ValueError
            If X is not a finite array of that shape.
        """
        threads.from_environment()  # a bad number is refused in small work too
        widths = self._layer_units[1:]
        every = self._short_forward(X, True)
        if every is None:
            every = self._forward(self._check_x(X), sum(widths))
        ends = itertools.accumulate(widths)
        return [every[:, end - n : end] for n, end in zip(widths, ends, strict=True)]

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The output's activations; several quantiles are sorted.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])

        Returns
        -------
        ndarray, (n, layer_units[-1])

        Raises
        ------
        TypeError, ValueError
            If X is not a finite array of that shape.
        """
        threads.from_environment()  # a bad number is refused in small work too
        out = self._short_forward(X)
        if out is None:
            out = self._forward(self._check_x(X), self._layer_units[-1])
        if self._sorts:
            out.sort(axis=1)
        return out

    def _forward(self, x: NDArray[Any], width: int) -> NDArray[Any]:
        self._check_params()
        out = np.empty((len(x), width), self._dtype)
        forward_rows(self._params, self._units, self._codes, x, out, self._n_jobs)
        return out

    def loss(self, X: ArrayLike, y: ArrayLike, *, alpha: float = 0.0) -> float:
        """The mean loss over the rows, plus the penalty alpha / (2 n) times the sum of W^2.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
        y : array-like, (n, layer_units[-1]), or (n,) for one output
            Within the domain of the loss.
        alpha : float >= 0

        Returns
        -------
        float
        """
        return self._mean_loss(X, y, alpha)

    def loss_and_grad(
        self, X: ArrayLike, y: ArrayLike, *, alpha: float = 0.0
    ) -> tuple[float, list[NDArray[Any]], list[NDArray[Any]]]:
        """The mean loss over the rows, with its penalty, and its gradient.

        Parameters are those of `loss`.

        Returns
        -------
        loss : float
        coef_grads : list of ndarray, (fan_in, fan_out)
        intercept_grads : list of ndarray, (fan_out,)
        """
        grads = np.empty_like(self._params)
        loss = self._mean_loss(X, y, alpha, grads)
        return loss, *parameters.split_params(grads, self._layer_units)

    def _mean_loss(self, X: Any, y: Any, alpha: Any, grads: NDArray[Any] | None = None) -> float:
        threads.from_environment()  # a bad number is refused in small work too
        net = self._units, self._codes
        name, numbers, own = self._loss
        short = not (numbers or own)
        loss = short_loss(self._params, *net, name, alpha, X, y, grads) if short else None
        if loss is None:
            x, y = self._check_loss_data(X, y)
            checks.loss_domain(y, name)
            alpha = checks.real_number("alpha", alpha, 0, closed="left")
            self._check_params()
            grads = np.empty(0, self._dtype) if grads is None else grads
            if own:
                return own_loss.mean_loss(net, own, alpha, x, y, self._n_jobs, self._params, grads)
            loss = MeanLoss(*net, name, alpha, x, y, self._n_jobs, numbers)(self._params, grads)
        return loss

    # ---- training ----

    @property
    def loss_(self) -> float:
        """The mean loss of the last epoch; NaN before any."""
        return self.loss_curve_[-1] if self.loss_curve_ else math.nan

    @property
    def n_iter_(self) -> int:
        """Epochs of the last `fit` and the `partial_fit` calls after it."""
        return self._dropped + len(self.loss_curve_)

    @property
    def learning_rate_(self) -> float:
        """The learning rate of the fit that is running; a callback may set it.

        Raises
        ------
        AttributeError
            While no fit is running.
        """
        if self._step is None:
            raise AttributeError(self._no_rate)
        rate: float = self._step["learning_rate"].item()
        return rate

    @learning_rate_.setter
    def learning_rate_(self, value: float) -> None:
        if self._step is None:
            raise AttributeError(self._no_rate)
        rate = options.check_number("learning_rate_init", value, self._dtype)
        self._step["learning_rate"] = rate

    @takes_solver_options
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        max_iter: int = 200,
        batch_size: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        label_smoothing: float = 0.0,
        callback: CallbackLike | Sequence[CallbackLike] | None = None,
        callback_every: int = 1,
        **solver_options: Unpack[SolverOptions],
    ) -> Self:
        """Train for max_iter epochs from the present parameters, the solver starting afresh.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
        y : array-like, (n, layer_units[-1]), or (n,) for one output
            Within the range of the output's activation and the domain of the loss; for
            "log_loss" each row sums to 1.
        max_iter : int
            Epochs: how often every sample is used.
        batch_size : int or "auto"
            Samples for each step; "auto" is min(200, n). With n, every epoch is one step.
        shuffle : bool
            Whether to draw a new order of the samples for each epoch of several batches.
        label_smoothing : float in [0, 1)
            With "log_loss" over K classes, targets are y (1 - s) + s / K; with "binary_log_loss"
            K is 2.
        callback : callable, or sequence of callables
            Functions of the network, called between epochs, which end the training by returning
            True; or a `fastnn.callbacks.Callback`, such as `ProgressBar`, `Recorder`,
            `ValidationLoss` or `fastnn.plotting.LivePlot`. A callback sees the parameters and
            loss_curve_ reached so far; it may change the parameters and `learning_rate_`.
        callback_every : int
            Epochs between two calls of a function; there is also a call after the last epoch.
        {solver options}

        Returns
        -------
        Network
            Itself.

        Raises
        ------
        TypeError, ValueError
            For bad input, before anything changes.
        Exception
            Raised by a callback; the parameters are those reached.
        FloatingPointError
            If training leaves the finite numbers; the parameters are those before that epoch.
        KeyboardInterrupt
            On Ctrl-C; the parameters are those reached.
        """
        x, y, step, shuffle = self._check_training(
            X, y, batch_size, shuffle, label_smoothing, solver_options
        )
        curve = np.zeros(checks.whole_number("max_iter", max_iter))
        checks.whole_number("callback_every", callback_every)
        listeners = NOBODY if callback is None else Listeners(callback, callback_every)
        own = vars(self)  # __setattr__ would take 0.2 us each time
        before = {name: own[name] for name in ("loss_curve_", "_dropped", "_state")}
        own.update(loss_curve_=[], _dropped=0, _state=None)
        if callback is None:
            self._train(x, y, step, shuffle, curve)
            return self
        try:
            listeners.begin(self, x, y, len(curve))
        except BaseException:
            own.update(before)
            raise
        with listeners:
            self._train(x, y, step, shuffle, curve, listeners)
        return self

    @takes_solver_options
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        batch_size: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        label_smoothing: float = 0.0,
        **solver_options: Unpack[SolverOptions],
    ) -> Self:
        """Train for one epoch, the solver going on where it was.

        Parameters and errors are those of `fit`. The solver's velocities or moments are kept from
        the last call, unless the solver is another.

        Returns
        -------
        Network
            Itself.
        """
        threads.from_environment()  # a bad number is refused in small work too
        options = {**solver_options, "batch_size": batch_size, "shuffle": shuffle}
        options["label_smoothing"] = label_smoothing
        own = vars(self)  # __setattr__ would take half a microsecond each time
        again, own["_again"] = self._again, None  # out of other threads' sight
        if type(y) is np.ndarray and y.ndim == 1 and self._layer_units[-1] == 1:
            y = y.reshape(-1, 1)
        if again is None or not again.takes(self._params, self._state, X, y, options):
            x, y, step, shuffle = self._check_training(
                X, y, batch_size, shuffle, label_smoothing, solver_options
            )
            run = self._train(x, y, step, shuffle, np.zeros(1))
            in_batches = shuffle and step["batch_size"].item() < len(x)
            again = Again(
                run, self._state, options, len(x), in_batches, self._loss.name,
                self._activations[-1],
            )  # fmt: skip
        else:
            try:
                again.train(self._params, X, y, self._random_state)
            finally:
                self.loss_curve_.extend(again.losses())
                own["_state"] = again.state = again.run.state
        if again.is_small and not (label_smoothing or self._loss.own):
            own["_again"] = again
        if len(self.loss_curve_) > LONGEST_CURVE:
            self._dropped += LONGEST_CURVE // 2
            del self.loss_curve_[: LONGEST_CURVE // 2]
        return self

    def reset_solver(self) -> None:
        """Forget the solver's velocities or moments, so that `partial_fit` starts afresh."""
        self._state = None

    def _check_training(
        self, X: Any, y: Any, batch_size: Any, shuffle: Any, smoothing: Any, solver_options: Any
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], bool]:
        """Refuse all bad input to a fit before anything changes."""
        units, out_activation = self._layer_units, self._activations[-1]
        name, numbers, own = self._loss
        x = X
        # the long way where y is not what kernels take: several quantiles have one target
        if (
            own
            or name == "quantile"
            or not can_train(self._params, x, y, units[0], units[-1], name, out_activation)
        ):
            x, y = self.check_data(X, y)
            if not own:
                checks.targets(y, name, out_activation)
            self._check_params()
            # training must not change its own data: views of the parameters are copied
            x, y = (a.copy() if np.may_share_memory(a, self._params) else a for a in (x, y))
        batch_size = checks.batch_size("batch_size", batch_size, len(x))
        shuffle = checks.boolean("shuffle", shuffle)
        checked = options.check_options(self._dtype, solver_options)
        threads.from_environment()  # it may ask for an impossible number
        y = smoothed(y, name, smoothing)
        step = options.new_step(name, batch_size=batch_size, loss_numbers=numbers, **checked)
        return x, y, step, shuffle

    def _train(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        step: NDArray[Any],
        shuffle: bool,
        curve: NDArray[Any],
        listeners: Listeners = NOBODY,
    ) -> TrainingRun:
        batch_size = step["batch_size"].item()
        n_threads = work.training_threads(
            self._units, batch_size, self._dtype, len(x) * len(curve), self._n_jobs
        )
        own = self._loss.own
        kind = TrainingRun if own is None else functools.partial(own_loss.OwnLossRun, own=own)
        run = kind(self._units, self._codes, step, self._dtype, n_threads=n_threads)
        if self._state is not None and self._state.solver == step["solver"].item():
            run.go_on_from(self._state)
        order = np.arange(len(x)) if shuffle and batch_size < len(x) else None
        params, done, architecture = None, 0, self._architecture()

        def note() -> None:  # each time all of it: a callback may have trained this network, too
            nonlocal done
            attributes["_state"] = run.state
            new_losses = curve[done : run.epochs_done].tolist()
            self.loss_curve_.extend(new_losses)
            done += len(new_losses)

        attributes = vars(self)
        outer, attributes["_step"] = self._step, step  # of a fit whose callback called this one
        try:
            with run:
                for stop in listeners.stops(self, len(curve)):
                    if self._params is not params:  # at first, and after a callback's __setstate__
                        if done and self._architecture() != architecture:
                            raise ValueError(
                                "a callback made this another network: it is not trained on"
                            )
                        params = self._params
                        run.begin(params, x, y, curve, order, first=done)
                    try:
                        if order is None:
                            run.until(stop)
                        else:
                            for epoch in range(done, stop):
                                draw_order(order, self._random_state)
                                run.until(epoch + 1)
                    finally:
                        try:
                            note()
                        except KeyboardInterrupt:  # between two of its lines
                            note()
                            raise
        finally:
            attributes["_step"] = outer
        return run

    def _architecture(self) -> tuple[Any, ...]:
        return self._layer_units, self._activations, self._loss, self._dtype


Network.__doc__ = documentation.complete(Network.__doc__, longest=f"{LONGEST_CURVE:,}")
