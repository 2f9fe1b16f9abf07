package monoquant_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"monoquant"
)

func TestErrorHasCodeMessageSuggestionAndSubject(t *testing.T) {
	_, err := monoquant.Open("no/such/model.safetensors", nil)
	var failed *monoquant.Error
	if !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if failed.Code != monoquant.ErrNotFound || failed.Code.String() != "NOT_FOUND" || failed.Code.Error() != "NOT_FOUND" {
		t.Error(failed.Code)
	}
	if failed.Subject != "no/such/model.safetensors" || !strings.Contains(err.Error(), failed.Subject) {
		t.Error(failed.Subject, err)
	}
	_, err = monoquant.NewConfig(map[string]any{"bit": 4})
	wantCode(t, err, monoquant.ErrConfig)
	if !errors.As(err, &failed) || failed.Subject != "bit" || !strings.Contains(failed.Suggestion, "bits") {
		t.Errorf("%+v", failed)
	}
	if errors.Is(err, monoquant.ErrIO) {
		t.Error("it is no error of input or output")
	}
}

func TestSettingsSayWhoSetThem(t *testing.T) {
	config := must(monoquant.NewConfig(map[string]any{"bits": 4, "symmetric": false}))
	defer config.Close()
	want := func(run *monoquant.Run, layer, key, value, source string) {
		t.Helper()
		if is := must(monoquant.Resolve(config, run, layer, key)); is != (monoquant.Setting{Value: value, Source: source}) {
			t.Error(key, is)
		}
	}
	want(nil, "", "bits", "4", "config")
	want(nil, "", "symmetric", "false", "config")
	want(newRun(t, map[string]any{"bits": 8}), "", "bits", "8", "call")
	check(t, config.SetForLayers("fc*", "bits", 8))
	want(nil, "fc1", "bits", "8", "config layers")
	back := must(monoquant.ParseConfig(must(config.JSON())))
	defer back.Close()
	if is := must(monoquant.Resolve(back, nil, "fc1", "bits")); is.Value != "8" {
		t.Error(is)
	}
	check(t, config.Set("dtype", "quint8"))
	wantCode(t, config.Validate(), monoquant.ErrConfig)
}

func TestZeroByteIsNoText(t *testing.T) {
	_, err := monoquant.Open("a\x00b", nil)
	wantCode(t, err, monoquant.ErrInvalidArg)
	wantCode(t, int4(t).Set("bi\x00ts", 4), monoquant.ErrInvalidArg)
}

func TestNilIsAnErrorWhereSomethingMustBe(t *testing.T) {
	model := smallModel(t)
	_, err := model.Compare(background, nil, nil)
	wantCode(t, err, monoquant.ErrInvalidArg)
	_, err = monoquant.FromTensors([]monoquant.NamedTensor{{Name: "x"}})
	wantCode(t, err, monoquant.ErrInvalidArg)
	var none *monoquant.Model
	_, _, err = none.Quantize(background, nil, nil)
	wantCode(t, err, monoquant.ErrInvalidArg)
}

func TestDamagedBytesAreAnErrorOfFormat(t *testing.T) {
	_, err := monoquant.OpenBytes(make([]byte, 64), nil)
	wantCode(t, err, monoquant.ErrFormat)
}

func TestWhatIsThereIsNotReplaced(t *testing.T) {
	path, model := filepath.Join(t.TempDir(), "model.safetensors"), smallModel(t)
	check(t, model.Save(background, path, nil))
	wantCode(t, model.Save(background, path, nil), monoquant.ErrIO)
	check(t, model.Save(background, path, newRun(t, map[string]any{"overwrite": true})))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestWhatIsClosedIsAnError(t *testing.T) {
	model := smallModel(t)
	model.Close()
	model.Close()
	_, _, err := model.Quantize(background, nil, nil)
	wantCode(t, err, monoquant.ErrInvalidArg)
	if model.TensorCount() != 0 || len(model.TensorNames()) != 0 {
		t.Error("a model that is closed has no tensors")
	}
	tensor := must(monoquant.NewTensor([]int64{2}, []float32{1, 2}))
	tensor.Close()
	_, err = monoquant.Values[float32](tensor)
	wantCode(t, err, monoquant.ErrInvalidArg)
	if len(tensor.Bytes()) != 0 || len(tensor.Shape()) != 0 {
		t.Error("a tensor that is closed has no data")
	}
	config, run := int4(t), newRun(t, nil)
	config.Close()
	run.Close()
	run.Cancel()
	wantCode(t, config.Set("bits", 4), monoquant.ErrInvalidArg)
	wantCode(t, run.Set("bits", 4), monoquant.ErrInvalidArg)
	wantCode(t, run.Reset(), monoquant.ErrInvalidArg)
	_, err = smallModel(t).Plan(config, nil)
	wantCode(t, err, monoquant.ErrInvalidArg)
}

// A model that is closed while jobs use it is freed after the last of them.
func TestCloseWaitsForNobody(t *testing.T) {
	model := smallModel(t)
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			quantized, report, err := model.Quantize(background, nil, nil)
			if err == nil {
				quantized.Close()
				report.Close()
			} else if !errors.Is(err, monoquant.ErrInvalidArg) {
				t.Error(err)
			}
		}()
	}
	model.Close()
	group.Wait()
}

func TestLogOfTheProcessHearsJobs(t *testing.T) {
	var mutex sync.Mutex
	heard := 0
	check(t, monoquant.SetLog(func(level monoquant.LogLevel, text string) {
		mutex.Lock()
		defer mutex.Unlock()
		if heard++; level != monoquant.LogWarning {
			t.Error(level, text)
		}
		panic("this ends here")
	}))
	defer monoquant.SetLog(nil)
	run := newRun(t, map[string]any{"sqnr_warning_db": 90})
	quantized, report, err := smallModel(t).Quantize(background, int4(t), run)
	check(t, err)
	quantized.Close()
	report.Close()
	mutex.Lock()
	defer mutex.Unlock()
	if heard == 0 {
		t.Error("nothing was heard")
	}
}
