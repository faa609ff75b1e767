#include "code_names.hpp"

#include <array>
#include <sstream>

namespace xtape::detail {
namespace {

// Words of the language, what the C++ that is written uses itself, and what C headers may define as macros.
constexpr const char* reserved = R"(
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class co_await
co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default delete do
double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace
new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires return
short signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef
typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq
std i j k l at total row column plane ky kx oy ox iy ix inside factor memory
maximum minimum clamp sign square sigmoid log_sigmoid softplus relu leaky_relu elu gelu silu log_add_exp
binary_cross_entropy binary_cross_entropy_with_logits
I NAN INFINITY NULL EOF errno assert main linux unix OVERFLOW UNDERFLOW DOMAIN M_PI M_E
i4 i5 i6 i7 i8 i9
)";

constexpr std::array<const char*, 25> greek{
    "alpha", "beta",   "gamma",   "delta", "epsilon", "zeta",    "eta",  "theta", "iota",
    "kappa", "lambda", "mu",      "nu",    "xi",      "omicron", "pi",   "rho",   "sigma",
    "sigma", "tau",    "upsilon", "phi",   "chi",     "psi",     "omega"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// The name of the Greek small letter that begins at `at`, of two bytes.
const char* greek_at(const std::string& text, std::size_t at) {
  if (at + 1 >= text.size()) return nullptr;
  const unsigned code = (static_cast<unsigned char>(text[at]) & 0x1Fu) << 6 |
                        (static_cast<unsigned char>(text[at + 1]) & 0x3Fu);
  const bool is_two = (static_cast<unsigned char>(text[at]) & 0xE0u) == 0xC0u;
  return is_two && code >= 0x3B1 && code < 0x3B1 + greek.size() ? greek[code - 0x3B1] : nullptr;
}

std::string identifier(const std::string& wish) {
  std::string name;
  const auto add = [&](char c) {
    if (c != '_' || (!name.empty() && name.back() != '_')) name += c;  // names with __ are not the user's
  };
  for (std::size_t at = 0; at < wish.size(); ++at) {
    if (const char* const letter = greek_at(wish, at)) {
      name += letter;
      ++at;
    } else {
      add(is_letter(wish[at]) ? wish[at] : '_');
    }
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  if (name.empty()) return "v";
  return is_digit(name[0]) ? "w" + name : name;
}

}  // namespace

CodeNames::CodeNames() {
  std::istringstream words(reserved);
  for (std::string word; words >> word;) taken_.insert(word);
}

std::string CodeNames::give(const std::string& wish) {
  const std::string name = identifier(wish);
  std::string free = name;
  for (int n = 2; taken_.contains(free); ++n) free = name + "_" + std::to_string(n);
  taken_.insert(free);
  return free;
}

std::string CodeNames::numbered(const std::string& letter) {
  std::string name;
  do name = letter + std::to_string(++numbers_[letter]);
  while (!taken_.insert(name).second);
  return name;
}

bool CodeNames::is_free(const std::string& name) const {
  return identifier(name) == name && !taken_.contains(name);
}

}  // namespace xtape::detail
