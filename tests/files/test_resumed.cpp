// A training that is saved at any batch or epoch, and loaded, against one that ran through.
#include <cmath>
#include <filesystem>
#include <functional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "../check_close.hpp"

#include <autodiff/platform/system.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using Data = nn::Dataset<double>;
using Loader = nn::DataLoader<double>;
using Trainer = nn::Trainer<double>;

namespace {

const nn::LossFunction<double> cross_entropy = [](const Tensor<double>& logits, const Data& batch) {
  return nn::cross_entropy(logits, batch.labels);
};

}  // namespace

TEST_CASE("a training that is saved anywhere and loaded goes on to the same bits, early stopping included") {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("xtape_trainer_" + std::to_string(platform::process_id())))
          .string();
  const Data all = Data::from_csv(std::string(XTAPE_SOURCE_DIR) + "/examples/train_digits/digits.csv.gz",
                                  {.scale = 1.0 / 16});
  const auto [test, training] = all.split(0.2, 1);
  const Data validation = test;                     // Clang 14 captures no binding
  const Data small = training.split(0.2, 2).first;  // 287 samples
  struct Run {
    nn::Sequential<double> model{nn::Linear<double>(64, 12), nn::BatchNorm1d<double>(12), nn::ReLU<double>(),
                                 nn::Dropout<double>(0.2), nn::Linear<double>(12, 10)};
    nn::SGD<double> sgd{model.parameters(), {.learning_rate = 1.5, .momentum = 0.9}};
    nn::StepLR schedule{sgd, {.step_size = 2, .gamma = 0.9}};
    Trainer trainer{model, sgd, cross_entropy, {.epochs = 12, .patience = 3}};
  };
  const auto train = [&](Run& run, Loader loader,
                         const std::function<void(std::size_t, std::size_t)>& at = {}) {
    run.trainer.options.on_batch_end = [&](std::size_t epoch, std::size_t batch, double) {
      if (at) at(epoch, batch);
    };
    run.trainer.options.on_epoch_end = [&](const nn::Epoch& epoch) {
      run.schedule.step();
      if (at) at(epoch.number, 0);
      return true;
    };
    run.trainer.fit(loader, validation);
  };
  const Loader loader(small, {.batch_size = 64, .seed = 5});
  random::seed(8);
  Run whole;
  train(whole, loader);
  const auto& epochs = whole.trainer.history.epochs;
  REQUIRE(epochs.size() < 12);  // patience has ended it
  REQUIRE(epochs.size() > 5);

  struct Killed {};
  for (std::size_t epoch = 1; epoch <= epochs.size(); ++epoch)
    for (const std::size_t batch : {0u, 1u, 3u, 5u}) {  // 0: at the end of the epoch; 5: after its last batch
      CAPTURE(epoch);
      CAPTURE(batch);
      random::seed(8);
      Run killed;
      CHECK_THROWS_AS(
          train(killed, loader,
                [&](std::size_t e, std::size_t b) {
                  if (e != epoch || b != batch) return;
                  nn::save(path, killed.trainer, {{"schedule", std::to_string(killed.schedule.count())}});
                  throw Killed();
                }),
          Killed);
      random::seed(99);
      Run resumed;
      const nn::Notes notes = nn::load(path, resumed.trainer);
      CHECK(notes.size() == 1);
      resumed.schedule = nn::StepLR(resumed.sgd, {.step_size = 2, .gamma = 0.9});
      resumed.schedule.set_count(std::stoul(notes.at("schedule")));
      resumed.trainer.options.epochs = 12 - resumed.trainer.history.epochs.size();
      CHECK(resumed.trainer.history.epochs.size() == epoch - (batch > 0));
      train(resumed, Loader(small, {.batch_size = 64}));
      REQUIRE(resumed.trainer.history.epochs.size() == epochs.size());
      for (std::size_t i = 0; i < epochs.size(); ++i) {
        CHECK(resumed.trainer.history.epochs[i].train_loss == epochs[i].train_loss);
        CHECK(resumed.trainer.history.epochs[i].validation_loss == epochs[i].validation_loss);
        CHECK(resumed.trainer.history.epochs[i].learning_rate == epochs[i].learning_rate);
      }
      const auto expected = whole.model.state_dict(), found = resumed.model.state_dict();
      for (std::size_t i = 0; i < expected.size(); ++i) check_close(found[i].second, expected[i].second, 0);
    }

  // The same file gives the model alone, or with its optimiser; one without a training is refused.
  Run other;
  nn::load(path, other.model);
  nn::load(path, other.model, other.sgd);
  nn::save(path, other.model, other.sgd);
  CHECK_THROWS_WITH_AS(nn::load(path, other.trainer),
                       "[Trainer] there is no 'early_stopping': it was saved without a trainer", Error);
  CHECK_THROWS_WITH_AS(nn::save(path, other.model, {{"trainer.epoch", "1"}}),
                       doctest::Contains("the note 'trainer.epoch' has a name that the file uses itself"),
                       Error);
  nn::save(path, whole.trainer);
  nn::NamedTensors<double> content = nn::load_tensors<double>(path);
  for (const char* note : {"early_stopping", "epoch", "place", "generator", "history"}) {
    nn::NamedTensors<double> damaged = content;
    damaged.metadata["trainer." + std::string(note)] = "x";
    nn::save_tensors(path, damaged);
    CHECK_THROWS_AS(nn::load(path, other.trainer), Error);
    CHECK(other.trainer.history.epochs.empty());
  }
  // After a fit() that has come to its end, the next one waits anew.
  nn::save_tensors(path, content);
  nn::load(path, other.trainer);
  CHECK(other.trainer.history.epochs.size() == epochs.size());
  other.trainer.options.epochs = 2;
  Loader more = loader;
  CHECK(other.trainer.fit(more, validation).epochs.size() == epochs.size() + 2);
  std::filesystem::remove(path);
}

TEST_CASE("a training that is saved between the batches of an update goes on to the same bits") {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("xtape_accumulated_" + std::to_string(platform::process_id())))
                               .string();
  random::seed(1);
  const Data data(random::normal<double>({22, 3}), random::normal<double>({22, 2}));
  struct Run {
    nn::Sequential<double> model{nn::Linear<double>(3, 4), nn::BatchNorm1d<double>(4),
                                 nn::Linear<double>(4, 2)};
    nn::Adam<double> adam{nn::groups<double>({{model[0].parameters(), {.learning_rate = 0.1}},
                                              {model[2].parameters(), {}},
                                              {model[1].parameters(), {.weight_decay = 0.1}}}),
                          {.learning_rate = 0.2}};
    Trainer trainer;
    explicit Run(bool compiled)
        : trainer(model, adam,
                  [](const auto& y, const auto& batch) { return nn::mse_loss(y, batch.targets); },
                  {.epochs = 2, .compiled = compiled, .accumulate = 3, .clip_norm = 0.5}) {}
  };
  for (const bool compiled : {false, true}) {
    random::seed(8);
    Run whole(compiled);
    Loader first(data, {.batch_size = 4, .seed = 5});
    whole.trainer.fit(first);
    struct Killed {};
    for (std::size_t batch = 1; batch <= 6; ++batch) {
      CAPTURE(batch);
      random::seed(8);
      Run killed(compiled);
      killed.trainer.options.on_batch_end = [&](std::size_t epoch, std::size_t number, double) {
        if (epoch != 2 || number != batch) return;
        nn::save(path, killed.trainer);
        throw Killed();
      };
      Loader second(data, {.batch_size = 4, .seed = 5}), third(data, {.batch_size = 4});
      CHECK_THROWS_AS(killed.trainer.fit(second), Killed);
      const auto saved = nn::load_tensors<double>(path);
      CHECK(saved.metadata.contains("trainer.accumulated") == (batch % 3 != 0));
      random::seed(99);
      Run resumed(compiled);
      nn::load(path, resumed.trainer);
      nn::save(path, resumed.trainer);  // before it goes on: as it was
      CHECK(nn::load_tensors<double>(path).metadata == saved.metadata);
      resumed.trainer.options.epochs = 1;
      resumed.trainer.fit(third);
      const auto expected = whole.model.state_dict(), found = resumed.model.state_dict();
      for (std::size_t i = 0; i < expected.size(); ++i) check_close(found[i].second, expected[i].second, 0);
      if (batch % 3 == 0) continue;
      auto damaged = saved;
      damaged.metadata["trainer.accumulated"] = "x";
      nn::save_tensors(path, damaged);
      CHECK_THROWS_AS(nn::load(path, resumed.trainer), Error);
      damaged = saved;
      for (auto& [name, x] : damaged.tensors)
        if (name == "trainer.gradient.0.weight") x = zeros<double>({1});
      nn::save_tensors(path, damaged);
      CHECK_THROWS_WITH_AS(nn::load(path, resumed.trainer),
                           doctest::Contains("the gradient of '0.weight' is of shape (1,)"), Error);
    }
  }
  std::filesystem::remove(path);
}

TEST_CASE("the state of a generator is read from its text, of whatever standard library") {
  const auto check_same = [](std::mt19937_64 expected, const std::string& text) {
    std::mt19937_64 read(99);
    CHECK(engine::read_generator(text, read));
    for (int i = 0; i < 1000; ++i) REQUIRE(read() == expected());
  };
  const std::mt19937_64 start(7);
  const std::string first_round = engine::generator_text(start);  // its words, of which none is drawn
  REQUIRE(first_round.ends_with(" 0"));
  for (const unsigned drawn : {0u, 1u, 100u, 155u, 156u, 157u, 311u, 312u, 313u, 1000u}) {
    CAPTURE(drawn);
    std::mt19937_64 engine = start;
    engine.discard(drawn);
    check_same(engine, engine::generator_text(engine));
    std::ostringstream of_library;
    of_library << engine;
    check_same(engine, of_library.str());
    // As GCC's library writes it, and as libc++ does at the end of a round.
    if (drawn <= 312)
      check_same(engine, first_round.substr(0, first_round.size() - 1) + std::to_string(drawn));
    if (drawn == 312) check_same(engine, first_round.substr(0, first_round.size() - 2));
  }
  std::mt19937_64 none;
  for (const std::string& text : {std::string(), std::string("1 2 3"), first_round + " 1", first_round + "x",
                                  first_round.substr(0, first_round.size() - 1) + "313", "-" + first_round})
    CHECK_FALSE(engine::read_generator(text, none));
}
