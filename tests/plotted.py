"""Data and networks for the tests of pictures."""

import warnings

from sklearn.datasets import load_iris, make_circles

from fastnn import MLPClassifier, Network

X, y = make_circles(120, factor=0.5, noise=0.05, random_state=0)
IRIS, KIND = load_iris(return_X_y=True)


def circles_net(units=(2, 5, 3, 1), **options):
    options = {"activation": "tanh", "loss": "binary_log_loss", "random_state": 0, **options}
    return Network(units, **options)


def fitted_net():
    return circles_net().fit(X, y, learning_rate_init=0.01, max_iter=30)


def fitted_iris():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MLPClassifier((6,), random_state=0, max_iter=20).fit(IRIS, KIND)


def drawn(display):
    """Draw it whole, which must not warn, as warnings are errors here."""
    display.figure_.canvas.draw()
    assert display.ax_.figure is display.figure_
    return display
