// Sees operations as they are recorded. Not for users' programs.
#pragma once
#include <span>
#include <utility>
#include <vector>

#include "node.hpp"

namespace xtape::detail {

class Observer {
 public:
  virtual ~Observer() = default;
  /// `output` is the new node with its value; null nodes among the inputs are constants.
  virtual void recorded(std::span<const Handle* const> inputs, const Handle& output) = 0;
};

/// Of this thread. Without one a record pays for a test of this pointer.
XTAPE_THREAD_LOCAL Observer* observer = nullptr;

template <class Inputs>
void observe(const Inputs& inputs, const Handle& output) {
  std::vector<const Handle*> list;
  for (const Handle* input : inputs) list.push_back(input);
  observer->recorded(list, output);
}

/// Sets the observer for a scope.
class ObserverScope {
 public:
  explicit ObserverScope(Observer* now) : before_(std::exchange(observer, now)) {}
  ~ObserverScope() { observer = before_; }
  ObserverScope(const ObserverScope&) = delete;
  ObserverScope& operator=(const ObserverScope&) = delete;

 private:
  Observer* before_;
};

}  // namespace xtape::detail
