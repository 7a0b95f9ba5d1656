"""Draws all pictures of the README and of docs/, for light and for dark screens.

    python examples/gallery.py                  # into docs/
    python examples/gallery.py --output FOLDER

The same versions of the libraries draw the same bytes. Only one picture, scaling, shows measured
figures: those of bench/results/sweeps.json, which bench/sweeps.py writes.
"""

import argparse
import json
import sys
import warnings
from inspect import signature
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from scipy.ndimage import zoom
from sklearn.datasets import load_digits, load_iris, make_blobs, make_circles
from sklearn.inspection import DecisionBoundaryDisplay

from fastnn import MLPClassifier, Network, find_learning_rate
from fastnn.callbacks import Recorder, ValidationLoss
from fastnn.catalog.activations import ACTIVATIONS
from fastnn.catalog.schedules import SCHEDULES
from fastnn.plotting import (
    ActivationDisplay,
    FeatureSlice,
    HiddenUnitsDisplay,
    LossCurveDisplay,
    NetworkDisplay,
    animate,
    style,
)
from fastnn.plotting.training import TrainingPicture
from fastnn.schedules import BY_NAME

ROOT = Path(__file__).resolve().parent.parent
KINDS_HAVE_COLORS = (
    "multiclass_colors" in signature(DecisionBoundaryDisplay.from_estimator).parameters
)


def rings():
    """The README's first example, and what a recorder kept of it."""
    X, y = make_circles(500, factor=0.5, noise=0.05, random_state=0)
    net = Network([2, 8, 8, 1], activation="tanh", loss="binary_log_loss", random_state=0)
    recorder = Recorder(every=2)
    net.fit(X, y, solver="adam", learning_rate_init=0.01, max_iter=100, callback=recorder)
    return X, y, net, recorder


def digits():
    """A classifier of images of 8 x 8 pixels, stopped by its validation score."""
    X, y = load_digits(return_X_y=True)
    return MLPClassifier(
        (32, 16), alpha=0.1, max_iter=200, early_stopping=True, random_state=0
    ).fit(X / 16, y)  # fmt: skip


def images():
    """Digits of 16 x 16 pixels, between whose 8 x 8 grey levels lie the means of neighbours."""
    X, y = load_digits(return_X_y=True)
    return np.array([zoom(image, 2, order=1) for image in X.reshape(-1, 8, 8) / 16]), y


def three_sums():
    """A net of 24 features, of which every second four decide one output each.

    Its units are in the order of the output for which they weigh most.
    """
    X = np.random.default_rng(0).uniform(-1, 1, (1500, 24))
    sums = [X[:, i : i + 4].sum(axis=1) for i in (0, 8, 16)]
    y = np.column_stack([np.sin(2 * sums[0]), np.abs(sums[1]), np.sin(2 * sums[2])])
    net = Network([24, 12, 3], "relu", random_state=0)
    net.fit(X, y, solver="lbfgs", alpha=0.1, max_iter=300)
    sizes = np.abs(net.coefs_[1])
    order = np.lexsort((-sizes.max(axis=1), sizes.argmax(axis=1)))
    hidden, output = net.coefs_
    net.coefs_ = [hidden[:, order], output[order]]
    net.intercepts_ = [net.intercepts_[0][order], net.intercepts_[1]]
    return net


def boundary():
    X, y, net, _ = rings()
    _, ax = plt.subplots(figsize=(4.6, 4), layout="constrained")
    shades = style.diverging(plt.rcParams["axes.facecolor"])
    DecisionBoundaryDisplay.from_estimator(net, X, ax=ax, cmap=shades, alpha=0.7, eps=0.2)
    for label, color in ((0, style.ORANGE), (1, style.BLUE)):
        ax.scatter(
            *X[y == label].T, s=12, color=color, edgecolors="black", linewidths=0.4,
            label=f"class {label}",
        )  # fmt: skip
    ax.set(xlabel="$x_0$", ylabel="$x_1$")
    ax.legend(loc="upper right", framealpha=0.85)
    return ax.figure


def boundary_slice():
    iris = load_iris()
    X, y, petals = iris.data, iris.target, [2, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge for a picture
        model = MLPClassifier((16,), max_iter=300, random_state=0).fit(X, y)
    _, ax = plt.subplots(figsize=(4.6, 4), layout="constrained")
    # scikit-learn 1.6 has colours of its own
    options = {"multiclass_colors": style.CLASS_COLORS[:3]} if KINDS_HAVE_COLORS else {}
    DecisionBoundaryDisplay.from_estimator(
        FeatureSlice(model, X, petals), X[:, petals], ax=ax, alpha=0.8, eps=0.5,
        xlabel=iris.feature_names[2], ylabel=iris.feature_names[3], **options,
    )  # fmt: skip
    for kind, color in enumerate(style.CLASS_COLORS[:3]):
        ax.scatter(
            *X[np.ix_(y == kind, petals)].T, s=16, color=color, edgecolors="black",
            linewidths=0.7, label=iris.target_names[kind],
        )  # fmt: skip
    ax.legend(loc="upper left", framealpha=0.85)
    return ax.figure


def loss_curves():
    X, y = make_circles(400, factor=0.6, noise=0.15, random_state=0)
    X_val, y_val = make_circles(400, factor=0.6, noise=0.15, random_state=1)
    _, ax = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    for units, name in (([2, 16, 1], "one hidden layer"), ([2, 16, 16, 16, 1], "three")):
        net = Network(units, "relu", loss="binary_log_loss", random_state=0)
        validation = ValidationLoss(X_val, y_val, every=2)
        net.fit(X, y, learning_rate_init=0.005, max_iter=300, callback=validation)
        LossCurveDisplay.from_network(net, name=name, validation=validation, ax=ax)
    return ax.figure


def early_stopping():
    _, ax = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    return LossCurveDisplay.from_estimator(digits(), name="digits", ax=ax).figure_


def network():
    return NetworkDisplay.from_network(rings()[2], feature_names=["$x_0$", "$x_1$"]).figure_


def heat_maps():
    return NetworkDisplay.from_network(three_sums(), kind="heatmap").figure_


def hidden_units():
    X, _, net, _ = rings()
    return HiddenUnitsDisplay.from_network(net, X, layer=1).figure_


def pixels():
    X, y = images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge for a picture
        # coefs of gradient descent are sums of images, once the penalty took their start away
        model = MLPClassifier(
            (18,), "tanh", solver="sgd", learning_rate_init=0.05, alpha=1, random_state=0
        ).fit(X.reshape(len(X), -1), y)  # fmt: skip
    return HiddenUnitsDisplay.from_estimator(model, image_shape=(16, 16)).figure_


def activations():
    names = [row.name for row in ACTIVATIONS if row.hidden and row.name != "identity"]
    n_rows = -(-len(names) // 3)
    figure, axes = plt.subplots(
        n_rows, 3, figsize=(9, 2.9 * n_rows), layout="constrained", squeeze=False
    )
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for name, ax in zip(names, axes.flat, strict=False):
        ActivationDisplay.from_names(name, ax=ax)
    return figure


def regression():
    """The last frame of a training on one feature."""
    x = np.linspace(-3, 3, 150)[:, None]
    y = np.sin(2 * x) * x + 0.2 * np.random.RandomState(0).standard_normal(x.shape)
    net = Network([1, 32, 32, 1], "tanh", random_state=0)
    net.fit(x, y, learning_rate_init=0.01, max_iter=500)
    picture = TrainingPicture(net, x, y)
    picture.update(net)
    return picture.figure


def schedules():
    """Each schedule of the catalog in a panel of its own, as several share their way."""
    names = [row.name for row in SCHEDULES]
    n_columns = 4
    n_rows = -(-len(names) // n_columns)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=(9, 2.1 * n_rows), layout="constrained", sharex=True,
        sharey=True, squeeze=False,
    )  # fmt: skip
    steps = np.arange(1000)
    for name, ax in zip(names, axes.flat, strict=False):
        ax.plot(steps / 1000, BY_NAME[name].of_steps(steps, 1000), color=style.BLUE)
        ax.set_title(name, fontsize="medium")
        ax.grid(True, alpha=0.25)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for ax in axes.flat[len(names) - n_columns : len(names)]:  # the lowest of each column
        ax.xaxis.set_tick_params(labelbottom=True)
    figure.supxlabel("share of the training done", fontsize="medium")
    figure.supylabel("factor of learning_rate_init", fontsize="medium")
    return figure


def learning_rate():
    """The range test on digits."""
    X, y = load_digits(return_X_y=True)
    found = find_learning_rate(MLPClassifier((64,), batch_size=64, random_state=0), X / 16, y)
    _, ax = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    return found.plot(ax, color=style.BLUE).figure_


def prediction_intervals():
    """Three quantiles of a sine whose noise grows to both sides, and the true ones."""

    def sine(n, seed):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-3, 3, (n, 1))
        return x, np.sin(2 * x[:, 0]) + noise(x[:, 0]) * rng.standard_normal(n)

    def noise(x):
        return 0.1 + 0.15 * np.abs(x)

    X, y = sine(600, 0)
    X_val, y_val = sine(200, 1)
    net = Network([1, 16, 16, 3], "silu", loss="quantile", quantile=[0.05, 0.5, 0.95],
                  random_state=0)  # fmt: skip
    net.fit(X, y, learning_rate_init=0.01, batch_size=32, max_iter=500, X_val=X_val, y_val=y_val,
            n_iter_no_change=30)  # fmt: skip
    x = np.linspace(-3, 3, 301)
    low, median, high = net.predict(x[:, None]).T
    _, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
    ax.fill_between(x, low, high, color=style.BLUE, alpha=0.35, linewidth=0, label="5% to 95%")
    X_new, y_new = sine(300, 2)
    ax.scatter(X_new[:, 0], y_new, s=9, color=style.ORANGE, linewidths=0, label="new data")
    ax.plot(x, median, color=style.BLUE, label="median")
    for side in (-1.645, 1.645):
        ax.plot(
            x, np.sin(2 * x) + side * noise(x), color=style.text_color(), linestyle=":",
            linewidth=1, label="true 5% and 95%" if side > 0 else None,
        )  # fmt: skip
    ax.set(xlabel="$x$", ylabel="$y$", xlim=(-3, 3))
    ax.grid(True, alpha=0.25)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)
    return ax.figure


def imbalance():
    """The boundary around a rare class, without weights and with them."""
    X, y = make_blobs([950, 50], centers=[[0, 0], [2, 2]], cluster_std=[1.2, 0.8], random_state=0)
    figure, axes = plt.subplots(
        1, 2, figsize=(8.6, 4), layout="constrained", sharex=True, sharey=True
    )
    shades = style.diverging(plt.rcParams["axes.facecolor"])
    for class_weight, ax in zip((None, "balanced"), axes, strict=True):
        model = MLPClassifier(
            (16,), learning_rate_init=0.01, class_weight=class_weight, random_state=0
        ).fit(X, y)  # fmt: skip
        DecisionBoundaryDisplay.from_estimator(
            model, X, response_method="predict_proba", ax=ax, cmap=shades, alpha=0.7, eps=0.2
        )
        rare = model.predict(X[y == 1]).mean()
        for label, color, what in ((0, style.ORANGE, "common"), (1, style.BLUE, "rare")):
            ax.scatter(
                *X[y == label].T, s=10, color=color, edgecolors="black", linewidths=0.3,
                label=what,
            )  # fmt: skip
        ax.set_title(
            f"class_weight={class_weight!r}: finds {rare:.0%} of the rare", fontsize="medium"
        )
        ax.set(xlabel="$x_0$", ylabel="$x_1$" if ax is axes[0] else None)
    axes[0].legend(loc="lower right", framealpha=0.85)
    return figure


def learning(path):
    animate(rings()[3], path)


def scaling(path):
    sys.path.insert(0, str(ROOT / "bench"))
    from sweeps import draw

    draw(json.loads((ROOT / "bench" / "results" / "sweeps.json").read_text()), path)


FIGURES = [
    boundary, boundary_slice, loss_curves, early_stopping, network, heat_maps, hidden_units,
    pixels, activations, regression, schedules, learning_rate, prediction_intervals, imbalance,
]  # fmt: skip


def name_of(drawing):
    return drawing.__name__.replace("_", "-")


def pictures():
    """The names of all files that it draws."""
    stems = [name_of(drawing) for drawing in [*FIGURES, scaling]]
    names = [f"{stem}.png" for stem in stems] + ["learning.gif"]
    return names + [name.replace(".", "-dark.") for name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder (docs/)")
    folder = parser.parse_args().output
    folder.mkdir(exist_ok=True)
    matplotlib.use("agg")
    for look, suffix in (("default", ""), ("dark_background", "-dark")):
        with plt.style.context([look, {"axes.prop_cycle": plt.cycler(color=style.COLORS)}]):
            for drawing in FIGURES:
                figure = drawing()
                path = folder / f"{name_of(drawing)}{suffix}.png"
                figure.savefig(path, dpi=110, metadata={"Software": None})
                plt.close("all")
            learning(folder / f"learning{suffix}.gif")
            scaling(folder / f"scaling{suffix}.png")
            plt.close("all")


if __name__ == "__main__":
    main()
