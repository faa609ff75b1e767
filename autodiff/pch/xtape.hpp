// Precompiled for the files of the library: what nearly all of them read. Each of them still includes what it
// uses; a build with -Db_pch=false shows it.
#pragma once
#include <nn/nn.hpp>

#include "../op.hpp"
