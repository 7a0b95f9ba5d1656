"""The pictures; the one room that imports matplotlib.

Figures are built without pyplot, so nothing about the caller's backend or open figures changes.
"""

import numpy as np

BLUE, ORANGE = "#2166ac", "#e08214"


def training_picture(path, predict, X, y, loss_curve, title=""):
    """Draw a two-class problem in the plane, what a network makes of it, and how it learnt.

    Parameters
    ----------
    path : str or Path
        Where to write the picture; the suffix says which format.
    predict : callable
        From points (m, 2) to probabilities (m,) or (m, 1) of class 1.
    X : ndarray, (n, 2)
    y : ndarray, (n,) or (n, 1)
        0 or 1 each.
    loss_curve : sequence of float
        The mean loss at each step.
    title : str

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        If the suffix of path is no format that matplotlib writes.
    OSError
        If path cannot be written.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    y = np.ravel(y)
    figure = Figure(figsize=(11, 5), dpi=130, layout="constrained")
    field, curve = figure.subplots(1, 2, width_ratios=[1.15, 1])
    figure.suptitle(title, fontsize=12)

    margin = 0.15 * np.ptp(X, axis=0).max()
    low, high = X.min(axis=0) - margin, X.max(axis=0) + margin
    x0, x1 = (np.linspace(low[i], high[i], 400) for i in range(2))
    points = np.column_stack([a.ravel() for a in np.meshgrid(x0, x1)])
    p = np.asarray(predict(points), np.float64).reshape(len(x1), len(x0))
    colors = LinearSegmentedColormap.from_list("classes", [ORANGE, "#f7f7f7", BLUE])
    image = field.imshow(
        p, origin="lower", extent=(low[0], high[0], low[1], high[1]), cmap=colors, vmin=0, vmax=1,
        alpha=0.75, interpolation="bilinear",
    )  # fmt: skip
    if p.min() < 0.5 < p.max():
        field.contour(x0, x1, p, levels=[0.5], colors="black", linewidths=1.2)
    for label, color in ((0, ORANGE), (1, BLUE)):
        field.scatter(
            *X[y == label].T, s=16, color=color, edgecolors="white", linewidths=0.5,
            label=f"class {label}",
        )  # fmt: skip
    field.set(xlabel="$x_0$", ylabel="$x_1$", title="Data and what the network predicts")
    field.legend(loc="upper right", framealpha=0.9)
    figure.colorbar(image, ax=field, label="predicted probability of class 1", shrink=0.9)

    curve.plot(np.arange(1, len(loss_curve) + 1), loss_curve, color=BLUE, linewidth=1.6)
    curve.set(xlabel="step", ylabel="mean loss", title="Loss", yscale="log")
    curve.margins(x=0.02)
    curve.grid(True, which="both", alpha=0.25)
    figure.savefig(path)
