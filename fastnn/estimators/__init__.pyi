"""The estimators' signatures, for type checkers, as scikit-learn documents them.

scikit-learn 1.6 to 1.9 are without annotations, and the constructors are made at run time. A test
compares the parameters below with those of the classes.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, Self, TypeAlias, TypedDict, Unpack, overload

import numpy as np
import sklearn.ensemble
import sklearn.neural_network
from numpy.typing import ArrayLike, NDArray

from fastnn.schedules import ScheduleLike

__all__ = ["BaggedMLPClassifier", "BaggedMLPRegressor", "MLPClassifier", "MLPRegressor"]

class _SparseMatrix(Protocol):
    def tocsr(self) -> Any: ...

_Data: TypeAlias = ArrayLike | _SparseMatrix
_HiddenLayerSizes: TypeAlias = int | Sequence[int] | NDArray[np.integer[Any]]
_Activation: TypeAlias = Literal[
    "identity",
    "logistic",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "silu",
    "gelu",
    "gelu_tanh",
    "mish",
    "softplus",
]
_Solver: TypeAlias = Literal["lbfgs", "sgd", "adam", "adamw", "nadam", "rmsprop", "rprop", "lm"]
_LearningRate: TypeAlias = Literal["constant", "invscaling", "adaptive"] | ScheduleLike
_RandomState: TypeAlias = int | np.random.RandomState | np.random.Generator | None
_Scoring: TypeAlias = str | Callable[..., Any] | None
_ClassWeight: TypeAlias = Mapping[Any, float] | Literal["balanced"] | None
_RegressionLoss: TypeAlias = Literal[
    "squared_error", "poisson", "absolute_error", "huber", "quantile", "log_cosh", "gamma"
]

class _Options(TypedDict, total=False):
    solver: _Solver
    alpha: float | Literal["evidence"]  # the latter of regressors
    batch_size: int | Literal["auto"]
    learning_rate: _LearningRate
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: _RandomState
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: int
    max_fun: int
    n_jobs: int | None
    weight_decay: float | None
    clip_norm: float
    ema: float
    dropout: float | Sequence[float]
    input_noise: float
    scoring: _Scoring

class _ClassifierOptions(_Options, total=False):
    class_weight: _ClassWeight
    label_smoothing: float

class _RegressorOptions(_Options, total=False):
    delta: float
    quantile: float | Sequence[float]

class _BaggedClassifierOptions(_Options, total=False):
    class_weight: _ClassWeight
    label_smoothing: float
    max_samples: float | None
    max_features: float
    bootstrap: bool
    bootstrap_features: bool
    oob_score: bool

class _BaggedRegressorOptions(_Options, total=False):
    delta: float
    quantile: float | Sequence[float]
    max_samples: float | None
    max_features: float
    bootstrap: bool
    bootstrap_features: bool
    oob_score: bool

class _Perceptron:
    hidden_layer_sizes: _HiddenLayerSizes
    activation: _Activation
    solver: _Solver
    batch_size: int | Literal["auto"]
    learning_rate: _LearningRate
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: _RandomState
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: int
    max_fun: int
    n_jobs: int | None
    weight_decay: float | None
    clip_norm: float
    ema: float
    dropout: float | Sequence[float]
    input_noise: float
    scoring: _Scoring

    coefs_: list[NDArray[Any]]
    intercepts_: list[NDArray[Any]]
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    best_iteration_: int | None
    t_: int
    n_iter_: int
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def fit(
        self,
        X: _Data,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: _Data | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self: ...
    def predict(self, X: _Data) -> NDArray[Any]: ...
    def score(self, X: _Data, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def set_params(self, **params: Any) -> Self: ...
    def set_callbacks(self, *callbacks: Any) -> Self: ...
    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self: ...

class MLPClassifier(_Perceptron, sklearn.neural_network.MLPClassifier):  # type: ignore[misc]
    alpha: float
    class_weight: _ClassWeight
    label_smoothing: float
    classes_: Any  # an array, or a list of them

    def __init__(
        self,
        hidden_layer_sizes: _HiddenLayerSizes = (100,),
        activation: _Activation = "relu",
        **options: Unpack[_ClassifierOptions],
    ) -> None: ...
    def partial_fit(  # pyright: ignore[reportIncompatibleVariableOverride]
        self,
        X: _Data,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self: ...
    def predict_proba(self, X: _Data) -> NDArray[Any]: ...
    def predict_log_proba(self, X: _Data) -> NDArray[Any]: ...
    def to_sklearn(self) -> sklearn.neural_network.MLPClassifier: ...

class MLPRegressor(_Perceptron, sklearn.neural_network.MLPRegressor):  # type: ignore[misc]
    alpha: float | Literal["evidence"]
    loss: _RegressionLoss
    delta: float
    quantile: float | Sequence[float]

    alphas_: tuple[float, ...]
    effective_parameters_: float
    noise_variance_: float
    covariance_: NDArray[np.float64]

    # the order is that of scikit-learn 1.7 and later
    def __init__(
        self,
        loss: _RegressionLoss = "squared_error",
        hidden_layer_sizes: _HiddenLayerSizes = (100,),
        activation: _Activation = "relu",
        **options: Unpack[_RegressorOptions],
    ) -> None: ...
    def partial_fit(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, X: _Data, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self: ...
    @overload
    def predict(self, X: _Data, return_std: Literal[False] = False) -> NDArray[Any]: ...
    @overload
    def predict(
        self, X: _Data, return_std: Literal[True]
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...
    @overload
    def predict(
        self, X: _Data, return_std: bool
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]: ...
    def to_sklearn(self) -> sklearn.neural_network.MLPRegressor: ...

class _Bagged:
    n_estimators: int
    max_samples: float | None
    max_features: float
    bootstrap: bool
    bootstrap_features: bool
    oob_score: bool
    warm_start: bool
    n_jobs: int | None
    random_state: int | np.random.RandomState | None
    verbose: int

    estimators_samples_: list[NDArray[np.intp]]
    estimators_features_: list[NDArray[np.intp]]
    @property
    def n_iter_(self) -> NDArray[np.int_]: ...

    oob_score_: float
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def fit(self, X: _Data, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self: ...
    def score(self, X: _Data, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def set_params(self, **params: Any) -> Self: ...
    def save(self, path: str | os.PathLike[str], *, date: bool = False) -> None: ...
    @property
    def metadata(self) -> dict[str, Any]: ...
    def __len__(self) -> int: ...

class BaggedMLPClassifier(_Bagged, sklearn.ensemble.BaggingClassifier):  # type: ignore[misc]
    estimators_: list[MLPClassifier]
    classes_: NDArray[Any]
    n_classes_: int
    oob_decision_function_: NDArray[Any]

    def __init__(
        self,
        n_estimators: int = 10,
        *,
        hidden_layer_sizes: _HiddenLayerSizes = (100,),
        activation: _Activation = "relu",
        **options: Unpack[_BaggedClassifierOptions],
    ) -> None: ...
    def predict(self, X: _Data) -> NDArray[Any]: ...
    def predict_proba(self, X: _Data) -> NDArray[Any]: ...
    def predict_log_proba(self, X: _Data) -> NDArray[Any]: ...
    def to_sklearn(self) -> sklearn.ensemble.BaggingClassifier: ...
    def __getitem__(self, index: int) -> MLPClassifier: ...
    def __iter__(self) -> Iterator[MLPClassifier]: ...

class BaggedMLPRegressor(_Bagged, sklearn.ensemble.BaggingRegressor):  # type: ignore[misc]
    estimators_: list[MLPRegressor]
    oob_prediction_: NDArray[Any]

    def __init__(
        self,
        n_estimators: int = 10,
        *,
        loss: _RegressionLoss = "squared_error",
        hidden_layer_sizes: _HiddenLayerSizes = (100,),
        activation: _Activation = "relu",
        **options: Unpack[_BaggedRegressorOptions],
    ) -> None: ...
    def predict(self, X: _Data) -> NDArray[Any]: ...
    def to_sklearn(self) -> sklearn.ensemble.BaggingRegressor: ...
    def __getitem__(self, index: int) -> MLPRegressor: ...
    def __iter__(self) -> Iterator[MLPRegressor]: ...
