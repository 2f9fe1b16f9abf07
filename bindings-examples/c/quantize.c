/*
 * Quantizes a checkpoint to int8 and prints what it cost, layer by layer.
 *
 *     cc quantize.c -o quantize $(pkg-config --cflags --libs mono_quant)
 *     ./quantize model.safetensors model-int8.safetensors
 */
#include <mono_quant/mono_quant.h>
#include <stdio.h>

static int32_t show_progress(void* user, uint64_t done_bytes, uint64_t total_bytes) {
  (void)user;
  fprintf(stderr, "\r%3.0f %%", total_bytes == 0 ? 100.0 : 100.0 * (double)done_bytes / (double)total_bytes);
  return 0; /* anything else stops the run */
}

/* Every tensor is in the report; those that were copied have no accuracy. */
static void print_layers(const mnq_report* report) {
  size_t i;
  printf("%-40s %-12s %-20s %8s\n", "layer", "kind", "scheme", "SQNR");
  for (i = 0; i < mnq_report_layer_count(report); ++i) {
    double sqnr_db = 0;
    if (mnq_report_layer_number(report, i, "sqnr_db", &sqnr_db, NULL) != MNQ_OK) continue;
    printf("%-40s %-12s %-20s %5.1f dB\n", mnq_report_layer_text(report, i, "name"),
           mnq_report_layer_text(report, i, "kind"), mnq_report_layer_text(report, i, "scheme"), sqnr_db);
  }
}

int main(int argc, char** argv) {
  mnq_error* error = NULL;
  mnq_model* model = NULL;
  mnq_run* run = NULL;
  mnq_report* report = NULL;
  double before = 0, after = 0;
  int exit_code = 1;

  if (argc != 3) {
    fprintf(stderr, "usage: quantize IN OUT\n");
    return 2;
  }
  if (mnq_model_open(argv[1], &model, &error) != MNQ_OK) goto done;
  if (mnq_run_create(&run, &error) != MNQ_OK) goto done;
  if (mnq_run_set(run, "bits", "8", &error) != MNQ_OK) goto done;
  if (mnq_run_set_progress(run, show_progress, NULL, &error) != MNQ_OK) goto done;
  if (mnq_quantize_to_file(model, argv[2], NULL, run, &report, &error) != MNQ_OK) goto done;
  fprintf(stderr, "\n");
  print_layers(report);
  if (mnq_report_number(report, "bytes_before", &before, &error) != MNQ_OK) goto done;
  if (mnq_report_number(report, "bytes_after", &after, &error) != MNQ_OK) goto done;
  printf("%.0f bytes became %.0f\n", before, after);
  exit_code = 0;

done:
  /* Without an error both texts are "", and all of these take NULL. */
  if (exit_code != 0) fprintf(stderr, "\nquantize: %s\n%s\n", mnq_error_message(error), mnq_error_suggestion(error));
  mnq_report_free(report);
  mnq_run_free(run);
  mnq_model_free(model);
  mnq_error_free(error);
  return exit_code;
}
