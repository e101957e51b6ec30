// A stream as the border holds it.
#pragma once
#include "choose.h"
#include "planned.h"

namespace unrolled {

// Symbol after symbol through a stack of layers, head and choice, in one loop.
class Stream {
 public:
  Stream(bool is_double, int64_t threads) : is_double_(is_double), threads_(Plan::count(threads)) {
    s_.lookups_of = nullptr;
  }
  Stream(const Stream&) = delete;

  // The next layer: its plan, arrays as in Plan.run, packed matrices; `inputs` has three numbers for each
  // array that changes with the symbol or with the layer below: its index, the address of a table (V, stride) or
  // of the two slices of the state below, and the stride, negative for a state below.
  void add_layer(const Plan& plan, const Ints& arrays, const Ints& inputs, int64_t packed, int64_t packed_elements) {
    require(packed_elements >= plan.packed_size(is_double_), "the packed buffer is too small");
    require(inputs.size() % 3 == 0 && arrays.size() == 7 * plan.modes_.size(), "a table is cut off");
    layers_.push_back(std::make_unique<Held>());
    Held& held = *layers_.back();
    plan.bind(held.bound, is_double_, threads_, threads_ == 1, arrays, {}, {1, 1, 1, 1, -1}, 0, packed);
    Call& c = held.bound.call;
    c.by_rows = threads_ == 1;
    for (Array& a : held.bound.arrays)
      if (a.mode == TIME) a.time_stride = 0;  // one step, again and again
    held.memory.resize(plan.memory_size(c, is_double_, threads_) + 64);
    char* memory = held.memory.data();
    plan.place_memory(held.bound, is_double_, threads_, memory + (64 - reinterpret_cast<uintptr_t>(memory) % 64));
    for (size_t k = 0; k < inputs.size(); k += 3) {
      require(inputs[k] >= 0 && inputs[k] < c.array_count && inputs[k + 1] != 0, "there is no such array");
      held.lookups.push_back({static_cast<int32_t>(inputs[k]), reinterpret_cast<const char*>(inputs[k + 1]), inputs[k + 2]});
      for (const Product& p : plan.before_)
        if (p.out == inputs[k]) c.before_count = 0;  // the table has the products of every symbol
    }
  }

  // Scores = W h + b, W (V, H) packed, for h in the two slices of the last layer's state.
  void set_head(int64_t weight, int64_t bias, int64_t state, int64_t V, int64_t H) {
    require(weight != 0 && state != 0 && V > 0 && H > 0 && V < (1 << 28) && H < (1 << 24), "the head has no such shape");
    const Path* path = chosen[is_double_];
    const int64_t panel = 2 * path->lanes;
    Pack w{V, H, H, 1, 0, nullptr, nullptr};
    head_.resize((round_up(V, panel) * H + panel) * (is_double_ ? 8 : 4) + 64);
    char* at = aligned(head_);
    path->pack(w, reinterpret_cast<const char*>(weight), at, 0, round_up(V, panel) / panel);
    scores_.resize(round_up(V, panel) * 8 + 64);
    s_.head = w, s_.head_packed = at, s_.scores = aligned(scores_), s_.V = V;
    s_.bias = reinterpret_cast<const char*>(bias), s_.state = reinterpret_cast<const char*>(state);
  }

  void set_choice(double temperature, int64_t top_k, double top_p, const Ints& exclude, uint64_t seed, uint64_t position) {
    chooser_ = Chooser(temperature, top_k, top_p, exclude, seed, position);
  }

  // `count` symbols after `symbol`, which is read first, on up to as many threads as the stream was made for.
  std::vector<int64_t> run(int64_t symbol, int64_t count, int64_t threads) {
    require(!layers_.empty() && s_.V > 0, "there is no layer, or no head");
    require(symbol >= 0 && symbol < s_.V && count >= 0 && count < (1 << 28), "there is no such symbol");
    std::vector<int64_t> made(count);
    std::vector<const Call*> calls;
    std::vector<const Lookup*> lookups;
    std::vector<int32_t> counts;
    for (auto& held : layers_) {
      calls.push_back(&held->bound.call);
      lookups.push_back(held->lookups.data());
      counts.push_back(static_cast<int32_t>(held->lookups.size()));
    }
    s_.layers = calls.data(), s_.layer_count = static_cast<int32_t>(calls.size());
    s_.lookups_of = lookups.data(), s_.lookup_counts = counts.data();
    s_.symbol = symbol, s_.count = count, s_.step = step_, s_.made = made.data();
    s_.chooser = &chooser_;
    s_.choose = [](void* chooser, const char* scores, int64_t V, bool is_double) {
      return static_cast<Chooser*>(chooser)->choose(scores, V, is_double);
    };
    struct Job {
      Streaming& streaming;
      const Path* path;
      Barrier barrier;
    } job{s_, chosen[is_double_], {}};
    {
      nb::gil_scoped_release release;
      parallel(
          static_cast<int>(std::clamp<int64_t>(threads, 1, threads_)),
          [](void* data, int id, int all) {
            auto& j = *static_cast<Job*>(data);
            j.path->stream(j.streaming, id, all, j.barrier);
          },
          &job);
    }
    step_ += count;
    if (s_.symbol < 0) throw std::domain_error("the model's scores are not finite: its weights are not usable");
    return made;
  }

 private:
  struct Held {
    Bound bound;
    std::vector<char> memory;
    std::vector<Lookup> lookups;
  };
  bool is_double_;
  int threads_;
  int64_t step_ = 0;
  std::vector<std::unique_ptr<Held>> layers_;
  std::vector<char> head_, scores_;
  Streaming s_{};
  Chooser chooser_;

  static char* aligned(std::vector<char>& bytes) {
    return bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64);
  }
};

}  // namespace unrolled
