// The element-wise instructions, over a tile of rows and units.
#pragma once
#include "operations.h"
#include "vector.h"

namespace {

// out = f(a, b, c) on `rows` x `n`; `sum`, where there is one, gets the columns' sums added.
// Strides are in elements between rows; 0 repeats one row. `out` may be `a`, `b` or `c`.
template <class T>
struct Tile {
  T* out;
  const T *a, *b, *c;
  T* sum;
  int64_t out_stride, a_stride, b_stride, c_stride;
  int64_t rows, n;
};

template <class T, class F>
INLINE void by_rows(const Tile<T>& t, F f) {
  const int64_t L = LANES<T>, n = t.n;
  const T *a = t.a, *b = t.b, *c = t.c;
  T* out = t.out;
  for (int64_t r = 0; r < t.rows; ++r) {
    int64_t u = 0;
    for (; u + 4 * L <= n; u += 4 * L) {
      Vec<T> y0 = f(load(a + u), load(b + u), load(c + u));
      Vec<T> y1 = f(load(a + u + L), load(b + u + L), load(c + u + L));
      Vec<T> y2 = f(load(a + u + 2 * L), load(b + u + 2 * L), load(c + u + 2 * L));
      Vec<T> y3 = f(load(a + u + 3 * L), load(b + u + 3 * L), load(c + u + 3 * L));
      store(out + u, y0);
      store(out + u + L, y1);
      store(out + u + 2 * L, y2);
      store(out + u + 3 * L, y3);
    }
    for (; u + L <= n; u += L) store(out + u, f(load(a + u), load(b + u), load(c + u)));
    if (u < n) {
      int64_t m = n - u;
      store_part(out + u, f(load_part(a + u, m), load_part(b + u, m), load_part(c + u, m)), m);
    }
    a += t.a_stride, b += t.b_stride, c += t.c_stride, out += t.out_stride;
  }
}

template <class T, int K, class F>
INLINE void columns(const Tile<T>& t, int64_t u, F f) {
  const int64_t L = LANES<T>;
  Vec<T> s[K];
  for (int k = 0; k < K; ++k) s[k] = load(t.sum + u + k * L);
  const T *a = t.a + u, *b = t.b + u, *c = t.c + u;
  T* out = t.out + u;
  for (int64_t r = 0; r < t.rows; ++r) {
    Vec<T> y[K];
    for (int k = 0; k < K; ++k) y[k] = f(load(a + k * L), load(b + k * L), load(c + k * L));
    for (int k = 0; k < K; ++k) store(out + k * L, y[k]);
    for (int k = 0; k < K; ++k) s[k] += y[k];
    a += t.a_stride, b += t.b_stride, c += t.c_stride, out += t.out_stride;
  }
  for (int k = 0; k < K; ++k) store(t.sum + u + k * L, s[k]);
}

template <class T, class F>
INLINE void with_sums(const Tile<T>& t, F f) {
  const int64_t L = LANES<T>;
  int64_t u = 0;
  for (; u + 4 * L <= t.n; u += 4 * L) columns<T, 4>(t, u, f);
  for (; u + L <= t.n; u += L) columns<T, 1>(t, u, f);
  if (u < t.n) {
    int64_t m = t.n - u;
    Vec<T> s = load_part(t.sum + u, m);
    for (int64_t r = 0; r < t.rows; ++r) {
      Vec<T> y = f(load_part(t.a + r * t.a_stride + u, m), load_part(t.b + r * t.b_stride + u, m),
                   load_part(t.c + r * t.c_stride + u, m));
      store_part(t.out + r * t.out_stride + u, y, m);
      s += y;
    }
    store_part(t.sum + u, s, m);
  }
}

#define X(name, expression)                                                       \
  template <class T>                                                              \
  __attribute__((noinline)) void run_##name(const Tile<T>& t) {                   \
    const Vec<T> zero = all<T>(0), one = all<T>(1);                               \
    auto f = [=](Vec<T> a, Vec<T> b, Vec<T> c) __attribute__((always_inline)) {   \
      (void)a, (void)b, (void)c, (void)zero, (void)one;                           \
      return Vec<T>(expression);                                                  \
    };                                                                            \
    if (t.sum)                                                                    \
      with_sums<T>(t, f);                                                         \
    else                                                                          \
      by_rows<T>(t, f);                                                           \
  }
ELEMENTWISE(X)
#undef X

template <class T>
struct Table {
  using Run = void (*)(const Tile<T>&);
#define X(name, expression) run_##name<T>,
  static constexpr Run runs[] = {ELEMENTWISE(X)};
#undef X
  static constexpr int count = sizeof(runs) / sizeof(Run);
};

// Rows: sum, norm and its gradient, maximum, repetition; columns: sum.

// The sum of f(u, n) over vectors of a row: n lanes from unit u on, all of them where n is LANES.
template <class T, class F>
INLINE T row_total(int64_t width, F f) {
  const int64_t L = LANES<T>;
  Vec<T> s0{}, s1{};
  int64_t u = 0;
  for (; u + 2 * L <= width; u += 2 * L) s0 += f(u, L), s1 += f(u + L, L);
  if (u + L <= width) s0 += f(u, L), u += L;
  if (u < width) s1 += f(u, width - u);
  return total<T>(s0 + s1);
}
template <class T>
INLINE Vec<T> lanes(const T* p, int64_t n) { return n == LANES<T> ? load(p) : load_part(p, n); }

// out = f(u, n) for all vectors of a row.
template <class T, class F>
INLINE void row_of(T* out, int64_t width, F f) {
  const int64_t L = LANES<T>;
  int64_t u = 0;
  for (; u + L <= width; u += L) store(out + u, f(u, L));
  if (u < width) store_part(out + u, f(u, width - u), width - u);
}

// Counted from the first number, so that the mean of equal numbers is that number to the last bit.
template <class T>
INLINE T mean(const T* a, int64_t width) {
  const T first = a[0];
  return first + row_total<T>(width, [=](int64_t u, int64_t n) {
    Vec<T> d = lanes(a + u, n) - first;
    return n == LANES<T> ? d : d * in_first<T>(n);
  }) / width;
}

template <class T>
void row_sum(const Tile<T>& t) {
  for (int64_t r = 0; r < t.rows; ++r) {
    const T* a = t.a + r * t.a_stride;
    t.out[r * t.out_stride] = row_total<T>(t.n, [=](int64_t u, int64_t n) { return lanes(a + u, n); });
  }
}

// 1 / sqrt(var a + b): the mean of the squares less the square of the mean would lose digits.
template <class T>
void norm_scale(const Tile<T>& t) {
  for (int64_t r = 0; r < t.rows; ++r) {
    const T *a = t.a + r * t.a_stride, m = mean(a, t.n);
    const T squares = row_total<T>(t.n, [=](int64_t u, int64_t n) {
      Vec<T> d = lanes(a + u, n) - m;
      return n == LANES<T> ? d * d : d * d * in_first<T>(n);
    });
    t.out[r * t.out_stride] = 1 / std::sqrt(squares / t.n + t.b[r * t.b_stride]);
  }
}

// (a - mean a) b
template <class T>
void normalize(const Tile<T>& t) {
  for (int64_t r = 0; r < t.rows; ++r) {
    const T *a = t.a + r * t.a_stride, s = t.b[r * t.b_stride], m = mean(a, t.n);
    row_of<T>(t.out + r * t.out_stride, t.n, [=](int64_t u, int64_t n) { return (lanes(a + u, n) - m) * s; });
  }
}

// c (a - mean a - b mean(a b)): the gradient a of b = normalize(x, c), with that through c
template <class T>
void d_normalize(const Tile<T>& t) {
  for (int64_t r = 0; r < t.rows; ++r) {
    const T *d = t.a + r * t.a_stride, *y = t.b + r * t.b_stride, s = t.c[r * t.c_stride], m = mean(d, t.n);
    const T along = row_total<T>(t.n, [=](int64_t u, int64_t n) { return lanes(d + u, n) * lanes(y + u, n); }) / t.n;
    row_of<T>(t.out + r * t.out_stride, t.n,
              [=](int64_t u, int64_t n) { return (lanes(d + u, n) - m - lanes(y + u, n) * along) * s; });
  }
}

template <class T>
void row_max(const Tile<T>& t) {
  for (int64_t r = 0; r < t.rows; ++r) {
    const T* a = t.a + r * t.a_stride;
    T top = a[0];
    for (int64_t u = 1; u < t.n; ++u) top = a[u] > top || a[u] != a[u] ? a[u] : top;
    t.out[r * t.out_stride] = top;
  }
}

template <class T>
void expand(const Tile<T>& t) {
  for (int64_t r = 0; r < t.rows; ++r) {
    T* out = t.out + r * t.out_stride;
    Vec<T> v = all<T>(t.a[r * t.a_stride]);
    int64_t u = 0;
    for (; u + LANES<T> <= t.n; u += LANES<T>) store(out + u, v);
    if (u < t.n) store_part(out + u, v, t.n - u);
  }
}

// out += columns of a
template <class T>
void column_sum(const Tile<T>& t) {
  for (int64_t r = 0; r < t.rows; ++r) {
    const T* a = t.a + r * t.a_stride;
    for (int64_t u = 0; u < t.n; ++u) t.out[u] += a[u];
  }
}

}  // namespace
