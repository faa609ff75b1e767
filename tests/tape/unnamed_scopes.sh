#!/bin/sh
# A scope that is not given a name ends at once: the compiler warns of each line that makes one, and of no other.
# usage: unnamed_scopes.sh SOURCE COMPILER...
set -u
source=$1
shift
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cat > "$folder/scopes.cpp" <<'END'
#include <nn/nn.hpp>
using namespace xtape;
void scopes(nn::Linear<double>& model) {
  const NoGrad a;
  const EnableGrad b;
  const DetectAnomaly c({.infinity = false});
  const Profile d;
  const nn::ModeScope<double> e(model, true);
  const nn::GradientMonitor<double> f(model);
  NoGrad();               // warns
  NoGrad{};               // warns
  EnableGrad();           // warns
  DetectAnomaly();        // warns
  Profile();              // warns
  nn::ModeScope<double>(model, true);        // warns
  nn::GradientMonitor<double>(model, {});    // warns
}
END
"$@" -std=c++20 -fsyntax-only -I"$source" "$folder/scopes.cpp" 2> "$folder/said"
wanted=$(grep -n '// warns' "$folder/scopes.cpp" | cut -d: -f1)
warned=$(sed -nE 's/.*scopes\.cpp:([0-9]+):[0-9:]* (warning|error):.*/\1/p' "$folder/said" | sort -nu)
if [ "$wanted" = "$warned" ]; then r='1 passed | 0 failed'; else r='0 passed | 1 failed'; cat "$folder/said"; fi
echo "[unnamed scopes] test cases: 1 | $r"
[ "$wanted" = "$warned" ]
