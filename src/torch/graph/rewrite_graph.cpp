#include "torch/graph/rewrite_graph.h"

#include <algorithm>

#include "torch/graph/decode_weight.h"
#include "torch/graph/stock_functions.h"

namespace mnq::libtorch {
namespace {

using jit::Graph;
using jit::Node;
using jit::Use;
using jit::Value;

// Goes through a graph, and finds what has to be rewritten before it changes any of it.
class Rewriter {
 public:
  Rewriter(Graph& graph, const RewriteContext& context) : graph_(graph), context_(context) {}

  void run(const c10::ClassTypePtr& self) {
    if (!graph_.inputs().empty()) graph_.inputs()[0]->setType(self);
    visit(*graph_.block());
    for (Node* call : calls_) redirect(*call);
    for (Node* read : reads_) rewrite_read(*read);
    for (Node* read : list_reads_) rewrite_list(*read);
    if (!reads_.empty() || !list_reads_.empty()) jit::EliminateDeadCode(graph_.block());
  }

 private:
  // Gives module values the types of the clone, and notes what has to be rewritten.
  void visit(jit::Block& block) {
    for (Node* node : block.nodes()) {
      if (node->kind() == c10::prim::GetAttr) visit_read(*node);
      if (!called_stock_function(*node).empty()) calls_.push_back(node);
      for (jit::Block* inner : node->blocks()) visit(*inner);
    }
  }

  void visit_read(Node& node) {
    const auto type = node.input(0)->type()->cast<c10::ClassType>();
    const TypeEdits* edits = type == nullptr ? nullptr : context_.edits_of(*type);
    if (edits == nullptr) return;
    const std::string& attribute = node.s(c10::attr::name);
    if (edits->reads.contains(attribute)) {
      reads_.push_back(&node);
    } else if (std::ranges::find(edits->lists, attribute, &TensorList::attribute) != edits->lists.end()) {
      list_reads_.push_back(&node);
    } else if (const c10::TypePtr found = type->findAttribute(attribute)) {
      node.output()->setType(found);
    }
  }

  const TypeEdits& edits_of(const Node& read) const {
    return *context_.edits_of(*read.input(0)->type()->expect<c10::ClassType>());
  }

  // A stock function of the unit that the original came from becomes the clone's own.
  void redirect(Node& call) {
    const std::string function = called_stock_function(call);
    if (!has_stock_function(context_.unit, function)) return;
    const jit::WithInsertPoint point(&call);
    Value* result = insert_stock_call(graph_, context_.unit, function, call.inputs().slice(1));
    replace_node(call, result);
  }

  void rewrite_read(Node& read) {
    const AttributeEdit edit = edits_of(read).reads.at(read.s(c10::attr::name));
    const WeightRead weight{graph_, context_.unit, read, edit};
    const std::vector<Use> uses = read.output()->uses();
    for (const Use& use : uses) {
      const jit::WithInsertPoint point(use.user);
      edit.change->quantized ? use_codes(weight, use) : use_values(weight, use);
    }
    read.destroy();
  }

  // nn.LSTM reads its weights from a list: the same list is made where it is used.
  void rewrite_list(Node& read) {
    const TypeEdits& edits = edits_of(read);
    const auto list = std::ranges::find(edits.lists, read.s(c10::attr::name), &TensorList::attribute);
    const std::vector<Use> uses = read.output()->uses();
    for (const Use& use : uses) {
      const jit::WithInsertPoint point(use.user);
      std::vector<Value*> members;
      for (const std::string& member : list->members) {
        const auto edit = edits.reads.find(member);
        members.push_back(edit == edits.reads.end() ? graph_.insertGetAttr(read.input(0), member)
                                                    : decode_whole({graph_, context_.unit, read, edit->second}, use));
      }
      Node* made = graph_.insertNode(graph_.createList(c10::TensorType::get(), members));
      use.user->replaceInput(use.offset, made->output());
    }
    read.destroy();
  }

  Graph& graph_;
  const RewriteContext& context_;
  std::vector<Node*> reads_, list_reads_, calls_;
};

}  // namespace

void rewrite_graph(Graph& graph, const c10::ClassTypePtr& self, const RewriteContext& context) {
  Rewriter(graph, context).run(self);
}

}  // namespace mnq::libtorch
