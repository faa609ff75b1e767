#!/bin/sh
# rapidcheck.sh FOLDER: installs Debian's rapidcheck into FOLDER, compiled by $CXX. A library in C++ goes with one standard
# library, and Debian's own goes with GCC's. What is to be compiled is in FOLDER/source, or apt fetches it.
set -eu
folder=$1
[ ! -e "$folder/complete" ] || exit 0
mkdir -p "$folder"
sh "$(dirname "$0")/debian_source.sh" rapidcheck "$folder/source"

system=$(uname -s)
case $CXX in *mingw*) system=Windows ;; esac
cmake -S "$folder/source" -B "$folder/build" -G Ninja -DCMAKE_SYSTEM_NAME="$system" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$folder" -DCMAKE_INSTALL_LIBDIR=lib
cmake --build "$folder/build"
cmake --install "$folder/build"
: >"$folder/complete"
