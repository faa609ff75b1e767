// The list of observers of a thread, the innermost first.
#include "observer.hpp"

#include <exception>

namespace xtape::detail {

Observer::Observer() : outer_(observer) { observer = this; }
Observer::~Observer() {
  Observer** at = &observer;  // scopes that live on the heap may end in any order
  while (*at && *at != this) at = &(*at)->outer_;
  if (*at) *at = outer_;
}

void Observer::begin(const char*, const Handle*) {}
void Observer::forward(const char*, const Handle&, std::span<const Handle* const>) {}
void Observer::backward(Node&, const Pass&) {}
void Observer::end() {}
void Observer::pass_begins(const Pass&, const Handle&) {}
void Observer::pass_ends(std::span<Node* const>) {}

void begin_observed(const char* op, const Handle* adjoint) {
  for (Observer* o = observer; o; o = o->outer()) try {
      o->begin(op, adjoint);
    } catch (...) {  // there is no Observed that would end the run
      for (Observer* begun = observer; begun != o; begun = begun->outer()) begun->end();
      throw;
    }
}
void observe_forward(const char* op, const Handle& y, std::span<const Handle* const> inputs) {
  for (Observer* o = observer; o; o = o->outer()) o->forward(op, y, inputs);
}
void observe_backward(Node& node, const Pass& pass) {
  for (Observer* o = observer; o; o = o->outer()) o->backward(node, pass);
}
void end_observed() {
  for (Observer* o = observer; o; o = o->outer()) o->end();
}

void observe_pass_begins(const Pass& pass, const Handle& output) {
  for (Observer* o = observer; o; o = o->outer()) o->pass_begins(pass, output);
}
void observe_pass_ends(std::span<Node* const> leaves) {
  std::exception_ptr first;  // the others are to end what they have begun
  for (Observer* o = observer; o; o = o->outer()) try {
      o->pass_ends(leaves);
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  if (first) std::rethrow_exception(first);
}

}  // namespace xtape::detail
