#include "threads.h"

#include <dlfcn.h>
#include <pthread.h>

#include <cstring>
#include <string>
#include <system_error>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <link.h>
#endif

namespace unrolled {

namespace {

using Region = void (*)(void (*)(void*), void*, unsigned, unsigned);
using Number = int (*)();

struct OpenMP {
  Region parallel = nullptr;
  Number id = nullptr, threads = nullptr;
  std::string name;
  bool found() const { return parallel && id && threads; }
};

bool take(void* library, const char* name, OpenMP& found) {
  found.parallel = reinterpret_cast<Region>(dlsym(library, "GOMP_parallel"));
  found.id = reinterpret_cast<Number>(dlsym(library, "omp_get_thread_num"));
  found.threads = reinterpret_cast<Number>(dlsym(library, "omp_get_num_threads"));
  found.name = name;
  return found.found();
}

#if defined(__linux__)
int visit(dl_phdr_info* info, size_t, void* data) {
  auto& names = *static_cast<std::vector<std::string>*>(data);
  const char* file = std::strrchr(info->dlpi_name, '/');
  if (file && std::strstr(file, "omp")) names.emplace_back(info->dlpi_name);
  return 0;
}
#endif

// Wheels rename the library, so it is looked for among those that the process has.
OpenMP look() {
  OpenMP found;
#if defined(__linux__)
  std::vector<std::string> names;
  dl_iterate_phdr(visit, &names);
  for (const auto& name : names) {
    void* library = dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (library && take(library, name.substr(name.rfind('/') + 1).c_str(), found)) return found;
  }
#endif
  if (!take(RTLD_DEFAULT, "OpenMP", found)) found = OpenMP();
  return found;
}

std::atomic<bool> forked{false};

const OpenMP& openmp() {
  static const OpenMP found = [] {
    // the team of a parent does not exist in its child
    pthread_atfork(nullptr, nullptr, [] { forked.store(true); });
    return look();
  }();
  return found;
}

struct Work {
  void (*f)(void*, int, int);
  void* data;
};

void member(void* work) {
  auto* w = static_cast<Work*>(work);
  w->f(w->data, openmp().id(), openmp().threads());
}

// f on threads of our own, on as many as the system starts; how many there were.
int own_threads(int wanted, void (*f)(void*, int, int), void* data) {
  std::mutex mutex;
  std::condition_variable known;
  int threads = 0;  // nobody begins before it is known
  auto begin = [&](int id) {
    {
      std::unique_lock<std::mutex> lock(mutex);
      known.wait(lock, [&] { return threads > 0; });
    }
    f(data, id, threads);
  };
  std::vector<std::thread> others;
  others.reserve(wanted - 1);
  try {
    for (int id = 1; id < wanted; ++id) others.emplace_back(begin, id);
  } catch (const std::system_error&) {  // a limit on threads, or on memory for their stacks
  }
  {
    std::lock_guard<std::mutex> lock(mutex);
    threads = static_cast<int>(others.size()) + 1;
  }
  known.notify_all();
  f(data, 0, threads);
  for (auto& thread : others) thread.join();
  return threads;
}

// How many of `wanted` threads the system starts. OpenMP ends the process where it cannot start one, so more than ever
// before are tried first.
int startable(int wanted) {
  static std::atomic<int> most{1};
  if (wanted <= most.load()) return wanted;
  const int threads = own_threads(wanted, [](void*, int, int) {}, nullptr);
  for (int seen = most.load(); seen < threads && !most.compare_exchange_weak(seen, threads);) {
  }
  return threads;
}

constexpr int SPINS = 500;  // 5 to 20 microseconds

}  // namespace

void Barrier::wait(int threads) {
  if (threads < 2) return;
  const int mine = turn.load(std::memory_order_relaxed);
  if (count.fetch_add(1, std::memory_order_acq_rel) == threads - 1) {
    count.store(0, std::memory_order_relaxed);
    turn.store(mine + 1);
    if (sleepers.load()) {
      std::lock_guard<std::mutex> lock(mutex);
      come.notify_all();
    }
    return;
  }
  for (int spins = 0; spins < SPINS; ++spins) {
    if (turn.load(std::memory_order_acquire) != mine) return;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
  }
  // one of the two sees what the other wrote: the last to come this sleeper, or this one the next turn
  std::unique_lock<std::mutex> lock(mutex);
  sleepers.fetch_add(1);
  come.wait(lock, [&] { return turn.load() != mine; });
  sleepers.fetch_sub(1);
}

void parallel(int wanted, void (*f)(void*, int, int), void* data) {
  if (wanted < 2) return f(data, 0, 1);
  if (!openmp().found() || forked.load()) {
    own_threads(wanted, f, data);
    return;
  }
  wanted = startable(wanted);
  if (wanted < 2) return f(data, 0, 1);
  Work work{f, data};
  openmp().parallel(member, &work, static_cast<unsigned>(wanted), 0);
}

const char* thread_source() { return openmp().found() ? openmp().name.c_str() : "own threads"; }

}  // namespace unrolled
