package monoquant

// #include <mono_quant/mono_quant.h>
import "C"

import (
	"encoding/json"
	"fmt"
	"unsafe"
)

// A Config has settings, as keys and values: Keys lists them.
type Config struct{ handle *handle }

// A Setting is the value that holds for a key, and who set it: "default", "config", "config layers", "call" or "call
// layers".
type Setting struct{ Value, Source string }

// NewConfig makes a config of keys and values; "layers" is a list of maps with a "name", which is a glob. nil for one in
// which nothing is set.
func NewConfig(settings map[string]any) (*Config, error) {
	if settings == nil {
		settings = map[string]any{}
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, &Error{Code: ErrConfig, Message: err.Error(), cause: err}
	}
	return ParseConfig(string(text))
}

// ParseConfig makes a config of a JSON object.
func ParseConfig(text string) (*Config, error) {
	var c call
	defer c.done()
	native := c.text(text)
	var out *C.mnq_config
	err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_config_create(native, &out, e) })
	if err != nil {
		return nil, err
	}
	free := func(p unsafe.Pointer) { C.mnq_config_free((*C.mnq_config)(p)) }
	return &Config{newHandle(unsafe.Pointer(out), free)}, nil
}

// Close frees the config once no call uses it.
func (config *Config) Close() error {
	config.handle.close()
	return nil
}

// take is nil for no config.
func (config *Config) take(c *call) *C.mnq_config {
	if config == nil {
		return nil
	}
	return (*C.mnq_config)(c.need(config.handle, "config"))
}

// Set sets a key for all layers: to a text, a number or a bool. Not while another goroutine uses the config.
func (config *Config) Set(key string, value any) error {
	var c call
	defer c.done()
	native, k, v := config.take(&c), c.text(key), c.text(fmt.Sprint(value))
	return c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_config_set(native, k, v, e) })
}

// SetForLayers sets a key for the layers whose name, or whose weight's name, matches the glob. The last that matches
// wins.
func (config *Config) SetForLayers(glob, key string, value any) error {
	var c call
	defer c.done()
	native, g, k, v := config.take(&c), c.text(glob), c.text(key), c.text(fmt.Sprint(value))
	return c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_config_set_for_layers(native, g, k, v, e) })
}

// Resolve is the value that holds for a key, for a layer or ("") for none in particular. config and run may be nil.
func Resolve(config *Config, run *Run, layer, key string) (Setting, error) {
	var c call
	defer c.done()
	native, r, l, k := config.take(&c), run.read(&c), c.optional(layer), c.text(key)
	var value *C.mnq_buffer
	var source *C.char
	err := c.do(func(e **C.mnq_error) C.mnq_status {
		return C.mnq_config_resolve(native, r, l, k, &value, &source, e)
	})
	if err != nil {
		return Setting{}, err
	}
	return Setting{textOf(value), C.GoString(source)}, nil
}

// JSON is what was set, as ParseConfig reads it back.
func (config *Config) JSON() (string, error) {
	var c call
	defer c.done()
	native := config.take(&c)
	var out *C.mnq_buffer
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_config_to_json(native, &out, e) }); err != nil {
		return "", err
	}
	return textOf(out), nil
}

// Validate is an error for a combination that cannot be, with what would be right.
func (config *Config) Validate() error {
	var c call
	defer c.done()
	native := config.take(&c)
	return c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_config_validate(native, e) })
}

// Keys is every key as a JSON list of objects: "key", "type", "default", "per_layer", "help", "choices"...
func Keys() (string, error) {
	var c call
	defer c.done()
	var out *C.mnq_buffer
	if err := c.do(func(e **C.mnq_error) C.mnq_status { return C.mnq_config_list_keys(&out, e) }); err != nil {
		return "", err
	}
	return textOf(out), nil
}
