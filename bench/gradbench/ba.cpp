// GradBench's ba, of ADBench (Srajer, Kukelova, Fitzgibbon, A benchmark of selected algorithmic
// differentiation tools, 2018): bundle adjustment. A camera (r, C, f, u, k) of 11 numbers sees the point X at
//
//     f (1 + k_1 ‖e‖² + k_2 ‖e‖⁴) e + u,  e = (x, y) / z,  (x, y, z) = R(r) (X − C),
//
// where R(r) turns by the angle ‖r‖ around r (Rodrigues). Residuals are, for each of p observations, w times
// the distance from where the point was seen, in both directions, and 1 − w².
//
// An observation's residual depends on 15 numbers: with these gathered for all observations, the gradient of
// the sum of all residuals in one direction holds a row of the Jacobian for each. So it takes two passes in
// reverse mode, where forward mode would take 15.
#include <algorithm>
#include <utility>

#include "protocol.hpp"

namespace {

using xtape::Tensor;

constexpr std::size_t camera_size = 11, block = camera_size + 3 + 1;  ///< columns that are not 0 in a row

struct Input {
  std::size_t n, m, p;                     ///< cameras, points, observations
  Tensor<double> cameras, points, w;       ///< (n, 11), (m, 3), (p)
  std::vector<Tensor<double>> seen;        ///< where, (p) each
  std::vector<std::size_t> camera, point;  ///< (p)

  /// The file has one camera, point, weight and place, which all are copies of.
  explicit Input(const gradbench::Json& json) : n(json.at("n")), m(json.at("m")), p(json.at("p")) {
    const auto copies = [&](const char* name, std::size_t count, std::size_t size) {
      return xtape::broadcast_to(gradbench::tensor(json.at(name)), xtape::Shape{count, size});
    };
    cameras = copies("cam", n, camera_size);
    points = copies("x", m, 3);
    w = xtape::full<double>({p}, json.at("w"));
    for (const double at : json.at("feat")) seen.push_back(xtape::full<double>({p}, at));
    for (std::size_t i = 0; i < p; ++i) {
      camera.push_back(i % n);
      point.push_back(i % m);
    }
  }
};

/// The residual of an observation in one direction, 0 or 1, with its number of u and its place.
template <int direction>
constexpr auto residual = [](auto r0, auto r1, auto r2, auto C0, auto C1, auto C2, auto f, auto u, auto k1,
                             auto k2, auto X0, auto X1, auto X2, auto w, auto seen) {
  const auto x = X0 - C0, y = X1 - C1, z = X2 - C2;
  const auto squares = r0 * r0 + r1 * r1 + r2 * r2;
  // Without an angle the term of first order is left; `safe` keeps what is not selected from 0 / 0.
  const auto turns = squares > 0;
  const auto safe = where(turns, squares, 1.0), angle = sqrt(safe);
  const auto s = where(turns, sin(angle) / angle, 1.0), k = where(turns, (1 - cos(angle)) / safe, 0.0);
  // v + s r × v + k r × (r × v)
  const auto a = r1 * z - r2 * y, b = r2 * x - r0 * z, c = r0 * y - r1 * x;
  const auto depth = z + s * c + k * (r0 * b - r1 * a);
  const auto e0 = (x + s * a + k * (r1 * c - r2 * b)) / depth;
  const auto e1 = (y + s * b + k * (r2 * a - r0 * c)) / depth;
  const auto squared = e0 * e0 + e1 * e1;
  const auto distorted = (1 + squared * (k1 + squared * k2)) * (direction == 0 ? e0 : e1);
  return w * (f * distorted + u - seen);
};
constexpr auto weight_residual = [](auto w) { return 1 - w * w; };

/// The numbers that the observations depend on, gathered: a column for each of the 11 + 3 + 1, (p).
class Observations {
 public:
  explicit Observations(const Input& input) : seen_(input.seen), one_(xtape::ones<double>({input.p})) {
    const auto add = [&](const Tensor<double>& rows, std::size_t count) {
      for (const auto& column : split(transpose(rows), count)) columns_.push_back(reshape(column, {-1}));
    };
    add(take(input.cameras, input.camera, 0), camera_size);
    add(take(input.points, input.point, 0), 3);
    columns_.push_back(input.w);
  }

  /// The residuals in a direction, (p), and their derivatives by inputs().
  template <int direction>
  Tensor<double> residuals() const {
    return residuals_of<direction>(inputs<direction>());
  }
  template <int direction>
  std::vector<Tensor<double>> rows() const {
    return xtape::vjp([&](const auto& in) { return residuals_of<direction>(in); }, inputs<direction>(), one_)
        .second;
  }
  Tensor<double> weight_residuals() const { return map(weight_residual, columns_.back()); }
  Tensor<double> weight_row() const {
    return xtape::vjp([](const auto& w) { return map(weight_residual, w); }, columns_.back(), one_).second;
  }

 private:
  /// What the residuals in a direction depend on: all columns but the other direction's of u.
  template <int direction>
  std::vector<Tensor<double>> inputs() const {
    auto all = columns_;
    all.erase(all.begin() + (direction == 0 ? 8 : 7));
    return all;
  }
  template <int direction>
  Tensor<double> residuals_of(const std::vector<Tensor<double>>& in) const {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return map(residual<direction>, in[I]..., seen_[direction]);
    }
    (std::make_index_sequence<block - 1>());
  }

  std::vector<Tensor<double>> columns_, seen_;
  Tensor<double> one_;
};

struct Objective {
  static constexpr auto name = "objective";
  const Input& input;
  Tensor<double> reprojection[2], weight;

  explicit Objective(const Input& of) : input(of) {}
  void run() {
    const Observations all(input);
    reprojection[0] = all.residuals<0>();
    reprojection[1] = all.residuals<1>();
    weight = all.weight_residuals();
  }
  gradbench::Json result() const {
    const auto first = [](const Tensor<double>& x) { return slice(x, 0).item(); };
    return {{"reproj_error",
             {{"elements", {first(reprojection[0]), first(reprojection[1])}}, {"repeated", input.p}}},
            {"w_err", {{"element", first(weight)}, {"repeated", input.p}}}};
  }
};

/// Sparse, by rows: those of the observations, two each, then those of the weights. Row i has
/// columns[starts[i]…] and values[starts[i]…], up to starts[i + 1].
struct Jacobian {
  static constexpr auto name = "jacobian";
  const Input& input;
  std::vector<int> starts, columns;
  std::vector<double> values;

  explicit Jacobian(const Input& of) : input(of) {}

  void run() {
    const Observations all(input);
    fill_places();
    fill_values(all.rows<0>(), all.rows<1>(), all.weight_row());
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
    const std::size_t points = camera_size * input.n, weights = points + 3 * input.m, rows = 2 * input.p;
    starts.resize(rows + input.p + 1);
    columns.resize(rows * block + input.p);
    for (std::size_t i = 0; i <= rows; ++i) starts[i] = number(i * block);
    for (std::size_t i = 1; i <= input.p; ++i) starts[rows + i] = number(rows * block + i);
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

  /// The gradients, (p) for each column, as rows; each direction's have a 0 for the other's of u.
  void fill_values(std::vector<Tensor<double>> x, std::vector<Tensor<double>> y,
                   const Tensor<double>& weight) {
    constexpr std::size_t tile = 128;  // observations, whose rows stay in the cache
    const auto none = xtape::zeros<double>({input.p});
    x.insert(x.begin() + 8, none);
    y.insert(y.begin() + 7, none);
    x.insert(x.end(), y.begin(), y.end());
    values.resize(columns.size());
    for (std::size_t begin = 0; begin < input.p; begin += tile)
      for (std::size_t j = 0; j < x.size(); ++j) {
        const double* const from = x[j].data();
        double* const to = values.data() + j;
        const std::size_t end = std::min(begin + tile, input.p);
        for (std::size_t i = begin; i < end; ++i) to[i * 2 * block] = from[i];
      }
    std::copy(weight.begin(), weight.end(), values.end() - static_cast<std::ptrdiff_t>(input.p));
  }
};

}  // namespace

int main(int argc, char** argv) { return gradbench::tool<Input, Objective, Jacobian>(argc, argv); }
