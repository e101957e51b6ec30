// Choosing a symbol from scores: the same rule, in the same order and precision, as models/chooser.py, with
// the same counted random numbers as models/philox.py.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

namespace unrolled {

// Philox 4x64 with 10 rounds: number k is word k mod 4 of block k / 4, whose counter is one more.
class Philox {
 public:
  explicit Philox(uint64_t seed = 0, uint64_t position = 0) : seed_(seed), position_(position) {}
  double uniform() {
    const uint64_t k = position_++;
    if (k / 4 + 1 != block_) fill(k / 4 + 1);
    return static_cast<double>(words_[k % 4] >> 11) * 0x1p-53;
  }

 private:
  uint64_t seed_, position_, block_ = 0, words_[4] = {};

  void fill(uint64_t counter) {
    uint64_t c[4] = {counter, 0, 0, 0}, key[2] = {seed_, 0};
    for (int round = 0; round < 10; ++round) {
      const unsigned __int128 a = static_cast<unsigned __int128>(0xD2E7470EE14C6C93ULL) * c[0];
      const unsigned __int128 b = static_cast<unsigned __int128>(0xCA5A826395121157ULL) * c[2];
      const uint64_t n[4] = {static_cast<uint64_t>(b >> 64) ^ c[1] ^ key[0], static_cast<uint64_t>(b),
                             static_cast<uint64_t>(a >> 64) ^ c[3] ^ key[1], static_cast<uint64_t>(a)};
      std::copy(n, n + 4, c);
      key[0] += 0x9E3779B97F4A7C15ULL, key[1] += 0xBB67AE8584CAA73BULL;
    }
    std::copy(c, c + 4, words_);
    block_ = counter;
  }
};

class Chooser {
 public:
  Chooser() = default;
  Chooser(double temperature, int64_t top_k, double top_p, std::vector<int64_t> exclude, uint64_t seed, uint64_t position)
      : temperature_(temperature), top_p_(top_p), top_k_(top_k), exclude_(std::move(exclude)), numbers_(seed, position) {}

  // The symbol, or -1 where a score is not finite. `top_k` below 1 and `top_p` below 0 mean: all.
  int64_t choose(const char* scores, int64_t V, bool is_double) {
    const double u = numbers_.uniform();
    p_.resize(V);
    for (int64_t k = 0; k < V; ++k) {
      p_[k] = is_double ? reinterpret_cast<const double*>(scores)[k] : reinterpret_cast<const float*>(scores)[k];
      if (!std::isfinite(p_[k])) return -1;
    }
    for (int64_t k : exclude_)
      if (k >= 0 && k < V) p_[k] = -std::numeric_limits<double>::infinity();
    const int64_t best = std::max_element(p_.begin(), p_.end()) - p_.begin();
    if (temperature_ == 0) return best;
    const double top = p_[best];
    for (double& p : p_) p = std::exp((p - top) / temperature_);
    if (top_k_ > 0 || top_p_ >= 0) keep_most_likely(V);
    double total = 0;
    sums_.resize(V);
    for (int64_t k = 0; k < V; ++k) sums_[k] = total += p_[k];
    const int64_t k = std::upper_bound(sums_.begin(), sums_.end(), u * total) - sums_.begin();
    int64_t last = V - 1;
    while (last > 0 && p_[last] == 0) --last;
    return std::min(k, last);
  }

 private:
  double temperature_ = 1, top_p_ = -1;
  int64_t top_k_ = 0;
  std::vector<int64_t> exclude_, order_;
  std::vector<double> p_, sums_, kept_;
  Philox numbers_;

  void keep_most_likely(int64_t V) {
    order_.resize(V);
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](int64_t a, int64_t b) { return p_[a] > p_[b]; });
    int64_t keep = top_k_ > 0 ? std::min(top_k_, V) : V;
    if (top_p_ >= 0) {
      const double enough = top_p_ * std::accumulate(p_.begin(), p_.end(), 0.0);
      double sum = 0;
      for (int64_t k = 0; k < V; ++k) {
        sum += p_[order_[k]];
        if (sum >= enough) {
          keep = std::min(keep, k + 1);
          break;
        }
      }
    }
    kept_.assign(V, 0);
    for (int64_t k = 0; k < keep; ++k) kept_[order_[k]] = p_[order_[k]];
    p_.swap(kept_);
  }
};

}  // namespace unrolled
