// Locales, wide and multi-byte characters.
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>
int main() {
    printf("%s\n", setlocale(LC_ALL, NULL));
    printf("%d\n", setlocale(LC_ALL, "C") != NULL);
    wchar_t text[50];
    swprintf(text, 50, L"%d %ls", 42, L"wide");
    printf("%ls %zu %d\n", text, wcslen(text), wcscmp(text, L"42 wide"));
    printf("%ld %ld\n", wcstol(L"-12", NULL, 10), (long)(wcschr(text, L'w') - text));
    printf("%d %d\n", iswalpha(L'x') != 0, towupper(L'q') == L'Q');
    char bytes[20];
    printf("%zu %s\n", wcstombs(bytes, L"plain", 20), bytes);
    printf("%zu\n", mbstowcs(text, "text", 50));
    printf("%s\n", localeconv()->decimal_point);
    printf("%d %d\n", strcoll("a", "b") < 0, (int)strxfrm(NULL, "abc", 0));
    return 0;
}
