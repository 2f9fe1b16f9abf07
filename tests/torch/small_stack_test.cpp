// Modules on threads of hosts that give theirs little stack.
#include <pthread.h>

#include <exception>

#include "module_fixture.h"

namespace mnq::test {
namespace {

void quantize_and_run() {
  const Model module = open_module("recurrent");
  const Model quantized = mono_quant::quantize(module, Config()).model;
  EXPECT_FALSE(outputs_of(quantized.forward(inputs_of("recurrent"))).empty());
}

// The stack holds what is done before LibTorch: 128 KiB are what musl gives.
TEST(SmallStack, AModuleIsOpenedQuantizedAndRun) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 128 * 1024), 0);
  pthread_t thread;
  const auto work = [](void* failure) -> void* {
    try {
      quantize_and_run();
    } catch (...) {
      *static_cast<std::exception_ptr*>(failure) = std::current_exception();
    }
    return nullptr;
  };
  std::exception_ptr failure;
  ASSERT_EQ(pthread_create(&thread, &attributes, work, &failure), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace
}  // namespace mnq::test
