/*
 * Quantizes a TorchScript classifier of handwritten digits to int8 and int4, runs each version on all test images, and
 * prints how many it gets right and how large its file is.
 *
 *     cc classify.c -o classify $(pkg-config --cflags --libs mono_quant)
 *     ./classify tests/data/digits_scripted.pt tests/data/digits_test.safetensors FOLDER
 */
#include <mono_quant/mono_quant.h>
#include <stdio.h>
#include <stdlib.h>

/* The images, 0 to 16, as the model wants them: floats from 0 to 1. */
static mnq_tensor* scaled(const mnq_tensor* pixels, mnq_error** error) {
  const size_t count = mnq_tensor_size_bytes(pixels);
  const unsigned char* from = mnq_tensor_data(pixels);
  float* to = malloc(count * sizeof *to);
  mnq_tensor* images = NULL;
  mnq_status status;
  size_t i;
  if (to == NULL) return NULL;
  for (i = 0; i < count; ++i) to[i] = (float)from[i] / 16;
  status = mnq_tensor_create(MNQ_DTYPE_F32, mnq_tensor_shape(pixels), mnq_tensor_rank(pixels), to, count * sizeof *to,
                             &images, error);
  free(to);
  return status == MNQ_OK ? images : NULL;
}

/* How many images have their largest score where the label says. */
static size_t count_right(const mnq_tensor* scores, const mnq_tensor* labels) {
  const float* score = mnq_tensor_data(scores);
  const unsigned char* label = mnq_tensor_data(labels);
  const size_t images = mnq_tensor_size_bytes(labels), classes = (size_t)mnq_tensor_shape(scores)[1];
  size_t right = 0, image, i;
  for (image = 0; image < images; ++image, score += classes) {
    size_t best = 0;
    for (i = 1; i < classes; ++i) {
      if (score[i] > score[best]) best = i;
    }
    right += best == label[image];
  }
  return right;
}

static long file_size(const char* path) {
  FILE* file = fopen(path, "rb");
  long size = -1;
  if (file != NULL && fseek(file, 0, SEEK_END) == 0) size = ftell(file);
  if (file != NULL) fclose(file);
  return size;
}

/* Opens a module's file, runs it on all images at once and prints a line. */
static mnq_status print_accuracy(const char* name, const char* path, const mnq_values* inputs, const mnq_tensor* labels,
                                 mnq_error** error) {
  mnq_model* model = NULL;
  mnq_values* outputs = NULL;
  mnq_tensor* scores = NULL;
  const size_t images = mnq_tensor_size_bytes(labels);
  mnq_status status = mnq_model_open(path, &model, error);
  if (status == MNQ_OK) status = mnq_model_forward(model, "forward", inputs, NULL, &outputs, error);
  if (status == MNQ_OK) status = mnq_values_get_tensor(outputs, 0, &scores, error);
  if (status == MNQ_OK) {
    const size_t right = count_right(scores, labels);
    printf("%-8s  %lu of %lu right (%.1f %%)  %6ld bytes\n", name, (unsigned long)right, (unsigned long)images,
           100.0 * (double)right / (double)images, file_size(path));
  }
  mnq_tensor_free(scores);
  mnq_values_free(outputs);
  mnq_model_free(model);
  return status;
}

int main(int argc, char** argv) {
  static const char* const versions[] = {"int8", "int4"};
  static const char* const bits[] = {"8", "4"};
  mnq_error* error = NULL;
  mnq_model *model = NULL, *test = NULL;
  mnq_tensor *pixels = NULL, *labels = NULL, *images = NULL;
  mnq_values* inputs = NULL;
  mnq_run* run = NULL;
  char path[4096];
  int i, exit_code = 1;

  if (argc != 4) {
    fprintf(stderr, "usage: classify MODULE TEST_IMAGES FOLDER\n");
    return 2;
  }
  if (mnq_model_open(argv[1], &model, &error) != MNQ_OK) goto done;
  if (mnq_model_open(argv[2], &test, &error) != MNQ_OK) goto done;
  if (mnq_model_get_tensor(test, "images", &pixels, &error) != MNQ_OK) goto done;
  if (mnq_model_get_tensor(test, "labels", &labels, &error) != MNQ_OK) goto done;
  images = scaled(pixels, &error);
  if (images == NULL) goto done;
  if (mnq_values_create(&inputs, &error) != MNQ_OK) goto done;
  if (mnq_values_add_tensor(inputs, NULL, images, &error) != MNQ_OK) goto done;
  if (mnq_run_create(&run, &error) != MNQ_OK) goto done;
  if (mnq_run_set(run, "overwrite", "true", &error) != MNQ_OK) goto done;
  if (print_accuracy("float32", argv[1], inputs, labels, &error) != MNQ_OK) goto done;
  for (i = 0; i < 2; ++i) {
    if (snprintf(path, sizeof path, "%s/digits-%s.pt", argv[3], versions[i]) >= (int)sizeof path) goto done;
    if (mnq_run_set(run, "bits", bits[i], &error) != MNQ_OK) goto done;
    if (mnq_quantize_to_file(model, path, NULL, run, NULL, &error) != MNQ_OK) goto done;
    if (print_accuracy(versions[i], path, inputs, labels, &error) != MNQ_OK) goto done;
  }
  exit_code = 0;

done:
  if (exit_code != 0) fprintf(stderr, "classify: %s\n%s\n", mnq_error_message(error), mnq_error_suggestion(error));
  mnq_run_free(run);
  mnq_values_free(inputs);
  mnq_tensor_free(images);
  mnq_tensor_free(labels);
  mnq_tensor_free(pixels);
  mnq_model_free(test);
  mnq_model_free(model);
  mnq_error_free(error);
  return exit_code;
}
