// SPDX-License-Identifier: MIT
// The norm of the gradients.
#include "adabelief/kernel.h"

namespace adabelief::cpu::detail {

Measure gradient_measure(Type type) {
  static constexpr RuleInfo::PerTypeAndIsa<Measure> all{Isas::gradients<float>(), Isas::gradients<double>()};
  return all[int(type)][int(isa())];
}

}  // namespace adabelief::cpu::detail
