// A plan as the border holds it: its tables, bound to memory at every call.
#pragma once
#include <nanobind/nanobind.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "tables.h"
#include "threads.h"

namespace unrolled {

namespace nb = nanobind;

// A call with the tables it points to.
struct Bound {
  Call call{};
  std::vector<Array> arrays;
  std::vector<State> states;
  std::vector<Pack> packs;
  std::vector<Outer> outers;
};

class Stream;

class Plan : public Tables {
 public:
  using Tables::Tables;

  // Elements of the work space that `run` needs for each row of a block, and beside them.
  std::pair<int64_t, int64_t> work_sizes(bool is_double, int64_t N, int64_t threads, bool by_rows) const {
    std::vector<Outer> outers = outers_;
    for (Outer& o : outers) o.total = reinterpret_cast<char*>(1);
    const int64_t width = lay_out(outers, is_double);
    return {width, times(sums_size(is_double, N, count(threads), by_rows), count(threads) - 1)};
  }

  // Packs matrix k from sources[2k], an address, with sources[2k+1] elements, into `packed`.
  void pack(bool is_double, int64_t threads, const Ints& sources, int64_t packed, int64_t size) const {
    require(size >= packed_size(is_double), "the packed buffer is too small");
    check_sources(sources);
    std::vector<Pack> packs = placed(is_double);
    struct Job {
      const std::vector<Pack>& packs;
      const Ints& sources;
      char* packed;
      const Path* path;
    } job{packs, sources, reinterpret_cast<char*>(packed), chosen[is_double]};
    nb::gil_scoped_release release;
    parallel(
        count(threads),
        [](void* data, int id, int all) {
          auto& j = *static_cast<Job*>(data);
          for (size_t k = 0; k < j.packs.size(); ++k) {
            const int64_t panels = round_up(j.packs[k].units, 2 * j.path->lanes) / (2 * j.path->lanes);
            j.path->pack(j.packs[k], reinterpret_cast<const char*>(j.sources[2 * k]), j.packed, panels * id / all,
                         panels * (id + 1) / all);
          }
        },
        &job);
  }

  // All steps, block after block. `arrays` has 7 numbers an array: address, elements, time stride, row stride, whether
  // it holds the steps of one block, address and elements of what stands before the first step. `states` has 10 a
  // state: width, arrays old, out, carry, next, addresses initial, reset, last, d_initial, d_reset.
  // `sources` has for each matrix what `pack` is given: they are packed first, or, without a packed buffer, read as they
  // lie. Without `sources` the matrices are packed already.
  // `totals` has 4 numbers an outer product: address of its sum, 0 where it is not wanted, elements, row
  // stride, and whether it is added to.
  // With `by_rows` each thread takes rows of its own, and none waits between steps; units of all rows otherwise.
  void run(bool is_double, int64_t threads, bool by_rows, const Ints& arrays, const Ints& states, const Ints& shape, int64_t flags,
           int64_t packed, int64_t packed_elements, const Ints& sources, const Ints& totals, int64_t work,
           int64_t work_elements) const {
    require(shape.size() == 5, "shape is T, N, steps of a block, direction, upstream");
    const int64_t T = shape[0], N = shape[1], steps = shape[2], direction = shape[3], upstream = shape[4];
    require(T > 0 && N > 0 && steps > 0 && T < (1LL << 31) && N < (1LL << 31) && steps <= T, "there are no such steps");
    require(direction == 1 || direction == -1 || direction == 2 || direction == -2, "there is no such direction");
    require(upstream >= -1 && upstream < static_cast<int64_t>(modes_.size()), "there is no such array");
    require(arrays.size() == 7 * modes_.size(), "an array is missing");
    require(states.size() % 10 == 0, "the states are cut off");
    const bool as_they_lie = !packed && !sources.empty();
    require(as_they_lie || packed_elements >= packed_size(is_double), "the packed buffer is too small");
    if (!sources.empty()) check_sources(sources);
    require(totals.size() == 4 * outers_.size(), "a total is missing");
    Bound bound;
    bind(bound, is_double, count(threads), by_rows, arrays, keep(states, arrays, flags != 0, direction == 2 || direction == -2, upstream), shape, flags, packed);
    Call& c = bound.call;
    for (size_t k = 0; k < sources.size() / 2; ++k) {
      require(!as_they_lie || packs_[k].depth_stride == 1, "the columns of a matrix do not lie side by side");
      (as_they_lie ? bound.packs[k].source : bound.packs[k].from) = reinterpret_cast<const char*>(sources[2 * k]);
    }
    bound.outers = outers_;
    for (size_t k = 0; k < outers_.size(); ++k) {
      const int64_t* t = &totals[4 * k];
      Outer& o = bound.outers[k];
      o.total = reinterpret_cast<char*>(t[0]), o.stride = t[2], o.add = t[3] != 0;
      if (!o.total) continue;
      require(t[1] >= 0 && t[2] >= o.right_width, "the rows of a total overlap");
      require(checked(times(o.left_width - 1, t[2]) + o.right_width) <= t[1], "a total is too small");
    }
    c.side_width = lay_out(bound.outers, is_double);
    c.sums_size = sums_size(is_double, N, count(threads), by_rows);
    const int64_t side_size = times(c.side_width, times(steps, N));
    require(checked(side_size + times(c.sums_size, count(threads) - 1)) <= work_elements, "the work space is too small");
    c.outers = bound.outers.data(), c.outer_count = static_cast<int32_t>(bound.outers.size());
    c.work = reinterpret_cast<char*>(work);
    c.sums = c.sums_size ? c.work + side_size * (is_double ? 8 : 4) : nullptr;
    c.spent = spent();
    place_memory(bound, is_double, count(threads), scratch(memory_size(c, is_double, count(threads))));
    struct Job {
      const Call& call;
      const Path* path;
      Barrier barrier;
    } job{c, chosen[is_double], {}};
    nb::gil_scoped_release release;
    parallel(
        count(threads),
        [](void* data, int id, int all) {
          auto& j = *static_cast<Job*>(data);
          j.path->scan(j.call, id, all, j.barrier);
        },
        &job);
  }

  // Seconds of this thread's scans in each part.
  static double* spent() {
    static thread_local double seconds[PARTS] = {};
    return seconds;
  }

  // out[k] = left[k] right[k] of some matrices, see `Multiplication`; `right_stride` lies between the matrices on the right.
  static void multiply(bool is_double, int64_t threads, const Ints& shape, int64_t left, int64_t right, const Ints& strides, int64_t out) {
    require(shape.size() == 4 && strides.size() == 3 && left && right && out, "a product needs four sizes and three strides");
    for (int64_t n : shape) require(n > 0, "a product is empty");
    for (int64_t n : strides) require(n >= 0, "a stride is below 0");
    times(times(shape[0], shape[1]), std::max(shape[2], shape[3]));
    const Path* path = chosen[is_double];
    Multiplication m{shape[0], shape[1], shape[2], shape[3], reinterpret_cast<const char*>(left), reinterpret_cast<const char*>(right),
                     strides[0], strides[1], strides[2], reinterpret_cast<char*>(out), nullptr, 0};
    m.scratch_size = round_up(checked(times(round_up(m.units, 2 * path->lanes), m.depth) + times(copied_width(m.depth), MOST_CHUNK)), 64);
    m.scratch = scratch(times(m.scratch_size * count(threads), is_double ? 8 : 4));
    struct Job {
      const Multiplication& m;
      const Path* path;
    } job{m, path};
    nb::gil_scoped_release release;
    parallel(
        count(threads),
        [](void* data, int id, int all) {
          auto& j = *static_cast<Job*>(data);
          j.path->multiply(j.m, id, all);
        },
        &job);
  }

  friend class Stream;

 private:
  // The call, without memory to work in.
  void bind(Bound& bound, bool is_double, int threads, bool by_rows, const Ints& arrays, std::vector<State> states, const Ints& shape,
            int64_t flags, int64_t packed) const {
    Call& c = bound.call;
    c.T = shape[0], c.N = shape[1], c.block_steps = shape[2];
    c.direction = shape[3] > 0 ? 1 : -1;
    c.backward = shape[3] == 2 || shape[3] == -2;
    c.upstream = static_cast<int32_t>(shape[4]);
    bound.arrays = addressed(arrays, c, threads);
    bound.states = std::move(states);
    bound.packs = placed(is_double);
    c.before = before_.data(), c.before_count = static_cast<int32_t>(before_.size());
    c.after = after_.data(), c.after_count = static_cast<int32_t>(after_.size());
    c.instructions = instructions_.data(), c.phases = phases_.data(), c.packs = bound.packs.data();
    c.phase_count = static_cast<int32_t>(phases_.size());
    c.array_count = static_cast<int32_t>(bound.arrays.size());
    c.number_count = static_cast<int32_t>(numbers_.size()), c.pack_count = static_cast<int32_t>(packs_.size());
    c.slots = static_cast<int32_t>(slots_), c.whole = whole_;
    c.arrays = bound.arrays.data();
    c.states = bound.states.data(), c.state_count = static_cast<int32_t>(bound.states.size());
    c.packed = reinterpret_cast<char*>(packed);
    c.flags = reinterpret_cast<const uint8_t*>(flags);
    split(c, is_double, threads, by_rows);
  }

  // Bytes for the numbers, and for each thread's scratch: where arrays stand, slots, patched rows.
  int64_t memory_size(Call& c, bool is_double, int threads) const {
    const int64_t item = is_double ? 8 : 4;
    int64_t patches = 0;
    for (int k = 0; k < c.state_count; ++k) patches += c.states[k].width;
    if (c.state_count) patches += c.states[0].width;
    c.copies = copied(c, threads);
    const int64_t patched = c.flags ? c.N * patches : 0;  // of all rows: fewer threads may come than were asked for
    c.scratch_bytes = round_up(c.array_count * (16 + sizeof(Array)) + c.longest_phase * 8 + 64 + (slots_ * c.block * c.tile + c.copies + patched) * item, 64);
    return c.scratch_bytes * threads + round_up(c.number_count * c.tile * item, 64);
  }

  // Elements of the largest copies that a thread may make: of its rows for all matrices of a phase, or of a chunk of rows.
  int64_t copied(Call& c, int threads) const {
    const int64_t rows = c.by_rows ? (c.N + threads - 1) / threads : c.N;
    int64_t most = 0;
    c.copied_rows = rows;  // a thread that takes more, since fewer came than were asked for, copies none
    c.longest_phase = 0;
    for (const Phase& phase : phases_) {
      int64_t here = 0;
      for (int k = phase.begin; k < phase.end; ++k)
        if (instructions_[k].op == GEMM) here += copied_width(packs_[instructions_[k].pack].depth);
      most = std::max(most, times(here, rows));
      c.longest_phase = std::max(c.longest_phase, phase.end - phase.begin);
    }
    for (const auto* list : {&before_, &after_})
      for (const Product& p : *list)
        if (p.pack >= 0) most = std::max(most, times(copied_width(packs_[p.pack].depth), MOST_CHUNK));
    return most;
  }

  void place_memory(Bound& bound, bool is_double, int threads, char* memory) const {
    Call& c = bound.call;
    c.scratch = memory;
    char* numbers = memory + c.scratch_bytes * threads;
    c.numbers = numbers;
    for (size_t k = 0; k < numbers_.size(); ++k) {
      if (is_double)
        std::fill_n(reinterpret_cast<double*>(numbers) + k * c.tile, c.tile, numbers_[k]);
      else
        std::fill_n(reinterpret_cast<float*>(numbers) + k * c.tile, c.tile, static_cast<float>(numbers_[k]));
    }
  }

  static int count(int64_t threads) { return static_cast<int>(std::clamp<int64_t>(threads, 1, 1024)); }

  // Places the packed sides of the outer products that are wanted, each side once, and their sums; the elements that the
  // sides take for each row. The right ones come first: each begins on a line of its own, however many rows there are.
  int64_t lay_out(std::vector<Outer>& outers, bool is_double) const {
    const int64_t panel = 2 * chosen[is_double]->lanes, tall = chosen[is_double]->rows;
    int64_t used = 0, sums = 0;
    // A side that an earlier product has packed lies where it does; else it gets a place of its own.
    const auto place = [&](size_t k, auto same, int64_t Outer::*offset, int32_t Outer::*packs, int64_t width) {
      Outer& o = outers[k];
      o.*packs = 1;
      for (size_t j = 0; j < k; ++j)
        if (outers[j].total && same(outers[j], o)) o.*offset = outers[j].*offset, o.*packs = 0;
      if (o.*packs) o.*offset = used, used += width;
    };
    const auto same_right = [](const Outer& a, const Outer& b) {
      return a.right == b.right && a.right_column == b.right_column && a.right_width == b.right_width;
    };
    const auto same_left = [](const Outer& a, const Outer& b) {
      return a.left == b.left && a.left_column == b.left_column && a.left_width == b.left_width;
    };
    for (Outer& o : outers) o.sum_offset = sums, sums += o.left_width * o.right_width;
    for (size_t k = 0; k < outers.size(); ++k)
      if (outers[k].total) place(k, same_right, &Outer::right_offset, &Outer::packs_right, round_up(outers[k].right_width, panel));
    for (size_t k = 0; k < outers.size(); ++k)
      if (outers[k].total) place(k, same_left, &Outer::left_offset, &Outer::packs_left, round_up(outers[k].left_width, tall));
    return round_up(used, panel);
  }

  // Elements of the sums of one thread, where each sums up its own rows: where all matrices together stay in a cache, since
  // each thread goes through all of them in every block. 0 where they are summed up together.
  int64_t sums_size(bool is_double, int64_t N, int threads, bool by_rows) const {
    if (!by_rows || threads < 2 || N / threads < OWN_ROWS) return 0;
    int64_t size = 0;
    for (const Outer& o : outers_) size = checked(size + times(o.left_width, o.right_width));
    return times(size, is_double ? 8 : 4) <= SUMS_BYTES ? size : 0;
  }

  void split(Call& c, bool is_double, int threads, bool by_rows) const {
    const int64_t panel = 2 * chosen[is_double]->lanes;
    c.by_rows = by_rows || threads == 1 || c.flags || whole_;
    const int64_t width = round_up(widest_, panel);
    if (whole_)
      c.tile = static_cast<int32_t>(width);
    else if (c.by_rows)
      c.tile = static_cast<int32_t>(std::min<int64_t>(width, 256));
    else
      c.tile = static_cast<int32_t>(std::min<int64_t>(round_up((widest_ + threads - 1) / threads, panel), 256));
    const int32_t tall = static_cast<int32_t>(chosen[is_double]->rows);
    c.block = c.tile < 128 ? round_up(24, tall) : tall;
  }

  std::vector<Array> addressed(const Ints& v, const Call& c, int threads) const {
    std::vector<Array> bound;
    for (size_t k = 0; k < modes_.size(); ++k) {
      const int64_t* a = &v[7 * k];
      const int64_t mode = modes_[k], size = a[1], time = a[2], row = a[3];
      if (a[0] == 0 && std::any_of(after_.begin(), after_.end(), [&](const Product& p) { return p.out == static_cast<int64_t>(k); })) {
        bound.push_back({nullptr, nullptr, 0, 0, 0, TIME});  // a gradient that is not wanted
        continue;
      }
      require(mode != TIME || std::find(dense_.begin(), dense_.end(), static_cast<int64_t>(k)) == dense_.end() ||
                  time == times(c.N, row),
              "an array has gaps between its steps");
      require(a[0] != 0 && size >= 0 && time >= 0 && row >= 0 && time < (1LL << 40) && row < (1LL << 40),
              "an array has no address, or a stride below 0");
      const int64_t rows = mode == ROW || mode == SUM ? 0 : times(c.N - 1, row);
      int64_t last = 0;
      const bool in_block = a[4] != 0;
      require(!in_block || mode == TIME, "an array holds a block, but is not read step by step");
      if (mode == TIME) {
        last = times((in_block ? c.block_steps : c.T) - 1, time);
      } else if (mode == PREVIOUS) {
        if (c.T > 1) last = times(c.direction > 0 ? c.T - 2 : c.T - 1, time);
        require(a[5] != 0 && a[6] >= times(c.N - 1, row) + reach_[k], "the state before the first step is too small");
      } else if (mode == PARITY || mode == OTHER) {
        last = time;
      } else if (mode == SUM) {
        last = times(threads - 1, time);
      }
      if (reach_[k]) require(last + rows + reach_[k] <= size, "an array is too small");
      bound.push_back({reinterpret_cast<char*>(a[0]), reinterpret_cast<char*>(a[5]), time,
                       mode == ROW || mode == SUM ? 0 : row, in_block ? IN_BLOCK : 0, static_cast<int32_t>(mode)});
    }
    return bound;
  }

  std::vector<State> keep(const Ints& v, const Ints& arrays, bool masked, bool backward, int64_t upstream) const {
    std::vector<State> kept;
    if (!masked) return kept;
    require(!v.empty(), "masks need the states");
    for (size_t k = 0; k < v.size(); k += 10) {
      const int64_t* s = &v[k];
      require(s[0] > 0 && s[0] < (1 << 24), "a state has no such width");
      for (int j = 1; j < 5; ++j) {
        require(s[j] >= -1 && s[j] < static_cast<int64_t>(modes_.size()), "there is no such array");
        if (s[j] < 0) continue;
        const int64_t size = arrays[7 * s[j] + 1], time = arrays[7 * s[j] + 2], row = arrays[7 * s[j] + 3];
        require(row >= s[0] && size % row == 0 && time % row == 0, "a state is wider than its array");
      }
      require(s[backward ? 4 : 2] >= 0, "a state has no array to be written to");
      for (int j = 5; j < (backward ? 10 : 8); ++j) require(s[j] != 0, "a state lacks an address");
      auto p = [&](int j) { return reinterpret_cast<char*>(s[j]); };
      kept.push_back({s[0], static_cast<int32_t>(s[1]), static_cast<int32_t>(s[2]), static_cast<int32_t>(s[3]),
                      static_cast<int32_t>(s[4]), p(5), p(6), p(7), p(8), p(9)});
    }
    require(upstream < 0 || reach_[upstream] <= kept[0].width, "the gradient of the output is wider than the state");
    return kept;
  }

  // Memory of the calling thread, kept between calls.
  static char* scratch(int64_t bytes) {
    struct Free {
      void operator()(char* p) const { std::free(p); }
    };
    static thread_local std::unique_ptr<char, Free> memory;
    static thread_local int64_t held = 0;
    if (held < bytes) {
      memory.reset();
      held = 0;
      memory.reset(static_cast<char*>(std::aligned_alloc(64, round_up(bytes, 64))));
      if (!memory) throw std::bad_alloc();
      held = bytes;
    }
    return memory.get();
  }
};

}  // namespace unrolled
