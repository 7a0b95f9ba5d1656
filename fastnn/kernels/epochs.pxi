# What happens between two epochs: the next one's order of rows, and the rule that ends training.

cdef struct BitGenerator:               # the first fields of numpy/random/bitgen.h's
    void *state
    void *next_uint64
    uint32_t (*next_uint32)(void *state) noexcept nogil


cdef BitGenerator *generator_of(bit_generator) except NULL:
    return <BitGenerator *> PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")


cdef void shuffle_rows(
    BitGenerator *generator, Py_ssize_t n, Py_ssize_t *order
) noexcept nogil:
    """Fisher and Yates; each j among 0 .. i is drawn by masking bits until it is small enough.

    A draw that is too large swaps i with itself and does not count, so no branch is mispredicted.
    """
    cdef Py_ssize_t i = n - 1, j, mask = 1, taken
    while mask < i:
        mask = 2 * mask + 1
    while i > 0:
        j = generator.next_uint32(generator.state) & mask
        taken = j <= i
        j = j if taken else i
        order[i], order[j] = order[j], order[i]
        i -= taken
        mask >>= i <= mask >> 1


def shuffle(bit_generator, Py_ssize_t[::1] order):
    """RandomState(bit_generator).shuffle(order), fewer than 2^32 numbers, in half the time."""
    cdef BitGenerator *generator = generator_of(bit_generator)
    if order.shape[0]:
        with nogil:
            shuffle_rows(generator, order.shape[0], &order[0])


cdef bint ends_training(Stopping *rule, double loss) noexcept nogil:
    """Take note of an epoch's loss; whether there is no improvement for too long."""
    if isfinite(loss):
        rule.finite = 1 - rule.finite
    if loss > rule.best_loss - rule.tol:
        rule.no_improvement_count += 1
    else:
        rule.no_improvement_count = 0
    if loss < rule.best_loss:
        rule.best_loss = loss
    return rule.no_improvement_count > rule.n_iter_no_change
