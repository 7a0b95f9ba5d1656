# Epochs of training: the phases that a team shares, the solver's step, the loop.

cdef enum:                  # phases of a Job
    GATHER = 0
    FORWARD = 1
    DELTA = 2
    GRADIENT = 3            # of all layers; in a batch's last chunk also the solver's step
    PENALTY = 4
    SLICE_CHUNKS = 5        # some chunks of every slice, from gather to gradient
    SLICE_STEP = 6          # the sum of the slices, and the solver's step
    WHOLE_STEP = 7          # the solver's step by a gradient that is complete

cdef struct Job:            # a team's work
    int phase
    int itemsize            # of the real type; pointers to it are void here
    const Step *step
    Plan *plan
    Chunk chunk
    Py_ssize_t layer
    void *packed
    void *states
    void *work
    Rows x
    const void *y
    void *output            # of the last epoch, or NULL
    const Py_ssize_t *order
    bint whole              # whether gradients are complete before the solver steps
    solver_numbers numbers  # of the present step
    solver_numbers *intercept_numbers   # these, or others without weight decay
    Noise noise             # likewise
    bint noisy
    double coef_scale, intercept_scale, decay
    double weight           # of the batch: its samples, or the sum of their weights
    # slices of the batch from row `start` on
    Py_ssize_t start, batch, n_chunks, n_rounds, round, end_round, seen, next


cdef void place(Job *job, Py_ssize_t c, Chunk *chunk) noexcept nogil:
    """Make `chunk`, whose desk is set, chunk c of the batch."""
    cdef Plan *plan = job.plan
    cdef Py_ssize_t row = c * plan.chunk
    chunk.row = job.start + row
    chunk.count = min(plan.chunk, job.batch - row)
    chunk.n_vectors = (chunk.count + plan.lanes - 1) // plan.lanes
    if plan.cached:
        chunk.x = plan.x + row * plan.layers[0].fan_in
        chunk.y = plan.y + row * plan.n_targets
    else:
        chunk.x, chunk.y = chunk.desk + plan.desk_x, chunk.desk + plan.desk_y
    chunk.noise = &job.noise if job.noisy else NULL
    if job.noise.size == 0:
        chunk.sparse = as_stored(&job.x, plan, chunk, False)


cdef void gather_part(Job *job, Chunk *chunk, real *work, int part, int parts) noexcept nogil:
    cdef Plan *plan = job.plan
    gather_inputs(&job.x, plan, chunk, work, part, parts)
    if part == 0:
        gather(<const real *> job.y, job.order, chunk.row, chunk.count, plan.n_targets,
               plan.lanes, work + chunk.y, 0, 1)


cdef void add_noise(Job *job, Chunk *chunk, real *work) noexcept nogil:
    """Noise on the inputs that were gathered."""
    cdef Py_ssize_t fan_in = job.plan.layers[0].fan_in
    if job.noise.size != 0:
        c_add_noise(chunk.n_vectors, fan_in, 0, fan_in, chunk.row - job.start, work + chunk.x,
                    noise_key_of_layer(job.noise.seed, job.noise.step, 0), job.noise.size)


cdef void scatter_output(Job *job, Chunk *chunk, real *work) noexcept nogil:
    cdef Layer *last = &job.plan.layers[job.plan.n_layers - 1]
    if job.output != NULL:
        scatter(work + chunk.desk + last.a, job.order, chunk.row, chunk.count, last.fan_out,
                job.plan.lanes, <real *> job.output, last.fan_out)


cdef void solver_step(
    Job *job, Py_ssize_t at, Py_ssize_t n, const real *grad, double scale, double decay,
    const solver_numbers *numbers
) noexcept nogil:
    """Step n packed parameters from `at` on; grad is their gradient, summed over the batch."""
    cdef real *param = <real *> job.packed + at
    cdef real *states = <real *> job.states + at if job.states != NULL else NULL
    c_solver_update(n, param, grad, states, job.plan.packed_size, numbers, scale, decay)


cdef void step_intercepts(
    Job *job, Layer *layer, Py_ssize_t first, Py_ssize_t end, const real *grad
) noexcept nogil:
    """The solver's step on intercepts first .. end of a layer; grad is that of them all."""
    solver_step(job, layer.intercept + first, end - first, grad + first, job.intercept_scale, 0.0,
                job.intercept_numbers)


cdef void step_rows(
    Job *job, Layer *layer, Py_ssize_t first, Py_ssize_t end, const real *grad,
    Py_ssize_t grad_panel
) noexcept nogil:
    """The solver's step on rows first .. end of a layer's coefs."""
    cdef Py_ssize_t width = layer.panel, panel = layer.fan_in * width, p
    if end - first == layer.fan_in and grad_panel == panel:
        solver_step(job, layer.coef, layer.coef_size, grad, job.coef_scale, job.decay,
                    &job.numbers)
        return
    for p in range(layer.intercept_size // job.plan.panel):
        solver_step(job, layer.coef + p * panel + first * width, (end - first) * width,
                    grad + p * grad_panel, job.coef_scale, job.decay, &job.numbers)


cdef void gradient_part(Job *job, real *work, int part, int parts) noexcept nogil:
    """This part's rows of every layer's gradient; after the batch's last chunk, their step."""
    cdef Plan *plan = job.plan
    cdef Chunk *chunk = &job.chunk
    cdef Layer *layer
    cdef real *grads = work + chunk.slice
    cdef real *grad
    cdef Py_ssize_t i, k, first, end, stop, grad_panel
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        first = share(layer.fan_in, rows_unit(plan, layer), part, parts)
        end = share(layer.fan_in, rows_unit(plan, layer), part + 1, parts)
        k = first
        while k < end:
            stop = min(k + layer.block, end)
            if plan.scratch_size:
                grad = work + plan.scratch + part * plan.scratch_size
                grad_panel = (stop - k) * layer.panel
            else:
                grad = grads + layer.coef + k * layer.panel
                grad_panel = layer.fan_in * layer.panel
            gradient_rows(plan, i, work, chunk, k, stop, grad, grad_panel)
            if chunk.last:
                if layer.by_lanes:
                    add_lanes_of(plan, layer, work, k, stop, grad, grad_panel)
                if not job.whole:
                    step_rows(job, layer, k, stop, grad, grad_panel)
            k = stop
        if layer.by_lanes:
            first = 0 if end == layer.fan_in and part == parts - 1 else layer.intercept_size
            end = layer.intercept_size
            if chunk.last and first < end:
                add_lanes_of(plan, layer, work, layer.fan_in, layer.fan_in + 1,
                             grads + layer.intercept, plan.panel)
        else:
            first = share(layer.intercept_size, plan.panel, part, parts)
            end = share(layer.intercept_size, plan.panel, part + 1, parts)
            intercept_gradient(plan, layer, work, chunk, first, end)
        if chunk.last and first < end and not job.whole:
            step_intercepts(job, layer, first, end, grads + layer.intercept)


cdef void slice_chunks(Job *job, real *work, int part) noexcept nogil:
    """Slices that no other thread has taken. In each round every slice does one chunk."""
    cdef Plan *plan = job.plan
    cdef Chunk chunk
    cdef double *losses = <double *> (work + plan.partials)
    cdef double loss
    cdef Py_ssize_t s = team_take(&job.next), r, c
    while s * job.n_rounds < job.n_chunks:
        for r in range(job.round, job.end_round):
            c = s * job.n_rounds + r
            if c >= job.n_chunks:
                break
            chunk = at_desk(plan, 0, 0, part)
            place(job, c, &chunk)
            chunk.slice = plan.slice + s * plan.slice_size
            chunk.fresh = r == 0
            if job.seen + (r - job.round) < job.n_rounds:
                gather_part(job, &chunk, work, 0, 1)
                add_noise(job, &chunk, work)
            forward_chunk(plan, <const real *> job.packed, work, &chunk, 0)
            scatter_output(job, &chunk, work)
            loss = loss_of(plan, work, &chunk, job.step.loss, loss_numbers_of(job.step))
            losses[s] = loss if r == 0 else losses[s] + loss
            backward_chunk(plan, <const real *> job.packed, work, &chunk)
        s = team_take(&job.next)


cdef void slice_step(Job *job, real *work, int part, int parts) noexcept nogil:
    """This part's rows of every layer: gradients of all slices added in order, and their step."""
    cdef Plan *plan = job.plan
    cdef Layer *layer
    cdef real *grads = work + plan.slice
    cdef real *grad
    cdef Py_ssize_t i, s, p, first, end, at, panel, rows
    cdef Py_ssize_t used = (job.n_chunks + job.n_rounds - 1) // job.n_rounds
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        first = share(layer.fan_in, rows_unit(plan, layer), part, parts)
        end = share(layer.fan_in, rows_unit(plan, layer), part + 1, parts)
        grad = grads + layer.coef + first * layer.panel
        panel = layer.fan_in * layer.panel
        if layer.by_lanes:
            rows = end - first + (part == parts - 1)    # the intercepts' row after the last
            at = plan.packed_size + layer.lanes + first * layer.fan_out * plan.lanes
            for s in range(1, used):
                c_add(rows * layer.fan_out * plan.lanes, grads + s * plan.slice_size + at,
                      grads + at)
            add_lanes_of(plan, layer, work, first, end, grad, panel)
        else:
            for p in range(layer.intercept_size // plan.panel):
                for s in range(1, used):
                    at = layer.coef + p * panel + first * plan.panel
                    c_add((end - first) * plan.panel, grads + s * plan.slice_size + at, grads + at)
        if not job.whole:
            step_rows(job, layer, first, end, grad, panel)
        if part < parts - 1:
            continue
        if layer.by_lanes:
            add_lanes_of(plan, layer, work, layer.fan_in, layer.fan_in + 1,
                         grads + layer.intercept, plan.panel)
        else:
            for s in range(1, used):
                c_add(layer.intercept_size, grads + s * plan.slice_size + layer.intercept,
                      grads + layer.intercept)
        if not job.whole:
            step_intercepts(job, layer, 0, layer.intercept_size, grads + layer.intercept)


cdef void whole_step(Job *job, real *work, int part, int parts) noexcept nogil:
    """The solver's step on this part's rows of every layer, whose gradients are complete."""
    cdef Plan *plan = job.plan
    cdef Layer *layer
    cdef real *grads = work + plan.slice
    cdef Py_ssize_t i, first, end
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        first = share(layer.fan_in, rows_unit(plan, layer), part, parts)
        end = share(layer.fan_in, rows_unit(plan, layer), part + 1, parts)
        step_rows(job, layer, first, end, grads + layer.coef + first * layer.panel,
                  layer.fan_in * layer.panel)
        if part == parts - 1:
            step_intercepts(job, layer, 0, layer.intercept_size, grads + layer.intercept)


cdef double gradient_norm(Job *job, real *work, double scale) noexcept nogil:
    """The length of the whole gradient, times scale."""
    cdef Plan *plan = job.plan
    cdef Layer *layer
    cdef const real *packed = <const real *> job.packed
    cdef const real *grads = work + plan.slice
    cdef double squares = 0
    cdef Py_ssize_t i
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        squares += c_gradient_squares(layer.coef_size, packed + layer.coef, grads + layer.coef,
                                      scale * job.coef_scale, scale * job.decay)
        squares += c_gradient_squares(
            layer.intercept_size, packed + layer.intercept, grads + layer.intercept,
            scale * job.intercept_scale, 0.0)
    return sqrt(squares)


cdef void clip_gradient(Job *job, real *work, double clip_norm) noexcept nogil:
    """Make the whole gradient no longer than clip_norm (Pascanu et al., 2013)."""
    cdef double scale = 1, norm = gradient_norm(job, work, 1.0), factor
    if not isfinite(norm):          # squares overflow where the gradient itself does not
        scale = ldexp(1.0, -70 if sizeof(real) == 4 else -600)
        norm = gradient_norm(job, work, scale)
    if norm > scale * clip_norm and isfinite(norm):
        factor = scale * clip_norm / norm
        job.coef_scale *= factor
        job.intercept_scale *= factor
        job.decay *= factor


cdef void perform_typed(Job *job, real *work, int part, int parts) noexcept nogil:
    cdef const real *packed = <const real *> job.packed
    if job.phase == GATHER:
        gather_part(job, &job.chunk, work, part, parts)
    elif job.phase == FORWARD:
        forward_layer(job.plan, job.layer, packed, work, &job.chunk, part, parts)
    elif job.phase == DELTA:
        delta_layer(job.plan, job.layer, packed, work, &job.chunk, part, parts)
    elif job.phase == GRADIENT:
        gradient_part(job, work, part, parts)
    elif job.phase == PENALTY:
        penalty_part(job.plan, packed, work, part, parts)
    elif job.phase == SLICE_CHUNKS:
        slice_chunks(job, work, part)
    elif job.phase == SLICE_STEP:
        slice_step(job, work, part, parts)
    elif job.phase == WHOLE_STEP:
        whole_step(job, work, part, parts)
    else:
        FASTNN_UNREACHABLE("phase")


cdef void perform(void *context, int part, int parts) noexcept nogil:
    cdef Job *job = <Job *> context
    if job.itemsize == 4:
        perform_typed(job, <float *> job.work, part, parts)
    else:
        perform_typed(job, <double *> job.work, part, parts)


cdef void run_phase(
    Job *job, void *team, int n_threads, int phase, double multiply_adds
) noexcept nogil:
    job.phase = phase
    if n_threads == 1:
        perform(job, 0, 1)
    else:
        team_run(team, perform, job, parts_of(multiply_adds / job.plan.lanes, n_threads))


cdef double train_chunk(Job *job, real *work, void *team, int n_threads) noexcept nogil:
    """job.chunk from gather to gradient and step; returns its loss, early if training ends."""
    cdef Plan *plan = job.plan
    cdef Chunk *chunk = &job.chunk
    cdef Layer *layer
    cdef Py_ssize_t i
    cdef double loss, n = chunk.n_vectors * plan.lanes, total = 0
    if job.seen < job.n_rounds:
        # to gather a feature costs about 8 multiply-adds
        run_phase(job, team, n_threads, GATHER, 8 * n * plan.layers[0].fan_in)
        add_noise(job, chunk, work)
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        job.layer = i
        run_phase(job, team, n_threads, FORWARD, n * layer.fan_in * layer.fan_out)
        total += n * layer.fan_in * layer.fan_out
    output_of(plan, work, chunk)
    scatter_output(job, chunk, work)
    loss = loss_of(plan, work, chunk, job.step.loss, loss_numbers_of(job.step))
    if not (isfinite(loss) or job.step.keep_going):
        return loss
    for i in range(plan.n_layers - 1, 0, -1):
        layer = &plan.layers[i]
        job.layer = i
        run_phase(job, team, n_threads, DELTA, n * layer.fan_in * layer.fan_out)
    run_phase(job, team, n_threads, GRADIENT, total)
    return loss


cdef void set_solver(solver_numbers *numbers, const Step *step) noexcept nogil:
    """The solver's numbers that are the same in all steps; `set_step` sets the others."""
    memset(numbers, 0, sizeof(solver_numbers))
    numbers.solver = step.solver
    numbers.n_states = solver_states(step.solver) + (step.ema != 0)
    numbers.momentum = step.momentum
    numbers.beta_1, numbers.beta_2, numbers.epsilon = step.beta_1, step.beta_2, step.epsilon


cdef inline void set_step(
    solver_numbers *numbers, const Step *step, Py_ssize_t t, const double *factors
) noexcept nogil:
    """Those of the t-th step, 1 at the first; factors: of learning rate and decay, or NULL."""
    cdef double rate = step.learning_rate
    if factors != NULL:
        rate *= factors[0]
    set_rates(numbers, rate, t)
    if step.weight_decay != 0:
        numbers.shrink = rate * (step.weight_decay * (factors[1] if factors != NULL else 1.0))
    if step.ema != 0:           # the first steps, which go far, count less
        numbers.average = 1 - min(step.ema, t / (t + 9.0))


cdef struct Training:       # the arrays of train_epoch
    void *params
    void *packed
    void *states            # NULL: none
    Py_ssize_t n_states, n_layers, n_rows, n_targets
    const Py_ssize_t *layer_units
    const int *activations
    const Step *step
    Rows x
    Py_ssize_t *order       # NULL: as they are
    const void *y
    unsigned char *workspace
    void *team              # NULL: one thread
    Cursor *cursor
    double *loss_curve
    void *output            # NULL: not wanted
    BitGenerator *generator     # shuffles order before each epoch; NULL: nobody does
    Stopping *rule          # NULL: train until the last epoch
    void *kept              # with a rule: what the last epochs began with
    const double *schedule  # three factors for each step, or NULL
    Py_ssize_t n_schedule   # steps in it; later ones take the last


cdef void train_net(const Training *t, real *params) noexcept nogil:
    """`train_epoch`; params is t.params, of the type of all arrays."""
    cdef Plan plan
    cdef Job job
    cdef real *packed = <real *> t.packed
    cdef real *work
    cdef double *losses
    cdef Py_ssize_t n_rows = t.n_rows, n_params = 0, i, done
    cdef const Py_ssize_t *layer_units = t.layer_units
    cdef const Step *numbers = t.step
    cdef Cursor *at = t.cursor
    cdef void *helpers = t.team
    cdef Py_ssize_t row = at.row, epoch = at.epoch, size, scheduled
    cdef const double *factors = NULL
    cdef solver_numbers undecayed
    cdef Py_ssize_t n_epochs = at.stop, batch_size = numbers.batch_size
    cdef int n_threads = 1 if helpers == NULL else max(1, numbers.n_threads)
    cdef double alpha = numbers.alpha, budget = numbers.budget
    cdef double work_done = 0, per_row = 0, per_round, loss_sum, loss_scale
    cdef bint diverged = False, weightless = False, enough = False
    cdef bint full_batch = batch_size >= n_rows
    cdef real *kept = <real *> t.kept
    cdef bint weighted = t.n_targets > layer_units[t.n_layers]
    memset(&job, 0, sizeof(job))
    job.plan = &plan
    job.itemsize = sizeof(real)
    job.step = numbers
    job.packed, job.y = packed, t.y
    job.x = t.x
    if not (t.generator != NULL and full_batch):    # where it would make no difference
        job.order = job.x.order = t.order
    job.states = t.states
    work = open_workspace(&plan, layer_units, t.activations, t.n_layers, numbers.loss, batch_size,
                          t.n_states, n_threads, weighted, t.workspace, packed)
    job.work = work
    losses = <double *> (work + plan.partials)
    size = plan.packed_size
    set_solver(&job.numbers, numbers)
    job.intercept_numbers = &job.numbers
    if numbers.weight_decay != 0 and not numbers.decay_intercepts:
        job.intercept_numbers = &undecayed
    job.whole = numbers.clip_norm > 0 or numbers.solver == RPROP
    if job.whole:
        plan.scratch_size = 0       # gradients are summed where they stay
    job.noise.seed, job.noise.rates = numbers.seed, dropout_of(numbers)
    job.noise.size, job.noise.factor = numbers.input_noise, 1
    job.noisy = job.noise.rates != NULL or job.noise.size != 0
    if job.noise.size != 0:
        plan.cached = False         # it is other noise in every epoch
    for i in range(plan.n_layers if job.noise.rates != NULL else 0):
        if job.noise.rates[i] > 0:
            plan.layers[i].derived = plan.layers[i].delta
            plan.layers[i].derivative = STORED_SLOPE
    if at.status == START:
        pack_params(params, &plan, packed)
        at.status, at.first = RUNNING, epoch
        if numbers.ema != 0 and at.step == 0:
            memcpy(<real *> t.states + (t.n_states - 1) * size, packed, size * sizeof(real))
        if t.rule != NULL and t.rule.finite < 0:
            memcpy(kept, packed, size * sizeof(real))
            t.rule.finite = 0
    for i in range(plan.n_layers):
        per_row += 3.0 * layer_units[i] * layer_units[i + 1] + 20.0 * layer_units[i + 1]
        n_params += (layer_units[i] + 1) * layer_units[i + 1]
    while epoch < n_epochs and work_done < budget:
        if row == 0:
            # params still are those of the first epoch's beginning
            if epoch > at.first and not numbers.keep_going:
                memcpy(work + plan.backup, packed, size * sizeof(real))
            t.loss_curve[epoch] = 0
            if t.generator != NULL:
                shuffle_rows(t.generator, n_rows, t.order)
            if t.rule != NULL:
                memcpy(kept + (1 - t.rule.finite) * size, packed, size * sizeof(real))
        if t.output != NULL and epoch == n_epochs - 1:
            job.output = t.output
        while row < n_rows and work_done < budget:
            job.start = row // batch_size * batch_size
            job.batch = min(batch_size, n_rows - job.start)
            job.n_chunks = (job.batch + plan.chunk - 1) // plan.chunk
            job.n_rounds = (job.n_chunks + plan.slices - 1) // plan.slices
            job.round = row - job.start
            if not weighted:
                job.weight = job.batch
            elif job.weight == 0 or job.round == 0 and not full_batch:
                job.weight = weight_of(<const real *> t.y, job.order, job.start, job.batch,
                                       plan.n_targets)
                weightless = job.weight == 0
                if weightless:
                    break
            # a batch adds its mean loss times its number of rows
            loss_scale = job.batch / job.weight
            if t.schedule != NULL:
                scheduled = min(max(at.step - at.schedule, <Py_ssize_t> 0), t.n_schedule - 1)
                factors = t.schedule + 3 * scheduled
                job.noise.factor = factors[2]
            if job.noisy:
                job.noise.step, job.noise.start = at.step, job.start
            set_step(&job.numbers, numbers, at.step + 1, factors)
            if job.intercept_numbers != &job.numbers:
                undecayed = job.numbers
                undecayed.shrink = 0
            job.intercept_scale = 1.0 / job.weight
            job.coef_scale = 1.0 if numbers.sum_coef_grads else job.intercept_scale
            job.decay = alpha / job.weight
            if job.round == 0 and alpha != 0:
                run_phase(&job, helpers, n_threads, PENALTY, n_params)
            if plan.slices == 1:
                done = 1
                job.chunk = at_desk(&plan, 0, 0, 0)
                place(&job, job.round, &job.chunk)
                job.chunk.fresh = job.round == 0
                job.chunk.last = job.round == job.n_rounds - 1
                loss_sum = train_chunk(&job, work, helpers, n_threads)
                t.loss_curve[epoch] += loss_sum * loss_scale
                work_done += job.chunk.count * per_row
            else:
                per_round = per_row * plan.chunk * plan.slices
                done = <Py_ssize_t> min((budget - work_done) / per_round,
                                        <double> (job.n_rounds - job.round))
                done = max(done, 1)
                job.end_round = job.round + done
                job.next = 0
                run_phase(&job, helpers, min(n_threads, <int> SLICES), SLICE_CHUNKS,
                          done * per_round)
                work_done += done * per_round
                loss_sum = 0
                for i in range((job.n_chunks + job.n_rounds - 1) // job.n_rounds):
                    loss_sum += losses[i]
            if not (isfinite(loss_sum) or numbers.keep_going):
                diverged = True
                break
            row += done
            if full_batch and (plan.cached or job.n_chunks == 1) and job.noise.size == 0:
                job.seen += done    # every epoch has the same tiles
            if job.round + done == job.n_rounds:
                row = job.start + job.batch
                at.step += 1
                if alpha != 0:
                    t.loss_curve[epoch] += penalty(&plan, work, alpha) * loss_scale
                if plan.slices > 1:
                    t.loss_curve[epoch] += loss_sum * loss_scale
                    run_phase(&job, helpers, n_threads, SLICE_STEP,
                              4.0 * plan.slices * plan.slice_size)
                if job.whole:
                    if numbers.solver == RPROP:     # all rows are one batch
                        job.numbers.take_back = (
                            numbers.take_back and t.loss_curve[epoch] > at.last_loss)
                        job.intercept_numbers.take_back = job.numbers.take_back
                        at.last_loss = t.loss_curve[epoch]
                    if numbers.clip_norm > 0:
                        clip_gradient(&job, work, numbers.clip_norm)
                    run_phase(&job, helpers, n_threads, WHOLE_STEP, 4.0 * n_params)
                work_done += 4.0 * n_params
        if row == n_rows and not diverged:
            t.loss_curve[epoch] /= n_rows
            if not numbers.keep_going:
                diverged = not (isfinite(t.loss_curve[epoch])
                                and c_all_finite(packed, size))
        if weightless and not numbers.keep_going:   # after steps of this epoch, perhaps
            diverged = not c_all_finite(packed, size)
        if diverged:
            row = 0
            at.status = DIVERGED
            break
        if weightless:
            row = 0
            at.status = WEIGHTLESS
            break
        if row == n_rows:
            row = 0
            epoch += 1
            enough = t.rule != NULL and ends_training(t.rule, t.loss_curve[epoch - 1])
            if enough:
                break
    if epoch >= n_epochs or enough:
        at.status = FINISHED
    if at.status == FINISHED or at.status == WEIGHTLESS:
        unpack_params(packed, &plan, params)
    elif at.status == DIVERGED and epoch > at.first:
        unpack_params(work + plan.backup, &plan, params)
    at.epoch = epoch
    at.row = row


def train_epoch(
    real[::1] params,                   # IN/OUT plain parameters; written at the end
    real[:, ::1] packed_rows,           # IN/OUT (1 + n_states, packed_size): params packed, then
                                        #        the solver's state; zero in the padding
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    const unsigned char[::1] step,      # IN  a step record
    const real[:, ::1] x,               # IN  (n, layer_units[0]), or sparse rows: see forward
    columns,
    row_starts,
    const real[:, ::1] y,               # IN  (n, layer_units[-1]), or with a column of weights
    Py_ssize_t[::1] order,              # IN/OUT (n,) the epoch's shuffle, or empty or None
    unsigned char[::1] workspace,       # workspace_size(.., batch_size, .., n_threads, weighted)
    unsigned char[::1] team,            # an open team; empty or None: one thread
    unsigned char[::1] cursor,          # IN/OUT a cursor record
    double[::1] loss_curve,             # OUT (stop,) mean loss of each epoch, before its steps
    real[:, ::1] output,                # OUT (n, units) outputs in the last epoch; empty or None
    bit_generator=None,                 # of NumPy's: shuffles order before each epoch
    unsigned char[::1] stopping=None,   # IN/OUT a stopping record
    real[:, ::1] kept=None,             # OUT (2, packed_size) with stopping: see its field finite
    const double[:, ::1] schedule=None,     # IN  (steps, 3) factors, from cursor.schedule on
):
    """Epochs of mini-batch descent: forward, loss, deltas, gradients, solver's step.

    Epochs are counted from cursor.epoch, which is kept in cursor.first, to cursor.stop.
    cursor.status is START at the first call; call again while it is RUNNING. FINISHED: with START
    again and a higher cursor.stop, training goes on from what params are then. DIVERGED: epoch
    cursor.epoch left the finite numbers; params are those it began with, packed_rows are of no
    use. With step.keep_going nothing is checked, and training ends when its epochs do.

    If y has one column more than there are outputs, that is the weight of each row, which
    multiplies its loss and its gradient. A batch is then divided by the sum of its weights instead
    of its number of rows, and an epoch's loss is the mean of its batches' losses, each counted as
    often as it has rows. WEIGHTLESS: the weights of a batch of epoch cursor.epoch add up to 0, and
    params are those before its step.

    With a bit generator every epoch has an order of its own; if all rows are one batch, it is
    drawn but makes no difference. With a stopping record training may be FINISHED before
    cursor.stop.

    A schedule has a row for each step of the solver: factors of the learning rate, the weight
    decay and the shares of dropout. Its first row is for the step after cursor.schedule steps;
    steps beyond its end take the last.
    """
    cdef Training t
    memset(&t, 0, sizeof(t))
    enough(packed_rows.shape[0], 1, "packed_rows")
    enough(layer_units.shape[0], 2, "layer_units")
    t.params, t.packed = &params[0], &packed_rows[0, 0]
    t.n_states = packed_rows.shape[0] - 1
    if t.n_states:
        t.states = &packed_rows[1, 0]
    t.layer_units, t.activations = &layer_units[0], &activations[0]
    t.n_layers = layer_units.shape[0] - 1
    t.step, t.cursor = <const Step *> &step[0], <Cursor *> &cursor[0]
    t.y, t.n_rows, t.n_targets = &y[0, 0], y.shape[0], y.shape[1]
    check_net(&t, params.shape[0], activations.shape[0], packed_rows.shape[1], step.shape[0],
              workspace.shape[0], cursor.shape[0], sizeof(real),
              t.n_targets > layer_units[t.n_layers])
    check_targets(&t)
    enough(loss_curve.shape[0], t.cursor.stop, "loss_curve")
    if not (0 <= t.cursor.epoch and 0 <= t.cursor.row <= t.n_rows):
        raise ValueError(f"cursor is at epoch {t.cursor.epoch}, row {t.cursor.row}")
    t.x = rows_of(x, columns, row_starts, t.n_rows, layer_units[0])
    if order is not None and order.shape[0]:
        same(order.shape[0], t.n_rows, "order")
        t.order = &order[0]
    t.workspace, t.loss_curve = &workspace[0], &loss_curve[0]
    if team is not None and team.shape[0]:
        enough(team.shape[0], team_bytes(t.step.n_threads), "team")
        t.team = &team[0]
    if output is not None and output.shape[0]:
        same(output.shape[0], t.n_rows, "output")
        same(output.shape[1], layer_units[t.n_layers], "a row of output")
        t.output = &output[0, 0]
    if bit_generator is not None:
        if t.order == NULL:
            raise ValueError("bit_generator needs an order to shuffle")
        t.generator = generator_of(bit_generator)
    if stopping is not None:
        enough(stopping.shape[0], sizeof(Stopping), "stopping")
        same(kept.shape[0], 2, "kept")
        same(kept.shape[1], packed_rows.shape[1], "a row of kept")
        t.rule, t.kept = <Stopping *> &stopping[0], &kept[0, 0]
    if schedule is not None:
        enough(schedule.shape[0], 1, "schedule")
        same(schedule.shape[1], 3, "a row of schedule")
        t.schedule, t.n_schedule = &schedule[0, 0], schedule.shape[0]
    with nogil:
        train_net(&t, &params[0])


def solver_update(
    real[::1] params,                   # IN/OUT
    const real[::1] grads,              # IN
    real[:, ::1] states,                # IN/OUT (the solver's number of states, n)
    const unsigned char[::1] step,      # IN  a step record: solver and its numbers
    Py_ssize_t t,                       # 1 at the first step
):
    """One step of a solver.

    sgd: params -= lr g.
    momentum: v = momentum v - lr g; params += v.
    nesterov: v = momentum v - lr g; params += momentum v - lr g.
    adam: m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
    params -= lr sqrt(1-b2^t) / (1-b1^t) m / (sqrt(v) + epsilon).
    """
    cdef solver_numbers numbers
    enough(step.shape[0], sizeof(Step), "step")
    same(grads.shape[0], params.shape[0], "grads")
    set_solver(&numbers, <const Step *> &step[0])
    enough(states.shape[0], numbers.n_states, "states")
    if numbers.n_states:
        same(states.shape[1], params.shape[0], "a row of states")
    set_step(&numbers, <const Step *> &step[0], t, NULL)
    numbers.take_back = (<const Step *> &step[0]).take_back
    c_solver_update(params.shape[0], &params[0], &grads[0],
                    &states[0, 0] if states.shape[0] else NULL, params.shape[0], &numbers, 1.0,
                    0.0)
