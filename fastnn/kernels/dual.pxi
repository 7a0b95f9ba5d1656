# The dual form of a damped step, where rows of J are fewer than parameters.
#
# With D the damping mu, plus alpha for coefs, (J^T J + D)^-1 is by Woodbury's identity
# D^-1 - D^-1 J^T (I + J D^-1 J^T)^-1 J D^-1. So with r = alpha / (mu + alpha), S the shares of
# coefs and intercepts in J J^T, and w the solution of
#
#   (mu I + S_intercepts + (1 - r) S_coefs) w = q - r J_coefs coefs
#
# the step h is r coefs + (1 - r) J_coefs^T w for coefs and J_intercepts^T w for intercepts, and
# J h = q - mu w. J times coefs comes out of the forward pass; J^T times a vector is a backward
# pass whose deltas at the outputs have that vector for weights. J itself is never made.

cdef class DualEquations(DampedEquations):
    """J J^T and the gradient of a net's mean loss over all rows, and damped steps from them.

    Everything is in float64, in sums over the rows: `weight` times the means. `scale` is the mean
    of the diagonal. Parameters are those of `DampedEquations`, with
    dual_equations_size(layer_units, n_rows, weighted) bytes.
    """
    cdef double slope       # the steepest, if it is known; else -1

    def __cinit__(self, *given, **named):
        cdef Curved *c = &self.c
        cdef Plan *plan = &c.plan
        cdef Py_ssize_t i, samples
        cdef double *at
        cdef layer_panels *layer
        check_rows_of_dual(self.problem.layer_units, self.problem.n_layers, self.problem.n_rows)
        self.lay_out(make_dual)
        samples, at = c.vectors * LANES_F64, self.work + c.panels
        for i in range(plan.n_layers):
            layer = self.panels_of(i)
            layer.fan_in, layer.fan_out = plan.layers[i].fan_in, plan.layers[i].fan_out
            layer.a, layer.delta = at, at + samples * layer.fan_in
            at = layer.delta + c.n_outputs * samples * layer.fan_out
        memset(self.work + c.no_intercept, 0, (c.layers - c.no_intercept) * sizeof(double))

    cdef inline layer_panels *panels_of(self, Py_ssize_t i) noexcept nogil:
        return <layer_panels *> (self.work + self.c.layers) + i

    cdef void keep_chunk(self, Py_ssize_t row) noexcept nogil:
        """Panels, residuals and J_coefs coefs of a chunk whose deltas are known."""
        cdef Curved *c = &self.c
        cdef Plan *plan = &c.plan
        cdef Layer *layer
        cdef layer_panels *panels
        cdef double *work = self.work
        cdef double *block
        cdef Chunk chunk = at_desk(plan, row, min(c.samples, self.problem.n_rows - row), 0)
        cdef Py_ssize_t i, k, v = row // LANES_F64, at, end = v + chunk.n_vectors
        # what fills the last tile counts nothing
        cdef Py_ssize_t filling = 0
        if row + chunk.count == self.problem.n_rows:
            filling = (c.vectors - end) * LANES_F64 * <Py_ssize_t> sizeof(double)
        for i in range(plan.n_layers):
            layer, panels = &plan.layers[i], self.panels_of(i)
            memset(panels.a + end * LANES_F64 * layer.fan_in, 0, filling * layer.fan_in)
            for k in range(c.n_outputs):
                memset(panels.delta + (k * c.vectors + end) * LANES_F64 * layer.fan_out, 0,
                       filling * layer.fan_out)
            to_panels_f64(chunk.n_vectors, layer.fan_in, inputs_of(plan, i, &chunk, work),
                          panels.a + v * LANES_F64 * layer.fan_in)
            if self.problem.step.alpha != 0:
                c_dense_forward(chunk.n_vectors, layer.fan_in, layer.fan_out, 0, layer.fan_out,
                                layer.panel, work + plan.params + layer.coef,
                                work + c.no_intercept, inputs_of(plan, i, &chunk, work),
                                work + c.linear, <double *> NULL, IDENTITY)
            for k in range(c.n_outputs):
                block = work + k * c.stride
                at = (k * c.vectors + v) * LANES_F64
                to_panels_f64(chunk.n_vectors, layer.fan_out, block + delta_at(c, i),
                              panels.delta + at * layer.fan_out)
                if self.problem.step.alpha != 0:
                    feature_dots_f64(chunk.n_vectors, layer.fan_out, work + c.linear,
                                     block + delta_at(c, i), work + c.along + at)
        for k in range(c.n_outputs):
            memcpy(work + c.targets + (k * c.vectors + v) * LANES_F64,
                   work + k * c.stride + c.residuals,
                   chunk.n_vectors * LANES_F64 * sizeof(double))

    cdef void go_back(self, Py_ssize_t row, const double *weights) noexcept nogil:
        """Add the weighted rows of J of a chunk, whose roots are known, to the gradient's sums."""
        cdef Curved *c = &self.c
        cdef Plan *plan = &c.plan
        cdef Layer *last = &plan.layers[plan.n_layers - 1]
        cdef Chunk chunk = at_desk(plan, row, min(c.samples, self.problem.n_rows - row), 0)
        cdef double *delta = self.work + chunk.desk + last.delta
        cdef Py_ssize_t k
        memset(delta, 0, chunk.n_vectors * LANES_F64 * last.fan_out * sizeof(double))
        for k in range(c.n_outputs):
            add_weighted_f64(chunk.n_vectors, last.fan_out,
                             self.work + k * c.stride + delta_at(c, plan.n_layers - 1),
                             weights + k * c.vectors * LANES_F64 + row, delta)
        if not last.by_lanes:
            c_transpose_delta(chunk.n_vectors, last.fan_out, 0, last.fan_out, delta,
                              self.work + chunk.desk + last.transposed)
        backward_chunk(plan, self.work + plan.params, self.work, &chunk)

    cdef double work_of_row(self) noexcept nogil:
        """Multiply-adds of a sample through the net and back for all outputs, about."""
        return (2.0 + self.c.n_outputs) * self.c.n_params

    def sum(self, params):
        """Sum the equations at these parameters."""
        cdef Curved *c = &self.c
        cdef Plan *plan = &c.plan
        cdef double *work = self.work
        cdef const double *plain = <double *> data_of(params, cnp.NPY_FLOAT64, 1)
        cdef double done, units = 0
        cdef Py_ssize_t row = 0, i, first = 0, columns = c.order // LANES_F64
        cdef double alpha = self.problem.step.alpha
        cdef CurvedJob job
        same(cnp.PyArray_SIZE(params), c.n_params, "params")
        memcpy(work + c.point, plain, c.n_params * sizeof(double))
        pack_params(plain, plan, work + plan.params)
        memset(work + c.targets, 0, (c.point - c.targets) * sizeof(double))
        while row < self.problem.n_rows:
            done = 0
            with nogil:
                while row < self.problem.n_rows and done < PIECE:
                    self.deltas_of_chunk(row, 0)
                    self.keep_chunk(row)
                    row += c.samples
                    done += c.samples * self.work_of_row()
            self.n_calls += 1
            PyErr_CheckSignals()
        for i in range(plan.n_layers):
            units += plan.layers[i].fan_in + plan.layers[i].fan_out
        job.phase, job.c, job.intercepts = DUAL, work + c.matrix, work + c.intercepts
        job.step, job.vectors = c.step, c.vectors
        job.layers, job.n_layers = self.panels_of(0), plan.n_layers
        while first < columns:
            job.first, job.end = first, min(columns, first + max(1, <Py_ssize_t> (
                PIECE / (units * LANES_F64 * LANES_F64 * columns))))
            with nogil:
                self.share(&job, units * LANES_F64 * job.end * (job.end - first))
            self.n_calls += 1
            PyErr_CheckSignals()
            first = job.end
        self.slope, done = -1, 0
        for i in range(c.order):
            done += work[c.matrix + i * (c.step + 1)] + work[c.intercepts + i * (c.step + 1)]
        self.scale = done / self.weight + alpha     # a row twice is a row of weight 2

    cdef int times_transposed(self, const double *weights, double alpha) except -1:
        """J^T weights + alpha coefs, into c.product."""
        cdef Curved *c = &self.c
        cdef Py_ssize_t row = 0
        cdef double done
        while row < self.problem.n_rows:
            done = 0
            with nogil:
                while row < self.problem.n_rows and done < PIECE:
                    self.deltas_of_chunk(row, c.plan.n_layers - 1)
                    self.go_back(row, weights)
                    row += c.samples
                    done += c.samples * self.work_of_row()
            PyErr_CheckSignals()
        mean_gradient(&c.plan, self.work, self.work + c.point, 1.0, alpha, self.work + c.product)
        return 0

    @property
    def steepest(self):
        """The largest entry of the gradient, by its size; it takes two passes."""
        cdef Py_ssize_t i
        if self.slope < 0:
            self.times_transposed(self.work + self.c.targets, self.problem.step.alpha)
            self.slope = 0
            for i in range(self.c.n_params):
                self.slope = larger_or_nan(self.slope, abs(self.work[self.c.product + i]))
        return self.slope

    def solve(self, double mu, step):
        """step = -(J^T J + mu I)^-1 g, and how much less the loss should be after it.

        None if the matrix is not positive definite in float64.
        """
        cdef Curved *c = &self.c
        cdef Plan *plan = &c.plan
        cdef double *work = self.work
        cdef double *out = <double *> data_of(step, cnp.NPY_FLOAT64, 1, True)
        cdef double *u
        cdef const double *coefs
        cdef const double *intercepts
        cdef double alpha = self.problem.step.alpha, share, kept, less = 0, h
        cdef Py_ssize_t i, j, at = 0, n_coefs
        same(cnp.PyArray_SIZE(step), c.n_params, "step")
        if not mu + alpha > 0:
            return None
        share, kept = alpha / (mu + alpha), mu / (mu + alpha)
        for i in range(c.n):
            u = work + c.factor + i * c.step
            coefs, intercepts = work + c.matrix + i * c.step, work + c.intercepts + i * c.step
            for j in range(i // TILE_ROWS * TILE_ROWS, c.n):
                u[j] = 0
                if i < c.order and j < c.order:
                    u[j] = intercepts[j] + kept * coefs[j]
            if i < c.order:
                u[i] += mu
                u[c.order] = work[c.targets + i] - share * work[c.along + i]
            look_now_and_then(i)
        if not self.factorise():
            return None
        self.substitute()
        self.times_transposed(work + c.solution, 0)
        for i in range(c.order):
            less += 0.5 * (work[c.targets + i] - mu * work[c.solution + i])**2
        for i in range(plan.n_layers):
            n_coefs = plan.layers[i].fan_in * plan.layers[i].fan_out
            for j in range(at, at + n_coefs + plan.layers[i].fan_out):
                h = work[c.product + j]
                if j < at + n_coefs:
                    h = share * work[c.point + j] + kept * h
                    less += 0.5 * alpha * h * h
                less += mu * h * h
                out[j] = -h
            at += n_coefs + plan.layers[i].fan_out
        return less

    def products(self):
        """J J^T of coefs and of intercepts, each (n_rows n_outputs,) squared, copied."""
        cdef Curved *c = &self.c
        cdef Py_ssize_t i, j, row, column, R = self.problem.n_rows * c.n_outputs
        cdef Py_ssize_t samples = c.vectors * LANES_F64, n_outputs = c.n_outputs
        cdef cnp.npy_intp[2] shape
        cdef double *to
        cdef list both = []
        shape[0] = shape[1] = R
        for start in (c.matrix, c.intercepts):
            found = cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT64, 0)
            both.append(found)
            to = <double *> cnp.PyArray_DATA(found)
            for i in range(R):
                row = i % n_outputs * samples + i // n_outputs
                for j in range(R):
                    column = j % n_outputs * samples + j // n_outputs
                    to[i * R + j] = self.work[<Py_ssize_t> start + min(row, column) * c.step
                                              + max(row, column)]
        return tuple(both)


cdef int check_rows_of_dual(
    const Py_ssize_t *layer_units, Py_ssize_t n_layers, Py_ssize_t n_rows
) except -1:
    """Refuse rows whose matrix has more than 64-bit sizes."""
    cdef double order = <double> n_rows * layer_units[n_layers]
    if order > 1 << 24:
        raise ValueError(f"second order takes at most {1 << 24} rows of outputs, got {order:.0f}")
    return 0


def dual_equations_size(const Py_ssize_t[::1] layer_units, Py_ssize_t n_rows, bint weighted):
    """Bytes of workspace that `DualEquations` takes."""
    cdef Py_ssize_t n_layers = layer_units.shape[0] - 1
    count_params(&layer_units[0], n_layers + 1, n_layers)
    enough(n_rows, 1, "the rows")
    check_rows_of_dual(&layer_units[0], n_layers, n_rows)
    return bytes_of_equations(&layer_units[0], n_layers, n_rows, weighted, make_dual)
