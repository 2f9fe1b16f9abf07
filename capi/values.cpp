// Values: what goes into a method of a module and comes out of it.
#include "base/text/format.h"
#include "base/text/utf8.h"
#include "guard.h"
#include "handles.h"

using namespace mnq;
using namespace mnq::capi;

namespace {

template <class Value>
void add(mnq_values* values, const char* name, Value value) {
  require(values, "values");
  std::string text = text_or_empty(name);
  if (!is_utf8(text)) throw Error(Status::kInvalidArg, "the name of a value is not UTF-8", "", "name");
  values->values.push_back({std::move(text), std::move(value)});
}

const ModuleValue* value_at(const mnq_values* values, size_t index) {
  return index < mnq_values_count(values) ? &values->values[index] : nullptr;
}

const ModuleValue& require_value(const mnq_values* values, size_t index) {
  require(values, "values");
  const ModuleValue* value = value_at(values, index);
  if (value != nullptr) return *value;
  throw Error(Status::kNotFound, formatted("there is no value {}, only {} of them", index, values->values.size()), "",
              "index");
}

[[noreturn]] void fail_kind(const ModuleValue& value, const char* wanted) {
  throw Error(Status::kDType, formatted("the value '{}' is no {}", value.name, wanted), "ask for its kind first",
              value.name);
}

}  // namespace

mnq_status mnq_values_create(mnq_values** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new mnq_values{};
  });
}

mnq_status mnq_values_add_tensor(mnq_values* values, const char* name, const mnq_tensor* tensor,
                                 mnq_error** error) noexcept {
  return guarded(error, [&] { add(values, name, require(tensor, "tensor")->tensor); });
}

mnq_status mnq_values_add_int(mnq_values* values, const char* name, int64_t value, mnq_error** error) noexcept {
  return guarded(error, [&] { add(values, name, value); });
}

mnq_status mnq_values_add_float(mnq_values* values, const char* name, double value, mnq_error** error) noexcept {
  return guarded(error, [&] { add(values, name, value); });
}

mnq_status mnq_values_add_bool(mnq_values* values, const char* name, int32_t value, mnq_error** error) noexcept {
  return guarded(error, [&] { add(values, name, value != 0); });
}

mnq_status mnq_values_add_text(mnq_values* values, const char* name, const char* text, mnq_error** error) noexcept {
  return guarded(error, [&] { add(values, name, std::string(require(text, "text"))); });
}

mnq_status mnq_values_add_none(mnq_values* values, const char* name, mnq_error** error) noexcept {
  return guarded(error, [&] { add(values, name, std::monostate()); });
}

size_t mnq_values_count(const mnq_values* values) noexcept {
  return live(values) == nullptr ? 0 : values->values.size();
}

const char* mnq_values_name(const mnq_values* values, size_t index) noexcept {
  const ModuleValue* value = value_at(values, index);
  return value == nullptr ? nullptr : value->name.c_str();
}

mnq_value_kind mnq_values_kind(const mnq_values* values, size_t index) noexcept {
  const ModuleValue* value = value_at(values, index);
  return value == nullptr ? MNQ_VALUE_NONE : static_cast<mnq_value_kind>(value->value.index());
}

mnq_status mnq_values_get_tensor(const mnq_values* values, size_t index, mnq_tensor** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    const ModuleValue& value = require_value(values, index);
    const auto* tensor = std::get_if<Tensor>(&value.value);
    if (tensor == nullptr) fail_kind(value, "tensor");
    *out = new mnq_tensor{{}, *tensor};
  });
}

mnq_status mnq_values_get_int(const mnq_values* values, size_t index, int64_t* out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    require(out, "value");
    const ModuleValue& value = require_value(values, index);
    if (const auto* integer = std::get_if<std::int64_t>(&value.value)) {
      *out = *integer;
    } else if (const auto* flag = std::get_if<bool>(&value.value)) {
      *out = *flag ? 1 : 0;
    } else {
      fail_kind(value, "whole number");
    }
  });
}

mnq_status mnq_values_get_float(const mnq_values* values, size_t index, double* out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    require(out, "value");
    const ModuleValue& value = require_value(values, index);
    if (const auto* number = std::get_if<double>(&value.value)) {
      *out = *number;
    } else if (const auto* integer = std::get_if<std::int64_t>(&value.value)) {
      *out = static_cast<double>(*integer);
    } else {
      fail_kind(value, "number");
    }
  });
}

const char* mnq_values_get_text(const mnq_values* values, size_t index) noexcept {
  const ModuleValue* value = value_at(values, index);
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(&value->value);
  return text == nullptr ? nullptr : text->c_str();
}

void mnq_values_free(mnq_values* values) noexcept { delete live(values); }
