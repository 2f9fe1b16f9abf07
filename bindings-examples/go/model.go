package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

import (
	"context"
	"io"
	"unsafe"
)

// A Model is a checkpoint held open, float or quantized; immutable. Its tensors are read when they are asked for, so a
// file must stay as it is while the model is open.
type Model struct {
	handle *handle
	source *slot // of the reader that this model, or the one it was made from, reads; nil for none
}

// A NamedTensor is a tensor of FromTensors.
type NamedTensor struct {
	Name   string
	Tensor *Tensor
}

// A LayerTensor is a tensor of FromLayers, and what is known of the layer that it belongs to.
type LayerTensor struct {
	Name        string  // "encoder.0.weight", whose layer is "encoder.0"
	Tensor      *Tensor // may be nil where it is tied
	Kind        *string // "Linear", "Conv2d"...; "" where it is no layer's weight; nil: its name and shape tell
	ChannelAxis *int64  // of the weight, counted from 0; nil: the kind's
	TiedTo      string  // the name of another tensor, which this one is; "": none
}

// A Layer is a layer of a model, and what settings make of it.
type Layer struct {
	Name, Tensor string
	Kind         string // "Linear", "Conv2d"...; "" where it is no layer's weight
	Action       string // "quantize", "cast" or "copy"
	Scheme       string // "int8 per channel"...; "" where it is copied
	Reason       string
	Shape        []int64
	DType        DType
	Ties         []string // other names of the same weight
}

// openModel makes the model that a function opens.
func openModel(c *call, source *slot, open func(**C.mnq_model, **C.mnq_error) C.mnq_status) (*Model, error) {
	var out *C.mnq_model
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return open(&out, e) }); err != nil {
		return nil, err
	}
	return newModel(out, source), nil
}

func newModel(native *C.mnq_model, source *slot) *Model {
	free := func(p unsafe.Pointer) { C.mnq_model_free((*C.mnq_model)(p)) }
	return &Model{newHandle(unsafe.Pointer(native), free), source}
}

// Open opens a checkpoint, a folder of one, or a TorchScript module. Nothing that a file holds is ever executed. Of the
// run, which may be nil, the key tensors_key applies.
func Open(path string, run *Run) (*Model, error) {
	var c call
	defer c.done()
	native, settings := c.text(path), run.read(&c)
	return openModel(&c, nil, func(out **C.mnq_model, e **C.mnq_error) C.mnq_status {
		return C.mnq_model_open_with(native, settings, out, e)
	})
}

// FromTensors makes a model of named tensors, which may be closed at once.
func FromTensors(tensors []NamedTensor) (*Model, error) {
	var c call
	defer c.done()
	names, handles := make([]*C.char, len(tensors)), make([]*C.mnq_tensor, len(tensors))
	for i, tensor := range tensors {
		names[i], handles[i] = c.text(tensor.Name), tensor.Tensor.take(&c)
	}
	return openModel(&c, nil, func(out **C.mnq_model, e **C.mnq_error) C.mnq_status {
		return C.mnq_model_from_tensors(first(names), first(handles), C.size_t(len(tensors)), out, e)
	})
}

// FromLayers makes a model of tensors whose layers are known: their kinds, their ties. They may be closed at once.
func FromLayers(tensors []LayerTensor) (*Model, error) {
	var c call
	defer c.done()
	rows := make([]C.mnq_layer_tensor, len(tensors))
	for i, tensor := range tensors {
		rows[i] = tensor.row(&c)
	}
	return openModel(&c, nil, func(out **C.mnq_model, e **C.mnq_error) C.mnq_status {
		return C.mnq_model_from_layers(first(rows), C.size_t(len(rows)), out, e)
	})
}

func (t *LayerTensor) row(c *call) C.mnq_layer_tensor {
	row := C.mnq_layer_tensor{name: c.text(t.Name), tied_to: c.optional(t.TiedTo), channel_axis: -1}
	row.struct_size = C.size_t(unsafe.Sizeof(row))
	if t.Tensor != nil {
		row.tensor = t.Tensor.take(c)
	}
	if t.Kind != nil {
		row.kind = c.text(*t.Kind)
	}
	if t.ChannelAxis != nil {
		row.channel_axis = C.int64_t(*t.ChannelAxis)
	}
	return row
}

// Close frees the model once no call uses it.
func (m *Model) Close() error {
	m.handle.close()
	return nil
}

func (m *Model) take(c *call) *C.mnq_model {
	if m == nil {
		return (*C.mnq_model)(c.need(nil, "model"))
	}
	c.watch(m.source)
	return (*C.mnq_model)(c.need(m.handle, "model"))
}

// Clone makes a copy in memory, independent of where the model came from.
func (m *Model) Clone() (*Model, error) {
	var c call
	defer c.done()
	native := m.take(&c)
	return openModel(&c, nil, func(out **C.mnq_model, e **C.mnq_error) C.mnq_status {
		return C.mnq_model_clone(native, out, e)
	})
}

// Save writes it to a file or folder: as the key format of the run says, else as the extension does.
func (m *Model) Save(ctx context.Context, path string, run *Run) error {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native, to := m.take(&j.call), j.text(path)
	return j.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_model_save(native, to, r, e) })
}

// SaveTo writes it to the program's own output, within memory_budget bytes: as TorchScript where it is a module, else as
// safetensors, or as format says. The writer is written to by several goroutines at once unless the key threads is 1, each
// byte once, in any order, and some of them never: those are 0. See Committer and Aborter.
func (m *Model) SaveTo(ctx context.Context, writer io.WriterAt, run *Run) error {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native, to := m.take(&j.call), j.lend(writer)
	return j.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_model_save_to_writer(native, to, r, e) })
}

// TensorCount is how many tensors are stored.
func (m *Model) TensorCount() int {
	var c call
	defer c.done()
	return int(C.mnq_model_tensor_count(m.take(&c)))
}

// TensorNames is the names of the tensors as they are stored, in the order of their data.
func (m *Model) TensorNames() []string {
	var c call
	defer c.done()
	native := m.take(&c)
	names := make([]string, int(C.mnq_model_tensor_count(native)))
	for i := range names {
		names[i] = C.GoString(C.mnq_model_tensor_name(native, C.size_t(i)))
	}
	return names
}

// Tensor is one of them.
func (m *Model) Tensor(name string) (*Tensor, error) {
	var c call
	defer c.done()
	native, n := m.take(&c), c.text(name)
	var out *C.mnq_tensor
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_model_get_tensor(native, n, &out, e) }); err != nil {
		return nil, err
	}
	return newTensor(out), nil
}

// Float is one weight as floats, of the type that it came from, however it is stored.
func (m *Model) Float(ctx context.Context, name string, run *Run) (*Tensor, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native, n := m.take(&j.call), j.text(name)
	var out *C.mnq_tensor
	if err := j.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_model_get_float(native, n, r, &out, e) }); err != nil {
		return nil, err
	}
	return newTensor(out), nil
}

// Describe is what is in it, as a JSON object: "format", "path", "size_bytes", "parameters", "metadata", "tensors"...
func (m *Model) Describe() (string, error) {
	var c call
	defer c.done()
	native := m.take(&c)
	var out *C.mnq_buffer
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_model_describe(native, &out, e) }); err != nil {
		return "", err
	}
	return textOf(out), nil
}

// Layers is every tensor with the layer that it is of, and what the settings would make of it.
func (m *Model) Layers(config *Config, run *Run) ([]Layer, error) {
	var c call
	defer c.done()
	native, cfg, r := m.take(&c), config.take(&c), run.read(&c)
	var out *C.mnq_layers
	err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_model_list_layers(native, cfg, r, &out, e) })
	if err != nil {
		return nil, err
	}
	defer C.mnq_layers_free(out)
	layers := make([]Layer, int(C.mnq_layers_count(out)))
	for i := range layers {
		layers[i] = readLayer(out, C.size_t(i))
	}
	return layers, nil
}

func readLayer(layers *C.mnq_layers, index C.size_t) Layer {
	sizes := unsafe.Slice((*int64)(C.mnq_layers_shape(layers, index)), int(C.mnq_layers_rank(layers, index)))
	ties := make([]string, int(C.mnq_layers_tie_count(layers, index)))
	for i := range ties {
		ties[i] = C.GoString(C.mnq_layers_tie(layers, index, C.size_t(i)))
	}
	return Layer{
		Name:   C.GoString(C.mnq_layers_name(layers, index)),
		Tensor: C.GoString(C.mnq_layers_tensor(layers, index)),
		Kind:   C.GoString(C.mnq_layers_kind(layers, index)),
		Action: C.GoString(C.mnq_layers_action(layers, index)),
		Scheme: C.GoString(C.mnq_layers_scheme(layers, index)),
		Reason: C.GoString(C.mnq_layers_reason(layers, index)),
		Shape:  append([]int64{}, sizes...),
		DType:  DType(C.mnq_layers_dtype(layers, index)),
		Ties:   ties,
	}
}

// Forward runs a method of a module: "" for forward. Of the run the key activations applies.
func (m *Model) Forward(method string, inputs *Arguments, run *Run) (*Arguments, error) {
	var c call
	defer c.done()
	native, name, in, r := m.take(&c), c.optional(method), inputs.take(&c), run.read(&c)
	var out *C.mnq_values
	err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_model_forward(native, name, in, r, &out, e) })
	if err != nil {
		return nil, err
	}
	return newArguments(out), nil
}
