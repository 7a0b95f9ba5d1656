# What damped steps have in common, and the normal equations of a net: J^T J and J^T q over all
# rows. dual.pxi has the other form.
#
# simd/second_order.h has what they are and how they are summed. Work is cut into pieces of some
# milliseconds, between which signals are looked at.

# ---- what a team shares ------------------------------------------------------------------------

cdef struct CurvedJob:      # a team's work on some columns of a matrix
    double *x               # panels
    double *c
    const double *inverse
    int phase
    Py_ssize_t top, bottom, first, end, depth, panel
    const double *rows      # of a pair, ...
    Py_ssize_t n_rows, step     # ... so many; step: between rows of c
    const layer_panels *layers  # of the dual form, ...
    double *intercepts
    Py_ssize_t n_layers, vectors    # ... the latter of samples
    Py_ssize_t next         # group of columns that nobody has taken

cdef enum:                  # phases of a CurvedJob
    PRODUCTS = 0            # c += x^T x
    ROWS_OF_U = 1           # rows top .. bottom of the factor
    LESS_PRODUCTS = 2       # c -= x^T x
    PAIR = 3                # c += rows^T x
    DUAL = 4                # c and intercepts: the products of the layers' panels
    GROUP = 6               # vectors of columns that a thread takes at a time


cdef void curved_columns(CurvedJob *job, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    if job.phase == ROWS_OF_U:
        factor_rows_f64(job.top, job.bottom, first, end, job.panel, job.x, job.c, job.step,
                        job.inverse)
    elif job.phase == PAIR:
        cross_f64(job.n_rows, first, end, job.depth, job.rows, job.x, job.c, job.step)
    elif job.phase == DUAL:
        dual_products_f64(first, end, job.vectors, job.n_layers, job.layers, job.c,
                          job.intercepts, job.step)
    else:
        gram_f64(first, end, job.top, job.depth, job.panel, job.x, job.c, job.step,
                 job.phase == LESS_PRODUCTS)


cdef void perform_curved(void *context, int part, int parts) noexcept nogil:
    """Groups of columns that no other thread has taken, the longest first."""
    cdef CurvedJob *job = <CurvedJob *> context
    cdef Py_ssize_t end
    if parts == 1:
        curved_columns(job, job.first, job.end)
        return
    while True:
        end = job.end - GROUP * team_take(&job.next)
        if end <= job.first:
            return
        curved_columns(job, max(job.first, end - GROUP), end)


cdef inline int look_now_and_then(Py_ssize_t row) except -1:
    """At signals, between rows that take microseconds each."""
    if row % 256 == 255:
        PyErr_CheckSignals()
    return 0


cdef inline double larger_or_nan(double so_far, double x) noexcept nogil:
    return x if x != x or x > so_far else so_far


cdef class DampedEquations:
    """A net, its data and its workspace; passes of a chunk, and a Cholesky factorisation.

    Parameters
    ----------
    layer_units, activations, step, x, columns, row_starts, y
        As of `loss_and_grad`.
    workspace : ndarray of uint8
        As many bytes as the form needs, at a multiple of 128.
    team : ndarray of uint8 or None
    n_threads : int
        At work in the team.
    """
    cdef Curved c
    cdef Problem problem
    cdef double *work
    cdef void *team
    cdef int n_threads
    cdef tuple arrays       # which the pointers are of
    cdef readonly double weight     # of all rows
    cdef readonly double scale      # of the matrix, which damping is a share of
    cdef readonly Py_ssize_t n_calls

    def __cinit__(
        self, layer_units, activations, step, x, columns, row_starts, y, workspace, team=None,
        int n_threads=1,
    ):
        cdef Problem *p = &self.problem
        self.arrays = layer_units, activations, step, x, columns, row_starts, y, workspace, team
        set_problem(p, layer_units, activations, step, x, columns, row_starts, y)
        if not has_curvature(p.step.loss):
            raise ValueError(f"loss {p.step.loss} has no curvature")
        self.n_threads = 1
        if team is not None:
            self.team, self.n_threads = data_of(team, cnp.NPY_UINT8, 1, True), max(1, n_threads)
            enough(cnp.PyArray_SIZE(team), team_bytes(self.n_threads), "team")
        self.weight = p.n_rows
        if p.weighted:
            self.weight = weight_of(p.y, NULL, 0, p.n_rows, p.layer_units[p.n_layers] + 1)

    cdef int lay_out(self, make_workspace make) except -1:
        """Plan the workspace, whose length is compared."""
        cdef Problem *p = &self.problem
        cdef Curved *c = &self.c
        cdef unsigned char *memory = <unsigned char *> data_of(
            self.arrays[7], cnp.NPY_UINT8, 1, True)
        cdef Py_ssize_t size = round_up(p.n_layers * <Py_ssize_t> sizeof(Layer), 128)
        make(c, p.layer_units, NULL, p.n_layers, p.step.loss, p.n_rows, p.weighted, NULL)
        enough(cnp.PyArray_SIZE(self.arrays[7]), size + 8 * c.size, "workspace")
        make(c, p.layer_units, p.activations, p.n_layers, p.step.loss, p.n_rows, p.weighted,
             <Layer *> memory)
        self.work = <double *> (memory + size)
        memset(self.work + c.plan.params, 0, c.plan.packed_size * sizeof(double))
        return 0

    cdef void share(self, CurvedJob *job, double vectors) noexcept nogil:
        """Have the team do a job of so many vector multiply-adds."""
        job.inverse, job.next = self.work + self.c.inverse, 0
        if self.n_threads == 1:
            perform_curved(job, 0, 1)
        else:
            team_run(self.team, perform_curved, job, parts_of(vectors, self.n_threads))

    cdef Py_ssize_t deltas_of_chunk(self, Py_ssize_t row, Py_ssize_t lowest) noexcept nogil:
        """The samples from `row` on through the net, and back to layer `lowest` for each output.

        Returns how many samples that are, with those that fill the last vector.
        """
        cdef Curved *c = &self.c
        cdef Plan *plan = &c.plan
        cdef Problem *p = &self.problem
        cdef double *work = self.work
        cdef Layer *layer
        cdef Layer *last = &plan.layers[plan.n_layers - 1]
        cdef Chunk chunk = at_desk(plan, row, min(c.samples, p.n_rows - row), 0)
        cdef double *kept = work + chunk.desk + (last.kept if last.kept >= 0 else last.a)
        cdef double *block = work
        cdef Py_ssize_t i, k
        gather_inputs(&p.x, plan, &chunk, work, 0, 1)
        gather(p.y, NULL, row, chunk.count, plan.n_targets, plan.lanes, work + chunk.y, 0, 1)
        forward_chunk(plan, work + plan.params, work, &chunk, 0)
        for k in range(c.n_outputs):
            block = work + k * c.stride
            curvature_root_f64(
                chunk.count, last.fan_out, k, work + chunk.desk + last.a, work + chunk.y, kept,
                block + delta_at(c, plan.n_layers - 1), block + c.residuals, p.step.loss,
                last.activation, loss_numbers_of(p.step), p.weighted)
            for i in range(plan.n_layers - 1, lowest, -1):
                layer = &plan.layers[i]
                c_propagate_delta(
                    chunk.n_vectors, layer.fan_in, layer.fan_out, 0, layer.fan_in, layer.panel,
                    work + plan.params + layer.coef, block + delta_at(c, i),
                    work + chunk.desk + plan.layers[i - 1].derived, block + delta_at(c, i - 1),
                    plan.layers[i - 1].derivative)
        return chunk.n_vectors * LANES_F64

    cdef bint factorise(self) except *:
        """U^T U = what is in the upper triangle, in place; whether all pivots are positive."""
        cdef Curved *c = &self.c
        cdef double *u = self.work + c.factor
        cdef double *panels = self.work + c.panels
        cdef Py_ssize_t top = 0, bottom, first, end, columns = c.n // LANES_F64
        cdef Py_ssize_t panel = FACTOR_ROWS * LANES_F64
        cdef CurvedJob job
        cdef bint positive
        job.x, job.c, job.step, job.panel = panels, u, c.step, panel
        while top < c.order:
            bottom = min(top + FACTOR_ROWS, round_up(c.order, TILE_ROWS))
            with nogil:
                positive = factor_block_f64(top, bottom, c.order, panel, panels, u, c.step,
                                            self.work + c.inverse)
                if positive:
                    job.phase, job.top, job.bottom = ROWS_OF_U, top, bottom
                    job.first, job.end = bottom // LANES_F64, columns
                    self.share(&job, 0.5 * (bottom - top)**2 * (job.end - job.first))
            if not positive:
                return False
            first = bottom // LANES_F64
            while first < columns:
                end = min(columns, first + max(1, <Py_ssize_t> (
                    PIECE // (<double> FACTOR_ROWS * c.n * LANES_F64))))
                with nogil:
                    job.phase, job.top, job.depth = LESS_PRODUCTS, bottom, bottom - top
                    job.first, job.end = first, end
                    self.share(&job, <double> job.depth * end * LANES_F64 * (end - first))
                PyErr_CheckSignals()
                first = end
            top = bottom
        return True

    cdef int substitute(self) except -1:
        """The solution of U h = the last column."""
        cdef Curved *c = &self.c
        cdef double *h = self.work + c.solution
        cdef Py_ssize_t i
        memset(h, 0, c.n * sizeof(double))
        for i in range(c.order):
            h[i] = self.work[c.factor + i * c.step + c.order]
        i = c.order
        while i > 0:
            with nogil:
                back_substitute_f64(max(0, i - 1024), i, c.order, self.work + c.factor, c.step,
                                    self.work + c.inverse, h)
            PyErr_CheckSignals()
            i -= 1024
        return 0


cdef class NormalEquations(DampedEquations):
    """J^T J and the gradient of a net's mean loss over all rows, and damped steps from them.

    Everything is in float64, in sums over the rows: `weight` times the means. `scale` is the
    largest entry of the diagonal. Parameters are those of `DampedEquations`, with
    normal_equations_size(layer_units, n_rows, weighted) bytes.
    """
    cdef readonly double steepest   # entry of the gradient, by its size
    cdef readonly bint by_pairs     # of layers, not by rows of J

    def __cinit__(self, *given, **named):
        check_places(self.problem.layer_units, self.problem.n_layers, self.problem.n_rows)
        self.lay_out(make_curved)
        self.by_pairs = self.c.n_pairs > 0
        set_products(&self.c, self.work)

    cdef bint factorise_with(self, double mu) except *:
        """U^T U = the matrix + mu I; whether all pivots are positive."""
        cdef Curved *c = &self.c
        cdef double *matrix = self.work + c.matrix
        cdef double *u = self.work + c.factor
        cdef Py_ssize_t i, first
        for i in range(c.n):
            first = i // TILE_ROWS * TILE_ROWS
            memcpy(u + i * c.step + first, matrix + i * c.step + first,
                   (c.n - first) * sizeof(double))
            if i < c.order:
                u[i * c.step + i] += mu
            look_now_and_then(i)
        return self.factorise()

    cdef void add_rows(self, Py_ssize_t padded) noexcept nogil:
        """Products of a chunk's rows of J, of so many samples."""
        cdef Curved *c = &self.c
        cdef Py_ssize_t k
        cdef CurvedJob job
        job.depth = padded * c.n_outputs
        for k in range(c.n_outputs):
            product_panels_f64(
                padded // LANES_F64, c.n, job.depth, 1, 0,
                <feature_product *> (self.work + c.products), self.work, self.work + k * c.stride,
                self.work + c.panels + k * padded * LANES_F64)
        job.phase, job.x, job.c = PRODUCTS, self.work + c.panels, self.work + c.matrix
        job.step, job.top, job.first, job.end = c.step, 0, 0, c.n // LANES_F64
        job.panel = job.depth * LANES_F64
        self.share(&job, 0.5 * job.depth * c.n * job.end)

    cdef void add_pairs(self, Py_ssize_t padded) noexcept nogil:
        """Products of a chunk's products, pair by pair."""
        cdef Curved *c = &self.c
        cdef Py_ssize_t vectors = padded // LANES_F64, i
        cdef Pair *pair = <Pair *> (self.work + c.pairs)
        cdef feature_product *a
        cdef feature_product *delta
        cdef CurvedJob job
        job.phase, job.depth = PAIR, padded
        job.rows, job.x = self.work + c.rows, self.work + c.panels
        for i in range(c.n_pairs):
            a = <feature_product *> (self.work + c.products) + pair.products
            delta = a + (pair.n_a if pair.rows_are_a else pair.columns)
            if pair.entries:
                product_rows_f64(vectors, pair.n_rows, 1, 0, a, self.work, self.work + c.rows)
                product_panels_f64(vectors, pair.columns, padded, 1, 0, a + pair.n_rows,
                                   self.work, self.work, job.x)
            elif pair.rows_are_a:
                product_rows_f64(vectors, pair.n_a, 1, 0, a, self.work, self.work + c.rows)
                product_panels_f64(vectors, pair.columns, padded, c.n_outputs, c.stride, delta,
                                   self.work, self.work, job.x)
            else:
                product_rows_f64(vectors, pair.n_delta, c.n_outputs, c.stride, delta, self.work,
                                 self.work + c.rows)
                product_panels_f64(vectors, pair.columns, padded, 1, 0, a, self.work, self.work,
                                   job.x)
            job.c, job.step, job.n_rows = self.work + pair.sums, pair.columns, pair.n_rows
            job.first, job.end = 0, pair.columns // LANES_F64
            self.share(&job, <double> padded * job.end * pair.n_rows)
            pair += 1

    cdef int clear(self) except -1:
        cdef Curved *c = &self.c
        cdef double *matrix = self.work + c.matrix
        cdef Py_ssize_t i
        if c.n_pairs:
            memset(self.work + c.sums, 0, (c.matrix - c.sums) * sizeof(double))
        for i in range(c.n):
            memset(matrix + i * c.step, 0, c.n * sizeof(double))
            look_now_and_then(i)
        return 0

    cdef int spread_pairs(self) except -1:
        """The pairs' sums to their places in the upper triangle."""
        cdef Curved *c = &self.c
        cdef Pair *pair = <Pair *> (self.work + c.pairs)
        cdef Py_ssize_t k, i, j, o, p, ij, op, low_at = 0, high_at = 0, d, e, a, b
        cdef Py_ssize_t n_layers = c.plan.n_layers
        cdef const double *sums
        cdef double *matrix = self.work + c.matrix
        cdef double value
        for k in range(c.n_pairs):
            a, d = c.layer_units[pair.low] + 1, c.layer_units[pair.low + 1]
            b, e = 1, 1
            if pair.high < n_layers:
                b, e = c.layer_units[pair.high] + 1, c.layer_units[pair.high + 1]
            if pair.low == pair.high:
                high_at = low_at
            sums, ij = self.work + pair.sums, 0
            for i in range(a * d if pair.entries else 0):
                look_now_and_then(i)
                for j in range(i if pair.low == pair.high else 0, b * e):
                    matrix[(low_at + i) * c.step + high_at + j] = sums[i * pair.columns + j]
            for i in range(0 if pair.entries else a):
                PyErr_CheckSignals()
                for j in range(i if pair.low == pair.high else 0, b):
                    op = 0
                    for o in range(d):
                        for p in range(o if pair.low == pair.high else 0, e):
                            if pair.rows_are_a:
                                value = sums[ij * pair.columns + op]
                            else:
                                value = sums[op * pair.columns + ij]
                            matrix[(low_at + i * d + o) * c.step + high_at + j * e + p] = value
                            if pair.low == pair.high and i < j:
                                matrix[(low_at + i * d + p) * c.step + high_at + j * e + o] = value
                            op += 1
                    ij += 1
            high_at += b * e
            if pair.high == n_layers:
                low_at += a * d
            pair += 1
        return 0

    def sum(self, params):
        """Sum the equations at these parameters."""
        cdef Curved *c = &self.c
        cdef Plan *plan = &c.plan
        cdef double *matrix = self.work + c.matrix
        cdef const double *plain = <double *> data_of(params, cnp.NPY_FLOAT64, 1)
        cdef double work = <double> c.samples * c.n_outputs * c.n * c.n, done
        cdef Py_ssize_t row = 0, i, j, at = 0
        same(cnp.PyArray_SIZE(params), c.n_params, "params")
        pack_params(plain, plan, self.work + plan.params)
        self.clear()
        while row < self.problem.n_rows:
            done = 0
            with nogil:
                while row < self.problem.n_rows and done < PIECE:
                    if c.n_pairs:
                        self.add_pairs(self.deltas_of_chunk(row, 0))
                    else:
                        self.add_rows(self.deltas_of_chunk(row, 0))
                    row += c.samples
                    done += work
            self.n_calls += 1
            PyErr_CheckSignals()
        if c.n_pairs:
            self.spread_pairs()
        if self.problem.step.alpha != 0:
            for i in range(plan.n_layers):
                for j in range(plan.layers[i].fan_in * plan.layers[i].fan_out):
                    matrix[(at + j) * c.step + at + j] += self.problem.step.alpha
                    matrix[(at + j) * c.step + c.order] += self.problem.step.alpha * plain[at + j]
                at += (plan.layers[i].fan_in + 1) * plan.layers[i].fan_out
        self.scale = self.steepest = 0
        for i in range(c.order):
            self.scale = larger_or_nan(self.scale, matrix[i * c.step + i])
            self.steepest = larger_or_nan(self.steepest, abs(matrix[i * c.step + c.order]))

    def penalise(self, params, strengths):
        """Add sum_i strengths_i params_i^2 / 2 to the loss that the equations are of."""
        cdef Curved *c = &self.c
        cdef double *matrix = self.work + c.matrix
        cdef const double *plain = <double *> data_of(params, cnp.NPY_FLOAT64, 1)
        cdef const double *by = <double *> data_of(strengths, cnp.NPY_FLOAT64, 1)
        cdef Py_ssize_t i
        same(cnp.PyArray_SIZE(params), c.n_params, "params")
        same(cnp.PyArray_SIZE(strengths), c.n_params, "strengths")
        for i in range(c.order):
            matrix[i * c.step + i] += by[i]
            matrix[i * c.step + c.order] += by[i] * plain[i]

    def inverse(self, double mu, out):
        """out = (J^T J + mu I)^-1, (n_params, n_params), and the logarithm of the determinant.

        None if the matrix is not positive definite in float64. Only for matrices as small as one
        wants to hold; signals are looked at between its columns.
        """
        cdef Curved *c = &self.c
        cdef double *u = self.work + c.factor
        cdef double *h = self.work + c.solution
        cdef const double *by = self.work + c.inverse
        cdef double *to = <double *> data_of(out, cnp.NPY_FLOAT64, 2, True)
        cdef double determinant = 0
        cdef Py_ssize_t i, j, k, P = c.n_params
        same(cnp.PyArray_DIM(out, 0), P, "out")
        same(cnp.PyArray_DIM(out, 1), P, "a row of out")
        if not self.factorise_with(mu):
            return None
        for i in range(P):          # row i of out: column i of U^-1, for the time being
            memset(h, 0, c.n * sizeof(double))
            h[i] = by[i]
            determinant -= 2 * log(by[i])
            with nogil:
                back_substitute_f64(0, i, i + 1, u, c.step, by, h)
            memcpy(to + i * P, h, P * sizeof(double))
            PyErr_CheckSignals()
        for i in range(P):          # U^-1 U^-T; rows of U^-1 end at the right, so sums are short
            for j in range(i, P):
                h[j] = 0
            with nogil:
                for k in range(i, P):
                    for j in range(i, k + 1):
                        h[j] += to[k * P + i] * to[k * P + j]
            for j in range(i, P):
                u[i * c.step + j] = h[j]
            PyErr_CheckSignals()
        for i in range(P):
            for j in range(i, P):
                to[i * P + j] = to[j * P + i] = u[i * c.step + j]
        return determinant

    def solve(self, double mu, step):
        """step = -(J^T J + mu I)^-1 g, and how much less the loss should be after it.

        None if the matrix is not positive definite in float64.
        """
        cdef Curved *c = &self.c
        cdef double *matrix = self.work + c.matrix
        cdef double *out = <double *> data_of(step, cnp.NPY_FLOAT64, 1, True)
        cdef double *h = self.work + c.solution
        cdef double less = 0
        cdef Py_ssize_t i
        same(cnp.PyArray_SIZE(step), c.n_params, "step")
        if not self.factorise_with(mu):
            return None
        self.substitute()
        for i in range(c.order):
            less += h[i] * (mu * h[i] + matrix[i * c.step + c.order])
            out[i] = -h[i]
        return 0.5 * less

    def jacobian(self, params):
        """J, (n_rows n_outputs, n_params), and q, (n_rows n_outputs,), for other uses."""
        cdef Curved *c = &self.c
        cdef Problem *p = &self.problem
        cdef Py_ssize_t row = 0, s, k, low, i, j, padded, P = c.n_params
        cdef Plan *plan = &c.plan
        cdef cnp.npy_intp[2] shape
        cdef double *block
        cdef double *to
        cdef Feature a, delta
        cdef const double *plain = <double *> data_of(params, cnp.NPY_FLOAT64, 1)
        same(cnp.PyArray_SIZE(params), P, "params")
        shape[0], shape[1] = p.n_rows * c.n_outputs, P
        both = cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT64, 0)
        residuals = cnp.PyArray_EMPTY(1, shape, cnp.NPY_FLOAT64, 0)
        cdef double *out = <double *> cnp.PyArray_DATA(both)
        cdef double *q = <double *> cnp.PyArray_DATA(residuals)
        pack_params(plain, plan, self.work + plan.params)
        while row < p.n_rows:
            with nogil:
                padded = self.deltas_of_chunk(row, 0)
                for s in range(min(c.samples, p.n_rows - row)):
                    for k in range(c.n_outputs):
                        block = self.work + k * c.stride
                        to = out + ((row + s) * c.n_outputs + k) * P
                        q[(row + s) * c.n_outputs + k] = block[c.residuals + s]
                        for low in range(plan.n_layers):
                            for i in range(plan.layers[low].fan_in + 1):
                                a = activation_into(c, low, i)
                                for j in range(plan.layers[low].fan_out):
                                    delta = delta_of(c, low, j)
                                    to[0] = (of_sample(self.work, a, s, padded)
                                             * of_sample(block, delta, s, padded))
                                    to += 1
            row += c.samples
            PyErr_CheckSignals()
        return both, residuals

    def equations(self):
        """The matrix (n_params, n_params) and the gradient (n_params,), copied."""
        cdef Py_ssize_t i, j, P = self.c.n_params
        cdef double *matrix = self.work + self.c.matrix
        cdef cnp.npy_intp[2] shape
        shape[0] = shape[1] = P
        both = cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT64, 0)
        gradient = cnp.PyArray_EMPTY(1, shape, cnp.NPY_FLOAT64, 0)
        cdef double *to = <double *> cnp.PyArray_DATA(both)
        cdef double *g = <double *> cnp.PyArray_DATA(gradient)
        for i in range(P):
            g[i] = matrix[i * self.c.step + P]
            for j in range(i, P):
                to[i * P + j] = to[j * P + i] = matrix[i * self.c.step + j]
        return both, gradient


cdef Py_ssize_t bytes_of_equations(
    const Py_ssize_t *layer_units, Py_ssize_t n_layers, Py_ssize_t n_rows, bint weighted,
    make_workspace make,
) noexcept nogil:
    cdef Curved c
    make(&c, layer_units, NULL, n_layers, 0, n_rows, weighted, NULL)
    return round_up(n_layers * <Py_ssize_t> sizeof(Layer), 128) + 8 * c.size


def normal_equations_size(const Py_ssize_t[::1] layer_units, Py_ssize_t n_rows, bint weighted):
    """Bytes of workspace that `NormalEquations` takes."""
    cdef Py_ssize_t n_layers = layer_units.shape[0] - 1
    count_params(&layer_units[0], n_layers + 1, n_layers)
    enough(n_rows, 1, "the rows")
    check_places(&layer_units[0], n_layers, n_rows)
    return bytes_of_equations(&layer_units[0], n_layers, n_rows, weighted, make_curved)
