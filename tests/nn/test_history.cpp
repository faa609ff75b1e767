// What a Trainer measures and shows: accuracy, history, progress.
#include <limits>
#include <sstream>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
}

TEST_CASE("accuracy: the largest logit, the first of equals, never NaN") {
  CHECK(nn::accuracy(Tensor<float>{{1, 2}, {2, 1}, {3, 3}}, {1, 0, 0}) == 1);
  CHECK(nn::accuracy(Tensor<double>{{1, 2}, {2, 1}, {3, 3}}, {0, 0, 1}) == 1.0 / 3);
  CHECK_THROWS_WITH_AS(nn::accuracy(Tensor<double>{{1, 2}}, {2}),
                       "[accuracy] label 2 is not one of the 2 classes from 0", Error);
  CHECK(nn::accuracy(Tensor<double>{{not_a_number, not_a_number}, {0.0, 1.0}}, {0, 1}) == 0.5);
  CHECK(nn::accuracy(Tensor<double>{{1.0, not_a_number}, {not_a_number, 1.0}, {0.0, 1.0}}, {0, 1, 1}) ==
        1.0 / 3);
  CHECK_THROWS_WITH_AS(nn::accuracy(Tensor<double>{{1, 2}}, {1, 0}),
                       "[accuracy] logits of shape (1, 2) and labels of shape (2,) are not (N, …, C) and "
                       "(N, …) without a 0 among them",
                       Error);
  CHECK_THROWS_AS(nn::accuracy(zeros<double>({0, 2}), std::vector<int>{}), Error);
  const Tensor<double> places{{{1, 2}, {2, 1}, {3, 4}}, {{1, 2}, {2, 1}, {3, 4}}};
  CHECK(nn::accuracy(places, {{1, 0, 1}, {0, 0, 1}}) == 5.0 / 6);
  CHECK_THROWS_AS(nn::accuracy(places, {1, 0}), Error);
  CHECK_THROWS_AS(nn::accuracy(places, {{1, 0}, {0, 0}}), Error);
  CHECK_THROWS_AS(nn::accuracy(Tensor<double>{1.0, 2.0}, 1), Error);
}

TEST_CASE("a history as CSV, in full precision and without what was not measured; and as a table") {
  nn::History history;
  history.epochs = {{1, 2.5, not_a_number, not_a_number, 0.1, 0.25}, {12, 1.0 / 3, 1e-10, 0.975, 1e-4, 100}};
  std::ostringstream csv, table;
  history.write_csv(csv);
  CHECK(csv.str() ==
        "epoch,train_loss,validation_loss,validation_accuracy,learning_rate,seconds\n"
        "1,2.5,,,0.1,0.25\n"
        "12,0.3333333333333333,1e-10,0.975,1e-04,100\n");
  table << history;
  CHECK(table.str() ==
        "epoch  train loss  validation loss  accuracy  learning rate  seconds\n"
        "    1         2.5                -         -            0.1     0.25\n"
        "   12      0.3333            1e-10    97.5 %         0.0001   100.00\n");
}

TEST_CASE("progress: lines where there is no terminal, else one line that is drawn over and fits") {
  const auto epoch = [](std::size_t n) { return nn::Epoch{n, 0.5, 0.25, 0.975, 0.1, 1}; };
  std::ostringstream lines;
  {
    nn::Progress progress(&lines, 12, 5);
    for (std::size_t n = 1; n <= 12; ++n) {
      progress.batch(n, 1, 2, 0.5);
      progress.epoch(epoch(n));
    }
  }
  CHECK(lines.str() ==
        "epoch   1/12  loss 0.5000  validation 0.2500  accuracy  97.5 %\n"
        "epoch   5/12  loss 0.5000  validation 0.2500  accuracy  97.5 %\n"
        "epoch  10/12  loss 0.5000  validation 0.2500  accuracy  97.5 %\n"
        "epoch  12/12  loss 0.5000  validation 0.2500  accuracy  97.5 %\n");

  const auto drawn = [&](std::size_t width) {
    std::ostringstream terminal;
    {
      nn::Progress progress(&terminal, 4, 1, width);
      progress.batch(1, 1, 2, 0.5);
      progress.epoch({2, 0.5, not_a_number, not_a_number, 0.1, 1});
    }
    return terminal.str();
  };
  CHECK(drawn(200) ==
        "\r[###                           ] epoch   1/4  batch 1/2  loss 0.5000\x1b[K"
        "\r[###############               ] epoch   2/4  loss 0.5000\x1b[K\n");
  CHECK(drawn(40) ==
        "\repoch   1/4  batch 1/2  loss 0.5000\x1b[K"
        "\r[######      ] epoch   2/4  loss 0.5000\x1b[K\n");
  CHECK(drawn(12) == "\repoch   1/4\x1b[K\repoch   2/4\x1b[K\n");
  CHECK(drawn(1) == "\r\x1b[K\r\x1b[K\n");
  nn::Progress(nullptr, 3).epoch(epoch(1));  // nowhere

  std::ostringstream trained;
  nn::Linear<double> model(1, 1);
  model.weight.assign({{1.0}});
  model.bias.assign({0.0});
  nn::SGD<double> sgd(model.parameters(), {.learning_rate = 0.1});
  nn::DataLoader<double> loader(nn::Dataset<double>(Tensor<double>{{1.0}}, Tensor<double>{{0.0}}));
  const auto squared_error = [](const Tensor<double>& y, const nn::Dataset<double>& batch) {
    return nn::mse_loss(y, batch.targets);
  };
  nn::Trainer<double>(model, sgd, squared_error, {.epochs = 2, .progress = &trained}).fit(loader);
  CHECK(trained.str() == "epoch   1/2  loss 1.0000\nepoch   2/2  loss 0.3600\n");
}
