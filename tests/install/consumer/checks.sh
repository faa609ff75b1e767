# Uses an installed copy as others would, through pkg-config and CMake. Read by tests/install/installed.sh and tests/install/matrix.py, which set
# source, prefix and work (a folder to write to) and PKG_CONFIG_PATH; counts in passed and failed.
passed=0 failed=0
export CMAKE_GENERATOR=Ninja # Meson needs it, so it is there; make may not be

check() { # check NAME COMMAND ...
  name=$1
  shift
  if "$@" >"$work/log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    sed 's/^/        /' "$work/log"
  fi
}

compile() { # compile PROGRAM SOURCE [OPTION ...]
  program=$1 file=$2
  shift 2
  # shellcheck disable=SC2046
  ${CXX:-c++} -std=c++20 -Wall -Wextra -Werror "$@" -o "$program" "$file" $(pkg-config --cflags --libs xtape)
}

# Two files of one program, compiled with different flags. The best instructions of this machine, where the compiler knows it.
two_users() {
  native=$(${CXX:-c++} -march=native -E -x c++ /dev/null >/dev/null 2>&1 && echo -march=native)
  # shellcheck disable=SC2046,SC2086
  ${CXX:-c++} -std=c++20 -O3 $native -DXTENSOR_USE_XSIMD -DNDEBUG -c -o "$work/fast.o" "$source/tests/install/consumer/fast.cpp" \
    $(pkg-config --cflags xtape xsimd) &&
    ${CXX:-c++} -std=c++20 -O0 -D_GLIBCXX_ASSERTIONS -DXTENSOR_ENABLE_ASSERT -c -o "$work/careful.o" "$source/tests/install/consumer/careful.cpp" \
      $(pkg-config --cflags xtape) &&
    for order in "careful.o fast.o" "fast.o careful.o"; do # the linker keeps the first of two copies of an inline function
      (cd "$work" && ${CXX:-c++} -o two_users $order $(pkg-config --libs xtape) && ./two_users) || return 1
    done
}

users() {
  check "pkg-config: compile" compile "$work/consumer" "$source/tests/install/consumer/main.cpp"
  check "pkg-config: run" "$work/consumer"
  check "hidden symbols: compile" compile "$work/hidden" "$source/tests/install/consumer/main.cpp" -fvisibility=hidden -fvisibility-inlines-hidden
  check "hidden symbols: run" "$work/hidden"
  check "two files with different flags" two_users
  check "CMake: configure" cmake -S "$source/tests/install/consumer" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix"
  check "CMake: build" cmake --build "$work/cmake"
  check "CMake: run" "$work/cmake/consumer"
  pkg-config --exists xtape-mpi || return 0
  check "MPI, pkg-config: compile" sh -c '${CXX:-c++} -std=c++20 -o "$0" "$1" $(pkg-config --cflags --libs xtape-mpi)' \
    "$work/consumer_mpi" "$source/tests/install/consumer/mpi.cpp"
  check "MPI, pkg-config: run" "$work/consumer_mpi"
  check "MPI, CMake: run" "$work/cmake/consumer_mpi"
}
