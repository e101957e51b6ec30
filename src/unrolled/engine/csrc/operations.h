// The element-wise operations: name and expression in the vectors a, b, c. A test holds this table to
// compiler/program.py.
#pragma once

// Comparisons with NaN are false: a NaN passes through relu, minimum and maximum as IEEE asks of them.
#define ELEMENTWISE(X)                                  \
  X(copy, a)                                            \
  X(neg, -a)                                            \
  X(add, a + b)                                         \
  X(sub, a - b)                                         \
  X(mul, a * b)                                         \
  X(div, a / b)                                         \
  X(sigmoid, sigmoid_of(a))                             \
  X(tanh, tanh_of(a))                                   \
  X(relu, 0 > a ? zero : a)                             \
  X(exp, exp_of(a))                                     \
  X(expm1, expm1_of<T>(a))                              \
  X(log, log_of<T>(a))                                  \
  X(log1p, log1p_of<T>(a))                              \
  X(pow, pow_of<T>(a, b))                               \
  X(softplus, softplus_of<T>(a))                        \
  X(square, a * a)                                      \
  X(sqrt, sqrt_of<T>(a))                                \
  X(abs, a < 0 ? -a : a + 0)                            \
  X(sign, a > 0 ? one : (a < 0 ? -one : zero))             \
  X(minimum, a < b ? a : (a != a ? a : b))              \
  X(maximum, a > b ? a : (a != a ? a : b))              \
  X(gt, a > b ? one : zero)                             \
  X(ge, a >= b ? one : zero)                            \
  X(eq, a == b ? one : zero)                            \
  X(where, a != 0 ? b : c)                              \
  X(dsigmoid, a * (b * (1 - b)))                        \
  X(dtanh, a * (1 - b * b))                             \
  X(fma, a * b + c)                                     \
  X(add3, a + b + c)                                    \
  X(sigmoid_add, sigmoid_of(a + b))                     \
  X(sigmoid_add3, sigmoid_of(a + b + c))                \
  X(tanh_add, tanh_of(a + b))                           \
  X(tanh_add3, tanh_of(a + b + c))                      \
  X(mul_tanh, a * tanh_of(b))                           \
  X(dsigmoid_mul, a * b * (c * (1 - c)))                \
  X(dtanh_mul, a * b * (1 - c * c))                     \
  X(dtanh_add, a * (1 - b * b) + c)                     \
  X(sub_mul, a * (b - c))                               \
  X(mul_complement, a * (1 - b))                        \
  X(lerp, a * (b - c) + c)
