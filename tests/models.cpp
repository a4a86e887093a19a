// SPDX-License-Identifier: MIT
// `test_models MODEL CLASSES WIDTH FILE` makes a network of trials/models and saves, in torch's format, what
// tests/python/test_models.py compares with the same network in Python: its weights and buffers, images, and what it
// makes of them while it trains (with torch seeded with 2, for dropout) and after.
#include <torch/torch.h>

#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "models/densenet.h"
#include "models/resnet.h"
#include "models/resnet18.h"
#include "models/vgg.h"
#include "models/whitened_resnet.h"
#include "workloads/fashion_mnist_cnn.h"

namespace adabelief::trials {
namespace {

c10::IValue tuple(const std::vector<torch::Tensor>& tensors) {
  std::vector<c10::IValue> values;
  for (const torch::Tensor& tensor : tensors) values.emplace_back(tensor.detach().clone());
  return c10::ivalue::Tuple::create(std::move(values));
}

// Of one colour each, but for noise.
torch::Tensor images() { return torch::randn({8, 3, 32, 32}) + 2 * torch::randn({8, 3, 1, 1}); }

template <class Holder>
std::vector<c10::IValue> shown(Holder net, const torch::Tensor& x = images()) {
  std::vector<c10::IValue> all{tuple(net->parameters()), tuple(net->buffers()), x};
  torch::manual_seed(2);
  all.emplace_back(net->forward(x).detach());
  net->eval();
  all.emplace_back(net->forward(x).detach());
  return all;
}

int save(const std::string& model, std::int64_t classes, double width, const std::string& file) {
  torch::manual_seed(1);
  const std::map<std::string, std::function<std::vector<c10::IValue>()>> models{
      {"fashion_mnist_cnn",
       [&] {
         return shown(FashionMnistCnn::model(width), torch::randn({8, 1, 28, 28}));
       }},
      {"resnet20", [&] { return shown(resnet_cifar(3, classes, width)); }},
      {"resnet34", [&] { return shown(resnet34(classes, width)); }},
      {"resnet18", [&] { return shown(ResNet18(classes, width)); }},
      {"vgg11", [&] { return shown(Vgg11(classes, width)); }},
      {"densenet121", [&] { return shown(DenseNet121(classes, width)); }},
      {"whitened_resnet",
       [&] {
         const torch::Tensor x = images();
         WhitenedResNet net = whitened_resnet(classes, width);
         net->whiten(x);
         return shown(net, x);
       }},
  };
  const std::vector<char> bytes = torch::pickle_save(c10::ivalue::Tuple::create(models.at(model)()));
  std::ofstream(file, std::ios::binary).write(bytes.data(), std::ssize(bytes));
  return 0;
}

}  // namespace
}  // namespace adabelief::trials

int main(int, char** words) {
  return adabelief::trials::save(words[1], std::stoll(words[2]), std::stod(words[3]), words[4]);
}
