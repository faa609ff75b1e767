// Precompiled for the examples.
#include <cstdio>
#include <iostream>

#include <nn/nn.hpp>

#include "../program.hpp"
