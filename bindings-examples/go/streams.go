package monoquant

/*
#include <mono_quant/mono_quant.h>

extern int32_t monoquantRead(uintptr_t user, uint64_t offset, void* into, size_t size);
extern int32_t monoquantWrite(uintptr_t user, uint64_t offset, void* data, size_t size);
extern int32_t monoquantCommit(uintptr_t user, uint64_t size_bytes);
extern void monoquantAbort(uintptr_t user);
extern void monoquantRelease(uintptr_t user);

static int32_t on_read(void* user, uint64_t offset, void* into, size_t size) {
  return monoquantRead((uintptr_t)user, offset, into, size);
}
static int32_t on_write(void* user, uint64_t offset, const void* data, size_t size) {
  return monoquantWrite((uintptr_t)user, offset, (void*)data, size);
}
static int32_t on_commit(void* user, uint64_t size_bytes) { return monoquantCommit((uintptr_t)user, size_bytes); }
static void on_abort(void* user) { monoquantAbort((uintptr_t)user); }
static void on_release(void* user) { monoquantRelease((uintptr_t)user); }

static mnq_status create_reader(uint64_t size_bytes, uintptr_t user, mnq_reader** out, mnq_error** error) {
  return mnq_reader_create(size_bytes, on_read, on_release, (void*)user, out, error);
}
static mnq_status create_writer(uintptr_t user, mnq_writer** out, mnq_error** error) {
  return mnq_writer_create(on_write, on_commit, on_abort, NULL, (void*)user, out, error);
}
*/
import "C"

import (
	"bytes"
	"fmt"
	"io"
	"runtime/cgo"
	"sync"
)

// A Committer is a writer that wants to know when its output is whole, and of what size.
type Committer interface{ Commit(size int64) error }

// An Aborter is a writer that wants to know that what was written is to be forgotten: the job failed or was cancelled.
type Aborter interface{ Abort() }

type readerState struct {
	reader io.ReaderAt
	slot   *slot
}

// OpenReader opens the program's own input, in any format of one file: a member of an archive, an object in a store. It is
// read by several goroutines at once unless the key threads is 1, and used until all models made from it are closed. What
// it fails with is wrapped by the call's error.
func OpenReader(reader io.ReaderAt, size int64, run *Run) (*Model, error) {
	var c call
	defer c.done()
	state := &readerState{reader, new(slot)}
	c.watch(state.slot)
	if size < 0 {
		c.fail(ErrInvalidArg, fmt.Sprintf("an input cannot have %d bytes", size))
	}
	user, settings := cgo.NewHandle(state), run.read(&c)
	var source *C.mnq_reader
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.create_reader(C.uint64_t(size), C.uintptr_t(user), &source, e)
	})
	if err != nil {
		user.Delete()
		return nil, err
	}
	defer C.mnq_reader_free(source) // the model keeps what it needs
	return openModel(&c, state.slot, func(out **C.mnq_model, e **C.mnq_error) C.mnq_status {
		return C.mnq_model_open_reader(source, settings, out, e)
	})
}

// OpenBytes opens what is in memory, which must not change until all models made from it are closed. No more than a piece
// at a time is copied.
func OpenBytes(data []byte, run *Run) (*Model, error) {
	return OpenReader(bytes.NewReader(data), int64(len(data)), run)
}

type writerState struct {
	writer io.WriterAt
	slot   slot
}

// commit tells the writer, or has what is like a file end where the output ends.
func (state *writerState) commit(size int64) error {
	switch writer := state.writer.(type) {
	case Committer:
		return writer.Commit(size)
	case interface{ Truncate(size int64) error }:
		return writer.Truncate(size)
	}
	return nil
}

// lend gives the library a writer until the call is done.
func (c *call) lend(writer io.WriterAt) *C.mnq_writer {
	state := &writerState{writer: writer}
	c.watch(&state.slot)
	user := cgo.NewHandle(state)
	var out *C.mnq_writer
	c.err = c.do(func(e **C.mnq_error) C.mnq_status { return C.create_writer(C.uintptr_t(user), &out, e) })
	c.ends = append(c.ends, func() {
		C.mnq_writer_free(out)
		user.Delete()
	})
	return out
}

// A MemoryWriter is output into memory. The zero value is an empty one.
type MemoryWriter struct {
	mutex sync.Mutex
	bytes []byte
}

// WriteAt takes data for byte offset on.
func (w *MemoryWriter) WriteAt(data []byte, offset int64) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.grow(offset + int64(len(data)))
	return copy(w.bytes[offset:], data), nil
}

// Commit gives it the size that it has in the end: what was never written is 0.
func (w *MemoryWriter) Commit(size int64) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.grow(size)
	w.bytes = w.bytes[:size]
	return nil
}

// Abort forgets what was written.
func (w *MemoryWriter) Abort() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.bytes = nil
}

// Bytes is what was written.
func (w *MemoryWriter) Bytes() []byte {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.bytes
}

func (w *MemoryWriter) grow(size int64) {
	if missing := size - int64(len(w.bytes)); missing > 0 {
		w.bytes = append(w.bytes, make([]byte, missing)...)
	}
}
