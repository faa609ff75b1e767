// Stiff equations by CVODES of SUNDIALS: Hindmarsh et al. 2005, "SUNDIALS: Suite of nonlinear and
// differential/algebraic equation solvers"; Serban and Hindmarsh 2005 for the adjoint.
#include "ode.hpp"

#ifdef XTAPE_SUNDIALS
#include <cvodes/cvodes.h>
#include <nvector/nvector_serial.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunmatrix/sunmatrix_dense.h>
#endif

#include <algorithm>
#include <exception>
#include <limits>
#include <memory>

#include "../base/text.hpp"
#include "../custom.hpp"
#include "../derivatives.hpp"
#include "../tape.hpp"
#include "implicit.hpp"

namespace xtape::detail {
namespace {

#ifdef XTAPE_SUNDIALS

template <class Object, void (*destroy)(Object)>
struct Destroy {
  using pointer = Object;
  void operator()(Object object) const { destroy(object); }
};
void free_context(SUNContext context) { SUNContext_Free(&context); }
void free_solver(SUNLinearSolver solver) { SUNLinSolFree(solver); }
using Context = std::unique_ptr<void, Destroy<SUNContext, free_context>>;
using Vector = std::unique_ptr<void, Destroy<N_Vector, N_VDestroy>>;
using Matrix = std::unique_ptr<void, Destroy<SUNMatrix, SUNMatDestroy>>;
using LinearSolver = std::unique_ptr<void, Destroy<SUNLinearSolver, free_solver>>;

/// Up to so many unknowns the matrix ∂f/∂y is formed; beyond that products with it serve GMRES.
constexpr std::size_t largest_matrix = 200;

/// One problem: f at values of θ, and CVODES's account of it.
template <class T>
class Stiff {
 public:
  Stiff(const Ode<T>& f, const Tensor<T>& y0, const std::vector<double>& times,
        const std::vector<Tensor<T>>& theta, const OdeOptions& options)
      : f_(f), theta_(theta), times_(times), options_(options), y0_(y0), n_(y0.size()) {
    SUNContext context = nullptr;
    if (SUNContext_Create(nullptr, &context) != 0) throw std::bad_alloc();
    context_.reset(context);
    y_ = vector(y0_);
  }
  ~Stiff() {
    if (memory_) CVodeFree(&memory_);
  }
  Stiff(const Stiff&) = delete;
  Stiff& operator=(const Stiff&) = delete;

  /// y at all times.
  Tensor<T> forward() {
    begin();
    std::vector<Tensor<T>> results{y0_};
    for (std::size_t i = 1; i < times_.size(); ++i) results.push_back(next(i, results.back()));
    return stack(results);
  }

  /// The adjoints of y0 and of each θ, from g, that of the results.
  std::vector<Tensor<T>> backward(const Tensor<T>& g) {
    begin();
    check(CVodeAdjInit(memory_, 100, CV_HERMITE), times_.front());  // a checkpoint every 100 steps
    keeps_checkpoints_ = true;
    for (std::size_t i = 1; i < times_.size(); ++i) next(i, y0_);
    const auto row = [&](std::size_t i) { return slice(g, static_cast<std::ptrdiff_t>(i)); };
    std::size_t parameters = 0;
    for (const Tensor<T>& p : theta_) parameters += p.size();
    Tensor<T> a = row(times_.size() - 1);
    const Vector adjoint = vector(a), sums = vector(zeros<T>({std::max<std::size_t>(parameters, 1)}));
    double t = times_.back();
    bool is_ready = false;
    for (std::size_t i = times_.size() - 1; i-- > 0;) {
      if (times_[i] != t) {
        write(a, adjoint.get());
        if (!std::exchange(is_ready, true))
          begin_backward(t, adjoint.get(), parameters > 0 ? sums.get() : nullptr);
        else {
          check(CVodeReInitB(memory_, which_, t, adjoint.get()), t);
          if (parameters > 0) check(CVodeQuadReInitB(memory_, which_, sums.get()), t);
        }
        check(CVodeB(memory_, times_[i], CV_NORMAL), t);
        check(CVodeGetB(memory_, which_, &t, adjoint.get()), t);
        if (parameters > 0) check(CVodeGetQuadB(memory_, which_, &t, sums.get()), t);
        t = times_[i];
        a = read(adjoint.get());
      }
      a = a + row(i);
    }
    std::vector<Tensor<T>> gradients{a};
    const double* from = N_VGetArrayPointer(sums.get());
    for (const Tensor<T>& p : theta_) {
      Tensor<T> one = Tensor<T>::uninitialized(p.shape());
      std::transform(from, from + p.size(), one.mutable_data(), [](double x) { return static_cast<T>(x); });
      from += p.size();
      gradients.push_back(one);
    }
    return gradients;
  }

 private:
  Vector vector(const Tensor<T>& x) const {
    Vector made(N_VNew_Serial(static_cast<sunindextype>(x.size()), context_.get()));
    if (!made) throw std::bad_alloc();
    write(x, made.get());
    return made;
  }
  static void write(const Tensor<T>& x, N_Vector to) {
    std::copy_n(x.data(), x.size(), N_VGetArrayPointer(to));
  }
  Tensor<T> read(N_Vector from) const {
    Tensor<T> x = Tensor<T>::uninitialized(y0_.shape());
    std::transform(N_VGetArrayPointer(from), N_VGetArrayPointer(from) + n_, x.mutable_data(),
                   [](double v) { return static_cast<T>(v); });
    return x;
  }
  Tensor<T> at(double t, const Tensor<T>& y) const { return slope_at(f_, t, y, theta_); }
  /// ∂f/∂y, of the state forward, or -(∂f/∂y)ᵀ, of the adjoint. J, (n, n), lies by columns.
  void write_derivative(double t, N_Vector y, SUNMatrix J, bool of_adjoint = false) const {
    const Tensor<T> d = jacobian<T>([&](const Tensor<T>& x) { return at(t, x); }, read(y), {});
    for (std::size_t j = 0; j < n_; ++j) {
      double* column = SUNDenseMatrix_Column(J, static_cast<sunindextype>(j));
      for (std::size_t i = 0; i < n_; ++i)
        column[i] = of_adjoint ? -d.data()[j * n_ + i] : d.data()[i * n_ + j];
    }
  }

  /// -(∂f/∂y)ᵀ v
  void write_adjoint_product(double t, N_Vector y, N_Vector v, N_Vector to) const {
    const auto f = [&](const std::vector<Tensor<T>>& x) { return at(t, x[0]); };
    write(vjp<T>(f, {read(y)}, -read(v), {}).second[0], to);
  }

  /// A call of the user's function from within CVODES, which is C: what it throws is thrown again when CVODES
  /// has returned.
  template <class F>
  static int guarded(void* problem, const F& call) {
    auto& self = *static_cast<Stiff*>(problem);
    try {
      call(self);
      return 0;
    } catch (...) {
      self.thrown_ = std::current_exception();
      return -1;
    }
  }
  void check(int flag, double t) {
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    if (flag >= 0) return;
    if (flag == CV_MEM_FAIL) throw std::bad_alloc();
    const std::string why = flag == CV_TOO_MUCH_WORK
                                ? "more than " + std::to_string(options_.max_steps) + " steps"
                                : "CVODES: " + said_;
    throw Error("odeint", "after t = " + number_text(t) + " " + why);
  }

  void begin() {
    memory_ = CVodeCreate(CV_BDF, context_.get());
    if (!memory_) throw std::bad_alloc();
    CVodeSetErrHandlerFn(memory_, remember, this);
    const auto rhs = [](sunrealtype t, N_Vector y, N_Vector slope, void* problem) {
      return guarded(problem, [&](Stiff& self) { write(self.at(t, self.read(y)), slope); });
    };
    check(CVodeInit(memory_, rhs, times_.front(), y_.get()), times_.front());
    check(CVodeSetUserData(memory_, this), times_.front());
    check(CVodeSStolerances(memory_, options_.rtol, options_.atol), times_.front());
    check(CVodeSetMaxNumSteps(memory_, most_steps()), times_.front());
    make_solver(matrix_, solver_);
    check(CVodeSetLinearSolver(memory_, solver_.get(), matrix_.get()), times_.front());
    if (matrix_)
      check(CVodeSetJacFn(memory_,
                          [](sunrealtype t, N_Vector y, N_Vector, SUNMatrix J, void* problem, N_Vector,
                             N_Vector, N_Vector) {
                            return guarded(problem, [&](Stiff& self) { self.write_derivative(t, y, J); });
                          }),
            times_.front());
    else
      check(CVodeSetJacTimes(
                memory_, nullptr,
                [](N_Vector v, N_Vector Jv, sunrealtype t, N_Vector y, N_Vector, void* problem, N_Vector) {
                  return guarded(problem, [&](Stiff& self) {
                    const auto f = [&](const std::vector<Tensor<T>>& x) { return self.at(t, x[0]); };
                    write(jvp<T>(f, {self.read(y)}, {self.read(v)}, {}).second, Jv);
                  });
                }),
            times_.front());
  }

  /// y at time i, which was `before` at the one before.
  Tensor<T> next(std::size_t i, const Tensor<T>& before) {
    if (times_[i] == times_[i - 1]) return before;
    double reached = times_[i - 1];
    int checkpoints = 0;
    const int flag = keeps_checkpoints_
                         ? CVodeF(memory_, times_[i], y_.get(), &reached, CV_NORMAL, &checkpoints)
                         : CVode(memory_, times_[i], y_.get(), &reached, CV_NORMAL);
    check(flag, reached);
    return read(y_.get());
  }

  /// da/dt = -aᵀ ∂f/∂y from t, and dθ̄/dt = -aᵀ ∂f/∂θ as a sum on the side.
  void begin_backward(double t, N_Vector a, N_Vector sums) {
    check(CVodeCreateB(memory_, CV_BDF, &which_), t);
    const auto rhs = [](sunrealtype time, N_Vector y, N_Vector adjoint, N_Vector slope, void* problem) {
      return guarded(problem, [&](Stiff& self) { self.write_adjoint_product(time, y, adjoint, slope); });
    };
    check(CVodeInitB(memory_, which_, rhs, t, a), t);
    check(CVodeSetUserDataB(memory_, which_, this), t);
    check(CVodeSStolerancesB(memory_, which_, options_.rtol, options_.atol), t);
    check(CVodeSetMaxNumStepsB(memory_, which_, most_steps()), t);
    make_solver(matrix_b_, solver_b_);
    check(CVodeSetLinearSolverB(memory_, which_, solver_b_.get(), matrix_b_.get()), t);
    if (matrix_b_)
      check(CVodeSetJacFnB(memory_, which_,
                           [](sunrealtype time, N_Vector y, N_Vector, N_Vector, SUNMatrix J, void* problem,
                              N_Vector, N_Vector, N_Vector) {
                             return guarded(problem,
                                            [&](Stiff& self) { self.write_derivative(time, y, J, true); });
                           }),
            t);
    else
      check(CVodeSetJacTimesB(memory_, which_, nullptr,
                              [](N_Vector v, N_Vector Jv, sunrealtype time, N_Vector y, N_Vector, N_Vector,
                                 void* problem, N_Vector) {
                                return guarded(problem, [&](Stiff& self) {
                                  self.write_adjoint_product(time, y, v, Jv);
                                });
                              }),
            t);
    if (!sums) return;
    const auto of_theta = [](sunrealtype time, N_Vector y, N_Vector adjoint, N_Vector slope, void* problem) {
      return guarded(problem, [&](Stiff& self) {
        const auto f = [&, at = self.read(y)](const std::vector<Tensor<T>>& p) {
          return slope_at(self.f_, time, at, p);
        };
        double* to = N_VGetArrayPointer(slope);
        for (const Tensor<T>& one : vjp<T>(f, self.theta_, -self.read(adjoint), {}).second)
          to = std::copy_n(one.data(), one.size(), to);
      });
    };
    check(CVodeQuadInitB(memory_, which_, of_theta, sums), t);
    check(CVodeSetQuadErrConB(memory_, which_, SUNTRUE), t);
    check(CVodeQuadSStolerancesB(memory_, which_, options_.rtol, options_.atol), t);
  }

  /// CVODES takes 0 for its own choice, and what is negative for no limit.
  long most_steps() const {
    return static_cast<long>(
        std::clamp<std::size_t>(options_.max_steps, 1, std::numeric_limits<long>::max()));
  }
  void make_solver(Matrix& matrix, LinearSolver& solver) const {
    if (n_ <= largest_matrix) {
      matrix.reset(
          SUNDenseMatrix(static_cast<sunindextype>(n_), static_cast<sunindextype>(n_), context_.get()));
      if (matrix) solver.reset(SUNLinSol_Dense(y_.get(), matrix.get(), context_.get()));
    } else {
      solver.reset(SUNLinSol_SPGMR(y_.get(), SUN_PREC_NONE, 0, context_.get()));
    }
    if (!solver) throw std::bad_alloc();
  }
  static void remember(int, const char*, const char*, char* message, void* problem) {
    guarded(problem, [&](Stiff& self) { self.said_ = message; });
  }

  const Ode<T>& f_;
  const std::vector<Tensor<T>>& theta_;
  const std::vector<double>& times_;
  const OdeOptions& options_;
  const Tensor<T> y0_;
  const std::size_t n_;
  Context context_;  // the rest is destroyed before it
  Vector y_;
  Matrix matrix_, matrix_b_;
  LinearSolver solver_, solver_b_;
  void* memory_ = nullptr;
  int which_ = 0;  ///< the number of the problem backward
  bool keeps_checkpoints_ = false;
  std::exception_ptr thrown_;
  std::string said_;
};

#else

template <class T>
struct Stiff {
  template <class... Problem>
  explicit Stiff(const Problem&...) {
    throw Error("odeint",
                "Method::bdf is not in this library: build it where SUNDIALS 6 is (libsundials-dev)");
  }
  Tensor<T> forward() { return {}; }
  std::vector<Tensor<T>> backward(const Tensor<T>&) { return {}; }
};

#endif

}  // namespace

template <class T>
Tensor<T> bdf_values(const Ode<T>& f, const Tensor<T>& y0, const std::vector<double>& times,
                     const std::vector<Tensor<T>>& theta, const OdeOptions& options) {
  return Stiff<T>(f, y0, times, theta, options).forward();
}

// <h, adjoint(g)> is <g, tangent(h)>, and so is what changes with y0 and θ: ∂<g, tangent(h)>.
template <class T>
Tensor<T> bdf_adjoint(const Ode<T>& f, const std::vector<Tensor<T>>& inputs, const Tensor<T>& g,
                      const std::vector<double>& times, const OdeOptions& options) {
  const Tensor<T> value = [&] {
    const NoGrad off;
    const std::vector<Tensor<T>> x = values_of(inputs);
    const std::vector<Tensor<T>> theta(x.begin() + 1, x.end());
    return packed(Stiff<T>(f, x.front(), times, theta, options).backward(g.detach()));
  }();
  std::vector<Tensor<T>> all{g};
  all.insert(all.end(), inputs.begin(), inputs.end());
  // {tangent(h), ∂<g, tangent(h)> for each input}
  const auto of_directions = [f, inputs, g, times, options](const std::vector<Tensor<T>>& h) {
    const auto of = [&](const std::vector<Tensor<T>>& x) { return ode_tangent(f, x, h, times, options); };
    return vjp<T>(of, inputs, g, {.create_graph = recording});
  };
  const auto rule = [inputs, of_directions](const Tensor<T>& h) {
    auto [gradient, gradients] = of_directions(unpacked(h, inputs));
    gradients.insert(gradients.begin(), gradient);
    return gradients;
  };
  const auto tangent = [f, inputs, of_directions, times, options](const std::vector<Tensor<T>>& d) {
    return bdf_adjoint(f, inputs, d.front(), times, options) +
           packed(of_directions(std::vector<Tensor<T>>(d.begin() + 1, d.end())).second);
  };
  return detail::custom<T>("odeint", all, value, rule, tangent);
}

#define XTAPE_INSTANTIATE(T)                                                                     \
  template Tensor<T> bdf_values(const Ode<T>&, const Tensor<T>&, const std::vector<double>&,     \
                                const std::vector<Tensor<T>>&, const OdeOptions&);               \
  template Tensor<T> bdf_adjoint(const Ode<T>&, const std::vector<Tensor<T>>&, const Tensor<T>&, \
                                 const std::vector<double>&, const OdeOptions&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
