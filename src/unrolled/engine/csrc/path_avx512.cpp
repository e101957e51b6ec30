// x86-64 with AVX-512 F, DQ and VL.
#define UNROLLED_BYTES 64
#include "scan.h"

namespace unrolled {
const Path* path_avx512(bool is_double) { return is_double ? path_of<double>("avx512") : path_of<float>("avx512"); }
}  // namespace unrolled
