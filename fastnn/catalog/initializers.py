"""How first parameters are drawn: a row each. The draws are in fastnn/initializers.py."""

from typing import Literal, NamedTuple

# Every name, for type checkers; a test compares it with the rows.
InitName = Literal["auto", "glorot", "he", "lecun", "orthogonal", "uniform"]


class Initializer(NamedTuple):
    """One way to draw first parameters.

    Attributes
    ----------
    name : str
        As `fastnn.Network` takes it.
    help : str
        One line: the distribution, its source, and the order of the draws where it is not coefs
        layer by layer.
    """

    name: InitName
    help: str


INITIALIZERS = (
    Initializer(
        "auto",
        "what the activation of each layer wants (see docs/catalog.md): glorot, he or lecun; the "
        "output layer takes that of the hidden layer before it",
    ),
    Initializer(
        "glorot",
        "uniform within sqrt(f / (fan_in + fan_out)), f = 2 for sigmoid layers and otherwise 6 "
        "(Glorot and Bengio, 2010); coefs then intercepts of each layer, as scikit-learn draws",
    ),
    Initializer("he", "normal with variance 2 / fan_in, intercepts 0 (He et al., 2015)"),
    Initializer(
        "lecun",
        "normal with variance 1 / fan_in, intercepts 0 (LeCun et al., 1998; for selu Klambauer et "
        "al., 2017)",
    ),
    Initializer(
        "orthogonal",
        "orthonormal rows or columns, whichever are fewer, times sqrt(2) for activations that "
        "resemble relu and otherwise 1; intercepts 0 (Saxe et al., 2014)",
    ),
    Initializer(
        "uniform",
        "uniform in [-1, 1); intercepts then coefs of each layer, as the tutorial draws",
    ),
)

BY_NAME: dict[str, Initializer] = {row.name: row for row in INITIALIZERS}
CHOICES: dict[str, InitName] = {row.name: row.name for row in INITIALIZERS}
