// Handles that were freed, or are of another kind: told in most cases. A test that uses freed memory cannot run under
// sanitizers, which tell it first; there handles are only mistaken for each other.
#include <gtest/gtest.h>

#include "fixture.h"

namespace mnq::test {
namespace {

template <class To, class From>
To* mistaken(From* handle) {
  return reinterpret_cast<To*>(handle);
}

TEST(Handles, OfAnotherKindAreRefused) {
  const Config config;
  const mono_quant::Run run;
  const Model model = one_weight({2, 2}, {1, 2, 3, 4});
  mnq_error* error = nullptr;
  mnq_model* out = nullptr;
  EXPECT_EQ(mnq_model_clone(mistaken<const mnq_model>(config.get()), &out, &error), MNQ_E_INVALID_ARG);
  EXPECT_STREQ(mnq_error_subject(error), "model");
  mnq_error_free(error);
  mnq_report* report = nullptr;
  EXPECT_EQ(mnq_plan(model.get(), mistaken<const mnq_config>(run.get()), nullptr, &report, nullptr), MNQ_E_INVALID_ARG);
  EXPECT_EQ(mnq_plan(model.get(), nullptr, mistaken<const mnq_run>(config.get()), &report, nullptr), MNQ_E_INVALID_ARG);
  EXPECT_EQ(mnq_model_tensor_count(mistaken<const mnq_model>(config.get())), 0u);
  EXPECT_EQ(mnq_tensor_data(mistaken<const mnq_tensor>(model.get())), nullptr);
  EXPECT_STREQ(mnq_error_message(mistaken<const mnq_error>(model.get())), "");
  EXPECT_STREQ(mnq_report_json(mistaken<const mnq_report>(model.get())), "");
  mnq_config_free(mistaken<mnq_config>(const_cast<mnq_model*>(model.get())));  // does nothing
  EXPECT_EQ(mnq_model_tensor_count(model.get()), 1u);
}

#ifndef MNQ_TEST_SANITIZED
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuse-after-free"
TEST(Handles, ThatWereFreedAreRefused) {
  mnq_model* model = one_weight({2, 2}, {1, 2, 3, 4}).release();
  mnq_model_free(model);
  mnq_model* out = nullptr;
  EXPECT_EQ(mnq_model_clone(model, &out, nullptr), MNQ_E_INVALID_ARG);
  EXPECT_EQ(mnq_model_tensor_count(model), 0u);
  mnq_model_free(model);  // does nothing
  mnq_config* config = Config().release();
  mnq_config_free(config);
  EXPECT_EQ(mnq_config_set(config, "bits", "4", nullptr), MNQ_E_INVALID_ARG);
  mnq_config_free(config);
}
#pragma GCC diagnostic pop
#endif

}  // namespace
}  // namespace mnq::test
