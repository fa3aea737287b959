// Text to numbers: sscanf and the strto family, with their limits and errors.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
int main() {
    int a, b, n;
    char word[20], set[20];
    double d;
    n = sscanf("12 0x1f word 3.5e2 abc123", "%d %i %s %lf %[a-z]", &a, &b, word, &d, set);
    printf("%d: %d %d %s %g %s\n", n, a, b, word, d, set);
    printf("%d\n", sscanf("no number", "%d", &a));
    char *end;
    long value = strtol("  -77xyz", &end, 10);
    printf("%ld, rest %s\n", value, end);
    errno = 0;
    value = strtol("99999999999999999999", NULL, 10);
    printf("%ld %s\n", value, errno == ERANGE ? "ERANGE" : "?");
    printf("%lu %ld %ld\n", strtoul("ff", NULL, 16), strtol("0777", NULL, 0), strtol("zz", NULL, 36));
    printf("%g %g %g\n", strtod("1e308", NULL), strtod("1e400", NULL), strtod("0x1.8p3", NULL));
    printf("%d %ld %g\n", atoi("12abc"), atol("-5"), atof("2.5x"));
    return 0;
}
