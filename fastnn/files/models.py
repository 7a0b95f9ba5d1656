"""Models in files: `save`, `load`, and what each class has to keep."""

from __future__ import annotations

import datetime
import os
import sys
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import documentation, parameters
from fastnn.data import checks
from fastnn.files import container
from fastnn.files.plain import CannotSave, Reader, Writer, is_too_deep
from fastnn.network import Network
from fastnn.training.losses import LossOf

if TYPE_CHECKING:
    from fastnn.ensemble import NetworkEnsemble
    from fastnn.estimators import (
        BaggedMLPClassifier,
        BaggedMLPRegressor,
        MLPClassifier,
        MLPRegressor,
    )

    Model: TypeAlias = (
        Network
        | MLPClassifier
        | MLPRegressor
        | NetworkEnsemble
        | BaggedMLPClassifier
        | BaggedMLPRegressor
    )

Path: TypeAlias = str | os.PathLike[str]
_TOO_DEEP = "nested too deep for a file"
_OWN_LOSS = "a file does not hold a loss of one's own, whose functions are code"


@documentation.completed
def save(model: Model, path: Path, *, date: bool = False) -> None:
    """Write a model to a file, for `load`.

    Parameters
    ----------
    model : Network, MLPClassifier, MLPRegressor, or an ensemble of them
        With everything that a pickle has: parameters, the solver's and the random state, curves,
        classes, names of features.
    {saving}

    Notes
    -----
    The format is that of safetensors, whose readers open the tensors: ``coefs_.0`` is the first
    layer's coefs, (fan_in, fan_out).

    Examples
    --------
    >>> import fastnn
    >>> from fastnn.files import save
    >>> net = fastnn.Network([2, 4, 1], random_state=0)
    >>> save(net, "rings.fastnn", date=True)
    >>> sorted(fastnn.load("rings.fastnn").metadata)
    ['date', 'n_features']
    """
    date = checks.boolean("date", date)
    written = Writer()
    description = describe(model, written)
    if date:
        moment = datetime.datetime.now(datetime.UTC)
        description["date"] = moment.isoformat(timespec="seconds")
    container.write(path, description, written.tensors)


def load(path: Path) -> Any:
    """The model in a file that `save` wrote.

    Nothing in the file is executed, and all of it is checked: its checksum, then whether counts,
    shapes, types and numbers fit together.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Network, MLPClassifier, MLPRegressor, or an ensemble of them
        It predicts the same bits on the same build, and training goes on where it was.

    Raises
    ------
    ValueError
        If the file is damaged, of another kind, or of a version of fastnn that came later.
    ImportError
        Without safetensors, the extra "files".
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.Network([2, 4, 1], random_state=0)
    >>> net.save("rings.fastnn")
    >>> fastnn.load("rings.fastnn").predict([[0.5, -1]]) == net.predict([[0.5, -1]])
    array([[ True]])
    """
    return _load(path)[0]


def load_with_fit(path: Path) -> tuple[Any, dict[str, Any]]:
    """The model in a file that was saved during its fit, and how the fit stood.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    model : Network, MLPClassifier or MLPRegressor
        As of `load`.
    fit : dict
        What the model's ``fit_state()`` was.

    Raises
    ------
    ValueError
        If no fit was running. Other errors are those of `load`.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.callbacks import Checkpoint
    >>> from fastnn.files import load_with_fit
    >>> net = Network([1, 4, 1], random_state=0)
    >>> net = net.fit([[0.0], [1.0]], [0, 1], max_iter=9, callback=Checkpoint("net.fastnn"))
    >>> net, fit = load_with_fit("net.fastnn")
    >>> net.n_iter_, fit["epoch"]
    (9, 9)
    """
    model, fit = _load(path)
    if fit is None:
        raise ValueError(
            f"{os.fspath(path)!r} was not saved during a fit: there is none to resume"
        )
    return model, fit


def check_path(path: Path) -> None:
    """Refuse what `save` will not be able to write to.

    Parameters
    ----------
    path : path-like
        Of a file that need not be there.

    Raises
    ------
    ImportError
        Without safetensors.
    OSError
        If there is no such folder, or a folder of this name.

    Examples
    --------
    >>> from fastnn.files import check_path
    >>> check_path("net.fastnn")
    >>> check_path("nowhere/net.fastnn")
    Traceback (most recent call last):
        ...
    FileNotFoundError: 'nowhere/net.fastnn': there is no such folder
    """
    container.library()
    container.check_path(path)


def check_model(model: Any) -> None:
    """Refuse a model that no file holds, whatever its fit comes to.

    Parameters
    ----------
    model : object
        What `save` may be called with.

    Raises
    ------
    TypeError
        If it is of a subclass, or has a loss of its own.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.files import check_model
    >>> check_model(Network([1, 4, 1]))
    >>> check_model([Network([1, 4, 1])])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    TypeError: files hold a Network, MLPClassifier or MLPRegressor of fastnn, ...
    """
    _kind_of(model)
    loss = vars(model).get("_loss")
    if isinstance(loss, LossOf) and loss.own is not None:
        raise CannotSave(_OWN_LOSS)


def _load(path: Path) -> tuple[Any, dict[str, Any] | None]:
    description, tensors = container.read(path)
    try:
        if is_too_deep(description):
            raise ValueError("values are nested too deep")
        reader = Reader(tensors)
        model = restore(description, reader)
        fit = reader(description.get("fit"))
        reader.finish()
        if not (fit is None or type(fit) is dict):
            raise ValueError(f"this is no fit: {checks.shown(fit)}")
        if "date" in description:
            if type(description["date"]) is not str:
                raise ValueError(f"this is no date: {checks.shown(description['date'])}")
            vars(model)["_saved_at"] = description["date"]
    except (ValueError, TypeError, RecursionError) as error:
        what = textwrap.shorten(str(error), 300, placeholder=" ...")
        raise ValueError(f"{os.fspath(path)!r} does not hold together: {what}") from None
    return model, fit


def describe(model: Model, written: Writer) -> dict[str, Any]:
    """A model's description in JSON; its tensors go to `written`."""
    kind = _kind_of(model)
    try:
        parts = _KINDS[kind][1](model, written)
    except RecursionError:
        raise CannotSave(f"the model holds something within itself, or {_TOO_DEEP}") from None
    described = {"kind": kind, "fastnn": fastnn.__version__, "content": parts}
    fit = model.fit_state()
    if fit is not None:
        described["fit"] = written(fit, "fit")
    if is_too_deep(described):
        raise CannotSave(f"the model holds what is {_TOO_DEEP}")
    return described


def _kind_of(model: Any) -> str:
    for kind, (class_of, _, _) in _KINDS.items():
        if type(model).__name__ == kind and type(model) is class_of():
            return kind
    raise TypeError(
        "files hold a Network, MLPClassifier or MLPRegressor of fastnn, or an ensemble of them, "
        f"not other objects, nor those of a subclass; got {checks.shown(model)}"
    )


def restore(description: dict[str, Any], reader: Reader) -> Model:
    """The inverse of `describe`."""
    kind, content = description.get("kind"), description.get("content")
    if type(kind) is not str or kind not in _KINDS or type(content) is not dict:
        raise ValueError(f"there is no kind of model {checks.shown(kind)}")
    class_of, _, made = _KINDS[kind]
    model: Model = made(class_of(), content, reader)
    return model


def _own_attributes(model: Any, attributes: dict[str, Any]) -> dict[str, Any]:
    """Those that the user put there."""
    return {name: attributes[name] for name in sorted(attributes) if _is_users(type(model), name)}


def _is_users(cls: type, name: str) -> bool:
    return name.isidentifier() and not name.startswith("_") and not hasattr(cls, name)


# ---- Network ------------------------------------------------------------------------------------

_OF_NETWORK = (
    "_random_state", "_n_jobs", "_dropped", "_drawn", "_solver", "_trained_on", "loss_curve_",
    "validation_scores_", "validation_loss_curve_", "best_iteration_", "loss_curves_", "_init",
    "_evidence",
)  # fmt: skip
_MADE = {"_layer_units", "_activations", "_loss", "_sorts", "_dtype", "_params", "_state"}


def _network_content(net: Network, written: Writer) -> dict[str, Any]:
    state = net.__getstate__()
    parameters.check_finite((net.coefs_, net.intercepts_))
    loss: LossOf = state["_loss"]
    if loss.own is not None:
        raise CannotSave(_OWN_LOSS)
    coefs, intercepts = parameters.split_params(state["_params"], net.layer_units)
    content = {
        "layer_units": list(net.layer_units), "activations": list(net.activations),
        "loss": [loss.name, list(loss.numbers)], "dtype": net.dtype.name, "coefs_": coefs,
        "intercepts_": intercepts, "solver_state": state["_state"],
        "attributes": _own_attributes(net, {
            name: value for name, value in state.items() if name not in _OF_NETWORK
        }),
        **{name.removeprefix("_"): state[name] for name in _OF_NETWORK if name in state},
    }  # fmt: skip
    return {name: written(value, name) for name, value in content.items()}


def _network_of(cls: type[Network], content: dict[str, Any], reader: Reader) -> Network:
    parts = {name: reader(value) for name, value in content.items()}
    units = checks.layer_units(parts.get("layer_units"), "layer_units")
    dtype = parameters.as_dtype(parts.get("dtype", "?"))
    arrays = [parts.pop("coefs_", None), parts.pop("intercepts_", None)]
    name, numbers = _two(parts, "loss")
    state = {
        "_layer_units": units, "_activations": parts.pop("activations", None), "_dtype": dtype,
        "_loss": LossOf(name, tuple(numbers)), "_state": parts.pop("solver_state", None),
        "_params": _joined(arrays, units, dtype),
        **{one: parts[key] for one in _OF_NETWORK if (key := one.removeprefix("_")) in parts},
    }  # fmt: skip
    attributes = parts.get("attributes")
    if type(attributes) is not dict or not all(_is_users(cls, one) for one in attributes):
        raise ValueError("attributes are none of a user's")
    net = cls.__new__(cls)
    net.__setstate__(state)
    parameters.check_finite((net.coefs_, net.intercepts_))
    vars(net).update(attributes)
    return net


def _two(parts: dict[str, Any], name: str) -> tuple[Any, Any]:
    value = parts.get(name)
    if type(value) is not list or len(value) != 2 or type(value[1]) is not list:
        raise ValueError(f"{name} is not what it should be")
    return value[0], value[1]


def _joined(arrays: list[Any], units: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """One vector of each layer's coefs and intercepts, whose shapes and types are compared."""
    shapes = parameters.shapes_of(units)
    for name, given, wanted in zip(
        ("coefs_", "intercepts_"), arrays, (shapes[::2], shapes[1::2]), strict=True
    ):
        found = [getattr(one, "shape", None) for one in given] if type(given) is list else None
        if found != list(wanted) or any(one.dtype != dtype for one in given):
            raise ValueError(f"{name} do not fit to {list(units)} units of {dtype}")
    coefs, intercepts = arrays
    pairs = zip(coefs, intercepts, strict=True)
    return np.concatenate([part.ravel() for pair in pairs for part in pair])


# ---- estimators ---------------------------------------------------------------------------------

# what listens to fits is code
_LEFT_OUT = ("_skl_callbacks", "_parent_callback_ctx")
# fitted attributes beside those whose names end with "_"
_PRIVATE = (
    "_label_binarizer", "_random_state", "_best_coefs", "_best_intercepts",
    "_no_improvement_count", "_optimizer", "_trained_on",
)  # fmt: skip


def _estimator_content(estimator: Any, written: Writer) -> dict[str, Any]:
    from fastnn.estimators import states

    params, state = estimator.get_params(deep=False), estimator.__getstate__()
    fitted = {k: v for k, v in state.items() if k not in params and k not in _LEFT_OUT}
    states.check_whole(estimator)
    for name in fitted:
        if not _is_fitted(type(estimator), name):
            raise CannotSave(f"a file does not hold the attribute {name}")
    return {
        "params": {name: written(value, f"params.{name}") for name, value in params.items()},
        "fitted": {name: written(value, name.removeprefix("_")) for name, value in fitted.items()},
    }


def _is_fitted(cls: type, name: str) -> bool:
    public = name.isidentifier() and not name.startswith("_")
    return name in _PRIVATE or (public and (name.endswith("_") or not hasattr(cls, name)))


def _known(cls: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Without the loss, if this is scikit-learn 1.6, whose only one it is."""
    if params.get("loss") == "squared_error" and "loss" not in cls._get_param_names():
        return {name: value for name, value in params.items() if name != "loss"}
    return params


def _estimator_of(cls: type, content: dict[str, Any], reader: Reader) -> Any:
    from fastnn.estimators import states

    parts = {}
    for name in ("params", "fitted"):
        if type(content.get(name)) is not dict:
            raise ValueError(f"{name} are missing")
        # names that Python knows by their identity are found sooner
        parts[name] = {sys.intern(key): reader(value) for key, value in content[name].items()}
    unknown = [name for name in parts["fitted"] if not _is_fitted(cls, name)]
    if unknown:
        raise ValueError(f"{cls.__name__} has no attribute {checks.shown(unknown[0])}")
    estimator = cls(**_known(cls, parts["params"]))
    vars(estimator).update(parts["fitted"])
    states.check_whole(estimator)
    estimator.__setstate__({})
    return estimator


# ---- ensembles ----------------------------------------------------------------------------------


def _ensemble_content(ensemble: NetworkEnsemble, written: Writer) -> dict[str, Any]:
    state = ensemble.__getstate__()
    nets, own = state.pop("nets"), {"seeds_", "rows_", "_random_state", "_n_jobs", "failures_"}
    for name in state.keys() - own:
        raise CannotSave(f"a file does not hold the attribute {name} of an ensemble")
    return {
        "seeds_": written(state["seeds_"], "seeds_"),
        "rows_": written(state["rows_"], "rows_"),
        "random_state": written(state["_random_state"], "random_state"),
        "n_jobs": state["_n_jobs"],
        "nets": [_network_content(net, written.within(f"nets.{i}")) for i, net in enumerate(nets)],
    }


def _ensemble_of(
    cls: type[NetworkEnsemble], content: dict[str, Any], reader: Reader
) -> NetworkEnsemble:
    state = {
        "nets": [_network_of(Network, one, reader) for one in _descriptions(content, "nets")],
        **{name: reader(content.get(name)) for name in ("seeds_", "rows_")},
        **{f"_{name}": reader(content.get(name)) for name in ("random_state", "n_jobs")},
    }
    ensemble = cls.__new__(cls)
    ensemble.__setstate__(state)
    return ensemble


def _descriptions(content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The contents of several models."""
    given = content.get(name)
    if type(given) is not list or not all(type(one) is dict for one in given):
        raise ValueError(f"{name} are missing")
    return given


def _bagged_content(bag: Any, written: Writer) -> dict[str, Any]:
    params, fitted = bag.get_params(deep=False), bag._fitted_state()
    for name in fitted:
        if not bag._is_fitted_name(name):
            raise CannotSave(f"a file does not hold the attribute {name}")
    estimators = enumerate(fitted.pop("estimators_", ()))
    return {
        "params": {name: written(value, f"params.{name}") for name, value in params.items()},
        "fitted": {name: written(value, name.removeprefix("_")) for name, value in fitted.items()},
        "estimators": [
            _estimator_content(one, written.within(f"estimators.{i}")) for i, one in estimators
        ],
    }


def _bagged_of(cls: Any, content: dict[str, Any], reader: Reader) -> Any:
    parts = {}
    for name in ("params", "fitted"):
        if type(content.get(name)) is not dict:
            raise ValueError(f"{name} are missing")
        parts[name] = {sys.intern(key): reader(value) for key, value in content[name].items()}
    bag = cls(**_known(cls, parts["params"]))
    estimators = _descriptions(content, "estimators")
    bag._restore(parts["fitted"], [_estimator_of(cls._member, one, reader) for one in estimators])
    return bag


# kind -> class, its content, how that becomes an object; networks need no estimators imported
_KINDS: dict[
    str,
    tuple[
        Callable[[], Any],
        Callable[[Any, Writer], dict[str, Any]],
        Callable[[Any, dict[str, Any], Reader], Any],
    ],
] = {
    "Network": (lambda: Network, _network_content, _network_of),
    "MLPClassifier": (lambda: fastnn.MLPClassifier, _estimator_content, _estimator_of),
    "MLPRegressor": (lambda: fastnn.MLPRegressor, _estimator_content, _estimator_of),
    "NetworkEnsemble": (lambda: fastnn.NetworkEnsemble, _ensemble_content, _ensemble_of),
    "BaggedMLPClassifier": (lambda: fastnn.BaggedMLPClassifier, _bagged_content, _bagged_of),
    "BaggedMLPRegressor": (lambda: fastnn.BaggedMLPRegressor, _bagged_content, _bagged_of),
}
