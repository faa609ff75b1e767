// Data sets: from arrays, CSV and IDX files, good ones and bad ones; and the order in which a loader gives
// them.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <locale>
#include <set>

#include <zlib.h>

#include "../check_close.hpp"

#include <autodiff/platform/system.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using Data = nn::Dataset<double>;
using Loader = nn::DataLoader<double>;
using Labels = std::vector<std::ptrdiff_t>;

namespace {

const std::string digits = std::string(XTAPE_SOURCE_DIR) + "/examples/train_digits/digits.csv.gz";
const nn::CsvOptions digit_options{.scale = 1.0 / 16, .low = 0, .high = 16, .classes = 10, .columns = 65};

/// A file that is gone at the end of the scope.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content, const std::string& name = "data") {
    path = (std::filesystem::temp_directory_path() /
            ("xtape_" + std::to_string(platform::process_id()) + "_" + name))
               .string();
    std::ofstream(path, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path;
};

std::string compressed(const std::string& text) {
  const TemporaryFile file("", "gz");
  gzFile out = gzopen(file.path.c_str(), "wb");
  gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
  gzclose(out);
  std::ifstream in(file.path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// A locale in which numbers are written as 0,5.
struct Comma : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
};

/// What an action says, without "[reader] " and the path.
template <class Action>
std::string error_of(const std::string& path, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    const std::string text = error.what();
    const std::size_t at = text.find(path);
    REQUIRE_MESSAGE(at != std::string::npos, text);
    return text.substr(at + path.size());
  }
  return "no error";
}

std::string csv_error(const std::string& content, const nn::CsvOptions& options = {}) {
  const TemporaryFile file(content);
  return error_of(file.path, [&] { Data::from_csv(file.path, options); });
}

Data csv(const std::string& content, const nn::CsvOptions& options = {}) {
  const TemporaryFile file(content);
  return Data::from_csv(file.path, options);
}

/// A digit: 64 equal pixels and a label.
std::string row(int pixel, int label) {
  std::string text;
  for (int i = 0; i < 64; ++i) text += std::to_string(pixel) + ",";
  return text + std::to_string(label) + "\n";
}

/// The bytes of an IDX file.
std::string idx(const std::vector<std::uint32_t>& shape, const std::string& elements, char type = 8) {
  std::string bytes{'\0', '\0', type, static_cast<char>(shape.size())};
  for (const std::uint32_t n : shape)
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(n >> shift & 255);
  return bytes + elements;
}

/// What reading these images says, with two good labels.
std::string idx_error(const std::string& images) {
  const TemporaryFile file(images, "images"), labels(idx({2}, {'\1', '\2'}), "labels");
  return error_of(file.path, [&] { Data::from_idx(file.path, labels.path); });
}

/// Sample i is the number i, with the label i.
Data counted(std::size_t n) {
  return {reshape(arange<double>(static_cast<double>(n)), Dims{n, 1}),
          arange<double>(static_cast<double>(n))};
}

/// The samples of one pass, batch by batch.
std::vector<std::vector<double>> pass(Loader& loader) {
  std::vector<std::vector<double>> batches;
  for (const Data& batch : loader) batches.emplace_back(batch.inputs.begin(), batch.inputs.end());
  return batches;
}

std::vector<double> joined(const std::vector<std::vector<double>>& batches) {
  std::vector<double> all;
  for (const auto& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
  return all;
}

}  // namespace

TEST_CASE("a data set from arrays: targets or labels, one for each sample") {
  const Tensor<double> x{{1, 2}, {3, 4}, {5, 6}};
  const Data labelled(x, std::vector<int>{2, 0, 1}), braces(x, {2, 0, 1});
  CHECK(labelled.size() == 3);
  CHECK(labelled.labels == Labels{2, 0, 1});
  CHECK(braces.labels == labelled.labels);
  CHECK(!labelled.targets.defined());
  CHECK(Data(x, xt::xarray<int>{2, 0, 1}).labels == labelled.labels);
  const Data numbers(xt::xarray<double>{{1, 2}, {3, 4}, {5, 6}}, xt::xarray<float>{0.5f, 1.5f, 2.5f});
  check_close(numbers.targets, {0.5, 1.5, 2.5}, 0);
  CHECK(numbers.labels.empty());
  CHECK(!Data(parameter<double>(x), parameter<double>(x)).targets.requires_grad());
  CHECK(Data(x).size() == 3);
  CHECK(Data().size() == 0);

  const Data part = labelled.select({2, 0, 2});
  check_close(part.inputs, {{5, 6}, {1, 2}, {5, 6}}, 0);
  CHECK(part.labels == Labels{1, 2, 1});
  CHECK(labelled.select({-1}).labels == Labels{1});
  check_close(numbers.select({1}).targets, {1.5}, 0);
  CHECK_THROWS_WITH_AS(labelled.select({3}), "[take] index 3 is out of range for axis 0 of shape (3, 2)",
                       Error);

  CHECK_THROWS_WITH_AS(
      Data(x, {0, 1}),
      "[Dataset] labels of shape (2,) for inputs of shape (3, 2): one for each sample is needed, or "
      "a row of them",
      Error);
  CHECK_THROWS_WITH_AS(Data(x, Indices(1)), doctest::Contains("[Dataset] labels of shape () for inputs"),
                       Error);
  CHECK_THROWS_WITH_AS(
      Data(x, Tensor<double>{1.0, 2.0}),
      "[Dataset] inputs of shape (3, 2) and targets of shape (2,) differ in the number of samples", Error);
  CHECK_THROWS_WITH_AS(Data(Tensor<double>(1.0)), "[Dataset] a tensor of shape () has no axis of samples",
                       Error);
}

TEST_CASE("labels for each place of a sample: parts and batches take their rows") {
  const Data texts(xt::xarray<int>{{5, 6, 7}, {1, 2, 3}, {8, 9, 4}}, {{6, 7, 0}, {2, 3, 0}, {9, 4, 1}});
  CHECK(texts.size() == 3);
  CHECK(texts.select({-1, 0}).labels == Indices{{9, 4, 1}, {6, 7, 0}});
  CHECK(texts.select(std::vector<int>{}).labels.empty());
  const auto [a, b] = texts.split(0.34, 1);
  CHECK(a.labels.shape() == Shape{1, 3});
  CHECK(b.labels.shape() == Shape{2, 3});
  std::size_t batches = 0;
  Loader loader(texts, {.batch_size = 2, .seed = 3});
  for (const auto& batch : loader) {
    ++batches;
    CHECK(batch.labels.shape() == batch.inputs.shape());
    for (std::size_t i = 0; i < batch.size(); ++i)  // each text's label is its next letter
      CHECK(static_cast<double>(batch.labels[3 * i]) == batch.inputs.data()[3 * i + 1]);
  }
  CHECK(batches == 2);
  CHECK(Data(ones<double>({2, 1}), zeros_like(ones<double>({2, 1}))).labels.empty());
  CHECK(Data(ones<double>({1, 1}), Indices{{{0, 1}, {2, 3}}}).select({0, 0}).labels.shape() ==
        Shape{2, 2, 2});
}

TEST_CASE("splitting: every sample once, the seed decides, the global generator has no part in it") {
  const Data data = counted(100);
  random::seed(1);
  const auto [a, b] = data.split(0.29, 5);
  random::seed(2);
  CHECK(a.size() == 29);  // 0.29 · 100 is below 29 in floating point
  check_close(data.split(0.29, 5).first.inputs, a.inputs, 0);
  CHECK(!difference(data.split(0.29, 6).first.inputs, a.inputs, 0, 0).empty());
  std::set<double> all(a.targets.begin(), a.targets.end());
  all.insert(b.targets.begin(), b.targets.end());
  CHECK(all.size() == 100);
  CHECK(data.split(0, 1).first.size() == 0);
  CHECK(data.split(1, 1).second.size() == 0);
  CHECK_THROWS_WITH_AS(data.split(1.5, 1), "[Dataset] a fraction of 1.5 is not in [0, 1]", Error);
}

TEST_CASE("standardising: the training data's numbers for all") {
  const Data training(Tensor<double>{{1, 7}, {3, 7}}), test(Tensor<double>{{2, 8}});
  const nn::Standardizer<double> standardize(training);
  check_close(standardize(training).inputs, {{-1, 0}, {1, 0}}, 0);  // a feature that does not vary is centred
  check_close(standardize(test).inputs, {{0, 1}}, 0);
  const nn::Standardizer<float> pixels(nn::Dataset<float>(Tensor<float>{{1, 3}, {5, 7}}), false);
  CHECK(pixels.mean.item() == 4);
  CHECK(pixels.sd.item() == std::sqrt(5.0f));
  // The mean of equal numbers may be another one, by rounding; what is near to equal does vary.
  for (const float value : {0.1f, 1e-30f, 1e30f, 3.3f}) {
    const Tensor<float> same = full<float>({1000, 1}, value);
    CHECK(nn::Standardizer<float>(nn::Dataset<float>(same)).sd.item() == 1);
  }
  const Tensor<double> near{{300.0, 1e-200}, {300.0 + 1e-9, 2e-200}};
  const nn::Standardizer<double> fine{Data(near)};
  CHECK(fine.sd.value()(0) == doctest::Approx(0.5e-9).epsilon(1e-3));
  CHECK(fine.sd.value()(1) == 1);  // its square is below the smallest number
  CHECK_THROWS_WITH_AS(nn::Standardizer<double>(Data{}),
                       "[Standardizer] there are no samples to take a mean of", Error);
}

TEST_CASE("the digits: 1,797 of them, scaled, all classes") {
  const Data data = Data::from_csv(digits, digit_options);
  CHECK(data.inputs.shape() == Shape{1797, 64});
  CHECK(max(data.inputs).item() == 1.0);
  CHECK(min(data.inputs).item() == 0.0);
  for (int c = 0; c < 10; ++c) CHECK(std::count(data.labels.begin(), data.labels.end(), c) > 170);
  CHECK(data.labels[2] == 2);
  CHECK(data.inputs.value()(0, 2) == 5.0 / 16);
  CHECK(data.select({2, 0}).inputs.value()(1, 2) == 5.0 / 16);
}

TEST_CASE("CSV: line ends, blanks, signs, exponents, headers, separators, columns") {
  const Data plain = csv("1, 2.5 ,0\r\n+3\t,-4e-1,1");
  check_close(plain.inputs, {{1.0, 2.5}, {3.0, -0.4}}, 0);
  CHECK(plain.labels == Labels{0, 1});
  CHECK(csv("\xEF\xBB\xBF"
            "1,2\n")
            .labels == Labels{2});  // Excel's mark
  CHECK(csv(compressed("1,2\n")).labels == Labels{2});
  const Data targets =
      csv("a;b;c\n1;2;3\n4;5;6\n", {.target_columns = {0, -1}, .header = true, .separator = ';'});
  check_close(targets.inputs, {{2.0}, {5.0}}, 0);
  check_close(targets.targets, {{1.0, 3.0}, {4.0, 6.0}}, 0);
  CHECK(targets.labels.empty());
  CHECK(csv("7,1\n", {.label_column = 0}).labels == Labels{7});
  CHECK(csv("1,2\r\n\r\n\n").labels == Labels{2});  // lines without anything at the end
  check_close(csv("7,1\n", {.label_column = std::nullopt, .scale = 0.5}).inputs, {{3.5, 0.5}}, 0);
  CHECK(csv("3\n4\n").labels == Labels{3, 4});  // labels alone
  CHECK(csv("3\n4\n").inputs.shape() == Shape{2, 0});
  const TemporaryFile file("0.1,1\n");
  CHECK(nn::Dataset<float>::from_csv(file.path).inputs.item() == 0.1f);
  const std::locale former = std::locale::global(std::locale(std::locale(), new Comma));
  check_close(csv("0.5,1\n").inputs, {{0.5}}, 0);
  std::locale::global(former);
}

TEST_CASE("bad CSV files are named with line and column") {
  const auto digit_error = [](const std::string& text) { return csv_error(text, digit_options); };
  CHECK(digit_error("") == ": the file holds no samples");
  CHECK(csv_error("a,b\n", {.header = true}) == ": the file holds no samples");
  CHECK(digit_error(row(1, 1) + "1,2,3\n") == ":2:6: 3 columns instead of 65");
  CHECK(csv_error("1,2\n1,2,3,4\n") == ":2:5: 4 columns instead of 2");
  CHECK(digit_error(row(1, 1) + "\n" + row(1, 1)) == ":2:1: 1 columns instead of 65");
  CHECK(digit_error("\n\r\n") == ": the file holds no samples");
  CHECK(csv_error(compressed("1,2\n3,4\n"), {.max_bytes = 7}) ==
        ": the text is longer than 7 bytes: set .max_bytes if this is right");
  CHECK(csv_error("1,2\n3,4\n", {.max_bytes = 8}) == "no error");
  CHECK(digit_error("1," + row(1, 1)) == ":1:131: 66 columns instead of 65");
  CHECK(digit_error(row(1, 10)) == ":1:129: label 10 is not from 0 to 9");
  CHECK(digit_error(row(1, 1) + row(2, -1)) == ":2:129: label -1 is not from 0 to 9");
  CHECK(csv_error("1,-1\n") == ":1:3: label -1 is not a class from 0");
  CHECK(csv_error("1,1.5\n") == ":1:3: label 1.5 is not a whole number");
  CHECK(digit_error(row(17, 1)) == ":1:1: 17 is above 16");
  CHECK(digit_error(row(-2, 1)) == ":1:1: -2 is below 0");
  CHECK(digit_error(row(1, 1) + "x" + row(1, 1)) == ":2:1: 'x1' is not a finite number");
  // A first line of names is told from one with a bad cell.
  const std::string header = ": for a line of names set .header = true";
  for (const std::string names : {"x,y", "a,b,2020", "\"width\",\"height\"", "x_1,x_2,y", "year", " id ,_b"})
    CHECK(csv_error(names + "\n").ends_with(" is not a finite number" + header));
  CHECK(csv_error("1,x\n") == ":1:3: 'x' is not a finite number");
  CHECK(csv_error("5.1,3.5,setosa\n") == ":1:9: 'setosa' is not a finite number");
  for (const std::string text : {"nan,1", "NA,1", "nan,nan", "inf,-inf", ",", "1e,2", "1;2;3", "?,?",
                                 "\"1\",2", "2024-01-02,1", "1.2.3,x,4"})
    CHECK(csv_error(text + "\n").ends_with("' is not a finite number"));
  std::string missing = row(1, 1);
  missing.erase(4, 1);
  CHECK(digit_error(row(1, 1) + missing) == ":2:5: '' is not a finite number");
  CHECK(digit_error("99999999999" + row(1, 1).substr(1)) == ":1:1: 1e+11 is above 16");
  for (const std::string text : {"nan", "inf", "-inf", "1e", "0x1", "1 2", "+-1", "+", "1.2.3", "\"1\""})
    CHECK(csv_error("1,1\n1,1\n" + text + ",1\n") == ":3:1: '" + text + "' is not a finite number");
  CHECK(csv_error("1e999,1\n") == ":1:1: '1e999' is out of the range of double");
  CHECK(csv_error("1,1\n" + std::string(1000, 'x') + ",1\n") ==
        ":2:1: '" + std::string(40, 'x') + "…' is not a finite number");
  CHECK(csv_error("1e308,1\n", {.scale = 10}) == ":1:1: inf is out of the range of its tensor");
  const TemporaryFile wide("1,1\n1e39,1\n", "wide");
  CHECK(error_of(wide.path, [&] { nn::Dataset<float>::from_csv(wide.path); }) ==
        ":2:1: 1e+39 is out of the range of its tensor");
  CHECK(nn::Dataset<float>::from_csv(wide.path, {.scale = 0.5e-39}).inputs.value()(1, 0) == 0.5f);
  CHECK_THROWS_WITH_AS(csv("1,2\n", {.label_column = 2}), "[from_csv] there is no column 2 among 2", Error);
  CHECK_THROWS_WITH_AS(Data::from_csv("/does/not/exist.csv"),
                       "[from_csv] /does/not/exist.csv: No such file or directory", Error);
  CHECK_THROWS_WITH_AS(Data::from_csv("/"), doctest::Contains("[from_csv] /: "), Error);
}

TEST_CASE("damaged and cut compressed files are refused") {
  std::ifstream in(digits, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  CHECK(csv_error(whole.substr(0, whole.size() / 2))
            .starts_with(": the compressed data is damaged or cut short: "));
  std::string flipped = whole;
  flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 0x55);
  CHECK(csv_error(flipped) != "no error");
}

TEST_CASE("IDX: images and labels, plain and compressed") {
  const std::string pixels{'\0', '\x33', '\xff', '\x66', '\0', '\1', '\0', '\2'};
  const std::string images = idx({2, 2, 2}, pixels), labels = idx({2}, {'\7', '\xff'});
  for (const bool zipped : {false, true}) {
    const TemporaryFile a(zipped ? compressed(images) : images, "images"),
        b(zipped ? compressed(labels) : labels, "labels");
    const Data data = Data::from_idx(a.path, b.path);
    CHECK(data.inputs.shape() == Shape{2, 2, 2});
    check_close(slice(data.inputs, 0), {{0.0, 0.2}, {1.0, 0.4}}, 1e-16);
    CHECK(data.labels == Labels{7, 255});
    const Data one = data.select({1});
    CHECK(one.inputs.shape() == Shape{1, 2, 2});
    check_close(flatten(one.inputs), {0.0, 1.0 / 255, 0.0, 2.0 / 255}, 1e-16);
  }
}

TEST_CASE("bad IDX files: no allocation for what a head claims, an error that says what is wrong") {
  CHECK(idx_error("") == ": this is no IDX file: it does not begin with two bytes of 0, a type and a rank");
  CHECK(idx_error("1,2\n3,4\n").starts_with(": this is no IDX file"));
  CHECK(idx_error(idx({1, 1}, "abcd", 13)) ==
        ": its elements are of type 13; only unsigned bytes, type 8, are read");
  CHECK(idx_error(idx({2}, "ab")) == ": its rank is 1; images have a rank from 2 to 8");
  CHECK(idx_error(std::string("\0\0\x8\xff", 4)) == ": its rank is 255; images have a rank from 2 to 8");
  CHECK(idx_error(idx({2, 2}, "").substr(0, 10)) == ": the file ends within its head");
  CHECK(idx_error(idx({2, 2}, "abc")) == ": its head claims shape (2, 2), 4 bytes, but 3 follow");
  CHECK(idx_error(idx({2, 2}, "abcde")) == ": more bytes follow than its shape (2, 2) takes");
  CHECK(idx_error(idx({0, 28}, "")) == ": the file holds no samples: its shape is (0, 28)");
  // Petabytes, and more than can be counted: at once, with the memory of three bytes.
  CHECK(idx_error(idx({0xffffffff, 0x100000}, "abc")) ==
        ": its head claims shape (4294967295, 1048576), 4503599626321920 bytes, but 3 follow");
  CHECK(idx_error(idx({0xffffffff, 0xffffffff, 0xffffffff}, "abc")) ==
        ": its head claims more bytes than can be counted");
  const std::string zipped = compressed(idx({2, 1000}, std::string(2000, 'a')));
  CHECK(idx_error(zipped.substr(0, zipped.size() - 10))
            .starts_with(": the compressed data is damaged or cut short"));
  CHECK(idx_error(compressed(idx({2, 1000}, "abc"))) ==
        ": its head claims shape (2, 1000), 2000 bytes, but 3 follow");

  const TemporaryFile images(idx({3, 1}, "abc"), "images"), labels(idx({2}, "ab"), "labels");
  CHECK_THROWS_WITH_AS(Data::from_idx(images.path, labels.path),
                       ("[from_idx] 3 images in " + images.path + ", but 2 labels in " + labels.path).c_str(),
                       Error);
  CHECK_THROWS_WITH_AS(Data::from_idx(images.path, images.path),
                       ("[from_idx] " + images.path + ": its rank is 2; labels have rank 1").c_str(), Error);
  CHECK_THROWS_WITH_AS(Data::from_idx("/does/not/exist", labels.path),
                       "[from_idx] /does/not/exist: No such file or directory", Error);
}

TEST_CASE("Fashion-MNIST as Debian's dataset-fashion-mnist installs it") {
  const std::string folder = "/usr/share/datasets/fashion-mnist/";
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: ", folder, " is not there");
    return;
  }
  for (const auto& [name, n] : {std::pair("train", 60000), std::pair("t10k", 10000)}) {
    const auto data = nn::Dataset<float>::from_idx(folder + name + "-images-idx3-ubyte.gz",
                                                   folder + name + "-labels-idx1-ubyte.gz");
    CHECK(data.inputs.shape() == Shape{n, 28, 28});
    for (int c = 0; c < 10; ++c) CHECK(std::count(data.labels.begin(), data.labels.end(), c) == n / 10);
    CHECK(max(data.inputs).item() == 1);
    CHECK(min(data.inputs).item() == 0);
  }
}

TEST_CASE("a loader gives every sample once in each pass, and each pass in another order") {
  Loader loader(counted(10), {.batch_size = 4, .seed = 7});
  CHECK(loader.size() == 3);
  const auto first = pass(loader), second = pass(loader);
  REQUIRE(first.size() == 3);
  CHECK(first[2].size() == 2);
  CHECK(first != second);
  for (const auto& batches : {first, second}) {
    std::vector<double> all = joined(batches);
    std::ranges::sort(all);
    CHECK(all == std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  }
  random::seed(99);  // has no part in it
  Loader same(counted(10), {.batch_size = 4, .seed = 7}), other(counted(10), {.batch_size = 4, .seed = 8});
  CHECK(pass(same) == first);
  random::uniform<double>({3});
  CHECK(pass(same) == second);
  CHECK(pass(other) != first);

  for (const Data& batch : loader)
    check_close(flatten(batch.inputs), batch.targets, 0);  // rows stay together
  auto batch = loader.begin();
  batch++;
  CHECK(batch->inputs.shape()[0] == 4);
  CHECK(loader.dataset().size() == 10);
  Loader dropped(counted(10), {.batch_size = 4, .drop_last = true});
  CHECK(dropped.size() == 2);
  CHECK(joined(pass(dropped)).size() == 8);
  Loader straight(counted(5), {.batch_size = 2, .shuffle = false});
  CHECK(pass(straight) == std::vector<std::vector<double>>{{0, 1}, {2, 3}, {4}});
  Loader whole(counted(6), {.batch_size = 3}), large(counted(3), {.batch_size = 100});
  CHECK(pass(whole).size() == 2);
  CHECK(pass(large).size() == 1);
}

TEST_CASE("loaders of nothing, and of 0 samples a batch") {
  Loader none{Data()}, too_few(counted(3), {.batch_size = 4, .drop_last = true});
  CHECK(none.size() == 0);
  CHECK(pass(none).empty());
  CHECK(pass(too_few).empty());
  CHECK_THROWS_WITH_AS(Loader(counted(3), {.batch_size = 0}), "[DataLoader] a batch of 0 samples", Error);
}

TEST_CASE("a loader goes on from its state; a pass that was left is over") {
  const nn::DataLoaderOptions options{.batch_size = 3, .seed = 4};
  Loader loader(counted(10), options);
  pass(loader);
  CHECK(loader.state() == Loader::State{4, 1, 0});
  std::vector<std::vector<double>> rest;
  Loader::State left;
  for (const Data& batch : loader) {
    if (loader.state().batch == 2) left = loader.state();
    if (loader.state().batch > 2) rest.emplace_back(batch.inputs.begin(), batch.inputs.end());
  }
  const auto third = pass(loader);
  CHECK(left == Loader::State{4, 1, 2});

  Loader resumed(counted(10), {.batch_size = 3, .seed = 1234});  // the state brings its seed
  resumed.restore(left);
  CHECK(resumed.state() == left);
  CHECK(pass(resumed) == rest);
  CHECK(pass(resumed) == third);
  resumed.restore({4, 1, 4});  // behind the last batch: the next pass
  CHECK(pass(resumed) == third);

  Loader broken(counted(10), options);
  for ([[maybe_unused]] const Data& batch : broken)
    if (broken.state().batch == 4) break;
  CHECK(joined(pass(broken)) != joined(third));
  CHECK(pass(broken) == third);
  CHECK_THROWS_WITH_AS(broken.restore({4, 0, 5}),
                       "[DataLoader] there is no batch 5 among 4: the data or the batch size were others",
                       Error);
}
