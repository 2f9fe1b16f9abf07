package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

import (
	"context"
	"fmt"
	"unsafe"
)

// A DType is the type of a tensor's elements.
type DType int32

// The types, as mono_quant.h has them.
const (
	Bool       DType = C.MNQ_DTYPE_BOOL
	U8         DType = C.MNQ_DTYPE_U8
	I8         DType = C.MNQ_DTYPE_I8
	U16        DType = C.MNQ_DTYPE_U16
	I16        DType = C.MNQ_DTYPE_I16
	U32        DType = C.MNQ_DTYPE_U32
	I32        DType = C.MNQ_DTYPE_I32
	U64        DType = C.MNQ_DTYPE_U64
	I64        DType = C.MNQ_DTYPE_I64
	F16        DType = C.MNQ_DTYPE_F16
	BF16       DType = C.MNQ_DTYPE_BF16
	F32        DType = C.MNQ_DTYPE_F32
	F64        DType = C.MNQ_DTYPE_F64
	C64        DType = C.MNQ_DTYPE_C64
	F8E4M3     DType = C.MNQ_DTYPE_F8_E4M3
	F8E5M2     DType = C.MNQ_DTYPE_F8_E5M2
	F8E8M0     DType = C.MNQ_DTYPE_F8_E8M0
	F6E2M3     DType = C.MNQ_DTYPE_F6_E2M3
	F6E3M2     DType = C.MNQ_DTYPE_F6_E3M2
	F4         DType = C.MNQ_DTYPE_F4
	F8E4M3FNUZ DType = C.MNQ_DTYPE_F8_E4M3FNUZ
	F8E5M2FNUZ DType = C.MNQ_DTYPE_F8_E5M2FNUZ
)

// String is "F32", "I8"...
func (t DType) String() string { return C.GoString(C.mnq_dtype_name(C.mnq_dtype(t))) }

// An Element is a type of Go that a tensor's elements can have.
type Element interface {
	uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64 | int64 | float32 | float64
}

func dtypeOf[T Element]() DType {
	var zero T
	switch any(zero).(type) {
	case uint8:
		return U8
	case int8:
		return I8
	case uint16:
		return U16
	case int16:
		return I16
	case uint32:
		return U32
	case int32:
		return I32
	case uint64:
		return U64
	case int64:
		return I64
	case float32:
		return F32
	}
	return F64
}

// A Tensor is row-major, contiguous and immutable.
type Tensor struct{ handle *handle }

func newTensor(native *C.mnq_tensor) *Tensor {
	free := func(p unsafe.Pointer) { C.mnq_tensor_free((*C.mnq_tensor)(p)) }
	return &Tensor{newHandle(unsafe.Pointer(native), free)}
}

// NewTensor makes a tensor with a copy of the values.
func NewTensor[T Element](shape []int64, values []T) (*Tensor, error) {
	size := len(values) * int(unsafe.Sizeof(*new(T)))
	return makeTensor(dtypeOf[T](), shape, unsafe.Pointer(first(values)), size)
}

// NewTensorBytes makes a tensor of any type with a copy of its bytes.
func NewTensorBytes(dtype DType, shape []int64, data []byte) (*Tensor, error) {
	return makeTensor(dtype, shape, unsafe.Pointer(first(data)), len(data))
}

func makeTensor(dtype DType, shape []int64, data unsafe.Pointer, size int) (*Tensor, error) {
	var c call
	defer c.done()
	var out *C.mnq_tensor
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		sizes := (*C.int64_t)(first(shape))
		return C.mnq_tensor_create(C.mnq_dtype(dtype), sizes, C.size_t(len(shape)), data, C.size_t(size), &out, e)
	})
	if err != nil {
		return nil, err
	}
	return newTensor(out), nil
}

// Close frees the tensor once no call uses it.
func (t *Tensor) Close() error {
	t.handle.close()
	return nil
}

func (t *Tensor) take(c *call) *C.mnq_tensor {
	if t == nil {
		return (*C.mnq_tensor)(c.need(nil, "tensor"))
	}
	return (*C.mnq_tensor)(c.need(t.handle, "tensor"))
}

// DType is the type of its elements; 0 for a tensor that is closed.
func (t *Tensor) DType() DType {
	var c call
	defer c.done()
	return DType(C.mnq_tensor_dtype(t.take(&c)))
}

// Shape is its sizes, outermost first.
func (t *Tensor) Shape() []int64 {
	var c call
	defer c.done()
	native := t.take(&c)
	sizes := unsafe.Slice((*int64)(C.mnq_tensor_shape(native)), int(C.mnq_tensor_rank(native)))
	return append([]int64{}, sizes...)
}

// Bytes is a copy of its data.
func (t *Tensor) Bytes() []byte {
	var c call
	defer c.done()
	native := t.take(&c)
	return copyOf(C.mnq_tensor_data(native), int(C.mnq_tensor_size_bytes(native)))
}

// String is "F32 [2 3]".
func (t *Tensor) String() string { return fmt.Sprint(t.DType(), " ", t.Shape()) }

// Values is a copy of a tensor's values; an error where they are of another type.
func Values[T Element](t *Tensor) ([]T, error) {
	var c call
	defer c.done()
	native := t.take(&c)
	if c.err != nil {
		return nil, c.err
	}
	if is, wanted := DType(C.mnq_tensor_dtype(native)), dtypeOf[T](); is != wanted {
		return nil, &Error{Code: ErrDType, Message: fmt.Sprintf("the tensor is %v, not %v", is, wanted)}
	}
	size := int(C.mnq_tensor_size_bytes(native))
	values := make([]T, size/int(unsafe.Sizeof(*new(T))))
	if size > 0 {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), size), unsafe.Slice((*byte)(C.mnq_tensor_data(native)), size))
	}
	return values, nil
}

// Quantize quantizes this tensor by itself, as the weight of a layer would be. name is for settings of layers and for
// messages ("": "weight"); kind is of its layer ("": Linear, or what the rank says). The parts are those that a file would
// have of it, codes first.
func (t *Tensor) Quantize(ctx context.Context, name, kind string, config *Config, run *Run) (*Arguments, *Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native, cfg, n, k := t.take(&j.call), config.take(&j.call), j.optional(name), j.optional(kind)
	var parts *C.mnq_values
	var report *C.mnq_report
	err := j.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_tensor_quantize(native, n, k, cfg, r, &parts, &report, e)
	})
	if err != nil {
		return nil, nil, err
	}
	return newArguments(parts), newReport(report), nil
}

// DequantizeTensor makes the tensor that such parts hold, in the type that it came from.
func DequantizeTensor(ctx context.Context, parts *Arguments, run *Run) (*Tensor, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native := parts.take(&j.call)
	var out *C.mnq_tensor
	if err := j.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_tensor_dequantize(native, r, &out, e) }); err != nil {
		return nil, err
	}
	return newTensor(out), nil
}
