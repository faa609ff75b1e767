#!/bin/sh
# debian_source.sh PACKAGE FOLDER: unpacks Debian's sources of it into FOLDER, if that is not there. apt fetches them by lists of
# its own: those of this system may name no sources, and stay as they are.
set -eu
package=$1 folder=$2
[ ! -d "$folder" ] || exit 0
lists=$folder.lists
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
# The newest, or that of the release itself where a mirror has none of its updates.
(cd "$lists" && { apt source "$package" || apt source "$package/$(. /etc/os-release && echo "$VERSION_CODENAME")"; })
mv "$lists/$package"-*/ "$folder"
rm -r "$lists"
