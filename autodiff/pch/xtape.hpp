// Precompiled for the files of the library: what nearly all of them read. Each still includes what it uses,
// which a build with -Db_pch=false shows.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "../elementwise.hpp"
#include "../tape/op.hpp"
