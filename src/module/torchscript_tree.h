// What a TorchScript file holds, read from its pickles and its code without LibTorch: the module objects, their
// classes, and the tensors in them with their names and ties, in the order in which LibTorch has them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/shape.h"
#include "containers/pickle/pickle.h"
#include "containers/torch_save/torch_dtypes.h"
#include "containers/torchscript/torchscript_program.h"

namespace mnq {

/// A function or method of the file's code.
struct ScriptFunction {
  const ScriptCode* code = nullptr;
  const ScriptNode* node = nullptr;  ///< kFunction
};

struct ScriptClass {
  std::string name;  ///< "__torch__.torch.nn.modules.linear.Linear"
  bool is_module = false;
  std::vector<std::string_view> attributes;                   ///< in the order of the class
  std::vector<std::string_view> methods;                      ///< likewise
  std::unordered_map<std::string_view, ScriptFunction> code;  ///< of the methods
  std::unordered_set<std::string_view> hooks;                 ///< methods that run before and after the module
  std::unordered_set<std::string_view> names;                 ///< of attributes, constants and methods
};

/// A tensor as a view of a storage. Two are the same where all of it is the same.
struct ScriptTensor {
  PickleIndex storage = kNoPickleValue;  ///< its persistent id in the pickle: LibTorch makes a storage for each
  std::string_view key;                  ///< of the storage's record
  const TorchDType* type = nullptr;
  std::int64_t storage_count = 0;  ///< elements
  std::int64_t offset = 0;
  Shape sizes, strides;
  bool is_math_view = false;  ///< conjugated or negated when it is read

  std::uint64_t storage_bytes() const { return static_cast<std::uint64_t>(storage_count) * type->item_bytes; }
};

struct ScriptPlace {
  PickleIndex object = kNoPickleValue;
  std::string_view attribute;
  std::string name;  ///< dotted, from the root
};

class ScriptTree {
 public:
  using TensorIndex = std::uint32_t;

  /// A tensor that attributes of objects hold, and all the places where.
  struct Listed {
    TensorIndex tensor = 0;
    std::vector<ScriptPlace> places;
  };
  /// An attribute that holds tensors in a tuple, a list, a dict or an object of a script class.
  struct Container {
    ScriptPlace place;
    std::vector<TensorIndex> tensors;
  };

  /// All of it was checked (check_torchscript), and must outlive this. Errors: kUnsupported for modules that hang at
  /// too many places.
  ScriptTree(const Pickle& data, const Pickle& constants, const ScriptProgram& program);

  PickleIndex root() const { return data_.root_index(); }
  const ScriptTensor& tensor(TensorIndex index) const { return tensors_[index]; }
  std::size_t tensor_count() const { return tensors_.size(); }
  const std::vector<Listed>& listed() const { return listed_; }

  /// Those that are more than the members of nn.LSTM's _flat_weights and the like, which other attributes of theirs
  /// hold.
  const std::vector<Container>& containers() const { return containers_; }

  /// Null for what is no object.
  const ScriptClass* class_of(PickleIndex value) const;
  const std::string& object_name(PickleIndex object) const { return names_.at(object); }

  struct Attribute {
    PickleIndex value = kNoPickleValue;  ///< in the pickle of the objects
    std::optional<TensorIndex> tensor;
    bool is_object = false;
  };
  /// None where the object has no such attribute.
  std::optional<Attribute> attribute(PickleIndex object, std::string_view name) const;

  /// All in a value of any kind.
  std::vector<TensorIndex> tensors_in(PickleIndex value) const;
  bool holds_tensors(PickleIndex value) const { return holds_tensors_[value]; }

  /// Of `CONSTANTS.cN`; none where it is no tensor.
  std::optional<TensorIndex> constant(std::size_t index) const;

 private:
  struct Hash {
    std::size_t operator()(const std::pair<PickleIndex, std::string_view>& key) const {
      return std::hash<std::string_view>()(key.second) * 31 + key.first;
    }
  };

  using Members = std::optional<std::unordered_set<TensorIndex>>;  // of one object, once they are asked for

  void find_holders();
  void walk(PickleIndex object, const std::string& name);
  void count_places(std::size_t count);
  void add_container(PickleIndex value, ScriptPlace place, Members& members);
  bool is_list_of_members(PickleIndex value, PickleIndex object, Members& members) const;
  std::optional<TensorIndex> read_tensor(const Pickle& pickle, PickleIndex value,
                                         std::unordered_map<PickleIndex, TensorIndex>& known);

  const Pickle& data_;
  const Pickle& constants_;
  std::map<std::string, ScriptClass, std::less<>> classes_;
  std::unordered_map<PickleIndex, const ScriptClass*> objects_;
  std::vector<bool> holds_tensors_;  // of each value
  std::vector<ScriptTensor> tensors_;
  std::unordered_map<PickleIndex, TensorIndex> data_tensors_, constant_tensors_;
  std::map<std::tuple<bool, PickleIndex, std::int64_t, Shape, Shape>, TensorIndex> by_view_;
  std::unordered_map<std::pair<PickleIndex, std::string_view>, PickleIndex, Hash> attributes_;
  std::unordered_map<PickleIndex, std::string> names_;
  std::unordered_map<TensorIndex, std::size_t> listed_at_;
  std::vector<Listed> listed_;
  std::vector<Container> containers_;
  std::size_t place_count_ = 0, step_count_ = 0;
};

}  // namespace mnq
