package monoquant_test

import (
	"math"
	"strings"
	"testing"

	"monoquant"
)

// times is the plain product: rows x weight, transposed, and the bias.
func times(rows, weight, bias []float32) []float32 {
	length := len(weight) / len(bias)
	var product []float32
	for start := 0; start < len(rows); start += length {
		for i, sum := range bias {
			for k := 0; k < length; k++ {
				sum += rows[start+k] * weight[i*length+k]
			}
			product = append(product, sum)
		}
	}
	return product
}

func wantNear(t *testing.T, tensor *monoquant.Tensor, wanted []float32) {
	t.Helper()
	values := must(monoquant.Values[float32](tensor))
	want(t, len(values), len(wanted))
	for i := range wanted {
		if math.Abs(float64(values[i]-wanted[i])) > 0.02 {
			t.Fatalf("output %d is %v, not %v", i, values[i], wanted[i])
		}
	}
}

func TestALayerOfAModelDoesWhatItsWeightsDo(t *testing.T) {
	quantized, report, err := smallModel(t).Quantize(background, int4(t), nil)
	check(t, err)
	defer report.Close()
	layer := must(quantized.Linear("first", nil, nil))
	defer layer.Close()
	weight, bias := must(quantized.Float(background, "first.weight", nil)), must(quantized.Tensor("first.bias"))
	defer weight.Close()
	defer bias.Close()
	quantized.Close()
	activations := weights(3*128, 9)
	rows := must(monoquant.NewTensor([]int64{3, 1, 128}, activations))
	defer rows.Close()
	outputs := must(layer.Run(rows, monoquant.F32))
	defer outputs.Close()
	want(t, outputs.Shape(), []int64{3, 1, 64})
	wantNear(t, outputs, times(activations, must(monoquant.Values[float32](weight)), must(monoquant.Values[float32](bias))))
	want(t, strings.Contains(must(layer.Describe()), `"output_count":64`), true)
}

func TestALayerOfFloats(t *testing.T) {
	identity, row := make([]float32, 4*32), make([]float32, 32)
	for i := 0; i < 4; i++ {
		identity[i*32+i] = 1
	}
	for i := range row {
		row[i] = float32(i) / 31
	}
	weight := must(monoquant.NewTensor([]int64{4, 32}, identity))
	bias := must(monoquant.NewTensor([]int64{4}, []float32{1, 2, 3, 4}))
	layer := must(monoquant.NewLinear(weight, bias, nil, nil))
	weight.Close()
	bias.Close()
	rows := must(monoquant.NewTensor([]int64{1, 32}, row))
	defer rows.Close()
	outputs := must(layer.Run(rows, monoquant.F32))
	defer outputs.Close()
	wantNear(t, outputs, []float32{1, 2 + 1.0/31, 3 + 2.0/31, 4 + 3.0/31})
	half := must(layer.Run(rows, monoquant.BF16))
	want(t, half.DType(), monoquant.BF16)
	half.Close()
	layer.Close()
	_, err := layer.Run(rows, monoquant.F32)
	wantCode(t, err, monoquant.ErrInvalidArg)
}

func TestWhatALayerCannotTakeIsRefused(t *testing.T) {
	model := smallModel(t)
	_, err := model.Linear("third", nil, nil)
	wantCode(t, err, monoquant.ErrNotFound)
	layer := must(model.Linear("first", int4(t), nil))
	defer layer.Close()
	short := must(monoquant.NewTensor([]int64{1, 64}, weights(64, 0)))
	defer short.Close()
	_, err = layer.Run(short, monoquant.F32)
	wantCode(t, err, monoquant.ErrShape)
	_, err = layer.Run(nil, monoquant.F32)
	wantCode(t, err, monoquant.ErrInvalidArg)
}

func TestAnEmbeddingGathersRows(t *testing.T) {
	table := weights(32*64, 0)
	tensor := must(monoquant.NewTensor([]int64{32, 64}, table))
	model := must(monoquant.FromTensors([]monoquant.NamedTensor{{Name: "embed.weight", Tensor: tensor}}))
	embedding := must(model.Embedding("embed"))
	defer embedding.Close()
	tensor.Close()
	model.Close()
	indices := must(monoquant.NewTensor([]int64{2, 1}, []int64{5, 31}))
	defer indices.Close()
	rows := must(embedding.Run(indices, monoquant.F32))
	defer rows.Close()
	want(t, rows.Shape(), []int64{2, 1, 64})
	want(t, must(monoquant.Values[float32](rows)), append(append([]float32{}, table[5*64:6*64]...), table[31*64:]...))
	beyond := must(monoquant.NewTensor([]int64{1}, []int64{32}))
	defer beyond.Close()
	_, err := embedding.Run(beyond, monoquant.F32)
	wantCode(t, err, monoquant.ErrInvalidArg)
	want(t, strings.Contains(must(embedding.Describe()), `"row_count":32`), true)
}
