// Dataset::from_idx: two bytes with the length of the images' file, then both files.
#include <nn/data.hpp>

#include <algorithm>

#include "fuzz_file.hpp"

using namespace xtape;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t images = std::min<std::size_t>(data[0] + 256u * data[1], size - 2);
  const fuzz::File first(fuzz::text_of(data + 2, images)),
      second(fuzz::text_of(data + 2 + images, size - 2 - images));
  fuzz::accepted([&] {
    const auto read = nn::Dataset<float>::from_idx(first.path(), second.path());
    fuzz::require(read.labels.size() == read.size(), "labels are not one for each image");
  });
  return 0;
}
