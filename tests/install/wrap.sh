#!/bin/sh
# Prints the file for Meson's WrapDB of a release, whose tarball is a file here and will have an address there; without one
# it is the file itself, so that a project on this machine can use it. usage: wrap.sh TARBALL [URL]
set -eu
tarball=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
version=$(basename "$tarball" .tar.gz)
sed -e '/^#/d' -e "s|@VERSION@|${version#xtape-}|" -e "s|@URL@|${2:-file://$tarball}|" \
  -e "s|@HASH@|$(sha256sum "$tarball" | cut -d ' ' -f 1)|" "$(dirname "$0")/xtape.wrap"
