// Weights from elsewhere: checkpoints as transformers and torchvision lay them out, which
// foreign/make_foreign.py wrote, in models with other names; and files that fit in part.
#include "foreign.hpp"

using namespace xtape;
using namespace xtape::test;
using Names = std::vector<std::string>;

namespace {

// ---- the models, with names that PyTorch's classes have, or not

struct Bert : nn::Module<double> {
  nn::Embedding<double> words{11, 6}, positions{9, 6}, types{2, 6};
  nn::LayerNorm<double> first{6, 1e-12}, second{6, 1e-12}, third{6, 1e-12};
  nn::Linear<double> query{6, 6}, key{6, 6}, value{6, 6}, output{6, 6}, inner{6, 8}, outer{8, 6},
      pooler{6, 6};
  Tensor<double> position_ids = zeros<double>({1, 9}), attended;

  Tensor<double> forward(const Tensor<double>&) override { throw Error("Bert", "takes indices"); }
  Tensor<double> operator()(const Indices& ids, const Indices& kinds) {
    const std::size_t n = ids.size();
    const Tensor<double> where = flatten(slice(position_ids, 0, xt::range(0, n)));
    Tensor<double> x = first(words(ids) + positions(where) + types(kinds));
    const auto heads = [&](const Tensor<double>& y) { return swapaxes(reshape(y, {n, 2, 3}), 0, 1); };
    const Tensor<double> weights =
        softmax(matmul(heads(query(x)), swapaxes(heads(key(x)), 1, 2)) / std::sqrt(3.0), -1);
    attended = reshape(swapaxes(matmul(weights, heads(value(x))), 0, 1), {n, 6});
    x = second(output(attended) + x);
    return third(outer(gelu(inner(x))) + x);
  }
  void members(nn::Members<double>& m) override {
    m.module("embeddings.word_embeddings", words);
    m.module("embeddings.position_embeddings", positions);
    m.module("embeddings.token_type_embeddings", types);
    m.module("embeddings.LayerNorm", first);
    m.module("layer.attention.self.query", query);
    m.module("layer.attention.self.key", key);
    m.module("layer.attention.self.value", value);
    m.module("layer.attention.output.dense", output);
    m.module("layer.attention.output.LayerNorm", second);
    m.module("layer.intermediate.dense", inner);
    m.module("layer.output.dense", outer);
    m.module("layer.output.LayerNorm", third);
    m.module("pooler.dense", pooler);
    m.buffer("embeddings.position_ids", position_ids);
  }
};

std::string replaced(std::string name, const std::string& part, const std::string& by) {
  if (const std::size_t at = name.find(part); at != std::string::npos) name.replace(at, part.size(), by);
  return name;
}

/// "bert.encoder.layer.0.output.LayerNorm.gamma" is "layer.output.LayerNorm.weight".
std::string without_bert(const std::string& name) {
  return replaced(
      replaced(replaced(replaced(name, "bert.", ""), "encoder.layer.0.", "layer."), "gamma", "weight"),
      "beta", "bias");
}

struct BatchNorm : nn::Module<double> {
  explicit BatchNorm(std::size_t n)
      : weight(parameter(ones<double>({n}))),
        bias(parameter(zeros<double>({n}))),
        mean(zeros<double>({n})),
        var(ones<double>({n})) {}
  Tensor<double> forward(const Tensor<double>& x) override {
    const auto wide = [&](const Tensor<double>& y) { return reshape(y, {y.size(), 1, 1}); };
    return wide(weight) * (x - wide(mean)) / sqrt(wide(var) + 1e-5) + wide(bias);
  }
  void members(nn::Members<double>& m) override {
    m.parameter("weight", weight);
    m.parameter("bias", bias);
    m.buffer("running_mean", mean);
    m.buffer("running_var", var);
  }
  Tensor<double> weight, bias, mean, var;
};

struct ResNet : nn::Module<double> {
  nn::Conv2d<double> conv1{3, 4, 7, {.stride = 2, .padding = 3, .bias = false}};
  nn::Conv2d<double> first{4, 6, 3, {.stride = 2, .padding = 1, .bias = false}};
  nn::Conv2d<double> second{6, 6, 3, {.padding = 1, .bias = false}};
  nn::Conv2d<double> shortcut{4, 6, 1, {.stride = 2, .bias = false}};
  BatchNorm bn1{4}, first_norm{6}, second_norm{6}, shortcut_norm{6};
  nn::Linear<double> fc{6, 5};

  Tensor<double> forward(const Tensor<double>& image) override {
    const Tensor<double> x = max_pool2d(relu(bn1(conv1(image))), 3, 2, 1);
    const Tensor<double> y = second_norm(second(relu(first_norm(first(x)))));
    return fc(mean(relu(shortcut_norm(shortcut(x)) + y), {2, 3}));
  }
  void members(nn::Members<double>& m) override {
    m.module("conv1", conv1);
    m.module("bn1", bn1);
    m.module("layer1.0.conv1", first);
    m.module("layer1.0.bn1", first_norm);
    m.module("layer1.0.conv2", second);
    m.module("layer1.0.bn2", second_norm);
    m.module("layer1.0.downsample.0", shortcut);
    m.module("layer1.0.downsample.1", shortcut_norm);
    m.module("fc", fc);
  }
};

/// Words whose embedding also gives the logits, as in GPT-2 and BERT.
struct Tied : nn::Module<double> {
  nn::Embedding<double> words{3, 2};
  nn::Linear<double> head{2, 3};
  Tied() { head.weight = words.weight; }
  Tensor<double> forward(const Tensor<double>& x) override { return head(words(x)); }
  void members(nn::Members<double>& m) override {
    m.module("words", words);
    m.module("head", head);
  }
};

}  // namespace

TEST_CASE("a checkpoint of BERT, with BF16 and I64 in it, gives what PyTorch computes from it") {
  const Json& golden = expected().at("bert");
  Bert model;
  const auto [missing, unexpected] = nn::load(folder + "bert.safetensors", model,
                                              {.strict = false, .rename = without_bert, .convert = true});
  CHECK(missing == Names{});
  CHECK(unexpected ==
        Names{"cls.predictions.bias", "cls.seq_relationship.bias", "cls.seq_relationship.weight"});
  const Tensor<double> hidden = model(Indices(golden.at("ids").get<std::vector<std::size_t>>()),
                                      Indices(golden.at("types").get<std::vector<std::size_t>>()));
  check_close(model.attended, tensor(golden.at("attended")), 1e-12, 1e-13);
  check_close(hidden, tensor(golden.at("hidden")), 1e-11, 1e-12);
  check_close(flatten(tanh(model.pooler(take(hidden, {0}, 0)))), tensor(golden.at("pooled")), 1e-11, 1e-12);

  // The head alone, and strictly.
  nn::Linear<double> head(6, 2);
  const auto of_head = [](const std::string& name) {
    const std::string prefix = "cls.seq_relationship.";
    return name.starts_with(prefix) ? name.substr(prefix.size()) : std::string();
  };
  const nn::LoadResult all =
      nn::load(folder + "bert.safetensors", head, {.rename = of_head, .convert = true});
  CHECK((all.missing.empty() && all.unexpected.empty()));
}

TEST_CASE("a checkpoint of ResNet in F16 gives what PyTorch computes from it") {
  const Json& golden = expected().at("resnet");
  ResNet model;
  const std::string path = folder + "resnet.safetensors";
  const auto [missing, unexpected] = nn::load(path, model, {.strict = false, .convert = true});
  CHECK(missing == Names{});
  CHECK(unexpected == Names{"bn1.num_batches_tracked", "layer1.0.bn1.num_batches_tracked",
                            "layer1.0.bn2.num_batches_tracked", "layer1.0.downsample.1.num_batches_tracked"});
  check_close(model(tensor(golden.at("image"))), tensor(golden.at("logits")), 1e-11, 1e-12);

  ResNet other;
  const Tensor<double> before(other.conv1.weight.value());
  CHECK(text_of([&] { nn::load(path, other); }) ==
        "[load] " + path + ": 'bn1.num_batches_tracked' is of type I64, not F64: give {.convert = true}");
  CHECK(
      text_of([&] { nn::load(path, other, {.convert = true}); }) ==
      "[load] " + path +
          ": the model has no 'bn1.num_batches_tracked', 'layer1.0.bn1.num_batches_tracked', "
          "'layer1.0.bn2.num_batches_tracked', 'layer1.0.downsample.1.num_batches_tracked': give .rename or "
          "{.strict = false}");
  check_close(other.conv1.weight, before, 0);

  const auto content = nn::load_tensors<float>(path, {.convert = true});
  CHECK(content.metadata == nn::Notes{{"format", "pt"}});
  CHECK(content.at("bn1.num_batches_tracked").shape() == Shape{});
  CHECK(content.at("bn1.num_batches_tracked").item() == 5004);
}

TEST_CASE("load that is not strict: names, shapes and types, and nothing changes before all is checked") {
  const Path path;
  using Linear = nn::Linear<float>;
  nn::Sequential<float> model(Linear(2, 2), Linear(2, 1)), before(Linear(2, 2), Linear(2, 1));
  nn::save(path.name, model);
  nn::load(path.name, before);
  const auto refused = [&](const nn::LoadOptions& options, const std::string& text) {
    CHECK(text_of([&] { nn::load(path.name, model, options); }) == "[load] " + path.name + ": " + text);
    for (std::size_t i = 0; i < 4; ++i)
      CHECK(same_bits(model.state_dict()[i].second, before.state_dict()[i].second));
  };
  const std::string two = bytes_of<unsigned>({0x3f800000, 0x40000000}), one = two.substr(0, 4);
  write(path.name, entry("1.weight", "F32", "1,2", 0, 8) + "," + entry("more", "C64", "1", 8, 16), two + two);
  refused({},
          "there is no '0.weight', '0.bias', '1.bias', which the model has; the model has no 'more': give "
          ".rename or {.strict = false}");
  refused(
      {.rename = [](const std::string& name) { return name == "more" ? "" : name; }},
      "there is no '0.weight', '0.bias', '1.bias', which the model has: give .rename or {.strict = false}");
  const auto to_bias = [](const std::string&) { return "0.bias"; };
  refused({.strict = false, .rename = to_bias, .convert = true},
          "'1.weight' and 'more' are both renamed to '0.bias'");
  refused({.strict = false,
           .rename = [](const std::string& name) { return name == "more" ? "0.bias" : name; },
           .convert = true},
          "'more' is of type C64, which cannot be read");
  refused({.strict = false, .rename = [](const std::string& name) { return name == "more" ? "" : "0.bias"; }},
          "'0.bias' is of shape (1, 2), and in the model of shape (2,)");

  const auto [missing, unexpected] = nn::load(path.name, model, {.strict = false});
  CHECK(missing == Names{"0.weight", "0.bias", "1.bias"});
  CHECK(unexpected == Names{"more"});
  check_close(model.state_dict()[2].second, {{1, 2}}, 0);
  CHECK(same_bits(model.state_dict()[0].second, before.state_dict()[0].second));

  std::string entries;
  for (int i = 0; i < 12; ++i) entries += (i ? "," : "") + entry("n" + std::to_string(i), "F32", "0", 0, 0);
  write(path.name, entries, "");
  nn::load(path.name, before, {.strict = false});  // the bits of its own
  nn::load_tensors<float>(path.name);
  CHECK(text_of([&] { nn::load(path.name, model, {}); }) != "no error");
  CHECK(text_of([&] { nn::load(path.name, model, nn::LoadOptions{}); }).find("'n9' and 2 more: give") !=
        std::string::npos);
}

TEST_CASE("braces name options or optimisers") {
  const Path path;
  nn::Sequential<double> model(nn::Linear<double>(2, 2), nn::Linear<double>(2, 1));
  nn::SGD<double> first(model[0].parameters(), {.momentum = 0.5});
  nn::Adam<double> second(model[1].parameters());
  sum(model(ones<double>({1, 2}))).backward();
  first.step();
  second.step();
  nn::save(path.name, model, {{"first", first}, {"second", second}}, {{"note", "1"}});
  const nn::Notes notes{{"note", "1"}};
  CHECK(nn::load(path.name, model, {{"first", first}, {"second", second}}) == notes);
  static_assert(std::is_same_v<decltype(nn::load(path.name, model, {{"first", first}})), nn::Notes>);
  static_assert(std::is_same_v<decltype(nn::load(path.name, model, {})), nn::Notes>);
  static_assert(std::is_same_v<decltype(nn::load(path.name, model, first)), nn::Notes>);
  static_assert(std::is_same_v<decltype(nn::load(path.name, model, {.strict = false})), nn::LoadResult>);
  static_assert(std::is_same_v<decltype(nn::load(path.name, model, {.convert = true})), nn::LoadResult>);
  const nn::LoadResult result =
      nn::load(path.name, model, {.strict = true});  // the optimisers are passed over
  CHECK((result.missing.empty() && result.unexpected.empty()));
}

TEST_CASE("a tensor that the model has by two names loads from either, and from both when they agree") {
  const Path path;
  const Tensor<double> weight{{1, 2}, {3, 4}, {5, 6}}, bias{7, 8, 9};
  using Arrays = std::vector<std::pair<std::string, Tensor<double>>>;
  for (const Arrays& weights : {Arrays{{"words.weight", weight}},
                                {{"head.weight", weight}},
                                {{"words.weight", weight}, {"head.weight", weight}}}) {
    Arrays arrays = weights;
    arrays.emplace_back("head.bias", bias);
    nn::save_tensors<double>(path.name, {arrays, {}});
    Tied strict, options;
    nn::load(path.name, strict);
    nn::load(path.name, options, {.strict = true});
    check_close(strict.words.weight, weight, 0);
    check_close(options.words.weight, weight, 0);
    check_close(options.head.bias, bias, 0);
  }
  nn::save_tensors<double>(
      path.name, {{{"words.weight", weight}, {"head.weight", weight + 1.0}, {"head.bias", bias}}, {}});
  Tied model;
  const std::string text =
      "[load] " + path.name + ": 'words.weight' and 'head.weight' differ, and are one tensor in the model";
  CHECK(text_of([&] { nn::load(path.name, model); }) == text);
  CHECK(text_of([&] { nn::load(path.name, model, {.strict = false}); }) == text);
}

TEST_CASE(
    "only some arrays are read, whatever the others are; those are left out, and the structure counts") {
  const Path path;
  const std::string elements = bytes_of<unsigned>({1, 2, 0x40400000, 0x40800000});
  // A header in any order; empty arrays stand where another one begins; a scalar; types unknown, and 9 axes.
  const std::string entries = entry("w", "F32", "", 8, 12) + "," + entry("none", "F32", "0,3", 8, 8) + "," +
                              entry("ids", "I64", "1", 0, 8) + "," +
                              entry("deep", "F4", "1,1,1,1,1,1,1,1,2", 12, 13) + "," +
                              entry("wide", "I8", "1,1,1,1,1,1,1,1,3", 13, 16);
  write(path.name, entries, elements);
  std::vector<std::string> asked;
  const auto is_float = [&](const std::string& name) {
    asked.push_back(name);
    return name == "w" || name == "none";
  };
  const auto content = nn::load_tensors<float>(path.name, {.only = is_float});
  CHECK(asked == Names{"w", "none", "ids", "deep", "wide"});
  REQUIRE(content.tensors.size() == 2);
  CHECK(content.at("none").shape() == Shape{0, 3});
  CHECK(content.at("w").item() == 3);

  const auto text = [&](const nn::LoadTensorsOptions& options = {}) {
    return text_of([&] { nn::load_tensors<float>(path.name, options); });
  };
  const std::string start = "[load] " + path.name + ": ";
  CHECK(text() == start + "'ids' is of type I64, not F32: give {.convert = true}");
  CHECK(text({.convert = true}) == start + "'deep' is of type F4, which cannot be read");
  write(path.name, entry("wide", "I8", "1,1,1,1,1,1,1,1,3", 0, 3), "123");
  CHECK(text({.convert = true}) == start + "'wide' has 9 axes, and at most 8 are possible");
  const nn::LoadTensorsOptions nothing{.only = [](const std::string&) { return false; }};
  CHECK(text(nothing) == "no error");
  write(path.name, entry("ids", "I64", "2", 0, 8), elements.substr(8));
  CHECK(text(nothing) == start + "'ids' of shape (2,) has data_offsets 0 and 8 instead of 16 bytes");
  write(path.name, entry("deep", "F4", "2", 8, 0), elements.substr(8));
  CHECK(text(nothing) == start + "'deep' ends before it begins");
  write(path.name, entry("deep", "F4", "2", 0, 1), elements.substr(8));
  CHECK(text(nothing) ==
        start + "the arrays take 1 bytes, and the file has 8: it is cut short, or has more than it says");

  // In a file with a checksum, the bytes of what is left out count too.
  nn::save_tensors<float>(path.name, {{{"a", zeros<float>({9000})}, {"b", Tensor<float>(2)}}, {}});
  const nn::LoadTensorsOptions b{.only = [](const std::string& name) { return name == "b"; }};
  CHECK(nn::load_tensors<float>(path.name, b).at("b").item() == 2);
  std::fstream file(path.name, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-20, std::ios::end);
  file.put(1);
  file.close();
  CHECK(text(b).starts_with(start + "its checksum is not that of its bytes"));
}
