// Running a function on several threads: torch's own OpenMP team where there is one.
#pragma once
#include <atomic>
#include <condition_variable>
#include <mutex>

namespace unrolled {

// Waits until all of `threads` have come. Spins for some microseconds, then sleeps: what a thread waits for may have
// lost its core to another program, and a core that is spun on is one that it cannot have.
struct Barrier {
  alignas(64) std::atomic<int> count{0};
  alignas(64) std::atomic<int> turn{0};
  std::atomic<int> sleepers{0};
  std::mutex mutex;
  std::condition_variable come;
  void wait(int threads);
};

// Calls f(data, id, threads) on up to `wanted` threads; `threads` is how many there are: fewer than wanted where the
// system does not start more.
void parallel(int wanted, void (*f)(void* data, int id, int threads), void* data);

// "libgomp" or another runtime found in the process, or "own threads".
const char* thread_source();

}  // namespace unrolled
