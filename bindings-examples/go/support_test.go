package monoquant_test

import (
	"context"
	"errors"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"monoquant"
)

var background = context.Background()

// must is for what cannot fail in a test.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code monoquant.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("the error is %v, not %v", err, code)
	}
}

// weights are numbers that look like weights, the same on every machine.
func weights(count int, seed int64) []float32 {
	random := rand.New(rand.NewSource(seed))
	values := make([]float32, count)
	for i := range values {
		values[i] = float32(random.NormFloat64() / 20)
	}
	return values
}

// smallModel has two layers of 64 by 128 and their biases.
func smallModel(t testing.TB) *monoquant.Model {
	tensors := []monoquant.NamedTensor{
		{Name: "first.weight", Tensor: must(monoquant.NewTensor([]int64{64, 128}, weights(64*128, 0)))},
		{Name: "first.bias", Tensor: must(monoquant.NewTensor([]int64{64}, weights(64, 1)))},
		{Name: "second.weight", Tensor: must(monoquant.NewTensor([]int64{64, 128}, weights(64*128, 2)))},
		{Name: "second.bias", Tensor: must(monoquant.NewTensor([]int64{64}, weights(64, 3)))},
	}
	model := must(monoquant.FromTensors(tensors))
	for _, tensor := range tensors {
		tensor.Tensor.Close()
	}
	t.Cleanup(func() { model.Close() })
	return model
}

func savedBytes(model *monoquant.Model) []byte {
	var writer monoquant.MemoryWriter
	if err := model.SaveTo(background, &writer, nil); err != nil {
		panic(err)
	}
	return writer.Bytes()
}

func int4(t testing.TB) *monoquant.Config {
	config := must(monoquant.NewConfig(map[string]any{"bits": 4, "group_size": 32}))
	t.Cleanup(func() { config.Close() })
	return config
}

func newRun(t testing.TB, settings map[string]any) *monoquant.Run {
	run := must(monoquant.NewRun(settings))
	t.Cleanup(func() { run.Close() })
	return run
}

// panicOf is what work panics with; nil where it does not.
func panicOf(work func()) (value any) {
	defer func() { value = recover() }()
	work()
	return nil
}

// fromFile is the small model quantized from a file into a file, and the folder of both.
func fromFile(t testing.TB) (folder string, bytes []byte) {
	folder = t.TempDir()
	input, output := filepath.Join(folder, "in.safetensors"), filepath.Join(folder, "out.safetensors")
	if err := os.WriteFile(input, savedBytes(smallModel(t)), 0o644); err != nil {
		panic(err)
	}
	must(monoquant.QuantizeFile(background, input, output, int4(t), nil)).Close()
	return folder, must(os.ReadFile(output))
}
