"""Puts fastnn's MLPClassifier and MLPRegressor in the place of scikit-learn's, for code that
imports them from `sklearn.neural_network`, and takes them out again."""

import importlib
import runpy
import sys
from pathlib import Path

NAMES = ("MLPClassifier", "MLPRegressor")

_originals = {}


class _Patch:
    """What patch_sklearn returns: as a context manager it ends the patch that it began, if any."""

    def __init__(self, began):
        self._began = began

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._began:
            unpatch_sklearn()


def patch_sklearn():
    """Have `sklearn.neural_network` hold fastnn's MLPClassifier and MLPRegressor.

    Code that imports them from there afterwards trains with fastnn; names that were imported
    before stay what they are. A second call changes nothing.

    Returns
    -------
    context manager
        For `with fastnn.patch_sklearn():`, which ends as it began: in a process that was patched
        before, nothing is taken back.
    """
    from fastnn import estimators

    room = importlib.import_module("sklearn.neural_network")
    began = not _originals
    if began:
        _originals.update((name, getattr(room, name)) for name in NAMES)
        for name in NAMES:
            setattr(room, name, getattr(estimators, name))
    return _Patch(began)


def unpatch_sklearn():
    """Give `sklearn.neural_network` its own classes back; without a patch, nothing happens."""
    room = sys.modules.get("sklearn.neural_network")
    while _originals:
        setattr(room, *_originals.popitem())


def run(target, arguments, as_module=False):
    """Run a script, or a module by its name, as `python target arguments` would, patched.

    Parameters
    ----------
    target : str
        The path of a script, or the name of a module.
    arguments : list of str
        What it finds in sys.argv behind its own name.
    as_module : bool

    Raises
    ------
    FileNotFoundError
        If there is no such script.
    Exception
        Whatever the script raises.
    """
    sys.argv = [target, *arguments]
    with patch_sklearn():
        if as_module:
            # as `python -m` does: modules of the present folder come first
            sys.path.insert(0, str(Path.cwd()))
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            if not Path(target).exists():
                raise FileNotFoundError(f"there is no script {target}")
            sys.path.insert(0, str(Path(target).resolve().parent))
            runpy.run_path(target, run_name="__main__")
