# What is drawn, and the rule that ends training.
#
# Draws are those of NumPy's RandomState: of the first parameters, and of the next epoch's order of
# rows. Words of MT19937, its usual generator, are drawn many at a time from its own state. If that
# is not laid out as a `twister`, they are drawn one by one, as from all other generators.

from numpy.random import MT19937

cdef extern from "twister.h" nogil:
    enum: TWISTER_WORDS
    ctypedef struct twister:
        uint32_t *key
        int pos
    void twister_draw(twister *t, Py_ssize_t n, uint32_t *out)

cdef enum:
    DRAWS = 64              # words at a time

ctypedef fused index:
    int32_t
    Py_ssize_t

ctypedef uint32_t (*next_word)(void *state) noexcept nogil

cdef struct BitGenerator:               # the first fields of numpy/random/bitgen.h's
    void *state
    void *next_uint64
    next_word next_uint32
    double (*next_double)(void *state) noexcept nogil


cdef BitGenerator *generator_of(bit_generator) except NULL:
    return <BitGenerator *> PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")


cdef next_word twister_next() except? NULL:
    """What draws from NumPy's MT19937, or NULL if its state is not a `twister`."""
    one = MT19937(0)
    cdef BitGenerator *generator = generator_of(one)
    cdef twister *state = <twister *> generator.state
    cdef const uint32_t[::1] key
    cdef Py_ssize_t i
    for _ in range(2):
        told = one.state["state"]
        key = told["key"]
        if state.pos != told["pos"] or key.shape[0] != TWISTER_WORDS:
            return NULL
        for i in range(TWISTER_WORDS):
            if state.key[i] != key[i]:
                return NULL
        generator.next_uint32(generator.state)
    return generator.next_uint32


cdef next_word TWISTER_NEXT = twister_next()    # as long as the module lives


cdef void draw_words(BitGenerator *generator, Py_ssize_t n, uint32_t *out) noexcept nogil:
    """The next n of its 32-bit numbers."""
    cdef Py_ssize_t i
    if generator.next_uint32 == TWISTER_NEXT:
        twister_draw(<twister *> generator.state, n, out)
        return
    for i in range(n):
        out[i] = generator.next_uint32(generator.state)


cdef void shuffle_rows(BitGenerator *generator, Py_ssize_t n, index *order) noexcept nogil:
    """Fisher and Yates; each j among 0 .. i is drawn by masking bits until it is small enough.

    A draw that is too large swaps i with itself and does not count, so no branch is mispredicted.
    """
    cdef uint32_t[DRAWS] words
    cdef Py_ssize_t i = n - 1, j, k, count, end, mask = 1, taken
    while mask < i:
        mask = 2 * mask + 1
    while i > 0:
        count, k = min(i, DRAWS), 0     # as many will be drawn
        draw_words(generator, count, words)
        while k < count:
            end = k + min(count - k, i - (mask >> 1))   # as many have this mask
            while k < end:
                j = words[k] & mask
                taken = j <= i
                j = j if taken else i
                order[i], order[j] = order[j], order[i]
                i -= taken
                k += 1
            mask >>= i == mask >> 1


def shuffle(bit_generator, Py_ssize_t[::1] order):
    """RandomState(bit_generator).shuffle(order), fewer than 2^32 numbers, in half the time."""
    cdef BitGenerator *generator = generator_of(bit_generator)
    if order.shape[0]:
        with nogil:
            shuffle_rows(generator, order.shape[0], &order[0])


cdef void fill_uniform(
    BitGenerator *generator, double bound, Py_ssize_t n, real *out
) noexcept nogil:
    """n numbers, uniform in [-bound, bound)."""
    cdef double[64] products        # stored before the sum, or a compiler fuses the two
    cdef Py_ssize_t i, count
    while n > 0:
        count = min(n, 64)
        for i in range(count):
            products[i] = 2 * bound * generator.next_double(generator.state)
        for i in range(count):
            out[i] = <real> (products[i] - bound)
        out += count
        n -= count


def draw_uniform(bit_generator, bounds, arrays):
    """Each array of arrays[...] = RandomState(bit_generator).uniform(-bound, bound, array.shape).

    One after the other, with a bound for each.
    """
    cdef BitGenerator *generator = generator_of(bit_generator)
    cdef double bound
    cdef Py_ssize_t n
    cdef int number
    cdef void *data
    for number_of, array in zip(bounds, arrays, strict=True):
        bound, number, n = number_of, cnp.PyArray_TYPE(array), cnp.PyArray_SIZE(array)
        if number != cnp.NPY_FLOAT32:
            number = cnp.NPY_FLOAT64
        data = data_of(array, number, cnp.PyArray_NDIM(array), True)
        with nogil:
            if number == cnp.NPY_FLOAT32:
                fill_uniform(generator, bound, n, <float *> data)
            else:
                fill_uniform(generator, bound, n, <double *> data)


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
