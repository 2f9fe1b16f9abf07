package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

import "unsafe"

// A Report says what a job did, and what it cost.
type Report struct{ handle *handle }

func newReport(native *C.mnq_report) *Report {
	free := func(p unsafe.Pointer) { C.mnq_report_free((*C.mnq_report)(p)) }
	return &Report{newHandle(unsafe.Pointer(native), free)}
}

// Close frees the report once no call uses it.
func (r *Report) Close() error {
	r.handle.close()
	return nil
}

func (r *Report) take(c *call) *C.mnq_report { return (*C.mnq_report)(c.need(r.handle, "report")) }

// JSON is the whole report.
func (r *Report) JSON() string {
	var c call
	defer c.done()
	return C.GoString(C.mnq_report_json(r.take(&c)))
}

// Number is one number of the whole model: "sqnr_db" (+Inf for an exact result), "bytes_before", "bytes_after",
// "compression_ratio", "layers_quantized"... false for one that is not there.
func (r *Report) Number(name string) (float64, bool) {
	var c call
	defer c.done()
	native, n := r.take(&c), c.text(name)
	var value C.double
	err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_report_number(native, n, &value, e) })
	return float64(value), err == nil
}

// LayerCount is how many tensors the input has: each is one of the report's.
func (r *Report) LayerCount() int {
	var c call
	defer c.done()
	return int(C.mnq_report_layer_count(r.take(&c)))
}

// LayerText is one text of a layer: "name", "tensor", "kind", "dtype", "scheme", "action" or "reason"; empty where there
// is none.
func (r *Report) LayerText(index int, name string) string {
	var c call
	defer c.done()
	native, n := r.take(&c), c.text(name)
	return C.GoString(C.mnq_report_layer_text(native, C.size_t(index), n))
}

// LayerNumber is one number of a layer: "sqnr_db", "max_error", "bytes_before", "bytes_after", "parameters", "bits"...
func (r *Report) LayerNumber(index int, name string) (float64, bool) {
	var c call
	defer c.done()
	native, n := r.take(&c), c.text(name)
	var value C.double
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_report_layer_number(native, C.size_t(index), n, &value, e)
	})
	return float64(value), err == nil
}

// Warnings is what may be wrong.
func (r *Report) Warnings() []string {
	var c call
	defer c.done()
	native := r.take(&c)
	texts := make([]string, int(C.mnq_report_warning_count(native)))
	for i := range texts {
		texts[i] = C.GoString(C.mnq_report_warning(native, C.size_t(i)))
	}
	return texts
}

// Problems is what is wrong, where something was validated.
func (r *Report) Problems() []string {
	var c call
	defer c.done()
	native := r.take(&c)
	texts := make([]string, int(C.mnq_report_problem_count(native)))
	for i := range texts {
		texts[i] = C.GoString(C.mnq_report_problem(native, C.size_t(i)))
	}
	return texts
}
