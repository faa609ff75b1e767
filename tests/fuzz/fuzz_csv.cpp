// Dataset::from_csv: the first byte chooses the options.
#include <nn/data.hpp>

#include "fuzz_file.hpp"

using namespace xtape;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  nn::CsvOptions options;
  if (data[0] & 1) options.label_column = std::nullopt;
  if (data[0] & 2) options.target_columns = {0, -1};
  options.header = data[0] & 4;
  if (data[0] & 8) options.separator = ';';
  if (data[0] & 16) options.classes = 10, options.low = 0, options.high = 16, options.scale = 1.0 / 16;
  if (data[0] & 32) options.columns = 3;
  if (data[0] & 64) options.max_bytes = 1000;
  const fuzz::File file(fuzz::text_of(data + 1, size - 1));
  fuzz::accepted([&] {
    const auto read = nn::Dataset<float>::from_csv(file.path(), options);
    fuzz::require(read.size() > 0, "a file without samples was read");
    fuzz::require(read.labels.empty() || read.labels.size() == read.size(),
                  "labels are not one for each sample");
  });
  fuzz::accepted([&] { nn::Dataset<double>::from_csv(file.path(), options); });
  return 0;
}
