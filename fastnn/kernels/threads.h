/* A team of threads that lives as long as one fit: the caller, and helpers that Python started and
 * that stay in team_serve until team_close.
 *
 * team_run cuts a task into parts and offers one to each of some helpers. It does part 0 itself,
 * then every part that its helper has not begun, and returns when all are done. So it waits for work
 * in progress, never for a thread without a core. `part` and `parts` may decide who computes, never
 * the result. All memory is the caller's.
 *
 * One word for each helper settles who does a part:
 *
 *   IDLE -> OPEN    the caller, by a store, after writing `task`, `context`, `parts`, `part`
 *   OPEN -> TAKEN   the helper, by compare-and-swap; then it reads them and does the part
 *   OPEN -> IDLE    the caller, by compare-and-swap; then it does the part
 *   TAKEN -> IDLE   the helper, by a store, after the part is done
 *   IDLE -> CLOSED  the caller, by a store; the helper leaves
 *
 * One of the two swaps wins, so a part is done once. Every word is IDLE when team_run returns, and a
 * helper reads the task only between its two steps, so nobody writes it meanwhile. Suppose a helper
 * sees OPEN, sleeps, and then swaps: if that task is over, the swap fails; if another is open by
 * then, the helper takes that one, of which it has read nothing before. There is no counter to
 * mistake or overflow. Memory order: the release before OPEN and the acquire of the swap hand the
 * task over; the store of IDLE and the caller's load of it hand the results back.
 *
 * A helper waits for its next task by spinning for about 0.1 ms and is then parked by the operating
 * system. Some parts of a step, shorter than that, are done by one thread; being parked and woken
 * in every step would cost more than the help is worth. The caller spins half as long for a slow
 * helper. Each helper's word has its own cache lines.
 *
 * Waking a helper costs time. One that does not come for half a millisecond, or that works on the
 * caller's own core, is left alone for a while, which doubles from trial to trial. Tasks are cut
 * into fewer parts meanwhile.
 *
 * In a forked child the helpers do not exist and their mutexes may be locked. team_open with one
 * thread turns the memory into a team of the caller alone, and touches no mutex.
 */
#ifndef FASTNN_THREADS_H
#define FASTNN_THREADS_H

#include <stddef.h>
#include <string.h>

typedef void (*team_task)(void *context, int part, int parts);

#if defined(__GNUC__) && !defined(_WIN32)
#define FASTNN_HAS_THREADS 1
#include <pthread.h>
#include <sched.h>
#include <time.h>
#else
#define FASTNN_HAS_THREADS 0
#endif

#if FASTNN_HAS_THREADS

/* Spinning before a thread is parked, about 0.1 ms. It is measured by a clock if reading one is
 * cheap: a pause takes 40 cycles on one x86 CPU and 140 on another. */
#if defined(__x86_64__)
#define TEAM_SPINS 300000
#define TEAM_PAUSE() __builtin_ia32_pause()
#define TEAM_NOW(spin) ((void)(spin), (long long)__builtin_ia32_rdtsc())
#elif defined(__aarch64__)
#define TEAM_SPINS 10000
#define TEAM_PAUSE() __asm__ volatile("isb")
#define TEAM_NOW(spin) (spin)
#else
#define TEAM_SPINS 50000
#define TEAM_PAUSE() ((void)0)
#define TEAM_NOW(spin) (spin)
#endif

/* Nanoseconds: how long a helper may fail to help; how long it is then left alone, at first and at
 * most. A parked thread takes about 0.05 ms to come on a virtual machine. */
#define TEAM_TRIAL 500000
#define TEAM_REST 500000
#define TEAM_LONGEST_REST 32000000

enum { TEAM_IDLE, TEAM_OPEN, TEAM_TAKEN, TEAM_CLOSED };

typedef struct {
    int state, waiting; /* see above; how many threads are parked until the state changes */
    int part, core; /* the part on offer; the core that did the last one, -1: unknown */
    long long trial_end, rest_end, rest; /* for the caller only, see team_judge; 0: none */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} __attribute__((aligned(128))) team_helper;

typedef struct {
    int n_threads, parts; /* helpers + 1; parts of the task */
    team_task task;
    void *context;
    team_helper helpers[];
} team;

static inline long long team_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline int team_core(void)
{
#if defined(__linux__) && defined(_GNU_SOURCE)
    return sched_getcpu();
#else
    return -1;
#endif
}

/* Sequentially consistent on both sides: either the writer sees that a thread is parked, or a
 * thread about to park sees the new state. */
static inline void team_set(team_helper *helper, int state)
{
    __atomic_store_n(&helper->state, state, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&helper->waiting, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&helper->mutex);
        pthread_cond_broadcast(&helper->changed);
        pthread_mutex_unlock(&helper->mutex);
    }
}

static inline int team_swap(team_helper *helper, int old, int state)
{
    return __atomic_compare_exchange_n(&helper->state, &old, state, 0, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

/* Wait while the state is `old`; returns the new one. */
static inline int team_wait(team_helper *helper, int old, long long spins)
{
    int state;
    const long long end = TEAM_NOW(0) + spins;
    for (long long spin = 0; TEAM_NOW(spin) < end; spin++) {
        state = __atomic_load_n(&helper->state, __ATOMIC_ACQUIRE);
        if (state != old) return state;
        TEAM_PAUSE();
    }
    pthread_mutex_lock(&helper->mutex);
    __atomic_fetch_add(&helper->waiting, 1, __ATOMIC_SEQ_CST);
    while ((state = __atomic_load_n(&helper->state, __ATOMIC_SEQ_CST)) == old)
        pthread_cond_wait(&helper->changed, &helper->mutex);
    __atomic_fetch_sub(&helper->waiting, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&helper->mutex);
    return state;
}

static inline ptrdiff_t team_bytes(int n_threads)
{
    return (ptrdiff_t)(sizeof(team) + (size_t)(n_threads - 1) * sizeof(team_helper));
}

static inline void team_open(void *memory, int n_threads)
{
    team *t = memory;
    memset(t, 0, sizeof *t);
    t->n_threads = n_threads;
    for (int i = 0; i < n_threads - 1; i++) {
        memset(&t->helpers[i], 0, sizeof t->helpers[i]);
        pthread_mutex_init(&t->helpers[i].mutex, NULL);
        pthread_cond_init(&t->helpers[i].changed, NULL);
    }
}

/* Helper `index` (1 .. n_threads - 1) works until the team is closed. */
static inline void team_serve(void *memory, int index)
{
    team *t = memory;
    team_helper *self = &t->helpers[index - 1];
    while (team_wait(self, TEAM_IDLE, TEAM_SPINS) != TEAM_CLOSED) {
        if (!team_swap(self, TEAM_OPEN, TEAM_TAKEN)) continue;
        t->task(t->context, self->part, t->parts);
        self->core = team_core();
        team_set(self, TEAM_IDLE);
    }
}

/* After a helper did not come, or came on the caller's own core: decide whether to leave it alone
 * from now on. */
static inline void team_judge(team_helper *helper, int came)
{
    const long long now = team_clock();
    if (!came && !helper->trial_end) {
        helper->trial_end = now + TEAM_TRIAL;
    } else if (came || now > helper->trial_end) {
        helper->rest = helper->rest ? 2 * helper->rest : TEAM_REST;
        if (helper->rest > TEAM_LONGEST_REST) helper->rest = TEAM_LONGEST_REST;
        helper->rest_end = now + helper->rest;
        helper->trial_end = 0;
    }
}

static inline int team_resting(team_helper *helper)
{
    if (helper->rest_end && team_clock() > helper->rest_end) helper->rest_end = 0;
    return helper->rest_end != 0;
}

/* Do a task in at most `parts` parts; with parts <= 1 or without a team, by a plain call. */
static inline void team_run(void *memory, team_task task, void *context, int parts)
{
    team *t = memory;
    int offered = 0, n = 0; /* parts; helpers considered */
    if (parts > 1 && t) {
        for (; n < t->n_threads - 1 && offered < parts - 1; n++)
            t->helpers[n].part = team_resting(&t->helpers[n]) ? 0 : ++offered;
    }
    if (!offered) {
        task(context, 0, 1);
        return;
    }
    t->task = task;
    t->context = context;
    t->parts = offered + 1;
    for (int i = 0; i < n; i++)
        if (t->helpers[i].part) team_set(&t->helpers[i], TEAM_OPEN);
    task(context, 0, offered + 1);
    for (int i = 0; i < n; i++) {
        const int part = t->helpers[i].part;
        if (part && team_swap(&t->helpers[i], TEAM_OPEN, TEAM_IDLE)) {
            task(context, part, offered + 1);
            team_judge(&t->helpers[i], 0);
            t->helpers[i].part = 0; /* nothing to wait for */
        }
    }
    const int core = team_core();
    for (int i = 0; i < n; i++) {
        if (!t->helpers[i].part) continue;
        team_wait(&t->helpers[i], TEAM_TAKEN, TEAM_SPINS / 2);
        if (core >= 0 && t->helpers[i].core == core)
            team_judge(&t->helpers[i], 1);
        else
            t->helpers[i].trial_end = t->helpers[i].rest = 0;
    }
}

/* Tell the helpers to leave. They may still be leaving when this returns. */
static inline void team_close(void *memory)
{
    team *t = memory;
    for (int i = 0; i < t->n_threads - 1; i++) team_set(&t->helpers[i], TEAM_CLOSED);
}

/* Call this after every helper has left. */
static inline void team_free(void *memory)
{
    team *t = memory;
    for (int i = 0; i < t->n_threads - 1; i++) {
        pthread_cond_destroy(&t->helpers[i].changed);
        pthread_mutex_destroy(&t->helpers[i].mutex);
    }
}

/* Take the next of the numbers 0, 1, 2, ... */
static inline ptrdiff_t team_take(ptrdiff_t *next)
{
    return __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
}

#else /* one thread: parts are always 1 */
/* clang-format off */

static inline ptrdiff_t team_bytes(int n_threads) { (void)n_threads; return 1; }
static inline void team_open(void *memory, int n_threads) { (void)memory; (void)n_threads; }
static inline void team_serve(void *memory, int index) { (void)memory; (void)index; }
static inline void team_run(void *memory, team_task task, void *context, int parts)
{
    (void)memory; (void)parts;
    task(context, 0, 1);
}
static inline void team_close(void *memory) { (void)memory; }
static inline void team_free(void *memory) { (void)memory; }
static inline ptrdiff_t team_take(ptrdiff_t *next) { return (*next)++; }
/* clang-format on */

#endif
#endif
