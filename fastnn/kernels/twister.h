/* MT19937, what NumPy's RandomState draws from, many words at a time.
 *
 * M. Matsumoto, T. Nishimura: Mersenne Twister: a 623-dimensionally equidistributed uniform
 * pseudo-random number generator. ACM TOMACS 8 (1998) 3-30.
 *
 * A word depends on words 227 and more places before, so compilers make vectors of these loops. The
 * struct is that of NumPy's generator; epochs.pxi asks whether it still is. */

#ifndef FASTNN_TWISTER_H
#define FASTNN_TWISTER_H

#include <stddef.h>
#include <stdint.h>

enum { TWISTER_WORDS = 624, TWISTER_SHIFT = 397 };

typedef struct {
    uint32_t key[TWISTER_WORDS];
    int pos; /* the next word's; TWISTER_WORDS: all are used up */
} twister;

static inline uint32_t twisted(uint32_t high, uint32_t low, uint32_t other)
{
    const uint32_t both = (high & 0x80000000u) | (low & 0x7fffffffu);
    return other ^ (both >> 1) ^ ((0u - (both & 1u)) & 0x9908b0dfu);
}

static void twister_refill(twister *t)
{
    const int last = TWISTER_WORDS - 1, back = TWISTER_WORDS - TWISTER_SHIFT;
    uint32_t *key = t->key;
    for (int i = 0; i < back; i++) key[i] = twisted(key[i], key[i + 1], key[i + TWISTER_SHIFT]);
    for (int i = back; i < last; i++) key[i] = twisted(key[i], key[i + 1], key[i - back]);
    key[last] = twisted(key[last], key[0], key[TWISTER_SHIFT - 1]);
    t->pos = 0;
}

/* The next n words. */
static void twister_draw(twister *t, ptrdiff_t n, uint32_t *out)
{
    while (n > 0) {
        if (t->pos >= TWISTER_WORDS) twister_refill(t);
        const ptrdiff_t left = TWISTER_WORDS - t->pos, count = n < left ? n : left;
        const uint32_t *key = t->key + t->pos;
        for (ptrdiff_t i = 0; i < count; i++) {
            uint32_t word = key[i];
            word ^= word >> 11;
            word ^= (word << 7) & 0x9d2c5680u;
            word ^= (word << 15) & 0xefc60000u;
            out[i] = word ^ (word >> 18);
        }
        t->pos += (int)count;
        out += count;
        n -= count;
    }
}

#endif
