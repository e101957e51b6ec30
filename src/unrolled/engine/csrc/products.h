// Matmuls over all rows of a block of steps: projections before the steps, gradients after them.
#pragma once
#include "gemm.h"
#include "plan.h"

namespace {

// So many rows stay in a cache while all panels pass.
constexpr int64_t CHUNK = (47 + MOST_ROWS) / MOST_ROWS * MOST_ROWS;
static_assert(CHUNK <= unrolled::MOST_CHUNK);

// out (+)= left, from its column `first` on.
template <class T>
void move_columns(const Rows<const T>& left, int64_t first, const Rows<T>& out, int64_t width, bool add) {
  for (int64_t g = 0; g < left.groups; ++g)
    for (int64_t r = 0; r < left.n; ++r) {
      const T* from = left.at + g * left.gap + r * left.stride + first;
      T* to = out.at + g * out.gap + r * out.stride;
      if (!add) {
        std::memcpy(to, from, width * sizeof(T));
        continue;
      }
      for (int64_t u = 0; u < width; ++u) to[u] += from[u];
    }
}

// What a thread takes of each step in products: rows of its own, or all of them, of which it then takes a share.
struct Share {
  int id, threads;
  bool own;
  int64_t first, rows;
};

inline Share share_of(const unrolled::Call& c, int id, int threads) {
  if (!c.by_rows || threads == 1 || c.N / threads < unrolled::OWN_ROWS) return {id, threads, false, 0, c.N};
  const int64_t first = c.N * id / threads;
  return {id, threads, true, first, c.N * (id + 1) / threads - first};
}

// out (+)= left W^T, this thread's share of the rows, or of the units where there are few rows.
// `copies` has room for MOST_CHUNK rows.
template <class T>
void products(const unrolled::Call& c, const unrolled::Product* list, int count, T* copies, const Share& mine) {
  const int64_t steps = c.end - c.begin, all_rows = steps * c.N, id = mine.id, threads = mine.threads;
  const bool few = !mine.own && all_rows < MOST_ROWS * threads;
  // rows that lie side by side: of one step, or of all
  const int64_t first = mine.own ? mine.first : few ? 0 : all_rows * id / threads;
  const int64_t rows = mine.own ? mine.rows : few ? all_rows : all_rows * (id + 1) / threads - first;
  const int64_t stretches = mine.own ? steps : 1, together = std::max<int64_t>(1, unrolled::MOST_CHUNK / std::max<int64_t>(rows, 1));
  for (int k = 0; k < count; ++k) {
    const unrolled::Product& p = list[k];
    const unrolled::Array &left = c.arrays[p.left], &out = c.arrays[p.out];
    if (!out.base) continue;
    const unrolled::Pack* w = p.pack < 0 ? nullptr : c.packs + p.pack;
    const int64_t panels = (p.width + PANEL<T> - 1) / PANEL<T>;
    const int64_t u0 = few ? panels * id / threads * PANEL<T> : 0;
    const int64_t u1 = few ? std::min(panels * (id + 1) / threads * PANEL<T>, p.width) : p.width;
    if (u0 >= u1) continue;
    const T* A = reinterpret_cast<const T*>(left.base) + (c.begin - left.start) * left.time_stride + p.left_column;
    T* O = reinterpret_cast<T*>(out.base) + (c.begin - out.start) * out.time_stride + p.out_column + u0;
    const int64_t chunks = (rows + CHUNK - 1) / CHUNK, gap = c.N * left.row_stride, out_gap = c.N * out.row_stride;
    for (int64_t t = 0; t < stretches; t += together) {
      const int64_t n_steps = std::min(together, stretches - t);
      for (int64_t k = 0; k < chunks; ++k) {
        const int64_t r = rows * k / chunks, n = rows * (k + 1) / chunks - r;
        const Rows<const T> from{A + t * gap + (first + r) * left.row_stride, left.row_stride, n, n_steps, gap};
        const Rows<T> to{O + t * out_gap + (first + r) * out.row_stride, out.row_stride, n, n_steps, out_gap};
        if (!w)
          move_columns(from, u0, to, u1 - u0, p.add);
        else if (!w->source && crowded<T>(from.stride, n))
          times_matrix<T>(*w, c.packed, copy_apart(from, copies, w->depth), u0, to, u1 - u0, false, p.add);
        else
          times_matrix<T>(*w, c.packed, from, u0, to, u1 - u0, false, p.add);
      }
    }
  }
}

// This thread's share of some products: whole matrices, or rows where there are fewer of them than threads.
template <class T>
void multiply(const unrolled::Multiplication& m, int id, int threads) {
  T* packed = reinterpret_cast<T*>(m.scratch) + id * m.scratch_size;
  const unrolled::Pack w{m.units, m.depth, m.unit_stride, m.depth_stride, 0, nullptr, nullptr};
  const int64_t panels = (m.units + PANEL<T> - 1) / PANEL<T>;
  T* copies = packed + panels * PANEL<T> * m.depth;
  const bool whole = m.count >= threads;
  const int64_t first = whole ? 0 : m.rows * id / threads, rows = (whole ? m.rows : m.rows * (id + 1) / threads) - first;
  const int64_t chunks = (rows + CHUNK - 1) / CHUNK;
  for (int64_t k = whole ? id : 0; k < m.count && rows; k += whole ? threads : 1) {
    pack<T>(w, m.right + k * m.right_stride * static_cast<int64_t>(sizeof(T)), reinterpret_cast<char*>(packed), 0, panels);
    for (int64_t c = 0; c < chunks; ++c) {
      const int64_t r = first + rows * c / chunks, n = first + rows * (c + 1) / chunks - r, at = k * m.rows + r;
      Rows<const T> A{reinterpret_cast<const T*>(m.left) + at * m.depth, m.depth, n, 1, 0};
      if (crowded<T>(m.depth, n)) A = copy_apart(A, copies, m.depth);
      gemm<T>(A, packed, m.depth, 0, {reinterpret_cast<T*>(m.out) + at * m.units, m.units, n, 1, 0}, m.units, false, false);
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

// packed[tile][row][WIDE] = the columns of an array, zero beyond the last, for the tiles [t0, t1) and rows of each step.
template <class T, int64_t WIDE>
void pack_side(const unrolled::Call& c, int32_t index, int64_t column, int64_t width, T* packed, const Share& mine, bool apart) {
  const int64_t tiles = (width + WIDE - 1) / WIDE;
  const int64_t t0 = apart ? 0 : tiles * mine.id / mine.threads, t1 = apart ? tiles : tiles * (mine.id + 1) / mine.threads;
  const int64_t n_step = apart ? mine.rows : c.N, first = apart ? mine.first : 0;
  const int64_t rows = (c.end - c.begin) * n_step, STRIP = 64;
  const T* at[STRIP];
  for (int64_t r0 = 0; r0 < rows && t0 < t1; r0 += STRIP) {
    const int64_t n = rows - r0 < STRIP ? rows - r0 : STRIP;
    for (int64_t r = 0; r < n; ++r)
      at[r] = row<T>(c, index, c.begin + (r0 + r) / n_step, first + (r0 + r) % n_step) + column;
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

// Whether each thread sums up its own rows.
inline bool sums_apart(const unrolled::Call& c, const Share& mine) { return c.sums && mine.own; }

// Where the packed sides of this thread's rows begin, or of all.
template <class T>
INLINE T* sides(const unrolled::Call& c, const Share& mine) {
  return reinterpret_cast<T*>(c.work) + (sums_apart(c, mine) ? mine.first * c.block_steps * c.side_width : 0);
}

template <class T>
void pack_sides(const unrolled::Call& c, const Share& mine) {
  const bool apart = sums_apart(c, mine);
  const int64_t rows = (c.end - c.begin) * (apart ? mine.rows : c.N);
  T* work = sides<T>(c, mine);
  for (int k = 0; k < c.outer_count; ++k) {
    const unrolled::Outer& o = c.outers[k];
    if (!o.total) continue;
    if (o.packs_left)
      pack_side<T, MOST_ROWS>(c, o.left, o.left_column, o.left_width, work + o.left_offset * rows, mine, apart);
    if (o.packs_right)
      pack_side<T, PANEL<T>>(c, o.right, o.right_column, o.right_width, work + o.right_offset * rows, mine, apart);
  }
}

// The sums of a thread: its own, or, of the first thread or where they are not apart, those of the call.
template <class T>
INLINE T* total_of(const unrolled::Call& c, const unrolled::Outer& o, int id, bool apart, int64_t& stride) {
  stride = apart && id ? o.right_width : o.stride;
  if (!apart || !id) return reinterpret_cast<T*>(o.total);
  return reinterpret_cast<T*>(c.sums) + (id - 1) * c.sums_size + o.sum_offset;
}

// total (+)= left^T right: tiles of MOST_ROWS by a panel, this thread's share of them, or all of them for its rows. Of a
// panel, as many rows as stay in the innermost cache are taken at a time, while all tiles pass.
template <class T>
void outers(const unrolled::Call& c, const Share& mine) {
  const bool apart = sums_apart(c, mine);
  const int64_t rows = (c.end - c.begin) * (apart ? mine.rows : c.N), chunks = (rows + DEEP - 1) / DEEP;
  const T* work = sides<T>(c, mine);
  for (int k = 0; k < c.outer_count; ++k) {
    const unrolled::Outer& o = c.outers[k];
    if (!o.total) continue;
    const int64_t down = (o.left_width + MOST_ROWS - 1) / MOST_ROWS, across = (o.right_width + PANEL<T> - 1) / PANEL<T>;
    const int64_t first = apart ? 0 : down * across * mine.id / mine.threads;
    const int64_t last = apart ? down * across : down * across * (mine.id + 1) / mine.threads;
    int64_t stride;
    T* total = total_of<T>(c, o, mine.id, apart, stride);
    const bool add = c.later || (o.add && !(apart && mine.id));
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t r0 = rows * chunk / chunks, n = rows * (chunk + 1) / chunks - r0;
      for (int64_t i = first; i < last; ++i) {
        const int64_t u = i / down * PANEL<T>, d = i % down * MOST_ROWS;
        const T* left = work + o.left_offset * rows + d * rows + r0 * MOST_ROWS;
        const T* right = work + o.right_offset * rows + u * rows + r0 * PANEL<T>;
        block_of<T, true>(o.left_width - d, o.right_width - u)(left, 1, right, n, total + d * stride + u, stride,
                                                               o.right_width - u, false, add || chunk > 0);
      }
    }
  }
}

// Adds up the sums of all threads, this thread's share of each matrix.
template <class T>
void add_sums(const unrolled::Call& c, const Share& mine) {
  for (int k = 0; k < c.outer_count; ++k) {
    const unrolled::Outer& o = c.outers[k];
    if (!o.total) continue;
    const int64_t d0 = o.left_width * mine.id / mine.threads, d1 = o.left_width * (mine.id + 1) / mine.threads;
    for (int other = 1; other < mine.threads; ++other) {
      int64_t stride;
      const T* more = total_of<T>(c, o, other, true, stride);
      for (int64_t d = d0; d < d1; ++d) {
        T* to = reinterpret_cast<T*>(o.total) + d * o.stride;
        for (int64_t u = 0; u < o.right_width; ++u) to[u] += more[d * stride + u];
      }
    }
  }
}

}  // namespace
