/* A team of threads that lives as long as one fit: the caller, and helpers that Python started and
 * that sit in team_serve until team_close.
 *
 * team_run hands one task to some of them, does part 0 itself and returns when all parts are done.
 * A helper waits for its next task by spinning for some 0.1 ms, longer than the parts of a step that
 * one thread does alone (to be parked and woken in every step takes more than the help is worth),
 * and is parked by the operating system after that; so is the caller when a helper is late. Every helper has cache lines of its own, so that nobody waits for a line
 * that two others write. All memory is the caller's.
 *
 * What a task computes may depend on `part` of `parts` only in who does it, never in the result.
 */
#ifndef FASTNN_THREADS_H
#define FASTNN_THREADS_H

#include <stddef.h>
#include <string.h>

typedef void (*team_task)(void *context, int part, int parts);

#if defined(__GNUC__) && !defined(_WIN32)
#define FASTNN_HAS_THREADS 1
#include <pthread.h>
#else
#define FASTNN_HAS_THREADS 0
#endif

#if FASTNN_HAS_THREADS

/* About 0.1 ms of looking at a flag before its thread is parked, by a clock where reading one is
 * cheap: a pause takes 40 cycles on one x86 CPU and 140 on another. */
#if defined(__x86_64__)
#define TEAM_SPINS 300000
#define TEAM_PAUSE() __builtin_ia32_pause()
#define TEAM_NOW(spin) ((long long)__builtin_ia32_rdtsc())
#elif defined(__aarch64__)
#define TEAM_SPINS 10000
#define TEAM_PAUSE() __asm__ volatile("isb")
#define TEAM_NOW(spin) (spin)
#else
#define TEAM_SPINS 50000
#define TEAM_PAUSE() ((void)0)
#define TEAM_NOW(spin) (spin)
#endif

/* A number that one thread writes and another waits for. */
typedef struct {
    int value, waiting;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} __attribute__((aligned(128))) team_flag;

typedef struct {
    team_flag go, done; /* the number of the last task given, and of the last one finished */
} team_helper;

typedef struct {
    int n_threads, number; /* helpers + 1; tasks given so far */
    int closed, parts;
    team_task task;
    void *context;
    team_helper helpers[] __attribute__((aligned(128)));
} team;

static inline void flag_open(team_flag *flag)
{
    flag->value = flag->waiting = 0;
    pthread_mutex_init(&flag->mutex, NULL);
    pthread_cond_init(&flag->changed, NULL);
}

static inline void flag_close(team_flag *flag)
{
    pthread_cond_destroy(&flag->changed);
    pthread_mutex_destroy(&flag->mutex);
}

/* Sequentially consistent on both sides: either the writer sees that somebody is parked, or the
 * one about to park sees the value. */
static inline void flag_set(team_flag *flag, int value)
{
    __atomic_store_n(&flag->value, value, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&flag->waiting, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&flag->mutex);
        pthread_cond_signal(&flag->changed);
        pthread_mutex_unlock(&flag->mutex);
    }
}

/* Until the flag is no longer `old`; its value. */
static inline int flag_wait(team_flag *flag, int old)
{
    int value;
    const long long end = TEAM_NOW(0) + TEAM_SPINS;
    for (long long spin = 0; TEAM_NOW(spin) < end; spin++) {
        value = __atomic_load_n(&flag->value, __ATOMIC_ACQUIRE);
        if (value != old) return value;
        TEAM_PAUSE();
    }
    pthread_mutex_lock(&flag->mutex);
    __atomic_store_n(&flag->waiting, 1, __ATOMIC_SEQ_CST);
    while ((value = __atomic_load_n(&flag->value, __ATOMIC_SEQ_CST)) == old)
        pthread_cond_wait(&flag->changed, &flag->mutex);
    __atomic_store_n(&flag->waiting, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&flag->mutex);
    return value;
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
        flag_open(&t->helpers[i].go);
        flag_open(&t->helpers[i].done);
    }
}

/* What helper `index` (1 .. n_threads - 1) does until the team is closed. */
static inline void team_serve(void *memory, int index)
{
    team *t = memory;
    team_helper *self = &t->helpers[index - 1];
    for (int number = 0;;) {
        number = flag_wait(&self->go, number);
        if (t->closed) break;
        t->task(t->context, index, t->parts);
        flag_set(&self->done, number);
    }
}

/* All parts of one task; with parts <= 1, or no team, a plain call. */
static inline void team_run(void *memory, team_task task, void *context, int parts)
{
    team *t = memory;
    if (parts <= 1 || !t) {
        task(context, 0, 1);
        return;
    }
    t->task = task;
    t->context = context;
    t->parts = parts;
    t->number++;
    for (int i = 0; i < parts - 1; i++) flag_set(&t->helpers[i].go, t->number);
    task(context, 0, parts);
    for (int i = 0; i < parts - 1; i++) {
        int done = __atomic_load_n(&t->helpers[i].done.value, __ATOMIC_ACQUIRE);
        while (done != t->number) done = flag_wait(&t->helpers[i].done, done);
    }
}

/* Sends the helpers home. They may still be on their way out when this returns. */
static inline void team_close(void *memory)
{
    team *t = memory;
    t->closed = 1;
    t->number++;
    for (int i = 0; i < t->n_threads - 1; i++) flag_set(&t->helpers[i].go, t->number);
}

/* After every helper has left. */
static inline void team_free(void *memory)
{
    team *t = memory;
    for (int i = 0; i < t->n_threads - 1; i++) {
        flag_close(&t->helpers[i].go);
        flag_close(&t->helpers[i].done);
    }
}

/* The next of the numbers 0, 1, 2, ... that no thread has taken yet. */
static inline ptrdiff_t team_take(ptrdiff_t *next)
{
    return __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
}

#else /* one thread: parts are always 1 */

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

#endif
#endif
