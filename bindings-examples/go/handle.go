package monoquant

// #include <mono_quant/mono_quant.h>
// #include <stdlib.h>
import "C"

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A handle is what the library has of a thing. It is freed when it was closed and no call uses it any more.
type handle struct {
	pointer unsafe.Pointer
	free    func(unsafe.Pointer)
	users   atomic.Int64 // one as long as it is open, and one for each call
	closed  atomic.Bool
}

// newHandle owns what the library made; nil where it made nothing.
func newHandle(pointer unsafe.Pointer, free func(unsafe.Pointer)) *handle {
	if pointer == nil {
		return nil
	}
	h := &handle{pointer: pointer, free: free}
	h.users.Store(1)
	runtime.SetFinalizer(h, (*handle).close)
	return h
}

func (h *handle) hold() bool {
	for {
		users := h.users.Load()
		if users == 0 || h.closed.Load() {
			return false
		}
		if h.users.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

func (h *handle) release() {
	if h.users.Add(-1) == 0 {
		runtime.SetFinalizer(h, nil)
		h.free(h.pointer)
	}
}

func (h *handle) close() {
	if h != nil && h.closed.CompareAndSwap(false, true) {
		h.release()
	}
}

// A slot is where a callback leaves what stopped it, for the call that it was made in.
type slot struct {
	mutex    sync.Mutex
	panicked bool
	value    any
	err      error
}

// guard runs a callback, whose panics must not cross C. It returns 0 where it went well, as C wants it.
func (s *slot) guard(work func() error) (status C.int32_t) {
	finished := false
	defer func() {
		if value := recover(); !finished {
			if value == nil {
				value = "a callback of monoquant must call neither panic(nil) nor runtime.Goexit, as testing's FailNow does"
			}
			s.mutex.Lock()
			defer s.mutex.Unlock()
			if !s.panicked {
				s.panicked, s.value = true, value
			}
			status = 1
		}
	}()
	err := work()
	finished = true
	if err == nil {
		return 0
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.err == nil {
		s.err = err
	}
	return numberOf(err)
}

func (s *slot) takeError() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	err := s.err
	s.err = nil
	return err
}

func (s *slot) takePanic() (value any, panicked bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	value, panicked = s.value, s.panicked
	s.value, s.panicked = nil, false
	return value, panicked
}

// A call is one call of the library: it holds what it uses, keeps its texts, and carries errors and panics of callbacks
// over. Its done is deferred, so that what the library made has an owner before a panic goes on.
type call struct {
	held  []*handle
	texts []unsafe.Pointer
	slots []*slot
	ends  []func()
	err   error
}

// take holds a handle until the call is done. nil is passed on as NULL, which stands for none.
func (c *call) take(h *handle, what string) unsafe.Pointer {
	if h == nil {
		return nil
	}
	if !h.hold() {
		c.fail(ErrInvalidArg, "the "+what+" is closed")
		return nil
	}
	c.held = append(c.held, h)
	return h.pointer
}

// need is take of what must be there.
func (c *call) need(h *handle, what string) unsafe.Pointer {
	if h == nil {
		c.fail(ErrInvalidArg, "the "+what+" is nil")
	}
	return c.take(h, what)
}

func (c *call) fail(code Code, message string) {
	if c.err == nil {
		c.err = &Error{Code: code, Message: message}
	}
}

// text gives a text to C until the call is done.
func (c *call) text(text string) *C.char {
	if strings.IndexByte(text, 0) >= 0 {
		c.fail(ErrInvalidArg, "a text has a zero byte in it")
	}
	native := C.CString(text)
	c.texts = append(c.texts, unsafe.Pointer(native))
	return native
}

// optional is text, or NULL for an empty one.
func (c *call) optional(text string) *C.char {
	if text == "" {
		return nil
	}
	return c.text(text)
}

// watch has the call carry over what callbacks leave in the slot.
func (c *call) watch(s *slot) {
	if s != nil {
		c.slots = append(c.slots, s)
	}
}

// do calls the library, unless something failed before.
func (c *call) do(function func(**C.mnq_error) C.mnq_status) error {
	if c.err != nil {
		return c.err
	}
	var native *C.mnq_error
	status := function(&native)
	var cause error
	for _, slot := range c.slots {
		if err := slot.takeError(); err != nil && cause == nil {
			cause = err
		}
	}
	if status == C.MNQ_OK {
		return nil
	}
	failed := errorOf(status, native)
	failed.cause = cause
	c.err = failed
	return failed
}

// done ends the call, and goes on with what a callback panicked with.
func (c *call) done() {
	for _, end := range c.ends {
		end()
	}
	for _, text := range c.texts {
		C.free(text)
	}
	for _, handle := range c.held {
		handle.release()
	}
	for _, slot := range c.slots {
		if value, panicked := slot.takePanic(); panicked {
			panic(value)
		}
	}
}

// textOf takes over a buffer of text.
func textOf(buffer *C.mnq_buffer) string { return string(bytesOf(buffer)) }

func bytesOf(buffer *C.mnq_buffer) []byte {
	defer C.mnq_buffer_free(buffer)
	return copyOf(unsafe.Pointer(C.mnq_buffer_data(buffer)), int(C.mnq_buffer_size(buffer)))
}

// copyOf copies bytes of any size; C.GoBytes takes an int of C, 32 bits.
func copyOf(data unsafe.Pointer, size int) []byte {
	return append(make([]byte, 0, size), unsafe.Slice((*byte)(data), size)...)
}

// first is the address of the first element, or nil.
func first[T any](values []T) *T {
	if len(values) == 0 {
		return nil
	}
	return &values[0]
}
