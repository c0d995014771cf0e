/* Which levels of the instruction set this processor has, and which sources the library was built from. */
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT const char *dnadiff_sources(void) { return SOURCES; }

/* 1 where kernels of the named level may run. */
EXPORT int dnadiff_has_level(const char *level) {
    if (!strcmp(level, "base")) return 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(level, "avx2")) return avx2;
    if (!strcmp(level, "avx512"))
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    return 0;
}
