"""Second order: the normal equations of a net, by its Jacobian, and L-BFGS."""

from collections.abc import Callable

import numpy as np

from fastnn.catalog.losses import BY_CODE
from fastnn.reference.activations import SOFTMAX, activate, slope_or_value, times_derivative
from fastnn.reference.dense import forward_pass, propagate_delta
from fastnn.reference.layout import Array, quiet, split
from fastnn.reference.records import read_step
from fastnn.reference.rows import dense_rows, weights_of
from fastnn.reference.training import loss_and_grad

LEAST_CURVATURE = 1e-12  # of a sample's log loss


@quiet
def curvature_root(
    a: Array, z: Array, y: Array, loss: int, activation: int, numbers: Array | None
) -> tuple[Array, Array]:
    """Roots S of the losses' curvatures by z, (n, outputs, columns), and residuals q.

    S S^T is the curvature and S q the derivative of the loss, for each sample. Losses of the value
    have the columns of da/dz, robust ones times the root of their derivative over d = a - y. Log
    losses, Poisson's and gamma's have the expected curvature of the logits.
    """
    name, d, eye = BY_CODE[loss].name, a - y, np.eye(a.shape[1])
    softmax = eye - a[:, :, np.newaxis]  # columns e_k - p
    if name in ("log_loss", "clipped_log_loss"):
        size = np.sqrt(np.maximum(a, LEAST_CURVATURE))
        return softmax * size[:, np.newaxis, :], -y / size
    if name == "gamma":
        return np.ones_like(a)[:, np.newaxis, :] * eye, 1 - y / a
    if name in ("binary_log_loss", "clipped_binary_log_loss"):
        size = np.sqrt(np.maximum(a * (1 - a), LEAST_CURVATURE))
        return size[:, np.newaxis, :] * eye, d / size
    if name in ("poisson", "poisson_of_values"):
        size = np.sqrt(np.maximum(a, LEAST_CURVATURE))
        return size[:, np.newaxis, :] * eye, d / size
    size = np.ones_like(a)
    if name == "huber":
        assert numbers is not None
        size = np.sqrt(np.minimum(1, numbers / np.maximum(numbers, np.abs(d))))
    elif name == "log_cosh":
        size = np.sqrt(np.where(d == 0, 1, np.tanh(d) / np.where(d == 0, 1, d)))
    elif name not in ("squared_error", "mean_squared_error"):
        raise ValueError(f"loss {loss} has no curvature")
    if activation == SOFTMAX:
        columns = softmax * a[:, np.newaxis, :]
    else:
        slope = times_derivative(np.ones_like(a), slope_or_value(z, a, activation), activation)
        columns = slope[:, np.newaxis, :] * eye
    return columns * size[:, np.newaxis, :], d * size


@quiet
def jacobian(
    params: Array,
    layer_units: Array,
    activations: Array,
    loss: int,
    x: Array,
    y: Array,
    loss_numbers: Array | None = None,
) -> tuple[Array, Array]:
    """Rows of J, (n n_outputs, n_params), and residuals, (n n_outputs,).

    J^T J is the Gauss-Newton matrix of the summed loss, J^T q its gradient.
    """
    n_outputs = layer_units[-1]
    a, z = forward_pass(params, layer_units, activations, x)
    layers = split(params, layer_units)
    roots, residuals = curvature_root(
        a[-1], z[-1], y[:, :n_outputs], loss, activations[-1], loss_numbers
    )
    scale = np.sqrt(weights_of(y, n_outputs)).reshape(-1, 1)
    rows = np.empty((len(x), n_outputs, len(params)))
    for k in range(n_outputs):
        delta = roots[:, :, k] * scale
        end = len(params)
        for i in reversed(range(len(layers))):
            coef_rows = a[i][:, :, np.newaxis] * delta[:, np.newaxis, :]
            both = np.hstack([coef_rows.reshape(len(x), -1), delta])
            rows[:, k, end - both.shape[1] : end] = both
            end -= both.shape[1]
            if i > 0:
                value, delta_in = np.empty_like(z[i - 1]), np.empty_like(a[i])
                activate(z[i - 1], activations[i - 1], value)
                kept = slope_or_value(z[i - 1], value, activations[i - 1])
                propagate_delta(delta, layers[i][0], kept, activations[i - 1], None, delta_in)
                delta = delta_in
    return rows.reshape(-1, len(params)), (residuals * scale).reshape(-1)


def normal_equations_size(layer_units: Array, n_rows: int, weighted: bool) -> int:
    """None: memory is NumPy's."""
    return 0


def dual_equations_size(layer_units: Array, n_rows: int, weighted: bool) -> int:
    """None: memory is NumPy's."""
    return 0


class DampedEquations:
    """What both forms of a damped step have in common."""

    def __init__(
        self,
        layer_units: Array,
        activations: Array,
        step: Array,
        x: Array,
        columns: Array,
        row_starts: Array,
        y: Array,
        workspace: Array | None,
        team: Array | None = None,
        n_threads: int = 1,
    ) -> None:
        self._net, self._numbers = (layer_units, activations), read_step(step)
        if not BY_CODE[self._numbers.loss].curvature:
            raise ValueError(f"loss {self._numbers.loss} has no curvature")
        self._x, self._y = dense_rows(x, columns, row_starts, layer_units[0]), y
        self.weight = float(weights_of(y, layer_units[-1]).sum())
        self.scale = self.steepest = 0.0
        self.n_calls = 0

    def _jacobian(self, params: Array) -> tuple[Array, Array]:
        numbers = self._numbers
        return jacobian(params, *self._net, numbers.loss, self._x, self._y, numbers.loss_numbers)

    def _strength(self, params: Array) -> Array:
        """The penalty of each parameter."""
        strength = np.zeros_like(params)
        for coef, _ in split(strength, self._net[0]):
            coef[...] = self._numbers.alpha
        return strength


class NormalEquations(DampedEquations):
    """J^T J and the gradient of a net's mean loss over all rows, and damped steps from them.

    Everything is in float64, in sums over the rows: `weight` times the means.
    """

    by_pairs = False

    @quiet
    def sum(self, params: Array) -> None:
        """Sum the equations at these parameters."""
        rows, residuals = self._jacobian(params)
        self._matrix, self._gradient = rows.T @ rows, rows.T @ residuals
        strength = self._strength(params)
        self._matrix[np.diag_indices(len(params))] += strength
        self._gradient += strength * params
        self.scale = float(np.diag(self._matrix).max())
        self.steepest = float(np.abs(self._gradient).max())
        self.n_calls += 1

    def penalise(self, params: Array, strengths: Array) -> None:
        """Add sum_i strengths_i params_i^2 / 2 to the loss that the equations are of."""
        self._matrix[np.diag_indices(len(params))] += strengths
        self._gradient += strengths * params

    def _factor(self, mu: float) -> Array | None:
        """The Cholesky factor of J^T J + mu I, or None if that is not positive definite."""
        try:
            return np.linalg.cholesky(self._matrix + mu * np.eye(len(self._matrix)))
        except np.linalg.LinAlgError:
            return None

    @quiet
    def inverse(self, mu: float, out: Array) -> float | None:
        """Compute out = (J^T J + mu I)^-1, (n_params, n_params), and the determinant's logarithm.

        None if the matrix is not positive definite in float64.
        """
        factor = self._factor(mu)
        if factor is None:
            return None
        half = np.linalg.inv(factor)
        out[:] = half.T @ half
        return float(2 * np.log(np.diag(factor)).sum())

    @quiet
    def solve(self, mu: float, step: Array) -> float | None:
        """Compute step = -(J^T J + mu I)^-1 g, and how much less the loss should be after it.

        None if the matrix is not positive definite in float64.
        """
        factor = self._factor(mu)
        if factor is None:
            return None
        h = np.linalg.solve(factor.T, np.linalg.solve(factor, self._gradient))
        step[:] = -h
        return float(0.5 * h @ (mu * h + self._gradient))

    def jacobian(self, params: Array) -> tuple[Array, Array]:
        """J, (n_rows n_outputs, n_params), and q, (n_rows n_outputs,), for other uses."""
        return self._jacobian(params)

    def equations(self) -> tuple[Array, Array]:
        """The matrix (n_params, n_params) and the gradient (n_params,), copied."""
        return self._matrix.copy(), self._gradient.copy()


class DualEquations(DampedEquations):
    """J J^T and the gradient of a net's mean loss over all rows, and damped steps from them.

    Everything is in float64, in sums over the rows: `weight` times the means.
    """

    @quiet
    def sum(self, params: Array) -> None:
        """Sum the equations at these parameters."""
        self._rows, self._residuals = self._jacobian(params)
        self._penalty = self._strength(params)
        self._along = self._penalty * params
        self._gradient = self._rows.T @ self._residuals + self._along
        of_coefs, of_intercepts = self.products()
        trace = float((np.diag(of_coefs) + np.diag(of_intercepts)).sum())
        self.scale = trace / self.weight + self._numbers.alpha
        self.steepest = float(np.abs(self._gradient).max())
        self.n_calls += 1

    @quiet
    def solve(self, mu: float, step: Array) -> float | None:
        """Compute step = -(J^T J + mu I)^-1 g, and how much less the loss should be after it.

        None if the matrix is not positive definite in float64.
        """
        if not mu + self._numbers.alpha > 0:
            return None
        rows, damping = self._rows, mu + self._penalty
        matrix = mu * (np.eye(len(rows)) + (rows / damping) @ rows.T)
        try:
            factor = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return None
        known = mu * (self._residuals - rows @ (self._along / damping))
        weights = np.linalg.solve(factor.T, np.linalg.solve(factor, known))
        h = (self._along + rows.T @ weights) / damping
        step[:] = -h
        return float(0.5 * h @ (mu * h + self._gradient))

    def products(self) -> tuple[Array, Array]:
        """J J^T of coefs and of intercepts, each (n_rows n_outputs,) squared, copied."""
        is_coef = np.zeros(self._rows.shape[1], bool)
        for coef, _ in split(is_coef, self._net[0]):
            coef[...] = True
        coefs, intercepts = self._rows[:, is_coef], self._rows[:, ~is_coef]
        return coefs @ coefs.T, intercepts @ intercepts.T


# ---- L-BFGS -------------------------------------------------------------------------------------

N_PAIRS, N_EVALUATIONS = 10, 20
DECREASE, CURVATURE = 1e-4, 0.9  # the Wolfe conditions
EPSILON = float(np.finfo(np.float64).eps)


class Point:
    """On the line: its step size, what is there, and the derivative along the line."""

    def __init__(self, x: Array, t: float = 0.0) -> None:
        self.x, self.t = x, t
        self.loss, self.slope, self.grad = np.inf, np.inf, np.empty_like(x)


@quiet
def cubic_minimum(a: Point, b: Point) -> float:
    """Of the cubic with both points' losses and slopes; between them, not near either."""
    c = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    root, t = c * c - a.slope * b.slope, (a.t + b.t) / 2
    if np.isfinite(root) and root >= 0:
        root = np.sqrt(root) * np.sign(b.t - a.t)
        by_formula = b.t - (b.t - a.t) * np.divide(
            b.slope + root - c, b.slope - a.slope + 2 * root
        )
        t = by_formula if np.isfinite(by_formula) else t
    low, high = sorted((a.t + 0.1 * (b.t - a.t), a.t + 0.9 * (b.t - a.t)))
    return float(np.clip(t, low, high))


class LimitedMemory:
    """L-BFGS on the mean loss of a net over all rows."""

    def __init__(
        self,
        layer_units: Array,
        activations: Array,
        step: Array,
        x: Array,
        columns: Array,
        row_starts: Array,
        y: Array,
        workspace: Array | None,
        pairs: Array,
        single: bool = False,
        objective: Callable[[Array, Array], float] | None = None,
    ) -> None:
        self._pairs, self._kind = pairs, np.float32 if single else np.float64
        self._objective = objective or (
            lambda params, grads: loss_and_grad(
                params, layer_units, activations, step, x, columns, row_starts, y, None, grads
            )
        )
        self.n_steps = self.epochs_done = self.n_evaluations = 0
        self.over = self.diverged = False

    def begin(self, params: Array, loss_curve: Array, first: int = 0) -> None:
        """Search from these parameters; epoch `first` of the curve comes next."""
        self._now, self._curve, self.epochs_done = Point(params.copy()), loss_curve, first
        self._known = self.over = self.diverged = False

    def params(self) -> Array:
        """What the last step came to, a copy."""
        return self._now.x.copy()

    def until(self, stop: int) -> None:
        """Step until so many epochs of the curve are done, or no step lowers the loss."""
        while self.epochs_done < stop and not (self.over or self.diverged):
            self._iterate()

    @quiet
    def _evaluate(self, point: Point, direction: Array) -> Point:
        self.n_evaluations += 1
        point.loss = self._objective(point.x, point.grad)
        point.slope = float(point.grad @ direction)
        if not (np.isfinite(point.loss) and np.isfinite(point.slope)):
            point.loss = point.slope = np.inf
        return point

    def _valid(self) -> list[tuple[Array, Array]]:
        """Pairs that are there, the last first."""
        order = [(self.n_steps - 1 - j) % N_PAIRS for j in range(N_PAIRS)]
        pairs = [(self._pairs[k], self._pairs[N_PAIRS + k]) for k in order]
        return [(s, g) for s, g in pairs if s @ g > 0]

    @quiet
    def _direction(self) -> Array:
        """- H grad, with the pairs' H."""
        d: Array = -self._now.grad
        shares, pairs = [], self._valid()
        for s, g in pairs:
            shares.append((s @ d) / (s @ g))
            d = d - shares[-1] * g
        if pairs:
            s, g = pairs[0]
            d = d * ((s @ g) / (g @ g))
        else:  # as long as one, or the gradient if that is shorter
            d = d * min(1.0, 1 / np.sqrt(d @ d))
        for (s, g), share in zip(reversed(pairs), reversed(shares), strict=True):
            d = d + (share - (g @ d) / (s @ g)) * s
        return d

    @quiet
    def _search_line(self, d: Array) -> Point | None:
        """A point on the line that is lower than the present one, if there is one."""
        now, low, high, t = self._now, self._now, None, 1.0

        def at(t: float) -> Point:
            x = (now.x + t * d).astype(self._kind).astype(np.float64)
            return self._evaluate(Point(x, t), d)

        def is_too_high(point: Point) -> bool:
            return point.loss > now.loss + DECREASE * point.t * now.slope

        for i in range(N_EVALUATIONS):
            trial = at(t)
            if is_too_high(trial) or (i > 0 and trial.loss >= low.loss):
                high = trial
                break
            if abs(trial.slope) <= -CURVATURE * now.slope:
                return trial
            low, before = trial, low
            if trial.slope >= 0:
                high = before
                break
            t *= 2.5
        for _ in range(N_EVALUATIONS if high is not None else 0):
            assert high is not None
            finite = np.isfinite(high.loss)
            t = cubic_minimum(low, high) if finite else low.t + 0.1 * (high.t - low.t)
            if t in (low.t, high.t):
                break
            trial = at(t)
            if is_too_high(trial) or trial.loss >= low.loss:
                high = trial
                continue
            if trial.slope * (high.t - low.t) >= 0:
                high = low
            low = trial
            if abs(low.slope) <= -CURVATURE * now.slope:
                break
        return low if low.t > 0 else None

    @quiet
    def _iterate(self) -> None:
        now = self._now
        if not self._known:
            self._evaluate(now, np.zeros_like(now.x))
            if not (np.isfinite(now.loss) and np.isfinite(now.grad).all()):
                self.diverged = True
                return
            self._known = True
        while True:
            d = self._direction()
            now.t, now.slope = 0.0, float(now.grad @ d)
            found = self._search_line(d) if now.slope < 0 else None
            if found is not None or not self._valid():
                break
            self._pairs[:] = 0
        self._curve[self.epochs_done] = before = now.loss
        if found is not None:
            k = self.n_steps % N_PAIRS
            s, g = (
                (a - b).astype(self._kind) for a, b in ((found.x, now.x), (found.grad, now.grad))
            )
            convex = s.astype(float) @ g.astype(float) > EPSILON * (
                g.astype(float) @ g.astype(float)
            )
            self._pairs[k], self._pairs[N_PAIRS + k] = (s, g) if convex else (0, 0)
            self._now, self.n_steps = found, self.n_steps + 1
        self.over = found is None or before - self._now.loss <= EPSILON * abs(before)
        self.epochs_done += 1
