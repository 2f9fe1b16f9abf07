/* A host that loads the library by itself, out of the sight of all others, and opens and runs a module: with the backend, and
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

static const mnq_api* load_api(const char* file) {
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
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

/* Whether LibTorch is in this process. */
static int has_libtorch(void) {
  char line[4096];
  int found = 0;
  FILE* maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) exit(1);
  while (fgets(line, sizeof line, maps) != NULL) found = found || strstr(line, "libtorch_cpu") != NULL;
  fclose(maps);
  return found;
}

/* What is read of a module, and written of its weights, needs none. */
static void test_reading(const mnq_api* api, const mnq_model* model) {
  mnq_layers* layers = NULL;
  mnq_tensor* weight = NULL;
  mnq_run* run = NULL;
  mnq_buffer* bytes = NULL;
  mnq_report* report = NULL;
  CHECK(api->model_list_layers(model, NULL, NULL, &layers, NULL) == MNQ_OK);
  CHECK(api->layers_count(layers) == 2);
  CHECK(strcmp(api->layers_kind(layers, 0), "Linear") == 0);
  CHECK(api->model_get_tensor(model, "weight", &weight, NULL) == MNQ_OK);
  CHECK(api->tensor_rank(weight) == 2 && api->tensor_shape(weight)[1] == 40);
  CHECK(api->run_create(&run, NULL) == MNQ_OK);
  CHECK(api->run_set(run, "format", "safetensors", NULL) == MNQ_OK);
  CHECK(api->model_save_memory(model, run, &bytes, NULL) == MNQ_OK);
  CHECK(bytes != NULL);
  CHECK(api->compare(model, model, NULL, &report, NULL) == MNQ_OK);
  CHECK(!has_libtorch());
  api->report_free(report);
  api->buffer_free(bytes);
  api->run_free(run);
  api->tensor_free(weight);
  api->layers_free(layers);
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
  test_reading(api, model);
  CHECK(api->quantize(model, NULL, NULL, &quantized, NULL, &error) == MNQ_OK);
  CHECK(api->tensor_create(MNQ_DTYPE_F32, shape, 2, ones, sizeof ones, &input, &error) == MNQ_OK);
  CHECK(api->values_create(&inputs, &error) == MNQ_OK);
  CHECK(api->values_add_tensor(inputs, "input", input, &error) == MNQ_OK);
  CHECK(api->model_forward(quantized, NULL, inputs, NULL, &outputs, &error) == MNQ_OK);
  CHECK(api->values_count(outputs) == 1);
  CHECK(api->values_get_tensor(outputs, 0, &output, &error) == MNQ_OK);
  CHECK(api->tensor_rank(output) == 2 && api->tensor_shape(output)[1] == 6);
  CHECK(error == NULL);
  CHECK(has_libtorch());
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
  mnq_model *model = NULL, *quantized = NULL;
  mnq_values* outputs = NULL;
  mnq_report* report = NULL;
  const char* file;
  int i;
  CHECK(api->model_open(path, &model, &error) == MNQ_OK);
  test_reading(api, model);
  CHECK(api->model_validate(model, model, NULL, NULL, &report, NULL) == MNQ_OK);
  CHECK(api->report_problem_count(report) == 0 && api->report_warning_count(report) == 1);
  api->report_free(report);
  for (i = 0; i < 2; ++i) {
    if (i == 0) {
      CHECK(api->model_forward(model, NULL, NULL, NULL, &outputs, &error) == MNQ_E_UNSUPPORTED);
    } else {
      CHECK(api->quantize(model, NULL, NULL, &quantized, NULL, &error) == MNQ_E_UNSUPPORTED);
    }
    CHECK(outputs == NULL && quantized == NULL);
    CHECK(strstr(api->error_message(error), words) != NULL);
    CHECK(strstr(api->error_suggestion(error), "LibTorch 2.13") != NULL);
    CHECK(strstr(api->error_suggestion(error), "LD_LIBRARY_PATH") != NULL);
    file = strstr(api->error_message(error), getenv("MONO_QUANT_TORCH"));
    CHECK(file != NULL && strstr(file + 1, getenv("MONO_QUANT_TORCH")) == NULL); /* said once */
    if (failure_count != 0) fprintf(stderr, "%s\n", api->error_message(error));
    api->error_free(error);
  }
  api->model_free(model);
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

/* A host that names the library by a path from its own folder, and goes elsewhere before it opens a module. */
static const mnq_api* load_from_its_folder(void) {
  char path[] = MNQ_LIBRARY_FILE;
  char* const slash = strrchr(path, '/');
  char relative[4096] = "./";
  const mnq_api* api;
  *slash = '\0';
  strcat(relative, slash + 1);
  if (chdir(path) != 0) exit(1);
  api = load_api(relative);
  if (chdir("/") != 0) exit(1);
  return api;
}

/* A host whose LibTorch is another one. The message says which file is in the way. */
static void test_with_other_libtorch(const mnq_api* api, const char* path) {
  mnq_error* error = NULL;
  mnq_model* model = NULL;
  mnq_values* outputs = NULL;
  CHECK(dlopen(MNQ_OTHER_LIBTORCH, RTLD_NOW | RTLD_GLOBAL) != NULL);
  CHECK(api->model_open(path, &model, &error) == MNQ_OK);
  CHECK(api->model_forward(model, NULL, NULL, NULL, &outputs, &error) == MNQ_E_UNSUPPORTED);
  CHECK(strstr(api->error_message(error), "undefined symbol") != NULL);
  CHECK(strstr(api->error_suggestion(error), "another LibTorch") != NULL);
  CHECK(strcmp(api->error_subject(error), MNQ_OTHER_LIBTORCH) == 0);
  if (failure_count != 0) fprintf(stderr, "%s\n%s\n", api->error_message(error), api->error_suggestion(error));
  api->error_free(error);
  api->model_free(model);
}

int main(int argc, char** argv) {
  const mnq_api* api;
  const char* backend;
  const char* cut = NULL;
  if (argc != 4) return 1;
  if (strcmp(argv[2], "relative") == 0) {
    test_with_backend(load_from_its_folder(), argv[1]);
    return exit_code();
  }
  if (strcmp(argv[2], "other_libtorch") == 0) {
    test_with_other_libtorch(load_api(MNQ_LIBRARY_FILE), argv[1]);
    return exit_code();
  }
  if (strcmp(argv[2], "short") == 0) cut = cut_backend();
  backend = cut != NULL ? cut : argv[2];
  if (strcmp(backend, "own") != 0) setenv("MONO_QUANT_TORCH", backend, 1);
  api = load_api(MNQ_LIBRARY_FILE);
  if (strcmp(argv[2], "own") == 0) {
    test_with_backend(api, argv[1]);
  } else {
    test_without_backend(api, argv[1], argv[3]);
  }
  if (cut != NULL) unlink(cut);
  return exit_code();
}
