// The recurrent matmul: tiles of some rows by 2 vectors, from weights packed in the order of reading.
#pragma once
#include <utility>

#include "plan.h"
#include "vector.h"

namespace {

template <class T>
constexpr int64_t PANEL = 2 * LANES<T>;
// Sums for 2 vectors a row, two vectors of weights and one number must fit into the registers: 16, or 32.
#if UNROLLED_BYTES == 64 || defined(__aarch64__)
constexpr int MOST_ROWS = 14;
#else
constexpr int MOST_ROWS = 6;
#endif
// So many lines of a panel stay in an innermost cache of 32 KiB, beside what passes.
constexpr int64_t DEEP = 24 * 1024 / (2 * UNROLLED_BYTES);

// packed[p][k][j] = source[(p PANEL + j) unit_stride + k depth_stride], zero beyond the last unit,
// for the panels [first, last).
template <class T>
void pack(const unrolled::Pack& w, const char* source, char* packed, int64_t first, int64_t last) {
  const T* W = reinterpret_cast<const T*>(source);
  T* out = reinterpret_cast<T*>(packed) + w.offset + first * w.depth * PANEL<T>;
  for (int64_t p = first; p < last; ++p) {
    const int64_t u0 = p * PANEL<T>, units = w.units - u0 < PANEL<T> ? w.units - u0 : PANEL<T>;
    if (w.unit_stride == 1) {
      for (int64_t k = 0; k < w.depth; ++k, out += PANEL<T>) {
        for (int64_t j = 0; j < units; ++j) out[j] = W[u0 + j + k * w.depth_stride];
        for (int64_t j = units; j < PANEL<T>; ++j) out[j] = 0;
      }
      continue;
    }
    const int64_t STRIP = 64;  // short enough for the lines of all units to stay in the first cache
    for (int64_t k0 = 0; k0 < w.depth; k0 += STRIP) {
      const int64_t k1 = k0 + STRIP < w.depth ? k0 + STRIP : w.depth;
      for (int64_t j = 0; j < PANEL<T>; ++j) {
        const T* from = W + (u0 + j) * w.unit_stride;
        for (int64_t k = k0; k < k1; ++k) out[k * PANEL<T> + j] = j < units ? from[k * w.depth_stride] : 0;
      }
    }
    out += w.depth * PANEL<T>;
  }
}

constexpr int AHEAD = 16;  // steps in depth: a panel comes from an outer cache, in order
template <class T>
constexpr int64_t LINE = 64 / sizeof(T);

// R rows of A (depth wide, `stride` apart) times one panel. For few rows, several independent sums keep
// the multipliers busy. TURNED: A is packed by columns, MOST_ROWS numbers each.
template <class T, int R, bool TURNED>
INLINE void panel(const T* A, int64_t stride, const T* P, int64_t depth, Vec<T> (&out)[R][2]) {
  constexpr int S = R == 1 ? 4 : (R <= 3 ? 2 : 1);
  const int64_t L = LANES<T>;
  Vec<T> sum[S][R][2] = {};
  const T* rows[R];
  for (int r = 0; r < R; ++r) rows[r] = A + r * stride;
  const int64_t step = TURNED ? MOST_ROWS : 1;
  int64_t k = 0;
#pragma GCC unroll 2
  for (; k + S <= depth; k += S) {
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) {
      const T* p = P + (k + s) * PANEL<T>;
      __builtin_prefetch(p + AHEAD * PANEL<T>);
      Vec<T> w0 = load(p), w1 = load(p + L);
#pragma GCC unroll 14
      for (int r = 0; r < R; ++r) {
        Vec<T> x = all<T>(rows[r][(k + s) * step]);
        sum[s][r][0] += x * w0;
        sum[s][r][1] += x * w1;
      }
    }
  }
  for (; k < depth; ++k) {
    Vec<T> w0 = load(P + k * PANEL<T>), w1 = load(P + k * PANEL<T> + L);
#pragma GCC unroll 14
    for (int r = 0; r < R; ++r) {
      Vec<T> x = all<T>(rows[r][k * step]);
      sum[0][r][0] += x * w0;
      sum[0][r][1] += x * w1;
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < R; ++r) {
    out[r][0] = sum[0][r][0];
    out[r][1] = sum[0][r][1];
#pragma GCC unroll 4
    for (int s = 1; s < S; ++s) {
      out[r][0] += sum[s][r][0];
      out[r][1] += sum[s][r][1];
    }
  }
}

template <class T, int R, bool TURNED>
__attribute__((noinline)) void block(const T* A, int64_t stride, const T* P, int64_t depth, T* out,
                                     int64_t out_stride, int64_t units, bool whole, bool add) {
  const int64_t L = LANES<T>;
  Vec<T> y[R][2];
  for (int r = 0; r < R; ++r)  // they are here when the sums are
    for (int64_t line = 0; line < PANEL<T>; line += LINE<T>) __builtin_prefetch(out + r * out_stride + line, 1);
  panel<T, R, TURNED>(A, stride, P, depth, y);
  if (add) {
    const bool full = whole || units >= PANEL<T>;
    for (int r = 0; r < R; ++r) {
      const T* o = out + r * out_stride;
      y[r][0] += full || units >= L ? load(o) : load_part(o, units);
      if (full || units > L) y[r][1] += full ? load(o + L) : load_part(o + L, units - L);
    }
  }
  if (whole || units >= PANEL<T>) {
#pragma GCC unroll 14
    for (int r = 0; r < R; ++r) {
      store(out + r * out_stride, y[r][0]);
      store(out + r * out_stride + L, y[r][1]);
    }
    return;
  }
  for (int r = 0; r < R; ++r) {
    T* o = out + r * out_stride;
    if (units >= L) {
      store(o, y[r][0]);
      store_part(o + L, y[r][1], units - L);
    } else {
      store_part(o, y[r][0], units);
    }
  }
}

template <class T, bool TURNED, int... R>
INLINE auto block_of(int64_t rows, std::integer_sequence<int, R...>) {
  static constexpr decltype(&block<T, 1, TURNED>) blocks[] = {block<T, R + 1, TURNED>...};
  return blocks[(rows < MOST_ROWS ? rows : MOST_ROWS) - 1];
}

// `block` for a number of rows that is known when it runs; beyond MOST_ROWS they do not count.
template <class T, bool TURNED>
INLINE auto block_of(int64_t rows) {
  return block_of<T, TURNED>(rows, std::make_integer_sequence<int, MOST_ROWS>{});
}

// Rows that lie a multiple of some lines apart share few sets of a cache: those that are read together would drive
// each other out.
template <class T>
INLINE bool crowded(int64_t stride, int64_t rows) {
  return rows > 4 && stride * sizeof(T) % (16 * 64) == 0;
}

// The stride of a copy whose rows do not.
template <class T>
constexpr int64_t apart(int64_t depth) {
  return (depth + LINE<T> - 1) / LINE<T> / 2 * 2 * LINE<T> + LINE<T>;  // an odd number of lines
}

template <class T>
void copy_apart(const T* A, int64_t stride, T* to, int64_t rows, int64_t depth) {
  for (int64_t r = 0; r < rows; ++r) std::memcpy(to + r * apart<T>(depth), A + r * stride, depth * sizeof(T));
}

// out (rows, units) = A (rows, depth) times the panels from unit `first` on; `first` is a multiple of PANEL.
// `whole`: out has room for whole panels. `add`: out += instead. As much of a panel as stays in a cache is
// taken at a time, while the rows pass; and as much of the rows, while the panels do.
template <class T>
void gemm(const T* A, int64_t stride, const T* packed, int64_t depth, int64_t first, T* out, int64_t out_stride,
          int64_t rows, int64_t units, bool whole, bool add) {
  const int64_t blocks = (rows + MOST_ROWS - 1) / MOST_ROWS, slices = blocks == 1 ? 1 : (depth + DEEP - 1) / DEEP;
  for (int64_t s = 0; s < slices; ++s) {
    const int64_t k0 = depth * s / slices, n = depth * (s + 1) / slices - k0;
    for (int64_t u = 0; u < units; u += PANEL<T>) {
      const T* P = packed + (first + u) / PANEL<T> * depth * PANEL<T>;
      for (int64_t k = 0; k < blocks; ++k) {
        const int64_t r = rows * k / blocks, R = rows * (k + 1) / blocks - r;
        block_of<T, false>(R)(A + r * stride + k0, stride, P + k0 * PANEL<T>, n, out + r * out_stride + u, out_stride,
                              units - u, whole, add || s > 0);
      }
    }
  }
}

// R rows of A times U rows of W as they lie.
template <class T, int R, int U>
INLINE void dots_block(const T* A, int64_t stride, const T* W, int64_t unit_stride, int64_t depth, T* out,
                       int64_t out_stride, bool add) {
  const int64_t L = LANES<T>;
  Vec<T> sum[R][U] = {};
  for (int64_t k = 0; k < depth; k += L) {
    const bool part = k + L > depth;
    Vec<T> w[U];
#pragma GCC unroll 4
    for (int j = 0; j < U; ++j) {
      const T* p = W + j * unit_stride + k;
      w[j] = part ? load_part(p, depth - k) : load(p);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const T* a = A + r * stride + k;
      Vec<T> x = part ? load_part(a, depth - k) : load(a);
#pragma GCC unroll 4
      for (int j = 0; j < U; ++j) sum[r][j] += x * w[j];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < U; ++j) {
      T* o = out + r * out_stride + j;
      *o = total<T>(sum[r][j]) + (add ? *o : T(0));
    }
}

// As gemm, from a matrix as it lies: for so few rows that to pack it would take longer than to use it.
template <class T>
__attribute__((noinline)) void dots(const T* A, int64_t stride, const T* W, int64_t unit_stride, int64_t depth, T* out,
                                    int64_t out_stride, int64_t rows, int64_t units, bool add) {
  int64_t u = 0;
  for (; u + 4 <= units; u += 4, W += 4 * unit_stride) {
    int64_t r = 0;
    for (; r + 3 <= rows; r += 3)
      dots_block<T, 3, 4>(A + r * stride, stride, W, unit_stride, depth, out + r * out_stride + u, out_stride, add);
    for (; r < rows; ++r)
      dots_block<T, 1, 4>(A + r * stride, stride, W, unit_stride, depth, out + r * out_stride + u, out_stride, add);
  }
  for (; u < units; ++u, W += unit_stride)
    for (int64_t r = 0; r < rows; ++r)
      dots_block<T, 1, 1>(A + r * stride, stride, W, unit_stride, depth, out + r * out_stride + u, out_stride, add);
}

// out (rows, units) (+)= A W^T for the units of `w` from `first` on.
template <class T>
INLINE void times_matrix(const unrolled::Pack& w, const char* packed, const T* A, int64_t stride, int64_t first, T* out,
                         int64_t out_stride, int64_t rows, int64_t units, bool whole, bool add) {
  if (w.source)
    dots<T>(A, stride, reinterpret_cast<const T*>(w.source) + first * w.unit_stride, w.unit_stride, w.depth, out,
            out_stride, rows, units, add);
  else
    gemm<T>(A, stride, reinterpret_cast<const T*>(packed) + w.offset, w.depth, first, out, out_stride, rows, units,
            whole, add);
}

}  // namespace
