// What the border checks with, the paths of this build, and which is in use.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "operations.h"
#include "plan.h"

namespace unrolled {

using Ints = std::vector<int64_t>;

// The names of the instructions, in the order of their numbers.
inline std::vector<std::string> instruction_names() {
  std::vector<std::string> names;
#define X(name, expression) names.emplace_back(#name);
  ELEMENTWISE(X)
#undef X
  for (const char* name : {"gemm", "rowsum", "rowmax", "expand", "colsum", "normscale", "normalize",
                           "dnormalize"}) names.emplace_back(name);
  return names;
}

#define X(name, expression) +1
constexpr int GEMM = 0 ELEMENTWISE(X);
#undef X
constexpr int ROWSUM = GEMM + 1, ROWMAX = GEMM + 2, EXPAND = GEMM + 3, COLSUM = GEMM + 4,
              NORMSCALE = GEMM + 5, NORMALIZE = GEMM + 6, DNORMALIZE = GEMM + 7;

[[noreturn]] inline void refuse(const std::string& what) { throw std::invalid_argument("engine: " + what); }
inline void require(bool condition, const char* what) {
  if (!condition) refuse(what);
}

struct Named {
  const char* name;
  const Path* (*get)(bool);
  bool runs;
};

inline std::vector<Named> all_paths() {
  std::vector<Named> paths;
#if defined(UNROLLED_X86)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  paths.push_back({"avx512", path_avx512, avx512});
  paths.push_back({"avx2", path_avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")});
#elif defined(UNROLLED_ARM)
  paths.push_back({"neon", path_neon, true});
#endif
  paths.push_back({"scalar", path_scalar, true});
  return paths;
}

inline const Path* chosen[2];

// The path called `name`; "" for the best that this processor runs.
inline std::string choose(const std::string& name) {
  std::string known;
  for (const Named& path : all_paths()) {
    known += std::string(known.empty() ? "" : ", ") + path.name;
    if (name.empty() ? !path.runs : name != path.name) continue;
    if (!path.runs) refuse("this processor cannot run " + name);
    chosen[0] = path.get(false);
    chosen[1] = path.get(true);
    return path.name;
  }
  refuse("there is no path " + name + "; this build has " + known);
}

inline int64_t times(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product) || product > (1LL << 48)) refuse("a size is beyond any memory");
  return product;
}

// Elements from row to row of a copy of `depth` columns, at most: see `apart` in gemm.h.
inline int64_t copied_width(int64_t depth) { return depth + 64; }

inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

}  // namespace unrolled
