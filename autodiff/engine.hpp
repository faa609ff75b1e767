// What a library of layers needs of the engine beyond its operations: nn uses nothing else of it. Losses and
// updates as one pass over their numbers, a look at what is recorded and run, and texts for messages.
#pragma once
#include <string>
#include <type_traits>

#include "base/text.hpp"
#include "checkpoint.hpp"
#include "detect_anomaly.hpp"
#include "indices.hpp"
#include "kernels/optimizer_steps.hpp"
#include "random.hpp"
#include "tape/leaf_observer.hpp"
#include "tensor.hpp"
#include "threads.hpp"

/// For libraries of layers; models and their training have no use for it.
namespace xtape::engine {

/// A number as a message shows it, the same in every locale: "2", "0.5", "1e-08".
inline std::string number_text(double number) { return detail::number_text(number); }
/// The shortest text that is read as exactly this number.
inline std::string exact_text(double number) { return detail::exact_text(number); }
/// Reads a number from the text between `at` and `end`, the same in every locale, as std::from_chars does,
/// which not every standard library has for double. `at` is then behind it, or stays where there is none. One
/// that rounds to ∞, or to 0 without being 0, is out of range, and leaves x as it is.
using detail::read_number;
using detail::ReadNumber;
/// The state of a generator of random numbers as a text, and from one: standard libraries write it in
/// different ways, and read each other's as another state. read_generator() is false where it is none.
using detail::generator_text;
using detail::read_generator;
/// The number of elements, 1 for rank 0. Error, naming `op`, when it is more than memory can have.
inline std::size_t element_count(const Shape& shape, const char* op) {
  return detail::element_count(shape, op);
}

/// call<T>(op, f, x) is f of the tensors x, which it takes as a list or one by one, at most eight. Error,
/// naming `op`, when it takes another number of them.
using detail::call;

/// A loss of each element a and its target b.
enum class ElementwiseLoss {
  squared_difference,               ///< (a − b)²
  binary_cross_entropy,             ///< −b ln a − (1 − b) ln(1 − a)
  binary_cross_entropy_with_logits  ///< the same of sigmoid(a)
};
/// The losses of all elements as one node, of the shape that a and b broadcast to.
template <class T>
Tensor<T> losses(ElementwiseLoss loss, const Tensor<T>& a, const Tensor<T>& b);
/// Σ losses / divisor as one node, for a and b of one shape.
template <class T>
Tensor<T> loss_sum(ElementwiseLoss loss, const Tensor<T>& a, const Tensor<T>& b,
                   std::type_identity_t<T> divisor);
/// ln Σ exp(z) − z[label] for each row, the last axis, of z (…, C), as one node of shape (…); dz = g
/// (softmax(z) − onehot(label)). Error unless the labels are (…), from 0 to C − 1.
template <class T>
Tensor<T> softmax_cross_entropy(const Tensor<T>& logits, const Indices& labels);
/// The labels, with 0 for those that are `ignored`.
Indices kept_labels(const Indices& labels, std::ptrdiff_t ignored);
/// 0 for the labels that are `ignored`, 1 for the others. Error where all are and one is needed.
template <class T>
Tensor<T> kept_mask(const Indices& labels, std::ptrdiff_t ignored, bool needs_one);

/// take(x, indices, 0), where negative indices are errors, which name `op`.
template <class T>
Tensor<T> take_rows(const char* op, const Tensor<T>& x, const Indices& indices);
/// The numbers of x as Indices. Error, naming `op`, for one that is not whole.
template <class T>
Indices whole_numbers(const char* op, const Tensor<T>& x);
/// Whether an element is this number; in a trace, whether it may be.
template <class T>
bool contains(const Tensor<T>& x, std::type_identity_t<T> number);
/// Says that a module has changed between training and evaluation mode, so that functions are traced anew.
void note_mode_change();

/// A step of gradient descent for w (n) with the gradient g; the velocity (n) is null without momentum.
template <class T>
void sgd_update(T* w, T* velocity, const T* g, std::size_t n, const SgdStep<T>& step);
/// A step of Adam, with the running means of g and g².
template <class T>
void adam_update(T* w, T* mean, T* square, const T* g, std::size_t n, const AdamStep<T>& step);
/// A step of RMSprop, with the running mean of g²; that of g is null where nothing is centered, the velocity
/// without momentum.
template <class T>
void rmsprop_update(T* w, T* square, T* mean, T* velocity, const T* g, std::size_t n,
                    const RmspropStep<T>& step);
/// A step of Adagrad, with the sum of g².
template <class T>
void adagrad_update(T* w, T* square, const T* g, std::size_t n, const AdagradStep<T>& step);
/// x *= factor for n numbers.
template <class T>
void scale(T* x, std::size_t n, std::type_identity_t<T> factor);
/// parallel_for(count, f) calls f(i) for each i < count, on several threads. f must not throw, record or
/// allocate, and what it computes must not depend on who calls it: split by sizes.
using detail::parallel_for;
/// Σx² of n numbers.
template <class T>
T sum_of_squares(const T* x, std::size_t n);

/// A leaf, or an operation on the tape: its `name`, its `inputs()`, null for constants, whether it
/// `is_leaf()`, its `shape()`, and whether it is `opaque`: as a checkpoint is, which may use leaves that are
/// no inputs.
using Node = detail::Node;
/// What a Tensor holds, Tensor::handle(): the `node`, null for a constant, and the `value`, whose `item_size`
/// is sizeof(T). Tensor<T>(handle) is the tensor.
using Handle = detail::Handle;
/// A backward pass that is running.
using Pass = detail::Pass;
/// Whether a pass has reached leaves, and will add to their gradients; that of grad() does not.
bool reaches_leaves(const Pass& pass);
/// Sees the operations of this thread while it lives, and tests them as DetectAnomaly does: a class derives
/// from it and overrides forward(), backward() and found().
using AnomalyObserver = detail::AnomalyObserver;
/// Sees when gradients of leaves are complete in backward(), and may change them before they are added: a
/// class derives from it and overrides begin_pass(), complete() and end_pass().
using LeafObserver = detail::LeafObserver;
/// While it lives under NoGrad, its `values` are the inputs that require a gradient, of all operations that
/// run.
using SkippedInputs = detail::SkippedInputs;
/// The multiplications with an addition that matrix products have taken on this thread since its start.
std::size_t multiply_adds();
/// Whether a leaf's gradient is recorded, or somebody else's too: it must not be written in place then.
template <class T>
bool shares_gradient(const Tensor<T>& leaf);

}  // namespace xtape::engine
