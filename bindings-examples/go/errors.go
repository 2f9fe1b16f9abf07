package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

import (
	"errors"
	"syscall"
)

// A Code is the kind of an Error, for errors.Is. A later library may give one that has no name here yet.
type Code int32

// The codes, as mono_quant.h has them.
const (
	ErrInvalidArg     Code = C.MNQ_E_INVALID_ARG
	ErrConfig         Code = C.MNQ_E_CONFIG
	ErrNotFound       Code = C.MNQ_E_NOT_FOUND
	ErrIO             Code = C.MNQ_E_IO
	ErrFormat         Code = C.MNQ_E_FORMAT
	ErrUnsupported    Code = C.MNQ_E_UNSUPPORTED
	ErrShape          Code = C.MNQ_E_SHAPE
	ErrDType          Code = C.MNQ_E_DTYPE
	ErrCalibration    Code = C.MNQ_E_CALIBRATION
	ErrValidation     Code = C.MNQ_E_VALIDATION
	ErrCancelled      Code = C.MNQ_E_CANCELLED
	ErrBufferTooSmall Code = C.MNQ_E_BUFFER_TOO_SMALL
	ErrState          Code = C.MNQ_E_STATE
	ErrOutOfMemory    Code = C.MNQ_E_OUT_OF_MEMORY
	ErrTorch          Code = C.MNQ_E_TORCH
	ErrABI            Code = C.MNQ_E_ABI
	ErrInternal       Code = C.MNQ_E_INTERNAL
)

// String is "NOT_FOUND", "CONFIG"...
func (c Code) String() string { return C.GoString(C.mnq_status_name(C.mnq_status(c))) }

// Error makes a code an error of its own.
func (c Code) Error() string { return c.String() }

// An Error says what went wrong, and what to do about it.
type Error struct {
	Code       Code
	Message    string
	Suggestion string // what to do about it; may be empty
	Subject    string // the file, tensor, layer or key at fault; may be empty

	cause error // what a reader, a writer or a context said
}

func (e *Error) Error() string { return e.Message }

// Is tells whether target is the code of the error.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Unwrap is what the program's own reader or writer failed with, or the error of the context that stopped the job.
func (e *Error) Unwrap() error { return e.cause }

// errorOf takes over an error of the library.
func errorOf(status C.mnq_status, native *C.mnq_error) *Error {
	defer C.mnq_error_free(native)
	return &Error{
		Code:       Code(status),
		Message:    C.GoString(C.mnq_error_message(native)),
		Suggestion: C.GoString(C.mnq_error_suggestion(native)),
		Subject:    C.GoString(C.mnq_error_subject(native)),
	}
}

// numberOf is what a callback tells the library of an error: any number but 0.
func numberOf(err error) C.int32_t {
	var number syscall.Errno
	if errors.As(err, &number) && number != 0 {
		return C.int32_t(number)
	}
	return 1
}
