/* A host as it is loaded into a program that has another: it shares nothing with that one but the process. */
#include <stdio.h>

#include "load.h"

int quantize_as_host(const char* library, const char* name, const char* input, const char* output, const char* bits);

static int32_t count_call(void* calls, uint64_t done_bytes, uint64_t total_bytes) {
  (void)done_bytes, (void)total_bytes;
  ++*(int*)calls;
  return 0;
}

/* Settings, progress and errors belong to the run and the call, never to the process. */
static mnq_status quantize(const mnq_api* mono_quant, const char* input, const char* output, const char* bits,
                           int* calls, mnq_error** error) {
  mnq_run* run = NULL;
  mnq_status status = mono_quant->run_create(&run, error);
  if (status == MNQ_OK) status = mono_quant->run_set(run, "bits", bits, error);
  if (status == MNQ_OK) status = mono_quant->run_set(run, "overwrite", "true", error);
  if (status == MNQ_OK) status = mono_quant->run_set_progress(run, count_call, calls, error);
  if (status == MNQ_OK) status = mono_quant->quantize_file(input, output, NULL, run, NULL, error);
  mono_quant->run_free(run);
  return status;
}

/* 1 where it went well. */
int quantize_as_host(const char* library, const char* name, const char* input, const char* output, const char* bits) {
  static int calls = 0; /* each host has its own */
  const mnq_api* const mono_quant = load_mono_quant(library);
  mnq_error* error = NULL;
  mnq_status status;
  if (mono_quant == NULL) return 0;
  status = quantize(mono_quant, input, output, bits, &calls, &error);
  if (status != MNQ_OK) fprintf(stderr, "%s: %s\n", name, mono_quant->error_message(error));
  if (status == MNQ_OK && calls > 0) printf("%s: %s bits, progress seen\n", name, bits);
  mono_quant->error_free(error);
  return status == MNQ_OK && calls > 0;
}
