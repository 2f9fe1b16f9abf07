package monoquant

/*
#include <mono_quant/mono_quant.h>

extern int32_t monoquantProgress(uintptr_t user, uint64_t done_bytes, uint64_t total_bytes);
extern int32_t monoquantTensor(uintptr_t user, size_t index, size_t count, char* layer, char* action, double sqnr_db);
extern void monoquantLog(uintptr_t user, int32_t level, char* message);

static int32_t on_progress(void* user, uint64_t done_bytes, uint64_t total_bytes) {
  return monoquantProgress((uintptr_t)user, done_bytes, total_bytes);
}
static int32_t on_tensor(void* user, size_t index, size_t count, const char* layer, const char* action, double sqnr_db) {
  return monoquantTensor((uintptr_t)user, index, count, (char*)layer, (char*)action, sqnr_db);
}
static void on_log(void* user, mnq_log_level level, const char* message) {
  monoquantLog((uintptr_t)user, level, (char*)message);
}
static mnq_status set_progress(mnq_run* run, uintptr_t user, mnq_error** error) {
  return mnq_run_set_progress(run, on_progress, (void*)user, error);
}
static mnq_status set_observer(mnq_run* run, uintptr_t user, mnq_error** error) {
  return mnq_run_set_observer(run, on_tensor, (void*)user, error);
}
static mnq_status set_log(mnq_run* run, uintptr_t user, mnq_error** error) {
  return mnq_run_set_log_callback(run, on_log, (void*)user, error);
}
static mnq_status set_process_log(int32_t is_set, mnq_error** error) {
  return mnq_set_log_callback(is_set ? on_log : NULL, NULL, error);
}
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A Run is one job's own settings and callbacks. It can serve several jobs, one after the other. The callbacks are called
// on the goroutine that made the call.
type Run struct {
	handle    *handle
	state     *runState
	user      cgo.Handle   // of the state
	mutex     sync.RWMutex // held by the job that uses the run
	cancelled atomic.Bool  // by Cancel, not by a context
}

// What callbacks of C find by a cgo.Handle. It does not lead to the Run, which its finalizer waits for.
type runState struct {
	slot     slot
	run      *C.mnq_run
	job      *job // that uses the run, where a context can stop it
	progress func(done, total uint64)
	tensor   func(TensorDone)
	log      func(LogLevel, string)
}

// TensorDone is a tensor of a job that is done.
type TensorDone struct {
	Index, Count int     // which it is, from 0, of how many the job has in all
	Layer        string  // or the tensor, where it is no layer's weight
	Action       string  // "quantize", "cast", "copy" or "dequantize"
	SQNR         float64 // in dB: NaN where none is measured, +Inf for an exact one
}

// LogLevel is how much a message matters.
type LogLevel int32

// The levels.
const (
	LogWarning LogLevel = C.MNQ_LOG_WARNING
	LogInfo    LogLevel = C.MNQ_LOG_INFO
)

// NewRun makes a run with keys and values that win over a config's; nil for none.
func NewRun(settings map[string]any) (*Run, error) {
	run, err := newRun()
	if err != nil {
		return nil, err
	}
	for key, value := range settings {
		if err := run.Set(key, value); err != nil {
			run.Close()
			return nil, err
		}
	}
	return run, nil
}

func newRun() (*Run, error) {
	var c call
	defer c.done()
	var out *C.mnq_run
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_run_create(&out, e) }); err != nil {
		return nil, err
	}
	state := &runState{run: out}
	user := cgo.NewHandle(state)
	free := func(p unsafe.Pointer) {
		C.mnq_run_free((*C.mnq_run)(p))
		user.Delete()
	}
	return &Run{handle: newHandle(unsafe.Pointer(out), free), state: state, user: user}, nil
}

// Close frees the run once no job uses it.
func (run *Run) Close() error {
	run.handle.close()
	return nil
}

// read is for calls that only look at the run's settings; nil for no run.
func (run *Run) read(c *call) *C.mnq_run {
	if run == nil {
		return nil
	}
	if !run.mutex.TryRLock() {
		c.fail(ErrState, "a job uses the run")
		return nil
	}
	c.ends = append(c.ends, run.mutex.RUnlock)
	return (*C.mnq_run)(c.need(run.handle, "run"))
}

// write is for jobs, and for calls that change the run.
func (run *Run) write(c *call) *C.mnq_run {
	if !run.mutex.TryLock() {
		c.fail(ErrState, "another job uses the run")
		return nil
	}
	c.ends = append(c.ends, run.mutex.Unlock)
	c.watch(&run.state.slot)
	return (*C.mnq_run)(c.need(run.handle, "run"))
}

// A job is a call that a context can stop.
type job struct {
	call
	context context.Context
	stopped atomic.Bool
}

// begin gives the job its run: the caller's, or one of its own where only the context asks for it.
func (j *job) begin(ctx context.Context, run *Run) *C.mnq_run {
	j.context = ctx
	if err := ctx.Err(); err != nil {
		j.call.err = &Error{Code: ErrCancelled, Message: err.Error(), cause: err}
		return nil
	}
	if run == nil {
		if ctx.Done() == nil {
			return nil
		}
		var err error
		if run, err = newRun(); err != nil {
			j.call.err = err
			return nil
		}
		defer run.Close() // it stays until the job is done
	}
	native := run.write(&j.call)
	if native != nil && ctx.Done() != nil {
		j.cancelWith(run, native)
	}
	return native
}

// cancelWith has the context cancel the run as long as the job is not done. What the context cancelled can be used again.
func (j *job) cancelWith(run *Run, native *C.mnq_run) {
	run.state.job = j
	done, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		select {
		case <-j.context.Done():
			j.stopped.Store(true)
			C.mnq_run_cancel(native)
		case <-done:
		}
	}()
	end := func() {
		close(done)
		<-left
		run.state.job = nil
		if j.stopped.Load() && !run.cancelled.Load() {
			C.mnq_run_reset(native)
		}
	}
	j.ends = append([]func(){end}, j.ends...)
}

// isStopped asks the context, in a callback, so that one that it cancelled itself stops the job then and there.
func (state *runState) isStopped() bool {
	if state.job == nil || state.job.context.Err() == nil {
		return false
	}
	state.job.stopped.Store(true)
	return true
}

// do is as of a call; an error that came of the context unwraps to the context's.
func (j *job) do(function func(**C.mnq_error) C.mnq_status) error {
	err := j.call.do(function)
	var failed *Error
	if errors.As(err, &failed) && failed.Code == ErrCancelled && failed.cause == nil && j.stopped.Load() {
		failed.cause = j.context.Err()
	}
	return err
}

// Set sets a key for this run's jobs; it wins over the config.
func (run *Run) Set(key string, value any) error {
	var c call
	defer c.done()
	native, k, v := run.write(&c), c.text(key), c.text(fmt.Sprint(value))
	return c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_run_set(native, k, v, e) })
}

// SetForLayers sets a key for the layers that the glob matches.
func (run *Run) SetForLayers(glob, key string, value any) error {
	var c call
	defer c.done()
	native, g, k, v := run.write(&c), c.text(glob), c.text(key), c.text(fmt.Sprint(value))
	return c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_run_set_for_layers(native, g, k, v, e) })
}

// callBack sets a callback, which is called with the cgo.Handle of the state.
func (run *Run) callBack(set func(*C.mnq_run, C.uintptr_t, **C.mnq_error) C.mnq_status) error {
	var c call
	defer c.done()
	native := run.write(&c)
	return c.do(func(e **C.mnq_error) C.mnq_status { return set(native, C.uintptr_t(run.user), e) })
}

// OnProgress has bytes of input done and in all told to a function: at the start, about ten times a second, and at the
// end. nil for none.
func (run *Run) OnProgress(progress func(done, total uint64)) error {
	return run.callBack(func(native *C.mnq_run, user C.uintptr_t, e **C.mnq_error) C.mnq_status {
		run.state.progress = progress
		if progress == nil {
			return C.mnq_run_set_progress(native, nil, nil, e)
		}
		return C.set_progress(native, user, e)
	})
}

// OnTensor has each tensor told to a function that is done, in order. nil for none.
func (run *Run) OnTensor(tensor func(TensorDone)) error {
	return run.callBack(func(native *C.mnq_run, user C.uintptr_t, e **C.mnq_error) C.mnq_status {
		run.state.tensor = tensor
		if tensor == nil {
			return C.mnq_run_set_observer(native, nil, nil, e)
		}
		return C.set_observer(native, user, e)
	})
}

// OnLog has the messages of this run's jobs told to a function, in place of the process's (SetLog). nil for that again.
func (run *Run) OnLog(log func(LogLevel, string)) error {
	return run.callBack(func(native *C.mnq_run, user C.uintptr_t, e **C.mnq_error) C.mnq_status {
		run.state.log = log
		if log == nil {
			return C.mnq_run_set_log_callback(native, nil, nil, e)
		}
		return C.set_log(native, user, e)
	})
}

// Cancel stops the run's job, or the next one that uses it. From any goroutine, and from a callback.
func (run *Run) Cancel() {
	if run.handle.hold() {
		defer run.handle.release()
		run.cancelled.Store(true)
		C.mnq_run_cancel((*C.mnq_run)(run.handle.pointer))
	}
}

// IsCancelled tells whether it was cancelled, by Cancel or by a callback that panicked: it stays so until Reset.
func (run *Run) IsCancelled() bool {
	if !run.handle.hold() {
		return false
	}
	defer run.handle.release()
	return C.mnq_run_is_cancelled((*C.mnq_run)(run.handle.pointer)) != 0
}

// Reset makes a run that was cancelled one that is not, for its next job.
func (run *Run) Reset() error {
	var c call
	defer c.done()
	native := run.write(&c)
	if c.err == nil {
		run.cancelled.Store(false)
		C.mnq_run_reset(native)
	}
	return c.err
}

var processLog atomic.Pointer[func(LogLevel, string)]

// SetLog has the messages of all jobs told to a function, from any goroutine, possibly from several at once; nil for none.
// It must not call this package. As no call is there to carry it out, a panic of it ends with it.
func SetLog(log func(LogLevel, string)) error {
	var c call
	defer c.done()
	isSet := C.int32_t(0)
	if log != nil {
		isSet = 1
	}
	processLog.Store(&log)
	return c.do(func(e **C.mnq_error) C.mnq_status { return C.set_process_log(isSet, e) })
}
