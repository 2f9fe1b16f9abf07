// Package monoquant quantizes the weights of any PyTorch model: a checkpoint goes in, a smaller one comes out, with a
// report of what it cost in accuracy.
//
//	config, err := monoquant.NewConfig(map[string]any{"bits": 4, "group_size": 128})
//	...
//	report, err := monoquant.QuantizeFile(ctx, "model.safetensors", "model-int4.safetensors", config, nil)
//
// What every function here keeps:
//
//   - An error of the library is an *Error with a Code, what went wrong, what to do about it, and the file, tensor or key
//     at fault. A Code is an error, too: errors.Is(err, monoquant.ErrNotFound).
//   - A context that is cancelled stops its job within a fraction of a second; no file is left behind.
//   - Models, tensors, reports and configs that are not changed any more may be used by any number of goroutines at once.
//     A Run serves one job at a time.
//   - Close frees what the library holds, once no call uses it any more; further calls are errors. What was forgotten is
//     freed by a finalizer, some time.
//   - A callback that panics stops its job, and the panic goes on out of the call. It must not call runtime.Goexit, which
//     testing's FailNow does.
//   - config and run may be nil everywhere.
//
// All settings are keys of the configuration (Keys). What each function does is said at length in mono_quant.h.
package monoquant

// #cgo pkg-config: mono_quant
// #include <mono_quant/mono_quant.h>
import "C"
