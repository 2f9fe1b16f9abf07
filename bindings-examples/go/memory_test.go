package monoquant_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"monoquant"
	"monoquant/internal/heap"
)

const rows, columns = 16 * 1024, 1024

// madeUp is 64 MiB of weights that are made up when they are asked for.
type madeUp struct{ header, weights []byte }

func newMadeUp() *madeUp {
	text := fmt.Sprintf(`{"big.weight":{"dtype":"F32","shape":[%d,%d],"data_offsets":[0,%d]}}`, rows, columns, 4*rows*columns)
	m := &madeUp{header: binary.LittleEndian.AppendUint64(nil, uint64(len(text)))}
	m.header = append(m.header, text...)
	for code := -127; code <= 127; code++ {
		m.weights = binary.LittleEndian.AppendUint32(m.weights, math.Float32bits(float32(code)))
	}
	return m
}

func (m *madeUp) size() int64 { return int64(len(m.header)) + 4*rows*columns }

func (m *madeUp) ReadAt(into []byte, offset int64) (int, error) {
	done := 0
	if offset < int64(len(m.header)) {
		done = copy(into, m.header[offset:])
	}
	for done < len(into) {
		place := offset + int64(done) - int64(len(m.header))
		done += copy(into[done:], m.weights[place%int64(len(m.weights)):])
	}
	return done, nil
}

type counting struct{ atomic.Int64 }

func (c *counting) WriteAt(data []byte, offset int64) (int, error) {
	c.Add(int64(len(data)))
	return len(data), nil
}

// memory is a number of /proc/self/status, in bytes.
func memory(t *testing.T, name string) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("there is no /proc: ", err)
	}
	var kilobytes int64
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, name+":") {
			must(fmt.Sscanf(strings.TrimPrefix(line, name+":"), "%d", &kilobytes))
		}
	}
	return kilobytes * 1024
}

// What is resident while a job runs is watched from its callbacks: reads come from all of its threads.
type watched struct {
	*madeUp
	t    *testing.T
	peak atomic.Int64
}

func (w *watched) ReadAt(into []byte, offset int64) (int, error) {
	if now := memory(w.t, "VmRSS"); now > w.peak.Load() {
		w.peak.Store(now)
	}
	return w.madeUp.ReadAt(into, offset)
}

func TestStreamsStayWithinMemoryBudget(t *testing.T) {
	source := &watched{madeUp: newMadeUp(), t: t}
	model := must(monoquant.OpenReader(source, source.size(), nil))
	defer model.Close()
	debug.FreeOSMemory()
	var writer counting
	before := memory(t, "VmRSS")
	report := must(model.QuantizeTo(background, &writer, nil, newRun(t, map[string]any{"memory_budget": "16MiB"})))
	defer report.Close()
	if used := source.peak.Load() - before; used > 24<<20 {
		t.Error(used, "bytes, of 16 MiB and what the run itself needs")
	}
	if writer.Load() < rows*columns {
		t.Error(writer.Load())
	}
}

func useEverything(t *testing.T) {
	model := smallModel(t)
	data := savedBytes(model)
	opened := must(monoquant.OpenBytes(data, nil))
	run := must(monoquant.NewRun(nil))
	check(t, run.OnProgress(func(done, total uint64) {}))
	quantized, report, err := opened.Quantize(background, int4(t), run)
	check(t, err)
	panicOf(func() {
		check(t, run.OnProgress(func(done, total uint64) { panic("stop") }))
		opened.Quantize(background, nil, run)
	})
	panicOf(func() { model.SaveTo(background, &refusing{value: 1}, nil) })
	_, err = monoquant.Open("no/such/file", nil)
	wantCode(t, err, monoquant.ErrNotFound)
	_, err = monoquant.OpenBytes(data[:100], nil)
	wantCode(t, err, monoquant.ErrFormat)
	must(quantized.Float(background, "first.weight", nil)).Close()
	for _, one := range []interface{ Close() error }{run, quantized, report, opened, model} {
		check(t, one.Close())
	}
}

// A round leaves nothing in the memory of C. What threads keep for later grows for a while, and then no more: of the
// windows one at least is without that.
func TestClosedThingsLeaveNothing(t *testing.T) {
	const windows, rounds = 12, 25
	least := int64(math.MaxInt64)
	for i := 0; i < windows && least > rounds*16; i++ {
		before := heap.InUse()
		for j := 0; j < rounds; j++ {
			t.Run("round", useEverything)
		}
		if grown := heap.InUse() - before; grown < least {
			least = grown
		}
	}
	if least > rounds*16 {
		t.Errorf("%d bytes were left by %d rounds", least, rounds)
	}
}

// What is forgotten is freed by finalizers, some time.
func TestForgottenThingsAreFreed(t *testing.T) {
	before := heap.InUse()
	for i := 0; i < 64; i++ {
		must(monoquant.NewTensor([]int64{1 << 18}, make([]float32, 1<<18)))
	}
	for deadline := time.Now().Add(10 * time.Second); heap.InUse()-before > 8<<20; {
		if time.Now().After(deadline) {
			t.Fatal(heap.InUse()-before, "bytes are still there")
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
}
