"""Network: a multilayer perceptron whose training runs in compiled calls.

This file is the public face of one network: documentation, construction, prediction. What it is
made of is in `layers`, how it trains in `trainable`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

import fastnn
from fastnn import documentation, parameters, threads
from fastnn.catalog.activations import ActivationName
from fastnn.catalog.initializers import InitName
from fastnn.catalog.losses import LossName
from fastnn.data import checks
from fastnn.displayable import Displayable
from fastnn.forward import forward_rows
from fastnn.initializers import start_of
from fastnn.parameters import RealType
from fastnn.summary import Summary
from fastnn.trainable import LONGEST_CURVE, Trainable
from fastnn.training.evidence import deviations
from fastnn.training.losses import DELTA, QUANTILE, OwnLoss, check_loss
from fastnn.training.options import hints_at_keywords


class Network(Trainable, Displayable):
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
        Python, which costs some tens of microseconds a batch besides the time that they take.
    delta : float > 0
        Of the loss ``"huber"``.
    quantile : float in (0, 1), or rising sequence of them
        Levels of the loss ``"quantile"``, one for each output. All outputs learn the one column
        y, and `predict` sorts each row, so that quantiles never cross.
    init : str
        How coefs and intercepts are drawn, layer by layer:

        {initializers}
    last_layer_scale : float
        The output layer's coefs and intercepts times this: 0 lets the outputs begin at 0.
    dtype : dtype
        Of parameters and arithmetic: float64 or float32.
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
    validation_scores_ : list of float or None
        After each epoch of a `fit` with X_val, what `scoring` gave; without one, minus the mean
        loss on X_val.
    validation_loss_curve_ : list of float or None
        The mean loss on X_val after each epoch, of a fit without `scoring`.
    alphas_ : tuple of float
    effective_parameters_ : float
    noise_variance_ : float
        Of a fit with ``alpha="evidence"``: the penalty of each layer, how many parameters the
        data determine, and the variance of the targets about the function.
    loss_curves_ : list of list of float, or None
        Of each start of a `fit` with n_init > 1, the first being that of the network's own
        parameters.
    best_iteration_ : int or None
        The epoch with the best of these scores, the first being 1; None if none was a number.

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

    Epochs one by one, and what there is for a training loop of one's own:

    >>> losses = [net.partial_fit(X, y, learning_rate_init=0.1).loss_ for _ in range(20)]
    >>> losses[-1] < losses[0], net.n_iter_
    (True, 220)
    >>> net.reset_solver()  # the next partial_fit begins with new moments
    >>> loss, coef_grads, intercept_grads = net.loss_and_grad(X, y)
    >>> loss == net.loss(X, y), [grad.shape for grad in coef_grads]
    (True, [(2, 8), (8, 1)])
    >>> net.params_ -= 0.1 * np.concatenate(
    ...     [grad.ravel() for pair in zip(coef_grads, intercept_grads) for grad in pair]
    ... )
    >>> net.loss(X, y) < loss
    True

    A callback sees the fit that is running:

    >>> epochs = []
    >>> net = net.fit(X, y, max_iter=3, callback=lambda net: epochs.append(net.fit_state()))
    >>> [state["epoch"] for state in epochs], net.fit_state()
    ([1, 2, 3], None)
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
        init: InitName = "auto",
        last_layer_scale: float = 1.0,
        dtype: RealType = np.float64,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        n_jobs: int | None = None,
    ) -> None:
        units = checks.layer_units(layer_units)
        # first, as a loss has numbers for each output: how many units there may be
        params = parameters.new_params(units, parameters.as_dtype(dtype))
        loss_of = check_loss(loss, units[-1], delta, quantile)
        names = checks.layer_activations(activation, out_activation, loss_of.name, units)
        draw = start_of(init, last_layer_scale)
        vars(self)["_random_state"] = checks.random_state(random_state)
        self.n_jobs = n_jobs
        self._make(units, names, loss_of, params)
        draw(self._random_state, self._coefs[:], self._intercepts[:], names)
        vars(self)["_init"] = init, last_layer_scale
        # tells whether they are still those
        vars(self)["_drawn"] = parameters.checksum(self._params)

    # ---- looking ----

    def forward(self, X: ArrayLike) -> list[NDArray[Any]]:
        """The activations of every layer.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
            The samples, one a row.

        Returns
        -------
        list of ndarray
            For each layer (n, units), the output last.

        Raises
        ------
        TypeError, ValueError
            If X is not a finite array of that shape.

        Examples
        --------
        >>> from fastnn import Network
        >>> [a.shape for a in Network([2, 4, 1]).forward([[0, 0], [0, 1], [1, 1]])]
        [(3, 4), (3, 1)]
        """
        threads.from_environment()  # a bad number is refused in small work too
        widths = self._layer_units[1:]
        every = self._short_forward(X, True)
        if every is None:
            every = self._forward(self._check_x(X), sum(widths))
        ends = itertools.accumulate(widths)
        return [every[:, end - n : end] for n, end in zip(widths, ends, strict=True)]

    @overload
    def predict(self, X: ArrayLike, return_std: Literal[False] = ...) -> NDArray[Any]: ...
    @overload
    def predict(
        self, X: ArrayLike, return_std: Literal[True]
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """The output's activations; several quantiles are sorted.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
            The samples, one a row.
        return_std : bool
            Whether to return standard deviations, too, of a new target at each row: of the noise
            and of what the parameters leave open (Laplace's approximation). For a network that
            was fitted with ``alpha="evidence"``.

        Returns
        -------
        ndarray, (n, layer_units[-1])
            The outputs, one sample a row.
        ndarray, (n, layer_units[-1])
            If asked for: standard deviations.

        Raises
        ------
        TypeError, ValueError
            If X is not a finite array of that shape, or there are no standard deviations.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network
        >>> X = np.linspace(-1, 1, 60)[:, np.newaxis]
        >>> y = X**2 + np.random.default_rng(0).normal(0, 0.1, X.shape)
        >>> net = Network([1, 4, 1], "tanh", random_state=0)
        >>> net = net.fit(X, y, solver="lm", alpha="evidence")
        >>> mean, std = net.predict([[0.0], [3.0]], return_std=True)
        >>> bool(abs(mean[0, 0]) < 0.1), bool(std[0, 0] < std[1, 0])  # 3 is far from the data
        (True, True)
        """
        if return_std:
            if self._evidence is None:
                raise ValueError('return_std needs a fit with alpha="evidence" before')
            std = deviations(
                self._units, self._codes, self._params, self._evidence, self._check_x(X)
            )
            return self.predict(X), std.astype(self._dtype)
        threads.from_environment()  # a bad number is refused in small work too
        out = self._short_forward(X)
        if out is None:
            out = self._forward(self._check_x(X), self._layer_units[-1])
        if self._sorts:
            out.sort(axis=1)
        return out

    def summary(self, n_samples: int | None = None) -> Summary:
        """What the network is made of: layers, shapes, activations, parameters, memory, work.

        Parameters
        ----------
        n_samples : int, optional
            Of an epoch, for its multiply-adds.

        Returns
        -------
        Summary
            It prints as a table; its attributes are ``layers``, a list with the numbers of each,
            ``n_params``, ``n_bytes``, ``multiply_adds`` (to train on one sample) and
            ``multiply_adds_an_epoch``.

        Examples
        --------
        >>> from fastnn import Network
        >>> Network([64, 100, 10], "relu", loss="log_loss", dtype="float32").summary(1797)
        64 features, loss 'log_loss', float32
        -------------------------------------------------------------------
        layer     shape     activation  parameters    memory  multiply-adds
        -------------------------------------------------------------------
        hidden 1  64 x 100  relu             6,500  25.4 KiB         12,800
        output    100 x 10  softmax          1,010   3.9 KiB          3,000
        -------------------------------------------------------------------
        total                                7,510  29.3 KiB         15,800
        Multiply-adds are those of training on one sample; 28,392,600 an epoch of 1,797.
        """
        return Summary(
            self._layer_units, self._activations, self._loss.name, self._dtype, n_samples
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """What it was trained on last, and by what.

        Returns
        -------
        dict
            ``"n_features"``, and after a training ``"fastnn"``, its version, ``"build"``, the
            kernels' instruction set, ``"n_samples"``, and ``"feature_names"``, those of a data
            frame or None. A file has it, too. ``"date"`` is when the file was written from which
            it was loaded, if the file tells.
        """
        saved = {"date": self._saved_at} if self._saved_at else {}
        return {"n_features": self._layer_units[0], **(self._trained_on or {}), **saved}

    # ---- what the data say of it ----

    @property
    def alphas_(self) -> tuple[float, ...]:
        """Of a fit with ``alpha="evidence"``: the alpha of each layer."""
        alphas: tuple[float, ...] = self._of_evidence("alphas")
        return alphas

    @property
    def effective_parameters_(self) -> float:
        """Of a fit with ``alpha="evidence"``: how many parameters the data determine."""
        number: float = self._of_evidence("effective_parameters")
        return number

    @property
    def noise_variance_(self) -> float:
        """Of a fit with ``alpha="evidence"``: the variance of targets about the function."""
        variance: float = self._of_evidence("noise_variance")
        return variance

    def _of_evidence(self, name: str) -> Any:
        if self._evidence is None:
            raise AttributeError(f'{name} needs a fit with alpha="evidence" before')
        return self._evidence[name]

    # ---- keeping ----

    @documentation.completed
    def save(self, path: str | os.PathLike[str], *, date: bool = False) -> None:
        """Write the network to a file, for `fastnn.load`.

        Parameters
        ----------
        {saving}

        Examples
        --------
        >>> from fastnn import Network, load
        >>> net = Network([2, 4, 1], random_state=0)
        >>> net.save("rings.fastnn")
        >>> load("rings.fastnn")
        Network([2, 4, 1], activation='sigmoid', loss='squared_error', dtype='float64')
        """
        fastnn.files.save(self, path, date=date)

    def _forward(self, x: NDArray[Any], width: int) -> NDArray[Any]:
        self._check_params()
        out = np.empty((len(x), width), self._dtype)
        forward_rows(self._params, self._units, self._codes, x, out, self._n_jobs)
        return out


Network.__doc__ = documentation.complete(Network.__doc__, longest=f"{LONGEST_CURVE:,}")
