/*
 * The whole library in one program: the same in every language of bindings-examples, whose README says what each line is.
 *
 *     make && ./tour model.safetensors model-int4.safetensors bits=4 group_size=128
 *
 * A step returns 1 where it went well. Where it did not, `error` says why, the step frees what it made and returns 0.
 */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <mono_quant/mono_quant.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tour {
  const char *input, *output, *module, *images; /* module and images may be NULL */
  mnq_config* config;
  mnq_run* run;
  mnq_model* model;
  size_t layer; /* the first that is quantized; layer_count where there is none */
  mnq_layers* layers;
  mnq_error* error;
};

/* Keys and values go to the config or the run as the command line has them. */
static int set_option(struct tour* tour, const char* option) {
  const char* name = strncmp(option, "call:", 5) == 0 ? option + 5 : option;
  const char* value = strchr(name, '=') + 1;
  char key[64];
  snprintf(key, sizeof key, "%.*s", (int)(value - 1 - name), name);
  if (name != option) return mnq_run_set(tour->run, key, value, &tour->error) == MNQ_OK;
  return mnq_config_set(tour->config, key, value, &tour->error) == MNQ_OK;
}

static void print_shape(const int64_t* shape, size_t rank) {
  size_t i;
  printf("[");
  for (i = 0; i < rank; ++i) printf(i == 0 ? "%" PRId64 : ", %" PRId64, shape[i]);
  printf("]");
}

static void print_tensor(const mnq_tensor* tensor) {
  printf("%s ", mnq_dtype_name(mnq_tensor_dtype(tensor)));
  print_shape(mnq_tensor_shape(tensor), mnq_tensor_rank(tensor));
  printf("\n");
}

/* The SQNR of a report: a result that is exact has an infinite one, and what has no floats has none. */
static void print_sqnr(const mnq_report* report) {
  double sqnr_db = 0;
  if (mnq_report_number(report, "sqnr_db", &sqnr_db, NULL) != MNQ_OK) {
    printf("none");
  } else if (isinf(sqnr_db)) {
    printf("exact");
  } else {
    printf("%.2f dB", sqnr_db);
  }
}

/* An error that was expected is printed and done with. */
static void print_expected(const char* what, mnq_status status, mnq_error* error) {
  printf("%s %s\n", what, mnq_status_name(status));
  mnq_error_free(error);
}

static int open_input(struct tour* tour) {
  const char* format = NULL;
  if (mnq_detect_format(tour->input, &format, &tour->error) != MNQ_OK) return 0;
  if (mnq_model_open_with(tour->input, tour->run, &tour->model, &tour->error) != MNQ_OK) return 0;
  printf("input %s, %zu tensors\n", format, mnq_model_tensor_count(tour->model));
  return 1;
}

static void print_layer(const mnq_layers* layers, size_t i) {
  printf("layer %s %s ", mnq_layers_name(layers, i), mnq_layers_kind(layers, i));
  print_shape(mnq_layers_shape(layers, i), mnq_layers_rank(layers, i));
  if (strcmp(mnq_layers_action(layers, i), "copy") == 0) {
    printf(" as it is: %s\n", mnq_layers_reason(layers, i));
  } else {
    printf(" %s\n", mnq_layers_scheme(layers, i));
  }
}

/* Tensors that belong to no layer that could be quantized have no kind. */
static int list_layers(struct tour* tour) {
  size_t i, count;
  if (mnq_model_list_layers(tour->model, tour->config, tour->run, &tour->layers, &tour->error) != MNQ_OK) return 0;
  tour->layer = count = mnq_layers_count(tour->layers);
  for (i = 0; i < count; ++i) {
    if (strcmp(mnq_layers_kind(tour->layers, i), "") == 0) continue;
    if (tour->layer == count && strcmp(mnq_layers_action(tour->layers, i), "quantize") == 0) tour->layer = i;
    print_layer(tour->layers, i);
  }
  return 1;
}

static int print_setting(struct tour* tour, const char* key) {
  mnq_buffer* value = NULL;
  const char* source = NULL;
  if (mnq_config_resolve(tour->config, tour->run, NULL, key, &value, &source, &tour->error) != MNQ_OK) return 0;
  /* The default of threads is a matter of the machine. */
  if (strcmp(key, "threads") != 0 || strcmp(source, "default") != 0) {
    printf("setting %s = %s (%s)\n", key, mnq_buffer_data(value), source);
  }
  mnq_buffer_free(value);
  return 1;
}

static int print_settings(struct tour* tour) {
  static const char* const keys[] = {"dtype", "bits", "group_size", "symmetric", "threads"};
  size_t i;
  for (i = 0; i < sizeof keys / sizeof *keys; ++i) {
    if (!print_setting(tour, keys[i])) return 0;
  }
  return 1;
}

/* What the callbacks of a job saw. */
struct events {
  size_t quantized, copied;
  int is_started;
  uint64_t first, last;
};

static int32_t see_progress(void* user, uint64_t done_bytes, uint64_t total_bytes) {
  struct events* events = user;
  (void)total_bytes;
  if (!events->is_started) events->first = done_bytes;
  events->is_started = 1;
  events->last = done_bytes;
  return 0; /* anything else stops the job */
}

static int32_t see_tensor(void* user, size_t index, size_t count, const char* layer, const char* action,
                          double sqnr_db) {
  struct events* events = user;
  (void)index, (void)count, (void)layer, (void)sqnr_db;
  ++*(strcmp(action, "copy") == 0 ? &events->copied : &events->quantized);
  return 0;
}

/* Sets both callbacks, or with NULL for events none. */
static int watch(struct tour* tour, struct events* events) {
  return mnq_run_set_progress(tour->run, events ? see_progress : NULL, events, &tour->error) == MNQ_OK &&
         mnq_run_set_observer(tour->run, events ? see_tensor : NULL, events, &tour->error) == MNQ_OK;
}

static int print_report(struct tour* tour, const mnq_report* report) {
  double before = 0, after = 0;
  if (mnq_report_number(report, "bytes_before", &before, &tour->error) != MNQ_OK) return 0;
  if (mnq_report_number(report, "bytes_after", &after, &tour->error) != MNQ_OK) return 0;
  printf("report %.0f to %.0f bytes, SQNR ", before, after);
  print_sqnr(report);
  printf(", %zu warnings\n", mnq_report_warning_count(report));
  return 1;
}

static int quantize(struct tour* tour, mnq_model** quantized) {
  struct events events = {0, 0, 0, 0, 0};
  mnq_report* report = NULL;
  int is_fine = watch(tour, &events) &&
                mnq_quantize(tour->model, tour->config, tour->run, quantized, &report, &tour->error) == MNQ_OK;
  if (is_fine) {
    printf("events %zu quantized, %zu copied\n", events.quantized, events.copied);
    printf("progress %" PRIu64 " to %" PRIu64 "\n", events.first, events.last);
    is_fine = print_report(tour, report) && watch(tour, NULL);
  }
  mnq_report_free(report);
  return is_fine;
}

/* The program's own output: bytes in memory, which grow. */
struct memory {
  unsigned char* bytes;
  size_t size, capacity;
};

static int32_t write_memory(void* user, uint64_t offset, const void* data, size_t size) {
  struct memory* memory = user;
  const size_t end = (size_t)offset + size;
  if (end > memory->capacity) {
    unsigned char* grown = realloc(memory->bytes, 2 * end);
    if (grown == NULL) return 1;
    memset(grown + memory->capacity, 0, 2 * end - memory->capacity); /* what is never written is 0 */
    memory->bytes = grown;
    memory->capacity = 2 * end;
  }
  memcpy(memory->bytes + offset, data, size);
  return 0;
}

static int32_t commit_memory(void* user, uint64_t size_bytes) {
  ((struct memory*)user)->size = (size_t)size_bytes;
  return 0;
}

/* One thread at a time writes and reads, so that what is written to needs no lock. */
static int create_stream_run(struct tour* tour, const char* format, mnq_run** run) {
  return mnq_run_create(run, &tour->error) == MNQ_OK && mnq_run_set(*run, "threads", "1", &tour->error) == MNQ_OK &&
         mnq_run_set(*run, "format", format, &tour->error) == MNQ_OK;
}

/* The program's own input: an open file. */
static int32_t read_file(void* user, uint64_t offset, void* into, size_t size) {
  unsigned char* to = into;
  while (size > 0) {
    const ssize_t got = pread(*(int*)user, to, size, (off_t)offset);
    if (got <= 0) return 1;
    to += got;
    offset += (uint64_t)got;
    size -= (size_t)got;
  }
  return 0;
}

static int is_same(int file, size_t size, const struct memory* memory) {
  unsigned char* bytes = malloc(size + 1);
  const int same = bytes != NULL && size == memory->size && read_file(&file, 0, bytes, size) == 0 &&
                   memcmp(bytes, memory->bytes, size) == 0;
  free(bytes);
  return same;
}

static int save_to_writer(struct tour* tour, const mnq_model* quantized, const char* format, int file, size_t size) {
  struct memory memory = {NULL, 0, 0};
  mnq_writer* writer = NULL;
  mnq_run* run = NULL;
  const int is_fine =
      mnq_writer_create(write_memory, commit_memory, NULL, NULL, &memory, &writer, &tour->error) == MNQ_OK &&
      create_stream_run(tour, format, &run) && mnq_model_save_to_writer(quantized, writer, run, &tour->error) == MNQ_OK;
  if (is_fine) printf("writer %s bytes\n", is_same(file, size, &memory) ? "the same" : "other");
  mnq_writer_free(writer);
  mnq_run_free(run);
  free(memory.bytes);
  return is_fine;
}

static int open_reader(struct tour* tour, int file, size_t size) {
  mnq_reader* reader = NULL;
  mnq_model* model = NULL;
  const int is_fine = mnq_reader_create(size, read_file, NULL, &file, &reader, &tour->error) == MNQ_OK &&
                      mnq_model_open_reader(reader, NULL, &model, &tour->error) == MNQ_OK;
  if (is_fine) printf("reader %zu tensors\n", mnq_model_tensor_count(model));
  mnq_model_free(model);
  mnq_reader_free(reader);
  return is_fine;
}

/* The file that was saved, by the program's own output and input. */
static int use_streams(struct tour* tour, const mnq_model* quantized, const char* format, size_t size) {
  const int file = open(tour->output, O_RDONLY);
  const int is_fine = save_to_writer(tour, quantized, format, file, size) && open_reader(tour, file, size);
  if (file >= 0) close(file);
  return is_fine;
}

static int save(struct tour* tour, const mnq_model* quantized) {
  const char* format = NULL;
  struct stat status;
  if (mnq_model_save(quantized, tour->output, tour->run, &tour->error) != MNQ_OK) return 0;
  if (mnq_detect_format(tour->output, &format, &tour->error) != MNQ_OK) return 0;
  if (stat(tour->output, &status) != 0 || S_ISDIR(status.st_mode)) {
    printf("saved a folder, format %s\n", format);
    return 1;
  }
  printf("saved %zu bytes, format %s\n", (size_t)status.st_size, format);
  return use_streams(tour, quantized, format, (size_t)status.st_size);
}

static size_t count_different(const mnq_report* report) {
  size_t i, count = 0;
  for (i = 0; i < mnq_report_layer_count(report); ++i) {
    double sqnr_db = INFINITY;
    if (mnq_report_layer_number(report, i, "sqnr_db", &sqnr_db, NULL) == MNQ_OK && !isinf(sqnr_db)) ++count;
  }
  return count;
}

static int compare_floats(struct tour* tour, const mnq_model* saved) {
  mnq_model* floats = NULL;
  mnq_report* report = NULL;
  const int is_fine = mnq_dequantize(saved, NULL, &floats, NULL, &tour->error) == MNQ_OK &&
                      mnq_compare(tour->model, floats, NULL, &report, &tour->error) == MNQ_OK;
  if (is_fine) {
    printf("back SQNR ");
    print_sqnr(report);
    printf(", %zu tensors differ\n", count_different(report));
  }
  mnq_report_free(report);
  mnq_model_free(floats);
  return is_fine;
}

static size_t count_tensors(const mnq_values* parts) {
  size_t i, count = 0;
  for (i = 0; i < mnq_values_count(parts); ++i) count += mnq_values_kind(parts, i) == MNQ_VALUE_TENSOR;
  return count;
}

/* One tensor by itself, there and back; no model is needed for that. */
static int quantize_alone(struct tour* tour) {
  const char *name = mnq_layers_tensor(tour->layers, tour->layer), *kind = mnq_layers_kind(tour->layers, tour->layer);
  mnq_tensor *tensor = NULL, *restored = NULL;
  mnq_values* parts = NULL;
  mnq_report* report = NULL;
  const int is_fine =
      mnq_model_get_tensor(tour->model, name, &tensor, &tour->error) == MNQ_OK &&
      mnq_tensor_quantize(tensor, name, kind, tour->config, tour->run, &parts, &report, &tour->error) == MNQ_OK &&
      mnq_tensor_dequantize(parts, NULL, &restored, &tour->error) == MNQ_OK;
  if (is_fine) {
    printf("alone %s %zu parts, SQNR ", mnq_layers_name(tour->layers, tour->layer), count_tensors(parts));
    print_sqnr(report);
    printf(", restored ");
    print_tensor(restored);
  }
  mnq_report_free(report);
  mnq_values_free(parts);
  mnq_tensor_free(restored);
  mnq_tensor_free(tensor);
  return is_fine;
}

static int get_one(struct tour* tour, const mnq_model* saved) {
  mnq_tensor* tensor = NULL;
  const char* name = mnq_layers_tensor(tour->layers, tour->layer);
  if (mnq_model_get_float(saved, name, NULL, &tensor, &tour->error) != MNQ_OK) return 0;
  printf("one ");
  print_tensor(tensor);
  mnq_tensor_free(tensor);
  return 1;
}

/* A row of activations, made up, through the layer in integers. */
static mnq_status run_row(const mnq_linear* linear, size_t row_length, size_t output_count, mnq_error** error) {
  float* row = malloc((row_length + output_count) * sizeof *row);
  mnq_status status = row == NULL ? MNQ_E_OUT_OF_MEMORY : MNQ_OK;
  uint32_t bits = 0;
  size_t i;
  for (i = 0; row != NULL && i < row_length; ++i) row[i] = ((float)(i % 7) - 3) / 4;
  if (status == MNQ_OK) {
    status = mnq_linear_run(linear, row, 1, MNQ_DTYPE_F32, row + row_length, MNQ_DTYPE_F32, NULL, 0, error);
  }
  if (status == MNQ_OK) {
    memcpy(&bits, row + row_length, sizeof bits);
    printf("linear %zu outputs, first 0x%08" PRIx32 "\n", output_count, bits);
  }
  free(row);
  return status;
}

/* Not every layer can be run by itself: the status says so. */
static void run_linear(const struct tour* tour, const mnq_model* saved) {
  const int64_t* shape = mnq_layers_shape(tour->layers, tour->layer);
  mnq_linear* linear = NULL;
  mnq_error* error = NULL;
  mnq_status status = mnq_linear_create(saved, mnq_layers_name(tour->layers, tour->layer), NULL, NULL, &linear, &error);
  if (status == MNQ_OK) status = run_row(linear, (size_t)shape[1], (size_t)shape[0], &error);
  if (status != MNQ_OK) print_expected("linear", status, error);
  mnq_linear_free(linear);
}

static int reopen(struct tour* tour) {
  mnq_model* saved = NULL;
  int is_fine = mnq_model_open(tour->output, &saved, &tour->error) == MNQ_OK && compare_floats(tour, saved);
  if (is_fine && tour->layer < mnq_layers_count(tour->layers)) {
    is_fine = quantize_alone(tour) && get_one(tour, saved);
    if (is_fine) run_linear(tour, saved);
  }
  mnq_model_free(saved);
  return is_fine;
}

static int32_t stop(void* user, uint64_t done_bytes, uint64_t total_bytes) {
  (void)user, (void)done_bytes, (void)total_bytes;
  return 1;
}

static int cancel(struct tour* tour) {
  mnq_run* run = NULL;
  mnq_model* never = NULL;
  mnq_error* error = NULL;
  const int is_fine =
      mnq_run_create(&run, &tour->error) == MNQ_OK && mnq_run_set_progress(run, stop, NULL, &tour->error) == MNQ_OK;
  if (is_fine) {
    const mnq_status status = mnq_quantize(tour->model, tour->config, run, &never, NULL, &error);
    print_expected("cancelled", status, error);
  }
  mnq_model_free(never);
  mnq_run_free(run);
  return is_fine;
}

static void open_missing(const struct tour* tour) {
  char path[4096];
  mnq_error* error = NULL;
  mnq_model* never = NULL;
  mnq_status status;
  snprintf(path, sizeof path, "%s.missing", tour->input);
  status = mnq_model_open(path, &never, &error);
  print_expected("missing", status, error);
  mnq_model_free(never);
}

/* The first image, 0 to 16, as the module wants it: floats from 0 to 1. */
static int read_image(struct tour* tour, mnq_tensor** image) {
  static const int64_t shape[] = {1, 1, 8, 8};
  float floats[64];
  mnq_model* images = NULL;
  mnq_tensor* pixels = NULL;
  size_t i;
  int is_fine = mnq_model_open(tour->images, &images, &tour->error) == MNQ_OK &&
                mnq_model_get_tensor(images, "images", &pixels, &tour->error) == MNQ_OK &&
                mnq_tensor_size_bytes(pixels) >= 64;
  if (is_fine) {
    for (i = 0; i < 64; ++i) floats[i] = (float)((const unsigned char*)mnq_tensor_data(pixels))[i] / 16;
    is_fine = mnq_tensor_create(MNQ_DTYPE_F32, shape, 4, floats, sizeof floats, image, &tour->error) == MNQ_OK;
  }
  mnq_tensor_free(pixels);
  mnq_model_free(images);
  return is_fine;
}

/* The place of the largest output. */
static mnq_status classify(const mnq_model* module, const mnq_values* inputs, size_t* digit, mnq_error** error) {
  mnq_values* outputs = NULL;
  mnq_tensor* scores = NULL;
  mnq_status status = mnq_model_forward(module, NULL, inputs, NULL, &outputs, error);
  if (status == MNQ_OK) status = mnq_values_get_tensor(outputs, 0, &scores, error);
  if (status == MNQ_OK) {
    const float* score = mnq_tensor_data(scores);
    size_t i;
    *digit = 0;
    for (i = 1; i < mnq_tensor_size_bytes(scores) / sizeof *score; ++i) {
      if (score[i] > score[*digit]) *digit = i;
    }
  }
  mnq_tensor_free(scores);
  mnq_values_free(outputs);
  return status;
}

/* UNSUPPORTED where LibTorch is not there. */
static mnq_status run_digits(struct tour* tour, const mnq_values* inputs) {
  mnq_model *module = NULL, *quantized = NULL;
  size_t of_floats = 0, of_codes = 0;
  mnq_status status = mnq_model_open(tour->module, &module, &tour->error);
  if (status == MNQ_OK) status = classify(module, inputs, &of_floats, &tour->error);
  if (status == MNQ_OK) status = mnq_quantize(module, NULL, NULL, &quantized, NULL, &tour->error);
  if (status == MNQ_OK) status = classify(quantized, inputs, &of_codes, &tour->error);
  if (status == MNQ_OK) printf("digits float %zu, int8 %zu\n", of_floats, of_codes);
  mnq_model_free(quantized);
  mnq_model_free(module);
  return status;
}

static int digits(struct tour* tour) {
  mnq_tensor* image = NULL;
  mnq_values* inputs = NULL;
  int is_fine = read_image(tour, &image) && mnq_values_create(&inputs, &tour->error) == MNQ_OK &&
                mnq_values_add_tensor(inputs, NULL, image, &tour->error) == MNQ_OK;
  if (is_fine) {
    const mnq_status status = run_digits(tour, inputs);
    if (status == MNQ_E_UNSUPPORTED) {
      print_expected("digits", status, tour->error);
      tour->error = NULL;
    }
    is_fine = status == MNQ_OK || status == MNQ_E_UNSUPPORTED;
  }
  mnq_values_free(inputs);
  mnq_tensor_free(image);
  return is_fine;
}

static int run_tour(struct tour* tour) {
  mnq_model* quantized = NULL;
  const uint32_t abi = mnq_abi_version();
  int is_fine;
  printf("mono_quant %s, ABI %u.%u\n", mnq_version(), (unsigned)(abi >> 16), (unsigned)(abi & 0xffff));
  is_fine = open_input(tour) && list_layers(tour) && print_settings(tour) && quantize(tour, &quantized) &&
            save(tour, quantized) && reopen(tour) && cancel(tour);
  mnq_model_free(quantized);
  if (!is_fine) return 0;
  open_missing(tour);
  return tour->module == NULL || digits(tour);
}

/* 1 where the arguments are right: all but the options, which are set later. */
static int read_arguments(struct tour* tour, int count, char** arguments) {
  int i;
  if (count < 3) return 0;
  tour->input = arguments[1];
  tour->output = arguments[2];
  for (i = 3; i < count; ++i) {
    if (strcmp(arguments[i], "--digits") == 0 && i + 2 < count) {
      tour->module = arguments[++i];
      tour->images = arguments[++i];
    } else if (strchr(arguments[i], '=') == NULL) {
      return 0;
    }
  }
  return 1;
}

static int set_options(struct tour* tour, int count, char** arguments) {
  int i;
  if (mnq_config_create(NULL, &tour->config, &tour->error) != MNQ_OK) return 0;
  if (mnq_run_create(&tour->run, &tour->error) != MNQ_OK) return 0;
  for (i = 3; i < count; ++i) {
    if (strcmp(arguments[i], "--digits") == 0) {
      i += 2;
    } else if (!set_option(tour, arguments[i])) {
      return 0;
    }
  }
  return 1;
}

static void print_error(const mnq_error* error) {
  fprintf(stderr, "tour: %s\n", mnq_error_message(error));
  if (*mnq_error_suggestion(error) != '\0') fprintf(stderr, "%s\n", mnq_error_suggestion(error));
}

int main(int count, char** arguments) {
  struct tour tour;
  int is_fine;
  memset(&tour, 0, sizeof tour);
  if (!read_arguments(&tour, count, arguments)) {
    fprintf(stderr, "usage: tour INPUT OUTPUT [KEY=VALUE ...] [call:KEY=VALUE ...] [--digits MODULE IMAGES]\n");
    return 2;
  }
  is_fine = set_options(&tour, count, arguments) && run_tour(&tour);
  if (!is_fine) print_error(tour.error);
  mnq_layers_free(tour.layers);
  mnq_model_free(tour.model);
  mnq_run_free(tour.run);
  mnq_config_free(tour.config);
  mnq_error_free(tour.error);
  return is_fine ? 0 : 1;
}
