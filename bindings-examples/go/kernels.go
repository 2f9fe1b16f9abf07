package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

import (
	"fmt"
	"unsafe"
)

// Rows is how weights lie that kernels work on: rows one behind the other, with a scale for each group of a row, or
// (GroupSize 0) one for the whole. Kernels use one goroutine and the fastest instruction set of this CPU.
type Rows struct{ Length, GroupSize int }

// Scales is how many scales so many weights have.
func (rows Rows) Scales(weights int) int {
	switch {
	case rows.Length <= 0:
		return 0
	case rows.GroupSize <= 0:
		return weights / rows.Length
	}
	return weights / rows.Length * ((rows.Length + rows.GroupSize - 1) / rows.GroupSize)
}

// expect has slices be as long as C is told.
func (c *call) expect(name string, is, wanted int) {
	if is != wanted {
		c.fail(ErrInvalidArg, fmt.Sprintf("%s has %d elements, not %d", name, is, wanted))
	}
}

func (c *call) rows(rows Rows, weights int) (count, length, group C.size_t) {
	if rows.Length <= 0 || rows.GroupSize < 0 || weights%rows.Length != 0 {
		c.fail(ErrInvalidArg, fmt.Sprintf("%d weights are no rows of %d", weights, rows.Length))
		return 0, 0, 0
	}
	return C.size_t(weights / rows.Length), C.size_t(rows.Length), C.size_t(rows.GroupSize)
}

// floats and codes are the addresses of slices, nil for empty ones.
func floats(values []float32) *C.float { return (*C.float)(unsafe.Pointer(first(values))) }
func codes(values []int8) *C.int8_t    { return (*C.int8_t)(unsafe.Pointer(first(values))) }

// KernelRanges is the smallest and the largest weight of each row.
func KernelRanges(weights []float32, rowLength int) (minimum, maximum []float32, err error) {
	var c call
	defer c.done()
	count, length, _ := c.rows(Rows{Length: rowLength}, len(weights))
	minimum, maximum = make([]float32, int(count)), make([]float32, int(count))
	err = c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_kernel_ranges(floats(weights), count, length, floats(minimum), floats(maximum), e)
	})
	return minimum, maximum, err
}

// KernelQuantize quantizes rows to codes, one a byte, of 8 or 4 bits, into the slices that it is given: without zero
// points around zero. It returns the SQNR in dB.
func KernelQuantize(weights []float32, rows Rows, bits int, scales []float32, zeroPoints, into []int8) (float64, error) {
	var c call
	defer c.done()
	count, length, group := c.rows(rows, len(weights))
	c.expect("scales", len(scales), rows.Scales(len(weights)))
	c.expect("into", len(into), len(weights))
	symmetric := C.int32_t(1)
	if zeroPoints != nil {
		c.expect("zeroPoints", len(zeroPoints), len(scales))
		symmetric = 0
	}
	var sqnr C.double
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_kernel_quantize(floats(weights), count, length, C.int32_t(bits), symmetric, group,
			floats(scales), codes(zeroPoints), codes(into), &sqnr, e)
	})
	return float64(sqnr), err
}

// KernelDequantize turns such codes back into weights.
func KernelDequantize(from []int8, rows Rows, scales []float32, zeroPoints []int8) ([]float32, error) {
	var c call
	defer c.done()
	count, length, group := c.rows(rows, len(from))
	c.expect("scales", len(scales), rows.Scales(len(from)))
	if zeroPoints != nil {
		c.expect("zeroPoints", len(zeroPoints), len(scales))
	}
	weights := make([]float32, len(from))
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_kernel_dequantize(codes(from), count, length, group, floats(scales), codes(zeroPoints),
			floats(weights), e)
	})
	return weights, err
}

// KernelPackInt4 packs codes in -8..7 two a byte, low nibble first, stored as code + 8.
func KernelPackInt4(from []int8) ([]byte, error) {
	var c call
	defer c.done()
	packed := make([]byte, (len(from)+1)/2)
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_kernel_pack_int4(codes(from), C.size_t(len(from)), (*C.uint8_t)(first(packed)), e)
	})
	return packed, err
}

// KernelUnpackInt4 is the first count codes of packed ones.
func KernelUnpackInt4(packed []byte, count int) ([]int8, error) {
	var c call
	defer c.done()
	c.expect("packed", len(packed), (count+1)/2)
	into := make([]int8, count)
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_kernel_unpack_int4((*C.uint8_t)(first(packed)), C.size_t(count), codes(into), e)
	})
	return into, err
}

// KernelSQNR is how near other is to reference, in dB; +Inf where they are equal.
func KernelSQNR(reference, other []float32) (float64, error) {
	var c call
	defer c.done()
	c.expect("other", len(other), len(reference))
	var sqnr C.double
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_kernel_sqnr(floats(reference), floats(other), C.size_t(len(reference)), &sqnr, e)
	})
	return float64(sqnr), err
}
