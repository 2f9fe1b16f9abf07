package monoquant_test

import (
	"testing"

	"monoquant"
)

// What a call into the library costs that does next to nothing there.
func BenchmarkABIVersion(b *testing.B) {
	for i := 0; i < b.N; i++ {
		monoquant.ABIVersion()
	}
}

// The same with a handle that is held for the call.
func BenchmarkTensorCount(b *testing.B) {
	model := smallModel(b)
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		model.TensorCount()
	}
}
