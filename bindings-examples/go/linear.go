package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

import "unsafe"

// A Linear is a Linear layer by itself, packed once and multiplied in integers; immutable, and independent of what it was
// made from.
type Linear struct{ handle *handle }

func openLinear(c *call, open func(**C.mnq_linear, **C.mnq_error) C.mnq_status) (*Linear, error) {
	var out *C.mnq_linear
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return open(&out, e) }); err != nil {
		return nil, err
	}
	free := func(p unsafe.Pointer) { C.mnq_linear_free((*C.mnq_linear)(p)) }
	return &Linear{newHandle(unsafe.Pointer(out), free)}, nil
}

// Linear is the Linear layer of that name: with the codes that it has, or quantized as the settings say.
func (m *Model) Linear(layer string, config *Config, run *Run) (*Linear, error) {
	var c call
	defer c.done()
	native, name, cfg, r := m.take(&c), c.text(layer), config.take(&c), run.read(&c)
	return openLinear(&c, func(out **C.mnq_linear, e **C.mnq_error) C.mnq_status {
		return C.mnq_linear_create(native, name, cfg, r, out, e)
	})
}

// NewLinear quantizes floats: weight [out, in] and bias [out], nil for none. Both may be closed at once.
func NewLinear(weight, bias *Tensor, config *Config, run *Run) (*Linear, error) {
	var c call
	defer c.done()
	native, cfg, r := weight.take(&c), config.take(&c), run.read(&c)
	var added *C.mnq_tensor
	if bias != nil {
		added = bias.take(&c)
	}
	return openLinear(&c, func(out **C.mnq_linear, e **C.mnq_error) C.mnq_status {
		return C.mnq_linear_from_floats(native, added, cfg, r, out, e)
	})
}

// Close frees the layer once no call uses it.
func (l *Linear) Close() error {
	l.handle.close()
	return nil
}

func (l *Linear) take(c *call) *C.mnq_linear {
	if l == nil {
		return (*C.mnq_linear)(c.need(nil, "layer"))
	}
	return (*C.mnq_linear)(c.need(l.handle, "layer"))
}

// Run multiplies rows [.., in] of F32 or BF16: to [.., out] of dtype, which is one of them, too.
func (l *Linear) Run(rows *Tensor, dtype DType) (*Tensor, error) {
	var c call
	defer c.done()
	native, in := l.take(&c), rows.take(&c)
	var out *C.mnq_tensor
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_linear_run_tensor(native, in, C.mnq_dtype(dtype), &out, e)
	})
	if err != nil {
		return nil, err
	}
	return newTensor(out), nil
}

// Describe is what it is, as a JSON object: "name", "scheme", "output_count", "row_length", "size_bytes"...
func (l *Linear) Describe() (string, error) {
	var c call
	defer c.done()
	native := l.take(&c)
	var out *C.mnq_buffer
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_linear_describe(native, &out, e) }); err != nil {
		return "", err
	}
	return textOf(out), nil
}

// An Embedding is the table of a layer, quantized in whatever way or not at all; the model may be closed at once.
type Embedding struct {
	handle *handle
	source *slot // of the reader that rows are read from; nil for none
}

// Embedding is the table of that layer; of a file, rows are read when they are asked for.
func (m *Model) Embedding(layer string) (*Embedding, error) {
	var c call
	defer c.done()
	native, name := m.take(&c), c.text(layer)
	var out *C.mnq_embedding
	err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_embedding_create(native, name, &out, e) })
	if err != nil {
		return nil, err
	}
	free := func(p unsafe.Pointer) { C.mnq_embedding_free((*C.mnq_embedding)(p)) }
	return &Embedding{newHandle(unsafe.Pointer(out), free), m.source}, nil
}

// Close frees the table once no call uses it.
func (t *Embedding) Close() error {
	t.handle.close()
	return nil
}

func (t *Embedding) take(c *call) *C.mnq_embedding {
	if t == nil {
		return (*C.mnq_embedding)(c.need(nil, "embedding"))
	}
	c.watch(t.source)
	return (*C.mnq_embedding)(c.need(t.handle, "embedding"))
}

// Run gathers rows as floats: indices of any shape, I64 or I32, to [.., row length] of F32, BF16, F16 or F64.
func (t *Embedding) Run(indices *Tensor, dtype DType) (*Tensor, error) {
	var c call
	defer c.done()
	native, in := t.take(&c), indices.take(&c)
	var out *C.mnq_tensor
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_embedding_run_tensor(native, in, C.mnq_dtype(dtype), &out, e)
	})
	if err != nil {
		return nil, err
	}
	return newTensor(out), nil
}

// Describe is what it is, as a JSON object: "name", "scheme", "row_count", "row_length".
func (t *Embedding) Describe() (string, error) {
	var c call
	defer c.done()
	native := t.take(&c)
	var out *C.mnq_buffer
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_embedding_describe(native, &out, e) }); err != nil {
		return "", err
	}
	return textOf(out), nil
}
