// Arrays in .npy files: written for NumPy, read back, files written by hand, and damaged ones.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "../check_close.hpp"
#include "bytes.hpp"

#include <autodiff/platform/system.hpp>
#include <nn/nn.hpp>
#if __has_include(<xtensor/io/xnpy.hpp>)
#include <xtensor/io/xnpy.hpp>
#else
#include <xtensor/xnpy.hpp>
#endif

using namespace xtape;
using namespace xtape::test;

namespace {

/// A path that nothing is at before and after.
struct Path {
  std::string name =
      (std::filesystem::temp_directory_path() / ("xtape_npy_" + std::to_string(platform::process_id())))
          .string();
  ~Path() { std::filesystem::remove(name); }
};

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// A file of version 1.0 with this dictionary, padded as NumPy does, and these elements.
std::string file_of(const std::string& dictionary, const std::vector<float>& elements = {}) {
  std::string text = dictionary;
  while ((10 + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string bytes = std::string("\x93NUMPY\x01\0", 8);
  bytes += static_cast<char>(text.size() & 255);
  bytes += static_cast<char>(text.size() >> 8);
  bytes += text;
  for (const float x : elements) bytes += low_byte_first(x);
  return bytes;
}

std::string dictionary(const std::string& shape, const std::string& type = "<f4",
                       const std::string& order = "False") {
  return "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

/// What reading these bytes says, after the path.
std::string error_of(const std::string& bytes) {
  const Path path;
  write(path.name, bytes);
  try {
    nn::load_npy<float>(path.name);
  } catch (const Error& error) {
    const std::string text = error.what(), start = "[load_npy] " + path.name + ": ";
    REQUIRE(text.starts_with(start));
    return text.substr(start.size());
  }
  return "no error";
}

}  // namespace

TEST_CASE_TEMPLATE("what is saved is loaded, bit for bit", T, float, double) {
  const Path path;
  const T infinity = std::numeric_limits<T>::infinity();
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{3}, Shape{0, 4}, Shape{2, 3}, Shape{2, 1, 3, 2}}) {
    CAPTURE(to_string(shape));
    const Tensor<T> x =
        random::normal<T>(shape) * (random::uniform<T>(shape) > 0.5) / T(0.0);  // NaN, ±infinity
    nn::save_npy(path.name, x);
    const Tensor<T> y = nn::load_npy<T>(path.name);
    REQUIRE(x.shape() == y.shape());
    CHECK(std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0);
  }
  nn::save_npy(path.name, Tensor<T>{-T(0), infinity, std::numeric_limits<T>::denorm_min()});
  CHECK(std::signbit(nn::load_npy<T>(path.name).value()(0)));
  if (std::endian::native == std::endian::little)  // xtensor reads the machine's own order
    check_close(Tensor<T>(xt::xarray<T>(xt::load_npy<T>(path.name))), nn::load_npy<T>(path.name), 0);
}

TEST_CASE("the bytes are NumPy's, and files in Fortran order and of version 2.0 are read") {
  const Path path;
  nn::save_npy(path.name, Tensor<float>{{1, 2, 3}, {4, 5, 6}});
  const std::string written = content_of(path.name);
  const std::string expected = dictionary("(2, 3)");
  CHECK(written.substr(10, expected.size()) == expected);
  CHECK(written.size() == 128 + 6 * sizeof(float));
  CHECK(error_of(file_of(dictionary("(2, 3)"), {1, 2, 3, 4, 5, 6})) == "no error");

  write(path.name, file_of(dictionary("(2, 3)", "<f4", "True"), {1, 4, 2, 5, 3, 6}));
  check_close(nn::load_npy<float>(path.name), {{1, 2, 3}, {4, 5, 6}}, 0);
  std::string second = file_of(dictionary("(2,)"), {7, 8});
  second[6] = 2;
  second.insert(10, std::string(2, '\0'));
  write(path.name, second);
  check_close(nn::load_npy<float>(path.name), {7, 8}, 0);
  write(path.name, file_of(dictionary("()"), {9}));
  CHECK(nn::load_npy<float>(path.name).shape() == Shape{});
}

TEST_CASE("other types and the other byte order") {
  const Path path;
  const auto load = [&]<class T>(T, const std::string& type, const std::string& bytes, std::size_t count,
                                 nn::NpyOptions options = {.convert = true}) {
    write(path.name, file_of(dictionary("(" + std::to_string(count) + ",)", type)) + bytes);
    return nn::load_npy<T>(path.name, options);
  };
  const auto text = [](std::initializer_list<int> bytes) {
    std::string result;
    for (const int b : bytes) result += static_cast<char>(b);
    return result;
  };
  // The bytes of numpy.array([1.5, -2]) in each type; the other order of the same type needs no conversion.
  const std::string half = text({0x00, 0x3e, 0x00, 0xc0}), half_high = text({0x3e, 0x00, 0xc0, 0x00});
  const std::string single_high = text({0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0});
  const std::string double_high = text({0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0});
  check_close(load(0.0f, "<f2", half, 2), {1.5, -2}, 0);
  check_close(load(0.0, ">f2", half_high, 2), {1.5, -2}, 0);
  check_close(load(0.0f, ">f4", single_high, 2, {}), {1.5, -2}, 0);
  check_close(load(0.0, ">f4", single_high, 2), {1.5, -2}, 0);
  check_close(load(0.0, ">f8", double_high, 2, {}), {1.5, -2}, 0);
  check_close(load(0.0f, ">f8", double_high, 2), {1.5, -2}, 0);
  check_close(load(0.0f, "|i1", text({1, 0xfe}), 2), {1, -2}, 0);
  check_close(load(0.0f, "|u1", text({1, 0xfe}), 2), {1, 254}, 0);
  check_close(load(0.0f, "|b1", text({0, 1}), 2), {0, 1}, 0);
  check_close(load(0.0f, "<i2", text({1, 0, 0xfe, 0xff}), 2), {1, -2}, 0);
  check_close(load(0.0f, ">i2", text({0, 1, 0xff, 0xfe}), 2), {1, -2}, 0);
  check_close(load(0.0f, ">u4", text({0, 0, 1, 2}), 1), {258}, 0);
  check_close(load(0.0, "<i8", text({0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), 1), {-2}, 0);
  check_close(load(0.0, ">u8", text({0, 0, 0, 0, 0, 0, 1, 0}), 1), {256}, 0);
  CHECK(load(0.0, "<i8", "", 0).shape() == Shape{0});

  write(path.name, file_of(dictionary("(2, 3)", "|u1", "True")) + text({1, 4, 2, 5, 3, 6}));
  check_close(nn::load_npy<double>(path.name, {.convert = true}), {{1, 2, 3}, {4, 5, 6}}, 0);
  CHECK(error_of(file_of(dictionary("(2,)", "<f2")) + half) ==
        "holds elements of type <f2, not <f4: give {.convert = true}");
  CHECK_THROWS_WITH_AS(
      load(0.0f, "<u4", text({0, 0, 0, 0, 1, 0, 0, 1}), 2),
      ("[load_npy] " + path.name + ": holds an integer of type <u4 that <f4 does not have, at element 1")
          .c_str(),
      Error);
}

TEST_CASE("damaged files are refused before anything is allocated for what they claim") {
  const std::string good = file_of(dictionary("(2,)"), {1, 2});
  CHECK(error_of(good) == "no error");
  for (std::size_t size = 0; size < good.size(); ++size) CHECK(error_of(good.substr(0, size)) != "no error");
  CHECK(error_of(good + "x") ==
        "its shape (2,) takes 8 bytes, and the file has 9: it is cut short, or has more than it says");
  CHECK(error_of("P5 2 2 255") == "is no .npy file");
  CHECK(error_of(std::string("\x93NUMPY\x03\0", 8)) == "is of version 3.0, and 1.0 and 2.0 are known");
  CHECK(error_of(std::string("\x93NUMPY\x02\0\xff\xff\xff\xff", 12)) == "is cut short in its header");
  CHECK(error_of(file_of(dictionary("(2,)", "<f8"), {1, 2, 3, 4})) ==
        "holds elements of type <f8, not <f4: give {.convert = true}");
  for (const std::string type : {"", "f4", "=f4", "<f3", "<f16", "|f4", "<c8", "<U1", "|V2", "<", ">"})
    CHECK(error_of(file_of(dictionary("(2,)", type), {1, 2})) ==
          "holds elements of type " + type + ", which cannot be read");
  CHECK(error_of(file_of(dictionary("(4294967296, 4294967296)"))) ==
        "its shape (4294967296, 4294967296) is too large");
  CHECK(error_of(file_of(dictionary("(99999999999999999999,)"))) ==
        "its shape (99999999999999999999,) is too large");
  CHECK(error_of(file_of(dictionary("(0, 4294967296, 4294967296)"))) ==
        "its shape (0, 4294967296, 4294967296) is too large");
  CHECK(error_of(file_of(dictionary("(1, 1, 1, 1, 1, 1, 1, 1, 1)"), {1})) ==
        "has 9 axes, and at most 8 are possible");
  CHECK(error_of(file_of(dictionary("(1000000000,)"), {1})) ==
        "its shape (1000000000,) takes 4000000000 bytes, and the file has 4: it is cut short, or has more "
        "than it "
        "says");
  CHECK(error_of(file_of("{'descr': '<f4'}" + std::string(2000, ' '))).starts_with("has a header of 2"));
  for (const std::string text : {"{}", "{'shape': (1,), 'descr': '<f4', 'fortran_order': False, }", "x", "",
                                 "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
                                 "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }",
                                 "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
                                 "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }"})
    CHECK(error_of(file_of(text, {1})) ==
          "its header is not that of an array of numbers, with descr, fortran_order and shape in this order");
}

TEST_CASE("what the system refuses is an error with its words, and the old file stays") {
  CHECK_THROWS_WITH_AS(nn::save_npy("/does/not/exist/a", Tensor<float>(1)),
                       "[save_npy] /does/not/exist/a: No such file or directory", Error);
  CHECK_THROWS_WITH_AS(nn::load_npy<float>("/does/not/exist/a"),
                       "[load_npy] /does/not/exist/a: No such file or directory", Error);
  CHECK_THROWS_WITH_AS(nn::load_npy<float>("/"), "[load_npy] /: is a folder", Error);
  CHECK_THROWS_WITH_AS(nn::save_npy("a", Tensor<float>()), "[save_npy] a: the tensor is empty", Error);
}
