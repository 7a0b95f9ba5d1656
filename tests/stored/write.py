"""Writes models and their predictions into a folder of this version, for tests/test_files.py.

Run it once for each version that writes files otherwise: `python tests/stored/write.py`.
"""

import warnings
from pathlib import Path

import numpy as np

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network, schedules

rng = np.random.RandomState(0)
X, Y = rng.rand(40, 3), rng.rand(40, 2)
LABELS = np.array(["one", "three", "two"])[rng.randint(3, size=40)]
FEW = {"max_iter": 3, "random_state": 0}


def models():
    options = {"max_iter": 3, "batch_size": 16}
    net = Network([3, 5, 2], ["tanh", "identity"], random_state=0)
    yield "network", net.fit(X, Y, ema=0.9, dropout=0.1, solver="nadam", **options)
    net = Network([3, 5, 1], "silu", dtype="float32", random_state=np.random.default_rng(0))
    yield "network-float32", net.fit(X, Y[:, 0], X_val=X, y_val=Y[:, 0], **options)
    net = Network([3, 4, 3], "gelu", loss="quantile", quantile=[0.1, 0.5, 0.9], random_state=0)
    yield "network-quantiles", net.fit(X, Y[:, 0], **options)
    yield "classifier", MLPClassifier((4,), early_stopping=True, **FEW).fit(X, LABELS)
    yield "classifier-labels", MLPClassifier((4,), solver="sgd", **FEW).fit(X, X > 0.5)
    rate = 0.5 * schedules.OneCycle()
    one = MLPRegressor(hidden_layer_sizes=[4], learning_rate=rate, ema=0.5, **FEW)
    yield "regressor", one.fit(X, Y)
    yield "regressor-lbfgs", MLPRegressor(solver="lbfgs", hidden_layer_sizes=(3,), **FEW).fit(
        X.astype("f4"), Y[:, 0])  # fmt: skip


def main():
    warnings.simplefilter("ignore")
    folder = Path(__file__).parent / fastnn.__version__
    folder.mkdir(exist_ok=True)
    rows = np.linspace(-1, 1, 12).reshape(4, 3)
    for name, model in models():
        model.save(folder / f"{name}.fastnn")
        np.save(folder / f"{name}.npy", getattr(model, "predict_proba", model.predict)(rows))


if __name__ == "__main__":
    main()
