// Large blocks of memory, kept for their next use: fresh pages cost a fault each, for every 4 KiB.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>
#include <vector>

namespace unrolled {

// An array of zeros or of what its memory held before, as a capsule of DLPack, whose owner gives it back to the pool.
// Raises std::bad_alloc where the system has no such memory.
nanobind::object pooled(bool is_double, const std::vector<int64_t>& shape);

// Bytes of the blocks that are in use, and of those that are kept.
std::vector<int64_t> pool_sizes();

// Gives the blocks that are not in use back to the system.
void empty_pool();

}  // namespace unrolled
