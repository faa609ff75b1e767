// A user of xtape-mpi: a training of one rank, or of as many as mpirun starts.
#include <cstdio>

#include <nn/distributed.hpp>
#include <nn/nn.hpp>

int main(int argc, char** argv) {
  using namespace xtape;
  const mpi::Environment environment(argc, argv);
  nn::Linear<double> model(2, 1);
  const mpi::DataParallel<double> parallel(model);
  mean(square(model(ones<double>({3, 2})))).backward();
  const bool good = mpi::all_reduce(Tensor<double>(1.0)).item() == static_cast<double>(mpi::world().size());
  std::printf("%zu ranks: %s\n", mpi::world().size(), good && model.weight.has_grad() ? "ok" : "wrong");
  return good ? 0 : 1;
}
