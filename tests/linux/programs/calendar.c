// Dates: gmtime, mktime, strftime, difftime, in UTC and in another zone.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main() {
    char text[64];
    setenv("TZ", "UTC0", 1);
    tzset();
    time_t times[] = {0, 951782400, 1234567890, 4102444800, -1};
    for (int i = 0; i < 5; i++) {
        struct tm *parts = gmtime(&times[i]);
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %a %j", parts);
        printf("%s %ld\n", text, (long)mktime(parts));
    }
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    time_t summer = 1720000000;
    strftime(text, sizeof text, "%c %Z %z", localtime(&summer));
    printf("%s, %.0f s\n", text, difftime(times[2], times[1]));
    printf("%s", asctime(gmtime(&summer)));
    struct tm far = {.tm_year = 124, .tm_mon = 1, .tm_mday = 30};
    mktime(&far);
    printf("%d %d\n", far.tm_mon, far.tm_mday);
    return 0;
}
