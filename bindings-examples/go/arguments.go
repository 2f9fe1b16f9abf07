package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

import (
	"fmt"
	"unsafe"
)

// Arguments are named values: what a module is run on, what it gives, or the parts of a quantized tensor.
type Arguments struct{ handle *handle }

func newArguments(native *C.mnq_values) *Arguments {
	free := func(p unsafe.Pointer) { C.mnq_values_free((*C.mnq_values)(p)) }
	return &Arguments{newHandle(unsafe.Pointer(native), free)}
}

// NewArguments makes arguments of values that have no names: each is for the next one.
func NewArguments(values ...any) (*Arguments, error) {
	var c call
	defer c.done()
	var out *C.mnq_values
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_values_create(&out, e) }); err != nil {
		return nil, err
	}
	arguments := newArguments(out)
	for _, value := range values {
		if err := arguments.Add("", value); err != nil {
			arguments.Close()
			return nil, err
		}
	}
	return arguments, nil
}

// Close frees them once no call uses them.
func (a *Arguments) Close() error {
	a.handle.close()
	return nil
}

func (a *Arguments) take(c *call) *C.mnq_values {
	if a == nil {
		return nil
	}
	return (*C.mnq_values)(c.need(a.handle, "list of arguments"))
}

// Add adds a value for the argument of that name ("": the next that no name was given for): a *Tensor, which is shared,
// an int, an int64, a float64, a bool, a string, or nil for an argument that is optional.
func (a *Arguments) Add(name string, value any) error {
	var c call
	defer c.done()
	native, n, v := a.take(&c), c.optional(name), c.native(value)
	return c.do(func(e **C.mnq_error) C.mnq_status {
		switch value := value.(type) {
		case nil:
			return C.mnq_values_add_none(native, n, e)
		case *Tensor:
			return C.mnq_values_add_tensor(native, n, (*C.mnq_tensor)(v), e)
		case int:
			return C.mnq_values_add_int(native, n, C.int64_t(value), e)
		case int64:
			return C.mnq_values_add_int(native, n, C.int64_t(value), e)
		case float64:
			return C.mnq_values_add_float(native, n, C.double(value), e)
		case bool:
			return C.mnq_values_add_bool(native, n, C.int32_t(map[bool]int32{true: 1}[value]), e)
		}
		return C.mnq_values_add_text(native, n, (*C.char)(v), e)
	})
}

// native is what C has of a value that is a tensor or a text.
func (c *call) native(value any) unsafe.Pointer {
	switch value := value.(type) {
	case *Tensor:
		return unsafe.Pointer(value.take(c))
	case string:
		return unsafe.Pointer(c.text(value))
	case nil, int, int64, float64, bool:
		return nil
	}
	c.fail(ErrInvalidArg, fmt.Sprintf("a %T is no argument of a module", value))
	return nil
}

// Len is how many there are.
func (a *Arguments) Len() int {
	var c call
	defer c.done()
	return int(C.mnq_values_count(a.take(&c)))
}

// Name is the name of a value; empty beyond the last.
func (a *Arguments) Name(index int) string {
	var c call
	defer c.done()
	return C.GoString(C.mnq_values_name(a.take(&c), C.size_t(index)))
}

// Get is a value: a *Tensor, an int64, a float64, a bool, a string or nil; an error beyond the last.
func (a *Arguments) Get(index int) (any, error) {
	var c call
	defer c.done()
	native, at := a.take(&c), C.size_t(index)
	var number C.int64_t
	var float C.double
	switch C.mnq_values_kind(native, at) {
	case C.MNQ_VALUE_INT:
		err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_values_get_int(native, at, &number, e) })
		return int64(number), err
	case C.MNQ_VALUE_BOOL:
		err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_values_get_int(native, at, &number, e) })
		return number != 0, err
	case C.MNQ_VALUE_FLOAT:
		err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_values_get_float(native, at, &float, e) })
		return float64(float), err
	case C.MNQ_VALUE_TEXT:
		return C.GoString(C.mnq_values_get_text(native, at)), c.err
	case C.MNQ_VALUE_NONE:
		if c.err == nil && index >= 0 && index < int(C.mnq_values_count(native)) {
			return nil, nil
		}
	}
	tensor, err := a.Tensor(index)
	if err != nil {
		return nil, err
	}
	return tensor, nil
}

// Tensor is the tensor at an index; an error where it is something else.
func (a *Arguments) Tensor(index int) (*Tensor, error) {
	var c call
	defer c.done()
	native := a.take(&c)
	var out *C.mnq_tensor
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_values_get_tensor(native, C.size_t(index), &out, e)
	})
	if err != nil {
		return nil, err
	}
	return newTensor(out), nil
}
