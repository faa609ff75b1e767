#!/bin/sh
# Builds the Debian packages from a tarball of the sources and tests/install/debian, looks at them by lintian, unpacks them
# into a folder of their own, and compiles and runs users' programs there. usage: package.sh SOURCE FOLDER
# The suite of programs runs as well where DEB_BUILD_OPTIONS is set and has no nocheck.
set -eu
source=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
rm -rf "${folder:?}"/*
tarball=$("$source/tests/install/tarball.sh" "$source" "$folder")
name=$(basename "$tarball" .tar.gz)
version=${name#xtape-} tree=$folder/$name
tar -x -C "$folder" -f "$tarball"
rm "$tarball"
# Without files that are not in the form in which they are changed, as Debian's archive is to be; +ds in the version says so.
# shellcheck disable=SC2046
(cd "$tree" && rm -r $(sed -n 's/^Files-Excluded: //p' "$source/tests/install/debian/copyright"))
tar -c -z -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner -f "$folder/xtape_$version+ds.orig.tar.gz" "$name"
cp -R "$source/tests/install/debian" "$tree/debian"

# Builds have a home of their own, so ccache is told of the usual one.
if command -v ccache >/dev/null 2>&1; then
  CCACHE_DIR=$(ccache -k cache_dir) CCACHE_SLOPPINESS=$(ccache -k sloppiness) CCACHE_BASEDIR=$folder
  CCACHE_MAXSIZE=$(ccache -k max_size)
  export CCACHE_DIR CCACHE_SLOPPINESS CCACHE_BASEDIR CCACHE_MAXSIZE
fi
export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS-nocheck noautodbgsym}"
export DPKG_GENSYMBOLS_CHECK_LEVEL="${DPKG_GENSYMBOLS_CHECK_LEVEL-4}" # a name more or less than in the list ends it
echo "package: dpkg-buildpackage in $tree, the log is build.log beside it"
(cd "$tree" && dpkg-buildpackage -us -uc) >"$folder/build.log" 2>&1 || { tail -n 40 "$folder/build.log" && exit 1; }
grep '^dpkg-gensymbols\|: warning:' "$folder/build.log" || true
(cd "$folder" && ls -l ./*.deb ./*.dsc)

work=$folder/work prefix=$folder/root/usr
mkdir "$work"
. "$source/tests/install/consumer/checks.sh"
# What the flags say last of optimisation, in the commands for the loops over numbers, and for the rest.
optimised() { # optimised PATTERN FLAG
  grep '"command"' "$tree"/obj-*/compile_commands.json | grep "$1" | sed 's/.* \(-O[^ ]*\).*/\1/' | sort -u \
    >"$work/flags"
  [ "$(cat "$work/flags")" = "$2" ] || { cat "$work/flags" && false; }
}
case " $DEB_BUILD_OPTIONS " in
  *' noopt '*) ;;
  *)
    check "kernels are optimised by -O3" optimised libkernels_ -O3
    check "the rest by -O2" optimised 'libxtape.so[^ ]*\.p' -O2
    ;;
esac

unpack() { # unpack PACKAGE ...: and lets pkg-config say where it is
  for package; do dpkg-deb -x "$folder/${package}_$version+ds"-*.deb "$folder/root"; done
  libdir=$(dirname "$(find "$folder/root" -name 'libxtape.so.*' -type f)")
  sed -i "s|^prefix=.*|prefix=$prefix|" "$libdir"/pkgconfig/*.pc
  export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir"
}
soname=${version%.*}
unpack "libxtape$soname" libxtape-dev
check "without MPI, CMake: configure" cmake -S "$source/tests/install/consumer" -B "$work/alone" -DCMAKE_PREFIX_PATH="$prefix"
check "without MPI, CMake: build" cmake --build "$work/alone"
check "without MPI, CMake: run" "$work/alone/consumer"
check "without MPI, no xtape-mpi" sh -c '! pkg-config --exists xtape-mpi'
unpack "libxtape-mpi$soname" libxtape-mpi-dev
users
check "the program loads libxtape.so.$soname of the package" sh -c 'ldd "$0" | grep "libxtape.so.$1 => $2/"' \
  "$work/consumer" "$soname" "$libdir"
cat >"$work/kernels.cpp" <<'END'
#include <autodiff/autodiff.hpp>
#include <cstdio>
int main() { std::puts(xtape::kernel_architecture()); }
END
check "kernels: compile" compile "$work/kernels" "$work/kernels.cpp"
case $(uname -m) in
  x86_64) all='sse2 avx2:avx2 avx512:avx512bw' ;;
  *) all= ;;
esac
for kernels in $all; do
  set=${kernels%:*}
  [ "$set" = "$kernels" ] || grep -qw "${kernels#*:}" /proc/cpuinfo || continue
  check "kernels: $set" sh -c '[ "$(XTAPE_ARCH=$1 "$0")" = "$1" ]' "$work/kernels" "$set"
done

check "lintian" sh -c 'lintian --allow-root --fail-on error,warning --display-info --show-overrides "$0"/*.changes >"$0/lintian.log" 2>&1 ||
  { cat "$0/lintian.log" && false; }' "$folder"
[ ! -s "$folder/lintian.log" ] || cat "$folder/lintian.log"

echo "[package] test cases: $((passed + failed)) | $passed passed | $failed failed"
[ "$failed" = 0 ]
