"""Pictures of a training: data with prediction beside the loss; live, animated or at the end.

predictions.py draws the data with what a network makes of it, picture.py adds the loss and draws
frames, live.py shows them while a network trains, animation.py writes them to a GIF or to the page
in page.py. Figures are built without pyplot, except LivePlot's window, so the caller's backend and
open figures stay as they are.
"""

from fastnn.plotting.training.animation import ANIMATIONS, animate
from fastnn.plotting.training.live import LivePlot, check_window
from fastnn.plotting.training.picture import PICTURES, TrainingPicture, training_picture

__all__ = [
    "ANIMATIONS",
    "PICTURES",
    "LivePlot",
    "TrainingPicture",
    "animate",
    "check_window",
    "training_picture",
]
