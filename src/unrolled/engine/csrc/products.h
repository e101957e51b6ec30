// Matmuls over all rows of a stretch of steps: projections before the steps, gradients after them.
#pragma once
#include "gemm.h"
#include "plan.h"

namespace {

// So many rows stay in a cache while all panels pass.
constexpr int64_t CHUNK = (47 + MOST_ROWS) / MOST_ROWS * MOST_ROWS;
static_assert(CHUNK <= unrolled::MOST_CHUNK);

// out (+)= left W^T, this thread's share of the rows, or of the units where there are few rows.
// `copies` has room for CHUNK rows.
template <class T>
void products(const unrolled::Call& c, const unrolled::Product* list, int count, T* copies, int id, int threads) {
  const int64_t rows = (c.end - c.begin) * c.N;
  const bool few = rows < MOST_ROWS * threads;
  const int64_t r0 = few ? 0 : rows * id / threads, r1 = few ? rows : rows * (id + 1) / threads;
  for (int k = 0; k < count; ++k) {
    const unrolled::Product& p = list[k];
    const unrolled::Array &left = c.arrays[p.left], &out = c.arrays[p.out];
    const unrolled::Pack& w = c.packs[p.pack];
    if (!out.base) continue;
    const int64_t panels = (w.units + PANEL<T> - 1) / PANEL<T>;
    const int64_t u0 = few ? panels * id / threads * PANEL<T> : 0;
    const int64_t end = few ? panels * (id + 1) / threads * PANEL<T> : w.units, u1 = end < w.units ? end : w.units;
    if (u0 >= u1) continue;
    const T* A = reinterpret_cast<const T*>(left.base) + (c.begin - left.start) * left.time_stride + p.left_column;
    T* O = reinterpret_cast<T*>(out.base) + (c.begin - out.start) * out.time_stride + p.out_column + u0;
    const int64_t chunks = (r1 - r0 + CHUNK - 1) / CHUNK;
    for (int64_t k = 0; k < chunks; ++k) {
      const int64_t r = r0 + (r1 - r0) * k / chunks, n = r0 + (r1 - r0) * (k + 1) / chunks - r;
      const T* from = A + r * left.row_stride;
      int64_t stride = left.row_stride;
      if (!w.source && crowded<T>(stride, n)) {
        copy_apart(from, stride, copies, n, w.depth);
        from = copies, stride = apart<T>(w.depth);
      }
      times_matrix<T>(w, c.packed, from, stride, u0, O + r * out.row_stride, out.row_stride, n, u1 - u0, false, p.add);
    }
  }
}

// Row n of an array at a step. A state before the step may come from elsewhere, as in begin_step.
template <class T>
INLINE const T* row(const unrolled::Call& c, int32_t index, int64_t step, int64_t n) {
  const unrolled::Array& a = c.arrays[index];
  const T* base = reinterpret_cast<const T*>(a.base);
  if (a.mode == unrolled::PREVIOUS) {
    if (c.flags) {
      const uint8_t flag = c.flags[step * c.N + n];
      if (flag & (unrolled::FROM_INITIAL | unrolled::FROM_RESET)) {
        for (int k = 0; k < c.state_count; ++k) {
          const unrolled::State& s = c.states[k];
          if (s.old != index) continue;
          return reinterpret_cast<const T*>(flag & unrolled::FROM_INITIAL ? s.initial : s.reset) + n * s.width;
        }
      }
    }
    const int64_t first = c.direction > 0 ? 0 : c.T - 1;
    if (step == first) return reinterpret_cast<const T*>(a.first) + n * a.row_stride;
    step -= c.direction;
  }
  if (a.mode != unrolled::FIXED) base += (step - a.start) * a.time_stride;
  return base + n * a.row_stride;
}

// packed[tile][row][WIDE] = the columns of an array, zero beyond the last, for this thread's tiles.
template <class T, int64_t WIDE>
void pack_side(const unrolled::Call& c, int32_t index, int64_t column, int64_t width, T* packed, int id, int threads) {
  const int64_t tiles = (width + WIDE - 1) / WIDE, t0 = tiles * id / threads, t1 = tiles * (id + 1) / threads;
  const int64_t rows = (c.end - c.begin) * c.N, STRIP = 64;
  const T* at[STRIP];
  for (int64_t r0 = 0; r0 < rows && t0 < t1; r0 += STRIP) {
    const int64_t n = rows - r0 < STRIP ? rows - r0 : STRIP;
    for (int64_t r = 0; r < n; ++r) at[r] = row<T>(c, index, c.begin + (r0 + r) / c.N, (r0 + r) % c.N) + column;
    for (int64_t t = t0; t < t1; ++t) {
      T* out = packed + (t * rows + r0) * WIDE;
      if ((t + 1) * WIDE <= width) {
        for (int64_t r = 0; r < n; ++r) std::memcpy(out + r * WIDE, at[r] + t * WIDE, WIDE * sizeof(T));
        continue;
      }
      for (int64_t r = 0; r < n; ++r)
        for (int64_t k = 0; k < WIDE; ++k) out[r * WIDE + k] = t * WIDE + k < width ? at[r][t * WIDE + k] : 0;
    }
  }
}

template <class T>
void pack_sides(const unrolled::Call& c, int id, int threads) {
  T* work = reinterpret_cast<T*>(c.work);
  for (int k = 0; k < c.outer_count; ++k) {
    const unrolled::Outer& o = c.outers[k];
    if (!o.total) continue;
    if (o.packs_left)
      pack_side<T, MOST_ROWS>(c, o.left, o.left_column, o.left_width, work + o.left_offset, id, threads);
    if (o.packs_right)
      pack_side<T, PANEL<T>>(c, o.right, o.right_column, o.right_width, work + o.right_offset, id, threads);
  }
}

// total (+)= left^T right: tiles of MOST_ROWS by a panel, this thread's share of them. Of a panel, as many rows
// as stay in the innermost cache are taken at a time, while all tiles pass.
template <class T>
void outers(const unrolled::Call& c, int id, int threads) {
  const int64_t rows = (c.end - c.begin) * c.N, chunks = (rows + DEEP - 1) / DEEP;
  const T* work = reinterpret_cast<const T*>(c.work);
  for (int k = 0; k < c.outer_count; ++k) {
    const unrolled::Outer& o = c.outers[k];
    if (!o.total) continue;
    const int64_t down = (o.left_width + MOST_ROWS - 1) / MOST_ROWS, across = (o.right_width + PANEL<T> - 1) / PANEL<T>;
    const int64_t first = down * across * id / threads, last = down * across * (id + 1) / threads;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t r0 = rows * chunk / chunks, n = rows * (chunk + 1) / chunks - r0;
      for (int64_t i = first; i < last; ++i) {
        const int64_t u = i / down * PANEL<T>, d = i % down * MOST_ROWS;
        const T* left = work + o.left_offset + d * rows + r0 * MOST_ROWS;
        const T* right = work + o.right_offset + u * rows + r0 * PANEL<T>;
        T* out = reinterpret_cast<T*>(o.total) + d * o.stride + u;
        block_of<T, true>(o.left_width - d)(left, 1, right, n, out, o.stride, o.right_width - u, false,
                                            o.add || chunk > 0);
      }
    }
  }
}

}  // namespace
