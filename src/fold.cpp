// SPDX-License-Identifier: MIT
// What a step does to its gradients on the way.
#include "adabelief/fold.h"

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "adabelief/text.h"

namespace adabelief {

void Folded::set(const Fold& fold) {
  const auto refuse = [](std::string_view name, std::string_view range, double value) {
    throw std::invalid_argument("adabelief: " + std::string(name) + " must lie in " + std::string(range) + ", got " +
                                text(value));
  };
  constexpr double most = std::numeric_limits<float>::max();  // beyond it a zero gradient in float would become NaN
  if (!(std::abs(fold.scale) <= most)) refuse("scale", "[-3.4e38, 3.4e38]", fold.scale);
  if (!(fold.max_norm > 0)) refuse("max_norm", "(0, inf]", fold.max_norm);
  if (!(fold.max_value > 0)) refuse("max_value", "(0, inf]", fold.max_value);
  fold_ = fold;
}

Folded::Use Folded::prepare(std::span<cpu::Job> jobs, const cpu::Executor& executor, double other_squares) {
  Use use{false, fold_.scale, fold_.max_value};
  norm_ = std::numeric_limits<double>::quiet_NaN();
  if (takes_norm()) {
    norm_ = std::abs(fold_.scale) * std::sqrt(cpu::gradient_squares(jobs, executor) + other_squares);
    if (fold_.skip_nonfinite && !std::isfinite(norm_)) use.skip = true, ++skipped_;
    if (!(norm_ <= fold_.max_norm)) use.scale *= fold_.max_norm / norm_;
  }
  for (cpu::Job& job : jobs) {
    job.scale = use.scale, job.limit = use.limit, job.zero = fold_.zero_gradients;
    if (use.skip && job.zero && job.n != 0)
      std::memset(const_cast<void*>(job.gradient), 0, job.n * size_of(job.gradient_type));
  }
  return use;
}

}  // namespace adabelief
