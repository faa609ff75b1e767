// What a call that fails says.
#pragma once
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <autodiff/error.hpp>

namespace xtape::test {

/// f throws an Error that contains each of these texts.
template <class F>
void check_error(const F& f, const std::vector<std::string>& texts) {
  std::string error = "nothing was thrown";
  try {
    f();
  } catch (const Error& e) { error = e.what(); }
  for (const std::string& text : texts) CHECK_MESSAGE(error.find(text) != std::string::npos, error);
}

}  // namespace xtape::test
