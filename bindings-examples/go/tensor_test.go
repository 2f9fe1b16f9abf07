package monoquant_test

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"monoquant"
)

func want[T any](t *testing.T, is, wanted T) {
	t.Helper()
	if !reflect.DeepEqual(is, wanted) {
		t.Errorf("%v is not %v", is, wanted)
	}
}

func TestTensorHasWhatItWasMadeOf(t *testing.T) {
	tensor := must(monoquant.NewTensor([]int64{2, 3}, []float32{1, 2, 3, 4, 5, 6}))
	defer tensor.Close()
	want(t, tensor.DType(), monoquant.F32)
	want(t, tensor.Shape(), []int64{2, 3})
	want(t, must(monoquant.Values[float32](tensor)), []float32{1, 2, 3, 4, 5, 6})
	want(t, tensor.Bytes()[:4], []byte{0, 0, 0x80, 0x3f})
	want(t, tensor.String(), "F32 [2 3]")
	_, err := monoquant.Values[float64](tensor)
	wantCode(t, err, monoquant.ErrDType)
	_, err = monoquant.NewTensor([]int64{3}, []uint8{1, 2})
	wantCode(t, err, monoquant.ErrShape)
	scalar := must(monoquant.NewTensor(nil, []int64{7}))
	defer scalar.Close()
	want(t, scalar.Shape(), []int64{})
	want(t, must(monoquant.Values[int64](scalar)), []int64{7})
	empty := must(monoquant.NewTensor([]int64{0, 4}, []float64{}))
	defer empty.Close()
	want(t, must(monoquant.Values[float64](empty)), []float64{})
	half := must(monoquant.NewTensorBytes(monoquant.BF16, []int64{1}, []byte{0x80, 0x3f}))
	defer half.Close()
	want(t, half.DType().String(), "BF16")
}

// -2 to 2 in steps of a code: the scale of the row is 2 / 127, and each weight its own code times that.
func TestTensorAloneIsQuantizedByHandAndBack(t *testing.T) {
	row, codes := make([]float32, 255), make([]int8, 255)
	for i := range row {
		row[i], codes[i] = float32(i-127)*(2.0/127), int8(i-127)
	}
	tensor := must(monoquant.NewTensor([]int64{1, 255}, row))
	defer tensor.Close()
	config := must(monoquant.NewConfig(map[string]any{"min_parameters": 1}))
	defer config.Close()
	parts, report, err := tensor.Quantize(background, "fc.weight", "Linear", config, nil)
	check(t, err)
	defer parts.Close()
	defer report.Close()
	want(t, []string{parts.Name(0), parts.Name(1), parts.Name(parts.Len() - 1)}, []string{"fc.weight", "fc.weight_scale", "mono_quant"})
	want(t, must(monoquant.Values[int8](must(parts.Tensor(0)))), codes)
	want(t, must(monoquant.Values[float32](must(parts.Tensor(1)))), []float32{2.0 / 127})
	back := must(monoquant.DequantizeTensor(background, parts, nil))
	defer back.Close()
	want(t, back.Shape(), []int64{1, 255})
	for i, value := range must(monoquant.Values[float32](back)) {
		if math.Abs(float64(value-row[i])) > 1e-6 {
			t.Error(i, value, row[i])
		}
	}
}

func TestOneWeightOfAQuantizedModelComesAsFloats(t *testing.T) {
	model, report, err := smallModel(t).Quantize(background, int4(t), nil)
	check(t, err)
	defer model.Close()
	defer report.Close()
	floats := must(model.Float(background, "first.weight", nil))
	defer floats.Close()
	sqnr := must(monoquant.KernelSQNR(weights(64*128, 0), must(monoquant.Values[float32](floats))))
	if sqnr < 18 || sqnr > 30 {
		t.Error(sqnr)
	}
	bias := must(model.Float(background, "first.bias", nil))
	defer bias.Close()
	want(t, must(monoquant.Values[float32](bias)), weights(64, 1))
	_, err = model.Float(background, "third.weight", nil)
	wantCode(t, err, monoquant.ErrNotFound)
	_, err = model.Tensor("third.weight")
	wantCode(t, err, monoquant.ErrNotFound)
}

func TestLayersSayWhatBecomesOfThem(t *testing.T) {
	kinds := map[string]monoquant.Layer{}
	for _, layer := range must(smallModel(t).Layers(int4(t), nil)) {
		kinds[layer.Tensor] = layer
	}
	first := kinds["first.weight"]
	want(t, []string{first.Name, first.Kind, first.Action, first.Scheme}, []string{"first", "Linear", "quantize", "int4 group 32"})
	want(t, first.Shape, []int64{64, 128})
	want(t, first.DType, monoquant.F32)
	want(t, []string{kinds["first.bias"].Action, kinds["first.bias"].Kind}, []string{"copy", ""})
}

func TestLayersMayBeTold(t *testing.T) {
	tensor := must(monoquant.NewTensor([]int64{64, 128}, weights(64*128, 1)))
	defer tensor.Close()
	kind, axis := "Linear", int64(0)
	told := monoquant.LayerTensor{Name: "some.kernel", Tensor: tensor, Kind: &kind, ChannelAxis: &axis}
	tied := monoquant.LayerTensor{Name: "head.weight", TiedTo: "some.kernel"}
	model := must(monoquant.FromLayers([]monoquant.LayerTensor{told, tied}))
	defer model.Close()
	layers := must(model.Layers(nil, nil))
	want(t, layers[0].Kind, "Linear")
	want(t, layers[0].Ties, []string{"head.weight"})
	kind = "Lienar"
	_, err := monoquant.FromLayers([]monoquant.LayerTensor{told})
	wantCode(t, err, monoquant.ErrInvalidArg)
}

func TestArgumentsKeepWhatTheyAre(t *testing.T) {
	tensor := must(monoquant.NewTensor([]int64{1}, []float32{1}))
	arguments := must(monoquant.NewArguments(tensor, 7, int64(8), 0.5, true, "é", nil))
	defer arguments.Close()
	tensor.Close()
	check(t, arguments.Add("x", 9))
	var values []any
	for i := 0; i < arguments.Len(); i++ {
		values = append(values, must(arguments.Get(i)))
	}
	want(t, must(monoquant.Values[float32](values[0].(*monoquant.Tensor))), []float32{1})
	want(t, values[1:], []any{int64(7), int64(8), 0.5, true, "é", nil, int64(9)})
	want(t, arguments.Name(7), "x")
	_, err := arguments.Tensor(1)
	wantCode(t, err, monoquant.ErrDType)
	_, err = arguments.Get(8)
	wantCode(t, err, monoquant.ErrNotFound)
	for _, value := range []any{tensor, "a\x00b", []int{1}, float32(1)} {
		wantCode(t, arguments.Add("", value), monoquant.ErrInvalidArg)
	}
}

// One row: 1.27 is the largest, so the scale is 0.01.
func TestKernelsWorkOnSlices(t *testing.T) {
	row, rows := []float32{1.27, -0.5, 0, 0.25}, monoquant.Rows{Length: 4}
	scales, codes := make([]float32, rows.Scales(4)), make([]int8, 4)
	sqnr := must(monoquant.KernelQuantize(row, rows, 8, scales, nil, codes))
	want(t, scales, []float32{1.27 / 127})
	want(t, codes, []int8{127, -50, 0, 25})
	if sqnr < 100 {
		t.Error(sqnr)
	}
	for i, value := range must(monoquant.KernelDequantize(codes, rows, scales, nil)) {
		if math.Abs(float64(value-row[i])) > 1e-6 {
			t.Error(i, value)
		}
	}
	low, high, err := monoquant.KernelRanges(row, 4)
	check(t, err)
	want(t, [][]float32{low, high}, [][]float32{{-0.5}, {1.27}})
	want(t, must(monoquant.KernelPackInt4([]int8{-8, 7, 1})), []byte{0xf0, 0x09})
	want(t, must(monoquant.KernelUnpackInt4([]byte{0xf0, 0x09}, 3)), []int8{-8, 7, 1})
	want(t, must(monoquant.KernelSQNR(row, row)), math.Inf(1))
}

func TestKernelsRefuseSlicesThatDoNotFit(t *testing.T) {
	codes := make([]int8, 4)
	_, err := monoquant.KernelQuantize(make([]float32, 4), monoquant.Rows{Length: 4, GroupSize: 2}, 8, make([]float32, 1), nil, codes)
	wantCode(t, err, monoquant.ErrInvalidArg)
	_, err = monoquant.KernelSQNR(make([]float32, 4), nil)
	wantCode(t, err, monoquant.ErrInvalidArg)
	_, _, err = monoquant.KernelRanges(make([]float32, 3), 2)
	wantCode(t, err, monoquant.ErrInvalidArg)
	weights := []float32{1, float32(math.NaN()), 0, 0}
	_, err = monoquant.KernelQuantize(weights, monoquant.Rows{Length: 4}, 8, make([]float32, 1), nil, codes)
	wantCode(t, err, monoquant.ErrValidation)
}

func TestReportsAndTextsOfTheLibrary(t *testing.T) {
	model, report, err := smallModel(t).Quantize(background, int4(t), nil)
	check(t, err)
	defer model.Close()
	defer report.Close()
	quantized, _ := report.Number("layers_quantized")
	want(t, quantized, 2)
	want(t, report.LayerCount(), 4)
	for i := 0; i < report.LayerCount(); i++ {
		if report.LayerText(i, "tensor") == "first.weight" {
			before, _ := report.LayerNumber(i, "bytes_before")
			want(t, before, 4*64*128)
			want(t, report.LayerText(i, "scheme"), "int4 group 32")
		}
	}
	want(t, len(report.Problems()), 0)
	if _, isThere := report.Number("no such number"); isThere || report.JSON()[0] != '{' {
		t.Error(report.JSON())
	}
	if !strings.Contains(must(monoquant.Capabilities()), `"qint8"`) || !strings.Contains(must(monoquant.Keys()), "group_size") {
		t.Error("schemes and keys are missing")
	}
	if major, _ := monoquant.ABIVersion(); major != 1 || !strings.Contains(must(monoquant.BuildInfo()), monoquant.Version()) {
		t.Error(major)
	}
}
