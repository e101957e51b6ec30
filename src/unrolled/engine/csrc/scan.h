// The scan: a plan's phases, step after step, over this thread's share of rows or units.
#pragma once
#include <chrono>

#include "alignments.h"
#include "elementwise.h"
#include "gemm.h"
#include "limit.h"
#include "plan.h"
#include "products.h"
#include "threads.h"

namespace {

using unrolled::Array;
using unrolled::Barrier;
using unrolled::Call;
using unrolled::Instruction;
using unrolled::Operand;
using unrolled::Phase;
using unrolled::State;

enum { GEMM = Table<float>::count, ROWSUM, ROWMAX, EXPAND, COLSUM, NORMSCALE, NORMALIZE, DNORMALIZE };

// What one thread keeps of a call: where each array stands at the current step.
template <class T>
struct Thread {
  const Call& call;
  int id, threads;
  int64_t r0, r1;            // its rows
  Array* arrays;             // array_count: those of the call, with the block at hand
  T** at;                    // array_count
  int64_t* row_stride;       // array_count
  T* slots;                  // scratch: slots tiles of block x tile
  T** lefts;                 // of each instruction of a phase: where the rows that its matrix takes lie apart, or null
  T* copies;                 // of such rows
  T* patches;                // rows of states and of dL/dy that differ from what stands in the arrays
  int64_t slot_size;
};

// A carve of the thread's scratch; sizes are those that module.cpp reckons with.
template <class T>
Thread<T> make_thread(const Call& c, int id, int threads) {
  char* p = c.scratch + id * c.scratch_bytes;
  Thread<T> t{c, id, threads, 0, c.N, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 0};
  if (c.by_rows) t.r0 = c.N * id / threads, t.r1 = c.N * (id + 1) / threads;
  t.arrays = reinterpret_cast<Array*>(p);
  p += c.array_count * sizeof(Array);
  t.at = reinterpret_cast<T**>(p);
  p += c.array_count * sizeof(T*);
  t.row_stride = reinterpret_cast<int64_t*>(p);
  p += c.array_count * sizeof(int64_t);
  t.lefts = reinterpret_cast<T**>(p);
  p += c.longest_phase * sizeof(T*);
  p = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(p) + 63) / 64 * 64);
  t.slot_size = c.block * c.tile;
  t.slots = reinterpret_cast<T*>(p);
  p += c.slots * t.slot_size * sizeof(T);
  t.copies = reinterpret_cast<T*>(p);
  p += c.copies * sizeof(T);
  t.patches = reinterpret_cast<T*>(p);
  return t;
}

template <class T>
void resolve(Thread<T>& t, int64_t step) {
  const Call& c = t.call;
  const int64_t first = c.direction > 0 ? 0 : c.T - 1;
  for (int k = 0; k < c.array_count; ++k) {
    const Array& a = c.arrays[k];
    T* base = reinterpret_cast<T*>(a.base);
    t.row_stride[k] = a.row_stride;
    switch (a.mode) {
      case unrolled::TIME: base += (step - a.start) * a.time_stride; break;
      case unrolled::PREVIOUS:
        if (step == first)
          base = reinterpret_cast<T*>(a.first);
        else
          base += (step - c.direction - a.start) * a.time_stride;
        break;
      case unrolled::PARITY: base += (step & 1) * a.time_stride; break;
      case unrolled::OTHER: base += ((step + 1) & 1) * a.time_stride; break;
      case unrolled::SUM: base += t.id * a.time_stride; break;
      default: break;
    }
    t.at[k] = base;
  }
}

// With flags: states that begin anew come from elsewhere, and dL/dy counts only inside a sequence.
template <class T>
void begin_step(Thread<T>& t, int64_t step) {
  const Call& c = t.call;
  const uint8_t* flags = c.flags + step * c.N;
  bool begins = false;
  for (int64_t r = t.r0; r < t.r1; ++r) begins = begins || (flags[r] & (unrolled::FROM_INITIAL | unrolled::FROM_RESET));
  T* patch = t.patches;
  const int64_t rows = t.r1 - t.r0;
  for (int k = 0; k < c.state_count; ++k) {
    const State& s = c.states[k];
    const int64_t W = s.width;
    if (begins && s.old >= 0) {
      for (int64_t r = t.r0; r < t.r1; ++r) {
        const T* from = t.at[s.old] + r * t.row_stride[s.old];
        if (flags[r] & unrolled::FROM_INITIAL) from = reinterpret_cast<const T*>(s.initial) + r * W;
        if (flags[r] & unrolled::FROM_RESET) from = reinterpret_cast<const T*>(s.reset) + r * W;
        std::memcpy(patch + (r - t.r0) * W, from, W * sizeof(T));
      }
      t.at[s.old] = patch - t.r0 * W;
      t.row_stride[s.old] = W;
    }
    patch += rows * W;
    if (c.backward && s.carry >= 0 && s.last) {
      for (int64_t r = t.r0; r < t.r1; ++r) {
        if (!(flags[r] & unrolled::LAST)) continue;
        T* carry = t.at[s.carry] + r * t.row_stride[s.carry];
        const T* d = reinterpret_cast<const T*>(s.last) + r * W;
        for (int64_t u = 0; u < W; ++u) carry[u] += d[u];
      }
    }
  }
  if (c.upstream >= 0) {
    const int64_t W = c.states[0].width, stride = t.row_stride[c.upstream];
    for (int64_t r = t.r0; r < t.r1; ++r) {
      T* to = patch + (r - t.r0) * W;
      if (flags[r] & unrolled::INSIDE)
        std::memcpy(to, t.at[c.upstream] + r * stride, W * sizeof(T));
      else
        std::memset(to, 0, W * sizeof(T));
    }
    t.at[c.upstream] = patch - t.r0 * W;
    t.row_stride[c.upstream] = W;
  }
}

template <class T>
void end_step(Thread<T>& t, int64_t step) {
  const Call& c = t.call;
  const uint8_t* flags = c.flags + step * c.N;
  for (int k = 0; k < c.state_count; ++k) {
    const State& s = c.states[k];
    const int64_t W = s.width;
    for (int64_t r = t.r0; r < t.r1; ++r) {
      if (!c.backward) {
        T* y = t.at[s.out] + r * t.row_stride[s.out];
        if (flags[r] & unrolled::LAST) std::memcpy(reinterpret_cast<T*>(s.last) + r * W, y, W * sizeof(T));
        continue;
      }
      T* d = t.at[s.next] + r * t.row_stride[s.next];
      if (flags[r] & (unrolled::FROM_INITIAL | unrolled::FROM_RESET)) {
        T* to = reinterpret_cast<T*>(flags[r] & unrolled::FROM_INITIAL ? s.d_initial : s.d_reset) + r * W;
        for (int64_t u = 0; u < W; ++u) to[u] += d[u];
      }
      if (!(flags[r] & unrolled::INSIDE) || (flags[r] & (unrolled::FROM_INITIAL | unrolled::FROM_RESET)))
        std::memset(d, 0, W * sizeof(T));
    }
  }
}

template <class T>
struct Place {
  T* p;
  int64_t stride;
};

// An operand at row `r`, unit `u` of the current tile.
template <class T>
INLINE Place<T> place(const Thread<T>& t, const Operand& o, int64_t r, int64_t u) {
  switch (o.where) {
    case unrolled::ARRAY: return {t.at[o.index] + r * t.row_stride[o.index] + o.column + u, t.row_stride[o.index]};
    case unrolled::SCRATCH: return {t.slots + o.index * t.slot_size + o.column, t.call.tile};
    default:
      return {const_cast<T*>(reinterpret_cast<const T*>(t.call.numbers)) + o.index * t.call.tile, 0};
  }
}

// Copies, once for a phase, the rows of this thread that its matrices take, where they crowd the sets of a cache: they
// were written in an earlier phase.
template <class T>
void spread(Thread<T>& t, const Phase& phase) {
  const Call& c = t.call;
  T* free = t.copies;
  for (int k = phase.begin; k < phase.end; ++k) {
    T*& left = t.lefts[k - phase.begin];
    left = nullptr;
    const Instruction& i = c.instructions[k];
    if (i.op != GEMM || c.packs[i.pack].source) continue;
    const int64_t stride = t.row_stride[i.a.index], depth = c.packs[i.pack].depth;
    if (t.r1 - t.r0 > c.copied_rows || !crowded<T>(stride, t.r1 - t.r0)) continue;
    for (int j = phase.begin; j < k && !left; ++j) {
      const Instruction& e = c.instructions[j];
      if (t.lefts[j - phase.begin] && e.a.index == i.a.index && e.a.column == i.a.column && c.packs[e.pack].depth == depth)
        left = t.lefts[j - phase.begin];
    }
    if (left) continue;
    left = free;
    free += (t.r1 - t.r0) * apart<T>(depth);
    copy_apart<T>({t.at[i.a.index] + t.r0 * stride + i.a.column, stride, t.r1 - t.r0, 1, 0}, left, depth);
  }
}

template <class T>
void run_tile(Thread<T>& t, const Phase& phase, int64_t r, int64_t rows, int64_t u, int64_t units) {
  const Call& c = t.call;
  for (int k = phase.begin; k < phase.end; ++k) {
    const Instruction& i = c.instructions[k];
    const int64_t n = i.width < units ? i.width : units;  // in a phase of whole rows widths differ
    Place<T> out = place(t, i.out, r, u);
    if (i.op == GEMM) {
      const unrolled::Pack& w = c.packs[i.pack];
      Place<T> a = place(t, i.a, r, 0);
      if (T* left = t.lefts[k - phase.begin]) a = {left + (r - t.r0) * apart<T>(w.depth), apart<T>(w.depth)};
      times_matrix<T>(w, c.packed, {a.p, a.stride, rows, 1, 0}, u, {out.p, out.stride, rows, 1, 0}, n,
                      i.out.where == unrolled::SCRATCH, false);
      continue;
    }
    Place<T> a = place(t, i.a, r, u);
    Place<T> b = i.b.where ? place(t, i.b, r, u) : a;
    Place<T> d = i.c.where ? place(t, i.c, r, u) : a;
    T* sum = i.sum.where ? place(t, i.sum, r, u).p : nullptr;
    Tile<T> tile{out.p, a.p, b.p, d.p, sum, out.stride, a.stride, b.stride, d.stride, rows, n};
    if (i.op < GEMM) {
      Table<T>::runs[i.op](tile);
    } else if (i.op == ROWSUM || i.op == ROWMAX) {
      tile.n = i.pack;  // the width of what is summed
      i.op == ROWSUM ? row_sum(tile) : row_max(tile);
    } else if (i.op == EXPAND) {
      expand(tile);
    } else if (i.op == COLSUM) {
      column_sum(tile);
    } else if (i.op == NORMSCALE) {
      tile.n = i.pack;
      norm_scale(tile);
    } else {
      i.op == NORMALIZE ? normalize(tile) : d_normalize(tile);
    }
  }
}

template <class T>
void run_phase(Thread<T>& t, const Phase& phase) {
  const Call& c = t.call;
  const int64_t tiles = c.whole ? 1 : (phase.width + c.tile - 1) / c.tile;
  int64_t p0 = 0, p1 = tiles;
  if (!c.by_rows) p0 = tiles * t.id / t.threads, p1 = tiles * (t.id + 1) / t.threads;
  const int64_t rows = t.r1 - t.r0, blocks = (rows + c.block - 1) / c.block;
  if (p0 < p1) spread(t, phase);
  for (int64_t p = p0; p < p1; ++p) {
    const int64_t u = p * c.tile, units = phase.width - u < c.tile ? phase.width - u : c.tile;
    for (int64_t k = 0; k < blocks; ++k) {
      const int64_t r = rows * k / blocks;
      run_tile(t, phase, t.r0 + r, rows * (k + 1) / blocks - r, u, units);
    }
  }
}

template <class T>
void steps(Thread<T>& t, Barrier& barrier) {
  const Call& c = t.call;
  const bool upwards = (c.direction > 0) != (c.backward != 0);
  if (t.r0 == t.r1) return;  // fewer rows than threads: no thread waits for another then
  for (int64_t k = 0; k < c.end - c.begin; ++k) {
    const int64_t step = upwards ? c.begin + k : c.end - 1 - k;
    resolve(t, step);
    if (c.flags) begin_step(t, step);
    for (int p = 0; p < c.phase_count; ++p) {
      if (!c.by_rows && c.phases[p].barrier) barrier.wait(t.threads);
      run_phase(t, c.phases[p]);
    }
    if (c.flags) end_step(t, step);
  }
}

// Adds up the seconds between the parts of a scan, as its first thread sees them.
struct Clock {
  double* spent;
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
  void add(unrolled::Part part) {
    const auto now = std::chrono::steady_clock::now();
    spent[part] += std::chrono::duration<double>(now - last).count();
    last = now;
  }
};

// One block of steps. Threads wait for one another where one reads what others wrote: never, where each has its own rows
// and sums. The next block writes nothing that is read in the outer products.
template <class T>
void scan_block(Thread<T>& t, const Share& mine, Barrier& barrier, Clock& clock) {
  const Call& c = t.call;
  const int together = mine.own ? 1 : t.threads, summing = sums_apart(c, mine) ? 1 : t.threads;
  if (c.before_count) {
    if (c.later) barrier.wait(together);  // the steps of the block before read what the products write
    products<T>(c, c.before, c.before_count, t.copies, mine);
    barrier.wait(together);
    clock.add(unrolled::BEFORE);
  }
  steps(t, barrier);
  if (!c.after_count && !c.outer_count) return clock.add(unrolled::STEPS);
  barrier.wait(together);
  clock.add(unrolled::STEPS);
  products<T>(c, c.after, c.after_count, t.copies, mine);
  clock.add(unrolled::AFTER);
  if (mine.own) barrier.wait(summing);
  pack_sides<T>(c, mine);
  barrier.wait(summing);
  clock.add(unrolled::SIDES);
  outers<T>(c, mine);
  clock.add(unrolled::OUTERS);
}

// All of a call: its matrices packed, then block after block.
template <class T>
void scan(const Call& given, int id, int threads, Barrier& barrier) {
  double others[unrolled::PARTS] = {};
  Clock clock{id ? others : given.spent};
  Call c = given;
  Thread<T> t = make_thread<T>(c, id, threads);
  std::copy_n(given.arrays, c.array_count, t.arrays);
  c.arrays = t.arrays;
  bool packing = false;
  for (int k = 0; k < c.pack_count; ++k) {
    const unrolled::Pack& w = c.packs[k];
    if (!w.from) continue;
    const int64_t panels = (w.units + PANEL<T> - 1) / PANEL<T>;
    pack<T>(w, w.from, c.packed, panels * id / threads, panels * (id + 1) / threads);
    packing = true;
  }
  if (packing) barrier.wait(threads);
  clock.add(unrolled::PACKING);
  const Share mine = share_of(c, id, threads);
  const int64_t blocks = (c.T + c.block_steps - 1) / c.block_steps;
  const bool upwards = (c.direction > 0) != (c.backward != 0);
  for (int64_t k = 0; k < blocks; ++k) {
    c.begin = (upwards ? k : blocks - 1 - k) * c.block_steps;
    c.end = std::min(c.begin + c.block_steps, c.T);
    c.later = k > 0;
    for (int a = 0; a < c.array_count; ++a)
      if (given.arrays[a].start == unrolled::IN_BLOCK) t.arrays[a].start = c.begin;
    scan_block(t, mine, barrier, clock);
  }
  if (sums_apart(c, mine)) {
    barrier.wait(threads);
    add_sums<T>(c, mine);
  }
  barrier.wait(threads);  // OpenMP's own barrier after this would spin for longer
  clock.add(c.outer_count ? unrolled::OUTERS : unrolled::STEPS);
}

// A product for one row: this thread's share of the panels.
template <class T>
void product_of_row(const T* left, const unrolled::Pack& w, const T* packed, T* out, bool add, int id, int threads) {
  const int64_t panels = (w.units + PANEL<T> - 1) / PANEL<T>;
  const int64_t u0 = panels * id / threads * PANEL<T>, u1 = panels * (id + 1) / threads * PANEL<T>;
  if (u0 < u1)
    gemm<T>({left, 0, 1, 1, 0}, packed + w.offset, w.depth, u0, {out + u0, 0, 1, 1, 0}, std::min(u1, w.units) - u0, false, add);
}

template <class T>
void stream_layer(Thread<T>& t, const unrolled::Lookup* lookups, int count, int64_t symbol, int64_t step, Barrier& barrier) {
  const Call& c = t.call;
  resolve(t, step);
  for (int k = 0; k < count; ++k) {
    const unrolled::Lookup& l = lookups[k];
    T* table = const_cast<T*>(reinterpret_cast<const T*>(l.table));
    t.at[l.array] = table + (l.stride < 0 ? ((step + 1) & 1) * -l.stride : symbol * l.stride);
  }
  if (c.before_count) {
    for (int k = 0; k < c.before_count; ++k) {
      const unrolled::Product& p = c.before[k];
      product_of_row<T>(t.at[p.left] + p.left_column, c.packs[p.pack], reinterpret_cast<const T*>(c.packed),
                        t.at[p.out] + p.out_column, p.add, t.id, t.threads);
    }
    barrier.wait(t.threads);
  }
  for (int p = 0; p < c.phase_count; ++p) {
    if (p && c.phases[p].barrier) barrier.wait(t.threads);  // before the first, all have just waited
    run_phase(t, c.phases[p]);
  }
  barrier.wait(t.threads);
}

template <class T>
void stream(unrolled::Streaming& s, int id, int threads, Barrier& barrier) {
  T* scores = reinterpret_cast<T*>(s.scores);
  const T* bias = reinterpret_cast<const T*>(s.bias);
  for (int64_t n = 0; n < s.count; ++n) {
    const int64_t symbol = s.symbol, step = s.step + n;
    if (symbol < 0) return;
    for (int l = 0; l < s.layer_count; ++l) {
      Thread<T> t = make_thread<T>(*s.layers[l], id, threads);
      stream_layer(t, s.lookups_of[l], s.lookup_counts[l], symbol, step, barrier);
    }
    const T* h = reinterpret_cast<const T*>(s.state) + ((step + 1) & 1) * s.head.depth;
    product_of_row<T>(h, s.head, reinterpret_cast<const T*>(s.head_packed), scores, false, id, threads);
    barrier.wait(threads);
    if (id == 0) {
      for (int64_t k = 0; bias && k < s.V; ++k) scores[k] += bias[k];
      s.symbol = s.choose(s.chooser, s.scores, s.V, sizeof(T) == 8);
      if (s.symbol >= 0) s.made[n] = s.symbol;
    }
    barrier.wait(threads);
  }
}

// One element-wise operation on n numbers: for tests of its accuracy.
template <class T>
void apply(int op, int64_t n, const char* a, const char* b, const char* c, char* out) {
  auto* A = reinterpret_cast<const T*>(a);
  auto* B = b ? reinterpret_cast<const T*>(b) : A;
  auto* C = c ? reinterpret_cast<const T*>(c) : A;
  Table<T>::runs[op](Tile<T>{reinterpret_cast<T*>(out), A, B, C, nullptr, 0, 0, 0, 0, 1, n});
}

template <class T>
const unrolled::Path* path_of(const char* name) {
  static const unrolled::Path path{name, LANES<T>, MOST_ROWS, scan<T>, stream<T>, pack<T>, multiply<T>, apply<T>, align, multiply_adds<T>};
  return &path;
}

}  // namespace
