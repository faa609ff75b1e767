// One event of the parser after the other.
#include "safetensors_header.hpp"

#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include <autodiff/error.hpp>

namespace xtape::nn::detail {
namespace {

using Json = nlohmann::json;

/// Keeps what a header is made of; of the rest, that it is there.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}

  std::vector<HeaderItem> items;

  bool key(string_t& name) override {
    if (open_ == 1) {
      if (!names_.insert(name).second) fail("'" + name + "' occurs twice");
      items.push_back({name});
      field_ = nullptr;
    } else if (open_ == 2) {
      field_ = &(items.back().fields[name] = {});
    }
    return true;
  }
  bool start_object(std::size_t) override {
    begin();
    if (open_++ == 1) items.back().is_object = true;
    return true;
  }
  bool start_array(std::size_t) override {
    const bool goes_on = begin();
    if (open_++ == 2 && field_) field_->sizes.emplace();
    return goes_on;
  }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool string(string_t& text) override {
    if (open_ == 2 && field_) field_->text = text;
    return begin();
  }
  bool number_unsigned(number_unsigned_t number) override {
    if (open_ != 3 || !field_ || !field_->sizes) return begin();
    field_->sizes->push_back(number);
    return true;
  }
  bool number_integer(number_integer_t) override { return begin(); }
  bool number_float(number_float_t, const string_t&) override { return begin(); }
  bool boolean(bool) override { return begin(); }
  bool null() override { return begin(); }
  bool binary(binary_t&) override { return begin(); }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override { return false; }

  [[noreturn]] void fail(const std::string& what) const { throw Error("load", path_ + ": " + what); }

 private:
  /// A value of any kind. False where the header itself is one, and no object.
  bool begin() {
    if (open_ > 3) fail("the header is nested too deeply");
    if (open_ == 3 && field_) field_->sizes.reset();  // which has no other items
    return open_ > 0;
  }
  bool end() { return --open_ >= 0; }

  const std::string& path_;
  std::set<std::string> names_;
  HeaderItem::Field* field_ = nullptr;  ///< the one that is being read; null where an item is no object
  int open_ = 0;                        ///< objects and lists around what comes next
};

}  // namespace

std::vector<HeaderItem> parse_header(const std::string& path, const std::string& text) {
  HeaderReader reader(path);
  if (!Json::sax_parse(text, &reader)) reader.fail("the header is not a JSON object");
  return std::move(reader.items);
}

std::optional<std::string> quoted(const std::string& text) try {
  return Json(text).dump();  // a text alone is destroyed without memory
} catch (const Json::exception&) { return {}; }

}  // namespace xtape::nn::detail
