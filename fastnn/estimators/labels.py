"""Labels of known classes: what scikit-learn's LabelBinarizer does with them, in fewer steps.

This covers plain arrays of whole numbers or truth values. Everything else is left to the
LabelBinarizer, which a fit keeps as scikit-learn does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import LabelBinarizer


def are_plain(y: Any, n: int) -> bool:
    """Whether y is a plain vector of n whole numbers or truth values."""
    return type(y) is np.ndarray and y.shape == (n,) and y.dtype.kind in "iub"


def binarizer_of(y: NDArray[Any]) -> LabelBinarizer:
    """A LabelBinarizer fitted on plain labels."""
    binarizer = LabelBinarizer()
    classes = np.unique(y)
    binarizer.y_type_ = "multiclass" if len(classes) > 2 else "binary"
    binarizer.sparse_input_ = False
    binarizer.classes_ = classes
    return binarizer


def columns(binarizer: LabelBinarizer, y: NDArray[Any]) -> NDArray[np.bool_] | None:
    """The targets of plain labels, (n, n_outputs), or None if this is not for here to say."""
    classes: Any = binarizer.classes_
    if type(binarizer) is not LabelBinarizer or not are_plain(classes, len(classes)):
        return None
    if classes.dtype != y.dtype or binarizer.sparse_input_:
        return None
    every: NDArray[np.bool_] = y[:, np.newaxis] == classes
    if np.count_nonzero(every) != len(y):  # a label that is none of the classes
        return None
    if len(classes) > 2:
        return every
    return every[:, 1:] if len(classes) == 2 else ~every


def same_classes(known: Any, given: Any) -> bool:
    """Whether these are plain classes, given in the order of the known ones."""
    if known is given:
        return True
    if type(known) is not np.ndarray or known.dtype.kind not in "iub":
        return False
    if type(given) is list and all(type(label) is int for label in given):
        return bool(known.dtype.kind == "i" and known.tolist() == given)
    return (
        are_plain(given, len(known))
        and known.dtype == given.dtype
        and np.array_equal(known, given)
    )


def of_outputs(binarizer: LabelBinarizer, outputs: NDArray[Any]) -> Any:
    """The labels that outputs, (n, n_outputs), stand for."""
    if outputs.shape[1] == 1:
        outputs = outputs.ravel()
    kind, classes = binarizer.y_type_, binarizer.classes_
    if type(classes) is np.ndarray and not binarizer.sparse_input_:
        if kind == "multiclass" and outputs.ndim == 2 and len(classes) == outputs.shape[1]:
            return classes[outputs.argmax(axis=1)]
        if kind == "binary" and outputs.ndim == 1 and len(classes) == 2:
            return classes[(outputs > 0.5).view(np.int8)]
    return binarizer.inverse_transform(outputs)
