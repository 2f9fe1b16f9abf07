/*
 * The program of ../c, whose calls go through the function table: the Makefile makes names.h of the table's members, so that
 * mnq_model_open means mono_quant_table->model_open there.
 */
#include <stdlib.h>

#include "load.h"

int tour_main(int count, char** arguments); /* the main of ../c/tour.c */

const mnq_api* mono_quant_table = NULL;

int main(int count, char** arguments) {
  const char* file = getenv("MONO_QUANT_LIBRARY");
  mono_quant_table = load_mono_quant(file == NULL ? "libmono_quant.so.1" : file);
  return mono_quant_table == NULL ? 1 : tour_main(count, arguments);
}
