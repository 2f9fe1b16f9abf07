// Package heap says how much memory of C is in use, for the tests, which cannot ask C by themselves.
package heap

// #include <malloc.h>
import "C"

// InUse is the bytes that were allocated and not freed.
func InUse() int64 {
	info := C.mallinfo2()
	return int64(info.uordblks + info.hblkhd)
}
