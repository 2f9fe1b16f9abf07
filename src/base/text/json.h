// A JSON value. Not nlohmann's, whose destructor allocates: where memory is short, freeing a report would end the
// host's process. Here nothing but building and writing needs memory. nlohmann's parser, which is sound, does the
// reading.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace mnq {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  ///< in the order in which its members came

  Json() = default;  ///< null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(double value) : value_(value) {}
  template <std::integral Number>
  requires(!std::same_as<Number, bool> && !std::same_as<Number, char>) Json(Number value)
      : value_(from_integer(value)) {}
  Json(const char* text) : value_(std::string(text)) {}
  Json(std::string_view text) : value_(std::string(text)) {}
  Json(std::string text) : value_(std::move(text)) {}
  template <class Value>
  Json(const std::vector<Value>& values) : value_(Array(values.begin(), values.end())) {}
  template <class Numbers>
  requires(std::same_as<typename Numbers::value_type, std::int64_t> &&
           !std::same_as<Numbers, std::vector<std::int64_t>>) Json(const Numbers& numbers)
      : value_(Array(numbers.begin(), numbers.end())) {}
  Json(std::initializer_list<std::pair<std::string_view, Json>> members);

  // Not inline: GCC 12 warns of what it sees in them.
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();

  static Json array() { return Json(Value(Array())); }
  static Json object() { return Json(Value(Object())); }

  bool is_null() const { return holds<std::nullptr_t>(); }
  bool is_boolean() const { return holds<bool>(); }
  bool is_integer() const { return holds<std::int64_t>(); }
  bool is_number() const { return is_integer() || holds<double>(); }
  bool is_string() const { return holds<std::string>(); }
  bool is_array() const { return holds<Array>(); }
  bool is_object() const { return holds<Object>(); }

  /// The value as bool, std::string, a vector, or a number that can hold it. Throws kFormat where it is no such thing.
  template <class Type>
  Type get() const;
  const std::string& text() const { return as<std::string>("a text"); }
  const Array& elements() const { return as<Array>("a list"); }
  const Object& members() const { return as<Object>("an object"); }

  /// The elements of a list.
  auto begin() const { return elements().begin(); }
  auto end() const { return elements().end(); }

  /// Of lists and objects; throws kFormat for what is neither.
  std::size_t size() const { return is_array() ? elements().size() : members().size(); }
  bool empty() const { return size() == 0; }

  /// A member; null where there is none.
  const Json* find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  const Json& operator[](std::string_view name) const;  ///< throws kFormat where there is none
  Json& operator[](std::string_view name);              ///< added where there is none; null becomes an object

  /// Adds a member, whose name must be new: nothing is looked up, so that objects of many members are no slower.
  Json& add(std::string name, Json value);

  const Json& operator[](std::size_t index) const { return elements()[index]; }
  Json& operator[](std::size_t index) { return std::get<Array>(value_)[index]; }
  Json& push_back(Json value);  ///< null becomes a list; returns the new element

  /// On one line, as UTF-8: what is none is replaced. Numbers have their shortest form; those not finite are null.
  std::string dump() const;

  /// The same with a line for each element and member, for files that people read.
  std::string dump_lines() const;

  friend bool operator==(const Json& a, const Json& b);
  friend std::ostream& operator<<(std::ostream& stream, const Json& json) { return stream << json.dump(); }

 private:
  using Value = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object>;

  explicit Json(Value value) : value_(std::move(value)) {}
  template <class Number>
  static Value from_integer(Number value) {
    if (std::in_range<std::int64_t>(value)) return static_cast<std::int64_t>(value);
    return static_cast<double>(value);
  }
  template <class Type>
  bool holds() const {
    return std::holds_alternative<Type>(value_);
  }
  template <class Type>
  const Type& as(const char* what) const {
    if (!holds<Type>()) fail_type(what);
    return std::get<Type>(value_);
  }
  [[noreturn]] void fail_type(const char* wanted) const;
  double number() const;
  std::int64_t integer_between(std::int64_t least, std::uint64_t most) const;
  void write(std::string& text, int indent) const;

  Value value_ = nullptr;
};

/// What nlohmann's parser says of text that is no JSON, without the text itself: that may be long and no UTF-8.
std::string json_problem(std::string_view what);

/// Throws kFormat, with the position, for what is no JSON, names a member twice or is nested more than 64 deep.
Json parse_json(std::string_view text);

template <class Type>
Type Json::get() const {
  if constexpr (std::same_as<Type, bool>) {
    return as<bool>("true or false");
  } else if constexpr (std::same_as<Type, std::string>) {
    return text();
  } else if constexpr (std::floating_point<Type>) {
    return static_cast<Type>(number());
  } else if constexpr (std::integral<Type>) {
    return static_cast<Type>(integer_between(std::numeric_limits<Type>::min(), std::numeric_limits<Type>::max()));
  } else {
    Type values;
    for (const Json& element : elements()) values.push_back(element.get<typename Type::value_type>());
    return values;
  }
}

}  // namespace mnq
