"""Every function of the library, as it is declared: with nothing for each argument."""

import ctypes

from mono_quant import Status
from mono_quant._declarations import FUNCTIONS, mnq_log_fn
from mono_quant._library import lib
from support import TestCase

NUMBERS = (ctypes.c_int32, ctypes.c_uint32, ctypes.c_int64, ctypes.c_size_t, ctypes.c_uint64, ctypes.c_double)
ERROR = ctypes.POINTER(ctypes.c_void_p)

# Nothing is a value for these: no callback, the number of CPUs, no elements.
FINE = {
    "set_log_callback",
    "set_threads",
    "kernel_ranges",
    "kernel_dequantize",
    "kernel_pack_int4",
    "kernel_unpack_int4",
}


def nothing_of(kind):
    is_callback = issubclass(kind, mnq_log_fn.__mro__[1])
    return kind() if is_callback else 0 if kind in NUMBERS else None


class Functions(TestCase):
    def test_take_nothing_for_each_argument(self):
        for name, (_, parameters) in FUNCTIONS.items():
            result = getattr(lib, name)(*map(nothing_of, parameters))
            if parameters[-1:] == (ERROR,):
                expected = Status.OK if name.removeprefix("mnq_") in FINE else Status.INVALID_ARG
                self.assertEqual(result, expected, name)
