"""MLPClassifier and MLPRegressor: scikit-learn's own classes with what takes their time compiled.

What people see is inherited: parameters and their validation, labels, stopping rules, schedules of
the learning rate, messages, so that it is always that of the scikit-learn installed. Replaced are
the three methods behind it: `_fit_stochastic` (a compiled call an epoch), `_fit_lbfgs` (SciPy's
L-BFGS-B over the compiled loss and gradient) and `_forward_pass_fast`. scikit-learn 1.6 to 1.9
call them alike, but that 1.6 knows no sample weights.

Random numbers are drawn where and as scikit-learn draws them, and sums are those of its formulas,
so a fit follows scikit-learn's own up to rounding. That holds for what looks like a fault, too:
with several outputs the squared error that is reported is a mean over the outputs, while the
parameters follow the gradient of their sum.
"""

import copy
import inspect
import itertools
import math
import operator
import warnings
from numbers import Integral

import numpy as np
import scipy
from scipy.optimize import minimize
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

# not by way of sklearn.neural_network, where patch_sklearn may have put the classes below
from sklearn.neural_network import _multilayer_perceptron as originals
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
from sklearn.utils._param_validation import Interval, Options
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import validate_data

from fastnn import kernels, parameters, threads, work
from fastnn.catalog import activations
from fastnn.data import checks
from fastnn.data.rows import SparseRows
from fastnn.forward import forward_rows
from fastnn.training.objective import MeanLoss
from fastnn.training.options import n_states, new_step
from fastnn.training.run import TrainingRun, draw_order

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:
        """No callbacks."""


__all__ = ["MLPClassifier", "MLPRegressor"]

_N_JOBS = """
    n_jobs : int, default=None
        Up to how many threads train and predict: None for
        `fastnn.get_num_threads()`, -1 for all cores. The number changes no
        result, and small work is done by one thread. Not a parameter of
        scikit-learn's class.
"""

# what is not carried over to scikit-learn, and what belongs to one object only
_NOT_CONVERTED = ("n_jobs", "_skl_callbacks", "_parent_callback_ctx")
_NOT_COPIED = ("_flat", "_fit_task")

# what is reported of several outputs is a mean over them; see above
_REPORTED_LOSS = {"squared_error": "mean_squared_error"}

_NOT_THE_SAME = (
    "a warm start needs the hidden_layer_sizes of the fit before, which had {} hidden layers"
)

_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed; coefs_ and intercepts_ are the last that gave a finite loss."
)

# SciPy's L-BFGS-B used to print, and warns by now of the option that asked for it
_SCIPY_PRINTS = tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 15)


_INT32, _INTP = np.dtype(np.int32), np.dtype(np.intp)

# ---- arrays -------------------------------------------------------------------------------------


def _float_type(*arrays):
    """float32 if that is what arithmetic with these arrays is done in, else float64."""
    return np.dtype(np.float32 if np.result_type(*arrays) == np.float32 else np.float64)


def _join(coefs, intercepts):
    """coefs and intercepts, layer by layer, in one vector."""
    dtype = _float_type(*coefs, *intercepts)
    layers = zip(coefs, intercepts, strict=True)
    return np.concatenate([np.ravel(a) for layer in layers for a in layer], dtype=dtype)


def _split_packed(packed, units):
    """coefs and intercepts of a vector in scikit-learn's order: all coefs, then all intercepts."""
    coefs, intercepts, at = [], [], 0
    for k, n in itertools.pairwise(units.tolist()):
        coefs.append(packed[at : at + k * n].reshape(k, n))
        at += k * n
    for n in units.tolist()[1:]:
        intercepts.append(packed[at : at + n])
        at += n
    return coefs, intercepts


def _units_of(coefs, intercepts):
    """Units of every layer, inputs first, of parameters that somebody may have replaced."""
    shapes = [np.shape(coef) for coef in coefs]
    units = [shapes[0][0], *(shape[-1] for shape in shapes)]
    intercept_shapes = [np.shape(intercept) for intercept in intercepts]
    if shapes != list(itertools.pairwise(units)) or intercept_shapes != [(n,) for n in units[1:]]:
        raise ValueError(
            f"coefs_ and intercepts_ do not fit together: their shapes are {shapes} and "
            f"{intercept_shapes}"
        )
    return np.array(units, np.intp)


def _as(dtype, array):
    """array, or a copy, contiguous and aligned, of that type."""
    if type(array) is np.ndarray and array.dtype == dtype and array.flags.carray:
        return array  # np.require takes 2 us to say so
    return np.require(array, dtype, ["C", "A"])


def _rows(X, n_features, dtype):
    """X, validated by scikit-learn, as the kernels read it for a net of so many features."""
    if X.shape[1] != n_features:
        raise ValueError(f"X has {X.shape[1]} features, but coefs_[0] takes {n_features}")
    if not hasattr(X, "tocsr"):
        return _as(dtype, X)
    # an object of our own: SciPy mends and marks the one that it looks at
    X = type(X)((X.data, X.indices, X.indptr), shape=X.shape)
    X.check_format(full_check=True)  # the kernels trust it
    X = X.tocsr()
    if not X.has_canonical_format:  # what is in order is multiplied as it is stored
        X = X.copy()
        X.sum_duplicates()
    return SparseRows(
        _as(dtype, X.data).reshape(1, -1),
        _as(_INT32, X.indices),
        _as(_INTP, X.indptr),
    )


def _targets(y, sample_weight, n_outputs, dtype):
    """y with the samples' weights as its last column, as the kernels read it."""
    y = y.reshape(len(y), -1)
    if y.shape[1] != n_outputs:
        raise ValueError(f"y has {y.shape[1]} outputs, but coefs_[-1] gives {n_outputs}")
    if sample_weight is not None:
        y = np.column_stack([y, sample_weight])
    return np.require(y, dtype, ["C", "A"])


def _converted(estimator, cls):
    """A copy of estimator as one of cls, which is its class or the one whose place that takes."""
    names = [name for name in cls._get_param_names() if hasattr(estimator, name)]
    converted = cls(**{name: getattr(estimator, name) for name in names})
    attributes = {
        k: v for k, v in vars(estimator).items() if k not in _NOT_CONVERTED + _NOT_COPIED
    }
    vars(converted).update(copy.deepcopy(attributes))
    return converted


# ---- the classes --------------------------------------------------------------------------------


def _compiled(cls):
    """Class decorator: the constructor of scikit-learn's class, of any version, and n_jobs."""
    original = cls._original

    def __init__(self, *args, n_jobs=None, **kwargs):
        original.__init__(self, *args, **kwargs)
        self.n_jobs = n_jobs

    # scikit-learn reads the names of parameters off the signature
    signature = inspect.signature(original.__init__)
    n_jobs = inspect.Parameter("n_jobs", inspect.Parameter.KEYWORD_ONLY, default=None)
    parameters = [*signature.parameters.values(), n_jobs]
    __init__.__signature__ = signature.replace(parameters=parameters)
    __init__.__qualname__ = f"{cls.__name__}.__init__"
    cls.__init__ = __init__
    before, heading, after = original.__doc__.partition("\n    Attributes\n")
    cls.__doc__ = before.rstrip() + "\n" + _N_JOBS + heading + after
    cls._parameter_constraints = {
        **original._parameter_constraints,
        "n_jobs": [None, Interval(Integral, 1, None, closed="left"), Options(Integral, {-1})],
    }
    return cls


class _Compiled(CallbackSupportMixin):
    """What both classes have in place of scikit-learn's own; comes before it among the bases."""

    n_jobs = None  # for a subclass whose constructor knows nothing of it

    # ---- parameters: one vector, of which coefs_ and intercepts_ are views ----

    def _parameters(self):
        """The parameters in one vector, and the units of each layer. Changes nothing."""
        params, units, views = self.__dict__.get("_flat", (None, None, ()))
        arrays = [*self.coefs_, *self.intercepts_]
        if len(arrays) == len(views) and all(map(operator.is_, arrays, views)):
            return params, units
        return _join(self.coefs_, self.intercepts_), _units_of(self.coefs_, self.intercepts_)

    def _take_parameters(self, params, units):
        """Have this vector for parameters."""
        self.coefs_, self.intercepts_ = parameters.split_params(params, units.tolist())
        self._flat = params, units, [*self.coefs_, *self.intercepts_]

    def __getstate__(self):
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in _NOT_COPIED}

    def __setstate__(self, state):
        super().__setstate__(state)
        if "coefs_" in state:
            self._take_parameters(*self._parameters())

    def _get_doc_link(self):
        return self._original()._get_doc_link()

    def _codes(self, units):
        """The activation of each layer as the kernels number them."""
        names = [self.activation] * (len(units) - 2) + [self.out_activation_]
        return np.array([activations.CODES[activations.SPELLINGS[n]] for n in names], np.int32)

    def _loss_name(self):
        """The loss as the catalog names scikit-learn's variant of it."""
        if self.loss == "log_loss":
            binary = self.out_activation_ == "logistic"
            return "clipped_binary_log_loss" if binary else "clipped_log_loss"
        return _REPORTED_LOSS.get(self.loss, self.loss)

    def _has_own_arithmetic(self):
        """Whether a subclass computes by itself, so that scikit-learn's own code must run."""
        own = [
            name
            for name in ("_backprop", "_compute_loss_grad", "_forward_pass")
            if getattr(type(self), name) is not getattr(self._original, name)
        ]
        if own:
            warnings.warn(
                f"{type(self).__name__} has its own {own[0]} and so trains by scikit-learn's "
                "code, the slow way",
                stacklevel=3,
            )
        return bool(own)

    # ---- scikit-learn's three methods ----

    def _fit_stochastic(self, X, y, *rest):
        if self._has_own_arithmetic():
            return super()._fit_stochastic(X, y, *rest)
        # rest is sample_weight (from 1.7 on), lists that are of no use here, units, incremental
        if len(rest[-2]) != len(self.coefs_) + 1:
            raise ValueError(_NOT_THE_SAME.format(len(self.coefs_) - 1))
        sample_weight = rest[0] if len(rest) == 7 else None
        incremental = rest[-1]
        validation = [None] * (len(rest) - 4)  # X, y and, from 1.7 on, sample_weight
        if self.early_stopping:
            if incremental:
                raise ValueError("partial_fit does not support early_stopping=True")
            (X, y, sample_weight), parts = self._split_validation(X, y, sample_weight)
            validation = parts[: len(validation)]
        if not (incremental and hasattr(self, "_optimizer")):
            self._optimizer = self._new_optimizer()
        training = _Training(self, X, y, sample_weight, 1 if incremental else self.max_iter)
        self.n_iter_ = 0
        try:
            with training:
                for _ in range(self.max_iter):
                    if self._one_epoch(training, validation) or incremental:
                        break
                else:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and "
                        "the optimization hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=2,
                    )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
        if self.early_stopping:
            best = _join(self._best_coefs, self._best_intercepts)
            self._take_parameters(best, training.run.layer_units)
        elif not kernels.build.all_finite(training.params):
            training.params[:] = training.finite_params
            raise ValueError(_NOT_FINITE)

    def _fit_lbfgs(self, X, y, *rest):
        if self._has_own_arithmetic():
            return super()._fit_lbfgs(X, y, *rest)
        sample_weight = rest[0] if len(rest) == 6 else None
        units = _units_of(self.coefs_, self.intercepts_)
        if list(rest[-1]) != units.tolist():
            raise ValueError(_NOT_THE_SAME.format(len(self.coefs_) - 1))
        # SciPy works in double whatever it is given, so that this is what scikit-learn's
        # parameters are after lbfgs, for float32 data too
        params = _join(self.coefs_, self.intercepts_).astype(np.float64)
        search = _LineSearches(self, params, _Objective(self, units, X, y, sample_weight))
        options = {"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol}
        if _SCIPY_PRINTS:
            options["iprint"] = 1 if self.verbose else -1
        try:
            result = minimize(
                search, params, method="L-BFGS-B", jac=True, options=options, callback=search.end
            )
        finally:
            # Ctrl-C and callbacks that raise leave what the last iteration came to
            self._take_parameters(search.params, units)
        if search.stopped:
            self.n_iter_ = min(result.nit, self.max_iter)
        else:
            self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        self.loss_ = np.float64(result.fun)
        if not np.isfinite(result.x).all():
            raise ValueError(_NOT_FINITE)
        search.params[:] = result.x

    def _forward_pass_fast(self, X, check_input=True):
        if check_input:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        params, units = self._parameters()
        dtype = _float_type(X, params)
        x, params = _rows(X, units[0], dtype), params.astype(dtype, copy=False)
        out = np.empty((X.shape[0], units[-1]), dtype)
        n_jobs = checks.n_jobs("n_jobs", self.n_jobs)
        forward_rows(params, units, self._codes(units), x, out, n_jobs)
        return out

    # ---- what they are made of ----

    def _fit(self, X, y, **options):
        threads.resolve(self.n_jobs)  # the environment may ask for what is no number
        self._fit_task = None
        followed = hasattr(self, "_skl_callbacks") or hasattr(self, "_parent_callback_ctx")
        if followed and not options["incremental"]:
            self._fit_task = _FitTask(self, X, y, options.get("sample_weight"))
        try:
            super()._fit(X, y, **options)
            if self._fit_task:
                self._fit_task.end()
        finally:
            del self._fit_task
        return self

    def _split_validation(self, X, y, sample_weight):
        """What to train on and what to validate with: X, y, sample_weight of each."""
        by_class = is_classifier(self) and self.n_outputs_ == 1
        arrays = [X, y] if sample_weight is None else [X, y, sample_weight]
        parts = train_test_split(
            *arrays,
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=y if by_class else None,
        )
        train, validation = [*parts[::2], None][:3], [*parts[1::2], None][:3]
        if validation[0].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        if is_classifier(self):
            validation[1] = self._label_binarizer.inverse_transform(validation[1])
        return train, validation

    def _new_optimizer(self):
        """scikit-learn's own, for the solver's schedule, and its state between calls."""
        arrays = [*self.coefs_, *self.intercepts_]
        if self.solver == "sgd":
            return SGDOptimizer(
                arrays, self.learning_rate_init, self.learning_rate, self.momentum,
                self.nesterovs_momentum, self.power_t,
            )  # fmt: skip
        return AdamOptimizer(
            arrays, self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon
        )

    def _one_epoch(self, training, validation):
        """Train for an epoch, and look at what came of it; whether it is the last."""
        if self._fit_task:
            self._fit_task.begin_step()
        self.loss_ = training.epoch()
        self.n_iter_ += 1
        self.t_ += training.n_samples
        self.loss_curve_.append(self.loss_)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
        self._update_no_improvement_count(self.early_stopping, *validation)
        self._optimizer.iteration_ends(self.t_)
        stop = False
        if self._no_improvement_count > self.n_iter_no_change:
            what = "Validation score" if self.early_stopping else "Training loss"
            stop = self._optimizer.trigger_stopping(
                f"{what} did not improve more than tol={self.tol:f} for "
                f"{self.n_iter_no_change} consecutive epochs.",
                self.verbose,
            )
            if not stop:  # the learning rate is lower now
                self._no_improvement_count = 0
        if self._fit_task and self._fit_task.end_step(self.coefs_, self.intercepts_):
            return True
        return stop

    def _loss_grad_lbfgs(self, packed_coef_inter, X, y, *rest):
        """Loss and gradient in scikit-learn's order, all coefs before all intercepts."""
        if type(self)._backprop is not self._original._backprop:
            return super()._loss_grad_lbfgs(packed_coef_inter, X, y, *rest)
        sample_weight = rest[0] if len(rest) == 5 else None
        _, units = self._parameters()
        coefs, intercepts = _split_packed(packed_coef_inter, units)
        objective = _Objective(self, units, X, y, sample_weight)
        loss, grads = objective(_join(coefs, intercepts).astype(np.float64))
        coef_grads, intercept_grads = parameters.split_params(grads, units.tolist())
        return loss, np.concatenate([a.ravel() for a in [*coef_grads, *intercept_grads]])

    # ---- conversion ----

    def to_sklearn(self):
        """This estimator as one of scikit-learn's own class, fitted or not.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            With copies of all parameters and fitted attributes, the solver's state among them:
            `partial_fit` goes on where this one would. `n_jobs` and callbacks stay behind.
        """
        return _converted(self, self._original)

    @classmethod
    def from_sklearn(cls, estimator):
        """An estimator of scikit-learn's own class as one of this class, fitted or not.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            Of the class whose place this one takes.

        Returns
        -------
        MLPClassifier or MLPRegressor
            With copies of all parameters and fitted attributes, the solver's state among them.

        Raises
        ------
        TypeError
            If it is not of that class.
        """
        if not isinstance(estimator, cls._original):
            raise TypeError(
                f"estimator must be a scikit-learn {cls._original.__name__}, got "
                f"{checks.shown(estimator)}"
            )
        return _converted(estimator, cls)


@_compiled
class MLPClassifier(_Compiled, originals.MLPClassifier):
    _original = originals.MLPClassifier

    def _score(self, X, y, sample_weight=None):
        """The accuracy on validated data, as `sklearn.metrics.accuracy_score` has it."""
        if sample_weight is not None:
            return super()._score(X, y, sample_weight=sample_weight)
        predicted = self._predict(X, check_input=False)
        if hasattr(y, "toarray"):  # multi-label, as sparse as it was given
            predicted, y = predicted.toarray(), y.toarray()
        same = predicted == y
        if same.ndim == 2:  # multi-label: all of a row
            same = same.all(axis=1)
        return float(np.average(same))


@_compiled
class MLPRegressor(_Compiled, originals.MLPRegressor):
    _original = originals.MLPRegressor

    def _score(self, X, y, sample_weight=None):
        """R^2 on validated data, as `sklearn.metrics.r2_score` has it; NaN for what diverged."""
        if sample_weight is not None:
            return super()._score(X, y, sample_weight=sample_weight)
        predicted = self._predict(X, check_input=False).reshape(len(y), -1)
        if not np.isfinite(predicted).all():
            return math.nan
        y = y.reshape(len(y), -1).astype(np.float64, copy=False)
        rest = ((y - predicted) ** 2).sum(axis=0)
        total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
        # an output that does not vary is 1 where it is met, and else 0
        scores = np.where(rest == 0, 1.0, 0.0)
        np.divide(rest, total, out=rest, where=total != 0)
        return float(np.where(total != 0, 1 - rest, scores).mean())


# ---- one fit ------------------------------------------------------------------------------------


class _Training:
    """The epochs of one fit: data as the kernels read it, and a run with the optimizer's state.

    A context manager: threads are at work in between, and at the end the optimizer gets its state
    back.

    Attributes
    ----------
    params : ndarray, (n_params,)
        The estimator's, which epochs change.
    finite_params : ndarray, (n_params,)
        Those that the last epoch with a finite loss began with.
    n_samples : int
    run : network.TrainingRun
    """

    def __init__(self, estimator, X, y, sample_weight, n_epochs):
        params, units = estimator._parameters()
        if params is not estimator.__dict__.get("_flat", (None,))[0]:
            estimator._take_parameters(params, units)
        self.params, self.finite_params, self._before = params, params.copy(), params.copy()
        self.n_samples = X.shape[0]
        batch_size = min(200, self.n_samples)
        if estimator.batch_size != "auto":
            batch_size = min(estimator.batch_size, self.n_samples)
            if batch_size < estimator.batch_size:
                warnings.warn(
                    "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                    "clipped",
                    stacklevel=3,
                )
        self._x = _rows(X, units[0], params.dtype)
        self._y = _targets(y, sample_weight, units[-1], params.dtype)
        self._optimizer = estimator._optimizer
        codes = estimator._codes(units)
        n_threads = work.training_threads(
            units, batch_size, params.dtype, self.n_samples * n_epochs, estimator.n_jobs
        )
        step = self._new_step(estimator._loss_name(), batch_size, estimator.alpha)
        self.run = TrainingRun(
            units, codes, step, params.dtype, n_threads=n_threads,
            weighted=sample_weight is not None,
        )  # fmt: skip
        self._load_state()
        # scikit-learn draws an order for full batches too, where it makes no difference
        self._random_state = estimator._random_state if estimator.shuffle else None
        self._in_batches = batch_size < self.n_samples
        self._order = np.arange(self.n_samples)
        self._loss, self._arguments = np.zeros(1), None
        self._in_parts = n_epochs > 1

    def _new_step(self, loss, batch_size, alpha):
        optimizer = self._optimizer
        if isinstance(optimizer, AdamOptimizer):
            own = {
                "solver": "adam", "learning_rate_init": optimizer.learning_rate_init,
                "beta_1": optimizer.beta_1, "beta_2": optimizer.beta_2,
                "epsilon": optimizer.epsilon,
            }  # fmt: skip
        else:
            own = {
                "solver": "sgd", "learning_rate_init": optimizer.learning_rate,
                "momentum": optimizer.momentum, "nesterovs_momentum": optimizer.nesterov,
            }  # fmt: skip
        return new_step(loss, batch_size=batch_size, alpha=alpha, keep_going=True, **own)

    def _states(self):
        """The names of the optimizer's lists, as many as the run has states."""
        names = ("ms", "vs") if isinstance(self._optimizer, AdamOptimizer) else ("velocities",)
        return names[: n_states(self.run.step)]

    def _load_state(self):
        n_layers = len(self.run.layer_units) - 1
        plain = np.empty((n_states(self.run.step), len(self.params)), self.params.dtype)
        for row, name in zip(plain, self._states(), strict=True):
            arrays = getattr(self._optimizer, name)
            row[:] = _join(arrays[:n_layers], arrays[n_layers:])
        self.run.load_plain_state(plain, getattr(self._optimizer, "t", 0))

    def _save_state(self):
        for row, name in zip(self.run.plain_state(), self._states(), strict=True):
            coefs, intercepts = parameters.split_params(row, self.run.layer_units.tolist())
            setattr(self._optimizer, name, coefs + intercepts)
        if isinstance(self._optimizer, AdamOptimizer) and self.run.n_steps:
            adam, t = self._optimizer, self.run.n_steps
            adam.t = t
            adam.learning_rate = (
                adam.learning_rate_init * np.sqrt(1 - adam.beta_2**t) / (1 - adam.beta_1**t)
            )

    def __enter__(self):
        self.run.__enter__()
        return self

    def __exit__(self, *exception):
        self.run.__exit__(*exception)
        self._save_state()

    def epoch(self):
        """Train for one epoch; its mean loss."""
        self._before[:] = self.params
        if self._random_state:
            draw_order(self._order, self._random_state)
        if isinstance(self._optimizer, SGDOptimizer):
            self.run.step["learning_rate"] = self._optimizer.learning_rate
        if self._arguments is None:
            order = self._order if self._random_state and self._in_batches else None
            self._arguments = self.run.begin(
                self.params, self._x, self._y, self._loss, order, in_parts=self._in_parts
            )
        self.run.again(self._arguments)
        if math.isfinite(self._loss[0]):
            self.finite_params, self._before = self._before, self.finite_params
        return self._loss[0]


class _Objective:
    """The loss and its gradient at a vector of parameters, for L-BFGS-B, in double."""

    def __init__(self, estimator, units, X, y, sample_weight):
        if sample_weight is not None and np.sum(sample_weight) == 0:
            raise ZeroDivisionError("Weights sum to zero, can't be normalized")
        self._units, dtype = units, np.dtype(np.float64)
        self._mean_loss = MeanLoss(
            units, estimator._codes(units), estimator._loss_name(), float(estimator.alpha),
            _rows(X, units[0], dtype), _targets(y, sample_weight, units[-1], dtype),
            estimator.n_jobs,
        )  # fmt: skip

    def split(self, params):
        """coefs and intercepts, as views."""
        return parameters.split_params(params, self._units.tolist())

    def __call__(self, params):
        grads = np.empty_like(params)
        return self._mean_loss(params, grads), grads


class _LineSearches:
    """The objective of L-BFGS-B, its iterations followed: each begins with an evaluation.

    Attributes
    ----------
    params : ndarray
        What the last iteration came to.
    stopped : bool
        Whether a callback stopped the search.
    """

    def __init__(self, estimator, params, objective):
        self.params, self.stopped = params.copy(), False
        self._objective, self._task = objective, estimator._fit_task

    def __call__(self, params):
        if self._task:
            self._task.begin_step()
        return self._objective(params)

    def end(self, params):
        """What SciPy calls at the end of each iteration."""
        self.params[:] = params
        if self._task and self._task.end_step(*self._objective.split(self.params)):
            self.stopped = True
            raise StopIteration


class _FitTask:
    """What scikit-learn's callbacks hear of: a fit, and in it each epoch or iteration."""

    def __init__(self, estimator, X, y, sample_weight):
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._of = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self._fit.call_on_fit_task_begin(**self._of)
        self._name = "iteration" if estimator.solver == "lbfgs" else "epoch"
        self._step = None

    def begin_step(self):
        """An epoch or iteration begins, unless one is under way."""
        if self._step is None:
            self._step = self._fit.subcontext(task_name=self._name)
            self._step.call_on_fit_task_begin(**self._of)

    def end_step(self, coefs, intercepts):
        """It has come to these parameters; whether a callback wants to stop."""
        step, self._step = self._step, None
        return step.call_on_fit_task_end(
            **self._of,
            reconstruction_attributes=lambda: {
                "coefs_": [coef.copy() for coef in coefs],
                "intercepts_": [intercept.copy() for intercept in intercepts],
            },
        )

    def end(self):
        """The fit is done."""
        if self._step is not None:  # an iteration of L-BFGS-B that found no better point
            self._step.call_on_fit_task_end(**self._of)
        self._fit.call_on_fit_task_end(**self._of, reconstruction_attributes=dict)
