#!/bin/sh
# The shared library exports the names of xtape and no others: what it compiled from xtensor, nlohmann-json and the
# standard library is its own. What it throws and the variables that headers share with it are among those exported.
# usage: exported_symbols.sh LIBRARY
set -u
names=$(nm -D --defined-only "$1" | sed 's/.* //') || exit 1
foreign=$(echo "$names" | grep -vE '^_Z(T[VTISC]|G[VR])?N[KRO]*5xtape')
failed=0
[ -z "$foreign" ] || { failed=1; echo "exported, and not of xtape:"; echo "$foreign" | c++filt; }
for name in _ZTIN5xtape5ErrorE _ZN5xtape6detail12current_tapeE; do
  echo "$names" | grep -qx $name || { failed=1; echo "not exported: $(c++filt $name)"; }
done
echo "$(echo "$names" | wc -l) symbols, $(echo "$foreign" | grep -c .) not of xtape"
[ "$failed" = 0 ] && r='1 passed | 0 failed' || r='0 passed | 1 failed'
echo "[exported symbols] test cases: 1 | $r"
exit "$failed"
