"""Solvers and their parameters: a row each. The arithmetic is in kernels/simd/solvers.h and
reference/solvers.py."""

from typing import Literal, NamedTuple

SolverName = Literal["adam", "sgd"]  # for type checkers; a test compares it with the rows


class Parameter(NamedTuple):
    """A number or switch of a solver, under the name that `Network.fit` takes it by.

    Attributes
    ----------
    name : str
    default : float or bool
    help : str
        One line, for docstrings and documentation.
    low, high : float
        Bounds of a number. "smallest" and "largest" stand for the smallest normal and the largest
        number of the network's type.
    closed : str
        Which bounds belong to it: "neither", "left" or "both".
    """

    name: str
    default: float | bool
    help: str
    low: float | str = 0.0
    high: float | str = "largest"
    closed: str = "both"


class Solver(NamedTuple):
    """One way to step.

    Attributes
    ----------
    name : str
    code : int
        In kernels and oracle.
    help : str
        One line.
    n_states : int
        Vectors that it carries from step to step.
    parameters : tuple of str
        What it reads, besides learning_rate_init and alpha.
    public : bool
        Whether `Network.fit` takes the name; "sgd" becomes "momentum" or "nesterov" by its
        parameters.
    """

    name: str
    code: int
    help: str
    n_states: int
    parameters: tuple[str, ...] = ()
    public: bool = True


PARAMETERS = (
    Parameter("learning_rate_init", 0.001, "The step size.", low="smallest"),
    Parameter(
        "alpha", 0.0, "Strength of the penalty alpha / (2 samples) times the sum of the squared "
        "coefs.",
    ),
    Parameter(
        "momentum", 0.0, 'For "sgd"; 0 is plain gradient descent.', high=1.0, closed="left"
    ),
    Parameter(
        "nesterovs_momentum", True, "Whether momentum looks ahead (Sutskever et al., 2013)."
    ),
    Parameter("beta_1", 0.9, 'For "adam": decay of its mean of gradients.', 0.0, 1.0, "left"),
    Parameter(
        "beta_2", 0.999, 'For "adam": decay of its mean of squared gradients.', 0.0, 1.0, "left"
    ),
    Parameter("epsilon", 1e-8, 'For "adam": added to the root of that mean.', low="smallest"),
)  # fmt: skip

SOLVERS = (
    Solver("adam", 2, "Adam (Kingma and Ba, 2015)", 2, ("beta_1", "beta_2", "epsilon")),
    Solver("sgd", 0, "gradient descent", 0, ("momentum", "nesterovs_momentum")),
    Solver("nesterov", 1, "Nesterov's momentum", 1, ("momentum",), public=False),
    Solver("momentum", 3, "classical momentum", 1, ("momentum",), public=False),
)

BY_NAME = {row.name: row for row in SOLVERS}
BY_CODE = {row.code: row for row in SOLVERS}
SPELLINGS = {row.name: row.name for row in SOLVERS if row.public}
CODES = {row.name: row.code for row in SOLVERS}
