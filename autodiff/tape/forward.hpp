// Forward mode: tangents are carried along while the operations run.
#pragma once
#include <span>
#include <unordered_map>

#include "observer.hpp"

namespace xtape::detail {

/// While it lives, each operation that this thread records carries the tangents of its inputs on to its
/// result. They go by nodes, so they end where the adjoints of the reverse mode do: at detach(), in NoGrad,
/// at an operation without a rule. Passes nest: what an inner one computes has tangents of the outer ones.
class ForwardPass : public Observer {
 public:
  explicit ForwardPass(bool creates_graph);
  ~ForwardPass() override;

  /// Whether tangents are recorded, so that they can be differentiated.
  bool creates_graph() const { return creates_graph_; }
  /// Begins with the tangent v of x, which is recorded.
  void begin_with(const Handle& x, Handle v);
  /// The tangent of a node; null where it does not depend on what the pass began with.
  const Handle* find(const Node* node) const;
  void forward(const char* op, const Handle& y, std::span<const Handle* const> inputs) override;

  /// While it lives, `pass` and those around it carry tangents, and no others.
  class Watch {
   public:
    explicit Watch(ForwardPass* pass);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    ForwardPass* before_;
  };

 private:
  using Inputs = std::span<const Handle* const>;
  struct Entry {
    NodeRef node;  ///< held, so that no other gets its address
    Handle tangent;
  };

  static void carry_in(ForwardPass* pass, const Handle& y, Inputs inputs);
  void carry(const Handle& y, Inputs inputs);

  bool creates_graph_;
  ForwardPass* enclosing_;  ///< the next one that carries what this one sees
  ForwardPass* before_;     ///< the innermost one before this
  std::unordered_map<const Node*, Entry> tangents_;
};

}  // namespace xtape::detail
