// Every operation at the ends of both types against a table of what the mathematics says.
#include <functional>
#include <set>

#include <autodiff/kernels/rule_traits.hpp>
#include <nn/nn.hpp>

#include "extremes_table.hpp"
#include "op_table.hpp"

using namespace xtape;
using namespace xtape::test;
namespace ops = xtape::detail::ops;

namespace {

template <class T>
std::string text_of(const std::vector<T>& x) {
  std::ostringstream out;
  out.precision(std::numeric_limits<T>::max_digits10);
  for (const T y : x) out << y << ' ';
  return out.str();
}

enum class Part { value, fused, recorded };

/// Whether x is what the table says. A column's sum has another order, in which less may leave the range:
/// there what the mathematics says is right as well.
template <class T>
void compare(const Row& row, Part part, const std::string& path, const std::vector<T>& x,
             bool column = false) {
  const bool value = part == Part::value;
  const Words& exact = value ? row.value : row.derivatives;
  const Words& other = value ? row.other_value : part == Part::fused ? row.other_fused : row.other_recorded;
  const bool differs = !other.empty() && !(value && row.only_columns && !column);
  const bool same =
      are(x, differs ? other : exact, row.ulps(), value) || (column && are(x, exact, row.ulps(), value));
  static const char* const names[] = {"value", "derivatives", "recorded derivatives"};
  const std::string got =
      names[static_cast<int>(part)] + (" " + path) + ", " + type_name<T> + ": " + text_of(x);
  CHECK_MESSAGE(same, row.text << "\n  " << got);
}

template <class T>
using Inputs = std::vector<Tensor<T>>;
template <class T>
using Function = std::function<Tensor<T>(const Inputs<T>&, const std::array<T, 2>&)>;

template <class T>
std::vector<T> elements(const Tensor<T>& x) {
  return {x.data(), x.data() + x.size()};
}

template <class T>
Inputs<T> gradients(const Tensor<T>& y, const Inputs<T>& leaves, const Tensor<T>& seed, bool recorded) {
  if (y.requires_grad())
    return grad(y, leaves, {.seed = seed, .retain_tape = true, .create_graph = recorded});
  Inputs<T> all;
  for (const Tensor<T>& leaf : leaves) all.push_back(zeros<T>(leaf.shape()));
  return all;
}

/// The name of an operation, with a bracket where numbers in parentheses go with it; the numbers.
template <class T>
std::pair<std::string, std::array<T, 2>> called(const std::string& op) {
  const std::size_t open = op.find('(');
  if (open == std::string::npos) return {op, {}};
  std::istringstream in(op.substr(open + 1));
  std::array<T, 2> n{};
  in >> n[0] >> n[1];
  return {op.substr(0, open + 1), n};
}

template <class Rule>
std::string name_of() {
  using T = typename detail::ElementOf<Rule>::type;
  return Rule::name + std::string(std::is_base_of_v<ops::Parameters<T>, Rule> ? "(" : "");
}

/// The elementwise operations, each as a call and as a map.
template <class T>
struct Elementwise {
  Function<T> call, map;
};
template <class T>
std::map<std::string, Elementwise<T>> elementwise_operations() {
  std::map<std::string, Elementwise<T>> all;
  using X = const Inputs<T>&;
  using N = const std::array<T, 2>&;
#define XTAPE_UNARY(Op)                                                                                     \
  all[name_of<ops::Op<T>>()] = {                                                                            \
      [](X x, N n) { return detail::elementwise(detail::OpNumber::Op, x[0], n[0], n[1]); },                 \
      [](X x, N n) {                                                                                        \
        return map([n](auto a) { return detail::elementwise(detail::OpNumber::Op, a, n[0], n[1]); }, x[0]); \
      }};
#define XTAPE_BINARY(Op)                                                                                 \
  all[name_of<ops::Op<T>>()] = {                                                                         \
      [](X x, N) { return detail::elementwise(detail::OpNumber::Op, x[0], x[1]); },                      \
      [](X x, N) {                                                                                       \
        return map([](auto a, auto b) { return detail::elementwise(detail::OpNumber::Op, a, b); }, x[0], \
                   x[1]);                                                                                \
      }};
#define XTAPE_TERNARY(Op)                                                                                    \
  all[name_of<ops::Op<T>>()] = {                                                                             \
      [](X x, N) { return detail::elementwise(detail::OpNumber::Op, x[0], x[1], x[2]); },                    \
      [](X x, N) {                                                                                           \
        return map(                                                                                          \
            [](auto a, auto b, auto c) { return detail::elementwise(detail::OpNumber::Op, a, b, c); }, x[0], \
            x[1], x[2]);                                                                                     \
      }};
#include <autodiff/kernels/elementwise_list.inc>
  return all;
}

/// The rows of an operation in one vector, longer than a batch, whose ends are not whole batches.
template <class T>
void check_elementwise(const Function<T>& f, const std::array<T, 2>& n, const std::vector<const Row*>& rows,
                       const std::string& how) {
  const std::size_t count = rows.size(), operands = rows.front()->inputs.size();
  Inputs<T> leaves;
  for (std::size_t k = 0; k < operands; ++k) {
    Tensor<T> x = Tensor<T>::uninitialized({count});
    for (std::size_t i = 0; i < count; ++i) x.mutable_data()[i] = number<T>(rows[i]->inputs[k]);
    leaves.push_back(parameter(x));
  }
  const Tensor<T> y = f(leaves, n), seed = ones<T>(y.shape());
  const Inputs<T> fused = gradients(y, leaves, seed, false), recorded = gradients(y, leaves, seed, true);
  for (std::size_t i = 0; i < count; ++i) {
    compare(*rows[i], Part::value, how, std::vector<T>{y.data()[i]});
    std::vector<T> d[2];
    for (std::size_t k = 0; k < operands; ++k) {
      d[0].push_back(fused[k].data()[i]);
      d[1].push_back(recorded[k].data()[i]);
    }
    compare(*rows[i], Part::fused, how, d[0]);
    compare(*rows[i], Part::recorded, how, d[1]);
  }
}

template <class T>
void check_elementwise() {
  const auto operations = elementwise_operations<T>();
  std::map<std::string, std::vector<const Row*>> groups;
  for (const Row& row : table())
    if (has_type<T>(row)) groups[row.op].push_back(&row);
  std::set<std::string> seen;
  for (const auto& [op, rows] : groups) {
    const auto [name, n] = called<T>(op);
    const auto found = operations.find(name);
    if (found == operations.end()) continue;
    seen.insert(name);
    CHECK(rows.size() + left_out > 16);
    auto many = rows;  // more than a batch has, also where some are left out
    while (many.size() <= 16) many.push_back(rows[many.size() - rows.size()]);
    check_elementwise<T>(found->second.call, n, many, "in a vector");
    check_elementwise<T>(found->second.map, n, many, "in a map");
    for (const Row* row : rows) check_elementwise<T>(found->second.call, n, {row}, "alone");
  }
  for (const auto& entry : operations)
    CHECK_MESSAGE(
        seen.contains(entry.first),
        entry.first << " has no row: ./dev reference, and where mpmath has no such function, a line in "
                       "tests/reference/extremes_elementwise.py");
}

/// The other operations of op_table.cpp, and cross_entropy.
template <class T>
std::map<std::string, Function<T>> list_operations() {
  using X = const Inputs<T>&;
  using N = const std::array<T, 2>&;
  std::map<std::string, Function<T>> all;
#define XTAPE_CALL(name, ...) all[#name] = [](X x, N) { return xtape::name(x[0] __VA_OPT__(, ) __VA_ARGS__); }
  XTAPE_CALL(sum);
  XTAPE_CALL(mean);
  XTAPE_CALL(prod);
  XTAPE_CALL(max);
  XTAPE_CALL(min);
  XTAPE_CALL(var);
  all["std"] = [](X x, N) { return xtape::std(x[0]); };
  XTAPE_CALL(norm);
  XTAPE_CALL(squared_norm);
  XTAPE_CALL(logsumexp);
  XTAPE_CALL(softmax);
  XTAPE_CALL(log_softmax);
  XTAPE_CALL(cumsum);
  XTAPE_CALL(cumprod);
  XTAPE_CALL(any);
  XTAPE_CALL(all);
  all["cross_entropy"] = [](X x, N) { return nn::cross_entropy(x[0], {0}); };
  XTAPE_CALL(matmul, x[1]);
  XTAPE_CALL(dot, x[1]);
  XTAPE_CALL(outer, x[1]);
  XTAPE_CALL(linear, x[1], x[2]);
  XTAPE_CALL(layer_norm, x[1], x[2]);
  XTAPE_CALL(attention, x[1], x[2]);
  XTAPE_CALL(rotary_embedding);
  XTAPE_CALL(batch_norm, x[1], x[2]);
  XTAPE_CALL(max_pool2d, 2);
  all["max_pool2d("] = [](X x, N n) { return max_pool2d(x[0], 2, 2, static_cast<int>(n[0])); };
  XTAPE_CALL(avg_pool2d, 2);
  XTAPE_CALL(conv2d, x[1]);
  XTAPE_CALL(unfold, 2);
  XTAPE_CALL(fold, 2, 2);
  XTAPE_CALL(reshape, {2, 2});
  XTAPE_CALL(flatten);
  XTAPE_CALL(squeeze);
  XTAPE_CALL(unsqueeze, 0);
  XTAPE_CALL(transpose);
  XTAPE_CALL(broadcast_to, {2, 4});
  XTAPE_CALL(slice, xt::range(1, 4));
  XTAPE_CALL(flip);
  all["split"] = [](X x, N) { return split(x[0], 2, 0)[0]; };
  all["unbind"] = [](X x, N) { return unbind(x[0])[0]; };
  XTAPE_CALL(tril);
  XTAPE_CALL(triu);
  XTAPE_CALL(diag);
  XTAPE_CALL(trace);
  XTAPE_CALL(take, {3, 1, 1});
  XTAPE_CALL(gather, xt::xarray<int>{3, 1, 1}, 0);
  all["concatenate"] = [](X x, N) { return concatenate({x[0], x[1]}, 0); };
  all["stack"] = [](X x, N) { return stack({x[0], x[1]}, 0); };
  all["scatter_add"] = [](X x, N) { return scatter_add(x[0], xt::xarray<int>{0, 1, 1}, x[1], 0); };
  XTAPE_CALL(sort);
  XTAPE_CALL(cummax, 0);
  XTAPE_CALL(cummin, 0);
  all["argsort"] = [](X x, N) { return gather(x[0], argsort(x[0], 0, true), 0); };
  all["topk"] = [](X x, N) { return topk(x[0], 2).values; };
  all["argmax"] = [](X x, N) { return take(x[0], argmax(x[0])); };
  all["argmin"] = [](X x, N) { return take(x[0], argmin(x[0])); };
  const auto triangle = [](X x, const MatrixIndices& at) {
    std::vector<std::ptrdiff_t> places;
    for (std::size_t i = 0; i < at.rows.size(); ++i) places.push_back(at.rows[i] * 2 + at.columns[i]);
    return take(x[0], places);
  };
  all["tril_indices"] = [triangle](X x, N) { return triangle(x, tril_indices(2)); };
  all["triu_indices"] = [triangle](X x, N) { return triangle(x, triu_indices(2)); };
  all["one_hot"] = [](X x, N) { return where(one_hot<T>(3, 4), x[0], 0); };
  XTAPE_CALL(clip, -1, 1);
  XTAPE_CALL(isnan);
  XTAPE_CALL(isfinite);
  XTAPE_CALL(logical_not);
  XTAPE_CALL(logical_and, x[0]);
  XTAPE_CALL(logical_or, x[0]);
  XTAPE_CALL(masked_fill, isnan(x[0]), 7);
  XTAPE_CALL(pad, 1);
  XTAPE_CALL(repeat, 2);
  XTAPE_CALL(tile, 2);
  XTAPE_CALL(roll, 1);
  XTAPE_CALL(expand_dims, 0);
  XTAPE_CALL(swapaxes, 0, 1);
  XTAPE_CALL(moveaxis, 0, 1);
  all["vstack"] = [](X x, N) { return vstack({x[0], x[1]}); };
  all["hstack"] = [](X x, N) { return hstack({x[0], x[1]}); };
  all["meshgrid"] = [](X x, N) { return meshgrid({x[0], x[1]})[0]; };
#undef XTAPE_CALL
  return all;
}

/// Along the first axis, where the kernels take whole batches of lines.
template <class T>
std::map<std::string, Function<T>> column_operations() {
  std::map<std::string, Function<T>> all;
  using X = const Inputs<T>&;
  using N = const std::array<T, 2>&;
#define XTAPE_COLUMNS(name) all[#name] = [](X x, N) { return xtape::name(x[0], 0); }
  XTAPE_COLUMNS(sum);
  XTAPE_COLUMNS(mean);
  XTAPE_COLUMNS(prod);
  XTAPE_COLUMNS(max);
  XTAPE_COLUMNS(min);
  XTAPE_COLUMNS(var);
  XTAPE_COLUMNS(std);
  XTAPE_COLUMNS(norm);
  XTAPE_COLUMNS(squared_norm);
  XTAPE_COLUMNS(logsumexp);
  XTAPE_COLUMNS(softmax);
  XTAPE_COLUMNS(log_softmax);
  XTAPE_COLUMNS(cumsum);
  XTAPE_COLUMNS(cumprod);
  XTAPE_COLUMNS(any);
  XTAPE_COLUMNS(all);
#undef XTAPE_COLUMNS
  return all;
}

/// One row: its value, and the derivatives of the first element.
template <class T>
void check_list(const Function<T>& f, const std::array<T, 2>& n, const Row& row) {
  Inputs<T> leaves;
  for (const std::string& text : row.inputs) leaves.push_back(parameter(tensor<T>(text)));
  const Tensor<T> y = f(leaves, n);
  compare(row, Part::value, "of a list", elements(y));
  Tensor<T> seed = zeros<T>(y.shape());
  seed.mutable_data()[0] = 1;
  for (const bool recorded : {false, true}) {
    std::vector<T> d;
    for (const Tensor<T>& g : gradients(y, leaves, seed, recorded))
      d.insert(d.end(), g.data(), g.data() + g.size());
    compare(row, recorded ? Part::recorded : Part::fused, "of a list", d);
  }
}

/// The same list in each of so many columns that there is a whole batch of them, and a part of one.
template <class T>
void check_columns(const Function<T>& f, const Row& row) {
  constexpr std::size_t columns = 19;
  const Tensor<T> x = tensor<T>(row.inputs[0]);
  const Inputs<T> leaves{parameter(broadcast_to(unsqueeze(x, 1), {x.size(), columns}).detach())};
  const Tensor<T> y = f(leaves, {});
  Tensor<T> seed = zeros<T>(y.shape());
  std::fill_n(seed.mutable_data(), columns, T(1));
  const auto column = [](const Tensor<T>& all, std::size_t i) {
    std::vector<T> one;
    for (; i < all.size(); i += columns) one.push_back(all.data()[i]);
    return one;
  };
  const Tensor<T> fused = gradients(y, leaves, seed, false)[0],
                  recorded = gradients(y, leaves, seed, true)[0];
  for (const std::size_t i : {std::size_t(0), columns - 1}) {
    compare(row, Part::value, "of a column", column(y, i), true);
    compare(row, Part::fused, "of a column", column(fused, i), true);
    compare(row, Part::recorded, "of a column", column(recorded, i), true);
  }
}

template <class T>
void check_lists() {
  const auto operations = list_operations<T>();
  const auto columns = column_operations<T>();
  std::set<std::string> seen;
  for (const Row& row : table()) {
    const auto [name, n] = called<T>(row.op);
    const auto found = operations.find(name);
    if (found == operations.end() || !has_type<T>(row)) continue;
    seen.insert(name);
    check_list<T>(found->second, n, row);
    if (const auto by_columns = columns.find(name); by_columns != columns.end())
      check_columns<T>(by_columns->second, row);
  }
  for (const auto& entry : operations)
    CHECK_MESSAGE(seen.contains(entry.first), entry.first << " has no row");
}

}  // namespace

TEST_CASE("every elementwise operation is right at the ends of its type") {
  check_elementwise<float>();
  check_elementwise<double>();
}

TEST_CASE("every other operation is right at the ends of its type") {
  check_lists<float>();
  check_lists<double>();
}

TEST_CASE("no operation is left out") {
  const auto elementwise = elementwise_operations<float>();
  const auto lists = list_operations<float>();
  for (const OpRow& row : op_table()) {
    // operators are elementwise, a map is of elementwise operations, and digamma is polygamma(0)
    const bool known = row.is_lapack || row.op.starts_with("operator") || row.op == "map" ||
                       row.op == "digamma" || elementwise.contains(row.op) ||
                       elementwise.contains(row.op + "(") || lists.contains(row.op);
    CHECK_MESSAGE(known, row.op << " has no row in extremes.csv");
  }
  for (const Row& row : table()) {
    const std::string name = called<float>(row.op).first;
    CHECK_MESSAGE((elementwise.contains(name) || lists.contains(name)), row.text << ": no such operation");
  }
}

TEST_CASE("what differs from the mathematics has a reason") {
  for (const Row& row : table())
    CHECK_MESSAGE((row.because.empty() == (row.other_value.empty() && row.other_fused.empty())), row.text);
}
