"""Solvers and their parameters: a row each. The arithmetic is in kernels/simd/solvers.h and
reference/solvers.py."""

from typing import Literal, NamedTuple

SolverName = Literal[
    "adam", "sgd", "adamw", "nadam", "rmsprop", "rprop", "lm", "lbfgs"
]  # for type checkers; a test compares it with the rows


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
        What it reads, besides what all solvers do.
    public : bool
        Whether `Network.fit` takes the name; "sgd" becomes "momentum" or "nesterov" by its
        parameters.
    searches : bool
        Whether it looks for the minimum over all rows (training/second_order.py) instead of
        stepping batch by batch in the kernels.
    """

    name: str
    code: int
    help: str
    n_states: int
    parameters: tuple[str, ...] = ()
    public: bool = True
    searches: bool = False


PARAMETERS = (
    Parameter("learning_rate_init", 0.001, "The step size.", low="smallest"),
    Parameter(
        "alpha", 0.0, "Strength of the penalty alpha / (2 samples) times the sum of the squared "
        'coefs. With "lm" and squared errors also "evidence": an alpha for each layer, and the '
        "variance of the noise, that make the data most probable (MacKay, 1992; Foresee and "
        "Hagan, 1997).",
    ),
    Parameter(
        "momentum", 0.0, 'For "sgd"; 0 is plain gradient descent.', high=1.0, closed="left"
    ),
    Parameter(
        "nesterovs_momentum", True, "Whether momentum looks ahead (Sutskever et al., 2013)."
    ),
    Parameter(
        "beta_1", 0.9, 'For "adam", "adamw", "nadam": decay of the mean of gradients.', 0.0, 1.0,
        "left",
    ),
    Parameter(
        "beta_2", 0.999, 'For "adam", "adamw", "nadam": decay of the mean of squared gradients.',
        0.0, 1.0, "left",
    ),
    Parameter(
        "rho", 0.99, 'For "rmsprop": decay of its mean of squared gradients.', 0.0, 1.0, "left"
    ),
    Parameter(
        "epsilon", 1e-8, "For solvers with such a mean: added to its root.", low="smallest"
    ),
    Parameter(
        "weight_decay", 0.01, 'For "adamw": before each step coefs shrink by this times the '
        "learning rate.",
    ),
    Parameter(
        "decay_intercepts", False, "Whether weight_decay is for the intercepts, too."
    ),
    Parameter(
        "take_back", True, 'For "rprop": whether a step is taken back where a gradient changed '
        "its sign and the loss grew: iRprop+; if not, iRprop-.",
    ),
    Parameter(
        "clip_norm", 0.0, "Gradients, of all parameters as one vector, that are longer than this "
        "are shortened to it; 0: none are.",
    ),
    Parameter(
        "ema", 0.0, "Decay of an average of the parameters after each step, which the network "
        "has after the fit; `partial_fit` goes on from the parameters themselves. At step t it is "
        "t / (t + 9) at most. 0: no average.", 0.0, 1.0, "left",
    ),
    Parameter(
        "input_noise", 0.0, "Standard deviation of normal numbers that are added to the inputs, "
        "anew in each step.",
    ),
    Parameter(
        "damping", 1e-3, 'For "lm": the first damping, times the size of the second derivatives.',
        low="smallest",
    ),
    Parameter(
        "gain_ratio", True, 'For "lm": whether the damping follows how well steps keep what they '
        "promise (Nielsen, 1999); if not, it goes up and down by factors of 10 (Hagan and Menhaj, "
        "1994).",
    ),
)  # fmt: skip

SOLVERS = (
    Solver("adam", 2, "Adam (Kingma and Ba, 2015)", 2, ("beta_1", "beta_2", "epsilon")),
    Solver("sgd", 0, "gradient descent", 0, ("momentum", "nesterovs_momentum")),
    Solver("nesterov", 1, "Nesterov's momentum", 1, ("momentum",), public=False),
    Solver("momentum", 3, "classical momentum", 1, ("momentum",), public=False),
    Solver(
        "adamw",
        4,
        "Adam with decoupled weight decay (Loshchilov and Hutter, 2019)",
        2,
        ("beta_1", "beta_2", "epsilon", "weight_decay", "decay_intercepts"),
    ),
    Solver(
        "nadam",
        5,
        "Adam with Nesterov's momentum (Dozat, 2016)",
        2,
        ("beta_1", "beta_2", "epsilon"),
    ),
    Solver("rmsprop", 6, "RMSprop (Tieleman and Hinton, 2012)", 1, ("rho", "epsilon")),
    Solver(
        "rprop",
        7,
        "resilient back-propagation, iRprop+, for full batches (Igel and Hüsken, 2003)",
        2,
        ("take_back",),
    ),
    Solver(
        "lm",
        8,
        "Levenberg-Marquardt: damped Gauss-Newton steps over all rows, for small networks "
        "(Marquardt, 1963)",
        0,
        ("damping", "gain_ratio"),
        searches=True,
    ),
    Solver(
        "lbfgs",
        9,
        "L-BFGS: a quasi-Newton search over all rows (Nocedal, 1980)",
        20,
        searches=True,
    ),
)

BY_NAME = {row.name: row for row in SOLVERS}
BY_CODE = {row.code: row for row in SOLVERS}
SPELLINGS = {row.name: row.name for row in SOLVERS if row.public}
CODES = {row.name: row.code for row in SOLVERS}
