#include "pool.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>

#include "paths.h"
#if defined(__linux__)
#include <pthread.h>
#include <sys/mman.h>
#else
#include <cstdlib>
#endif

namespace unrolled {

namespace {

constexpr size_t HUGE = 2 << 20, GRAIN = 64 << 10;
constexpr size_t RECLAIMED = 16 << 20;  // to offer a smaller block to the system takes a good part of the time that it is in use

// What the system maps, or null, and takes back.
char* map(size_t bytes) {
#if defined(__linux__)
  // more than asked for, cut to where a huge page may begin
  char* raw = static_cast<char*>(mmap(nullptr, bytes + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (raw == MAP_FAILED) return nullptr;
  char* at = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(raw) + HUGE - 1) / HUGE * HUGE);
  if (at > raw) munmap(raw, at - raw);
  if (raw + HUGE > at) munmap(at + bytes, raw + HUGE - at);
  if (bytes >= HUGE) madvise(at, bytes / HUGE * HUGE, MADV_HUGEPAGE);  // a wish
  return at;
#else
  char* at = static_cast<char*>(std::aligned_alloc(64, bytes));
  return at;
#endif
}

void unmap(char* at, size_t bytes) {
#if defined(__linux__)
  munmap(at, bytes);
#else
  (void)bytes;
  std::free(at);
#endif
}

struct Block {
  char* at;
  size_t bytes;
};

// Blocks that begin where huge pages do. Those that are not in use are kept, the newest last, while all together are at most a
// quarter more than what was in use at one time; the system may take the pages of large ones where it needs them.
class Pool {
 public:
  Block take(size_t bytes) {
    bytes = (bytes + GRAIN - 1) / GRAIN * GRAIN;
    std::lock_guard<std::mutex> lock(mutex_);
    size_t best = kept_.size();
    for (size_t k = kept_.size(); k-- > 0;) {
      const size_t size = kept_[k].bytes;
      if (size >= bytes && size <= 2 * bytes && (best == kept_.size() || size < kept_[best].bytes)) best = k;
    }
    Block block{nullptr, bytes};
    if (best < kept_.size()) {
      block = kept_[best];
      kept_.erase(kept_.begin() + best);
      kept_bytes_ -= block.bytes;
    } else {
      shrink(std::max(most_, used_ + bytes) / 4 * 5 - used_ - bytes);
      block.at = map(bytes);
      if (!block.at) {
        shrink(0);
        block.at = map(bytes);
      }
      if (!block.at) throw std::bad_alloc();
    }
    used_ += block.bytes;
    most_ = std::max(most_, used_);
    return block;
  }

  void give(Block block) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    used_ -= block.bytes;
    try {
      kept_.push_back(block);
    } catch (...) {
      return unmap(block.at, block.bytes);
    }
    kept_bytes_ += block.bytes;
#if defined(__linux__) && defined(MADV_FREE)
    if (block.bytes >= RECLAIMED) madvise(block.at, block.bytes / HUGE * HUGE, MADV_FREE);
#endif
  }

  void empty() {
    std::lock_guard<std::mutex> lock(mutex_);
    shrink(0);
    most_ = used_;
  }

  std::vector<int64_t> sizes() {
    std::lock_guard<std::mutex> lock(mutex_);
    return {static_cast<int64_t>(used_), static_cast<int64_t>(kept_bytes_)};
  }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
  std::vector<Block> kept_;
  size_t kept_bytes_ = 0, used_ = 0, most_ = 0;

  void shrink(size_t to) {
    size_t gone = 0;
    while (kept_bytes_ > to) {
      kept_bytes_ -= kept_[gone].bytes;
      unmap(kept_[gone].at, kept_[gone].bytes);
      ++gone;
    }
    kept_.erase(kept_.begin(), kept_.begin() + gone);
  }
};

Pool& pool() {
  static Pool* const made = [] {
    Pool* p = new Pool;  // never destroyed: arrays may outlive everything else
#if defined(__linux__)
    pthread_atfork([] { pool().lock(); }, [] { pool().unlock(); }, [] { pool().unlock(); });
#endif
    return p;
  }();
  return *made;
}

// DLPack's description of an array, version 0.
struct Tensor {
  void* data;
  int32_t device_type, device_id, dimensions;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t *shape, *strides;
  uint64_t offset;
};
struct Managed {
  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);
};

struct Owner {
  Managed managed;
  Block block;
  std::vector<int64_t> shape, strides;
};

constexpr const char* FRESH = "dltensor";  // its name until somebody takes it over

}  // namespace

nanobind::object pooled(bool is_double, const std::vector<int64_t>& shape) {
  int64_t elements = 1;
  for (int64_t n : shape) {
    require(n > 0, "an array has no such shape");
    elements = times(elements, n);
  }
  auto owner = std::make_unique<Owner>();
  owner->shape = shape;
  owner->strides.assign(shape.size(), 1);
  for (size_t k = shape.size(); k-- > 1;) owner->strides[k - 1] = owner->strides[k] * shape[k];
  owner->block = pool().take(static_cast<size_t>(times(elements, is_double ? 8 : 4)));
  Tensor& t = owner->managed.tensor;
  t = {owner->block.at, 1, 0, static_cast<int32_t>(shape.size()), 2, static_cast<uint8_t>(is_double ? 64 : 32), 1,
       owner->shape.data(), owner->strides.data(), 0};
  owner->managed.context = owner.get();
  owner->managed.deleter = [](Managed* m) {
    auto* o = static_cast<Owner*>(m->context);
    pool().give(o->block);
    delete o;
  };
  PyObject* capsule = PyCapsule_New(&owner->managed, FRESH, [](PyObject* c) {
    if (!PyCapsule_IsValid(c, FRESH)) return;
    auto* m = static_cast<Managed*>(PyCapsule_GetPointer(c, FRESH));
    m->deleter(m);
  });
  if (!capsule) {
    pool().give(owner->block);
    throw nanobind::python_error();
  }
  owner.release();
  return nanobind::steal(capsule);
}

std::vector<int64_t> pool_sizes() { return pool().sizes(); }

void empty_pool() { pool().empty(); }

}  // namespace unrolled
