/* Faults on purpose, for checked builds alone: they show that the sanitizers see what they are for
 * (tests/test_sanitizers.py). */

#ifdef FASTNN_DEBUG
#include <pthread.h>
#include <stdlib.h>

static int planted_shared;
static void *planted_count(void *unused)
{
    for (int i = 0; i < 100000; i++) planted_shared++;
    return unused;
}

/* `zero` is 0, which the compiler must not know. */
static int plant_fault(int kind, int zero)
{
    volatile int result = 0;
    int stack[8] = {zero};
    int *heap = malloc(8 * sizeof(int));
    pthread_t helper;
    if (heap == NULL) return -1;
    heap[0] = zero;
    switch (kind) {
    case 0: result = heap[8 + zero]; break;
    case 1: free(heap); return heap[zero];
    case 2:
        stack[8 + zero] = 1;
        result = stack[zero];
        break;
    case 3: result = 1 << (32 + zero); break;
    case 4:
        if (pthread_create(&helper, NULL, planted_count, NULL)) return -1;
        planted_count(NULL);
        pthread_join(helper, NULL);
        break;
    }
    free(heap);
    return result;
}
#else
static int plant_fault(int kind, int zero)
{
    (void)kind, (void)zero;
    return -1;
}
#endif
