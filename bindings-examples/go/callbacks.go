package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

import (
	"fmt"
	"runtime/cgo"
	"unsafe"
)

// What C calls. Each finds its state by a cgo.Handle, and leaves errors and panics in that one's slot.

// tell is not 0 where the job is to stop.
func (state *runState) tell(callback func()) C.int32_t {
	status := state.slot.guard(func() error {
		callback()
		return nil
	})
	if status == 0 && state.isStopped() {
		status = 1
	}
	return status
}

//export monoquantProgress
func monoquantProgress(user C.uintptr_t, done, total C.uint64_t) C.int32_t {
	state := cgo.Handle(user).Value().(*runState)
	return state.tell(func() { state.progress(uint64(done), uint64(total)) })
}

//export monoquantTensor
func monoquantTensor(user C.uintptr_t, index, count C.size_t, layer, action *C.char, sqnr C.double) C.int32_t {
	state := cgo.Handle(user).Value().(*runState)
	done := TensorDone{int(index), int(count), C.GoString(layer), C.GoString(action), float64(sqnr)}
	return state.tell(func() { state.tensor(done) })
}

// A log callback has no way to say that the job is to stop: one of a run cancels it. That of the process has no run.
//
//export monoquantLog
func monoquantLog(user C.uintptr_t, level C.int32_t, message *C.char) {
	if user == 0 {
		log := *processLog.Load()
		new(slot).guard(func() error {
			log(LogLevel(level), C.GoString(message))
			return nil
		})
		return
	}
	state := cgo.Handle(user).Value().(*runState)
	status := state.slot.guard(func() error {
		state.log(LogLevel(level), C.GoString(message))
		return nil
	})
	if status != 0 {
		C.mnq_run_cancel(state.run)
	}
}

//export monoquantRead
func monoquantRead(user C.uintptr_t, offset C.uint64_t, into unsafe.Pointer, size C.size_t) C.int32_t {
	state := cgo.Handle(user).Value().(*readerState)
	return state.slot.guard(func() error {
		buffer := unsafe.Slice((*byte)(into), int(size))
		read, err := state.reader.ReadAt(buffer, int64(offset))
		if read == len(buffer) {
			return nil // an io.EOF at the end is none
		}
		if err == nil {
			err = fmt.Errorf("%d bytes were read of %d, without an error", read, len(buffer))
		}
		return err
	})
}

//export monoquantWrite
func monoquantWrite(user C.uintptr_t, offset C.uint64_t, data unsafe.Pointer, size C.size_t) C.int32_t {
	state := cgo.Handle(user).Value().(*writerState)
	return state.slot.guard(func() error {
		_, err := state.writer.WriteAt(unsafe.Slice((*byte)(data), int(size)), int64(offset))
		return err
	})
}

//export monoquantCommit
func monoquantCommit(user C.uintptr_t, size C.uint64_t) C.int32_t {
	state := cgo.Handle(user).Value().(*writerState)
	return state.slot.guard(func() error { return state.commit(int64(size)) })
}

//export monoquantAbort
func monoquantAbort(user C.uintptr_t) {
	state := cgo.Handle(user).Value().(*writerState)
	state.slot.guard(func() error {
		if aborter, ok := state.writer.(Aborter); ok {
			aborter.Abort()
		}
		return nil
	})
}

//export monoquantRelease
func monoquantRelease(user C.uintptr_t) { cgo.Handle(user).Delete() }
