"""Puts fastnn's MLPClassifier and MLPRegressor in the place of scikit-learn's, for code that
imports them from `sklearn.neural_network`, and takes them out again."""

import importlib
import threading

NAMES = ("MLPClassifier", "MLPRegressor")

_lock = threading.Lock()
_reasons = []  # to be patched: each block that has not ended, and None for a call by itself


def _put_in_place():
    """Have sklearn.neural_network hold what it should, for the reasons that there are."""
    from fastnn import estimators

    room = importlib.import_module("sklearn.neural_network")
    for name in NAMES:
        ours = getattr(estimators, name)
        setattr(room, name, ours if _reasons else ours._original)


class _Patch:
    """What patch_sklearn returns. As a context manager it is a reason of its own for its block."""

    def __enter__(self):
        with _lock:
            _reasons.append(self)
            if not self._was_patched and None in _reasons:
                _reasons.remove(None)
        return self

    def __exit__(self, *exception):
        with _lock:
            if self in _reasons:  # unless unpatch_sklearn was called in between
                _reasons.remove(self)
            _put_in_place()


def patch_sklearn():
    """Have `sklearn.neural_network` hold fastnn's MLPClassifier and MLPRegressor.

    Code that imports them from there afterwards trains with fastnn; names that were imported
    before stay what they are. A second call changes nothing. Processes that this one starts are
    patched only if they are forks of it.

    Returns
    -------
    context manager
        For `with fastnn.patch_sklearn():`, which ends as it began: in a process that was patched
        before, or where another thread's block goes on, it stays patched.
    """
    patch = _Patch()
    with _lock:
        patch._was_patched = None in _reasons
        if not patch._was_patched:
            _reasons.append(None)
        _put_in_place()
    return patch


def unpatch_sklearn():
    """Give `sklearn.neural_network` its own classes back; without a patch, nothing happens."""
    with _lock:
        if _reasons:
            _reasons.clear()
            _put_in_place()
