# What this CPU can run, and what was built. Compiled with baseline flags alone, so that asking is
# always safe.

cdef extern from "fastnn_builds.h":     # written by setup.py
    const char *FASTNN_BUILDS
    const char *FASTNN_SANITIZERS       # those of a checked build; none in others

cdef extern from "planted.h":
    int plant_fault(int kind, int zero) nogil

cdef extern from *:
    """
    /* The compilers' own test asks cpuid for the CPU and xgetbv for the operating system, which
     * must save the wide registers. Where there is no such test only the baseline is run. */
    #if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    static int cpu_has_baseline(void)
    {
        __builtin_cpu_init();
        return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    }
    static int cpu_has_avx2(void)
    {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
    static int cpu_has_avx512(void)
    {
        __builtin_cpu_init();
        return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl");
    }
    #else
    static int cpu_has_baseline(void) { return 1; }
    static int cpu_has_avx2(void) { return 0; }
    static int cpu_has_avx512(void) { return 0; }
    #endif
    """
    bint cpu_has_baseline()
    bint cpu_has_avx2()
    bint cpu_has_avx512()

BUILT = tuple(FASTNN_BUILDS.decode("ascii").split(","))
SANITIZERS = tuple(FASTNN_SANITIZERS.decode("ascii").split())


def supported():
    """Names of the instruction sets that CPU and operating system support, best first."""
    names = []
    if cpu_has_avx512():
        names.append("avx512")
    if cpu_has_avx2():
        names.append("avx2")
    if cpu_has_baseline():
        names.append("baseline")
    return tuple(names)


PLANTED = (
    "heap-buffer-overflow", "heap-use-after-free", "stack-buffer-overflow", "shift exponent",
    "data race",
)


def plant(fault):
    """Commit one of the faults PLANTED, in a checked build, whose sanitizer ends the process."""
    cdef int kind = PLANTED.index(fault), zero = len("")
    if not SANITIZERS:
        raise RuntimeError("only checked builds commit faults (FASTNN_SANITIZE)")
    with nogil:
        kind = plant_fault(kind, zero)
    return kind
