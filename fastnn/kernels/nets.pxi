# Many networks of one shape at once: lanes are networks.
#
# A thread has as many lanes as a vector has numbers. Each lane trains a network of its own, on its
# own rows, at its own place in its fit; when it is done, Python puts the next network there. Sums
# stay within a lane, tile by tile of its samples, so the bits of a network depend on nobody
# else. Memory: the vectors of simd/nets.h, from a workspace for each thread.

cdef enum:
    MOST_LANES = 16
    TILE_BYTES = 24 << 10   # of a tile of NET_TILE samples in all layers; more: of half as many
    STEP_NUMBERS = 9        # vectors of step_numbers, simd/solvers.h
    KEPT_BYTES = 4 << 20    # limit for tiles that are kept from epoch to epoch

cdef struct NetEnd:         # how a network's fit ended
    int64_t epochs, steps, status

cdef struct NetPlan:        # in a workspace; offsets count numbers
    Py_ssize_t lanes, n_params, n_states, tile
    bint kept               # all nets have full batches, whose tiles are gathered once
    Py_ssize_t params, backup, grads, states, numbers, rows, weights, desk, scratch
    # a vector each
    Py_ssize_t scale, decay, none, rest, intercept_rest, marks
    Py_ssize_t size, order  # bytes: the whole workspace, and where the orders of rows begin

cdef struct Lane:
    Py_ssize_t net          # -1: none
    Py_ssize_t row, epoch, step, n_rows, batch
    Py_ssize_t count        # rows of the present batch
    Py_ssize_t scaled       # rows that scale and decay are for
    int32_t *order          # rows of the table, as the epoch takes them
    const Step *numbers
    solver_numbers solver
    double loss             # of the epoch so far

cdef struct Lanes:          # the beginning of a workspace
    Lane[MOST_LANES] lane
    Py_ssize_t[MOST_LANES] ended    # nets whose fits ended in this call
    Py_ssize_t n_ended, most        # most: rows of the longest batch
    Py_ssize_t first                # of these, the next tile's; 0 between batches
    double[MOST_LANES] losses       # of the present batches
    bint begun, even                # even: the batches of all lanes are as long
    bint fresh                      # tiles that are kept must be gathered

cdef struct Nets:           # what all threads share
    const Py_ssize_t *layer_units
    const int *activations
    Py_ssize_t n_layers, n_nets, n_rows, n_params, n_states, longest, most_rows
    int loss, solver
    const double *loss_numbers
    bint full_batches
    const void *table           # (n_rows, n_columns): inputs, then targets
    Py_ssize_t n_columns
    const Py_ssize_t *rows      # of the table, each net's after those before; NULL: all are used
    const Py_ssize_t *starts    # where each net's begin, and the last end
    const char *steps           # records
    Py_ssize_t step_bytes
    const Py_ssize_t *n_epochs
    BitGenerator **generators   # of each net; NULL: its rows keep their order
    void *params                # (n_nets, n_params)
    void *states                # (n_nets, n_states, n_params)
    double *loss_curves         # (n_nets, longest)
    NetEnd *ends
    double budget


cdef void plan_nets(NetPlan *plan, const Nets *nets, Py_ssize_t itemsize) noexcept nogil:
    cdef Py_ssize_t i, at, units = 0, widest = 0, lanes, wide, rows
    lanes = LANES_F32 if itemsize == 4 else LANES_F64
    plan.lanes, plan.n_params, plan.n_states = lanes, nets.n_params, nets.n_states
    for i in range(nets.n_layers):
        units += nets.layer_units[i + 1]
        widest = max(widest, nets.layer_units[i + 1])
    # by the shape alone: what is summed together changes bits
    plan.tile = NET_TILE
    if (nets.n_columns + 2 * units) * plan.tile * lanes * itemsize > TILE_BYTES:
        plan.tile = NET_TILE // 2
    rows = round_up(nets.most_rows, plan.tile)
    plan.kept = (nets.full_batches
                 and rows * (nets.n_columns + 1) * lanes * itemsize <= KEPT_BYTES)
    if not plan.kept:
        rows = plan.tile
    wide = nets.n_params * lanes
    plan.params = at = 0
    plan.backup = at = at + wide
    plan.grads = at = at + wide
    plan.states = at = at + wide
    plan.numbers = at = at + nets.n_states * wide
    plan.scale = at = at + STEP_NUMBERS * lanes
    plan.decay = at = at + lanes
    plan.none = at = at + lanes
    plan.rest = at = at + lanes
    plan.intercept_rest = at = at + lanes
    plan.marks = at = at + lanes
    plan.rows = at = at + lanes
    plan.weights = at = at + rows * nets.n_columns * lanes
    plan.desk = at = at + rows * lanes
    plan.scratch = at = at + 2 * units * plan.tile * lanes  # a layer's activations, and deltas
    at += widest * plan.tile * lanes
    plan.order = round_up(sizeof(Lanes), 128) + round_up(at * itemsize, 128)
    plan.size = plan.order + lanes * nets.most_rows * <Py_ssize_t> sizeof(int32_t)


cdef void take_net(
    const Nets *nets, const NetPlan *plan, Lane *lane, Py_ssize_t k, Py_ssize_t net, real *work
) noexcept nogil:
    """Put a network into lane k, at the beginning of its fit."""
    cdef const real *params = <const real *> nets.params + net * plan.n_params
    cdef Py_ssize_t i, lanes = plan.lanes
    for i in range(plan.n_params):
        work[plan.params + i * lanes + k] = params[i]
    for i in range(plan.n_states * plan.n_params):
        work[plan.states + i * lanes + k] = 0
    lane.net, lane.row, lane.epoch, lane.step, lane.scaled = net, 0, 0, 0, 0
    lane.numbers = <const Step *> (nets.steps + net * nets.step_bytes)
    lane.n_rows = nets.starts[net + 1] - nets.starts[net]
    lane.batch = lane.numbers.batch_size
    for i in range(lane.n_rows):
        lane.order[i] = <int32_t> (i if nets.rows == NULL else nets.rows[nets.starts[net] + i])
    set_solver(&lane.solver, lane.numbers)
    set_step(&lane.solver, lane.numbers, 1, NULL)     # rates change from step to step
    c_nets_numbers(&lane.solver, work + plan.numbers + k)
    work[plan.rest + k] = work[plan.intercept_rest + k] = <real> (1 - lane.solver.shrink)
    if not lane.numbers.decay_intercepts:
        work[plan.intercept_rest + k] = 1


cdef void give_net(
    const Nets *nets, const NetPlan *plan, Lanes *table, Py_ssize_t k, int64_t status,
    bint finite, const real *work
) noexcept nogil:
    """Write down what the network in lane k has become, and free the lane.

    One that is not finite has its parameters of the epoch's beginning, and no state.
    """
    cdef Lane *lane = &table.lane[k]
    cdef real *params = <real *> nets.params + lane.net * plan.n_params
    cdef real *states = <real *> nets.states + lane.net * plan.n_states * plan.n_params
    cdef Py_ssize_t i, lanes = plan.lanes
    cdef Py_ssize_t source = plan.params if finite else plan.backup
    cdef NetEnd *end = &nets.ends[lane.net]
    for i in range(plan.n_params):
        params[i] = work[source + i * lanes + k]
    for i in range(plan.n_states * plan.n_params):
        states[i] = work[plan.states + i * lanes + k] if finite else 0
    end.epochs, end.status = lane.epoch, status
    end.steps = lane.step if finite else 0
    table.ended[table.n_ended] = lane.net
    table.n_ended += 1
    lane.net = -1


cdef void begin_epochs(
    const Nets *nets, const NetPlan *plan, Lanes *table, real *work
) noexcept nogil:
    """Draw the order, and keep the parameters, of each network whose epoch begins."""
    cdef real *marks = work + plan.marks
    cdef Lane *lane
    cdef Py_ssize_t k
    cdef bint marked = False
    for k in range(plan.lanes):
        lane = &table.lane[k]
        marks[k] = 0
        if lane.net < 0 or lane.row > 0:
            continue
        marks[k], marked, lane.loss = 1, True, 0
        if nets.generators[lane.net] == NULL or lane.batch >= lane.n_rows:
            continue
        shuffle_rows(nets.generators[lane.net], lane.n_rows, lane.order)
    if marked:
        c_nets_copy(plan.n_params, marks, <const real *> (work + plan.params),
                    work + plan.backup)


cdef bint begin_batches(
    const Nets *nets, const NetPlan *plan, Lanes *table, real *work
) noexcept nogil:
    """Begin the next batch of each network; False if there is none."""
    cdef Lane *lane
    cdef Py_ssize_t k, most = 0
    table.even = True
    for k in range(plan.lanes):
        lane = &table.lane[k]
        lane.count = 0 if lane.net < 0 else min(lane.batch, lane.n_rows - lane.row)
        table.even = table.even and (k == 0 or lane.count == most)
        most = max(most, lane.count)
        table.losses[k] = 0
    table.fresh = table.fresh or most != table.most
    table.most = most
    begin_epochs(nets, plan, table, work)
    return most > 0


cdef void gather_nets(
    const Nets *nets, const NetPlan *plan, const Lanes *table, Py_ssize_t count, real *rows,
    real *weights
) noexcept nogil:
    """The next samples of each network's batch; weights are 0 for those that it has not."""
    cdef Py_ssize_t k, s, present, first = table.first
    cdef const Lane *lane
    for k in range(plan.lanes):
        lane = &table.lane[k]
        present = max(0, min(lane.count - first, count))
        if lane.net >= 0:   # if no row is left, the batch's last one stands for all
            c_nets_gather(nets.n_columns, count, max(1, present), <const real *> nets.table,
                          lane.order + lane.row + min(first, lane.count - 1), rows + k)
        # kept tiles stay when a net ends, and then batches are no longer all as long
        for s in range(count if plan.kept or not table.even else 0):
            weights[s * plan.lanes + k] = s < present


cdef void tile_of_nets(
    const Nets *nets, const NetPlan *plan, Py_ssize_t count, bint fresh, const real *x,
    const real *weights, real *work, double *losses
) noexcept nogil:
    """One tile through all networks and back; gradients are added up, or begun if fresh."""
    cdef Py_ssize_t i, n_in, n_out, n_layers = nets.n_layers, at = plan.params, slot
    cdef real *a = work + plan.desk
    cdef real *delta = a
    cdef real *below
    cdef const real *inputs = x
    cdef int code, under
    for i in range(n_layers):
        n_in, n_out, code = nets.layer_units[i], nets.layer_units[i + 1], nets.activations[i]
        slot = n_out * plan.tile * plan.lanes
        delta = a + slot
        c_nets_forward(
            count, n_in, n_out, <const real *> (work + at), inputs, a,
            delta if stores_slope(code) or i == n_layers - 1 and uses_logits(nets.loss)
            else <real *> NULL, code)
        if code == SOFTMAX:
            c_softmax_tile(a, n_out, count * plan.lanes)
        at += (n_in + 1) * n_out * plan.lanes
        if i < n_layers - 1:
            inputs, a = a, delta + slot
    c_nets_losses(count, nets.layer_units[n_layers], <const real *> a,
                  x + nets.layer_units[0] * count * plan.lanes, weights, delta, nets.loss,
                  nets.activations[n_layers - 1], nets.loss_numbers, losses)
    for i in range(n_layers - 1, -1, -1):
        n_in, n_out = nets.layer_units[i], nets.layer_units[i + 1]
        at -= (n_in + 1) * n_out * plan.lanes
        inputs = x
        if i > 0:
            under, slot = nets.activations[i - 1], n_in * plan.tile * plan.lanes
            inputs = a - 2 * slot
        c_nets_gradient(count, n_in, n_out, inputs, <const real *> delta,
                        work + plan.grads + (at - plan.params), fresh)
        if i > 0:
            below = a - slot
            c_nets_delta(
                count, n_in, n_out, <const real *> (work + at), <const real *> delta,
                <const real *> below if stores_slope(under) else inputs, work + plan.scratch,
                below, under)
            a, delta = a - 2 * slot, below


cdef void update_nets(
    const Nets *nets, const NetPlan *plan, Py_ssize_t at, Py_ssize_t n, Py_ssize_t decay,
    Py_ssize_t rest, real *work
) noexcept nogil:
    """The step of n parameters from `at` on."""
    c_nets_update(
        n, work + plan.params + at, <const real *> (work + plan.grads + at),
        work + plan.states + at, plan.n_params * plan.lanes, nets.solver,
        <const real *> (work + plan.numbers), <const real *> (work + plan.scale),
        <const real *> (work + decay), <const real *> (work + rest))


cdef void step_nets(
    const Nets *nets, const NetPlan *plan, Lanes *table, real *work
) noexcept nogil:
    """The solver's step of each network; adds penalties to losses."""
    cdef Py_ssize_t i, k, n_coefs, at = 0, lanes = plan.lanes
    cdef real *scale = work + plan.scale
    cdef real *decay = work + plan.decay
    cdef real *numbers = work + plan.numbers
    cdef double squares[MOST_LANES]
    cdef double rate = 1, grad_rate = 0
    cdef Lane *lane
    cdef Lane *like = NULL
    cdef bint decays = False
    for k in range(lanes):
        lane = &table.lane[k]
        squares[k] = 0
        if lane.net < 0:
            continue
        decays = decays or lane.numbers.alpha != 0
        if lane.count != lane.scaled:
            lane.scaled = lane.count
            scale[k] = <real> (1.0 / lane.count)
            decay[k] = <real> (lane.numbers.alpha / lane.count)
        # powers take long, and networks side by side are usually at the same step
        if (like == NULL or like.step != lane.step or like.solver.beta_1 != lane.solver.beta_1
                or like.solver.beta_2 != lane.solver.beta_2):
            like = lane
            set_rates(&lane.solver, 1, lane.step + 1)
            rate, grad_rate = lane.solver.rate, lane.solver.grad_rate
        numbers[k] = <real> (rate * lane.numbers.learning_rate)
        numbers[lanes + k] = <real> (grad_rate * lane.numbers.learning_rate)
    for i in range(nets.n_layers):
        n_coefs = nets.layer_units[i] * nets.layer_units[i + 1]
        if decays:
            c_nets_squares(n_coefs, <const real *> (work + plan.params + at), squares)
        update_nets(nets, plan, at, n_coefs, plan.decay, plan.rest, work)
        at += n_coefs * lanes
        update_nets(nets, plan, at, nets.layer_units[i + 1], plan.none, plan.intercept_rest, work)
        at += nets.layer_units[i + 1] * lanes
    for k in range(lanes):
        lane = &table.lane[k]
        if lane.net >= 0 and lane.numbers.alpha != 0:
            table.losses[k] += 0.5 * lane.numbers.alpha * squares[k]


cdef void end_batches(
    const Nets *nets, const NetPlan *plan, Lanes *table, real *work
) noexcept nogil:
    """Move each network on, to the next epoch or out of its lane."""
    cdef real *marks = work + plan.marks
    cdef Lane *lane
    cdef Py_ssize_t k
    cdef bint looked = False
    for k in range(plan.lanes):
        lane = &table.lane[k]
        if lane.net < 0:
            continue
        lane.loss += table.losses[k]
        lane.row += lane.count
        lane.step += 1
        if not isfinite(lane.loss):
            give_net(nets, plan, table, k, DIVERGED, False, work)
        elif lane.row == lane.n_rows:
            if not looked:
                c_nets_finite(plan.n_params, <const real *> (work + plan.params), marks)
                looked = True
            if marks[k] != 0:
                give_net(nets, plan, table, k, DIVERGED, False, work)
                continue
            nets.loss_curves[lane.net * nets.longest + lane.epoch] = lane.loss / lane.n_rows
            lane.epoch, lane.row = lane.epoch + 1, 0
            if lane.epoch == nets.n_epochs[lane.net]:
                give_net(nets, plan, table, k, FINISHED, True, work)


cdef void open_lanes(
    const Nets *nets, const NetPlan *plan, unsigned char *workspace, real *work
) noexcept nogil:
    """Make the table of a workspace that is new."""
    cdef Lanes *table = <Lanes *> workspace
    cdef Py_ssize_t k
    memset(table, 0, sizeof(Lanes))
    memset(work, 0, plan.desk * sizeof(real))
    for k in range(plan.lanes):
        table.lane[k].net = -1
        table.lane[k].order = <int32_t *> (workspace + plan.order) + k * nets.most_rows
    table.begun = True


cdef Lanes *train_lanes(
    const Nets *nets, const Py_ssize_t *fresh, Py_ssize_t n_fresh, unsigned char *workspace,
    const real *type_of
) noexcept nogil:
    """Put networks into free lanes, and train until one ends or the budget has."""
    cdef NetPlan plan
    cdef Lanes *table = <Lanes *> workspace
    cdef real *work = <real *> (workspace + round_up(sizeof(Lanes), 128))
    cdef real *rows
    cdef real *weights
    cdef Py_ssize_t k, count, i
    cdef double done = 0, per_row = 0
    plan_nets(&plan, nets, sizeof(real))
    for i in range(nets.n_layers):
        per_row += 3.0 * nets.layer_units[i] * nets.layer_units[i + 1]
        per_row += 20.0 * nets.layer_units[i + 1]
    if not table.begun:
        open_lanes(nets, &plan, workspace, work)
    table.n_ended = 0
    for k in range(plan.lanes):
        if table.lane[k].net < 0 and n_fresh > 0:
            n_fresh -= 1
            take_net(nets, &plan, &table.lane[k], k, fresh[n_fresh], work)
            table.fresh = True
    while table.n_ended == 0 and done < nets.budget:
        if table.first == 0 and not begin_batches(nets, &plan, table, work):
            break
        count = min(plan.tile, table.most - table.first)
        rows = work + plan.rows
        weights = work + plan.weights
        if plan.kept:
            rows += table.first * nets.n_columns * plan.lanes
            weights += table.first * plan.lanes
        if not plan.kept or table.fresh:
            gather_nets(nets, &plan, table, count, rows, weights)
        tile_of_nets(nets, &plan, count, table.first == 0, <const real *> rows,
                     <const real *> NULL if table.even else <const real *> weights, work,
                     table.losses)
        done += count * per_row * plan.lanes
        table.first += count
        if table.first == table.most:
            table.first, table.fresh = 0, False
            step_nets(nets, &plan, table, work)
            end_batches(nets, &plan, table, work)
            done += 4.0 * plan.n_params * plan.lanes
    return table


cdef void leave_lanes(
    const Nets *nets, unsigned char *workspace, const real *type_of
) noexcept nogil:
    """Give back networks in the middle of their fits."""
    cdef NetPlan plan
    cdef Lanes *table = <Lanes *> workspace
    cdef real *work = <real *> (workspace + round_up(sizeof(Lanes), 128))
    cdef real *marks
    cdef Py_ssize_t k
    plan_nets(&plan, nets, sizeof(real))
    table.n_ended = 0
    if not table.begun:
        return
    marks = work + plan.marks
    c_nets_finite(plan.n_params, <const real *> (work + plan.params), marks)
    for k in range(plan.lanes):
        if table.lane[k].net >= 0:
            give_net(nets, &plan, table, k, RUNNING, marks[k] == 0, work)


cdef class NetLanes:
    """Epochs of many networks of one shape, loss and solver, a lane of a vector each.

    Several threads may call `train` at a time, each with a workspace of its own, zeros at first.
    """
    cdef Nets nets
    cdef int type_number
    cdef tuple arrays       # which nets points into
    cdef list generators
    cdef bytearray addresses

    def __cinit__(
        self,
        params,             # IN/OUT (n_nets, n_params) plain parameters
        states,             # OUT (n_nets, n_states, n_params) the solver's state, as plain
        layer_units,
        activations,
        steps,              # IN  (n_nets, bytes) step records, of one loss and solver
        table,              # IN  (n, layer_units[0] + layer_units[-1]) inputs and targets
        rows,               # IN  rows of the table, each net's after those before; None: all
        starts,             # IN  (n_nets + 1,) where in rows each net's begin, and the last end
        n_epochs,           # IN  (n_nets,)
        bit_generators,     # a list: of NumPy's, which shuffles a net's rows if it has several
                            #         batches, or None
        loss_curves,        # OUT (n_nets, epochs) mean loss of each epoch, before its steps
        ends,               # OUT (n_nets, 3) epochs, steps and status of each net
    ):
        cdef int number = params.dtype.num
        cdef Nets *nets = &self.nets
        cdef const Step *step
        cdef Py_ssize_t i, n, n_outputs
        if number != cnp.NPY_FLOAT32 and number != cnp.NPY_FLOAT64:
            raise TypeError("params must be float32 or float64")
        memset(nets, 0, sizeof(Nets))
        self.type_number, self.generators = number, list(bit_generators)
        self.arrays = (params, states, layer_units, activations, steps, table, rows, starts,
                       n_epochs, loss_curves, ends)
        nets.params = data_of(params, number, 2, True)
        nets.n_nets, nets.n_params = cnp.PyArray_DIM(params, 0), cnp.PyArray_DIM(params, 1)
        nets.layer_units = <Py_ssize_t *> data_of(layer_units, cnp.NPY_INTP, 1)
        nets.n_layers = cnp.PyArray_SIZE(layer_units) - 1
        nets.activations = <int *> data_of(activations, cnp.NPY_INT32, 1)
        same(nets.n_params, count_params(nets.layer_units, nets.n_layers + 1,
                                         cnp.PyArray_SIZE(activations)), "a row of params")
        n_outputs = nets.layer_units[nets.n_layers]
        nets.states = data_of(states, number, 3, True)
        nets.n_states = cnp.PyArray_DIM(states, 1)
        same(cnp.PyArray_DIM(states, 0), nets.n_nets, "states")
        same(cnp.PyArray_DIM(states, 2), nets.n_params, "a row of states")
        nets.steps = <char *> data_of(steps, cnp.NPY_UINT8, 2)
        nets.step_bytes = cnp.PyArray_DIM(steps, 1)
        same(cnp.PyArray_DIM(steps, 0), nets.n_nets, "steps")
        nets.table, nets.n_rows = data_of(table, number, 2), cnp.PyArray_DIM(table, 0)
        nets.n_columns = nets.layer_units[0] + n_outputs
        same(cnp.PyArray_DIM(table, 1), nets.n_columns, "a row of table")
        if not 1 <= nets.n_rows <= MOST_UNITS:
            raise ValueError(f"table has {nets.n_rows} rows")
        nets.starts = <Py_ssize_t *> data_of(starts, cnp.NPY_INTP, 1)
        same(cnp.PyArray_SIZE(starts), nets.n_nets + 1, "starts")
        nets.n_epochs = <Py_ssize_t *> data_of(n_epochs, cnp.NPY_INTP, 1)
        same(cnp.PyArray_SIZE(n_epochs), nets.n_nets, "n_epochs")
        nets.loss_curves = <double *> data_of(loss_curves, cnp.NPY_FLOAT64, 2, True)
        nets.longest = cnp.PyArray_DIM(loss_curves, 1)
        same(cnp.PyArray_DIM(loss_curves, 0), nets.n_nets, "loss_curves")
        nets.ends = <NetEnd *> data_of(ends, cnp.NPY_INT64, 2, True)
        same(cnp.PyArray_DIM(ends, 0), nets.n_nets, "ends")
        same(cnp.PyArray_DIM(ends, 1), 3, "a row of ends")
        same(len(self.generators), nets.n_nets, "bit_generators")
        self.addresses = bytearray(max(nets.n_nets, 1) * sizeof(void *))
        nets.generators = <BitGenerator **> <char *> self.addresses
        nets.full_batches = True
        for i in range(nets.n_nets):
            step, n = <const Step *> (nets.steps + i * nets.step_bytes), nets.n_rows
            check_step(step, nets.step_bytes, nets.n_layers, n_outputs)
            if rows is not None:
                n = nets.starts[i + 1] - nets.starts[i]
            if n < 1 or nets.starts[i + 1] - nets.starts[i] != n or nets.starts[0] != 0:
                raise ValueError(f"starts[{i}] is {nets.starts[i]}")
            if not (1 <= step.batch_size and 1 <= nets.n_epochs[i] <= nets.longest):
                raise ValueError(f"net {i} has {nets.n_epochs[i]} epochs")
            if i == 0:
                nets.loss, nets.solver, nets.budget = step.loss, step.solver, step.budget
                nets.loss_numbers = loss_numbers_of(step)
            if step.loss != nets.loss or step.solver != nets.solver or step.solver == RPROP:
                raise ValueError(f"net {i} has another loss or solver")
            if (step.clip_norm != 0 or step.ema != 0 or step.input_noise != 0 or step.n_dropout
                    or step.sum_coef_grads or step.keep_going):
                raise ValueError(f"net {i} has options that are not for lanes")
            nets.most_rows = max(nets.most_rows, n)
            nets.full_batches = nets.full_batches and step.batch_size >= n
            if self.generators[i] is not None:
                nets.generators[i] = generator_of(self.generators[i])
        if nets.n_nets:
            same(nets.n_states, solver_states(nets.solver), "the solver's state")
        if not (nets.budget > 0 or nets.n_nets == 0):
            raise ValueError(f"a budget of {nets.budget} ends no call")
        if rows is not None:
            nets.rows = <Py_ssize_t *> data_of(rows, cnp.NPY_INTP, 1)
            same(cnp.PyArray_SIZE(rows), nets.starts[nets.n_nets], "rows")
            for i in range(cnp.PyArray_SIZE(rows)):
                if not 0 <= nets.rows[i] < nets.n_rows:
                    raise ValueError(f"rows[{i}] is {nets.rows[i]}")

    @property
    def workspace_size(self):
        """Bytes of a thread's workspace."""
        cdef NetPlan plan
        plan_nets(&plan, &self.nets, 4 if self.type_number == cnp.NPY_FLOAT32 else 8)
        return plan.size

    cdef unsigned char *opened(self, workspace) except NULL:
        cdef unsigned char *memory = <unsigned char *> data_of(workspace, cnp.NPY_UINT8, 1, True)
        enough(cnp.PyArray_SIZE(workspace), self.workspace_size, "workspace")
        return memory

    def train(self, workspace, fresh):
        """Train the networks in this workspace's lanes until one ends, or for a while.

        fresh: numbers of networks that are put there first, no more than lanes are free. Returns
        the numbers of those that ended.
        """
        cdef unsigned char *memory = self.opened(workspace)
        cdef Lanes *table = <Lanes *> memory
        cdef Py_ssize_t[MOST_LANES] numbers
        cdef Py_ssize_t k, n = 0, free = 0, lanes
        lanes = LANES_F32 if self.type_number == cnp.NPY_FLOAT32 else LANES_F64
        for k in range(lanes):
            free += not table.begun or table.lane[k].net < 0
        if len(fresh) > free:
            raise ValueError(f"{len(fresh)} networks for {free} lanes")
        if len(fresh) and table.begun and table.first > 0:
            raise ValueError("networks begin between batches, and one is under way")
        for number in fresh:
            numbers[n] = number
            if not 0 <= numbers[n] < self.nets.n_nets:
                raise ValueError(f"there is no network {number}")
            n += 1
        with nogil:
            if self.type_number == cnp.NPY_FLOAT32:
                table = train_lanes(&self.nets, numbers, n, memory, <float *> NULL)
            else:
                table = train_lanes(&self.nets, numbers, n, memory, <double *> NULL)
        return [table.ended[k] for k in range(table.n_ended)]

    def leave(self, workspace):
        """Write down networks that are in the middle of their fits; their status is running."""
        cdef unsigned char *memory = self.opened(workspace)
        if self.type_number == cnp.NPY_FLOAT32:
            leave_lanes(&self.nets, memory, <float *> NULL)
        else:
            leave_lanes(&self.nets, memory, <double *> NULL)
