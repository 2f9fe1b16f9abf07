package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

import (
	"context"
	"io"
)

// report makes the report that a job's function gives.
func (j *job) report(function func(**C.mnq_report, **C.mnq_error) C.mnq_status) (*Report, error) {
	var out *C.mnq_report
	if err := j.do(func(e **C.mnq_error) C.mnq_status { return function(&out, e) }); err != nil {
		return nil, err
	}
	return newReport(out), nil
}

// model makes the model and the report that a job's function gives of another model.
func (j *job) model(
	of *Model, function func(**C.mnq_model, **C.mnq_report, **C.mnq_error) C.mnq_status,
) (*Model, *Report, error) {
	var out *C.mnq_model
	report, err := j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return function(&out, report, e)
	})
	if err != nil {
		return nil, nil, err
	}
	return newModel(out, of.source), report, nil
}

// Quantize makes a quantized model in memory.
func (m *Model) Quantize(ctx context.Context, config *Config, run *Run) (*Model, *Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native, cfg := m.take(&j.call), config.take(&j.call)
	return j.model(m, func(out **C.mnq_model, report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_quantize(native, cfg, r, out, report, e)
	})
}

// QuantizeToFile quantizes it to a file or folder, within memory_budget bytes.
func (m *Model) QuantizeToFile(ctx context.Context, output string, config *Config, run *Run) (*Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native, to, cfg := m.take(&j.call), j.text(output), config.take(&j.call)
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_quantize_to_file(native, to, cfg, r, report, e)
	})
}

// QuantizeTo quantizes it to the program's own output, within memory_budget bytes; see SaveTo.
func (m *Model) QuantizeTo(ctx context.Context, writer io.WriterAt, config *Config, run *Run) (*Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native, to, cfg := m.take(&j.call), j.lend(writer), config.take(&j.call)
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_quantize_to_writer(native, to, cfg, r, report, e)
	})
}

// Plan is what Quantize would do: no weight is read, so there is no accuracy.
func (m *Model) Plan(config *Config, run *Run) (*Report, error) {
	var j job
	defer j.done()
	native, cfg, r := m.take(&j.call), config.take(&j.call), run.read(&j.call)
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_plan(native, cfg, r, report, e)
	})
}

// Dequantize turns quantized tensors back into floats; all others are copied.
func (m *Model) Dequantize(ctx context.Context, run *Run) (*Model, *Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native := m.take(&j.call)
	return j.model(m, func(out **C.mnq_model, report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_dequantize(native, r, out, report, e)
	})
}

// DequantizeTo does so to the program's own output; see SaveTo.
func (m *Model) DequantizeTo(ctx context.Context, writer io.WriterAt, run *Run) (*Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native, to := m.take(&j.call), j.lend(writer)
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_dequantize_to_writer(native, to, r, report, e)
	})
}

// Compare is the accuracy of each tensor of other against the one of the same name in this.
func (m *Model) Compare(ctx context.Context, other *Model, run *Run) (*Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native, second := m.take(&j.call), other.take(&j.call)
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_compare(native, second, r, report, e)
	})
}

// Validate checks it, and (where original is not nil) that it is what became of the original; a module is run on inputs,
// which may be nil.
func (m *Model) Validate(ctx context.Context, original *Model, inputs *Arguments, run *Run) (*Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	native, in := m.take(&j.call), inputs.take(&j.call)
	var first *C.mnq_model
	if original != nil {
		first = original.take(&j.call)
	}
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_model_validate(native, first, in, r, report, e)
	})
}

// QuantizeFile quantizes a file or a folder to a file or a folder, within memory_budget bytes whatever its size. What is
// written follows from the key format, or from the output's name.
func QuantizeFile(ctx context.Context, input, output string, config *Config, run *Run) (*Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	from, to, cfg := j.text(input), j.text(output), config.take(&j.call)
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_quantize_file(from, to, cfg, r, report, e)
	})
}

// DequantizeFile turns quantized tensors back into floats of the type that they came from.
func DequantizeFile(ctx context.Context, input, output string, run *Run) (*Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	from, to := j.text(input), j.text(output)
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_dequantize_file(from, to, r, report, e)
	})
}

// ConvertFile writes a checkpoint in another format: what that cannot hold is quantized anew or becomes floats, and the
// report says so.
func ConvertFile(ctx context.Context, input, output string, run *Run) (*Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	from, to := j.text(input), j.text(output)
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_convert_file(from, to, r, report, e)
	})
}

// CompareFile is the accuracy of each tensor of the second file against the one of the same name in the first.
func CompareFile(ctx context.Context, reference, other string, run *Run) (*Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	from, to := j.text(reference), j.text(other)
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_compare_file(from, to, r, report, e)
	})
}

// ValidateFile checks a file, and (where original is not "") that it is what became of the original. What it finds is in
// the report's Problems.
func ValidateFile(ctx context.Context, path, original string, run *Run) (*Report, error) {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	file, first := j.text(path), j.optional(original)
	return j.report(func(report **C.mnq_report, e **C.mnq_error) C.mnq_status {
		return C.mnq_validate_file(file, first, r, report, e)
	})
}

// MergeFolder puts together a folder whose parts were made with the key shard.
func MergeFolder(ctx context.Context, output string, run *Run) error {
	var j job
	defer j.done()
	r := j.begin(ctx, run)
	folder := j.text(output)
	return j.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_merge_folder(folder, r, e) })
}
