// Running a function on several threads: torch's own OpenMP team where there is one.
#pragma once
#include <atomic>

namespace unrolled {

// Waits until all of `threads` have come. Spins for a while, then lets others run.
struct Barrier {
  alignas(64) std::atomic<int> count{0};
  alignas(64) std::atomic<int> turn{0};
  void wait(int threads);
};

// Calls f(data, id, threads) on up to `wanted` threads; `threads` is how many there are.
void parallel(int wanted, void (*f)(void* data, int id, int threads), void* data);

// "libgomp" or another runtime found in the process, or "own threads".
const char* thread_source();

}  // namespace unrolled
