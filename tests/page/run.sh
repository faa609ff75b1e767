#!/bin/sh
# Tests pages in headless Chromium: run.sh EXAMPLE WRITE_PAGES, the programs that write them. Works in the folder page
# below the current one, where npm puts playwright-core. Ends with 77, skipped, where a tool is missing.
set -eu
source=$(cd "$(dirname "$0")" && pwd)
for tool in node npm chromium; do
  command -v "$tool" >/dev/null 2>&1 && continue
  echo "skipped: $tool is not found" >&2
  exit 77
done
mkdir -p page
cd page
if ! { [ -d node_modules ] && cmp -s "$source/package-lock.json" package-lock.json; }; then
  cp "$source/package.json" "$source/package-lock.json" .
  npm ci --no-audit --no-fund --omit=optional
fi
exec node "$source/test_page.mjs" "$1" "$2" "$(command -v chromium)"
