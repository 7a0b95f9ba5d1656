"""When skl2onnx and Hummingbird learn of fastnn's estimators.

Both look the class of an estimator up in a table of their own. `announce` has fastnn's classes
entered there: at once if the package was imported before, else at the end of its import, for which
a finder in `sys.meta_path` waits. Neither package is imported here, nor what is entered, which is
in `fastnn.files`, a room above this one: it is named as those packages are.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from typing import Any

_CONVERTERS = "fastnn.files.onnx_converters"


class _Waiting(importlib.abc.MetaPathFinder):
    """Finds the packages that are waited for as the others do; each is then told of fastnn."""

    def __init__(self, packages: dict[str, Callable[[], None]]) -> None:
        self.packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.packages:
            return None
        for finder in sys.meta_path:
            find_spec = getattr(finder, "find_spec", None)  # import too passes over others
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                self._register_after(fullname, spec.loader)
                return spec
        return None

    def _register_after(self, name: str, loader: Any) -> None:
        """Have a loader, which was made for one import, end with the registration."""
        execute = loader.exec_module

        def execute_and_register(module: types.ModuleType) -> None:
            execute(module)
            register = self.packages.pop(name, None)  # another thread may have been here
            if register is not None:
                _try(name, register)
            if not self.packages:
                with contextlib.suppress(ValueError):
                    sys.meta_path.remove(self)

        loader.exec_module = execute_and_register


def _try(name: str, register: Callable[[], None]) -> None:
    """Register; a version of the package that does not take it is imported all the same."""
    try:
        register()
    except Exception as error:
        text = " ".join(str(error).split())
        warnings.warn(
            f"{name} does not know fastnn's estimators: {type(error).__name__}: {text}",
            stacklevel=3,
        )


def _skl2onnx() -> None:
    importlib.import_module("skl2onnx")  # which waits for another thread's import
    importlib.import_module(_CONVERTERS).register_skl2onnx()


def _hummingbird() -> None:
    importlib.import_module("hummingbird.ml")
    importlib.import_module(_CONVERTERS).register_hummingbird()


def announce() -> None:
    """Have skl2onnx and Hummingbird know MLPClassifier and MLPRegressor, now or when they come.

    A second call changes nothing.
    """
    waiting = next((one for one in sys.meta_path if isinstance(one, _Waiting)), None)
    later = {}
    for name, register in (("skl2onnx", _skl2onnx), ("hummingbird.ml", _hummingbird)):
        module = sys.modules.get(name)
        if module is None:
            later[name] = register
        elif not (_is_beginning(module) and waiting is not None and name in waiting.packages):
            _try(name, register)
    if later and waiting is None:
        sys.meta_path.insert(0, _Waiting(later))


def _is_beginning(module: types.ModuleType) -> bool:
    """Whether its import goes on: it may be what imports fastnn, in scikit-learn's place."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))
