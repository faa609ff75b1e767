// Products of matrices, by loops and by CBLAS.
#include <algorithm>
#include <limits>

#include "code_writer.hpp"

namespace xtape::detail {

namespace {

/// A sum of so many is several side by side.
constexpr std::size_t lanes = 8, longest_sum = 32;

}  // namespace

void CodeWriter::write_product(Statements& to, const CodeTask& task) {
  const std::size_t M = task.rows, N = task.columns, K = task.inner;
  // The batch: matrices one after the other.
  Nest batch(task.size / (M * N));
  for (const Placing& one : task.batches) batch.add(one);
  std::vector<std::string> outer;
  for (std::size_t d = 0; d < batch.depth(); ++d) outer.push_back(code_loop(d));
  const auto own = [&](std::size_t n) { return code_loop(batch.depth() + n); };
  const std::string i = own(0), j = own(1), k = own(2), l = own(3);
  const auto at = [&](const std::string& array, const Placing& begin, const std::string& first,
                      std::ptrdiff_t stride, const std::string& second, std::ptrdiff_t other) {
    std::vector<std::string> loops = outer;
    std::vector<std::ptrdiff_t> strides = batch.strides(begin);
    loops.insert(loops.end(), {first, second});
    strides.insert(strides.end(), {stride, other});
    return array + "[" + code_index(begin.offset, loops, strides) + "]";
  };
  const auto text = [&](std::size_t operand) -> std::string {
    const CodeArray& array = code_.arrays[task.reads[operand].array];
    return array.kind == CodeArray::Kind::number ? code_number(array.number, array.type) : array.name;
  };
  const auto operand = [&](std::size_t n, const std::string& row, const std::string& inner) {
    const std::size_t array = task.reads[n].array;
    if (code_.arrays[array].kind == CodeArray::Kind::number || is_variable(array)) return text(n);
    return at(text(n), task.batches[n], row, task.outer_stride[n], inner, task.inner_stride[n]);
  };
  Placing result;
  for (std::size_t d = 0, each = task.size; d < batch.depth(); ++d) {
    each /= batch.size(d);
    result.add(batch.size(d), static_cast<std::ptrdiff_t>(each));
  }
  const auto y = [&](const std::string& row, const std::string& column) {
    return at(name(task.array), result, row, static_cast<std::ptrdiff_t>(N), column, 1);
  };
  const std::string T = type(task.array);
  const auto stays = [&](std::size_t n) { return task.inner_stride[n] == 1; };

  Statements all;
  const auto matrix = [&](const std::string& array, const Placing& begin) {
    const std::string index = code_index(begin.offset, outer, batch.strides(begin));
    return index == "0" ? array : array + " + " + index;
  };
  if (cblas_ && write_cblas(all, task, matrix(text(0), task.batches[0]), matrix(text(1), task.batches[1]),
                            matrix(name(task.array), result))) {
    uses_cblas_ = true;
  } else if (N > 1 && (task.outer_stride[1] == 1 || !stays(0) || !stays(1))) {
    // Row by row of the result: sums side by side.
    all.push_back({code_for(i, M),
                   {{code_for(j, N), {{y(i, j) + " = 0;"}}},
                    {code_for(k, K),
                     {{"const " + T + " factor = " + operand(0, i, k) + ";"},
                      {code_for(j, N), {{y(i, j) + " += factor * " + operand(1, j, k) + ";"}}}}}}});
  } else if (N == 1 && M > 1 && task.outer_stride[0] == 1 && !stays(0)) {
    all.push_back({code_for(i, M), {{y(i, j) + " = 0;"}}});
    all.back().body[0].text = y(i, "0") + " = 0;";
    all.push_back({code_for(k, K),
                   {{"const " + T + " factor = " + operand(1, "0", k) + ";"},
                    {code_for(i, M), {{y(i, "0") + " += " + operand(0, i, k) + " * factor;"}}}}});
  } else {
    const std::string sum = names_.numbered("s");
    Statements dot;
    std::string total = sum;
    if (K > longest_sum && K % lanes == 0) {
      total = "((" + sum + "[0] + " + sum + "[1]) + (" + sum + "[2] + " + sum + "[3])) + ((" + sum +
              "[4] + " + sum + "[5]) + (" + sum + "[6] + " + sum + "[7]))";
      const std::string index = k + " + " + l;
      const auto factor = [&](std::size_t n, const std::string& row) {
        const std::size_t array = task.reads[n].array;
        if (code_.arrays[array].kind == CodeArray::Kind::number || is_variable(array)) return text(n);
        std::vector<std::string> loops = outer;
        std::vector<std::ptrdiff_t> strides = batch.strides(task.batches[n]);
        loops.insert(loops.end(), {row, k, l});
        strides.insert(strides.end(), {task.outer_stride[n], task.inner_stride[n], task.inner_stride[n]});
        return text(n) + "[" + code_index(task.batches[n].offset, loops, strides) + "]";
      };
      dot.push_back({T + " " + sum + "[" + std::to_string(lanes) + "] = {};"});
      dot.push_back(
          {"for (std::size_t " + k + " = 0; " + k + " < " + std::to_string(K) + "; " + k +
               " += " + std::to_string(lanes) + ")",
           {{code_for(l, lanes), {{sum + "[" + l + "] += " + factor(0, i) + " * " + factor(1, j) + ";"}}}}});
    } else {
      dot.push_back({T + " " + sum + " = 0;"});
      dot.push_back({code_for(k, K), {{sum + " += " + operand(0, i, k) + " * " + operand(1, j, k) + ";"}}});
    }
    dot.push_back({y(i, j) + " = " + total + ";"});
    all.push_back({code_for(i, M), {{code_for(j, N), std::move(dot)}}});
  }
  for (std::size_t d = batch.depth(); d-- > 0;)
    all = {{code_for(code_loop(d), batch.size(d)), std::move(all)}};
  to.insert(to.end(), all.begin(), all.end());
}

/// False where CBLAS does not know how the matrices lie.
bool CodeWriter::write_cblas(Statements& to, const CodeTask& task, const std::string& a, const std::string& b,
                             const std::string& y) {
  struct Matrix {
    bool transposed = false, is_known = false;
    std::size_t leading = 0;
  };
  // Rows of `columns` numbers, or such columns.
  const auto matrix = [](std::size_t rows, std::size_t columns, std::ptrdiff_t row,
                         std::ptrdiff_t column) -> Matrix {
    if ((column == 1 || columns == 1) && (rows == 1 || row >= static_cast<std::ptrdiff_t>(columns)))
      return {false, true, rows == 1 ? columns : static_cast<std::size_t>(row)};
    if ((row == 1 || rows == 1) && (columns == 1 || column >= static_cast<std::ptrdiff_t>(rows)))
      return {true, true, columns == 1 ? rows : static_cast<std::size_t>(column)};
    return {};
  };
  const std::size_t M = task.rows, N = task.columns, K = task.inner;
  const Matrix A = matrix(M, K, task.outer_stride[0], task.inner_stride[0]),
               B = matrix(K, N, task.inner_stride[1], task.outer_stride[1]);
  const auto is_array = [&](std::size_t n) {
    return code_.arrays[task.reads[n].array].kind != CodeArray::Kind::number &&
           !is_variable(task.reads[n].array);
  };
  constexpr std::size_t most = std::numeric_limits<int>::max();
  if (!A.is_known || !B.is_known || !is_array(0) || !is_array(1) ||
      std::max({M, N, K, A.leading, B.leading}) > most)
    return false;
  const bool is_float = code_.arrays[task.array].type == CodeType::real32;
  const auto number = [](std::size_t n) { return std::to_string(n); };
  const auto way = [](const Matrix& one) { return one.transposed ? "CblasTrans, " : "CblasNoTrans, "; };
  to.push_back({std::string(is_float ? "cblas_sgemm" : "cblas_dgemm") + "(CblasRowMajor, " + way(A) + way(B) +
                number(M) + ", " + number(N) + ", " + number(K) + ", " + (is_float ? "1.0f" : "1.0") + ", " +
                a + ", " + number(A.leading) + ", " + b + ", " + number(B.leading) + ", " +
                (is_float ? "0.0f" : "0.0") + ", " + y + ", " + number(N) + ");"});
  return true;
}

}  // namespace xtape::detail
