"""What all pictures share: words in two languages, and logarithmic axes that can be read."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from plotted import X, circles_net, fitted_iris, fitted_net, y

from fastnn import plotting
from fastnn.plotting import style, words
from fastnn.plotting.training.picture import TrainingPicture

pytestmark = pytest.mark.usefixtures("without_windows")
ROOM = Path(plotting.__file__).parent


@pytest.fixture
def spanish():
    plotting.set_language("es")
    yield
    plotting.set_language("en")


def texts(figure):
    """All words of a figure."""
    found = [text.get_text() for ax in figure.axes for text in ax.texts]
    for ax in figure.axes:
        found += [ax.get_title(), ax.get_xlabel(), ax.get_ylabel()]
        found += [text.get_text() for text in (ax.get_legend() or pyplot.Text()).get_texts()] if (
            ax.get_legend()
        ) else []  # fmt: skip
    return {text for text in found if text}


def test_every_word_that_is_drawn_has_a_translation():
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOM.rglob("*.py"))
    calls = re.findall(r"""say\(\s*["']([^"']+)["'](?: if \w+ else ["']([^"']+)["'])?""", sources)
    said = {text for pair in calls for text in pair if text}
    # those that are chosen elsewhere and handed on
    handed = {text for text in words.SPANISH if f'"{text}"' in sources}
    assert said <= set(words.SPANISH)
    assert handed == set(words.SPANISH)
    for english, translated in words.SPANISH.items():
        assert english.count("{}") == translated.count("{}")


def test_displays_in_spanish(spanish):
    net, iris = fitted_net(), fitted_iris()
    loss = plotting.LossCurveDisplay.from_network(net, validation=([1, 30], [0.5, 0.4]), name="a")
    assert texts(loss.figure_) == {"época", "pérdida media", "a", "a, validación"}
    graph = plotting.NetworkDisplay.from_network(net)
    assert texts(graph.figure_) == {
        "entrada\n2", "tanh\n5", "tanh\n3", "sigmoid\n1", "peso (aristas)", "sesgo (neuronas)"
    }  # fmt: skip
    maps = plotting.NetworkDisplay.from_network(net, kind="heatmap")
    assert {"neurona tanh", "característica", "peso"} <= texts(maps.figure_)
    units = plotting.HiddenUnitsDisplay.from_network(net, X, layer=1)
    assert {"neurona 2", "activación (tanh)"} <= texts(units.figure_)
    pixels = plotting.HiddenUnitsDisplay.from_estimator(iris, image_shape=(2, 2))
    assert "peso del píxel" in texts(pixels.figure_)
    picture = TrainingPicture(net, X, y[:, None])
    picture.update(net, state="done: {}")
    assert {"datos y predicción", "clase 0", "clase 1", "predicción"} <= texts(picture.figure)
    assert f"fin: época 30, pérdida {net.loss_:.4f}" in texts(picture.figure)
    picture.update(circles_net())
    assert "época 0, pérdida aún desconocida" in texts(picture.figure)


def test_another_language_is_refused():
    with pytest.raises(ValueError, match="language must be"):
        plotting.set_language("fr")
    assert words.say("epoch") == "epoch"


@pytest.mark.parametrize("which", ["x", "y"])
@pytest.mark.parametrize(
    ("low", "high"),
    [(0.2, 0.9), (0.15, 0.7), (0.3, 3), (0.02, 0.7), (1e-3, 0.8), (1e-7, 1), (1e-12, 10), (4, 2e3),
     (100, 1e6), (0.69, 0.6931)],
)  # fmt: skip
def test_ticks_of_a_logarithmic_axis_do_not_touch(which, low, high):
    figure, ax = pyplot.subplots(figsize=(2.4, 2.2), layout="constrained")
    ax.plot(*((low, high), (0, 1))[:: 1 if which == "x" else -1])
    style.log_axis(ax, which)
    figure.canvas.draw()
    axis = getattr(ax, f"{which}axis")
    lowest, highest = axis.get_view_interval()
    shown = [label for label in axis.get_ticklabels(which="both") if label.get_text()]
    shown = [label for label in shown
             if lowest <= label.get_position()[which == "y"] <= highest]  # fmt: skip
    assert 2 <= len(shown) <= 7
    boxes = np.array([label.get_window_extent().get_points() for label in shown])
    side = int(which == "y")
    order = boxes[:, 0, side].argsort()
    ends, starts = boxes[order[:-1], 1, side], boxes[order[1:], 0, side]
    assert (starts > ends).all(), [label.get_text() for label in shown]


def test_the_palette_of_lines_is_that_of_classes():
    assert sorted(style.COLORS) == sorted(style.CLASS_COLORS)
    assert style.COLORS[:2] == [style.BLUE, style.ORANGE]
