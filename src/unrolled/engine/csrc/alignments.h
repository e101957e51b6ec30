// Sums over all alignments of labels with steps, by the forward-backward algorithm: models/heads/alignments.py has
// its equation.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "plan.h"
#include "vector.h"

namespace {

using unrolled::Alignments;

constexpr double TINY = 1e-300;

// What a step loses to zero is below 1e-307 of its sum, in alpha and in beta. Where the sum of alpha beta, both in
// units of their sums, is above this at every step, that is nothing beside p.
constexpr double LEAST = 1e-260;
constexpr double CERTAIN = 600;  // a loss below this is right in any case

// -log p of sequence n, and what its steps' symbols take from the gradient; the loss is NaN where it is not certain.
// `work` has align_size numbers.
//
// A row of alpha has `lanes` zeros, the S labels and the S + 1 blanks, both filled up with zeros to `width`. Blank i
// stands before label i.
inline void align(const Alignments& c, int64_t n, double* work) {
  constexpr int64_t lanes = LANES<double>;
  typedef Vec<double> V;
  const int64_t steps = c.steps[n], S = c.counts[n], width = (S + lanes) / lanes * lanes;
  const int64_t row = lanes + 2 * width, at_labels = lanes, at_blanks = lanes + width;
  double* alpha = work;
  double* emitted = alpha + steps * row;  // y_t of each label
  double* skips = emitted + width;        // 1 where a path may come from the label before
  double* onward = skips + width;      // emitted and beta of the step behind: labels, lanes zeros, blanks, lanes zeros
  double* beta = onward + 2 * (width + lanes);
  double* onward_blanks = onward + width + lanes;
  double* beta_blanks = beta + width;
  auto symbol = [&](int64_t i) { return c.labels[i * c.N + n]; };
  auto y_of = [&](int64_t t) { return c.y + (t * c.N + n) * c.V; };
  auto emit = [&](int64_t t) {
    const double* y = y_of(t);
    for (int64_t i = 0; i < S; ++i) emitted[i] = y[symbol(i)];
    return y[0];
  };
  std::fill(emitted, beta + 2 * width, 0.0);
  for (int64_t i = 1; i < S; ++i) skips[i] = symbol(i) != symbol(i - 1);

  // alpha, each row in units of the sum of the one before
  std::fill(alpha, alpha + row, 0.0);
  double blank = emit(0), log_p = 0, sum = blank;
  alpha[at_blanks] = blank;
  if (S) alpha[at_labels] = emitted[0], sum += emitted[0];
  for (int64_t t = 1; t < steps; ++t) {
    const double *labels = alpha + (t - 1) * row + at_labels, *blanks = alpha + (t - 1) * row + at_blanks;
    double* here = alpha + t * row;
    const double unit = 1 / std::max(sum, TINY);
    log_p += std::log(sum);
    blank = emit(t) * unit;
    std::fill(here, here + lanes, 0.0);
    V total_of{};
    for (int64_t i = 0; i < width; i += lanes) {
      const V label = load(labels + i), before = load(labels + i - 1), pause = load(blanks + i);
      const V l = load(emitted + i) * unit * (label + pause + load(skips + i) * before), b = blank * (pause + before);
      store(here + at_labels + i, l);
      store(here + at_blanks + i, b);
      total_of += l + b;
    }
    sum = total<double>(total_of);
  }
  const double* last = alpha + (steps - 1) * row;
  c.losses[n] = -(log_p + std::log(last[at_blanks + S] + last[at_labels + S - 1]));  // before the first: 0
  if (!c.gradient && c.losses[n] < CERTAIN) return;

  // beta, in units as well; the sum of alpha beta is p in both units
  double least = 1;
  beta_blanks[S] = 1;
  if (S) beta[S - 1] = 1;
  sum = 1;
  for (int64_t t = steps - 1; t >= 0; --t) {
    double* labels = alpha + t * row + at_labels;
    double* blanks = alpha + t * row + at_blanks;
    if (t + 1 < steps) {
      const double unit = 1 / std::max(sum, TINY);
      blank = emit(t + 1) * unit;
      for (int64_t i = 0; i < width; i += lanes) {
        store(onward + i, load(emitted + i) * unit * load(beta + i));
        store(onward_blanks + i, blank * load(beta_blanks + i));
      }
      V total_of{};
      for (int64_t i = 0; i < width; i += lanes) {
        const V label = load(onward + i), pause = load(onward_blanks + i);
        const V l = label + load(onward_blanks + i + 1) + load(skips + i + 1) * load(onward + i + 1), b = pause + label;
        store(beta + i, l);
        store(beta_blanks + i, b);
        total_of += l + b;
      }
      sum = total<double>(total_of);
    }
    V paused{}, labelled{};
    for (int64_t i = 0; i < width; i += lanes) {
      const V l = load(labels + i) * load(beta + i);
      store(labels + i, l);
      labelled += l;
      paused += load(blanks + i) * load(beta_blanks + i);
    }
    const double all_paused = total<double>(paused), all = all_paused + total<double>(labelled);
    if (!(all >= least)) least = all;
    if (!c.gradient) continue;
    const double unit = 1 / std::max(all, TINY);
    double* taken = c.gradient + (t * c.N + n) * c.V;
    taken[0] -= all_paused * unit;
    for (int64_t i = 0; i < S; ++i) taken[symbol(i)] -= labels[i] * unit;
  }
  if (!(least > LEAST)) c.losses[n] = std::numeric_limits<double>::quiet_NaN();
}

}  // namespace
