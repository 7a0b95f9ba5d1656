"""Displays of networks in scikit-learn's manner: `from_estimator`, `plot(ax=)`, `ax_`, `figure_`.

Each takes a `fastnn.Network` or an MLPClassifier or MLPRegressor, fastnn's or scikit-learn's;
`from_network` and `from_estimator` are the same function. A display holds what it draws, so that
`plot` can draw it again.
"""

import math

import numpy as np

from fastnn import reference
from fastnn.catalog.activations import SPELLINGS as ACTIVATIONS
from fastnn.data import checks
from fastnn.network import Network
from fastnn.plotting import style
from fastnn.plotting.boundary import Plane

# A graph is drawn for up to so many units, in all and in one layer, with its strongest edges.
MAX_GRAPH_UNITS, MAX_GRAPH_LAYER, MAX_EDGES = 300, 100, 4000


def check_fitted(model):
    """That model is one that displays draw, and is fitted.

    Raises
    ------
    TypeError
        For another object.
    sklearn.exceptions.NotFittedError
        For a network without training and parameters of its own.
    """
    if not isinstance(model, Network) and not hasattr(model, "hidden_layer_sizes"):
        hint = "; of a pipeline give the last step" if hasattr(model, "steps") else ""
        raise TypeError(
            "model must be a fastnn.Network or an MLPClassifier or MLPRegressor, got "
            f"{checks.shown(model)}{hint}"
        )
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model)


def network_of(model):
    """A fitted model as a Network: itself, or one with copies of its parameters."""
    check_fitted(model)
    if isinstance(model, Network):
        return model
    units = [len(model.coefs_[0]), *(len(intercept) for intercept in model.intercepts_)]
    names = [model.activation] * (len(units) - 2) + [model.out_activation_]
    net = Network(units, names, dtype=np.result_type(*model.coefs_), random_state=0)
    net.coefs_, net.intercepts_ = model.coefs_, model.intercepts_
    return net


def _layer_captions(net):
    yield f"input\n{net.layer_units[0]}"
    for name, n in zip(net.activations, net.layer_units[1:], strict=True):
        yield f"{name}\n{n}"


def _largest(arrays):
    """The largest magnitude in arrays; 1 where all is 0."""
    return max(float(np.abs(a).max()) for a in arrays) or 1.0


class LossCurveDisplay:
    """How the loss fell.

    Parameters
    ----------
    loss_curve : array-like of float, (n_epochs,)
        The mean loss of each epoch.
    validation : pair of array-like, optional
        After how many epochs something else was looked at, and what it was.
    validation_kind : {"loss", "score"}
        A score has an axis of its own, on the right.
    name : str, optional

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
    validation_line_ : matplotlib Line2D or None
    validation_ax_ : matplotlib Axes or None
        What the validation line is on.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.plotting import LossCurveDisplay
    >>> X, y = [[0.0], [0.5], [1.0]], [0, 1, 0]
    >>> models = {name: Network([1, 8, 1], name, random_state=0) for name in ("tanh", "relu")}
    >>> ax = None
    >>> for name, net in models.items():
    ...     display = LossCurveDisplay.from_network(net.fit(X, y), name=name, ax=ax)
    ...     ax = display.ax_
    """

    def __init__(self, *, loss_curve, validation=None, validation_kind="loss", name=None):
        self.loss_curve, self.validation = np.asarray(loss_curve, np.float64), validation
        self.validation_kind = checks.choice(
            "validation_kind", validation_kind, {"loss": "loss", "score": "score"}
        )
        self.name = name

    @classmethod
    def from_estimator(
        cls, model, *, validation=None, name=None, ax=None, log_scale=True, **kwargs
    ):
        """Draw the loss curve of a fitted network or estimator.

        Parameters
        ----------
        model : Network, MLPClassifier or MLPRegressor
            An estimator with early_stopping has its validation scores drawn, too.
        validation : fastnn.callbacks.ValidationLoss or pair of array-like, optional
            What followed the fit; or epochs and losses.
        name : str, optional
            For the legend; by default the name of the class.
        ax : matplotlib Axes, optional
            Such as that of another display, to compare.
        log_scale : bool
            Whether the axis of the loss is logarithmic, if there is a loss above 0.
        **kwargs
            For matplotlib's ``plot``.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before a fit.
        ValueError
            Where there is no curve: L-BFGS keeps none, nor have parameters that were assigned one.
        ImportError
            Without matplotlib.
        """
        check_fitted(model)
        curve = getattr(model, "loss_curve_", None)
        if not curve:
            raise ValueError(
                "the model has no loss curve: solver='lbfgs' keeps none"
                if getattr(model, "solver", None) == "lbfgs"
                else "the model has no loss curve: its parameters were assigned"
            )
        kind = "loss"
        if validation is not None:
            if hasattr(validation, "losses_"):
                validation = validation.epochs_, validation.losses_
        elif getattr(model, "validation_scores_", None) is not None:
            scores, kind = model.validation_scores_, "score"
            validation = np.arange(1, len(scores) + 1), scores
        name = type(model).__name__ if name is None else name
        display = cls(loss_curve=curve, validation=validation, validation_kind=kind, name=name)
        return display.plot(ax=ax, log_scale=log_scale, **kwargs)

    from_network = from_estimator

    def plot(self, ax=None, *, log_scale=True, **kwargs):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: those of a new figure.
        log_scale : bool
        **kwargs
            For matplotlib's ``plot``.

        Returns
        -------
        LossCurveDisplay
            Itself.
        """
        ax = style.new_axes(ax)
        label = kwargs.pop("label", "training" if self.name is None else self.name)
        (self.line_,) = ax.plot(
            np.arange(1, len(self.loss_curve) + 1), self.loss_curve, label=label, **kwargs
        )
        self.validation_line_ = self.validation_ax_ = None
        if self.validation is not None:
            self._plot_validation(ax, label)
        log_scale = log_scale and (self.loss_curve > 0).any()
        ax.set(xlabel="epoch", ylabel="mean loss", yscale="log" if log_scale else "linear")
        ax.margins(x=0.02)
        ax.grid(True, alpha=0.25)
        self._legend(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _plot_validation(self, ax, label):
        epochs, values = self.validation
        where, what = ax, "validation"
        if self.validation_kind == "score":
            what = "validation score"
            # one axis of scores for all that is overlaid
            where = next((a for a in ax.figure.axes if getattr(a, "_fastnn_of", 0) is ax), None)
            if where is None:
                where = ax.twinx()
                where._fastnn_of = ax
                where.set_ylabel(what)
        (self.validation_line_,) = where.plot(
            epochs, values, color=self.line_.get_color(), linestyle="--", label=f"{label}, {what}"
        )
        self.validation_ax_ = where

    @staticmethod
    def _legend(ax):
        twins = [a for a in ax.figure.axes if getattr(a, "_fastnn_of", 0) is ax]
        lines = [line for a in (ax, *twins) for line in a.get_lines()]
        lines = [line for line in lines if not line.get_label().startswith("_")]
        if twins:  # matplotlib looks for room among the lines of one of them only
            if ax.get_legend():
                ax.get_legend().remove()
            place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 2}
            twins[-1].legend(handles=lines, frameon=False, **place)
        else:
            ax.legend(handles=lines, framealpha=0.8)


class NetworkDisplay:
    """What a network is made of: its units and coefs as a graph, or its coefs as heat maps.

    Edges are orange where the coef is negative and blue where it is positive; width and opacity
    follow its size. Units are coloured by their intercepts.

    Parameters
    ----------
    coefs : list of ndarray, (fan_in, fan_out)
    intercepts : list of ndarray, (fan_out,)
    captions : list of str
        One for each layer, the input first.
    feature_names, output_names : list of str, optional

    Attributes
    ----------
    ax_ : matplotlib Axes
        The graph's, or what the heat maps share.
    axes_ : ndarray of matplotlib Axes
        One for each heat map; for a graph ax_ alone.
    figure_ : matplotlib Figure
    edges_ : matplotlib LineCollection or None
    units_ : list of matplotlib PathCollection
        The units of each layer; empty for heat maps.
    images_ : list of matplotlib AxesImage
        The heat maps; empty for a graph.
    """

    def __init__(self, *, coefs, intercepts, captions, feature_names=None, output_names=None):
        self.coefs, self.intercepts, self.captions = list(coefs), list(intercepts), list(captions)
        self.feature_names, self.output_names = feature_names, output_names
        for names, n, name in (
            (feature_names, len(self.coefs[0]), "feature_names"),
            (output_names, len(self.intercepts[-1]), "output_names"),
        ):
            if names is not None and len(names) != n:
                raise ValueError(f"{name} must hold {n} names, got {len(names)}")

    @classmethod
    def from_estimator(
        cls, model, *, kind="auto", feature_names=None, output_names=None, ax=None, colorbar=True
    ):
        """Draw a fitted network or estimator.

        Parameters
        ----------
        model : Network, MLPClassifier or MLPRegressor
        kind : {"auto", "graph", "heatmap"}
            "auto" is a graph for up to 300 units, of which a layer has at most 100.
        feature_names, output_names : list of str, optional
            By default those that an estimator was fitted with.
        ax : matplotlib Axes, optional
            For heat maps from ``subplots`` or another grid, of which they take the place.
        colorbar : bool
            Whether to draw what colours mean.

        Returns
        -------
        NetworkDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before a fit.
        ImportError
            Without matplotlib.
        """
        net = network_of(model)
        if feature_names is None:
            feature_names = getattr(model, "feature_names_in_", None)
        if output_names is None and net is not model:
            classes = getattr(model, "classes_", ())
            if len(classes) == net.layer_units[-1]:
                output_names = [str(label) for label in classes]
        display = cls(
            coefs=[coef.copy() for coef in net.coefs_],
            intercepts=[intercept.copy() for intercept in net.intercepts_],
            captions=_layer_captions(net), feature_names=feature_names, output_names=output_names,
        )  # fmt: skip
        return display.plot(ax=ax, kind=kind, colorbar=colorbar)

    from_network = from_estimator

    def plot(self, ax=None, *, kind="auto", colorbar=True):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: those of a new figure.
        kind : {"auto", "graph", "heatmap"}
        colorbar : bool

        Returns
        -------
        NetworkDisplay
            Itself.
        """
        kind = checks.choice("kind", kind, {k: k for k in ("auto", "graph", "heatmap")})
        units = [len(self.coefs[0]), *map(len, self.intercepts)]
        if kind == "auto":
            small = sum(units) <= MAX_GRAPH_UNITS and max(units) <= MAX_GRAPH_LAYER
            kind = "graph" if small else "heatmap"
        width, height = {"graph": (2.0, 5.0), "heatmap": (3.2, 3.8)}[kind]
        width = max(5.5, width * len(self.coefs) + 1.5)
        ax = style.new_axes(ax, figsize=(width, height))
        self.edges_, self.units_, self.images_ = None, [], []
        self.ax_, self.figure_ = ax, ax.figure
        (self._plot_graph if kind == "graph" else self._plot_heat_maps)(ax, units, colorbar)
        return self

    def _plot_graph(self, ax, units, colorbar):
        from matplotlib.collections import LineCollection

        background, foreground = style.axes_background(ax), style.text_color()
        places = []  # of each layer's units
        for i, n in enumerate(units):
            spread = np.linspace(0.5, -0.5, n) if n > 1 else np.zeros(1)
            places.append(np.column_stack([np.full(n, float(i)), spread]))
        largest = _largest(self.coefs)
        lines, sizes = [], []
        for a, b, coef in zip(places[:-1], places[1:], self.coefs, strict=True):
            rows, columns = np.divmod(np.arange(coef.size), coef.shape[1])
            lines.append(np.stack([a[rows], b[columns]], axis=1))
            sizes.append(coef.ravel())
        lines, sizes = np.concatenate(lines), np.concatenate(sizes) / largest
        order = np.argsort(np.abs(sizes), kind="stable")[-MAX_EDGES:]  # the strongest come last
        lines, sizes = lines[order], sizes[order]
        crowded = min(1.0, math.sqrt(150 / len(sizes)))
        strength = np.abs(sizes)
        colors = style.diverging(background)(0.5 + 0.5 * np.sign(sizes))
        colors[:, 3] = 0.06 + 0.94 * strength
        self.edges_ = LineCollection(
            lines, colors=colors, linewidths=0.2 + (0.6 + 2.6 * crowded) * strength, zorder=1,
            capstyle="round",
        )  # fmt: skip
        ax.add_collection(self.edges_)
        biggest = _largest(self.intercepts)
        colormap = style.diverging(background)
        area = float(np.clip(4500 / max(units), 12, 260))
        for i, place in enumerate(places):
            shades = np.zeros(len(place)) if i == 0 else self.intercepts[i - 1]
            drawn = ax.scatter(
                *place.T, s=area, c=shades, cmap=colormap, vmin=-biggest, vmax=biggest,
                edgecolors=foreground, linewidths=min(1.0, area / 60), zorder=2,
            )  # fmt: skip
            self.units_.append(drawn)
        for i, caption in enumerate(self.captions):
            ax.annotate(
                caption, (i, -0.5), xytext=(0, -18), textcoords="offset points", ha="center",
                va="top", linespacing=1.3,
            )  # fmt: skip
        self._name_units(ax, places, area)
        ax.set_xlim(-0.35, len(units) - 0.65)
        ax.set_ylim(-0.56, 0.56)
        ax.set_axis_off()
        if colorbar:
            self._colorbar(ax, largest, "coef", "neither")
        self.axes_ = np.array([ax])

    def _name_units(self, ax, places, area):
        far = math.sqrt(area) / 2 + 4
        for names, place, side in (
            (self.feature_names, places[0], -1),
            (self.output_names, places[-1], 1),
        ):
            if names is None or len(names) > 40:
                continue
            for name, where in zip(names, place, strict=True):
                ax.annotate(
                    str(name), where, xytext=(side * far, 0), textcoords="offset points",
                    ha="right" if side < 0 else "left", va="center",
                    fontsize="small" if len(names) <= 20 else "xx-small",
                )  # fmt: skip

    def _plot_heat_maps(self, ax, units, colorbar):
        self.axes_ = _sub_axes(ax, 1, len(self.coefs))[0]
        # a few outliers do not make the rest pale
        largest = max(float(np.quantile(np.abs(c), 0.995)) for c in self.coefs) or 1.0
        for i, (coef, where) in enumerate(zip(self.coefs, self.axes_, strict=True)):
            colormap = style.diverging(style.axes_background(where))
            image = where.imshow(
                coef, cmap=colormap, vmin=-largest, vmax=largest, aspect="auto",
                interpolation="nearest",
            )  # fmt: skip
            self.images_.append(image)
            before, after = (self.captions[j].split("\n")[0] for j in (i, i + 1))
            where.set_title(f"{units[i]} x {units[i + 1]}", fontsize="medium")
            where.set(xlabel=f"{after} unit", ylabel="feature" if i == 0 else f"{before} unit")
            for axis in (where.xaxis, where.yaxis):
                axis.get_major_locator().set_params(integer=True, nbins=4)
        if colorbar:
            self._colorbar(list(self.axes_), largest, "coef", "both")

    def _colorbar(self, ax, largest, label, extend):
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        scale = ScalarMappable(
            Normalize(-largest, largest), style.diverging(style.axes_background(self.ax_))
        )
        self.figure_.colorbar(scale, ax=ax, label=label, extend=extend, shrink=0.85, pad=0.02)


def _sub_axes(ax, n_rows, n_columns, **options):
    """Axes in the place of ax, which keeps its place and draws nothing."""
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError("ax must be of a grid of subplots, as those of figure.subplots are")
    ax.set_axis_off()
    grid = spec.subgridspec(n_rows, n_columns, **options)
    return np.array(
        [[ax.figure.add_subplot(grid[i, j]) for j in range(n_columns)] for i in range(n_rows)]
    )


class HiddenUnitsDisplay:
    """What each unit of a layer responds to: its activation over a plane, or its coefs as image.

    Parameters
    ----------
    images : ndarray, (n_units, height, width)
        What is drawn of each unit, row after row from the bottom (planes) or the top (images).
    units : sequence of int
        The number of each unit in its layer.
    scale : pair of float
        The values that have the first and the last colour.
    extent : tuple of float, optional
        Left, right, bottom, top of a plane; None for images.
    labels : pair of str, optional
        What the plane's axes are called.
    value : str
        What the colours are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What the units' axes share.
    axes_ : ndarray of matplotlib Axes, (n_rows, n_columns)
        One for each unit; those left over are switched off.
    figure_ : matplotlib Figure
    images_ : list of matplotlib AxesImage
    """

    def __init__(self, *, images, units, scale, extent=None, labels=("", ""), value="activation"):
        self.images, self.units, self.scale = np.asarray(images), list(units), scale
        self.extent, self.labels, self.value = extent, labels, value

    @classmethod
    def from_estimator(
        cls, model, X=None, *, layer=0, units=None, features=None, image_shape=None,
        grid_resolution=100, ax=None, colorbar=True,
    ):  # fmt: skip
        """Draw the units of a layer of a fitted network or estimator.

        Parameters
        ----------
        model : Network, MLPClassifier or MLPRegressor
        X : array-like, (n, n_features)
            Where the plane is, and the means of the features that do not vary; not needed with
            image_shape.
        layer : int
            0 is the first after the input, -1 the output.
        units : sequence of int, optional
            Which; by default all, or the first 64.
        features : pair of int, optional
            The two features that vary; needed where there are others.
        image_shape : (height, width), optional
            For features that are an image's pixels: draws the coefs from each pixel to the unit,
            for layer 0.
        grid_resolution : int
            Points of the plane in each direction.
        ax : matplotlib Axes, optional
            From ``subplots`` or another grid; the units' axes take its place.
        colorbar : bool
            Whether to draw what colours mean.

        Returns
        -------
        HiddenUnitsDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before a fit.
        TypeError, ValueError
            For bad input; for a net of other than two features where `features` is missing.
        ImportError
            Without matplotlib.
        """
        net = network_of(model)
        n_layers = len(net.layer_units) - 1
        layer = checks.whole_number("layer", layer, -n_layers, n_layers - 1) % n_layers
        n = net.layer_units[layer + 1]
        if units is not None and not hasattr(units, "__iter__"):
            raise TypeError(f"units must be a sequence of whole numbers, got {units!r}")
        units = list(range(min(n, 64)) if units is None else units)
        if not units:
            raise ValueError("units must hold at least one unit")
        units = [checks.whole_number("units", unit, 0, n - 1) for unit in units]
        if image_shape is None:
            made = cls._over_plane(net, X, layer, units, features, grid_resolution)
        else:
            made = cls._of_pixels(net, layer, units, image_shape)
        return cls(units=units, **made).plot(ax=ax, colorbar=colorbar)

    from_network = from_estimator

    @staticmethod
    def _over_plane(net, X, layer, units, features, resolution):
        if X is None:
            raise ValueError("X says where the plane is; it is needed without image_shape")
        names = getattr(X, "columns", None)
        x = checks.matrix("X", np.asarray(X), net.dtype, net.layer_units[0], "feature")
        resolution = checks.whole_number("grid_resolution", resolution, 2)
        plane = Plane(net.layer_units[0], x, features, resolution)
        field = plane.field(net.forward(plane.points)[layer])
        images = np.moveaxis(field, -1, 0)[units]
        scale = {"sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1)}.get(net.activations[layer])
        if scale is None:
            size = _largest([images])
            scale = (-size if images.min() < 0 else 0.0, size)
        return {
            "images": images, "scale": scale, "extent": plane.extent,
            "labels": [plane.label(i, names) for i in range(2)],
            "value": f"activation ({net.activations[layer]})",
        }  # fmt: skip

    @staticmethod
    def _of_pixels(net, layer, units, image_shape):
        if layer != 0:
            raise ValueError(
                f"image_shape is for layer 0, whose coefs belong to pixels; got layer {layer}"
            )
        n_features = net.layer_units[0]
        if not hasattr(image_shape, "__iter__"):
            raise TypeError(f"image_shape must be (height, width), got {image_shape!r}")
        shape = tuple(checks.whole_number("image_shape", side) for side in image_shape)
        if len(shape) != 2 or math.prod(shape) != n_features:
            raise ValueError(
                f"image_shape must be (height, width) of {n_features} pixels, got {shape}"
            )
        images = net.coefs_[0].T[units].reshape(-1, *shape)
        size = float(np.quantile(np.abs(images), 0.995)) or 1.0
        return {"images": images, "scale": (-size, size), "value": "coef of the pixel"}

    def plot(self, ax=None, *, colorbar=True):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: those of a new figure.
        colorbar : bool

        Returns
        -------
        HiddenUnitsDisplay
            Itself.
        """
        n = len(self.units)
        n_columns = min(n, max(4, math.ceil(math.sqrt(1.6 * n))))
        n_rows = math.ceil(n / n_columns)
        ax = style.new_axes(ax, figsize=(1.25 * n_columns + 1.4, 1.35 * n_rows + 0.7))
        self.axes_ = _sub_axes(ax, n_rows, n_columns)
        self.ax_, self.figure_, self.images_ = ax, ax.figure, []
        low, high = self.scale
        for i, where in enumerate(self.axes_.flat):
            if i >= n:
                where.set_axis_off()
                continue
            # 0 has the background's colour where values have a sign
            colormap = style.diverging(style.axes_background(where)) if low < 0 else "cividis"
            origin, aspect = ("lower", "auto") if self.extent else ("upper", "equal")
            image = where.imshow(
                self.images[i], origin=origin, aspect=aspect, extent=self.extent, cmap=colormap,
                vmin=low, vmax=high, interpolation="nearest",
            )  # fmt: skip
            self.images_.append(image)
            where.set_title(f"unit {self.units[i]}", fontsize="small", pad=3)
            first_column, last_row = i % n_columns == 0, i + n_columns >= n
            if self.extent is None:
                where.set(xticks=[], yticks=[])
                continue
            where.tick_params(
                labelsize="x-small", labelleft=first_column, labelbottom=last_row, length=2
            )
            where.locator_params(nbins=3)
            if last_row:
                where.set_xlabel(self.labels[0], fontsize="small")
            if first_column:
                where.set_ylabel(self.labels[1], fontsize="small")
        if colorbar:
            self.figure_.colorbar(
                self.images_[0], ax=self.axes_.ravel().tolist(), label=self.value, shrink=0.9,
                aspect=30, pad=0.02, extend="both" if self.extent is None else "neither",
            )  # fmt: skip
        return self


class ActivationDisplay:
    """Activations and their derivatives, as functions of what goes in.

    Parameters
    ----------
    names : sequence of str
        Such as "sigmoid"; of one number each, so not "softmax".
    limits : pair of float
        From where to where.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_, derivative_lines_ : list of matplotlib Line2D
        One for each name.
    """

    def __init__(self, *, names, limits=(-5.0, 5.0)):
        known = {key: name for key, name in ACTIVATIONS.items() if name != "softmax"}
        self.names = [checks.choice("names", name, known) for name in names]
        if not self.names:
            raise ValueError("names must hold at least one activation")
        low, high = (checks.real_number("limits", float(limit)) for limit in limits)
        if not low < high:
            raise ValueError(f"limits must be increasing, got {low}, {high}")
        self.limits = low, high

    @classmethod
    def from_names(cls, *names, limits=(-5.0, 5.0), ax=None, derivative=True):
        """Draw activations by name, such as ``from_names("sigmoid", "relu")``.

        Parameters
        ----------
        *names : str
        limits : pair of float
        ax : matplotlib Axes, optional
        derivative : bool
            Whether to draw derivatives, dashed.

        Returns
        -------
        ActivationDisplay
        """
        return cls(names=names, limits=limits).plot(ax=ax, derivative=derivative)

    @classmethod
    def from_estimator(cls, model, *, limits=(-5.0, 5.0), ax=None, derivative=True):
        """Draw the activations that a fitted network or estimator has, but softmax.

        Parameters
        ----------
        model : Network, MLPClassifier or MLPRegressor
        limits : pair of float
        ax : matplotlib Axes, optional
        derivative : bool
            Whether to draw derivatives, dashed.

        Returns
        -------
        ActivationDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before a fit.
        ValueError
            If softmax is the only one.
        """
        names = [
            name for name in dict.fromkeys(network_of(model).activations) if name != "softmax"
        ]
        if not names:
            raise ValueError("softmax, the model's only activation, is no function of one number")
        return cls.from_names(*names, limits=limits, ax=ax, derivative=derivative)

    from_network = from_estimator

    def plot(self, ax=None, *, derivative=True):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: those of a new figure.
        derivative : bool

        Returns
        -------
        ActivationDisplay
            Itself.
        """
        ax = style.new_axes(ax)
        self.lines_, self.derivative_lines_ = [], []
        z = np.linspace(*self.limits, 501)
        for name in self.names:
            a, slope = _activation_and_derivative(name, z)
            (line,) = ax.plot(z, a, label=name)
            self.lines_.append(line)
            if derivative:
                (line,) = ax.plot(
                    z, slope, color=line.get_color(), linestyle="--", label=f"{name}, derivative"
                )
                self.derivative_lines_.append(line)
        ax.set(xlabel="$z$", ylabel="$a(z)$, $a'(z)$" if derivative else "$a(z)$")
        ax.margins(x=0)
        ax.grid(True, alpha=0.25)
        ax.legend(framealpha=0.8)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _activation_and_derivative(name, z):
    """The values of an activation at z, and of its derivative, by the oracle's formulas."""
    if name == "identity":
        return z, np.ones_like(z)
    a, slope = np.empty_like(z), np.empty_like(z)
    getattr(reference, name)(z, a)
    if name == "exp":
        return a, a
    getattr(reference, f"{name}_derivative")(a, slope)
    return a, slope
