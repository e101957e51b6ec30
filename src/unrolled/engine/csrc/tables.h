// The tables of a plan, checked when they are given.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "paths.h"

namespace unrolled {

// What a plan is, apart from the memory of any call. No index in it leaves another table, or the columns in `reach_`.
class Tables {
 public:
  Tables(const Ints& instructions, const Ints& phases, const Ints& packs, const Ints& modes, std::vector<double> numbers,
         int64_t slots, bool whole, const Ints& before, const Ints& after, const Ints& outers)
      : numbers_(std::move(numbers)), slots_(slots), whole_(whole) {
    require(instructions.size() % 18 == 0 && phases.size() % 4 == 0 && packs.size() % 4 == 0, "a table is cut off");
    require(slots >= 0 && slots < 10000 && modes.size() < 10000, "too many slots or arrays");
    for (int64_t m : modes) require(m >= TIME && m <= SUM, "an array has no such mode");
    modes_.assign(modes.begin(), modes.end());
    reach_.assign(modes.size(), 0);
    for (size_t k = 0; k < packs.size(); k += 4) {
      for (int j = 0; j < 4; ++j) require(packs[k + j] >= 0 && packs[k + j] < (1 << 30), "a matrix has no such shape");
      require(packs[k] > 0 && packs[k + 1] > 0, "a matrix is empty");
      packs_.push_back({packs[k], packs[k + 1], packs[k + 2], packs[k + 3], 0, nullptr, nullptr});
    }
    for (size_t k = 0; k < instructions.size(); k += 18) add(&instructions[k]);
    int64_t at = 0;
    for (size_t k = 0; k < phases.size(); k += 4) {
      require(phases[k] == at && phases[k + 1] > at && phases[k + 1] <= static_cast<int64_t>(instructions_.size()),
              "the phases do not cover the instructions");
      at = phases[k + 1];
      int64_t width = 0;
      for (int64_t i = phases[k]; i < at; ++i) {
        width = std::max<int64_t>(width, instructions_[i].width);
        require(whole || instructions_[i].width == phases[k + 2], "a tiled phase has two widths");
      }
      require(phases[k + 2] == width, "a phase has another width than its instructions");
      phases_.push_back({static_cast<int32_t>(phases[k]), static_cast<int32_t>(at), static_cast<int32_t>(width),
                         phases[k + 3] != 0});
      widest_ = std::max(widest_, width);
    }
    require(at == static_cast<int64_t>(instructions_.size()), "the phases do not cover the instructions");
    before_ = products(before);
    after_ = products(after);
    require(outers.size() % 6 == 0, "a table is cut off");
    for (size_t k = 0; k < outers.size(); k += 6) add_outer(&outers[k]);
  }

  // Elements that the matrices take as panels.
  int64_t packed_size(bool is_double) const {
    int64_t panel = 2 * chosen[is_double]->lanes, total = 0;
    for (const Pack& p : packs_) total = checked(total + times(round_up(p.units, panel), p.depth));
    return total;
  }

 protected:
  std::vector<Instruction> instructions_;
  std::vector<Phase> phases_;
  std::vector<Pack> packs_;
  std::vector<Product> before_, after_;
  std::vector<Outer> outers_;
  std::vector<int32_t> modes_;
  std::vector<int64_t> dense_;  // arrays without gaps between steps
  std::vector<int64_t> reach_;  // columns that the instructions touch in each array
  std::vector<double> numbers_;
  int64_t slots_ = 0, widest_ = 1;
  bool whole_ = false;

  static int64_t checked(int64_t size) { return times(size, 1); }

  void check_sources(const Ints& sources) const {
    require(sources.size() == 2 * packs_.size(), "a matrix is missing");
    for (size_t k = 0; k < packs_.size(); ++k) {
      const Pack& p = packs_[k];
      require(sources[2 * k] != 0, "a matrix has no address");
      require(times(p.units - 1, p.unit_stride) + times(p.depth - 1, p.depth_stride) < sources[2 * k + 1], "a matrix is too small");
    }
  }

  // The matrices with their places in the packed buffer.
  std::vector<Pack> placed(bool is_double) const {
    std::vector<Pack> packs = packs_;
    int64_t at = 0;
    for (Pack& p : packs) {
      p.offset = at;
      at = checked(at + times(round_up(p.units, 2 * chosen[is_double]->lanes), p.depth));
    }
    return packs;
  }

 private:
  void add(const int64_t* v) {
    Instruction i{};
    require(v[0] >= 0 && v[0] <= DNORMALIZE, "there is no such instruction");
    require(v[1] > 0 && v[1] < (1 << 24), "an instruction has no such width");
    i.op = static_cast<int32_t>(v[0]), i.width = static_cast<int32_t>(v[1]), i.pack = static_cast<int32_t>(v[2]);
    int64_t left = i.width;
    if (i.op == GEMM) {
      require(v[2] >= 0 && v[2] < static_cast<int64_t>(packs_.size()), "there is no such matrix");
      require(packs_[v[2]].units == i.width, "a matrix has another width than its instruction");
      left = packs_[v[2]].depth;
    } else if (i.op == ROWSUM || i.op == ROWMAX || i.op == NORMSCALE) {
      require(v[2] > 0 && v[2] < (1 << 24) && whole_, "a row operation needs whole rows, and a width");
      left = v[2];
    } else if (i.op == EXPAND || i.op == NORMALIZE || i.op == DNORMALIZE) {
      require(whole_, "a row operation needs whole rows");
      if (i.op == EXPAND) left = 1;
    }
    i.out = operand(v + 3, i.width, false);
    i.a = operand(v + 6, left, false);
    i.b = operand(v + 9, i.op == NORMALIZE ? 1 : i.width, true);
    i.c = operand(v + 12, i.op == DNORMALIZE ? 1 : i.width, true);
    i.sum = operand(v + 15, i.width, true);
    require(i.op < NORMSCALE || i.b.where != NONE, "a norm needs a second operand");
    require(i.op != DNORMALIZE || i.c.where != NONE, "the gradient of a norm needs a third operand");
    require(i.out.where != NUMBER && (i.sum.where == NONE || i.sum.where == ARRAY), "a number cannot be written to");
    require(i.op != GEMM || i.a.where == ARRAY, "the left side of a matrix must be an array");
    require(i.out.where != SCRATCH || i.op != GEMM || i.out.column == 0, "a product must begin its slot");
    instructions_.push_back(i);
  }

  void touch(int64_t array, int64_t column, int64_t width) {
    require(array >= 0 && array < static_cast<int64_t>(modes_.size()), "there is no such array");
    require(column >= 0 && width > 0 && column < (1 << 24) && width < (1 << 24), "an array has no such columns");
    reach_[array] = std::max(reach_[array], column + width);
  }

  std::vector<Product> products(const Ints& v) {
    require(v.size() % 7 == 0, "a table is cut off");
    std::vector<Product> made;
    for (size_t k = 0; k < v.size(); k += 7) {
      const int64_t* p = &v[k];
      require(p[2] >= -1 && p[2] < static_cast<int64_t>(packs_.size()), "there is no such matrix");
      require(p[2] < 0 || p[6] == packs_[p[2]].units, "a matrix has another width than its product");
      touch(p[0], p[4], p[2] < 0 ? p[6] : packs_[p[2]].depth);
      touch(p[1], p[5], p[6]);
      require(modes_[p[0]] == TIME && modes_[p[1]] == TIME, "a product needs all steps of its arrays");
      made.push_back({static_cast<int32_t>(p[0]), static_cast<int32_t>(p[1]), static_cast<int32_t>(p[2]), p[3] != 0,
                      p[4], p[5], p[6]});
      dense_.push_back(p[0]);
      dense_.push_back(p[1]);
    }
    return made;
  }

  void add_outer(const int64_t* v) {
    touch(v[0], v[1], v[2]);
    touch(v[3], v[4], v[5]);
    for (int64_t k : {v[0], v[3]})
      require(modes_[k] == TIME || modes_[k] == PREVIOUS || modes_[k] == FIXED, "an outer product needs rows for all steps");
    outers_.push_back({static_cast<int32_t>(v[0]), static_cast<int32_t>(v[3]), v[1], v[2], v[4], v[5], 0, 0, 0, 0, nullptr, 0, 0, 0});
  }

  Operand operand(const int64_t* v, int64_t width, bool optional) {
    require(v[0] >= (optional ? 0 : 1) && v[0] <= NUMBER, "an operand is nowhere");
    require(v[1] >= 0 && v[2] >= 0 && v[2] < (1 << 24), "an operand is nowhere");
    if (v[0] == ARRAY) {
      require(v[1] < static_cast<int64_t>(modes_.size()), "there is no such array");
      reach_[v[1]] = std::max(reach_[v[1]], v[2] + width);
    } else if (v[0] == SCRATCH) {
      require(v[1] < slots_, "there is no such slot");
      require(v[2] == 0 || whole_, "a slice of scratch needs whole rows");
      widest_ = std::max(widest_, v[2] + width);
    } else if (v[0] == NUMBER) {
      require(v[1] < static_cast<int64_t>(numbers_.size()) && v[2] == 0, "there is no such number");
      if (whole_) widest_ = std::max(widest_, width);
    }
    return {static_cast<int32_t>(v[0]), static_cast<int32_t>(v[1]), v[2]};
  }
};

}  // namespace unrolled
