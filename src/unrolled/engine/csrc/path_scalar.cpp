// The instructions that every processor of the architecture has.
#define UNROLLED_BYTES 16
#include "scan.h"

namespace unrolled {
const Path* path_scalar(bool is_double) { return is_double ? path_of<double>("scalar") : path_of<float>("scalar"); }
}  // namespace unrolled
