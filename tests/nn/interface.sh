#!/bin/sh
# nn uses the public headers of autodiff alone, and what both ask of compiler and system; what else it needs of the engine,
# autodiff/engine.hpp offers.
# usage: interface.sh SOURCE
set -u
cd "$1" || exit 1
failed=0
grep -rnE 'xtape::detail|autodiff/[^>/]*/' nn | grep -v '<autodiff/platform/' && failed=1
# Of the names after "detail::", those of nn are declared in nn.
own=$(grep -rlE 'namespace (xtape::nn::)?detail' nn | xargs sed 's/detail::[A-Za-z_]*//g')
for name in $(grep -rhoE '\bdetail::[A-Za-z_]+' nn | sort -u); do
  echo "$own" | grep -qw "${name#detail::}" || { failed=1; grep -rnw "$name" nn; }
done
[ "$failed" = 0 ] && r='1 passed | 0 failed' || r='0 passed | 1 failed'
echo "[interface of nn] test cases: 1 | $r"
exit "$failed"
