#include <mono_quant/mono_quant.h>

/* The function table of the library in a file ("libmono_quant.so.1" where the loader finds it), or NULL after saying why on
 * stderr. Loaded once, it stays until the process ends: closing it would do nothing. */
const mnq_api* load_mono_quant(const char* file);
