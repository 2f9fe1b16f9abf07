// The variables of a function whose code is followed, and what its branches change of them; and how far code is
// followed at all.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "module/uses/script_value.h"

namespace mnq {

/// Real modules take some ten thousand steps, and their blocks, expressions and calls nest less than 100 deep; LibTorch
/// gives up at a million operators once calls are inlined. Each level is a call of C++ or two.
class ScriptBudget {
 public:
  /// False once there was too much: what is not seen then is unknown.
  bool step(std::size_t count = 1) {
    steps_ += count;
    if (steps_ > kMostSteps || depth_ > kMostDepth) is_lost_ = true;
    return !is_lost_;
  }
  void give_up() { is_lost_ = true; }
  bool is_lost() const { return is_lost_; }

  class Deeper {
   public:
    explicit Deeper(ScriptBudget& budget) : budget_(budget) { ++budget_.depth_; }
    ~Deeper() { --budget_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    ScriptBudget& budget_;
  };

 private:
  static constexpr std::uint64_t kMostSteps = 2'000'000;
  static constexpr int kMostDepth = 600;

  std::uint64_t steps_ = 0;
  int depth_ = 0;
  bool is_lost_ = false;
};

class ScriptScope {
 public:
  /// What a branch makes of variables: before and after it.
  using Changes = std::map<std::string_view, std::pair<std::optional<ScriptValue>, ScriptValue>>;

  ScriptScope(const ScriptCode& code, ScriptBudget& budget) : code_(code), budget_(budget) {}

  const ScriptCode& code() const { return code_; }

  /// Null where there is none.
  const ScriptValue* find(std::string_view name) const {
    const auto found = variables_.find(name);
    return found == variables_.end() ? nullptr : &found->second;
  }
  void bind(std::string_view parameter, ScriptValue value) { variables_[parameter] = std::move(value); }
  void set(std::string_view name, ScriptValue value) {
    budget_.step(value.weight());
    if (!logs_.empty()) {
      const ScriptValue* old = find(name);
      if (old != nullptr) budget_.step(old->weight());
      logs_.back().emplace_back(name, old == nullptr ? std::nullopt : std::optional(*old));
    }
    variables_[name] = std::move(value);
  }

  /// Functions within the function: null where there is none.
  const ScriptNode* find_function(std::string_view name) const {
    const auto found = functions_.find(name);
    return found == functions_.end() ? nullptr : found->second;
  }
  void define(const ScriptNode& function) { functions_[function.text] = &function; }

  /// Runs what changes variables, and takes the changes back.
  template <class Run>
  Changes changes_of(Run&& run) {
    logs_.emplace_back();
    run();
    auto log = std::move(logs_.back());
    logs_.pop_back();
    Changes changes;
    for (auto& [name, old] : log) changes.try_emplace(name, std::move(old), variables_[name]);
    for (const auto& [name, change] : changes) {
      if (change.first) {
        variables_[name] = *change.first;
      } else {
        variables_.erase(name);
      }
    }
    return changes;
  }

 private:
  const ScriptCode& code_;
  ScriptBudget& budget_;
  std::unordered_map<std::string_view, ScriptValue> variables_;
  std::unordered_map<std::string_view, const ScriptNode*> functions_;
  // One for each branch that is being run, the innermost last: variables and what they were.
  std::vector<std::vector<std::pair<std::string_view, std::optional<ScriptValue>>>> logs_;
};

}  // namespace mnq
