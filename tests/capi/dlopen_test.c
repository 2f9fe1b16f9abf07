/* The library as a host loads it that knows nothing of it when it is linked: RTLD_LOCAL, one symbol, the function table. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "mono_quant.h"

/* Data pointers and function pointers cannot be cast into each other in ISO C. */
typedef const mnq_api* (*get_api_fn)(uint32_t version);

static get_api_fn find_get_api(void* library) {
  void* const symbol = dlsym(library, "mnq_get_api");
  get_api_fn get_api = NULL;
  memcpy(&get_api, &symbol, sizeof get_api);
  return get_api;
}

static void* load_library(void) {
  void* library = NULL;
  CHECK(dlopen(MNQ_LIBRARY_FILE, RTLD_NOW | RTLD_NOLOAD) == NULL); /* this program is not linked with it */
  library = dlopen(MNQ_LIBRARY_FILE, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  CHECK(dlsym(RTLD_DEFAULT, "mnq_get_api") == NULL); /* local is local */
  return library;
}

static void test_versions(get_api_fn get_api) {
  const uint32_t one_minor = 1, one_major = (uint32_t)1 << 16;
  CHECK(get_api(MNQ_ABI_VERSION) != NULL);
  CHECK(get_api(MNQ_ABI_VERSION) == get_api(MNQ_ABI_VERSION));
  CHECK(get_api(MNQ_ABI_VERSION + one_minor) == NULL);
  CHECK(get_api(MNQ_ABI_VERSION + one_major) == NULL);
  CHECK(get_api(MNQ_ABI_VERSION - one_major) == NULL);
}

static void test_head(const mnq_api* api) {
  CHECK(api->table_size == sizeof *api);
  CHECK(api->table_version == MNQ_ABI_VERSION);
  CHECK(api->abi_version() == MNQ_ABI_VERSION);
}

static void test_members(void* library, const mnq_api* api) {
  size_t end = offsetof(mnq_api, abi_version);
#define MNQ_FUNCTION(name, version, result, parameters)                                 \
  {                                                                                     \
    void* const symbol = dlsym(library, "mnq_" #name);                                  \
    CHECK(symbol != NULL && memcmp(&symbol, &api->name, sizeof symbol) == 0);           \
    CHECK(offsetof(mnq_api, name) == end); /* in the order of the list, without gaps */ \
    end += sizeof symbol;                                                               \
  }
#include "functions.inc"
#undef MNQ_FUNCTION
  CHECK(end == sizeof *api);
}

/* One row: 1.27 is 127 steps of 0.01. */
static void test_quantize(const mnq_api* api) {
  const float weights[4] = {1.27f, -0.64f, 0.1f, 0};
  const int8_t wanted[4] = {127, -64, 10, 0};
  const int64_t shape[2] = {1, 4};
  const char* const name = "fc.weight";
  mnq_error* error = NULL;
  mnq_tensor* tensor = NULL;
  mnq_model *model = NULL, *quantized = NULL;
  mnq_tensor* codes = NULL;
  CHECK(api->tensor_create(MNQ_DTYPE_F32, shape, 2, weights, sizeof weights, &tensor, &error) == MNQ_OK);
  CHECK(api->model_from_tensors(&name, (const mnq_tensor* const*)&tensor, 1, &model, &error) == MNQ_OK);
  CHECK(api->quantize(model, NULL, NULL, &quantized, NULL, &error) == MNQ_OK);
  CHECK(api->model_get_tensor(quantized, name, &codes, &error) == MNQ_OK);
  CHECK(error == NULL);
  CHECK(api->tensor_dtype(codes) == MNQ_DTYPE_I8);
  CHECK(api->tensor_size_bytes(codes) == sizeof wanted);
  CHECK(api->tensor_data(codes) != NULL && memcmp(api->tensor_data(codes), wanted, sizeof wanted) == 0);
  api->tensor_free(codes);
  api->model_free(quantized);
  api->model_free(model);
  api->tensor_free(tensor);
}

int main(void) {
  void* const library = load_library();
  const get_api_fn get_api = find_get_api(library);
  CHECK(get_api != NULL);
  if (get_api == NULL) return exit_code();
  test_versions(get_api);
  test_head(get_api(MNQ_ABI_VERSION));
  test_members(library, get_api(MNQ_ABI_VERSION));
  test_quantize(get_api(MNQ_ABI_VERSION));
  return exit_code();
}
