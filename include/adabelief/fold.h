// SPDX-License-Identifier: MIT
// What a step does to its gradients on the way: scaling, clipping, skipping.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "adabelief/cpu.h"

namespace adabelief {

/// Folded into the step, these take no pass over memory of their own; max_norm and skip_nonfinite take one that only
/// reads the gradients. In this order, and before weight decay:
struct Fold {
  /// Every gradient is multiplied by it: 1 / the factor of a scaled loss. Negative, the step maximizes. In the range of
  /// float.
  double scale = 1;
  /// Nothing changes in a step of which a gradient has an element that is not finite, or, in double, of a square that
  /// is not.
  bool skip_nonfinite = false;
  /// Where the 2-norm of all gradients together is above it, they are multiplied by max_norm / norm. In (0, inf]. As in
  /// torch's clip_grad_norm_, a norm of NaN makes NaN of all gradients, and an infinite one makes 0 of those that are
  /// finite and NaN of the others; skip_nonfinite leaves such steps out.
  double max_norm = std::numeric_limits<double>::infinity();
  /// Elements are cut to [-max_value, max_value]. In (0, inf].
  double max_value = std::numeric_limits<double>::infinity();
  /// Gradients are set to 0 after their use, or unused where a step is skipped; they must lie in writable memory, each
  /// in its own.
  bool zero_gradients = false;
};

/// A Fold, and what came of it.
class Folded {
 public:
  /// Throws std::invalid_argument where a number is out of its range.
  void set(const Fold& fold);
  const Fold& get() const { return fold_; }

  /// The 2-norm of the last step's gradients, after scale and before max_norm; NaN where nothing asked for it.
  double norm() const { return norm_; }
  /// Steps that skip_nonfinite has left out.
  std::int64_t skipped() const { return skipped_; }

  bool takes_norm() const { return fold_.skip_nonfinite || fold_.max_norm < std::numeric_limits<double>::infinity(); }

  /// What becomes of a gradient in this step.
  struct Use {
    bool skip;
    double scale, limit;
  };
  /// Decides on a step and writes it into its jobs, whose gradients and, where takes_norm(), squares are there. Of
  /// gradients that are in no job other_squares is the sum of the squares. Where the step is skipped it is over: the
  /// jobs' gradients are 0 if asked for.
  Use prepare(std::span<cpu::Job> jobs, const cpu::Executor& executor, double other_squares = 0);

 private:
  Fold fold_;
  double norm_ = std::numeric_limits<double>::quiet_NaN();
  std::int64_t skipped_ = 0;
};

}  // namespace adabelief
