"""Losses: a row each. The arithmetic is in kernels/simd/losses.h and reference/losses.py."""

from typing import Literal, NamedTuple

from fastnn.catalog.activations import ActivationName

# Every accepted spelling of a public loss, for type checkers; a test compares it with the rows.
LossName = Literal[
    "squared_error", "mse", "l2", "binary_log_loss", "binary_cross_entropy", "bce", "log_loss",
    "categorical_cross_entropy", "cross_entropy", "poisson", "absolute_error", "mae", "l1",
    "mean_absolute_error", "huber", "quantile", "pinball", "log_cosh", "logcosh", "gamma",
]  # fmt: skip


class Loss(NamedTuple):
    """One loss, a mean over the samples.

    Attributes
    ----------
    name : str
        As `Network` takes it, and as everything inside calls it.
    code : int
        In kernels and oracle.
    help : str
        One line.
    formula : str
        Of one sample's outputs a_j (or their weighted sums z_j) and targets y_j.
    aliases : tuple of str
        Other accepted spellings.
    public : bool
        Whether `Network` takes it; the others are scikit-learn's variants, for the estimators.
    out_activation : str or None
        The output activation that it needs; None: any.
    low, high : float
        The domain of the targets.
    rows_sum_to_one : bool
        Whether each row of the targets must.
    uses_logits : bool
        Whether it is computed from the outputs' weighted sums, which the forward pass keeps where
        the output's deltas will stand.
    number : str or None
        The argument of `Network` that gives the loss a number for each output.
    open_low : bool
        Whether targets must be above `low`, not at it.
    curvature : bool
        Whether there is a model of its curvature, for second-order training.
    """

    name: str
    code: int
    help: str
    formula: str
    aliases: tuple[str, ...] = ()
    public: bool = True
    out_activation: ActivationName | None = None
    low: float = float("-inf")
    high: float = float("inf")
    rows_sum_to_one: bool = False
    uses_logits: bool = False
    number: str | None = None
    open_low: bool = False
    curvature: bool = True

    @property
    def lowest(self) -> float:
        """The lowest target: the smallest positive double where 0 itself is none."""
        return 5e-324 if self.open_low else self.low


LOSSES = (
    Loss(
        "squared_error", 0, "half the squared error, summed over the outputs",
        "1/2 sum_j (a_j - y_j)^2", ("mse", "l2"),
    ),
    Loss(
        "binary_log_loss", 1, "for outputs that are each yes or no",
        "sum_j log(1 + exp(z_j)) - y_j z_j", ("binary_cross_entropy", "bce"),
        out_activation="sigmoid", low=0.0, high=1.0, uses_logits=True,
    ),
    Loss(
        "log_loss", 2, "for outputs that are the probabilities of classes",
        "sum_j y_j (log sum_i exp(z_i) - z_j)", ("categorical_cross_entropy", "cross_entropy"),
        out_activation="softmax", low=0.0, high=1.0, rows_sum_to_one=True, uses_logits=True,
    ),
    Loss(
        "poisson", 3, "half the Poisson deviance, for counts and other targets >= 0",
        "sum_j y_j (log y_j - z_j) - y_j + exp(z_j)", out_activation="exp", low=0.0,
        uses_logits=True,
    ),
    Loss(
        "mean_squared_error", 4, "scikit-learn's squared error: reported as the mean over the "
        "outputs, while its gradient is that of the sum", "1/(2 n_outputs) sum_j (a_j - y_j)^2",
        public=False,
    ),
    Loss(
        "clipped_binary_log_loss", 5, "scikit-learn's: of probabilities clipped to [eps, 1 - eps]",
        "-sum_j y_j log a_j + (1 - y_j) log(1 - a_j)", public=False, out_activation="sigmoid",
        low=0.0, high=1.0,
    ),
    Loss(
        "clipped_log_loss", 6, "scikit-learn's: of probabilities clipped to [eps, 1 - eps]",
        "-sum_j y_j log a_j", public=False, out_activation="softmax", low=0.0, high=1.0,
        rows_sum_to_one=True,
    ),
    Loss(
        "poisson_of_values", 7, "scikit-learn's: infinite where a_j is 0 and y_j is not",
        "sum_j y_j log(y_j / a_j) - y_j + a_j", public=False, out_activation="exp", low=0.0,
    ),
    Loss(
        "absolute_error", 8, "for targets with outliers: the outputs estimate medians",
        "sum_j |a_j - y_j|", ("mae", "l1", "mean_absolute_error"), curvature=False,
    ),
    Loss(
        "huber", 9, "squared for errors up to delta, beyond that absolute",
        "sum_j d_j^2 / 2 if |d_j| <= delta, else delta (|d_j| - delta / 2); d_j = a_j - y_j",
        number="delta",
    ),
    Loss(
        "quantile", 10, "quantiles of one target: an output for each level q_j",
        "sum_j max(q_j (y - a_j), (q_j - 1) (y - a_j))", ("pinball",), number="quantile",
        curvature=False,
    ),
    Loss(
        "log_cosh", 11, "about squared for errors below 1, about absolute beyond, and smooth",
        "sum_j log cosh(a_j - y_j)", ("logcosh",),
    ),
    Loss(
        "gamma", 12, "half the gamma deviance, for targets > 0 whose spread grows with their mean",
        "sum_j y_j exp(-z_j) - 1 - log y_j + z_j", out_activation="exp", low=0.0,
        uses_logits=True, open_low=True,
    ),
    Loss(
        "given", 13, "a loss of one's own: the targets are its derivatives by the outputs, and "
        "Python adds its values", "0", public=False, curvature=False,
    ),
)  # fmt: skip

BY_NAME = {row.name: row for row in LOSSES}
BY_CODE = {row.code: row for row in LOSSES}
# every accepted spelling of a public loss -> its name
SPELLINGS = {
    spelling: row.name for row in LOSSES if row.public for spelling in (row.name, *row.aliases)
}
CODES = {row.name: row.code for row in LOSSES}
