package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

// Version is the version of the library that is loaded, as "1.2.0".
func Version() string { return C.GoString(C.mnq_version()) }

// ABIVersion is the ABI version of the library that is loaded.
func ABIVersion() (major, minor int) {
	version := int(C.mnq_abi_version())
	return version >> 16, version & 0xffff
}

// BuildInfo is how the library was built and what it uses here, as a JSON object.
func BuildInfo() (string, error) {
	var c call
	defer c.done()
	var out *C.mnq_buffer
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_build_info(&out, e) }); err != nil {
		return "", err
	}
	return textOf(out), nil
}

// Capabilities is what can be asked for, as a JSON object of lists: schemes, methods, kinds of layers, layouts, formats.
func Capabilities() (string, error) {
	var c call
	defer c.done()
	var out *C.mnq_buffer
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_list_capabilities(&out, e) }); err != nil {
		return "", err
	}
	return textOf(out), nil
}

// DetectFormat is the format of a file or folder, from its content: "safetensors", "torchscript", "gguf"...
func DetectFormat(path string) (string, error) {
	var c call
	defer c.done()
	native := c.text(path)
	var format *C.char
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_detect_format(native, &format, e) }); err != nil {
		return "", err
	}
	return C.GoString(format), nil
}

// Threads is the number of threads that jobs use where the key threads is not set.
func Threads() int { return int(C.mnq_threads()) }

// SetThreads sets it; 0 for the number of CPUs that this process may use.
func SetThreads(count int) error {
	var c call
	defer c.done()
	if count < 0 {
		c.fail(ErrInvalidArg, "a number of threads is not negative")
	}
	return c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_set_threads(C.uint32_t(count), e) })
}
