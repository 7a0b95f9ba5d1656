"""The words in pictures, in English and in the language of the tutorial, Spanish."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fastnn.data import checks

Language: TypeAlias = Literal["en", "es"]

# English -> Spanish; {} stands for a name or a number
SPANISH = {
    "activation ({})": "activación ({})",
    "class {}": "clase {}",
    "coef": "peso",
    "coef (edges)": "peso (aristas)",
    "coef of the pixel": "peso del píxel",
    "data and prediction": "datos y predicción",
    "epoch": "época",
    "epoch {}, loss {}": "época {}, pérdida {}",
    "epoch {}, loss unknown yet": "época {}, pérdida aún desconocida",
    "done: {}": "fin: {}",
    "feature": "característica",
    "input": "entrada",
    "intercept (units)": "sesgo (neuronas)",
    "learning rate": "tasa de aprendizaje",
    "mean loss": "pérdida media",
    "output {}": "salida {}",
    "prediction": "predicción",
    "smoothed loss": "pérdida suavizada",
    "steepest: {}": "mayor pendiente: {}",
    "stopped: {}": "detenido: {}",
    "training": "entrenamiento",
    "unit {}": "neurona {}",
    "validation": "validación",
    "validation score": "puntuación de validación",
    "valley: {}": "valle: {}",
    "y, and prediction": "y, y predicción",
    "{} unit": "neurona {}",
    "{}, derivative": "{}, derivada",
    "{}, validation": "{}, validación",
    "{}, validation score": "{}, puntuación de validación",
}

_language: Language = "en"


def set_language(language: Language) -> None:
    """Choose the language of axes, titles and legends for pictures drawn from now on.

    Numbers and the names of activations, losses and solvers stay as they are.

    Parameters
    ----------
    language : {"en", "es"}
        English, the default, or Spanish.

    Raises
    ------
    ValueError
        For another one.

    Examples
    --------
    >>> from fastnn.plotting import ActivationDisplay, set_language
    >>> set_language("es")
    >>> display = ActivationDisplay.from_names("sigmoid")
    >>> display.derivative_lines_[0].get_label()
    'sigmoid, derivada'
    >>> set_language("en")
    """
    global _language
    _language = checks.choice("language", language, {"en": "en", "es": "es"})


def say(text: str, *values: object) -> str:
    """A text of a picture in the language chosen, with values in place of each {}."""
    return (SPANISH[text] if _language == "es" else text).format(*values)
