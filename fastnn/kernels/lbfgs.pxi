# L-BFGS: a search over all rows, without Python between its steps.
#
# Directions are Nocedal's two-loop recursion (1980) over the last pairs of differences; step sizes
# satisfy the strong Wolfe conditions, by bracketing and cubic interpolation (Nocedal and Wright,
# Numerical Optimization, 2006, algorithms 3.5, 3.6 and 7.4). Vectors are plain, in float64; a
# float32 net's points and pairs are rounded, so that what can be saved is all there is.

cdef enum:
    PAIRS = 10              # of differences of points and gradients
    EVALUATIONS = 20        # of the loss in one search along a line, for each of its two parts

cdef double EPSILON = 2.220446049250313e-16
cdef double DECREASE = 1e-4     # the Wolfe conditions: of the loss ...
cdef double CURVATURE = 0.9     # ... and of its derivative along the line

cdef struct Point:          # on the line
    double t, loss, slope   # slope: derivative along the line
    double *x
    double *grad


cdef double cubic_minimum(const Point *a, const Point *b) noexcept nogil:
    """Of the cubic with both points' losses and slopes; between them, not near either."""
    cdef double low = a.t + 0.1 * (b.t - a.t), high = a.t + 0.9 * (b.t - a.t), t, c, root
    c = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    root = c * c - a.slope * b.slope
    t = 0.5 * (a.t + b.t)
    if isfinite(root) and root >= 0:
        root = sqrt(root) if b.t > a.t else -sqrt(root)
        t = b.t - (b.t - a.t) * (b.slope + root - c) / (b.slope - a.slope + 2 * root)
    if not isfinite(t):
        t = 0.5 * (a.t + b.t)
    if low > high:
        low, high = high, low
    return max(low, min(high, t))


cdef class LimitedMemory:
    """L-BFGS on the mean loss of a net over all rows.

    Parameters
    ----------
    layer_units, activations, step, x, columns, row_starts, y
        As of `loss_and_grad`.
    workspace : ndarray of uint8
        workspace_size(layer_units, n_rows, 8, -1, 1, weighted) bytes.
    pairs : ndarray of float64, (20, n_params)
        Differences of the last 10 points, then of their gradients; zeros for those that are not
        there. The search goes on from them and keeps them up to date.
    single : bool
        Whether points and pairs are rounded to float32.
    objective : callable, optional
        Computes the loss of (params, grads) instead, and writes the gradient.
    """
    cdef Problem problem
    cdef object objective
    cdef double *pairs
    cdef unsigned char *workspace
    cdef bint single
    cdef tuple arrays       # which the pointers are of
    cdef list vectors       # likewise, of this object's own
    cdef double *curve
    cdef Py_ssize_t longest     # the length of the curve
    cdef Point now, trial, best     # the last one of a search along a line: the best on it
    cdef double *direction
    cdef double[PAIRS] products     # of the two vectors of each pair; 0: there is none
    cdef bint known         # whether the present loss and gradient are computed
    cdef readonly Py_ssize_t epochs_done, n_evaluations
    cdef public Py_ssize_t n_steps
    cdef readonly bint over     # whether no step lowers the loss
    cdef readonly bint diverged     # whether the loss is not finite where the search begins

    def __cinit__(
        self, layer_units, activations, step, x, columns, row_starts, y, workspace, pairs,
        bint single=False, objective=None,
    ):
        cdef Problem *p = &self.problem
        cdef Py_ssize_t i
        cdef cnp.npy_intp size
        self.arrays = layer_units, activations, step, x, columns, row_starts, y, workspace, pairs
        self.objective, self.single = objective, single
        set_problem(p, layer_units, activations, step, x, columns, row_starts, y)
        self.workspace = <unsigned char *> data_of(workspace, cnp.NPY_UINT8, 1, True)
        if objective is None:
            enough(cnp.PyArray_SIZE(workspace), bytes_of_workspace(
                p.layer_units, p.n_layers, p.n_rows, 8, -1, 1, p.weighted), "workspace")
        self.pairs = <double *> data_of(pairs, cnp.NPY_FLOAT64, 2, True)
        same(cnp.PyArray_DIM(pairs, 0), 2 * PAIRS, "pairs")
        same(cnp.PyArray_DIM(pairs, 1), p.n_params, "a row of pairs")
        size, self.vectors = p.n_params, []
        for i in range(7):
            self.vectors.append(cnp.PyArray_ZEROS(1, &size, cnp.NPY_FLOAT64, 0))
        self.now.x, self.now.grad = self.vector(0), self.vector(1)
        self.trial.x, self.trial.grad = self.vector(2), self.vector(3)
        self.best.x, self.best.grad = self.vector(4), self.vector(5)
        self.direction = self.vector(6)
        for i in range(PAIRS):
            self.products[i] = dot_f64(p.n_params, self.pair(i), self.pair(PAIRS + i))

    cdef double *vector(self, Py_ssize_t i):
        return <double *> cnp.PyArray_DATA(self.vectors[i])

    cdef inline double *pair(self, Py_ssize_t i) noexcept nogil:
        return self.pairs + i * self.problem.n_params

    def begin(self, params, loss_curve, Py_ssize_t first=0):
        """Search from these parameters; epoch `first` of the curve comes next."""
        same(cnp.PyArray_SIZE(params), self.problem.n_params, "params")
        self.curve = <double *> data_of(loss_curve, cnp.NPY_FLOAT64, 1, True)
        self.longest = cnp.PyArray_SIZE(loss_curve)
        memcpy(self.now.x, data_of(params, cnp.NPY_FLOAT64, 1),
               self.problem.n_params * sizeof(double))
        self.arrays = (*self.arrays[:9], loss_curve)
        self.epochs_done, self.known, self.over, self.diverged = first, False, False, False

    def params(self):
        """What the last step came to, a copy."""
        return self.copy(self.now.x)

    cdef object copy(self, const double *vector):
        cdef cnp.npy_intp size = self.problem.n_params
        out = cnp.PyArray_EMPTY(1, &size, cnp.NPY_FLOAT64, 0)
        memcpy(cnp.PyArray_DATA(out), vector, size * sizeof(double))
        return out

    def until(self, Py_ssize_t stop):
        """Step until so many epochs of the curve are done, or no step lowers the loss."""
        enough(self.longest, stop, "loss_curve")
        while self.epochs_done < stop and not (self.over or self.diverged):
            self.iterate()
            PyErr_CheckSignals()

    # ---- a step ----

    cdef int evaluate(self, Point *point) except -1:
        """The loss and gradient at point.x, and the slope along the direction."""
        cdef Problem *p = &self.problem
        self.n_evaluations += 1
        if self.objective is None:
            with nogil:
                point.loss = loss_of_net(
                    point.x, p.layer_units, p.activations, p.n_layers, p.step.loss,
                    loss_numbers_of(p.step), p.step.alpha, &p.x, p.y, p.n_rows, p.weighted,
                    self.workspace, point.grad)
        else:
            grads = self.copy(point.grad)
            point.loss = self.objective(self.copy(point.x), grads)
            memcpy(point.grad, data_of(grads, cnp.NPY_FLOAT64, 1), p.n_params * sizeof(double))
        point.slope = dot_f64(p.n_params, point.grad, self.direction)
        if not (isfinite(point.loss) and isfinite(point.slope)):
            point.loss = point.slope = INFINITY
        return 0

    cdef int move(self, double t) except -1:
        """Have the trial at step size t on the line."""
        cdef Py_ssize_t i
        self.trial.t = t
        for i in range(self.problem.n_params):
            self.trial.x[i] = self.now.x[i] + t * self.direction[i]
            if self.single:
                self.trial.x[i] = <float> self.trial.x[i]
        self.evaluate(&self.trial)
        PyErr_CheckSignals()
        return 0

    cdef void keep_best(self) noexcept:
        self.trial, self.best = self.best, self.trial

    cdef void set_direction(self) noexcept nogil:
        """- H grad, with the pairs' H."""
        cdef Py_ssize_t n = self.problem.n_params, i, k, j
        cdef double[PAIRS] shares
        cdef double *d = self.direction
        cdef double share, scale = 0
        for i in range(n):
            d[i] = -self.now.grad[i]
        for j in range(PAIRS):
            k = (self.n_steps + PAIRS - 1 - j) % PAIRS      # the last first
            if self.products[k] > 0:
                shares[k] = dot_f64(n, self.pair(k), d) / self.products[k]
                add_multiple_f64(n, -shares[k], self.pair(PAIRS + k), d)
                if scale == 0:
                    scale = self.products[k] / dot_f64(
                        n, self.pair(PAIRS + k), self.pair(PAIRS + k))
        if scale == 0:      # as long as one, or the gradient if that is shorter
            scale = min(1.0, 1 / sqrt(dot_f64(n, d, d)))
        for i in range(n):
            d[i] *= scale
        for j in range(PAIRS):
            k = (self.n_steps + j) % PAIRS
            if self.products[k] > 0:
                share = shares[k] - dot_f64(n, self.pair(PAIRS + k), d) / self.products[k]
                add_multiple_f64(n, share, self.pair(k), d)

    cdef void forget_pairs(self) noexcept nogil:
        memset(self.pairs, 0, 2 * PAIRS * self.problem.n_params * sizeof(double))
        memset(self.products, 0, sizeof(self.products))

    cdef bint has_pairs(self) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(PAIRS):
            if self.products[i] > 0:
                return True
        return False

    cdef bint search_line(self) except *:
        """Whether there is a point on the line, self.best, that is lower than the present one."""
        cdef Point *now = &self.now
        cdef Point *trial = &self.trial
        cdef Point low = self.now, high = self.now     # without vectors; low's are in best
        cdef double t = 1.0
        cdef Py_ssize_t i
        cdef bint found = False
        low.t = 0
        for i in range(EVALUATIONS):
            self.move(t)
            if (trial.loss > now.loss + DECREASE * t * now.slope
                    or (i > 0 and trial.loss >= low.loss)):
                high = self.trial
                found = True
                break
            if abs(trial.slope) <= -CURVATURE * now.slope:
                self.keep_best()
                return True
            if trial.slope >= 0:
                high = low
                low = self.trial
                self.keep_best()
                found = True
                break
            low = self.trial
            self.keep_best()
            t *= 2.5
        if not found:
            return low.t > 0
        for i in range(EVALUATIONS):
            if isfinite(high.loss):
                t = cubic_minimum(&low, &high)
            else:
                t = low.t + 0.1 * (high.t - low.t)
            if t == low.t or t == high.t:
                break
            self.move(t)
            if trial.loss > now.loss + DECREASE * t * now.slope or trial.loss >= low.loss:
                high = self.trial
                continue
            if trial.slope * (high.t - low.t) >= 0:
                high = low
            low = self.trial
            self.keep_best()
            if abs(low.slope) <= -CURVATURE * now.slope:
                break
        return low.t > 0

    cdef int iterate(self) except -1:
        """One step, with all that it changes at once."""
        cdef Problem *p = &self.problem
        cdef Py_ssize_t n = p.n_params, i, k
        cdef double before, curvature, size
        cdef bint found = False
        if not self.known:
            self.evaluate(&self.now)
            if not (isfinite(self.now.loss) and all_finite_f64(self.now.grad, n)):
                self.diverged = True
                return 0
            self.known = True
        before = self.now.loss
        while not found:
            self.set_direction()
            self.now.t, self.now.slope = 0, dot_f64(n, self.now.grad, self.direction)
            found = self.now.slope < 0 and self.search_line()
            if not found:
                if not self.has_pairs():
                    break
                self.forget_pairs()     # and go straight down
        self.curve[self.epochs_done] = before
        k = self.n_steps % PAIRS
        if found:
            for i in range(n):
                self.pair(k)[i] = self.best.x[i] - self.now.x[i]
                self.pair(PAIRS + k)[i] = self.best.grad[i] - self.now.grad[i]
                if self.single:
                    self.pair(k)[i] = <float> self.pair(k)[i]
                    self.pair(PAIRS + k)[i] = <float> self.pair(PAIRS + k)[i]
            curvature = dot_f64(n, self.pair(k), self.pair(PAIRS + k))
            size = dot_f64(n, self.pair(PAIRS + k), self.pair(PAIRS + k))
            if not curvature > EPSILON * size:      # the line went over a kink
                memset(self.pair(k), 0, n * sizeof(double))
                memset(self.pair(PAIRS + k), 0, n * sizeof(double))
                curvature = 0
            self.products[k] = curvature
            self.now, self.best = self.best, self.now
            self.n_steps += 1
        # lower by no more than rounding: there is no further to go
        self.over = not found or before - self.now.loss <= EPSILON * abs(before)
        self.epochs_done += 1
        return 0
