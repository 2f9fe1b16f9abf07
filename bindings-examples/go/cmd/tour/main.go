// Command tour goes through the whole library: the same program in every language of bindings-examples, whose README says
// what each line is.
//
//	go run ./cmd/tour model.safetensors model-int4.safetensors bits=4 group_size=128
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"monoquant"
)

const usage = "usage: tour INPUT OUTPUT [KEY=VALUE ...] [call:KEY=VALUE ...] [--digits MODULE IMAGES]"

type arguments struct {
	input, output  string
	settings       [][2]string // in their order: keys that begin with call: are the run's
	module, images string      // both empty where no digits are asked for
}

func readArguments(words []string) (*arguments, bool) {
	if len(words) < 2 {
		return nil, false
	}
	a := &arguments{input: words[0], output: words[1]}
	for words = words[2:]; len(words) > 0; words = words[1:] {
		key, value, isSetting := strings.Cut(words[0], "=")
		switch {
		case words[0] == "--digits" && len(words) > 2:
			a.module, a.images, words = words[1], words[2], words[2:]
		case !isSetting:
			return nil, false
		default:
			a.settings = append(a.settings, [2]string{key, value})
		}
	}
	return a, true
}

// A tour is what all its steps use.
type tour struct {
	*arguments
	ctx    context.Context
	config *monoquant.Config
	run    *monoquant.Run
	model  *monoquant.Model
	first  *monoquant.Layer // the first that is quantized; nil where there is none
}

func shapeText(shape []int64) string { return strings.ReplaceAll(fmt.Sprint(shape), " ", ", ") }

func tensorText(tensor *monoquant.Tensor) string {
	return fmt.Sprint(tensor.DType(), " ", shapeText(tensor.Shape()))
}

func sqnrText(report *monoquant.Report) string {
	sqnr, isThere := report.Number("sqnr_db")
	switch {
	case !isThere:
		return "none"
	case math.IsInf(sqnr, 0):
		return "exact"
	}
	return fmt.Sprintf("%.2f dB", sqnr)
}

func (t *tour) openInput() error {
	format, err := monoquant.DetectFormat(t.input)
	if err != nil {
		return err
	}
	if t.model, err = monoquant.Open(t.input, t.run); err != nil {
		return err
	}
	fmt.Printf("input %s, %d tensors\n", format, t.model.TensorCount())
	return nil
}

// listLayers prints the layers; tensors that belong to none have no kind.
func (t *tour) listLayers() error {
	layers, err := t.model.Layers(t.config, t.run)
	for i, layer := range layers {
		if layer.Kind == "" {
			continue
		}
		if t.first == nil && layer.Action == "quantize" {
			t.first = &layers[i]
		}
		scheme := layer.Scheme
		if layer.Action == "copy" {
			scheme = "as it is: " + layer.Reason
		}
		fmt.Println("layer", layer.Name, layer.Kind, shapeText(layer.Shape), scheme)
	}
	return err
}

// printSettings leaves out the default of threads, which is a matter of the machine.
func (t *tour) printSettings() error {
	for _, key := range []string{"dtype", "bits", "group_size", "symmetric", "threads"} {
		setting, err := monoquant.Resolve(t.config, t.run, "", key)
		if err != nil {
			return err
		}
		if key != "threads" || setting.Source != "default" {
			fmt.Printf("setting %s = %s (%s)\n", key, setting.Value, setting.Source)
		}
	}
	return nil
}

func (t *tour) quantize() (*monoquant.Model, error) {
	quantized, copied := 0, 0
	var seen []uint64
	if err := t.run.OnProgress(func(done, total uint64) { seen = append(seen, done) }); err != nil {
		return nil, err
	}
	count := func(done monoquant.TensorDone) {
		if done.Action == "copy" {
			copied++
		} else {
			quantized++
		}
	}
	if err := t.run.OnTensor(count); err != nil {
		return nil, err
	}
	model, report, err := t.model.Quantize(t.ctx, t.config, t.run)
	if err != nil {
		return nil, err
	}
	defer report.Close()
	fmt.Printf("events %d quantized, %d copied\n", quantized, copied)
	fmt.Printf("progress %d to %d\n", seen[0], seen[len(seen)-1])
	before, _ := report.Number("bytes_before")
	after, _ := report.Number("bytes_after")
	warnings := len(report.Warnings())
	fmt.Printf("report %.0f to %.0f bytes, SQNR %s, %d warnings\n", before, after, sqnrText(report), warnings)
	return model, nil
}

func (t *tour) save(quantized *monoquant.Model) error {
	if err := quantized.Save(t.ctx, t.output, t.run); err != nil {
		return err
	}
	format, err := monoquant.DetectFormat(t.output)
	if err != nil {
		return err
	}
	info, err := os.Stat(t.output)
	if err != nil {
		return err
	}
	if info.IsDir() {
		fmt.Printf("saved a folder, format %s\n", format)
		return nil
	}
	fmt.Printf("saved %d bytes, format %s\n", info.Size(), format)
	return t.useStreams(quantized, format)
}

// useStreams has the file that was saved by the program's own output and input.
func (t *tour) useStreams(quantized *monoquant.Model, format string) error {
	run, err := monoquant.NewRun(map[string]any{"format": format})
	if err != nil {
		return err
	}
	defer run.Close()
	var writer monoquant.MemoryWriter
	if err := quantized.SaveTo(t.ctx, &writer, run); err != nil {
		return err
	}
	file, err := os.ReadFile(t.output)
	if err != nil {
		return err
	}
	fmt.Printf("writer %s bytes\n", map[bool]string{true: "the same", false: "other"}[bytes.Equal(file, writer.Bytes())])
	model, err := monoquant.OpenReader(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		return err
	}
	defer model.Close()
	fmt.Printf("reader %d tensors\n", model.TensorCount())
	return nil
}

func (t *tour) reopen() error {
	saved, err := monoquant.Open(t.output, nil)
	if err != nil {
		return err
	}
	defer saved.Close()
	if err := t.compareFloats(saved); err != nil || t.first == nil {
		return err
	}
	if err := t.quantizeAlone(); err != nil {
		return err
	}
	tensor, err := saved.Float(t.ctx, t.first.Tensor, nil)
	if err != nil {
		return err
	}
	defer tensor.Close()
	fmt.Println("one", tensorText(tensor))
	return t.runLinear(saved)
}

// runLinear says by the status that a layer cannot be run by itself, as not every one can.
func (t *tour) runLinear(saved *monoquant.Model) error {
	text, err := t.linearText(saved)
	var failed *monoquant.Error
	if errors.As(err, &failed) {
		text, err = failed.Code.Error(), nil
	}
	fmt.Println("linear", text)
	return err
}

// linearText is what comes of a row of activations, made up, through the layer in integers.
func (t *tour) linearText(saved *monoquant.Model) (string, error) {
	linear, err := saved.Linear(t.first.Name, nil, nil)
	if err != nil {
		return "", err
	}
	defer linear.Close()
	row := make([]float32, t.first.Shape[1])
	for i := range row {
		row[i] = float32(i%7-3) / 4
	}
	rows, err := monoquant.NewTensor([]int64{1, int64(len(row))}, row)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	outputs, err := linear.Run(rows, monoquant.F32)
	if err != nil {
		return "", err
	}
	defer outputs.Close()
	values, err := monoquant.Values[float32](outputs)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d outputs, first 0x%08x", len(values), math.Float32bits(values[0])), nil
}

func (t *tour) compareFloats(saved *monoquant.Model) error {
	floats, made, err := saved.Dequantize(t.ctx, nil)
	if err != nil {
		return err
	}
	defer floats.Close()
	defer made.Close()
	report, err := t.model.Compare(t.ctx, floats, nil)
	if err != nil {
		return err
	}
	defer report.Close()
	count := 0
	for i := 0; i < report.LayerCount(); i++ {
		if sqnr, isThere := report.LayerNumber(i, "sqnr_db"); isThere && !math.IsInf(sqnr, 0) {
			count++
		}
	}
	fmt.Printf("back SQNR %s, %d tensors differ\n", sqnrText(report), count)
	return nil
}

// quantizeAlone takes one tensor there and back; no model is needed for that.
func (t *tour) quantizeAlone() error {
	tensor, err := t.model.Tensor(t.first.Tensor)
	if err != nil {
		return err
	}
	defer tensor.Close()
	parts, report, err := tensor.Quantize(t.ctx, t.first.Tensor, t.first.Kind, t.config, t.run)
	if err != nil {
		return err
	}
	defer parts.Close()
	defer report.Close()
	restored, err := monoquant.DequantizeTensor(t.ctx, parts, nil)
	if err != nil {
		return err
	}
	defer restored.Close()
	count := 0
	for i := 0; i < parts.Len(); i++ {
		if part, _ := parts.Get(i); part != nil {
			if part, isTensor := part.(*monoquant.Tensor); isTensor {
				part.Close()
				count++
			}
		}
	}
	fmt.Printf("alone %s %d parts, SQNR %s, restored %s\n", t.first.Name, count, sqnrText(report), tensorText(restored))
	return nil
}

// cancel shows that a context stops a job, and that a callback's panic comes out of the call.
func (t *tour) cancel() error {
	ctx, stop := context.WithCancel(t.ctx)
	defer stop()
	run, err := monoquant.NewRun(nil)
	if err != nil {
		return err
	}
	defer run.Close()
	if err := run.OnProgress(func(done, total uint64) { stop() }); err != nil {
		return err
	}
	_, _, err = t.model.Quantize(ctx, nil, run)
	var failed *monoquant.Error
	if !errors.As(err, &failed) {
		return fmt.Errorf("the job was not cancelled: %v", err)
	}
	lost := ""
	if t.panicOf() != "thrown in the callback" {
		lost = ", but the panic was lost"
	}
	fmt.Printf("cancelled %v%s\n", failed.Code, lost)
	return nil
}

// panicOf is what a job panics with whose callback does.
func (t *tour) panicOf() (value any) {
	run, err := monoquant.NewRun(nil)
	if err != nil {
		return err
	}
	defer run.Close()
	defer func() { value = recover() }()
	if err := run.OnProgress(func(done, total uint64) { panic("thrown in the callback") }); err != nil {
		return err
	}
	_, _, err = t.model.Quantize(t.ctx, nil, run)
	return err
}

func (t *tour) openMissing() error {
	_, err := monoquant.Open(t.input+".missing", nil)
	var failed *monoquant.Error
	if !errors.As(err, &failed) {
		return fmt.Errorf("what is missing was opened: %v", err)
	}
	fmt.Println("missing", failed.Code)
	return nil
}

// readImage is the first image, 0 to 16, as the module wants it: floats from 0 to 1.
func (t *tour) readImage() (*monoquant.Arguments, error) {
	images, err := monoquant.Open(t.images, nil)
	if err != nil {
		return nil, err
	}
	defer images.Close()
	pixels, err := images.Tensor("images")
	if err != nil {
		return nil, err
	}
	defer pixels.Close()
	floats := make([]float32, 64)
	for i, pixel := range pixels.Bytes()[:64] {
		floats[i] = float32(pixel) / 16
	}
	image, err := monoquant.NewTensor([]int64{1, 1, 8, 8}, floats)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	return monoquant.NewArguments(image)
}

// classify is the place of the largest output.
func classify(module *monoquant.Model, image *monoquant.Arguments) (int, error) {
	outputs, err := module.Forward("", image, nil)
	if err != nil {
		return 0, err
	}
	defer outputs.Close()
	tensor, err := outputs.Tensor(0)
	if err != nil {
		return 0, err
	}
	defer tensor.Close()
	scores, err := monoquant.Values[float32](tensor)
	best := 0
	for i, score := range scores {
		if score > scores[best] {
			best = i
		}
	}
	return best, err
}

func (t *tour) digits() error {
	image, err := t.readImage()
	if err != nil {
		return err
	}
	defer image.Close()
	module, err := monoquant.Open(t.module, nil)
	if err != nil {
		return err
	}
	defer module.Close()
	ofFloats, err := classify(module, image)
	if err != nil {
		return err
	}
	quantized, report, err := module.Quantize(t.ctx, nil, nil)
	if err != nil {
		return err
	}
	defer quantized.Close()
	defer report.Close()
	ofCodes, err := classify(quantized, image)
	if err == nil {
		fmt.Printf("digits float %d, int8 %d\n", ofFloats, ofCodes)
	}
	return err
}

// digitsOrNot says so where LibTorch is not there.
func (t *tour) digitsOrNot() error {
	if t.module == "" {
		return nil
	}
	err := t.digits()
	if errors.Is(err, monoquant.ErrUnsupported) {
		fmt.Println("digits", monoquant.ErrUnsupported)
		return nil
	}
	return err
}

func (t *tour) begin() (err error) {
	if t.config, err = monoquant.NewConfig(nil); err != nil {
		return err
	}
	if t.run, err = monoquant.NewRun(nil); err != nil {
		return err
	}
	for _, setting := range t.settings {
		key, value, set := strings.TrimPrefix(setting[0], "call:"), setting[1], t.config.Set
		if key != setting[0] {
			set = t.run.Set
		}
		if err := set(key, value); err != nil {
			return err
		}
	}
	major, minor := monoquant.ABIVersion()
	fmt.Printf("mono_quant %s, ABI %d.%d\n", monoquant.Version(), major, minor)
	return nil
}

func (t *tour) quantizeAndSave() error {
	quantized, err := t.quantize()
	if err != nil {
		return err
	}
	defer quantized.Close()
	return t.save(quantized)
}

func (t *tour) walk() error {
	steps := []func() error{t.begin, t.openInput, t.listLayers, t.printSettings, t.quantizeAndSave, t.reopen, t.cancel,
		t.openMissing, t.digitsOrNot}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	arguments, isRight := readArguments(os.Args[1:])
	if !isRight {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	t := &tour{arguments: arguments, ctx: context.Background()}
	if err := t.walk(); err != nil {
		fmt.Fprintln(os.Stderr, "tour:", err)
		var failed *monoquant.Error
		if errors.As(err, &failed) && failed.Suggestion != "" {
			fmt.Fprintln(os.Stderr, failed.Suggestion)
		}
		os.Exit(1)
	}
}
