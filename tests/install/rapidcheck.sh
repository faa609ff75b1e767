#!/bin/sh
# rapidcheck.sh FOLDER: installs Debian's rapidcheck into FOLDER, compiled by $CXX. A library in C++ goes with one standard
# library, and Debian's own goes with GCC's. What is to be compiled is in FOLDER/source, or apt fetches it, by lists of its
# own: those of this system may name no sources, and stay as they are.
set -eu
folder=$1
[ ! -e "$folder/complete" ] || exit 0

if [ ! -d "$folder/source" ]; then
  lists=$folder/apt
  mkdir -p "$lists/parts" "$lists/lists/partial" "$lists/cache/archives/partial"
  : >"$lists/status"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    case $file in
      *.sources) sed 's/^Types:.*/Types: deb-src/' "$file" >"$lists/parts/${file##*/}" ;;
      *.list) [ ! -e "$file" ] || sed -n 's/^deb[[:blank:]]/deb-src /p' "$file" >"$lists/parts/${file##*/}" ;;
    esac
  done
  apt() {
    apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$lists/parts" -o Dir::State::Lists="$lists/lists" \
      -o Dir::State::Status="$lists/status" -o Dir::Cache="$lists/cache" -o APT::Sandbox::User=root "$@"
  }
  apt update || true # a list without sources is no matter where another has them
  (cd "$lists" && apt source rapidcheck)
  mv "$lists"/rapidcheck-*/ "$folder/source"
  rm -r "$lists"
fi

system=$(uname -s)
case $CXX in *mingw*) system=Windows ;; esac
cmake -S "$folder/source" -B "$folder/build" -G Ninja -DCMAKE_SYSTEM_NAME="$system" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$folder" -DCMAKE_INSTALL_LIBDIR=lib
cmake --build "$folder/build"
cmake --install "$folder/build"
: >"$folder/complete"
