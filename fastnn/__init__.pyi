"""The public names as type checkers see them: those that load lazily are there from the start.

A test compares this file with `dir(fastnn)`.
"""

from fastnn import callbacks as callbacks
from fastnn import dask as dask
from fastnn import estimators as estimators
from fastnn import files as files
from fastnn import model_selection as model_selection
from fastnn import plotting as plotting
from fastnn import reference as reference
from fastnn import schedules as schedules
from fastnn import tutorial as tutorial
from fastnn.ensemble import NetworkEnsemble as NetworkEnsemble
from fastnn.estimators import BaggedMLPClassifier as BaggedMLPClassifier
from fastnn.estimators import BaggedMLPRegressor as BaggedMLPRegressor
from fastnn.estimators import MLPClassifier as MLPClassifier
from fastnn.estimators import MLPRegressor as MLPRegressor
from fastnn.files import load as load
from fastnn.files.c_source import to_c as to_c
from fastnn.files.converting import from_keras as from_keras
from fastnn.files.converting import from_torch as from_torch
from fastnn.files.converting import to_sklearn as to_sklearn
from fastnn.files.onnx_model import to_onnx as to_onnx
from fastnn.files.onnx_reading import from_onnx as from_onnx
from fastnn.many import fit_many as fit_many
from fastnn.network import Network as Network
from fastnn.patching import patch_sklearn as patch_sklearn
from fastnn.patching import unpatch_sklearn as unpatch_sklearn
from fastnn.rate_finder import find_learning_rate as find_learning_rate
from fastnn.threads import get_num_threads as get_num_threads
from fastnn.threads import set_num_threads as set_num_threads

__version__: str
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

def show_config() -> None: ...
