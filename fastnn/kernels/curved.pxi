# What second-order training has in memory: its data, and the plan of its workspace.
#
# simd/second_order.h has the ways to sum a matrix; here is where everything is, which way a net
# takes to J^T J, and the table of products that go into it.

cdef enum:
    PANEL_ROWS = 256        # of J in a chunk, at most; three panels of them fill
    PANEL_L1 = 24576        # bytes of the first-level cache,
    PANEL_L2 = 1 << 20      # and all panels these of the second, but
    DELTAS = 1 << 22        # numbers
    PANEL_FEWEST = 48       # rows at least: else sums are loaded and stored too often
    FACTOR_ROWS = 64        # rows of a block of the factorisation

cdef double PIECE = 2e8     # multiply-adds, some milliseconds, between two looks at signals

cdef struct Curved:         # sizes and places in the workspace, in numbers
    Plan plan
    const Py_ssize_t *layer_units
    Py_ssize_t n_params, order  # order: rows of the matrix that count; then the residuals' column
    Py_ssize_t n, step          # rounded up; how far apart rows of the matrix are
    Py_ssize_t n_outputs, samples   # samples of a chunk
    Py_ssize_t stride       # from the deltas of one output to those of the next
    Py_ssize_t n_pairs      # of layers; 0: by rows of J
    Py_ssize_t ones, zeros, residuals, roots, pairs, products, panels, rows, sums
    Py_ssize_t matrix, factor, inverse, solution, size
    # of the dual form, whose matrix is the coefs' share of J J^T
    Py_ssize_t vectors          # of samples, for each output
    Py_ssize_t layers, linear, no_intercept, targets, along, point, product, intercepts

cdef struct Pair:           # of layers, their block of the matrix
    Py_ssize_t low, high        # low <= high; high = n_layers: residuals
    Py_ssize_t n_a, n_delta     # products of two activations, of two deltas
    Py_ssize_t products         # where they are in the table, the former first
    Py_ssize_t sums             # of one times the other: [n_rows][columns]
    Py_ssize_t n_rows, columns  # columns: rounded up to vectors
    bint rows_are_a             # whether the rows are the products of activations
    bint entries                # whether they are entries of J instead, low's and then high's

cdef struct Problem:        # a net and the data that it is to fit, in float64
    const Py_ssize_t *layer_units
    const int *activations
    const Step *step
    const double *y
    Rows x
    Py_ssize_t n_layers, n_params, n_rows
    bint weighted

# A function that plans the workspace of `Curved`; without layers (NULL) sizes alone.
ctypedef void (*make_workspace)(
    Curved *c, const Py_ssize_t *layer_units, const int *activations, Py_ssize_t n_layers,
    int loss, Py_ssize_t n_rows, bint weighted, Layer *layers) noexcept nogil


cdef int set_problem(
    Problem *p, layer_units, activations, step, x, columns, row_starts, y
) except -1:
    """Pointers to arrays, valid while the caller holds them; their lengths are compared."""
    cdef Py_ssize_t n_stored = 0, n_outputs
    p.layer_units = <Py_ssize_t *> data_of(layer_units, cnp.NPY_INTP, 1)
    p.activations = <int *> data_of(activations, cnp.NPY_INT32, 1)
    p.n_layers = cnp.PyArray_SIZE(layer_units) - 1
    p.n_params = count_params(p.layer_units, p.n_layers + 1, cnp.PyArray_SIZE(activations))
    n_outputs = p.layer_units[p.n_layers]
    p.step = <Step *> data_of(step, cnp.NPY_UINT8, 1)
    check_step(p.step, cnp.PyArray_SIZE(step), p.n_layers, n_outputs)
    p.y = <double *> data_of(y, cnp.NPY_FLOAT64, 2)
    p.n_rows = cnp.PyArray_DIM(y, 0)
    enough(p.n_rows, 1, "y")
    p.weighted = cnp.PyArray_DIM(y, 1) > n_outputs
    same(cnp.PyArray_DIM(y, 1), n_outputs + p.weighted, "a row of y")
    memset(&p.x, 0, sizeof(Rows))
    p.x.values = data_of(x, cnp.NPY_FLOAT64, 2)
    if cnp.PyArray_SIZE(row_starts):
        p.x.columns = <int *> data_of(columns, cnp.NPY_INT32, 1)
        p.x.starts = <Py_ssize_t *> data_of(row_starts, cnp.NPY_INTP, 1)
        n_stored = cnp.PyArray_SIZE(columns)
    return check_rows(&p.x, p.n_rows, p.layer_units[0], cnp.PyArray_DIM(x, 0),
                      cnp.PyArray_DIM(x, 1), n_stored, cnp.PyArray_SIZE(row_starts))


cdef double cost_of(double n_rows, double columns) noexcept nogil:
    """Of a product with a sample, in multiply-adds.

    To make and transpose a column takes as long as 5 of them, to make a row half of that.
    """
    return max(4.0, n_rows) * columns + 5 * columns + 2.5 * n_rows


cdef void set_pair(Pair *pair, const Py_ssize_t *layer_units, Py_ssize_t n_layers, Py_ssize_t low,
                   Py_ssize_t high) noexcept nogil:
    cdef Py_ssize_t a = layer_units[low] + 1, b = layer_units[high] + 1
    cdef Py_ssize_t d = layer_units[low + 1], e
    pair.low, pair.high = low, high
    if high == n_layers:
        b, e = 1, 1
    else:
        e = layer_units[high + 1]
    pair.n_a = a * (a + 1) // 2 if low == high else a * b
    pair.n_delta = d * (d + 1) // 2 if low == high else d * e
    pair.rows_are_a = pair.n_a <= pair.n_delta
    pair.n_rows = min(pair.n_a, pair.n_delta)
    pair.columns = round_up(max(pair.n_a, pair.n_delta), LANES_F64)
    pair.entries = layer_units[n_layers] == 1 and (
        cost_of(a * d, round_up(b * e, LANES_F64)) < cost_of(pair.n_rows, pair.columns))
    if pair.entries:
        pair.n_rows, pair.columns = a * d, round_up(b * e, LANES_F64)


cdef Py_ssize_t place_deltas(
    Curved *c, const int *activations, Py_ssize_t n_layers, int loss, Py_ssize_t n_rows,
    bint weighted, Layer *layers,
) noexcept nogil:
    """The plan of the passes of a chunk of at most c.samples, and the deltas of every output."""
    cdef Py_ssize_t i, at, at_all = 0
    for i in range(n_layers):
        at_all += c.layer_units[i + 1]
    while c.samples > LANES_F64 and c.samples * at_all * c.n_outputs > DELTAS:
        c.samples = round_up(c.samples // 2, LANES_F64)
    c.samples = min(c.samples, round_up(n_rows, LANES_F64))
    make_plan(&c.plan, c.layer_units, activations, n_layers, loss, c.samples, 8, -1, 1, weighted,
              layers)
    c.samples = min(c.samples, c.plan.chunk)    # which may be shorter
    at = c.plan.size
    c.ones = at
    at += round_up(MAX_TILE, 16)
    c.zeros = at
    at += round_up(MAX_TILE, 16)
    c.residuals = at            # of one output; then its deltas, layer by layer
    at += round_up(c.samples, 16)
    c.roots = at
    for i in range(n_layers):
        at += round_up(c.samples * c.layer_units[i + 1], 16)
    c.stride = at - c.residuals
    return at + (c.n_outputs - 1) * c.stride


cdef void set_order(Curved *c, Py_ssize_t order) noexcept nogil:
    """Of the matrix, which has a column more; `order` rows of it count."""
    c.order = order
    c.n = round_up(order + 1, max(<Py_ssize_t> TILE_ROWS, <Py_ssize_t> LANES_F64))
    c.step = c.n + (<Py_ssize_t> PANEL_F64 if c.n % 512 == 0 else 0)


cdef void place_factor(Curved *c, Py_ssize_t at) noexcept nogil:
    c.factor = at
    at += c.n * c.step
    c.inverse = at
    at += c.n
    c.solution = at
    at += c.n
    c.size = at


cdef void make_curved(
    Curved *c, const Py_ssize_t *layer_units, const int *activations, Py_ssize_t n_layers,
    int loss, Py_ssize_t n_rows, bint weighted, Layer *layers,
) noexcept nogil:
    """A `make_workspace`, of J^T J."""
    cdef Py_ssize_t low, high, at, unit = 3 * LANES_F64, n_products, widest = 0, sums = 0
    cdef Py_ssize_t most_rows = 0, samples
    cdef double by_rows, by_pairs = 0
    cdef Pair pair
    c.n_params, c.n_outputs, n_products, c.n_pairs = 0, layer_units[n_layers], 0, 0
    c.layer_units = layer_units
    for low in range(n_layers):
        c.n_params += (layer_units[low] + 1) * layer_units[low + 1]
        for high in range(low, n_layers + 1):
            set_pair(&pair, layer_units, n_layers, low, high)
            c.n_pairs += 1
            n_products += pair.n_rows + pair.columns + LANES_F64
            sums += round_up(pair.n_rows * pair.columns, 16)
            widest, most_rows = max(widest, pair.columns), max(most_rows, pair.n_rows)
            by_pairs += cost_of(pair.n_rows, pair.columns)
    set_order(c, c.n_params)
    by_rows = c.n_outputs * (0.5 * c.n + 1.5 * LANES_F64 + 5) * c.n
    if by_rows <= by_pairs:
        c.n_pairs, n_products, widest, most_rows, sums = 0, c.n, c.n, 0, 0
    samples = min(<Py_ssize_t> PANEL_ROWS, PANEL_L1 // (3 * 8 * <Py_ssize_t> LANES_F64))
    samples = max(<Py_ssize_t> PANEL_FEWEST, min(samples, PANEL_L2 // (8 * (widest + most_rows))))
    if c.n_pairs == 0:
        samples //= c.n_outputs
    c.samples = max(samples // unit * unit, <Py_ssize_t> LANES_F64)
    at = place_deltas(c, activations, n_layers, loss, n_rows, weighted, layers)
    c.pairs = at
    at += round_up(c.n_pairs * <Py_ssize_t> sizeof(Pair) // 8 + 1, 16)
    c.products = at
    at += round_up(n_products * <Py_ssize_t> sizeof(feature_product) // 8 + 1, 16)
    c.panels = at
    samples = c.samples if c.n_pairs else c.samples * c.n_outputs
    at += max(round_up(widest, LANES_F64) * samples, c.n * <Py_ssize_t> FACTOR_ROWS)
    c.rows = at
    at += round_up(most_rows * c.samples, 16)
    c.sums = at
    at += sums
    c.matrix = at
    place_factor(c, at + c.n * c.step)


cdef void make_dual(
    Curved *c, const Py_ssize_t *layer_units, const int *activations, Py_ssize_t n_layers,
    int loss, Py_ssize_t n_rows, bint weighted, Layer *layers,
) noexcept nogil:
    """A `make_workspace`, of J J^T."""
    cdef Py_ssize_t i, at, unit = max(<Py_ssize_t> TILE_ROWS, <Py_ssize_t> LANES_F64)
    cdef Py_ssize_t widest = 0, units = 0
    c.n_params, c.n_outputs, c.n_pairs, c.layer_units = 0, layer_units[n_layers], 0, layer_units
    for i in range(n_layers):
        c.n_params += (layer_units[i] + 1) * layer_units[i + 1]
        widest = max(widest, layer_units[i + 1])
        units += layer_units[i] + c.n_outputs * layer_units[i + 1]
    c.vectors = round_up(n_rows, unit) // LANES_F64
    set_order(c, c.n_outputs * c.vectors * LANES_F64)
    c.samples = PANEL_ROWS // LANES_F64 * LANES_F64
    at = place_deltas(c, activations, n_layers, loss, n_rows, weighted, layers)
    c.linear = at               # a W of a chunk
    at += round_up(c.samples * widest, 16)
    c.no_intercept = at
    at += round_up(widest, max(16, <Py_ssize_t> PANEL_F64))
    c.layers = at
    at += round_up(n_layers * <Py_ssize_t> sizeof(layer_panels) // 8 + 1, 16)
    c.panels = at
    at += max(units * c.vectors * LANES_F64, c.n * <Py_ssize_t> FACTOR_ROWS)
    c.targets = at
    at += c.order
    c.along = at
    at += c.order
    c.point = at
    at += round_up(c.n_params, 16)
    c.product = at
    at += round_up(c.n_params, 16)
    c.matrix = at
    at += c.n * c.step
    c.intercepts = at
    place_factor(c, at + c.n * c.step)


cdef int check_places(
    const Py_ssize_t *layer_units, Py_ssize_t n_layers, Py_ssize_t n_rows
) except -1:
    """Refuse nets whose matrix has more than 64-bit sizes, or whose features lie too far apart."""
    cdef Curved c
    cdef Py_ssize_t i
    cdef double n_params = 0
    for i in range(n_layers):
        n_params += (layer_units[i] + 1.0) * layer_units[i + 1]
    if n_params > 1 << 24 or layer_units[0] > 1 << 24:
        raise ValueError(f"second order takes at most {1 << 24} parameters, got {n_params:.0f}")
    make_curved(&c, layer_units, NULL, n_layers, 0, n_rows, False, NULL)
    if c.pairs >= <Py_ssize_t> 1 << 31:
        raise ValueError("second order takes fewer outputs: their deltas are too many")
    return 0


# ---- which features are multiplied --------------------------------------------------------------

cdef struct Feature:        # of a layer, in the workspace
    Py_ssize_t start, units, feature


cdef Feature activation_into(Curved *c, Py_ssize_t layer, Py_ssize_t i) noexcept nogil:
    """Input i of a layer; the last is the 1 for intercepts, and the only one of residuals."""
    cdef Feature found
    cdef Plan *plan = &c.plan
    found.start, found.units, found.feature = c.ones, 0, 0
    if layer < plan.n_layers and i < plan.layers[layer].fan_in:
        found.start = plan.desk + (plan.desk_x if layer == 0 else plan.layers[layer - 1].a)
        found.units, found.feature = plan.layers[layer].fan_in, i
    return found


cdef Feature delta_of(Curved *c, Py_ssize_t layer, Py_ssize_t j) noexcept nogil:
    """Delta j of a layer, of the first output; of n_layers the residual."""
    cdef Feature found
    found.start, found.units, found.feature = c.residuals, 1, 0
    if layer < c.plan.n_layers:
        found.start, found.units = delta_at(c, layer), c.plan.layers[layer].fan_out
        found.feature = j
    return found


cdef Py_ssize_t delta_at(Curved *c, Py_ssize_t layer) noexcept nogil:
    """Where a layer's deltas are, of the first output."""
    cdef Py_ssize_t i, at = c.roots
    for i in range(layer):
        at += round_up(c.samples * c.plan.layers[i].fan_out, 16)
    return at


cdef double of_sample(
    const double *data, Feature found, Py_ssize_t s, Py_ssize_t padded
) noexcept nogil:
    """A feature of sample s of a chunk of `padded` samples."""
    cdef Py_ssize_t start = 0, width = next_tile(padded, LANES_F64)
    if found.units == 0:
        return data[found.start]
    while s >= start + width:
        start += width
        width = next_tile(padded - start, LANES_F64)
    return data[found.start + start * found.units + found.feature * width + s - start]


cdef feature_product *set_product(feature_product *to, Feature a, Feature b) noexcept nogil:
    to.a_start, to.a_units, to.a = <int32_t> a.start, <int32_t> a.units, <int32_t> a.feature
    to.b_start, to.b_units, to.b = <int32_t> b.start, <int32_t> b.units, <int32_t> b.feature
    return to + 1


cdef feature_product *fill_up(
    Curved *c, feature_product *to, const feature_product *begin
) noexcept nogil:
    """Zeros to the end of a vector."""
    cdef Feature zero
    zero.start, zero.units, zero.feature = c.zeros, 0, 0
    while (to - begin) % LANES_F64:
        to = set_product(to, zero, zero)
    return to


cdef feature_product *set_entries(
    Curved *c, Py_ssize_t layer, feature_product *to
) noexcept nogil:
    """Entries of a row of J that belong to a layer's parameters; of n_layers the residual."""
    cdef Py_ssize_t i, j, fan_in = 0, fan_out = 1
    if layer < c.plan.n_layers:
        fan_in, fan_out = c.plan.layers[layer].fan_in, c.plan.layers[layer].fan_out
    for i in range(fan_in + 1):
        for j in range(fan_out):
            to = set_product(to, activation_into(c, layer, i), delta_of(c, layer, j))
    return to


cdef void set_products(Curved *c, double *work) noexcept nogil:
    """The table: what the columns of J are made of, or what goes into each pair's block."""
    cdef feature_product *begin = <feature_product *> (work + c.products)
    cdef feature_product *to = begin
    cdef Plan *plan = &c.plan
    cdef Pair *pair = <Pair *> (work + c.pairs)
    cdef feature_product *begin_delta
    cdef Feature zero, residual
    cdef Py_ssize_t low, high, i, j, sums = c.sums, fan_in, fan_out
    for i in range(MAX_TILE):
        work[c.ones + i], work[c.zeros + i] = 1, 0
    for low in range(plan.n_layers):
        fan_in, fan_out = plan.layers[low].fan_in, plan.layers[low].fan_out
        if c.n_pairs == 0:
            to = set_entries(c, low, to)
            continue
        for high in range(low, plan.n_layers + 1):
            set_pair(pair, c.layer_units, plan.n_layers, low, high)
            pair.products, pair.sums = to - begin, sums
            sums += round_up(pair.n_rows * pair.columns, 16)
            if pair.entries:
                to = set_entries(c, low, to)
                to = fill_up(c, set_entries(c, high, to), to)
                pair += 1
                continue
            for i in range(fan_in + 1):
                for j in range(i if low == high else 0,
                               1 if high == plan.n_layers else plan.layers[high].fan_in + 1):
                    to = set_product(to, activation_into(c, low, i), activation_into(c, high, j))
            if not pair.rows_are_a:
                to = fill_up(c, to, begin + pair.products)
            begin_delta = to
            for i in range(fan_out):
                for j in range(i if low == high else 0,
                               1 if high == plan.n_layers else plan.layers[high].fan_out):
                    to = set_product(to, delta_of(c, low, i), delta_of(c, high, j))
            if pair.rows_are_a:
                to = fill_up(c, to, begin_delta)
            pair += 1
    if c.n_pairs == 0:
        residual = delta_of(c, plan.n_layers, 0)
        to = set_entries(c, plan.n_layers, to)
        zero.start, zero.units, zero.feature = c.zeros, 0, 0
        while to - begin < c.n:
            to = set_product(to, zero, residual)
