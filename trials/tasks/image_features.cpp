// SPDX-License-Identifier: MIT
// Inception from a file, or a classifier of our own.
#include "tasks/image_features.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <torch/script.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include "files.h"
#include "models/resnet.h"
#include "tensors.h"

namespace adabelief::trials {
namespace {

namespace fs = std::filesystem;

Features inception(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
  data::Sha256 sha256;
  sha256.update(bytes);
  torch::jit::Module module;
  try {
    module = torch::jit::load(file.string());
  } catch (const c10::Error& error) {
    throw std::runtime_error(file.string() + ": not a TorchScript module (" + error.what_without_backtrace() + ")");
  }
  module.eval();
  const auto& arguments = module.get_method("forward").function().getSchema();
  const bool asks = arguments.argumentIndexWithName("return_features").has_value();
  return {"Inception", sha256.digits(), [module, asks](const torch::Tensor& images) mutable {
            const torch::NoGradGuard no_grad;
            std::unordered_map<std::string, c10::IValue> named;
            if (asks) named.emplace("return_features", true);
            return module.get_method("forward")({images}, named).toTensor().flatten(1).to(torch::kFloat);
          }};
}

// A classifier with the mean and the standard deviation of the images that it was trained on.
struct Classifier {
  explicit Classifier(const data::ImageData& images)
      : mean(torch::tensor(images.mean).view({1, -1, 1, 1}) * 255),
        std(torch::tensor(images.std).view({1, -1, 1, 1}) * 255),
        network(resnet_cifar(1, images.classes, 1)) {}

  std::vector<torch::Tensor> tensors() const {
    auto all = network->parameters();
    for (const torch::Tensor& buffer : network->buffers()) all.push_back(buffer);
    return all;
  }

  torch::Tensor normalized(const torch::Tensor& images) const {
    torch::Tensor x = images.to(torch::kFloat);
    if (x.size(2) > 32) x = torch::avg_pool2d(x, x.size(2) / 32);
    return ((x - mean) / std).contiguous(torch::MemoryFormat::ChannelsLast);
  }

  Features features() const {
    return {"own CIFAR-10 classifier", sha256_of(tensors()), [self = *this](const torch::Tensor& images) mutable {
              const torch::NoGradGuard no_grad;
              self.network->eval();
              return self.network->features(self.normalized(images));
            }};
  }

  torch::Tensor mean, std;
  ResNet network;
};

// Leaves torch's generator as it was: what a trial draws from it must not depend on what was in the cache.
class Seeded {
 public:
  explicit Seeded(std::uint64_t seed)
      : generator_(at::detail::getDefaultCPUGenerator()), state_(generator_.get_state()) {
    torch::manual_seed(seed);
  }
  ~Seeded() { generator_.set_state(state_); }

 private:
  at::Generator generator_;
  torch::Tensor state_;
};

void train(Classifier& classifier, const data::ImageData& images, int epochs) {
  const torch::Tensor x = view_of(images.train), y = torch::tensor(std::vector<std::int64_t>(
                                                     images.train.labels.begin(), images.train.labels.end()));
  const std::int64_t batch = std::min<std::int64_t>(128, x.size(0)), per_epoch = x.size(0) / batch,
                     steps = epochs * per_epoch;
  put_channels_last(classifier.network->parameters());
  torch::optim::SGD sgd(classifier.network->parameters(),
                        torch::optim::SGDOptions(0).momentum(0.9).weight_decay(5e-4).nesterov(true));
  classifier.network->train();
  torch::Tensor order;
  for (std::int64_t t = 0; t < steps; ++t) {
    if (t % per_epoch == 0) order = torch::randperm(x.size(0));
    const torch::Tensor indices = order.narrow(0, t % per_epoch * batch, batch);
    const torch::Tensor pixels = classifier.normalized(x.index_select(0, indices));
    const torch::Tensor flips = torch::rand({batch, 1, 1, 1}) < 0.5;
    const double done = (t + 0.5) / steps;  // up for a fifth of the steps, then down
    for (auto& group : sgd.param_groups()) group.options().set_lr(0.4 * std::min(done / 0.2, (1 - done) / 0.8));
    sgd.zero_grad();
    torch::nn::functional::cross_entropy(classifier.network->forward(torch::where(flips, pixels.flip(3), pixels)),
                                         y.index_select(0, indices))
        .backward();
    sgd.step();
  }
}

}  // namespace

torch::Tensor view_of(const data::Images& images) {
  const auto size = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  return torch::from_blob(const_cast<std::uint8_t*>(images.pixels.data()),
                          {size(images.count), size(images.channels), size(images.height), size(images.width)},
                          torch::kUInt8);
}

std::vector<torch::Tensor> cached(const std::string& name, const std::function<std::vector<torch::Tensor>()>& make) {
  const auto roots = data::roots();
  if (roots.empty() || !roots.back().given_by.empty()) return make();  // no home, no cache
  const fs::path file = roots.back().path / (name + ".pt");
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  const int lock = open((file.string() + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (lock < 0) return make();
  struct Close {
    int file;
    ~Close() { close(file); }
  } close{lock};
  flock(lock, LOCK_EX);
  std::vector<torch::Tensor> tensors;
  if (fs::exists(file, error)) {
    try {
      torch::load(tensors, file.string());
      return tensors;
    } catch (const std::exception&) {
      std::cerr << file.string() << ": damaged; it is made again\n";
    }
  }
  tensors = make();
  try {
    std::ostringstream content;
    torch::save(tensors, content);
    write_whole(file, {content.view()});
  } catch (const std::exception&) {
    std::cerr << file.string() << ": cannot be written; what it would hold is computed at each trial's start\n";
  }
  return tensors;
}

Features train_classifier(const data::ImageData& images, int epochs) {
  const Seeded seeded(1);
  Classifier classifier(images);
  const auto tensors = cached("cifar10-classifier-" + images.sha256.substr(0, 16) + "-" + std::to_string(epochs), [&] {
    std::cerr << "training the classifier over whose features FID and KID are taken, once\n";
    train(classifier, images, epochs);
    return classifier.tensors();
  });
  const torch::NoGradGuard no_grad;
  auto own = classifier.tensors();
  for (std::size_t i = 0; i < own.size(); ++i) own[i].copy_(tensors.at(i));
  return classifier.features();
}

Features find_features(const fs::path& data_root, const data::ImageData& images) {
  for (const data::Root& root : data::roots(data_root)) {
    if (const fs::path file = root.path / inception_file; fs::exists(file)) return inception(file);
  }
  return train_classifier(images);
}

}  // namespace adabelief::trials
