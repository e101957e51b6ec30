// What a path is given: a plan, the arrays of one call, and what each thread may write to.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace unrolled {

// Array modes and operand kinds, in the order of compiler/plan.py.
enum Mode : int32_t { TIME, PREVIOUS, PARITY, OTHER, FIXED, ROW, SUM };
enum Where : int32_t { NONE, ARRAY, SCRATCH, NUMBER };

struct Operand {
  int32_t where, index;
  int64_t column;
};

struct Instruction {
  int32_t op, width, pack;
  Operand out, a, b, c, sum;
};

struct Phase {
  int32_t begin, end, width, barrier;
};

// One matrix, (units, depth), as panels [depth][2 vectors] from `offset` of the packed buffer on; or, where
// there is a `source`, as it lies there, its columns side by side. It is packed first where there is a `from`.
struct Pack {
  int64_t units, depth, unit_stride, depth_stride, offset;
  const char *source, *from;
};

// out (+)= left W^T for all rows of a block of steps at once; the arrays have mode TIME, without gaps. `pack` -1 stands
// for the identity; `width` are the units.
struct Product {
  int32_t left, out, pack, add;
  int64_t left_column, out_column, width;
};

// total (left width, right width) (+)= left^T right, over all rows of a block of steps.
struct Outer {
  int32_t left, right;
  int64_t left_column, left_width, right_column, right_width;
  int64_t left_offset, right_offset;  // of the packed sides in `work`, elements for each row
  int32_t packs_left, packs_right;    // whether no earlier one has packed the same side
  char* total;                        // its rows are `stride` elements apart; null: not wanted
  int64_t stride;
  int32_t add;
  int64_t sum_offset;                 // in the sums of a thread, elements
};

// One array of a call. PREVIOUS reads `first` (N, width) before the first step.
struct Array {
  char *base, *first;
  int64_t time_stride, row_stride;  // elements
  int64_t start;                    // the step that `base` holds first; IN_BLOCK: the first of the block at hand
  int32_t mode;
};

constexpr int64_t IN_BLOCK = -1;

// The parts of a scan: packing; of each block projections, steps, packed sides, products and outer products after them.
enum Part { PACKING, BEFORE, STEPS, SIDES, AFTER, OUTERS, PARTS };

// What masks need of one state: indices of its arrays in the plan, -1 where there is none, and the
// tensors (N, width), contiguous, null where there is none.
//   forward:  `initial`, `reset` are read, `last` is written.
//   backward: `last` is the gradient of the final state, read; `d_initial`, `d_reset` are added to.
struct State {
  int64_t width;
  int32_t old, out, carry, next;
  char *initial, *reset, *last, *d_initial, *d_reset;
};

// Flags of a (step, sequence): it is inside its sequence; it begins one, from the initial state or from
// the reset state; it ends one.
enum Flag : uint8_t { INSIDE = 1, FROM_INITIAL = 2, FROM_RESET = 4, LAST = 8 };

struct Call {
  const Instruction* instructions;
  const Phase* phases;
  const Pack* packs;
  int32_t phase_count, array_count, number_count, pack_count, slots, whole;
  const Array* arrays;
  const State* states;
  const Product *before, *after;  // what surrounds the steps
  const Outer* outers;
  int32_t before_count, after_count, outer_count;
  char* work;                     // for packed sides, `side_width` elements a row
  int64_t side_width;
  char* sums;                     // of each thread but the first `sums_size` elements, where each sums up its own rows; or null
  int64_t sums_size;
  int32_t state_count, upstream;  // `upstream`: the array of dL/dy, -1 in a forward call
  char* packed;
  const char* numbers;            // each repeated over `tile` units
  const uint8_t* flags;           // (T, N), or null
  char* scratch;                  // `scratch_bytes` for each thread
  int64_t scratch_bytes;
  int64_t T, N, block_steps;      // steps of a block, at most
  int64_t begin, end;             // of the block at hand
  int32_t later;                  // whether there was a block before it, in the order of the blocks
  int32_t direction;              // +1: upwards in time. The scan's own direction, also in a backward call
  int32_t backward;               // whether steps are taken against it
  int32_t by_rows, tile, block;   // how the work is split; units and rows of a tile
  int64_t copies, copied_rows;    // elements that a thread may copy, and of how many rows in a step
  int32_t longest_phase;          // instructions
  double* spent;                  // seconds of each part are added to it
};

struct Barrier;

// An array of a layer that changes from symbol to symbol: a row of a table, or, with a negative stride,
// the newer of the two slices of the state below.
struct Lookup {
  int32_t array;
  const char* table;
  int64_t stride;
};

// Symbols, one after the other, through layers with N = 1.
struct Streaming {
  const Call* const* layers;
  const Lookup* const* lookups_of;
  const int32_t* lookup_counts;
  int32_t layer_count;
  Pack head;
  const char *head_packed, *bias, *state;
  char* scores;
  int64_t V, step, count;
  int64_t symbol;  // what is read next; below 0 after scores that are not finite
  int64_t* made;
  void* chooser;
  int64_t (*choose)(void* chooser, const char* scores, int64_t V, bool is_double);
};

// Sequences of labels whose places among the steps are not known.
struct Alignments {
  int64_t T, N, V, S;
  const double* y;        // (T, N, V), the probability of each symbol; 0 is the blank
  const int64_t* labels;  // (S, N), from 1 to V - 1
  const int64_t *steps, *counts;  // (N): from 1 to T, and from 0 to S
  double* losses;         // (N)
  double* gradient;       // (T, N, V), from which the shares of the paths are taken away; or null
};

// Rows of each thread from which on each takes its own sequences in products, too, and not a share of all rows. Fewer do
// not keep the multipliers busy.
constexpr int64_t OWN_ROWS = 4;

// Bytes of all sums of outer products up to which each thread has its own.
constexpr int64_t SUMS_BYTES = 1 << 20;

// Rows of a product over all steps that are taken at a time, at most.
constexpr int64_t MOST_CHUNK = 64;

// Of no more symbols, each has four sums.
constexpr int64_t FEW_SYMBOLS = 64;

// Steps whose rows are kept.
inline int64_t align_block(int64_t steps) {
  return std::max<int64_t>(2, static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(steps)))));
}

// The numbers that one sequence needs to work in, however many of the steps and labels are its own.
inline int64_t align_size(int64_t lanes, int64_t steps, int64_t S) {
  const int64_t width = (S + lanes) / lanes * lanes, rows = 2 * align_block(steps) + 1;
  return rows * (lanes + 2 * width) + steps + 6 * width + 3 * lanes + 4 * FEW_SYMBOLS + S / 2 + 1;
}

// out[k] (rows, units) = left[k] (rows, depth) right[k] (depth, units), for `count` matrices; the rows of `left` and `out` lie
// without gaps, the numbers of `right` at any strides.
struct Multiplication {
  int64_t count, rows, depth, units;
  const char *left, *right;
  int64_t right_stride, depth_stride, unit_stride;
  char* out;
  char* scratch;  // `scratch_size` elements for each thread: panels, and copies of rows
  int64_t scratch_size;
};

// One instruction set and number type.
struct Path {
  const char* name;
  int64_t lanes;                  // a panel is two vectors wide
  int64_t rows;                   // of a tile, at most
  void (*scan)(const Call&, int id, int threads, Barrier&);
  void (*stream)(Streaming&, int id, int threads, Barrier&);
  void (*pack)(const Pack&, const char* source, char* packed, int64_t first, int64_t last);
  void (*multiply)(const Multiplication&, int id, int threads);
  void (*apply)(int op, int64_t n, const char* a, const char* b, const char* c, char* out);
  void (*align)(const Alignments&, int64_t n, double* work);
  double (*multiply_adds)(int64_t n, double factor, double more);
};

const Path* path_scalar(bool is_double);
const Path* path_avx2(bool is_double);
const Path* path_avx512(bool is_double);
const Path* path_neon(bool is_double);

}  // namespace unrolled
