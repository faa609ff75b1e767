#!/bin/sh
# The archives of the kernels may share no function with each other: a weak symbol that does not name its architecture
# would be taken from any of them, and run on a machine that lacks its instructions. usage: kernel_symbols.sh LIBRARY ...
set -u
failed=0
for library; do
  arch=$(echo "$library" | sed 's/.*kernels_\([a-z0-9]*\)_.*/\1/')
  # Names as they are: c++filt does not know all that compilers write of a template with a concept.
  symbols=$(nm "$library") || failed=1
  shared=$(echo "$symbols" | grep -E ' [WVu] ' | grep -v -e "xsimd_$arch[0-9]" -e 'DW\.ref\.')
  [ -z "$shared" ] || { echo "$library shares:"; echo "$shared" | c++filt; failed=1; }
done
[ "$failed" = 0 ] && r='1 passed | 0 failed' || r='0 passed | 1 failed'
echo "[kernel symbols] test cases: 1 | $r"
exit "$failed"
