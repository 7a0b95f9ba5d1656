"""Puts fastnn's MLPClassifier and MLPRegressor in the place of scikit-learn's, for code that
imports them from `sklearn.neural_network`, and takes them out again.

While they are in place, instances of scikit-learn's own classes count as instances of them, too
(see `estimators.classes.InPlace`), and a finder in `sys.meta_path` puts them in place after the
module was executed: when it is imported for the first time, or again by `importlib.reload`.
"""

from __future__ import annotations

import importlib
import importlib.abc
import sys
import threading
import types
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from typing import Any, Self

from fastnn.announcing import announce

NAMES = ("MLPClassifier", "MLPRegressor")
ROOM = "sklearn.neural_network"

_lock = threading.Lock()
# Why scikit-learn is patched: the blocks that have not ended, and None for a call by itself.
_reasons: list[_Patch | None] = []


def _put_in_place(room: types.ModuleType) -> None:
    """Have the module hold fastnn's classes if there is a reason to, else scikit-learn's own."""
    from fastnn import estimators

    patched = None
    # once more if another thread changed the reasons meanwhile; `_Keeper` cannot take the lock,
    # as importing has a lock of its own
    while patched is not bool(_reasons):
        patched = bool(_reasons)
        for name in NAMES:
            ours: Any = getattr(estimators, name)
            setattr(room, name, ours if patched else ours._original)


class _Keeper(importlib.abc.MetaPathFinder):
    """Finds sklearn.neural_network as the others do; executing it then ends with the patch."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != ROOM:
            return None
        for finder in sys.meta_path:
            find_spec = getattr(finder, "find_spec", None)  # import too passes over others
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                _patch_after(spec.loader)
                return spec
        return None


def _patch_after(loader: Any) -> None:
    """Have a loader, which was made for one import, put the classes in place at its end."""
    execute = loader.exec_module

    def execute_and_patch(module: types.ModuleType) -> None:
        execute(module)
        _put_in_place(module)

    loader.exec_module = execute_and_patch


_keeper = _Keeper()


def _update() -> None:
    """Do what the present reasons ask for; the caller has the lock."""
    if _reasons and _keeper not in sys.meta_path:
        sys.meta_path.insert(0, _keeper)
    elif not _reasons and _keeper in sys.meta_path:
        sys.meta_path.remove(_keeper)
    if ROOM in sys.modules:  # else the finder has it patched when it is imported
        _put_in_place(importlib.import_module(ROOM))  # which waits for another thread's import


class _Patch:
    """What patch_sklearn returns: as a context manager, a patch for the length of its block."""

    def __init__(self, was_patched: bool) -> None:
        self._was_patched = was_patched

    def __enter__(self) -> Self:
        with _lock:
            _reasons.append(self)
            if not self._was_patched and None in _reasons:
                _reasons.remove(None)
            _update()  # another thread's block may have ended since patch_sklearn
        return self

    def __exit__(self, *exception: object) -> None:
        with _lock:
            if self in _reasons:  # unless unpatch_sklearn was called in between
                _reasons.remove(self)
            _update()


def patch_sklearn() -> _Patch:
    """Have `sklearn.neural_network` hold fastnn's MLPClassifier and MLPRegressor.

    Code that imports them from there afterwards trains with fastnn; names that were imported
    before keep their meaning. Estimators made before are instances of the new classes, for
    isinstance. The patch outlasts a reload of the module. A second call changes nothing.
    Processes that this one starts are patched only if they are forks of it.

    Returns
    -------
    context manager
        For `with fastnn.patch_sklearn():`, which ends as it began: in a process that was patched
        before, or while another thread's block goes on, it stays patched.

    Examples
    --------
    >>> import fastnn
    >>> with fastnn.patch_sklearn():
    ...     from sklearn.neural_network import MLPClassifier
    >>> MLPClassifier is fastnn.MLPClassifier
    True
    """
    with _lock:
        patch = _Patch(None in _reasons)
        if not patch._was_patched:
            _reasons.append(None)
        _update()
    return patch


def unpatch_sklearn() -> None:
    """Give `sklearn.neural_network` its own classes back; without a patch, nothing happens.

    Examples
    --------
    >>> import fastnn
    >>> patch = fastnn.patch_sklearn()
    >>> fastnn.unpatch_sklearn()
    >>> from sklearn.neural_network import MLPClassifier
    >>> MLPClassifier is fastnn.MLPClassifier
    False
    """
    with _lock:
        if _reasons:
            _reasons.clear()
            _update()


announce()  # skl2onnx may be imported between a patch and the estimators
