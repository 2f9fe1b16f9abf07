// Text to Json, by nlohmann's event parser: it checks UTF-8 and does not recurse.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json.h"

namespace mnq {
namespace {

constexpr std::size_t kMaxDepth = 64;  // values are freed and written recursively

class JsonBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  Json take() { return std::move(whole_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const std::string&) override { return put(value); }
  bool string(std::string& value) override { return put(std::move(value)); }
  bool binary(nlohmann::json::binary_t&) override { return false; }  // JSON has none

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool key(std::string& name) override {
    open_.back().name = std::move(name);
    return true;
  }
  bool end_array() override { return close(); }
  bool end_object() override {
    require_different_names(open_.back().value.members());
    return close();
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) override {
    throw Error(Status::kFormat, json_problem(error.what()));
  }

 private:
  struct Open {
    Json value;
    std::string name;  // of the member that comes next
  };

  bool put(Json value) {
    if (open_.empty()) {
      whole_ = std::move(value);
    } else if (Open& parent = open_.back(); parent.value.is_array()) {
      parent.value.push_back(std::move(value));
    } else {
      parent.value.add(std::move(parent.name), std::move(value));
    }
    return true;
  }

  bool open(Json value) {
    if (open_.size() == kMaxDepth) throw Error(Status::kFormat, formatted("it is nested more than {} deep", kMaxDepth));
    open_.push_back({std::move(value), {}});
    return true;
  }

  bool close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return put(std::move(value));
  }

  static void require_different_names(const Json::Object& members) {
    std::vector<std::string_view> names;
    for (const auto& member : members) names.push_back(member.first);
    std::ranges::sort(names);
    const auto twice = std::ranges::adjacent_find(names);
    if (twice != names.end()) throw Error(Status::kFormat, formatted("{} is there twice", *twice));
  }

  Json whole_;
  std::vector<Open> open_;
};

}  // namespace

// "[json.exception.parse_error.101] parse error at line 1, ...; last read: '...'"
std::string json_problem(std::string_view what) {
  what.remove_prefix(what.find("] ") + 2);
  constexpr std::size_t kEnough = 200;  // a number can be long too
  return std::string(what.substr(0, std::min(what.find("; last read: "), kEnough)));
}

Json parse_json(std::string_view text) {
  JsonBuilder builder;
  nlohmann::json::sax_parse(text, &builder);
  return builder.take();
}

}  // namespace mnq
