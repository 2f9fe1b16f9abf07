/* What the tests in C share. */
#ifndef MNQ_TESTS_CAPI_CHECK_H
#define MNQ_TESTS_CAPI_CHECK_H

#include <stdio.h>

static int failure_count = 0;

/* Says what does not hold, and goes on. */
static inline void check(int holds, const char* file, int line, const char* text) {
  if (holds) return;
  fprintf(stderr, "%s:%d: %s does not hold\n", file, line, text);
  ++failure_count;
}
#define CHECK(condition) check((condition) != 0, __FILE__, __LINE__, #condition)

/* What main returns. */
static inline int exit_code(void) { return failure_count == 0 ? 0 : 1; }

#endif
