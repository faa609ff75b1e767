// Activation is a part of nn; this header remains for programs that were written for 0.1.
#pragma once
#include <nn/textbook.hpp>
