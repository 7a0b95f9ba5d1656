"""scikit-learn's MLPClassifier: `fit` with max_iter=n."""

import warnings

import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_info

VERSION = sklearn.__version__


class Adapter:
    def __init__(self, task):
        self.task = task
        # warm_start: fit goes on from coefs_, with a solver of its own
        self.model = MLPClassifier(
            task.units[1:-1], batch_size=task.batch, alpha=0, warm_start=True, max_iter=1,
            tol=0, n_iter_no_change=10**9, random_state=0,
        )  # fmt: skip
        warnings.simplefilter("ignore", ConvergenceWarning)

    def reset(self, layers):
        if not hasattr(self.model, "coefs_"):
            self.train(1, True)
        self.model.coefs_ = [W.copy() for W, _ in layers]
        self.model.intercepts_ = [b.copy() for _, b in layers]

    def train(self, n, shuffle):
        self.model.set_params(max_iter=n, shuffle=shuffle)
        self.model.fit(self.task.X, self.task.labels)

    def layers(self):
        return list(zip(self.model.coefs_, self.model.intercepts_, strict=True))

    def threads(self):
        return max((pool["num_threads"] for pool in threadpool_info()), default=None)
