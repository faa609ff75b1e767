#!/bin/sh
# Installs a built copy into a folder of its own, and uses it as others would: through pkg-config, CMake and Meson.
# Compiles and runs every program of the README, and compares what it prints. usage: installed.sh SOURCE BUILD
set -u
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$source/tests/install/consumer/checks.sh"

DESTDIR="$work/stage" meson install -C "$build" --no-rebuild >"$work/log" 2>&1 || cat "$work/log"
pc=$(find "$work/stage" -name xtape.pc)
libdir=$(dirname "$(dirname "$pc")")
prefix=$(dirname "$(find "$work/stage" -type d -path '*/include/xtape')")
prefix=${prefix%/include}
sed -i "s|^prefix=.*|prefix=$prefix|" "$(dirname "$pc")"/*.pc # the copy is staged, not in its real place
export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir"

users
check "every installed header compiles alone" sh -c '
  cd "$1/include/xtape" && ls autodiff/*.hpp nn/*.hpp | xargs -P 2 -n 1 sh -c "
    echo \"#include <\$0>\" | ${CXX:-c++} -std=c++20 -fsyntax-only $(pkg-config --cflags xtape) -x c++ - || exit 255"' sh "$prefix"

cat >"$work/branch.cpp" <<'END'
#include <autodiff/autodiff.hpp>
int main() {
  const auto f = [](auto a) {
    if (a > 0) return a;
    return -a;
  };
  xtape::map(f, xtape::ones<double>({2}));
}
END
compile "$work/branch" "$work/branch.cpp" >"$work/branch.log" 2>&1
check "a branch inside map does not compile, and the message says what to write" \
  grep -q 'has no truth value: write where(x > 0, a, b) for a branch' "$work/branch.log"

cat >"$work/override.cpp" <<'END'
#include <nn/nn.hpp>
struct Net : xtape::nn::Module<double> {
  std::vector<xtape::Tensor<double>> parameters() override { return {}; }
};
END
compile "$work/override" "$work/override.cpp" >"$work/override.log" 2>&1
check "a model that overrides parameters() does not compile" grep -q 'final' "$work/override.log"

batches='' # of a library without xsimd: elementwise operations are tried without it, too
grep -q xsimd "$pc" || batches=-DXTAPE_WITHOUT_XSIMD

# ---- the program of nn/distributed.md: one rank and two write the same file, but for rounding of the last digits
if pkg-config --exists xtape-mpi; then
  awk '/^```cpp$/ { on = 1; next } /^```$/ { on = 0 } on' "$source/nn/distributed.md" >"$work/ranks.cpp"
  check "nn/distributed.md: compile" sh -c '${CXX:-c++} -std=c++20 -o "$0" "$0.cpp" $(pkg-config --cflags --libs xtape-mpi)' "$work/ranks"
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
  (cd "$work" && ./ranks | cut -c 1-20 >one && mpirun -np 2 ./ranks | cut -c 1-20 >two)
  check "nn/distributed.md: two ranks report the losses of one" sh -c 'grep -q "^ *20 .*[0-9]" "$0/one" && cmp "$0/one" "$0/two"' "$work"
fi

# ---- the README: block K in language L goes to K.L
mkdir "$work/readme"
awk -v out="$work/readme" '
  /^```[a-z]+$/ { n++; file = out "/" n "." substr($0, 4); printf "" > file; next }
  /^```$/ { file = ""; next }
  file { print > file }' "$source/README.md"

for block in "$work"/readme/*; do
  number=$(basename "$block")
  case $number in
    *.cpp)
      if grep -q 'int main' "$block"; then
        check "README block $number: compile" compile "$work/program" "$block"
        check "README block $number: runs" sh -c "cd '$work' && ./program >printed 2>&1"
        next="$work/readme/$((${number%.cpp} + 1)).text"
        if [ -e "$next" ]; then
          check "README block $number: prints what the README says" diff "$next" "$work/printed"
        fi
      else # an elementwise operation, as one would write it into elementwise_rules.hpp
        op=$(sed -n 's/^struct \([A-Za-z]*\).*/\1/p' "$block")
        {
          echo '#include <autodiff/kernels/elementwise_kernels.hpp>'
          echo 'namespace xtape::detail::ops {'
          cat "$block"
          echo '}'
          echo 'using namespace xtape::detail;'
          echo 'int main() {'
          echo "  const ops::$op<double> rule{}; const double h = 1e-6; double up, down, g, x = 0.7 + h, w = 0.7 - h, at = 0.7, one = 1;"
          echo '  const std::ptrdiff_t s[3] = {1, 1, 1};'
          echo "  const auto value = value_kernel<double, ops::$op<double>, 1>();"
          echo '  const double *a[] = {&x}, *b[] = {&w}; value(&rule, &up, false, 1, a, s); value(&rule, &down, false, 1, b, s);'
          echo '  double y; const double *c[] = {&at}; value(&rule, &y, false, 1, c, s);'
          echo "  const double *d[] = {&one, &at, &y}; gradient_kernel<double, ops::$op<double>, 1, 0>()(&rule, &g, false, 1, d, s);"
          echo '  return std::abs(g - (up - down) / (2 * h)) < 1e-6 ? 0 : 1;'
          echo '}'
        } >"$work/op.cpp"
        check "README block $number: $op compiles" sh -c "\${CXX:-c++} -std=c++20 $batches -I '$source' -o '$work/op' '$work/op.cpp' \$(pkg-config --cflags xtensor xtl)"
        check "README block $number: $op has the right derivative" "$work/op"
      fi
      ;;
    *.cmake)
      mkdir -p "$work/with_cmake"
      cp "$block" "$work/with_cmake/CMakeLists.txt"
      cp "$source/tests/install/consumer/main.cpp" "$work/with_cmake/"
      check "README block $number: configure" cmake -S "$work/with_cmake" -B "$work/with_cmake/build" -DCMAKE_PREFIX_PATH="$prefix"
      check "README block $number: build" cmake --build "$work/with_cmake/build"
      ;;
    *.meson)
      mkdir -p "$work/with_meson"
      cp "$block" "$work/with_meson/meson.build"
      cp "$source/tests/install/consumer/main.cpp" "$work/with_meson/"
      check "README block $number: configure" meson setup "$work/with_meson/build" "$work/with_meson"
      check "README block $number: build" ninja -C "$work/with_meson/build"
      ;;
    *.sh)
      # ./dev is what runs this test; the other commands are run as they stand.
      if ! grep -q '\./dev' "$block"; then
        cp "$source/tests/install/consumer/main.cpp" "$work/main.cpp"
        check "README block $number" sh -c "cd '$work' && sh -e '$block'"
      fi
      ;;
  esac
done
[ -e "$work/readme/1.sh" ] || check "the README has blocks" false

echo "[installed] test cases: $((passed + failed)) | $passed passed | $failed failed"
[ "$failed" = 0 ]
