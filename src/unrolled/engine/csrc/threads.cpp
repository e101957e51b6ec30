#include "threads.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <cstring>
#include <mutex>
#include <string>
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

}  // namespace

void Barrier::wait(int threads) {
  if (threads < 2) return;
  int mine = turn.load(std::memory_order_relaxed);
  if (count.fetch_add(1, std::memory_order_acq_rel) == threads - 1) {
    count.store(0, std::memory_order_relaxed);
    turn.store(mine + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; turn.load(std::memory_order_acquire) == mine; ++spins) {
    if (spins < 2000) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    } else {
      sched_yield();
    }
  }
}

void parallel(int wanted, void (*f)(void*, int, int), void* data) {
  if (wanted < 2) return f(data, 0, 1);
  if (openmp().found() && !forked.load()) {
    Work work{f, data};
    openmp().parallel(member, &work, static_cast<unsigned>(wanted), 0);
    return;
  }
  std::vector<std::thread> others;
  for (int id = 1; id < wanted; ++id) others.emplace_back(f, data, id, wanted);
  f(data, 0, wanted);
  for (auto& thread : others) thread.join();
}

const char* thread_source() { return openmp().found() ? openmp().name.c_str() : "own threads"; }

}  // namespace unrolled
