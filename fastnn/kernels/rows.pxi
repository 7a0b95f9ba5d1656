# Rows of inputs and targets to tiles of samples, and back.

cdef struct Rows:           # inputs
    const void *values      # (n, n_features), or the stored values of sparse rows
    const int *columns      # of the stored values
    const Py_ssize_t *starts    # where each sparse row begins, and the last ends; NULL: dense
    const Py_ssize_t *order     # in which rows are used; NULL: as they are

cdef struct Noise:          # of one step of training
    int64_t seed, step
    Py_ssize_t start        # the batch's first row
    const double *rates     # of each layer's dropout, or NULL
    double factor           # of these rates
    double size             # standard deviation of what is added to inputs, or 0

cdef struct Chunk:
    Py_ssize_t row, count, n_vectors    # first row in the epoch's order, samples, vectors
    Py_ssize_t x, y, desk, slice        # in the workspace
    bint fresh                          # the first of its slice
    bint last                           # of a batch of one slice: the solver steps after it
    const Noise *noise                  # NULL: there is none
    const Rows *sparse                  # rows for the first layer as they are stored; NULL: tiles


cdef inline Py_ssize_t next_tile(Py_ssize_t left, Py_ssize_t lanes) noexcept nogil:
    """Samples in the next tile of those left, padded to whole vectors."""
    return lanes * tile_vectors((left + lanes - 1) // lanes)


cdef void gather(
    const real *rows,               # IN  (any, n_features)
    const Py_ssize_t *order,        # IN  which rows; NULL: as they are
    Py_ssize_t first,
    Py_ssize_t n_samples,
    Py_ssize_t n_features,
    Py_ssize_t lanes,
    real *out,                      # OUT tiles; absent samples repeat the last row
    int part,
    int parts,
) noexcept nogil:
    cdef Py_ssize_t start = 0, width, s, row, padded = round_up(n_samples, lanes), f0, f1
    cdef const real *sources[MAX_TILE]
    # parts are whole vectors of features; the last takes the rest
    f0 = share(max(1, n_features // lanes), 1, part, parts) * lanes
    f1 = share(max(1, n_features // lanes), 1, part + 1, parts) * lanes
    if part == parts - 1:
        f1 = n_features
    if f0 == f1:
        return
    while start < padded:
        width = next_tile(padded - start, lanes)
        if order == NULL and n_features <= 2 and start + width <= n_samples:
            c_split_rows(rows + (first + start) * n_features, width, n_features, out)
        else:
            for s in range(width):
                row = first + min(start + s, n_samples - 1)
                sources[s] = rows + (row if order == NULL else order[row]) * n_features
            c_gather_rows(sources, width, f0, f1, out)
        out += width * n_features
        start += width


cdef void gather_sparse(
    const Rows *rows,
    Py_ssize_t first,
    Py_ssize_t n_samples,
    Py_ssize_t n_features,
    Py_ssize_t lanes,
    real *out,                      # OUT tiles, as gather's
    int part,
    int parts,
) noexcept nogil:
    cdef const real *values = <const real *> rows.values
    cdef Py_ssize_t start = 0, width, s, i, row, padded = round_up(n_samples, lanes)
    # a part does the tiles that begin in its share of the vectors
    cdef Py_ssize_t begin = share(padded, lanes, part, parts)
    cdef Py_ssize_t end = share(padded, lanes, part + 1, parts)
    while start < end:
        width = next_tile(padded - start, lanes)
        if start >= begin:
            memset(out, 0, width * n_features * sizeof(real))
            for s in range(width):
                row = first + min(start + s, n_samples - 1)
                if rows.order != NULL:
                    row = rows.order[row]
                for i in range(rows.starts[row], rows.starts[row + 1]):
                    out[rows.columns[i] * width + s] += values[i]
        out += width * n_features
        start += width


cdef inline void gather_inputs(
    const Rows *rows, Plan *plan, Chunk *chunk, real *work, int part, int parts
) noexcept nogil:
    """Gather the chunk's inputs into tiles, unless they are used as they are stored."""
    cdef Py_ssize_t n_features = plan.layers[0].fan_in
    if chunk.sparse != NULL:
        return
    if rows.starts == NULL:
        gather(<const real *> rows.values, rows.order, chunk.row, chunk.count, n_features,
               plan.lanes, work + chunk.x, part, parts)
    else:
        gather_sparse(rows, chunk.row, chunk.count, n_features, plan.lanes, work + chunk.x, part,
                      parts)


cdef const Rows *as_stored(
    const Rows *rows, Plan *plan, Chunk *chunk, bint plain
) noexcept nogil:
    """The rows, if the first layer should take the chunk's as they are stored; else NULL.

    They must be very sparse, and the columns of each row must rise, as sums would otherwise have
    another order than over dense rows. Layers whose gradients are summed by lanes need tiles, but
    not with plain parameters.
    """
    cdef Py_ssize_t i, s, row, stored = 0
    if rows.starts == NULL or (plan.layers[0].by_lanes and not plain):
        return NULL
    for s in range(chunk.row, chunk.row + chunk.count):
        row = s if rows.order == NULL else rows.order[s]
        stored += rows.starts[row + 1] - rows.starts[row]
        for i in range(rows.starts[row] + 1, rows.starts[row + 1]):
            if rows.columns[i] <= rows.columns[i - 1]:
                return NULL
    if stored * STORED_WORK > chunk.count * plan.layers[0].fan_in:
        return NULL
    return rows


cdef Rows rows_of(
    const real[:, ::1] x, columns, row_starts, Py_ssize_t n_rows, Py_ssize_t n_features
) except *:
    """Pointers to n_rows rows, valid while the caller holds the arrays.

    columns and row_starts are no memoryview arguments: to convert two empty arrays takes 8% of the
    time to predict one row by a small net.
    """
    cdef Rows rows
    cdef const int[::1] columns_view
    cdef const Py_ssize_t[::1] starts_view
    memset(&rows, 0, sizeof(rows))
    rows.values = &x[0, 0]
    if len(row_starts):
        columns_view, starts_view = columns, row_starts
        rows.columns, rows.starts = &columns_view[0], &starts_view[0]
    check_rows(&rows, n_rows, n_features, x.shape[0], x.shape[1], len(columns), len(row_starts))
    return rows


cdef void scatter(
    const real *tiles,              # IN
    const Py_ssize_t *order,
    Py_ssize_t first,
    Py_ssize_t n_samples,
    Py_ssize_t n_features,
    Py_ssize_t lanes,
    real *rows,                     # OUT (any, row_stride)
    Py_ssize_t row_stride,
) noexcept nogil:
    cdef Py_ssize_t start = 0, width, s, f, row
    cdef real *target
    if n_features == 1 and row_stride == 1 and order == NULL:
        memcpy(rows + first, tiles, n_samples * sizeof(real))
        return
    while start < n_samples:
        width = next_tile(round_up(n_samples, lanes) - start, lanes)
        for s in range(min(width, n_samples - start)):
            row = first + start + s
            if order != NULL:
                row = order[row]
            target = rows + row * row_stride
            for f in range(n_features):
                target[f] = tiles[f * width + s]
        tiles += width * n_features
        start += width
