// GradBench's ba, of ADBench (Srajer, Kukelova, Fitzgibbon, A benchmark of selected algorithmic
// differentiation tools, 2018): bundle adjustment. A camera (r, C, f, u, k) of 11 numbers sees the point X at
//
//     f (1 + k_0 ‖e‖² + k_1 ‖e‖⁴) e + u,  e = (x, y) / z,  (x, y, z) = R(r) (X − C),
//
// where R(r) turns by the angle ‖r‖ around r. Residuals are, for each of p observations, w times the distance
// from where the point was seen, in two directions, and 1 − w².
//
// The residuals of an observation depend on 15 numbers. With these gathered for all observations, the
// gradient of the sum of the residuals in one direction holds a row of the Jacobian for each of them: two
// passes in reverse mode, where forward mode would take 15. The observations come in tiles whose numbers stay
// in the cache.
#include <algorithm>
#include <span>

#include "protocol.hpp"

namespace {

using xtape::Indices;
using xtape::Tensor;
using Tensors = std::vector<Tensor<double>>;

constexpr std::size_t camera_size = 11, block = camera_size + 3 + 1;  ///< columns of a row that are not 0
constexpr std::size_t tile = 1024;                                    ///< observations at once

struct Input {
  std::size_t n, m, p;                      ///< cameras, points, observations
  Tensor<double> cameras, points, w, seen;  ///< (n, 11), (m, 3), (p), (2, p)
  std::vector<std::size_t> camera, point;   ///< (p)

  /// The file has one camera, point, weight and place, which all are copies of.
  explicit Input(const gradbench::Json& json) : n(json.at("n")), m(json.at("m")), p(json.at("p")) {
    using namespace xtape;
    const auto one = [&](const char* name) { return gradbench::tensor(json.at(name)); };
    cameras = broadcast_to(one("cam"), Shape{n, camera_size});
    points = broadcast_to(one("x"), Shape{m, 3});
    w = full<double>({p}, json.at("w"));
    seen = broadcast_to(unsqueeze(one("feat"), 1), Shape{2, p});
    for (std::size_t i = 0; i < p; ++i) {
      camera.push_back(i % n);
      point.push_back(i % m);
    }
  }

  /// f of the observations from `begin` to the end of their tile.
  template <class F>
  auto tile_of(const F& f, std::size_t begin) const {
    const std::size_t size = std::min(tile, p - begin);
    const auto range = xt::range(begin, begin + size);
    return f(cameras, points, slice(w, range), slice(seen, xt::all(), range),
             Indices(std::span(camera).subspan(begin, size)), Indices(std::span(point).subspan(begin, size)));
  }
};

/// What the observations depend on: the 11 + 3 + 1 columns of a row, (tile) each.
Tensors gathered(const Tensor<double>& cameras, const Tensor<double>& points, const Tensor<double>& w,
                 const Indices& camera, const Indices& point) {
  Tensors columns;
  for (const auto& rows : {take(cameras, camera, 0), take(points, point, 0)})
    for (const auto& column : split(transpose(rows), rows.shape(1))) columns.push_back(flatten(column));
  columns.push_back(w);
  return columns;
}

/// The residuals in both directions, (tile) each, of what is gathered.
Tensors reprojection(const Tensors& in, const Tensor<double>& seen) {
  const Tensor<double>*const r = in.data(), *const C = r + 3, *const f = C + 3, *const u = f + 1,
                             *const k = u + 2, *const X = k + 2, *const w = X + 3;
  const auto x = X[0] - C[0], y = X[1] - C[1], z = X[2] - C[2];
  const auto squares = square(r[0]) + square(r[1]) + square(r[2]);
  // Without an angle the term of first order is left; `safe` keeps what is not selected from 0 / 0.
  const auto turns = squares > 0;
  const auto safe = where(turns, squares, 1.0), angle = sqrt(safe);
  const auto s = where(turns, sin(angle) / angle, 1.0), c = where(turns, (1 - cos(angle)) / safe, 0.0);
  // v + s r × v + c r × (r × v)
  const auto a0 = r[1] * z - r[2] * y, a1 = r[2] * x - r[0] * z, a2 = r[0] * y - r[1] * x;
  const auto depth = z + s * a2 + c * (r[0] * a1 - r[1] * a0);
  const auto e0 = (x + s * a0 + c * (r[1] * a2 - r[2] * a1)) / depth;
  const auto e1 = (y + s * a1 + c * (r[2] * a0 - r[0] * a2)) / depth;
  const auto squared = square(e0) + square(e1);
  const auto scale = f[0] * (1 + squared * (k[0] + squared * k[1]));
  return {w[0] * (scale * e0 + u[0] - slice(seen, 0)), w[0] * (scale * e1 + u[1] - slice(seen, 1))};
}
Tensor<double> weight_residual(const Tensor<double>& w) { return 1 - square(w); }

constexpr auto residuals = [](const Tensor<double>& cameras, const Tensor<double>& points,
                              const Tensor<double>& w, const Tensor<double>& seen, const Indices& camera,
                              const Indices& point) -> Tensors {
  auto all = reprojection(gathered(cameras, points, w, camera, point), seen);
  all.push_back(weight_residual(w));
  return all;
};

/// The rows of the Jacobian without their zeros: (tile, 2 · 15), as those of an observation follow each
/// other, and (tile), of the weights.
constexpr auto rows = [](const Tensor<double>& cameras, const Tensor<double>& points, const Tensor<double>& w,
                         const Tensor<double>& seen, const Indices& camera, const Indices& point) -> Tensors {
  const auto in = gathered(cameras, points, w, camera, point);
  const auto one = xtape::ones<double>(w.shape());
  Tensors columns;
  for (const std::size_t direction : {0u, 1u}) {
    const auto residual = [&](const Tensors& at) { return reprojection(at, seen)[direction]; };
    const auto gradients = xtape::vjp(residual, in, one).second;
    columns.insert(columns.end(), gradients.begin(), gradients.end());
  }
  return {transpose(stack(columns)), xtape::vjp(weight_residual, w, one).second};
};

struct Objective {
  static constexpr auto name = "objective";
  const Input& input;
  decltype(xtape::compile(residuals)) f = xtape::compile(residuals);
  std::vector<double> reprojection[2], weight;

  explicit Objective(const Input& of) : input(of) { run(); }
  void run() {
    for (auto* const all : {&reprojection[0], &reprojection[1], &weight}) all->clear();
    for (std::size_t begin = 0; begin < input.p; begin += tile) {
      const auto some = input.tile_of(f, begin);
      for (const std::size_t direction : {0u, 1u})
        reprojection[direction].insert(reprojection[direction].end(), some[direction].begin(),
                                       some[direction].end());
      weight.insert(weight.end(), some[2].begin(), some[2].end());
    }
  }
  gradbench::Json result() const {
    return {{"reproj_error",
             {{"elements", {reprojection[0].front(), reprojection[1].front()}}, {"repeated", input.p}}},
            {"w_err", {{"element", weight.front()}, {"repeated", input.p}}}};
  }
};

/// Sparse, by rows: those of the observations, two each, then those of the weights. Row i has
/// columns[starts[i]…] and values[starts[i]…], up to starts[i + 1].
struct Jacobian {
  static constexpr auto name = "jacobian";
  const Input& input;
  decltype(xtape::compile(rows)) f = xtape::compile(rows);
  std::vector<int> starts, columns;
  std::vector<double> values;

  explicit Jacobian(const Input& of) : input(of) { run(); }
  void run() {
    fill_places();
    values.resize(columns.size());
    for (std::size_t begin = 0; begin < input.p; begin += tile) {
      const auto some = input.tile_of(f, begin);
      std::copy(some[0].begin(), some[0].end(), values.data() + begin * 2 * block);
      std::copy(some[1].begin(), some[1].end(), values.data() + input.p * 2 * block + begin);
    }
  }
  /// The first 30, and the last.
  gradbench::Json result() const {
    const auto some = [](const auto& of) {
      auto all = std::vector(of.begin(), of.begin() + std::min<std::ptrdiff_t>(2 * block, std::ssize(of)));
      all.push_back(of.back());
      return all;
    };
    return {{"rows", some(starts)}, {"cols", some(columns)}, {"vals", some(values)}};
  }

 private:
  void fill_places() {
    const auto number = [](std::size_t i) { return static_cast<int>(i); };
    const std::size_t points = camera_size * input.n, weights = points + 3 * input.m, all_rows = 2 * input.p;
    starts.resize(all_rows + input.p + 1);
    columns.resize(all_rows * block + input.p);
    for (std::size_t i = 0; i <= all_rows; ++i) starts[i] = number(i * block);
    for (std::size_t i = 1; i <= input.p; ++i) starts[all_rows + i] = number(all_rows * block + i);
    int* to = columns.data();
    for (std::size_t i = 0; i < input.p; ++i) {
      const int camera = number(camera_size * input.camera[i]), point = number(points + 3 * input.point[i]);
      for (int j = 0; j < number(camera_size); ++j) to[j] = camera + j;
      for (int j = 0; j < 3; ++j) to[number(camera_size) + j] = point + j;
      to[block - 1] = number(weights + i);
      to = std::copy_n(to, block, to + block);  // for the other direction
    }
    for (std::size_t i = 0; i < input.p; ++i) *to++ = number(weights + i);
  }
};

}  // namespace

int main(int argc, char** argv) { return gradbench::tool<Input, Objective, Jacobian>(argc, argv); }
