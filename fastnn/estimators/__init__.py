"""MLPClassifier and MLPRegressor: scikit-learn's own classes with their training compiled.

What people see is inherited from the scikit-learn installed: parameters and their validation,
labels, stopping rules, schedules of the learning rate, messages. Three methods behind it are
replaced: `_fit_stochastic` (one compiled call per epoch), `_fit_lbfgs` (SciPy's L-BFGS-B over the
compiled loss and gradient) and `_forward_pass_fast`. scikit-learn 1.6 to 1.9 call them in the same
way, except that 1.6 has no sample weights.

Random numbers are drawn where and as scikit-learn draws them, and the formulas are scikit-learn's,
so a fit follows scikit-learn's own up to rounding. This includes oddities: with several outputs
the squared error that is reported is a mean over the outputs, while the parameters follow the
gradient of the sum.

Files: `classes` holds the two classes, `fitting` a fit with Adam or SGD, `lbfgs` one with L-BFGS,
`following` the callbacks of both, `arrays` the conversions between scikit-learn's arrays and the
kernels'.
"""

from fastnn.estimators.classes import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
