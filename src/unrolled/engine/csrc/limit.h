// What the processor can do at most: multiply-adds between registers.
#pragma once
#include "vector.h"

namespace {

// n times 12 multiply-adds of vectors, none of which waits for another; what they come to.
template <class T>
double multiply_adds(int64_t n, double factor, double more) {
  constexpr int SUMS = 12;
  const Vec<T> x = all<T>(static_cast<T>(factor)), y = all<T>(static_cast<T>(more));
  Vec<T> sum[SUMS];
  for (int s = 0; s < SUMS; ++s) sum[s] = all<T>(static_cast<T>(factor * s));
  for (int64_t k = 0; k < n; ++k)
#pragma GCC unroll 12
    for (int s = 0; s < SUMS; ++s) sum[s] = sum[s] * x + y;
  Vec<T> all_sums{};
  for (int s = 0; s < SUMS; ++s) all_sums += sum[s];
  return total<T>(all_sums) / (SUMS * LANES<T>);
}

}  // namespace
