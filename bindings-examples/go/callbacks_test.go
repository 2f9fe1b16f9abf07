package monoquant_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"monoquant"
)

func quantizeWith(t *testing.T, ctx context.Context, run *monoquant.Run) error {
	t.Helper()
	model, report, err := smallModel(t).Quantize(ctx, int4(t), run)
	if err == nil {
		model.Close()
		report.Close()
	}
	return err
}

func TestProgressBeginsAtNothingAndEndsAtAll(t *testing.T) {
	run := newRun(t, nil)
	var heard [][2]uint64
	check(t, run.OnProgress(func(done, total uint64) { heard = append(heard, [2]uint64{done, total}) }))
	check(t, quantizeWith(t, background, run))
	const total = 2 * 4 * (64*128 + 64)
	if len(heard) < 2 || heard[0] != [2]uint64{0, total} || heard[len(heard)-1] != [2]uint64{total, total} {
		t.Error(heard)
	}
	count := len(heard)
	check(t, run.OnProgress(nil))
	check(t, quantizeWith(t, background, run))
	if len(heard) != count {
		t.Error("it was told of after it was taken away")
	}
}

func TestEachTensorIsToldOfOnceAndInOrder(t *testing.T) {
	run := newRun(t, nil)
	var heard []monoquant.TensorDone
	check(t, run.OnTensor(func(done monoquant.TensorDone) { heard = append(heard, done) }))
	check(t, quantizeWith(t, background, run))
	copied := 0
	for i, done := range heard {
		if done.Index != i || done.Count != 4 || math.IsNaN(done.SQNR) != (done.Action == "copy") {
			t.Error(done)
		}
		if done.Action == "copy" {
			copied++
		} else if done.Action != "quantize" || (done.Layer != "first" && done.Layer != "second") {
			t.Error(done)
		}
	}
	if len(heard) != 4 || copied != 2 {
		t.Error(heard)
	}
}

func TestContextStopsAJobFromItsCallback(t *testing.T) {
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	run, output := newRun(t, nil), filepath.Join(t.TempDir(), "out.safetensors")
	check(t, run.OnProgress(func(done, total uint64) { cancel() }))
	_, err := smallModel(t).QuantizeToFile(ctx, output, int4(t), run)
	wantCode(t, err, monoquant.ErrCancelled)
	if !errors.Is(err, context.Canceled) {
		t.Error("it does not unwrap to the context's error")
	}
	if files := must(os.ReadDir(filepath.Dir(output))); len(files) != 0 {
		t.Error(files)
	}
	check(t, quantizeWith(t, background, run)) // the run itself was not cancelled
}

// A source that takes its time does not keep a job from being stopped.
func TestContextStopsAJobFromAnotherGoroutine(t *testing.T) {
	data := savedBytes(smallModel(t))
	model := must(monoquant.OpenReader(slow{bytes.NewReader(data)}, int64(len(data)), nil))
	defer model.Close()
	ctx, cancel := context.WithTimeout(background, 5*time.Millisecond)
	defer cancel()
	_, _, err := model.Quantize(ctx, int4(t), nil)
	wantCode(t, err, monoquant.ErrCancelled)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestContextThatIsDoneStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	err := quantizeWith(t, ctx, nil)
	wantCode(t, err, monoquant.ErrCancelled)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRunThatWasCancelledStaysSo(t *testing.T) {
	run := newRun(t, nil)
	run.Cancel()
	wantCode(t, quantizeWith(t, background, run), monoquant.ErrCancelled)
	wantCode(t, quantizeWith(t, background, run), monoquant.ErrCancelled)
	check(t, run.Reset())
	if run.IsCancelled() {
		t.Error("it is cancelled after Reset")
	}
	check(t, quantizeWith(t, background, run))
}

func TestRunServesOneJobAtATime(t *testing.T) {
	run := newRun(t, nil)
	check(t, run.OnProgress(func(done, total uint64) {
		if done == 0 {
			_, _, err := smallModel(t).Quantize(background, nil, run)
			if !errors.Is(err, monoquant.ErrState) {
				t.Error(err)
			}
			if err := quantizeWith(t, background, nil); err != nil {
				t.Error("a job in a callback:", err)
			}
		}
	}))
	check(t, quantizeWith(t, background, run))
}

func TestPanicsOfCallbacksComeOutOfTheCall(t *testing.T) {
	run := newRun(t, map[string]any{"sqnr_warning_db": 90})
	want := func(thrown any) {
		t.Helper()
		if value := panicOf(func() { quantizeWith(t, background, run) }); value != thrown {
			t.Error(value, "was thrown, not", thrown)
		}
		if !run.IsCancelled() {
			t.Error("the run goes on as if nothing had happened")
		}
		check(t, run.Reset())
	}
	err := errors.New("in progress")
	check(t, run.OnProgress(func(done, total uint64) { panic(err) }))
	want(err)
	check(t, run.OnProgress(func(done, total uint64) { panic(nil) }))
	want("a callback of monoquant must call neither panic(nil) nor runtime.Goexit, as testing's FailNow does")
	check(t, run.OnProgress(nil))
	check(t, run.OnTensor(func(monoquant.TensorDone) { panic("in the observer") }))
	want("in the observer")
	check(t, run.OnTensor(nil))
	check(t, run.OnLog(func(monoquant.LogLevel, string) { panic(7) }))
	want(7)
	check(t, run.OnLog(func(monoquant.LogLevel, string) {}))
	check(t, quantizeWith(t, background, run)) // a run goes on after a panic
}

// One model is read by eight goroutines at once, one context stops none of them.
func TestGoroutinesShareAModel(t *testing.T) {
	model, config := smallModel(t), int4(t)
	quantize := func(ctx context.Context) []byte {
		quantized, report, err := model.Quantize(ctx, config, nil)
		if err != nil {
			t.Error(err)
			return nil
		}
		defer quantized.Close()
		defer report.Close()
		return savedBytes(quantized)
	}
	expected := quantize(background)
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if !bytes.Equal(quantize(ctx), expected) {
				t.Error("other bytes")
			}
		}()
	}
	group.Wait()
}
