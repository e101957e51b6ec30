// Alignments as the border holds them.
#pragma once
#include <nanobind/nanobind.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "paths.h"
#include "threads.h"

namespace unrolled {

namespace nb = nanobind;

// Losses, and the gradient unless its address is 0, of N sequences; sizes are T, N, V and S. See Alignments.
inline void align_all(int64_t threads, const Ints& sizes, int64_t y, int64_t labels, int64_t steps, int64_t counts,
                      int64_t losses, int64_t gradient) {
  require(sizes.size() == 4 && threads > 0 && threads <= 4096, "four sizes, and one thread at least, are needed");
  for (int64_t size : sizes) require(size > 0, "a size is not above 0");
  require(y && labels && steps && counts && losses, "an array is missing");
  struct Job {
    Alignments c;
    const Path* path;
    int64_t work_size;
    std::atomic<int64_t> next;
    std::unique_ptr<double[]> work;
  } job{{sizes[0], sizes[1], sizes[2], sizes[3], reinterpret_cast<const double*>(y),
         reinterpret_cast<const int64_t*>(labels), reinterpret_cast<const int64_t*>(steps),
         reinterpret_cast<const int64_t*>(counts), reinterpret_cast<double*>(losses), reinterpret_cast<double*>(gradient)},
        chosen[1], 0, {0}, nullptr};
  const Alignments& c = job.c;
  times(times(c.T, c.N), c.V), times(c.S, c.N);
  int64_t most = 0;  // labels
  for (int64_t n = 0; n < c.N; ++n) {
    require(c.steps[n] > 0 && c.steps[n] <= c.T, "a number of steps is out of range");
    require(c.counts[n] >= 0 && c.counts[n] <= c.S, "a number of labels is out of range");
    most = std::max(most, c.counts[n]);
    for (int64_t i = 0; i < c.counts[n]; ++i) {
      const int64_t label = c.labels[i * c.N + n];
      require(label > 0 && label < c.V, "a label is out of range");
    }
  }
  nb::gil_scoped_release release;
  const int64_t count = std::min(threads, c.N);
  times(c.T, 3 * (most + 2 * job.path->lanes));
  job.work_size = align_size(job.path->lanes, c.T, most);
  job.work.reset(new double[times(count, job.work_size)]);
  parallel(
      static_cast<int>(count),
      [](void* data, int id, int) {
        auto& j = *static_cast<Job*>(data);
        for (int64_t n; (n = j.next.fetch_add(1)) < j.c.N;) j.path->align(j.c, n, j.work.get() + id * j.work_size);
      },
      &job);
}

}  // namespace unrolled
