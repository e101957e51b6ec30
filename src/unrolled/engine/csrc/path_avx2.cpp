// x86-64 with AVX2 and FMA.
#define UNROLLED_BYTES 32
#include "scan.h"

namespace unrolled {
const Path* path_avx2(bool is_double) { return is_double ? path_of<double>("avx2") : path_of<float>("avx2"); }
}  // namespace unrolled
