#include "module/uses/script_value.h"

#include <algorithm>

#include "base/text/format.h"
#include "base/text/text.h"

namespace mnq {
namespace {

constexpr std::uint32_t kMostItems = 2000;

template <class Element>
void unite_sorted(std::vector<Element>& into, const std::vector<Element>& more) {
  if (more.empty() || into == more) return;
  std::vector<Element> both;
  std::ranges::set_union(into, more, std::back_inserter(both));
  into = std::move(both);
}

void append_key(std::string& key, const ScriptValue& value) {
  for (const ScriptAlias& alias : value.aliases) {
    key += formatted("{}{}{},", alias.is_same ? 's' : 'v', alias.transposed ? 't' : 'n', alias.tensor);
  }
  for (const PickleIndex container : value.containers) key += formatted("c{},", container);
  if (value.object != kNoPickleValue) key += formatted("o{}", value.object);
  if (value.function != nullptr) key += formatted("f{}", reinterpret_cast<std::uintptr_t>(value.function));
  if (value.literal != nullptr) key += formatted("l{}:{}", value.literal->text.size(), value.literal->text);
  if (value.literal != nullptr) key += static_cast<char>('A' + static_cast<int>(value.literal->kind));
  key += value.is_tuple ? 't' : '(';
  if (value.items != nullptr) {
    for (const ScriptValue& item : *value.items) append_key(key, item);
  }
  key += ')';
}

}  // namespace

bool ScriptValue::is_plain() const {
  return aliases.empty() && object == kNoPickleValue && containers.empty() && literal == nullptr &&
         function == nullptr && items == nullptr;
}

bool ScriptValue::operator==(const ScriptValue& other) const {
  const bool same_items = items == other.items || (items && other.items && *items == *other.items);
  return aliases == other.aliases && object == other.object && containers == other.containers &&
         literal == other.literal && function == other.function && is_tuple == other.is_tuple && same_items;
}

std::optional<std::int64_t> ScriptValue::integer() const {
  if (literal == nullptr || literal->kind != ScriptKind::kNumber) return std::nullopt;
  return parse_int(literal->text);
}

std::optional<bool> ScriptValue::flag() const {
  if (literal == nullptr) return std::nullopt;
  if (literal->kind != ScriptKind::kTrue && literal->kind != ScriptKind::kFalse) return std::nullopt;
  return literal->kind == ScriptKind::kTrue;
}

void unite(std::vector<ScriptAlias>& into, const std::vector<ScriptAlias>& more) { unite_sorted(into, more); }

void blur_aliases(ScriptValue& value) {
  for (ScriptAlias& alias : value.aliases) alias.is_same = alias.transposed = false;
  std::ranges::sort(value.aliases);
  value.aliases.erase(std::ranges::unique(value.aliases).begin(), value.aliases.end());
}

void blur_items(ScriptValue& value) {
  if (value.items == nullptr) return;
  auto items = std::make_shared<std::vector<ScriptValue>>(*value.items);
  for (ScriptValue& item : *items) {
    blur_aliases(item);
    blur_items(item);
  }
  value.items = std::move(items);
}

void share(ScriptValue& value, const ScriptValue& with) {
  ScriptValue shared;
  shared.aliases = with.aliases;
  blur_aliases(shared);
  unite(value.aliases, shared.aliases);
  unite_sorted(value.containers, with.containers);
  if (with.items == nullptr) return;
  for (const ScriptValue& item : *with.items) share(value, item);
}

void set_items(ScriptValue& value, std::shared_ptr<const std::vector<ScriptValue>> items) {
  std::uint64_t size = 1;
  for (const ScriptValue& item : *items) size += item.size;
  if (size > kMostItems) {
    for (const ScriptValue& item : *items) share(value, item);
    value.items = nullptr;
    value.size = 1;
    return;
  }
  value.items = std::move(items);
  value.size = static_cast<std::uint32_t>(size);
}

void merge(ScriptValue& into, const ScriptValue& other) {
  unite(into.aliases, other.aliases);
  unite_sorted(into.containers, other.containers);
  if (into.object != other.object) into.object = kNoPickleValue;
  if (into.literal != other.literal) into.literal = nullptr;
  if (into.function != other.function) into.function = nullptr;
  if (into.items == other.items || other.items == nullptr) return;
  if (into.items == nullptr) {
    into.items = other.items;
    into.is_tuple = other.is_tuple;
    into.size = other.size;
    return;
  }
  auto items = std::make_shared<std::vector<ScriptValue>>(*into.items);
  items->resize(std::max(items->size(), other.items->size()));
  for (std::size_t i = 0; i < other.items->size(); ++i) merge((*items)[i], (*other.items)[i]);
  set_items(into, std::move(items));
}

ScriptValue item_of(const ScriptValue& whole, std::optional<std::int64_t> index, std::size_t count) {
  ScriptValue value;
  if (whole.items != nullptr) {
    const auto size = static_cast<std::int64_t>(whole.items->size());
    const bool fits = count == 0 || count == whole.items->size();
    if (index && *index < 0) *index += size;
    if (index && fits && *index >= 0 && *index < size) {
      value = (*whole.items)[static_cast<std::size_t>(*index)];
    } else {
      for (const ScriptValue& item : *whole.items) merge(value, item);
      value.object = kNoPickleValue;
    }
    if (!whole.is_tuple) blur_aliases(value);
  }
  unite_sorted(value.containers, whole.containers);
  ScriptValue shared = whole;  // what an operator's several outputs share memory with
  blur_aliases(shared);
  unite(value.aliases, shared.aliases);
  return value;
}

std::string key_of_call(const ScriptFunction& function, const ScriptArguments& arguments) {
  std::string key = formatted("{} ", reinterpret_cast<std::uintptr_t>(function.node));
  for (const ScriptValue& value : arguments.positional) append_key(key, value);
  for (const auto& [name, value] : arguments.keywords) {
    key += name;
    append_key(key, value);
  }
  return key;
}

}  // namespace mnq
