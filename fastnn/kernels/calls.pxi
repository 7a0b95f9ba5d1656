# The short way from Python: arrays that need nothing done to them go straight to the kernels.
#
# Everything here either does the whole job or says that it did nothing; the caller then goes the
# long way, which converts what can be converted and names what is wrong. Arrays are looked at
# through NumPy's C interface, in nanoseconds; a typed argument of a function takes half a
# microsecond.

cdef inline bint is_plain(object array, int type_number, int ndim) noexcept:
    """Whether array is exactly an ndarray of that type and dimensions that kernels can read."""
    return (cnp.PyArray_CheckExact(array) and cnp.PyArray_TYPE(array) == type_number
            and cnp.PyArray_NDIM(array) == ndim and cnp.PyArray_ISCARRAY_RO(array))


cdef inline bint is_finite(object array) noexcept:
    """Whether every number of a plain array is finite."""
    if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT32:
        return c_all_finite(<const float *> cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array))
    return c_all_finite(<const double *> cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array))


cdef object described(object array):
    """What an array is, in a line."""
    if not cnp.PyArray_Check(array):
        return type(array).__name__
    how = "" if cnp.PyArray_ISWRITEABLE(array) else ", read-only"
    return f"{type(array).__name__} of {array.dtype}, shape {array.shape}{how}"


cdef void *data_of(object array, int type_number, int ndim, bint written=False) except? NULL:
    """Where the numbers of a plain array are."""
    if not is_plain(array, type_number, ndim) or written and not cnp.PyArray_ISWRITEABLE(array):
        raise TypeError(f"not an array that kernels can use: {described(array)}")
    return cnp.PyArray_DATA(array)


cdef enum:
    SHORT = 10000           # numbers; to look at more takes longer than the long way's first steps
    ONE_PART = 1024         # rows: a mean over more may be one of parts (training/objective.py)
    BRIEF = 1000000         # multiply-adds for which other threads may wait


cdef inline bint has_shape(
    object array, int type_number, Py_ssize_t n_rows, Py_ssize_t n_columns
) noexcept:
    """`is_matrix`."""
    return (is_plain(array, type_number, 2) and cnp.PyArray_DIM(array, 0) == n_rows
            and cnp.PyArray_DIM(array, 1) == n_columns)


def is_matrix(array, int type_number, Py_ssize_t n_rows, Py_ssize_t n_columns):
    """Whether array is an ndarray (n_rows, n_columns) as kernels read it.

    type_number is its dtype's num.
    """
    return has_shape(array, type_number, n_rows, n_columns)


def is_ready(array, int type_number, Py_ssize_t n_columns):
    """Whether array is an ndarray (n, n_columns), n >= 1, of finite numbers, as kernels read it.

    False for large arrays, too, which the caller looks at by itself.
    """
    return (is_plain(array, type_number, 2) and cnp.PyArray_DIM(array, 1) == n_columns
            and 0 < cnp.PyArray_SIZE(array) < SHORT and is_finite(array))


def holds(objects, tuple names, tuple values):
    """Whether the attributes `names` of each object, in order, are these very values.

    Arrays are coefs and intercepts in turn, and must still have shapes that go together.
    """
    cdef Py_ssize_t i = 0, n_names = len(names), n_values = len(values)
    for one in objects:
        if i + n_names > n_values:
            return False
        for name in names:
            if getattr(one, name, None) is not <object> PyTuple_GET_ITEM(values, i):
                return False
            i += 1
    if i != n_values or i == 0:
        return i == n_values
    return not cnp.PyArray_CheckExact(<object> PyTuple_GET_ITEM(values, 0)) or are_layers(values)


cdef bint are_layers(tuple arrays) noexcept:
    """Whether arrays, coefs and intercepts in turn, still are those of layers."""
    cdef Py_ssize_t i, units = -1
    cdef int ndim
    cdef PyObject *array
    for i in range(len(arrays)):
        array = PyTuple_GET_ITEM(arrays, i)
        ndim = cnp.PyArray_NDIM(<cnp.ndarray> array)
        if i % 2 == 1:
            if (ndim == 0 or cnp.PyArray_DIM(<cnp.ndarray> array, ndim - 1) != units
                    or cnp.PyArray_SIZE(<cnp.ndarray> array) != units):
                return False
        elif ndim != 2 or (i > 0 and cnp.PyArray_DIM(<cnp.ndarray> array, 0) != units):
            return False
        else:
            units = cnp.PyArray_DIM(<cnp.ndarray> array, 1)
    return True


cdef bint is_apart(object array, object other) noexcept:
    """Whether two plain arrays share no memory."""
    cdef const char *a = <const char *> cnp.PyArray_DATA(array)
    cdef const char *b = <const char *> cnp.PyArray_DATA(other)
    return a + cnp.PyArray_NBYTES(array) <= b or b + cnp.PyArray_NBYTES(other) <= a


cdef bint are_targets(const real *y, Py_ssize_t n_rows, Py_ssize_t n_columns, double low,
                      double high, bint rows_sum_to_one) noexcept:
    """Whether y is between low and high, and each row sums to 1 if it must."""
    cdef Py_ssize_t i, j
    cdef double total, epsilon = 1.1920929e-07 if sizeof(real) == 4 else 2.220446049250313e-16
    for i in range(n_rows):
        total = 0
        for j in range(n_columns):
            if not low <= y[j] <= high:
                return False
            total += y[j]
        if rows_sum_to_one and not abs(total - 1) <= 4 * epsilon * n_columns:
            return False
        y += n_columns
    return True


cdef bint are_fit(
    object params, object x, object y, Py_ssize_t n_rows, Py_ssize_t n_features,
    Py_ssize_t n_outputs, double low, double high, bint rows_sum_to_one
) noexcept:
    """`can_train`."""
    cdef int number = cnp.PyArray_TYPE(params)
    if n_rows <= 0 and is_plain(x, number, 2):
        n_rows = cnp.PyArray_DIM(x, 0)
    if not (n_rows > 0 and has_shape(x, number, n_rows, n_features)
            and has_shape(y, number, n_rows, n_outputs)
            and is_finite(params) and is_finite(x) and is_finite(y)
            and is_apart(params, x) and is_apart(params, y)):
        return False
    if number == cnp.NPY_FLOAT32:
        return are_targets(<const float *> cnp.PyArray_DATA(y), n_rows, n_outputs, low, high,
                           rows_sum_to_one)
    return are_targets(<const double *> cnp.PyArray_DATA(y), n_rows, n_outputs, low, high,
                       rows_sum_to_one)


def can_train(
    params, x, y, Py_ssize_t n_rows, Py_ssize_t n_features, Py_ssize_t n_outputs, double low,
    double high, bint rows_sum_to_one,
):
    """Whether params may be trained on x and y without another look.

    x, (n_rows, n_features), and y, (n_rows, n_outputs), are plain arrays of the type of params
    that share no memory with it, which may be written to; all are finite; targets are between low
    and high, and each row sums to 1 if it must. n_rows 0: any number of them.
    """
    return cnp.PyArray_ISWRITEABLE(params) and are_fit(
        params, x, y, n_rows, n_features, n_outputs, low, high, rows_sum_to_one)


cdef double loss_of_arrays(
    object x, object y, object layer_units, object activations, int loss, double alpha,
    const real *params, real *grads
) except? -1:
    """`short_loss`, of arrays that were looked at."""
    cdef Py_ssize_t n_rows = cnp.PyArray_DIM(x, 0), n_layers = cnp.PyArray_SIZE(activations), size
    cdef const Py_ssize_t *units = <Py_ssize_t *> data_of(layer_units, cnp.NPY_INTP, 1)
    cdef const int *codes = <int *> data_of(activations, cnp.NPY_INT32, 1)
    cdef const real *targets = <const real *> cnp.PyArray_DATA(y)
    cdef unsigned char *memory
    cdef unsigned char *workspace
    cdef double value
    cdef Plan plan
    cdef Rows rows
    memset(&rows, 0, sizeof(rows))
    rows.values = cnp.PyArray_DATA(x)
    make_plan(&plan, units, NULL, n_layers, -1, n_rows, sizeof(real), -1, 1, False, NULL)
    size = round_up(n_layers * <Py_ssize_t> sizeof(Layer), 128) + plan.size * sizeof(real)
    memory = <unsigned char *> PyMem_RawMalloc(128 + size)
    if memory == NULL:
        raise MemoryError
    workspace = <unsigned char *> round_up(<Py_ssize_t> memory, 128)
    if n_rows * plan.packed_size < BRIEF:
        value = loss_of_net(params, units, codes, n_layers, loss, NULL, alpha, &rows, targets,
                            n_rows, False, workspace, grads)
    else:
        with nogil:
            value = loss_of_net(params, units, codes, n_layers, loss, NULL, alpha, &rows,
                                targets, n_rows, False, workspace, grads)
    PyMem_RawFree(memory)
    return value


def short_loss(
    params, layer_units, activations, x, y, int loss, alpha, double low, double high,
    bint rows_sum_to_one, grads,
):
    """`loss_and_grad` if params, x and y are as `can_train` wants them; or None.

    grads is None for the loss alone. None as well if alpha is no finite float >= 0, or if there
    are so many rows that the work is cut into parts.
    """
    cdef int number = cnp.PyArray_TYPE(params)
    cdef double strength = alpha if type(alpha) is float else -1.0
    cdef Py_ssize_t n_layers = cnp.PyArray_SIZE(activations)
    cdef const Py_ssize_t *units = <Py_ssize_t *> data_of(layer_units, cnp.NPY_INTP, 1)
    cdef void *data = data_of(params, number, 1)
    cdef void *out = NULL if grads is None else data_of(grads, number, 1, True)
    same(cnp.PyArray_SIZE(params),
         count_params(units, cnp.PyArray_SIZE(layer_units), n_layers), "params")
    if grads is not None:
        same(cnp.PyArray_SIZE(grads), cnp.PyArray_SIZE(params), "grads")
    if not (strength >= 0 and isfinite(strength)
            and is_plain(x, number, 2) and cnp.PyArray_DIM(x, 0) <= ONE_PART
            and are_fit(params, x, y, 0, units[0], units[n_layers], low, high, rows_sum_to_one)):
        return None
    if number == cnp.NPY_FLOAT32:
        return loss_of_arrays(x, y, layer_units, activations, loss, strength, <float *> data,
                              <float *> out)
    return loss_of_arrays(x, y, layer_units, activations, loss, strength, <double *> data,
                          <double *> out)


def aligned_bytes(Py_ssize_t n_bytes, bint zeros):
    """n_bytes at a multiple of 128, zeros or uninitialised."""
    cdef cnp.npy_intp size = n_bytes + 128
    raw = (cnp.PyArray_ZEROS(1, &size, cnp.NPY_UINT8, 0) if zeros
           else cnp.PyArray_EMPTY(1, &size, cnp.NPY_UINT8, 0))
    cdef Py_ssize_t at = <Py_ssize_t> cnp.PyArray_DATA(raw), start = round_up(at, 128) - at
    return raw[start:start + n_bytes]


def views_of(vector, tuple shapes):
    """Views of consecutive parts of a plain vector, of one or two dimensions."""
    cdef Py_ssize_t at = 0, size
    cdef int number = cnp.PyArray_TYPE(vector)
    cdef char *data = <char *> data_of(vector, number, 1, True)
    cdef cnp.npy_intp[2] dims
    cdef list views = []
    for shape in shapes:
        dims[0], dims[1] = shape[0], shape[1] if len(shape) > 1 else 1
        size = dims[0] * dims[1]
        if min(dims[0], dims[1]) < 0 or at + size > cnp.PyArray_SIZE(vector):
            raise ValueError("the shapes need more numbers than the vector has")
        view = cnp.PyArray_SimpleNewFromData(
            len(shape), dims, number, data + at * cnp.PyArray_ITEMSIZE(vector))
        cnp.set_array_base(view, vector)
        views.append(view)
        at += size
    return views


def give_views(objects, tuple names, vector, tuple shapes):
    """Views of a vector, as attributes `names` of each object in order; returns the views."""
    cdef Py_ssize_t i = 0
    cdef list views = views_of(vector, shapes), all_objects = list(objects)
    if len(all_objects) * len(names) != len(views):
        raise ValueError(f"{len(views)} arrays for {len(all_objects)} layers: others came or went")
    for one in all_objects:
        for name in names:
            setattr(one, name, views[i])
            i += 1
    return tuple(views)


cdef enum:
    AT_ONCE = 100000000     # multiply-adds, some milliseconds, for which Ctrl-C may wait


cdef class Forward:
    """Forward passes through one net.

    Forward([W, b, W, b, ...], activations): coefs (fan_in, fan_out) and intercepts of any shape of
    fan_out numbers, all of one type. They are read where they are at each call.
    """
    cdef tuple arrays
    cdef object codes       # which activations points into
    cdef const int *activations
    cdef Py_ssize_t n_layers
    cdef int type_number

    def __cinit__(self, arrays, activations):
        self.arrays, self.codes = tuple(arrays), activations
        self.activations = <int *> data_of(activations, cnp.NPY_INT32, 1)
        self.n_layers = cnp.PyArray_SIZE(activations)
        if self.n_layers == 0 or len(self.arrays) != 2 * self.n_layers:
            raise ValueError("there must be a W and a b for each activation")
        self.type_number = arrays[0].dtype.num

    def __call__(self, x, bint every=False):
        """The output for rows x, (n, units), or every layer's side by side; or None.

        None if x is not a plain array of the right type and width, if a number of x or of the net
        is not finite, or if there are so many rows that the work should be shared or interrupted.
        """
        if not is_plain(x, self.type_number, 2):
            return None
        if self.type_number == cnp.NPY_FLOAT32:
            return self.forward(x, <const float *> cnp.PyArray_DATA(x), every)
        if self.type_number == cnp.NPY_FLOAT64:
            return self.forward(x, <const double *> cnp.PyArray_DATA(x), every)
        return None

    cdef object forward(self, object array, const real *x, bint every):
        cdef Py_ssize_t n_layers = self.n_layers, n_rows = cnp.PyArray_DIM(array, 0)
        cdef Py_ssize_t n_params = 0, width = 0, i
        cdef Py_ssize_t *units
        cdef cnp.npy_intp[2] shape
        if n_rows == 0 or not is_finite(array):
            return None
        units = <Py_ssize_t *> PyMem_RawMalloc((n_layers + 1) * sizeof(Py_ssize_t))
        if units == NULL:
            raise MemoryError
        try:
            units[0] = cnp.PyArray_DIM(array, 1)
            for i in range(n_layers):
                W, b = self.arrays[2 * i], self.arrays[2 * i + 1]
                if not (is_plain(W, self.type_number, 2) and cnp.PyArray_CheckExact(b)
                        and is_plain(b, self.type_number, cnp.PyArray_NDIM(b))
                        and cnp.PyArray_DIM(W, 0) == units[i]
                        and 0 < cnp.PyArray_DIM(W, 1) == cnp.PyArray_SIZE(b)
                        and is_finite(W) and is_finite(b)):
                    return None
                units[i + 1] = cnp.PyArray_DIM(W, 1)
                n_params += (units[i] + 1) * units[i + 1]
                width = units[i + 1] + (width if every else 0)
            if n_rows * n_params > AT_ONCE:
                return None
            shape[0], shape[1] = n_rows, width
            out = cnp.PyArray_EMPTY(2, shape, self.type_number, 0)
            if n_rows <= few_rows_of(n_params * sizeof(real)):
                self.few_rows(units, n_params, x, n_rows, <real *> cnp.PyArray_DATA(out), width)
            else:
                self.many_rows(units, n_params, x, n_rows, <real *> cnp.PyArray_DATA(out), width)
            return out
        finally:
            PyMem_RawFree(units)

    cdef void few_rows(
        self, const Py_ssize_t *units, Py_ssize_t n_params, const real *x, Py_ssize_t n_rows,
        real *out, Py_ssize_t width
    ) except *:
        """From the arrays where they are."""
        cdef Py_ssize_t n_layers = self.n_layers, i, widest = 0
        cdef Py_ssize_t step = units[0], a_step
        cdef const int *codes = self.activations
        cdef const real *W
        cdef const real *b
        cdef real *scratch = NULL
        cdef real *a
        cdef bint every = width > units[n_layers] or n_layers == 1
        if not every:
            for i in range(1, n_layers):
                widest = max(widest, units[i])
            scratch = <real *> PyMem_RawMalloc(2 * n_rows * widest * sizeof(real))
            if scratch == NULL:
                raise MemoryError
        for i in range(n_layers):
            if every or i == n_layers - 1:
                a, a_step = out, width
                out += units[i + 1]
            else:
                a, a_step = scratch + i % 2 * n_rows * widest, units[i + 1]
            W = <const real *> cnp.PyArray_DATA(self.arrays[2 * i])
            b = <const real *> cnp.PyArray_DATA(self.arrays[2 * i + 1])
            if n_rows * n_params < BRIEF:
                c_rows_forward(n_rows, units[i], units[i + 1], W, b, x, step, a, a_step,
                               codes[i])
            else:
                with nogil:
                    c_rows_forward(n_rows, units[i], units[i + 1], W, b, x, step, a, a_step,
                                   codes[i])
            x, step = a, a_step
        PyMem_RawFree(scratch)

    cdef void many_rows(
        self, const Py_ssize_t *units, Py_ssize_t n_params, const real *x, Py_ssize_t n_rows,
        real *out, Py_ssize_t width
    ) except *:
        """As `forward`, from the arrays side by side."""
        cdef Py_ssize_t n_layers = self.n_layers, size
        cdef const int *activations = self.activations
        cdef Plan plan
        cdef Rows rows
        cdef unsigned char *memory
        cdef unsigned char *workspace
        cdef real *params
        make_plan(&plan, units, NULL, n_layers, -1, n_rows, sizeof(real), -1, 1, False, NULL)
        size = round_up(n_layers * <Py_ssize_t> sizeof(Layer), 128) + plan.size * sizeof(real)
        memory = <unsigned char *> PyMem_RawMalloc(128 + size + n_params * sizeof(real))
        if memory == NULL:
            raise MemoryError
        workspace = <unsigned char *> round_up(<Py_ssize_t> memory, 128)
        params = <real *> (workspace + size)
        for array in self.arrays:
            memcpy(params, cnp.PyArray_DATA(array), cnp.PyArray_NBYTES(array))
            params += cnp.PyArray_SIZE(array)
        params -= n_params
        memset(&rows, 0, sizeof(rows))
        rows.values = x
        if n_rows * n_params < BRIEF:
            forward_net(params, units, activations, n_layers, &rows, n_rows, workspace, out,
                        width, False)
        else:
            with nogil:
                forward_net(params, units, activations, n_layers, &rows, n_rows, workspace, out,
                            width, False)
        PyMem_RawFree(memory)


cdef class Epochs:
    """The calls of `train_epoch` for one run, with its arrays looked at once.

    Parameters are train_epoch's. `begin` takes those that differ from call to call, which must
    stay as they are until `end`. status, epoch and n_steps are the cursor's; n_calls is how many
    compiled calls there were.
    """
    cdef Training t
    cdef int type_number
    cdef tuple arrays       # which t points into
    cdef tuple data
    cdef Py_ssize_t n_params, longest       # longest: the length of loss_curve
    cdef Py_ssize_t epochs_before       # a seek
    cdef readonly Py_ssize_t n_calls

    def __cinit__(self, packed_rows, layer_units, activations, step, workspace, cursor):
        cdef int number = packed_rows.dtype.num
        if number != cnp.NPY_FLOAT32 and number != cnp.NPY_FLOAT64:
            raise TypeError("packed_rows must be float32 or float64")
        self.type_number = number
        self.arrays = packed_rows, layer_units, activations, step, workspace, cursor
        memset(&self.t, 0, sizeof(Training))
        self.t.packed = data_of(packed_rows, number, 2, True)
        self.t.n_states = cnp.PyArray_DIM(packed_rows, 0) - 1
        if self.t.n_states:
            self.t.states = <char *> self.t.packed + (
                cnp.PyArray_DIM(packed_rows, 1) * cnp.PyArray_ITEMSIZE(packed_rows))
        self.t.layer_units = <Py_ssize_t *> data_of(layer_units, cnp.NPY_INTP, 1)
        self.t.n_layers = cnp.PyArray_SIZE(layer_units) - 1
        self.t.activations = <int *> data_of(activations, cnp.NPY_INT32, 1)
        self.t.step = <Step *> data_of(step, cnp.NPY_UINT8, 1)
        self.t.workspace = <unsigned char *> data_of(workspace, cnp.NPY_UINT8, 1, True)
        self.t.cursor = <Cursor *> data_of(cursor, cnp.NPY_UINT8, 1, True)
        check_net(&self.t, -1, cnp.PyArray_SIZE(activations), cnp.PyArray_DIM(packed_rows, 1),
                  cnp.PyArray_SIZE(step), cnp.PyArray_SIZE(workspace), cnp.PyArray_SIZE(cursor),
                  cnp.PyArray_ITEMSIZE(packed_rows), False)
        if not self.t.step.budget > 0:
            raise ValueError(f"a budget of {self.t.step.budget} ends no call")
        self.n_params = count_params(self.t.layer_units, self.t.n_layers + 1, self.t.n_layers)

    @property
    def status(self):
        return self.t.cursor.status

    @property
    def epoch(self):
        return self.t.cursor.epoch

    @property
    def epochs_done(self):
        """All that there ever were: no interrupt comes between an epoch and this."""
        return self.epochs_before + self.t.cursor.epoch

    @property
    def n_steps(self):
        return self.t.cursor.step

    @n_steps.setter
    def n_steps(self, Py_ssize_t n):
        self.t.cursor.step = n

    @property
    def last_loss(self):
        return self.t.cursor.last_loss

    @last_loss.setter
    def last_loss(self, double loss):
        self.t.cursor.last_loss = loss

    def seek(self, Py_ssize_t epoch):
        """Go on with this epoch of loss_curve."""
        if epoch < 0:
            raise ValueError(f"epoch is {epoch}")
        self.epochs_before += self.t.cursor.epoch - epoch
        self.t.cursor.epoch, self.t.cursor.row = epoch, 0

    def begin(
        self, params, x, columns, row_starts, y, order, team, loss_curve, output,
        bit_generator=None, stopping=None, kept=None, schedule=None,
    ):
        """Train params on these data from now on; a schedule begins with the next step."""
        cdef Training *t = &self.t
        cdef Py_ssize_t n_stored = 0, n_outputs = t.layer_units[t.n_layers]
        self.data = None
        t.params = data_of(params, self.type_number, 1, True)
        same(cnp.PyArray_SIZE(params), self.n_params, "params")
        t.y = data_of(y, self.type_number, 2)
        t.n_rows, t.n_targets = cnp.PyArray_DIM(y, 0), cnp.PyArray_DIM(y, 1)
        check_targets(t)
        if t.n_targets > n_outputs:
            enough(cnp.PyArray_SIZE(self.arrays[4]),
                   bytes_of_workspace(t.layer_units, t.n_layers, t.step.batch_size,
                                      cnp.PyArray_ITEMSIZE(params), t.n_states,
                                      max(1, t.step.n_threads), True), "workspace")
        t.x.values = data_of(x, self.type_number, 2)
        t.x.columns, t.x.starts, t.order = NULL, NULL, NULL
        if cnp.PyArray_SIZE(row_starts):
            t.x.columns = <int *> data_of(columns, cnp.NPY_INT32, 1)
            t.x.starts = <Py_ssize_t *> data_of(row_starts, cnp.NPY_INTP, 1)
            n_stored = cnp.PyArray_SIZE(columns)
        check_rows(&t.x, t.n_rows, t.layer_units[0], cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1),
                   n_stored, cnp.PyArray_SIZE(row_starts))
        if order is not None and cnp.PyArray_SIZE(order):
            t.order = <Py_ssize_t *> data_of(order, cnp.NPY_INTP, 1, bit_generator is not None)
            same(cnp.PyArray_SIZE(order), t.n_rows, "order")
        t.team = NULL
        if team is not None:
            t.team = data_of(team, cnp.NPY_UINT8, 1, True)
            enough(cnp.PyArray_SIZE(team), team_bytes(t.step.n_threads), "team")
        t.loss_curve = <double *> data_of(loss_curve, cnp.NPY_FLOAT64, 1, True)
        self.longest = cnp.PyArray_SIZE(loss_curve)
        t.output = NULL
        if output is not None:
            t.output = data_of(output, self.type_number, 2, True)
            same(cnp.PyArray_DIM(output, 0), t.n_rows, "output")
            same(cnp.PyArray_DIM(output, 1), n_outputs, "a row of output")
        t.generator = NULL
        if bit_generator is not None:
            if t.order == NULL:
                raise ValueError("bit_generator needs an order to shuffle")
            t.generator = generator_of(bit_generator)
        t.rule, t.kept = NULL, NULL
        if stopping is not None:
            enough(cnp.PyArray_SIZE(stopping), sizeof(Stopping), "stopping")
            t.rule = <Stopping *> data_of(stopping, cnp.NPY_UINT8, 1, True)
            t.kept = data_of(kept, self.type_number, 2, True)
            same(cnp.PyArray_DIM(kept, 0), 2, "kept")
            same(cnp.PyArray_DIM(kept, 1), cnp.PyArray_DIM(self.arrays[0], 1), "a row of kept")
        t.schedule = NULL
        if schedule is not None:
            t.schedule = <double *> data_of(schedule, cnp.NPY_FLOAT64, 2)
            t.n_schedule = cnp.PyArray_DIM(schedule, 0)
            enough(t.n_schedule, 1, "schedule")
            same(cnp.PyArray_DIM(schedule, 1), 3, "a row of schedule")
            t.cursor.schedule = t.cursor.step
        self.data = (params, x, columns, row_starts, y, order, team, loss_curve, output,
                     bit_generator, stopping, kept, schedule)

    def until(self, Py_ssize_t stop):
        """Train until `stop` epochs are done, or for as long as the numbers are finite.

        cursor.status says which. Ctrl-C is answered between two compiled calls.
        """
        if self.data is None:
            raise RuntimeError("there are no data to train on")
        enough(self.longest, stop, "loss_curve")
        self.train_until(stop)

    cdef int train_until(self, Py_ssize_t stop) except -1:
        self.t.cursor.status, self.t.cursor.stop = START, stop
        while self.t.cursor.status < FINISHED:
            with nogil:
                if self.type_number == cnp.NPY_FLOAT32:
                    train_net(&self.t, <float *> self.t.params)
                else:
                    train_net(&self.t, <double *> self.t.params)
            self.n_calls += 1
            PyErr_CheckSignals()
        return 0

    def one(self, params, x, y, loss_curve):
        """An epoch on dense rows in their order, by one thread, of a copy of params.

        Returns the copy and the outputs before its steps, or None if x and y are no plain arrays
        of the right type and shape: those of a batch of all rows. The first of loss_curve takes
        the loss. cursor.status says whether all numbers are finite.
        """
        cdef Training *t = &self.t
        cdef Py_ssize_t n_rows = t.step.batch_size
        cdef cnp.npy_intp[2] shape
        shape[0], shape[1] = n_rows, t.layer_units[t.n_layers]
        if not (has_shape(x, self.type_number, n_rows, t.layer_units[0])
                and has_shape(y, self.type_number, n_rows, shape[1])):
            return None
        trained = cnp.PyArray_NewCopy(params, cnp.NPY_CORDER)
        outputs = cnp.PyArray_EMPTY(2, shape, self.type_number, 0)
        self.data = None
        t.params = data_of(trained, self.type_number, 1, True)
        same(cnp.PyArray_SIZE(trained), self.n_params, "params")
        memset(&t.x, 0, sizeof(Rows))
        t.x.values, t.y = cnp.PyArray_DATA(x), cnp.PyArray_DATA(y)
        t.output = cnp.PyArray_DATA(outputs)
        t.n_rows, t.n_targets = n_rows, shape[1]
        t.loss_curve = <double *> data_of(loss_curve, cnp.NPY_FLOAT64, 1, True)
        enough(cnp.PyArray_SIZE(loss_curve), 1, "loss_curve")
        t.order, t.team, t.generator, t.rule, t.kept = NULL, NULL, NULL, NULL, NULL
        t.schedule = NULL
        self.seek(0)
        self.train_until(1)
        return trained, outputs

    def end(self):
        """Let go of the data."""
        self.data = None
