/* A host that loads the library by itself, out of the sight of all others, and opens a module: with the backend, and
 * without one that can be had. Arguments: the module, which backend ("own", "short", or a path for MONO_QUANT_TORCH), and
 * words of the error. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capi/check.h"
#include "mono_quant.h"

typedef const mnq_api* (*get_api_fn)(uint32_t version);

static const mnq_api* load_api(void) {
  void* const library = dlopen(MNQ_LIBRARY_FILE, RTLD_NOW | RTLD_LOCAL);
  void* symbol;
  get_api_fn get_api;
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  symbol = dlsym(library, "mnq_get_api");
  memcpy(&get_api, &symbol, sizeof symbol);
  return get_api(MNQ_ABI_VERSION);
}

static void test_with_backend(const mnq_api* api, const char* path) {
  mnq_error* error = NULL;
  mnq_model *model = NULL, *quantized = NULL;
  mnq_tensor *input = NULL, *output = NULL;
  mnq_values *inputs = NULL, *outputs = NULL;
  const float ones[40] = {1};
  const int64_t shape[2] = {1, 40};
  CHECK(api->model_open(path, &model, &error) == MNQ_OK);
  if (model == NULL) fprintf(stderr, "%s\n", api->error_message(error));
  CHECK(api->quantize(model, NULL, NULL, &quantized, NULL, &error) == MNQ_OK);
  CHECK(api->tensor_create(MNQ_DTYPE_F32, shape, 2, ones, sizeof ones, &input, &error) == MNQ_OK);
  CHECK(api->values_create(&inputs, &error) == MNQ_OK);
  CHECK(api->values_add_tensor(inputs, "input", input, &error) == MNQ_OK);
  CHECK(api->model_forward(quantized, NULL, inputs, NULL, &outputs, &error) == MNQ_OK);
  CHECK(api->values_count(outputs) == 1);
  CHECK(api->values_get_tensor(outputs, 0, &output, &error) == MNQ_OK);
  CHECK(api->tensor_rank(output) == 2 && api->tensor_shape(output)[1] == 6);
  CHECK(error == NULL);
  api->tensor_free(output);
  api->tensor_free(input);
  api->values_free(outputs);
  api->values_free(inputs);
  api->model_free(quantized);
  api->model_free(model);
  /* What LibTorch throws does not come through either. */
  CHECK(api->model_open(path, &model, NULL) == MNQ_OK);
  CHECK(api->model_forward(model, "no such method", NULL, NULL, &outputs, NULL) == MNQ_E_NOT_FOUND);
  api->model_free(model);
}

static void test_without_backend(const mnq_api* api, const char* path, const char* words) {
  mnq_error* error = NULL;
  mnq_model* model = NULL;
  const char* file;
  int i;
  for (i = 0; i < 2; ++i) {
    CHECK(api->model_open(path, &model, &error) == MNQ_E_UNSUPPORTED);
    CHECK(model == NULL);
    CHECK(strstr(api->error_message(error), words) != NULL);
    CHECK(strstr(api->error_suggestion(error), "LibTorch 2.13") != NULL);
    CHECK(strstr(api->error_suggestion(error), "LD_LIBRARY_PATH") != NULL);
    file = strstr(api->error_message(error), getenv("MONO_QUANT_TORCH"));
    CHECK(file != NULL && strstr(file + 1, getenv("MONO_QUANT_TORCH")) == NULL); /* said once */
    if (failure_count != 0) fprintf(stderr, "%s\n", api->error_message(error));
    api->error_free(error);
  }
}

/* The first half of the backend, in a file of its own: what an installation leaves that ran out of space. */
static const char* cut_backend(void) {
  static char path[] = "/tmp/mono-quant-short-XXXXXX";
  struct stat status;
  char* bytes;
  FILE* file = fopen(MNQ_BACKEND_FILE, "rb");
  const int out = mkstemp(path);
  if (file == NULL || out < 0 || fstat(fileno(file), &status) != 0) exit(1);
  bytes = malloc((size_t)status.st_size / 2);
  if (bytes == NULL || fread(bytes, (size_t)status.st_size / 2, 1, file) != 1) exit(1);
  if (write(out, bytes, (size_t)status.st_size / 2) != status.st_size / 2) exit(1);
  free(bytes);
  fclose(file);
  close(out);
  return path;
}

int main(int argc, char** argv) {
  const mnq_api* api;
  const char* backend;
  const char* cut = NULL;
  if (argc != 4) return 1;
  if (strcmp(argv[2], "short") == 0) cut = cut_backend();
  backend = cut != NULL ? cut : argv[2];
  if (strcmp(backend, "own") != 0) setenv("MONO_QUANT_TORCH", backend, 1);
  api = load_api();
  if (strcmp(argv[2], "own") == 0) {
    test_with_backend(api, argv[1]);
  } else {
    test_without_backend(api, argv[1], argv[3]);
  }
  if (cut != NULL) unlink(cut);
  return exit_code();
}
