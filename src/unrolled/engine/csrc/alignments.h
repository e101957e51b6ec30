// Sums over all alignments of labels with steps, by the forward-backward algorithm: models/heads/alignments.py has
// its equation.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
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

// One sequence. Label i and blank i, which stands before it, have index i; blank S is behind the last label.
//
// At step t a path has come at most to index t, and it cannot end if it is more than steps - t labels short of S. So
// each row is computed from first(t) to last(t) alone, and has zeros on either side of these. Rows of alpha are kept
// for one block of steps; of the other blocks the first row is, from which the others are computed again. Both then
// fit a cache however long the sequence is.
struct Lattice {
  typedef Vec<double> V;
  static constexpr int64_t lanes = LANES<double>;

  const Alignments& c;
  const int64_t n, steps, S, width, row, block;
  double *rows, *kept, *sums, *emitted, *skips, *onward, *onward_blanks, *beta, *beta_blanks, *parts;
  int32_t* symbols;

  // `work` has align_size numbers.
  Lattice(const Alignments& all, int64_t sequence, double* work)
      : c(all), n(sequence), steps(c.steps[n]), S(c.counts[n]), width((S + lanes) / lanes * lanes),
        row(lanes + 2 * width), block(unrolled::align_block(steps)) {
    const auto take = [&](int64_t size) { return work += size, work - size; };
    rows = take(block * row), kept = take((steps + block - 1) / block * row), sums = take(steps);
    emitted = take(width);           // y_t of each label
    skips = take(width + lanes);     // 1 where a path may come from the label before
    onward = take(width + lanes);    // emitted and beta of the step behind
    onward_blanks = take(width + lanes);
    beta = take(width), beta_blanks = take(width);
    std::fill(emitted, work, 0.0);
    parts = take(4 * unrolled::FEW_SYMBOLS);
    symbols = reinterpret_cast<int32_t*>(take(S / 2 + 1));
    for (int64_t i = 0; i < S; ++i) symbols[i] = static_cast<int32_t>(c.labels[i * c.N + n]);
    for (int64_t i = 1; i < S; ++i) skips[i] = symbols[i] != symbols[i - 1];
  }

  int64_t first(int64_t t) const { return std::max<int64_t>(0, S - steps + t) / lanes * lanes; }
  int64_t last(int64_t t) const { return std::min(width, (t + lanes) / lanes * lanes); }
  double* labels(int64_t t) const { return rows + t % block * row + lanes; }
  double* blanks(int64_t t) const { return labels(t) + width; }
  const double* y(int64_t t) const { return c.y + (t * c.N + n) * c.V; }

  double emit(int64_t t) {
    const double* now = y(t);
    for (int64_t i = first(t), end = std::min(S, last(t)); i < end; ++i) emitted[i] = now[symbols[i]];
    return now[0];
  }

  // Zeros on either side of what is computed of an array; before its beginning, too, where `below` says so.
  void close(double* array, int64_t t, bool below) const {
    const int64_t from = first(t), to = last(t);
    if (from || below) store(array + from - lanes, V{});
    if (to < width) store(array + to, V{});
  }

  // alpha of a step, in units of the sum of the one before.
  void forward(int64_t t) {
    double *here = labels(t), *here_blanks = blanks(t);
    V total_of{};
    if (t == 0) {
      store(here, V{}), store(here_blanks, V{});
      here_blanks[0] = emit(0);
      if (S) here[0] = emitted[0];
      total_of = load(here) + load(here_blanks);
    } else {
      const double *label_row = labels(t - 1), *blank_row = blanks(t - 1);
      const double unit = 1 / std::max(sums[t - 1], TINY), blank = emit(t) * unit;
      for (int64_t i = first(t), end = last(t); i < end; i += lanes) {
        const V label = load(label_row + i), before = load(label_row + i - 1), pause = load(blank_row + i);
        const V l = load(emitted + i) * unit * (label + pause + load(skips + i) * before), b = blank * (pause + before);
        store(here + i, l);
        store(here_blanks + i, b);
        total_of += l + b;
      }
    }
    close(here, t, true);
    close(here_blanks, t, false);
    sums[t] = total<double>(total_of);
  }

  // -log p.
  double loss() {
    double log_p = 0;
    for (int64_t t = 0; t < steps; ++t) {
      forward(t);
      if (t % block == 0) std::memcpy(kept + t / block * row, rows, row * sizeof(double));
      if (t + 1 < steps) log_p += std::log(sums[t]);
    }
    return -(log_p + std::log(blanks(steps - 1)[S] + labels(steps - 1)[S - 1]));  // before the first label: 0
  }

  // The rows of alpha of the block that ends with step t.
  void again(int64_t t) {
    const int64_t start = t / block * block;
    std::memcpy(rows, kept + start / block * row, row * sizeof(double));
    for (int64_t k = start + 1; k <= t; ++k) forward(k);
  }

  // beta of step t from that of the step behind, in units of that one's sum; the sum.
  double backward(int64_t t, double sum) {
    const double unit = 1 / std::max(sum, TINY), blank = emit(t + 1) * unit;
    const int64_t from = first(t + 1), to = last(t + 1);
    for (int64_t i = from; i < to; i += lanes) {
      store(onward + i, load(emitted + i) * unit * load(beta + i));
      store(onward_blanks + i, blank * load(beta_blanks + i));
    }
    for (double* array : {onward, onward_blanks}) {
      if (from) store(array + from - lanes, V{});
      store(array + to, V{});
    }
    V total_of{};
    for (int64_t i = first(t), end = last(t); i < end; i += lanes) {
      const V label = load(onward + i), pause = load(onward_blanks + i);
      const V l = label + load(onward_blanks + i + 1) + load(skips + i + 1) * load(onward + i + 1), b = pause + label;
      store(beta + i, l);
      store(beta_blanks + i, b);
      total_of += l + b;
    }
    return total<double>(total_of);
  }

  // The sum of alpha beta at step t, which stands in place of alpha then; taken from the gradient in shares.
  double shares(int64_t t) {
    double *here = labels(t), *here_blanks = blanks(t);
    const int64_t from = first(t), end = last(t), labelled_end = std::min(S, end);
    V paused{}, labelled{};
    for (int64_t i = from; i < end; i += lanes) {
      const V l = load(here + i) * load(beta + i);
      store(here + i, l);
      labelled += l;
      paused += load(here_blanks + i) * load(beta_blanks + i);
    }
    const double all_paused = total<double>(paused), all = all_paused + total<double>(labelled);
    if (!c.gradient) return all;
    const double unit = 1 / std::max(all, TINY);
    double* taken = c.gradient + (t * c.N + n) * c.V;
    taken[0] -= all_paused * unit;
    if (c.V > unrolled::FEW_SYMBOLS) {
      for (int64_t i = from; i < labelled_end; ++i) taken[symbols[i]] -= here[i] * unit;
      return all;
    }
    std::fill(parts, parts + 4 * c.V, 0.0);  // four sums, since one would wait for itself
    for (int64_t i = from; i < labelled_end; ++i) parts[4 * symbols[i] + i % 4] += here[i];
    for (int64_t k = 1; k < c.V; ++k)
      taken[k] -= (parts[4 * k] + parts[4 * k + 1] + parts[4 * k + 2] + parts[4 * k + 3]) * unit;
    return all;
  }
};

// -log p of sequence n, and what its steps' symbols take from the gradient; the loss is NaN where it is not certain.
inline void align(const Alignments& c, int64_t n, double* work) {
  double least = 0;
  if (c.counts[n] <= c.steps[n]) {
    Lattice of(c, n, work);
    c.losses[n] = of.loss();
    if (!c.gradient && c.losses[n] < CERTAIN) return;
    of.beta_blanks[of.S] = 1;
    if (of.S) of.beta[of.S - 1] = 1;
    double sum = 1;
    least = 1;
    for (int64_t t = of.steps - 1; t >= 0; --t) {
      if (t + 1 < of.steps) sum = of.backward(t, sum);
      if (t + 1 < of.steps && (t + 1) % of.block == 0) of.again(t);
      const double all = of.shares(t);
      if (!(all >= least)) least = all;
    }
  }
  if (!(least > LEAST)) c.losses[n] = std::numeric_limits<double>::quiet_NaN();
}

}  // namespace
