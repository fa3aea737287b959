// Mathematics in double, long double and complex numbers.
#include <complex.h>
#include <fenv.h>
#include <math.h>
#include <stdio.h>
int main() {
    volatile double x = 0.7;
    printf("%.15g %.15g %.15g %.15g\n", sin(x), cos(x), tan(x), atan2(x, 2));
    printf("%.15g %.15g %.15g %.15g\n", exp(x), log(x), pow(x, 3.3), sqrt(x));
    printf("%.15g %.15g %.15g %.15g\n", cbrt(x), erf(x), tgamma(x + 3), hypot(3, 4));
    printf("%.18Lg %.18Lg %.18Lg\n", sinl(x), expl(x), sqrtl(2.0L));
    printf("%g %g %g %g %g\n", floor(-1.5), ceil(-1.5), round(2.5), rint(2.5), trunc(-1.5));
    double complex z = csqrt(-4 + 0 * I), w = cexp(I * M_PI);
    printf("%g%+gi %.3f%+.3fi\n", creal(z), cimag(z), creal(w), cimag(w));
    int exponent;
    double mantissa = frexp(48, &exponent), whole;
    printf("%g %d %g %g\n", mantissa, exponent, modf(3.25, &whole), ldexp(0.75, 4));
    feclearexcept(FE_ALL_EXCEPT);
    volatile double zero = 0, one = 1, result = one / zero;
    printf("%g %d %d\n", result, fetestexcept(FE_DIVBYZERO) != 0, fetestexcept(FE_INVALID) != 0);
    fesetround(FE_UPWARD);
    printf("%.20g\n", one / 3);
    fesetround(FE_TONEAREST);
    printf("%d %d %d\n", isnan(NAN), isinf(result), fpclassify(1e-310) == FP_SUBNORMAL);
    return 0;
}
