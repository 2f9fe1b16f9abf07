/*
 * Two hosts in one process, at work at the same time, each with the library it opened by itself; then both are closed, and
 * the first one is opened and works again.
 *
 *     two_hosts LIBRARY_A LIBRARY_B INPUT OUTPUT_A OUTPUT_B
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef int (*quantize_fn)(const char* library, const char* name, const char* input, const char* output,
                           const char* bits);

struct host {
  const char *file, *bits, *library, *input, *output;
  void* handle;
  quantize_fn quantize;
  int is_fine;
};

static int open_host(struct host* host) {
  void* symbol = NULL;
  host->handle = dlopen(host->file, RTLD_NOW | RTLD_LOCAL);
  if (host->handle != NULL) symbol = dlsym(host->handle, "quantize_as_host");
  if (symbol == NULL) fprintf(stderr, "%s\n", dlerror());
  memcpy(&host->quantize, &symbol, sizeof symbol);
  return symbol != NULL;
}

static void* work(void* argument) {
  struct host* host = argument;
  host->is_fine = host->quantize(host->library, host->file, host->input, host->output, host->bits);
  return NULL;
}

static int run_together(struct host* first, struct host* second) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, work, second) != 0) return 0;
  work(first);
  pthread_join(thread, NULL);
  return first->is_fine && second->is_fine;
}

int main(int count, char** arguments) {
  struct host first = {"host_a.so", "8", NULL, NULL, NULL, NULL, NULL, 0};
  struct host second = {"host_b.so", "4", NULL, NULL, NULL, NULL, NULL, 0};
  if (count != 6) {
    fprintf(stderr, "usage: two_hosts LIBRARY_A LIBRARY_B INPUT OUTPUT_A OUTPUT_B\n");
    return 2;
  }
  first.library = arguments[1];
  second.library = arguments[2];
  first.input = second.input = arguments[3];
  first.output = arguments[4];
  second.output = arguments[5];
  if (!open_host(&first) || !open_host(&second) || !run_together(&first, &second)) return 1;
  if (dlsym(RTLD_DEFAULT, "mnq_get_api") != NULL) {
    fprintf(stderr, "the library's names are seen by the whole process\n");
    return 1;
  }
  dlclose(first.handle);
  dlclose(second.handle);
  if (!open_host(&first)) return 1;
  work(&first);
  return first.is_fine ? 0 : 1;
}
