// unrolled.engine._native: plans, run over memory that the caller describes by addresses and sizes.
//
// Everything about a plan is checked when it is made, and every array's extent at every call, so that no
// index can leave the sizes that were given. The addresses themselves are the caller's word.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "aligned.h"
#include "planned.h"
#include "pool.h"
#include "stream.h"

namespace nb = nanobind;
using namespace unrolled;

NB_MODULE(_native, m) {
  nb::set_leak_warnings(false);  // plans are kept until the process ends
  choose("");
  thread_source();  // looked up now: a child that is forked later must know that it is one
  m.def("paths", [] {
    std::vector<std::string> names;
    for (const Named& path : all_paths())
      if (path.runs) names.emplace_back(path.name);
    return names;
  });
  m.def("instructions", &instruction_names);
  m.def("choose", &choose, nb::arg("name"));
  m.def("threads", [] { return std::string(thread_source()); });
  m.def(
      "apply",
      [](bool is_double, int64_t op, int64_t n, int64_t a, int64_t b, int64_t c, int64_t out) {
        require(op >= 0 && op < GEMM && n >= 0 && a && out, "there is no such operation");
        auto p = [](int64_t address) { return reinterpret_cast<char*>(address); };
        chosen[is_double]->apply(static_cast<int>(op), n, p(a), p(b), p(c), p(out));
      },
      nb::arg("is_double"), nb::arg("op"), nb::arg("n"), nb::arg("a"), nb::arg("b"), nb::arg("c"), nb::arg("out"));
  m.def("empty", &pooled, nb::arg("is_double"), nb::arg("shape"));
  m.def("pool_sizes", &pool_sizes);
  m.def("empty_pool", &empty_pool);
  m.def(
      "multiply_adds",
      [](bool is_double, int64_t threads, int64_t n) {
        require(n > 0 && n < (1LL << 40), "there are no so many operations");
        const Path* path = chosen[is_double];
        struct Job {
          const Path* path;
          int64_t n;
        } job{path, n};
        nb::gil_scoped_release release;
        parallel(
            static_cast<int>(threads = std::clamp<int64_t>(threads, 1, 1024)),
            [](void* data, int, int) {
              auto& j = *static_cast<Job*>(data);
              volatile double seen = j.path->multiply_adds(j.n, 0.5, 1.0);
              (void)seen;
            },
            &job);
        return 12 * n * path->lanes * threads;
      },
      nb::arg("is_double"), nb::arg("threads"), nb::arg("n"));
  m.def("multiply", &Plan::multiply, nb::arg("is_double"), nb::arg("threads"), nb::arg("shape"), nb::arg("left"), nb::arg("right"),
        nb::arg("strides"), nb::arg("out"));
  m.def("spent", [] {
    std::vector<double> seconds(Plan::spent(), Plan::spent() + PARTS);
    std::fill_n(Plan::spent(), static_cast<int>(PARTS), 0.0);
    return seconds;
  });
  m.def("align", &align_all, nb::arg("threads"), nb::arg("sizes"), nb::arg("y"), nb::arg("labels"), nb::arg("steps"),
        nb::arg("counts"), nb::arg("losses"), nb::arg("gradient"));
  nb::class_<Plan>(m, "Plan")
      .def(nb::init<const Ints&, const Ints&, const Ints&, const Ints&, std::vector<double>, int64_t, bool, const Ints&,
                    const Ints&, const Ints&>(),
           nb::arg("instructions"), nb::arg("phases"), nb::arg("packs"), nb::arg("modes"), nb::arg("numbers"),
           nb::arg("slots"), nb::arg("whole"), nb::arg("before"), nb::arg("after"), nb::arg("outers"))
      .def("work_sizes", &Plan::work_sizes, nb::arg("is_double"), nb::arg("N"), nb::arg("threads"), nb::arg("by_rows"))
      .def("packed_size", &Plan::packed_size, nb::arg("is_double"))
      .def("pack", &Plan::pack, nb::arg("is_double"), nb::arg("threads"), nb::arg("sources"), nb::arg("packed"),
           nb::arg("size"))
      .def("run", &Plan::run, nb::arg("is_double"), nb::arg("threads"), nb::arg("by_rows"), nb::arg("arrays"), nb::arg("states"),
           nb::arg("shape"), nb::arg("flags"), nb::arg("packed"), nb::arg("size"), nb::arg("sources"),
           nb::arg("totals"), nb::arg("work"), nb::arg("work_size"));
  nb::class_<Stream>(m, "Stream")
      .def(nb::init<bool, int64_t>(), nb::arg("is_double"), nb::arg("threads"))
      .def("add_layer", &Stream::add_layer, nb::arg("plan"), nb::arg("arrays"), nb::arg("inputs"), nb::arg("packed"),
           nb::arg("size"), nb::keep_alive<1, 2>())
      .def("set_head", &Stream::set_head, nb::arg("weight"), nb::arg("bias"), nb::arg("state"), nb::arg("V"), nb::arg("H"))
      .def("set_choice", &Stream::set_choice, nb::arg("temperature"), nb::arg("top_k"), nb::arg("top_p"),
           nb::arg("exclude"), nb::arg("seed"), nb::arg("position"))
      .def("run", &Stream::run, nb::arg("symbol"), nb::arg("count"), nb::arg("threads"));
}
