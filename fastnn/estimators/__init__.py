"""MLPClassifier and MLPRegressor: scikit-learn's own classes with their training compiled.

What people see is inherited from the scikit-learn installed: parameters and their validation,
labels, stopping rules, schedules of the learning rate, messages. Behind it these are replaced:
`_fit_stochastic` (compiled epochs), `_fit_lbfgs` (SciPy's L-BFGS-B over the compiled loss and
gradient), `_forward_pass_fast`, and `_fit`, which calls them. scikit-learn 1.6 to 1.9 do so in the
same way, except that 1.6 has no sample weights.

Calls have a short way: plain arrays, labels that are whole numbers, and values of parameters that
were found valid before need no validation, and where no callback listens no context for callbacks.
Whatever is not settled there goes through scikit-learn's own code from the beginning.

Random numbers are drawn where and as scikit-learn draws them, and the formulas are scikit-learn's,
so a fit follows scikit-learn's own up to rounding. This includes oddities: with several outputs
the squared error that is reported is a mean over the outputs, while the parameters follow the
gradient of the sum.

Files: `classes` holds the two classes, `extras` the parameters that scikit-learn's do not have,
`validating` validation sets, `weighting` class weights, `quantiles` the loss of that name,
`bagging` ensembles of them,
`converting` the ways to scikit-learn's classes and back, `fitting` a fit in epochs, `lbfgs` one
with L-BFGS, `following` the callbacks of both, `shortcuts` what needs no validation, `states`
whether all belongs together, `labels` labels of known classes, `optimizers` the solver's state
between fits, `keeping` what an estimator keeps from one call to the next, `arrays` the conversions
between scikit-learn's arrays and the kernels'.
"""

from typing import Any as _Any

from fastnn.announcing import announce as _announce
from fastnn.data import checks as _checks
from fastnn.estimators.classes import MLPClassifier, MLPRegressor

__all__ = ["BaggedMLPClassifier", "BaggedMLPRegressor", "MLPClassifier", "MLPRegressor"]

_announce()


def __getattr__(name: str) -> _Any:
    if not name.startswith("Bagged") or name not in __all__:
        raise _checks.no_attribute(__name__, name, __all__)
    from fastnn.estimators import bagging  # scikit-learn's ensembles take a while to import

    return getattr(bagging, name)
