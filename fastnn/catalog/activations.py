"""Activations: a row each. The arithmetic is in kernels/simd/activations.h and
reference/activations.py."""

from typing import Literal, NamedTuple

from fastnn.catalog.initializers import InitName

# Every accepted spelling, for type checkers; a test compares it with the rows.
ActivationName = Literal[
    "identity", "linear", "sigmoid", "logistic", "sigm", "tanh", "relu", "softmax", "exp", "silu",
    "swish", "elu", "leaky_relu", "selu", "gelu", "gelu_tanh", "mish", "softplus",
]  # fmt: skip


class Activation(NamedTuple):
    """One activation.

    Attributes
    ----------
    name : str
        As `Network` takes it, and as everything inside calls it.
    code : int
        In kernels and oracle.
    help : str
        One line.
    formula : str
        Of z, the weighted sum.
    aliases : tuple of str
        Other accepted spellings.
    hidden : bool
        Whether it may stand in hidden layers; every activation may stand in the last.
    elementwise : bool
        Whether it is a function of one number.
    stores_slope : bool
        False: the derivative is computed from the activation's value. True: it is no function of
        the value; the forward pass stores it (the slope) where the layer's deltas will stand.
    low, high : float
        What values it can approach; targets beyond are out of reach.
    gain : float
        f in the Glorot bound sqrt(f / (fan_in + fan_out)).
    init : str
        What `init="auto"` takes. "he" was derived for relu and leaky_relu (He et al., 2015), which
        gelu, mish and softplus resemble for large |z|; "lecun" belongs to the fixed point of selu
        (Klambauer et al., 2017). relu, and silu and elu, which were here before, have "glorot" as
        scikit-learn has for all.
    resembles_relu : bool
        Whether it passes about half of the variance, which orthogonal coefs then make up for.
    """

    name: ActivationName
    code: int
    help: str
    formula: str
    aliases: tuple[ActivationName, ...] = ()
    hidden: bool = True
    elementwise: bool = True
    stores_slope: bool = False
    low: float = float("-inf")
    high: float = float("inf")
    gain: float = 6.0
    init: InitName = "glorot"
    resembles_relu: bool = False


ACTIVATIONS = (
    Activation("identity", 0, "no activation", "z", ("linear",)),
    Activation(
        "sigmoid", 1, "the logistic function", "1 / (1 + exp(-z))", ("logistic", "sigm"),
        low=0.0, high=1.0, gain=2.0,
    ),
    Activation("tanh", 2, "the hyperbolic tangent", "tanh(z)", low=-1.0, high=1.0),
    Activation(
        "relu", 3, "the rectified linear unit", "max(0, z)", low=0.0, resembles_relu=True,
    ),
    Activation(
        "softmax", 4, "probabilities that sum to 1 over the outputs", "exp(z_j) / sum_i exp(z_i)",
        hidden=False, elementwise=False, low=0.0, high=1.0,
    ),
    Activation(
        "exp", 5, "the exponential, for rates and counts", "exp(z)", hidden=False, low=0.0,
    ),
    Activation(
        "silu", 6, "the sigmoid linear unit (Elfwing et al., 2018)", "z / (1 + exp(-z))",
        ("swish",), stores_slope=True, low=-0.27846454276107374,
        resembles_relu=True,
    ),
    Activation(
        "elu", 7, "the exponential linear unit (Clevert et al., 2016)",
        "z if z > 0 else exp(z) - 1", low=-1.0, resembles_relu=True,
    ),
    Activation(
        "leaky_relu", 8, "the leaky rectified linear unit (Maas et al., 2013)", "max(z, 0.01 z)",
        init="he", resembles_relu=True,
    ),
    Activation(
        "selu", 9, "the self-normalising exponential linear unit (Klambauer et al., 2017)",
        "1.0507 z if z > 0 else 1.7581 (exp(z) - 1)", low=-1.7580993408473768,
        init="lecun",
    ),
    Activation(
        "gelu", 10, "the Gaussian error linear unit (Hendrycks and Gimpel, 2016)",
        "z (1 + erf(z / sqrt(2))) / 2", stores_slope=True, low=-0.16997120747990366,
        init="he", resembles_relu=True,
    ),
    Activation(
        "gelu_tanh", 11, "its approximation by tanh, as GPT-2 has it (Hendrycks and Gimpel, 2016)",
        "z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2", stores_slope=True,
        low=-0.17004075057125406,
        init="he", resembles_relu=True,
    ),
    Activation(
        "mish", 12, "the self-regularised rectifier (Misra, 2020)", "z tanh(log(1 + exp(z)))",
        stores_slope=True, low=-0.30884341301725043, init="he", resembles_relu=True,
    ),
    Activation(
        "softplus", 13, "the smooth rectifier (Dugas et al., 2001)", "log(1 + exp(z))",
        stores_slope=True, low=0.0, init="he", resembles_relu=True,
    ),
)  # fmt: skip

BY_NAME: dict[str, Activation] = {row.name: row for row in ACTIVATIONS}
BY_CODE = {row.code: row for row in ACTIVATIONS}
# every accepted spelling -> the name
SPELLINGS: dict[str, ActivationName] = {
    spelling: row.name for row in ACTIVATIONS for spelling in (row.name, *row.aliases)
}
CODES: dict[str, int] = {row.name: row.code for row in ACTIVATIONS}
HIDDEN_SPELLINGS: dict[str, ActivationName] = {
    text: name for text, name in SPELLINGS.items() if BY_NAME[name].hidden
}
