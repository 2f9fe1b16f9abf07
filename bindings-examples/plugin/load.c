#include "load.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* Its names stay its own (RTLD_LOCAL), so that another copy, or another plugin's libraries, cannot be mistaken for it. */
const mnq_api* load_mono_quant(const char* file) {
  const mnq_api* (*get_api)(uint32_t version) = NULL;
  const mnq_api* table = NULL;
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  void* const symbol = library == NULL ? NULL : dlsym(library, "mnq_get_api");
  if (symbol == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return NULL;
  }
  memcpy(&get_api, &symbol, sizeof get_api); /* ISO C casts no pointer to data into one to a function */
  table = get_api(MNQ_ABI_VERSION);
  if (table == NULL) {
    fprintf(stderr, "%s is older than ABI %d.%d\n", file, MNQ_ABI_VERSION_MAJOR, MNQ_ABI_VERSION_MINOR);
  }
  return table;
}
