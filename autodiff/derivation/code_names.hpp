// Names of a file of C++.
#pragma once
#include <map>
#include <set>
#include <string>

namespace xtape::detail {

/// Gives identifiers that are not taken.
class CodeNames {
 public:
  CodeNames();
  /// `wish` as an identifier: Greek letters by their names, _ for what else is no letter and no digit, w
  /// before a digit; and with a number where it is taken.
  std::string give(const std::string& wish);
  /// "t1", "t2" …
  std::string numbered(const std::string& letter);
  /// Whether it is an identifier that is not taken.
  bool is_free(const std::string& name) const;

 private:
  std::set<std::string> taken_;
  std::map<std::string, int> numbers_;
};

}  // namespace xtape::detail
