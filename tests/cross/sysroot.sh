#!/bin/sh
# sysroot.sh ARCHITECTURE FOLDER: unpacks what xtape and its tests need of Debian's packages for another architecture
# (arm64, s390x) into FOLDER, by lists of packages of its own: those of this system stay as they are. For windows and
# riscv64, which is not among this Debian's architectures, the headers alone, of amd64; and zlib for riscv64.
set -eu
here=$(dirname "$0")
architecture=$1 folder=$2 system=$1
case $system in windows | riscv64) architecture=amd64 ;; esac
[ ! -e "$folder/complete" ] || exit 0
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
: >"$folder/apt/status"

apt() {
  apt-get -qq -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o Dir::State::Lists="$folder/apt/lists" \
    -o Dir::State::Status="$folder/apt/status" -o Dir::Cache="$folder/apt/cache" -o APT::Sandbox::User=root \
    -o APT::Install-Recommends=false "$@"
}
apt update
if [ "$architecture" = amd64 ]; then
  # Without what they depend on: the headers of the machine that builds.
  (cd "$folder/apt/cache/archives" && apt download libxtensor-dev xtl-dev libxsimd-dev nlohmann-json3-dev libboost1.74-dev \
    doctest-dev libeigen3-dev)
else
  apt install -y --download-only libc6-dev libstdc++-12-dev libopenblas-dev zlib1g-dev libxtensor-dev xtl-dev libxsimd-dev \
    nlohmann-json3-dev libboost-dev doctest-dev librapidcheck-dev
  # Without what it needs beside these, which are libraries of whole fields.
  (cd "$folder/apt/cache/archives" && apt download libsundials-dev libsundials-cvodes6 libsundials-nvecserial6)
fi
for package in "$folder"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$folder"; done
rm -r "$folder/apt"
if [ "$architecture" = amd64 ]; then mv "$folder"/usr/lib/x86_64-linux-gnu/pkgconfig/*.pc "$folder/usr/share/pkgconfig"; fi

if [ "$system" = riscv64 ]; then
  sh "$here/../install/debian_source.sh" zlib "$folder/zlib"
  (cd "$folder/zlib" && CHOST=riscv64-linux-gnu ./configure --static --prefix=/usr --libdir=/usr/lib/riscv64-linux-gnu && make install DESTDIR="$folder")
  ln -sf /usr/riscv64-linux-gnu/lib "$folder/lib" # the C library comes with the compiler
fi

# What Debian's alternatives would link, in the folder where compilers and programs look.
for file in "$folder"/usr/lib/*/openblas-pthread/*.so*; do
  [ -e "$file" ] || continue
  ln -sf "openblas-pthread/${file##*/}" "${file%/*/*}"
done
: >"$folder/complete"
