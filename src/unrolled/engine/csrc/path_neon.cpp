// AArch64.
#define UNROLLED_BYTES 16
#include "scan.h"

namespace unrolled {
const Path* path_neon(bool is_double) { return is_double ? path_of<double>("neon") : path_of<float>("neon"); }
}  // namespace unrolled
