"""fastnn: small neural networks trained fast, in compiled calls on NumPy buffers.

`Network` is the network; `MLPClassifier` and `MLPRegressor` stand in for scikit-learn's, and
`patch_sklearn` puts them in their place; `fastnn.tutorial` has the tutorial's own names,
`fastnn.reference` the NumPy oracle, `fastnn.callbacks` what listens while a network trains,
`fastnn.schedules` how learning rates change, `find_learning_rate` one to begin with, `fit_many`
trains many networks side by side, `NetworkEnsemble` holds many of one shape, and
`BaggedMLPClassifier` and `BaggedMLPRegressor` are scikit-learn's bagging of the estimators;
`fastnn.model_selection` searches for parameters, `fastnn.dask` has estimators over the partitions
of Dask collections, `fastnn.plotting` the pictures. `Network.save` and `load` keep models in
files; `to_onnx`, `to_c` and `to_sklearn` write them for other programs, `from_onnx`, `from_torch`
and `from_keras` read theirs. What is not part of `Network` loads when first asked for.
"""

import importlib as _importlib
import sys as _sys

try:
    from fastnn.network import Network
    from fastnn.threads import get_num_threads, set_num_threads
except ImportError as error:
    # `fastnn demo` and `python -m fastnn demo` import this package before code of theirs could
    # catch anything. They end in one line, as for other bad input. sys.argv[0] is "-m" while
    # Python looks for any module; the original arguments have its name, as "fastnn" or
    # "-mfastnn".
    from pathlib import Path

    command = Path(_sys.argv[0] if _sys.argv else "").stem
    if command == "-m":
        module = _sys.orig_argv[-len(_sys.argv)]
        command = module.partition("m")[2] if module.startswith("-") else module
    if command == "fastnn":
        print(f"fastnn: error: {error}", file=_sys.stderr)
        raise SystemExit(2) from None
    raise

__version__ = "0.1.0"
__all__ = [
    "BaggedMLPClassifier",
    "BaggedMLPRegressor",
    "MLPClassifier",
    "MLPRegressor",
    "Network",
    "NetworkEnsemble",
    "__version__",
    "find_learning_rate",
    "fit_many",
    "from_keras",
    "from_onnx",
    "from_torch",
    "get_num_threads",
    "load",
    "patch_sklearn",
    "set_num_threads",
    "show_config",
    "to_c",
    "to_onnx",
    "to_sklearn",
    "unpatch_sklearn",
]

# name -> the room that it is in; None: it is a room itself. __init__.pyi has the same names.
_LAZY = {
    "BaggedMLPClassifier": "estimators",
    "BaggedMLPRegressor": "estimators",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "NetworkEnsemble": "ensemble",
    "find_learning_rate": "rate_finder",
    "fit_many": "many",
    "from_keras": "files.converting",
    "from_onnx": "files.onnx_reading",
    "from_torch": "files.converting",
    "load": "files",
    "patch_sklearn": "patching",
    "to_c": "files.c_source",
    "to_onnx": "files.onnx_model",
    "to_sklearn": "files.converting",
    "unpatch_sklearn": "patching",
    "callbacks": None,
    "dask": None,
    "estimators": None,
    "files": None,
    "model_selection": None,
    "plotting": None,
    "reference": None,
    "schedules": None,
    "tutorial": None,
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        from fastnn.data.checks import no_attribute

        raise no_attribute("fastnn", name, __dir__())
    room = _importlib.import_module(f"fastnn.{_LAZY[name] or name}")
    return getattr(room, name) if _LAZY[name] else room


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY})


def show_config() -> None:
    """Print which build of the kernels runs here, and what it could be.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.show_config()  # doctest: +ELLIPSIS
    fastnn             ...
    instruction set    ...
    this machine runs  ...
    compiler           ...
    threads            ...
    NumPy              ...
    Python             ...
    """
    import platform

    import numpy

    from fastnn import kernels

    info, n_threads = kernels.build.build_info(), get_num_threads()
    lines = {
        "fastnn": __version__,
        "instruction set": f"{kernels.ISA} ({64 * info['lanes_f64']}-bit vectors)",
        "this machine runs": ", ".join(kernels.supported()),
        "compiler": info["compiler"],
        "threads": str(n_threads if info["threads"] else 1),
        "NumPy": numpy.__version__,
        "Python": f"{platform.python_version()} on {platform.machine()}",
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
