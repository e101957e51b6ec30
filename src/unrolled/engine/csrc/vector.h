// Vectors of UNROLLED_BYTES, by the compiler's vector types: one text for every instruction set.
// Everything here is local to the path that includes it.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if UNROLLED_BYTES > 16
#include <immintrin.h>
#endif

namespace {

#define INLINE inline __attribute__((always_inline))

template <class T>
struct Vector;
template <>
struct Vector<float> {
  typedef float V __attribute__((vector_size(UNROLLED_BYTES)));
  typedef int32_t I __attribute__((vector_size(UNROLLED_BYTES)));
};
template <>
struct Vector<double> {
  typedef double V __attribute__((vector_size(UNROLLED_BYTES)));
  typedef int64_t I __attribute__((vector_size(UNROLLED_BYTES)));
};
template <class T>
using Vec = typename Vector<T>::V;
template <class T>
using Int = typename Vector<T>::I;

template <class T>
constexpr int64_t LANES = UNROLLED_BYTES / sizeof(T);

template <class T>
INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
INLINE void store(T* p, Vec<T> v) {
  std::memcpy(p, &v, sizeof v);
}

// The first n lanes, 0 < n < LANES; the others are 0, and no memory behind them is touched.
#if UNROLLED_BYTES == 64
INLINE Vec<float> load_part(const float* p, int64_t n) { return _mm512_maskz_loadu_ps((1u << n) - 1, p); }
INLINE Vec<double> load_part(const double* p, int64_t n) { return _mm512_maskz_loadu_pd((1u << n) - 1, p); }
INLINE void store_part(float* p, Vec<float> v, int64_t n) { _mm512_mask_storeu_ps(p, (1u << n) - 1, v); }
INLINE void store_part(double* p, Vec<double> v, int64_t n) { _mm512_mask_storeu_pd(p, (1u << n) - 1, v); }
#elif UNROLLED_BYTES == 32
template <class T>
INLINE __m256i first_lanes(int64_t n) {
  Int<T> lane;
  for (int k = 0; k < LANES<T>; ++k) lane[k] = k;
  return reinterpret_cast<__m256i>(lane < static_cast<decltype(lane[0] + 0)>(n));
}
INLINE Vec<float> load_part(const float* p, int64_t n) { return _mm256_maskload_ps(p, first_lanes<float>(n)); }
INLINE Vec<double> load_part(const double* p, int64_t n) { return _mm256_maskload_pd(p, first_lanes<double>(n)); }
INLINE void store_part(float* p, Vec<float> v, int64_t n) { _mm256_maskstore_ps(p, first_lanes<float>(n), v); }
INLINE void store_part(double* p, Vec<double> v, int64_t n) { _mm256_maskstore_pd(p, first_lanes<double>(n), v); }
#else
template <class T>
INLINE Vec<T> load_part(const T* p, int64_t n) {
  Vec<T> v{};
  std::memcpy(&v, p, n * sizeof(T));
  return v;
}
template <class T>
INLINE void store_part(T* p, Vec<T> v, int64_t n) {
  std::memcpy(p, &v, n * sizeof(T));
}
#endif
template <class T>
INLINE Vec<T> all(T x) {
  return x - Vec<T>{};  // a vector of x: exact, also for -0, infinity and NaN
}
template <class T>
INLINE Int<T> bits(Vec<T> v) {
  return reinterpret_cast<Int<T>>(v);
}

// 1 in the first n lanes, 0 in the others
template <class T>
INLINE Vec<T> in_first(int64_t n) {
  Vec<T> v{};
  for (int k = 0; k < LANES<T>; ++k) v[k] = k < n ? 1 : 0;
  return v;
}

template <class T>
INLINE T total(Vec<T> v) {
#pragma GCC unroll 5
  for (int width = LANES<T> / 2; width > 0; width /= 2) {
    Int<T> turned;
#pragma GCC unroll 16
    for (int k = 0; k < LANES<T>; ++k) turned[k] = (k + width) % LANES<T>;
    v += __builtin_shuffle(v, turned);
  }
  return v[0];
}

template <class T, class F>
INLINE Vec<T> each(Vec<T> a, F f) {
  Vec<T> v{};
  for (int k = 0; k < LANES<T>; ++k) v[k] = f(a[k]);
  return v;
}

typedef Vec<float> VF;
typedef Int<float> IF;

// exp(r) - 1 = r + r^2 p(r) for |r| <= ln 2 / 2, Cephes' coefficients
INLINE VF expm1_reduced(VF r) {
  VF p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * (r * r) + r;
}
const float MAGIC = 12582912.0f;  // 1.5 * 2^23, 0x4B400000: adding it rounds to a whole number, in the low bits

// x = (t - MAGIC) ln 2 + r
INLINE VF reduce(VF x, VF& t) {
  t = x * 1.44269504088896341f + MAGIC;
  VF k = t - MAGIC;
  return (x - k * 0.693359375f) - k * -2.12194440e-4f;
}
INLINE VF power_of_two(IF n) { return reinterpret_cast<VF>((n + 127) << 23); }

// p 2^(t - MAGIC), also where that is below the smallest normal number.
INLINE VF scaled(VF p, VF t) {
#if UNROLLED_BYTES == 64
  return _mm512_maskz_scalef_ps(0xFFFF, p, t - MAGIC);  // GCC warns of the one without a mask
#else
  IF n = bits<float>(t) - 0x4B400000, half = n >> 1;  // in two factors, so that it comes out rounded
  return p * power_of_two(half) * power_of_two(n - half);
#endif
}
INLINE VF exp_of(VF x) {
  x = x > 89.0f ? all<float>(89.0f) : x;
  x = x < -104.0f ? all<float>(-104.0f) : x;  // comparisons with NaN are false: it passes
  VF t, r = reduce(x, t);
  return scaled(expm1_reduced(r) + 1.0f, t);
}
INLINE VF minus_abs(VF x) { return reinterpret_cast<VF>(bits<float>(x) | INT32_MIN); }

// e / (1 + e) or 1 / (1 + e) with e = exp(-|x|) <= 1: no overflow, and small values keep their digits
INLINE VF sigmoid_of(VF x) {
  VF z = minus_abs(x);
  z = z < -104.0f ? all<float>(-104.0f) : z;
  VF t, r = reduce(z, t);
  VF e = scaled(expm1_reduced(r) + 1.0f, t);
  return (x < 0.0f ? e : all<float>(1.0f)) / (e + 1.0f);
}
// -E / (2 + E) with E = exp(-2|x|) - 1, and the sign of x
INLINE VF tanh_of(VF x) {
  VF z = minus_abs(x);
  z = z + z;
  z = z < -20.0f ? all<float>(-20.0f) : z;
  VF t, r = reduce(z, t);
  VF s = power_of_two(bits<float>(t) - 0x4B400000);
  VF e = s * expm1_reduced(r) + (s - 1.0f);
  VF y = e / (-2.0f - e);
  return reinterpret_cast<VF>((bits<float>(y) & INT32_MAX) | (bits<float>(x) & INT32_MIN));
}

typedef Vec<double> VD;
INLINE VD exp_of(VD x) {
  return each<double>(x, [](double a) { return std::exp(a); });
}
INLINE VD sigmoid_of(VD x) {
  return each<double>(x, [](double a) {
    double e = std::exp(-std::fabs(a));
    return (a < 0 ? e : 1.0) / (1.0 + e);
  });
}
INLINE VD tanh_of(VD x) {
  return each<double>(x, [](double a) { return std::tanh(a); });
}

template <class T>
INLINE Vec<T> log_of(Vec<T> x) {
  return each<T>(x, [](T a) { return std::log(a); });
}
template <class T>
INLINE Vec<T> expm1_of(Vec<T> x) {
  return each<T>(x, [](T a) { return std::expm1(a); });
}
template <class T>
INLINE Vec<T> log1p_of(Vec<T> x) {
  return each<T>(x, [](T a) { return std::log1p(a); });
}
template <class T>
INLINE Vec<T> pow_of(Vec<T> x, Vec<T> y) {
  Vec<T> v{};
  for (int k = 0; k < LANES<T>; ++k) v[k] = std::pow(x[k], y[k]);
  return v;
}
template <class T>
INLINE Vec<T> softplus_of(Vec<T> x) {
  return each<T>(x, [](T a) { return a > 20 ? a : std::log1p(std::exp(a)); });
}
template <class T>
INLINE Vec<T> sqrt_of(Vec<T> x) {
  return each<T>(x, [](T a) { return std::sqrt(a); });
}

}  // namespace
