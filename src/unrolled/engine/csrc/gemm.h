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

// to[k][j] = from[j][k], a square of LANES numbers.
template <class T>
INLINE void transpose(const T* from, int64_t stride, T* to, int64_t to_stride) {
  constexpr int L = LANES<T>;
  Vec<T> v[L];
#pragma GCC unroll 16
  for (int j = 0; j < L; ++j) v[j] = load(from + j * stride);
#pragma GCC unroll 4
  for (int h = L / 2; h > 0; h /= 2) {  // squares of h numbers change places across the diagonal
    Int<T> low, high;
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) low[i] = i & h ? L + i - h : i, high[i] = i & h ? L + i : i + h;
#pragma GCC unroll 16
    for (int j = 0; j < L; ++j) {
      if (j & h) continue;
      const Vec<T> a = v[j], b = v[j + h];
      v[j] = __builtin_shuffle(a, b, low);
      v[j + h] = __builtin_shuffle(a, b, high);
    }
  }
#pragma GCC unroll 16
  for (int k = 0; k < L; ++k) store(to + k * to_stride, v[k]);
}

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
    for (int64_t j = 0; j < PANEL<T>; j += LANES<T>) {
      const T* from = W + (u0 + j) * w.unit_stride;
      int64_t k = 0;
      if (j + LANES<T> <= units && w.depth_stride == 1)
        for (; k + LANES<T> <= w.depth; k += LANES<T>) transpose(from + k, w.unit_stride, out + k * PANEL<T> + j, PANEL<T>);
      for (; k < w.depth; ++k)
        for (int64_t i = 0; i < LANES<T>; ++i)
          out[k * PANEL<T> + j + i] = j + i < units ? from[i * w.unit_stride + k * w.depth_stride] : 0;
    }
    out += w.depth * PANEL<T>;
  }
}

constexpr int AHEAD = 16;  // steps in depth: a panel comes from an outer cache, in order. One row has no time for it
template <class T>
constexpr int64_t LINE = 64 / sizeof(T);

// R rows of A (depth wide, `stride` apart) times a panel, or its first vector where V is 1. Where these are few sums,
// several of each keep the multipliers busy. TURNED: A is packed by columns, MOST_ROWS numbers each.
template <class T, int R, int V, bool TURNED>
INLINE void panel(const T* A, int64_t stride, const T* P, int64_t depth, Vec<T> (&out)[R][V]) {
  constexpr int S = R * V <= 2 ? 4 : (R * V <= 6 ? 2 : 1);
  const int64_t L = LANES<T>;
  Vec<T> sum[S][R][V] = {};
  const T* rows[R];
  for (int r = 0; r < R; ++r) rows[r] = A + r * stride;
  const int64_t step = TURNED ? MOST_ROWS : 1;
  int64_t k = 0;
#pragma GCC unroll 2
  for (; k + S <= depth; k += S) {
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) {
      const T* p = P + (k + s) * PANEL<T>;
      if (R > 1) __builtin_prefetch(p + AHEAD * PANEL<T>);
      Vec<T> w[V];
      for (int v = 0; v < V; ++v) w[v] = load(p + v * L);
#pragma GCC unroll 14
      for (int r = 0; r < R; ++r) {
        Vec<T> x = all<T>(rows[r][(k + s) * step]);
        for (int v = 0; v < V; ++v) sum[s][r][v] += x * w[v];
      }
    }
  }
  for (; k < depth; ++k) {
    Vec<T> w[V];
    for (int v = 0; v < V; ++v) w[v] = load(P + k * PANEL<T> + v * L);
#pragma GCC unroll 14
    for (int r = 0; r < R; ++r) {
      Vec<T> x = all<T>(rows[r][k * step]);
      for (int v = 0; v < V; ++v) sum[0][r][v] += x * w[v];
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) {
      out[r][v] = sum[0][r][v];
#pragma GCC unroll 4
      for (int s = 1; s < S; ++s) out[r][v] += sum[s][r][v];
    }
}

// R rows of `out`, of `units` columns: at least one, and V vectors at most. `whole`: there is room for all V vectors.
template <class T, int R, int V, bool TURNED>
__attribute__((noinline)) void block(const T* A, int64_t stride, const T* P, int64_t depth, T* out,
                                     int64_t out_stride, int64_t units, bool whole, bool add) {
  const int64_t L = LANES<T>, last = units - (V - 1) * L;  // of the last vector
  const bool full = whole || last >= L;
  Vec<T> y[R][V];
  for (int r = 0; r < R; ++r)  // they are here when the sums are
    for (int64_t line = 0; line < V * L; line += LINE<T>) __builtin_prefetch(out + r * out_stride + line, 1);
  panel<T, R, V, TURNED>(A, stride, P, depth, y);
  if (add) {
    for (int r = 0; r < R; ++r) {
      const T* o = out + r * out_stride;
      for (int v = 0; v < V - 1; ++v) y[r][v] += load(o + v * L);
      y[r][V - 1] += full ? load(o + (V - 1) * L) : load_part(o + (V - 1) * L, last);
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < R; ++r) {
    T* o = out + r * out_stride;
    for (int v = 0; v < V - 1; ++v) store(o + v * L, y[r][v]);
    if (full)
      store(o + (V - 1) * L, y[r][V - 1]);
    else
      store_part(o + (V - 1) * L, y[r][V - 1], last);
  }
}

template <class T, bool TURNED, int... R>
INLINE auto block_of(int64_t rows, int64_t units, std::integer_sequence<int, R...>) {
  static constexpr decltype(&block<T, 1, 1, TURNED>) blocks[2][MOST_ROWS] = {{block<T, R + 1, 1, TURNED>...},
                                                                            {block<T, R + 1, 2, TURNED>...}};
  return blocks[units > LANES<T>][(rows < MOST_ROWS ? rows : MOST_ROWS) - 1];
}

// `block` for numbers of rows and units that are known when it runs; beyond MOST_ROWS and a panel they do not count.
template <class T, bool TURNED>
INLINE auto block_of(int64_t rows, int64_t units) {
  return block_of<T, TURNED>(rows, units, std::make_integer_sequence<int, MOST_ROWS>{});
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

// Rows of a matrix: `groups` of `n` rows, `stride` elements from row to row and `gap` from group to group.
template <class T>
struct Rows {
  T* at;
  int64_t stride, n, groups, gap;
};

// A copy of rows whose strides do not crowd.
template <class T>
Rows<const T> copy_apart(const Rows<const T>& A, T* to, int64_t depth) {
  const int64_t stride = apart<T>(depth);
  for (int64_t g = 0; g < A.groups; ++g)
    for (int64_t r = 0; r < A.n; ++r)
      std::memcpy(to + (g * A.n + r) * stride, A.at + g * A.gap + r * A.stride, depth * sizeof(T));
  return {to, stride, A.n, A.groups, A.n * stride};
}

// out, of `units` columns, = A (depth columns) times the panels from unit `first` on; `first` is a multiple of PANEL.
// `whole`: out has room for whole panels. `add`: out += instead. As much of a panel as stays in a cache is
// taken at a time, while the rows pass; and as much of the rows, while the panels do.
template <class T>
void gemm(const Rows<const T>& A, const T* packed, int64_t depth, int64_t first, const Rows<T>& out, int64_t units,
          bool whole, bool add) {
  const int64_t blocks = (A.n + MOST_ROWS - 1) / MOST_ROWS;
  const int64_t slices = blocks * A.groups == 1 ? 1 : (depth + DEEP - 1) / DEEP;
  for (int64_t s = 0; s < slices; ++s) {
    const int64_t k0 = depth * s / slices, n = depth * (s + 1) / slices - k0;
    for (int64_t u = 0; u < units; u += PANEL<T>) {
      const T* P = packed + (first + u) / PANEL<T> * depth * PANEL<T> + k0 * PANEL<T>;
      for (int64_t g = 0; g < A.groups; ++g) {
        for (int64_t k = 0; k < blocks; ++k) {
          const int64_t r = A.n * k / blocks, R = A.n * (k + 1) / blocks - r;
          block_of<T, false>(R, units - u)(A.at + g * A.gap + r * A.stride + k0, A.stride, P, n,
                                           out.at + g * out.gap + r * out.stride + u, out.stride, units - u, whole,
                                           add || s > 0);
        }
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

// out (+)= A W^T for `units` units of `w` from `first` on.
template <class T>
INLINE void times_matrix(const unrolled::Pack& w, const char* packed, const Rows<const T>& A, int64_t first,
                         const Rows<T>& out, int64_t units, bool whole, bool add) {
  if (!w.source)
    return gemm<T>(A, reinterpret_cast<const T*>(packed) + w.offset, w.depth, first, out, units, whole, add);
  const T* W = reinterpret_cast<const T*>(w.source) + first * w.unit_stride;
  for (int64_t g = 0; g < A.groups; ++g)
    dots<T>(A.at + g * A.gap, A.stride, W, w.unit_stride, w.depth, out.at + g * out.gap, out.stride, A.n, units, add);
}

}  // namespace
