#!/bin/sh
# The sources of a release: FOLDER/xtape-VERSION.tar.gz, of the tracked files as they are in the working tree, or, where it
# is no clone, of all but what was built. Prints its path. usage: tarball.sh SOURCE FOLDER
set -eu
source=$1 folder=$2
version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" "$source/meson.build" | head -n 1)
name=xtape-$version
rm -rf "${folder:?}/$name"
mkdir -p "$folder/$name"
if [ "$(git -C "$source" rev-parse --show-prefix 2>/dev/null && echo root)" = "
root" ]; then
  git -C "$source" ls-files -z | (cd "$source" && tar -c --null --verbatim-files-from -T - -f -)
else
  tar -c -C "$source" --exclude='./build*' --exclude=./.git --exclude=__pycache__ -f - .
fi | tar -x -C "$folder/$name" -f -
tar -c -z -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner -f "$folder/$name.tar.gz" "$name"
rm -r "${folder:?}/$name"
echo "$folder/$name.tar.gz"
