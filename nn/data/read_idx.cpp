// IDX: two zero bytes, the type of the elements, the rank, the dimensions as 32-bit big-endian numbers, the
// elements.
#include <algorithm>
#include <vector>

#include <autodiff/platform/compiler.hpp>

#include "../data.hpp"
#include "gzip_file.hpp"

namespace xtape::nn {
namespace {

struct Bytes {
  Shape shape;
  std::string elements;
};

std::size_t big_endian(const std::string& bytes) {
  std::size_t n = 0;
  for (const char c : bytes) n = n << 8 | static_cast<unsigned char>(c);
  return n;
}

/// The unsigned bytes of a file, whose head is believed as far as bytes follow.
Bytes read_idx(const std::string& path, std::size_t lowest_rank, std::size_t highest_rank) {
  detail::GzipFile file("from_idx", path);
  const std::string head = file.read(4);
  if (head.size() < 4 || !head.starts_with(std::string_view("\0\0", 2)))
    file.fail("this is no IDX file: it does not begin with two bytes of 0, a type and a rank");
  if (head[2] != 8)
    file.fail("its elements are of type " + std::to_string(big_endian(head.substr(2, 1))) +
              "; only unsigned bytes, type 8, are read");
  const std::size_t rank = big_endian(head.substr(3));
  if (rank < lowest_rank || rank > highest_rank)
    file.fail("its rank is " + std::to_string(rank) + "; " +
              (highest_rank == 1 ? "labels have rank 1" : "images have a rank from 2 to 8"));
  Bytes bytes;
  std::size_t count = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::string dimension = file.read(4);
    if (dimension.size() < 4) file.fail("the file ends within its head");
    bytes.shape.push_back(big_endian(dimension));
    if (platform::multiply_overflows(count, bytes.shape.back(), count))
      file.fail("its head claims more bytes than can be counted");
  }
  if (count == 0) file.fail("the file holds no samples: its shape is " + to_string(bytes.shape));
  bytes.elements = file.read(count);
  if (bytes.elements.size() < count)
    file.fail("its head claims shape " + to_string(bytes.shape) + ", " + std::to_string(count) +
              " bytes, but " + std::to_string(bytes.elements.size()) + " follow");
  if (!file.read(1).empty())
    file.fail("more bytes follow than its shape " + to_string(bytes.shape) + " takes");
  return bytes;
}

}  // namespace

template <class T>
Dataset<T> Dataset<T>::from_idx(const std::string& images, const std::string& labels) {
  const Bytes pixels = read_idx(images, 2, max_rank), classes = read_idx(labels, 1, 1);
  if (pixels.shape[0] != classes.shape[0])
    throw Error("from_idx", std::to_string(pixels.shape[0]) + " images in " + images + ", but " +
                                std::to_string(classes.shape[0]) + " labels in " + labels);
  Dataset data;
  data.inputs = Tensor<T>::uninitialized(pixels.shape, "from_idx");
  const auto brightness = [](char c) { return static_cast<T>(static_cast<unsigned char>(c)) / T(255); };
  std::ranges::transform(pixels.elements, data.inputs.mutable_data(), brightness);
  data.labels = std::vector<unsigned char>(classes.elements.begin(), classes.elements.end());
  return data;
}

template Dataset<float> Dataset<float>::from_idx(const std::string&, const std::string&);
template Dataset<double> Dataset<double>::from_idx(const std::string&, const std::string&);

}  // namespace xtape::nn
