// Regular expressions, patterns of file names, and options.
#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>
#include <unistd.h>
int main() {
    regex_t pattern;
    regmatch_t match[3];
    regcomp(&pattern, "([a-z]+)-([0-9]+)", REG_EXTENDED);
    const char *text = "see issue-42 there";
    printf("%d", regexec(&pattern, text, 3, match, 0));
    printf(" %.*s %.*s\n", (int)(match[1].rm_eo - match[1].rm_so), text + match[1].rm_so,
           (int)(match[2].rm_eo - match[2].rm_so), text + match[2].rm_so);
    printf("%d\n", regexec(&pattern, "nothing", 0, NULL, 0) == REG_NOMATCH);
    char message[100];
    regerror(regcomp(&pattern, "(", REG_EXTENDED), &pattern, message, sizeof message);
    printf("%d %d %d\n", message[0] != 0, fnmatch("*.c", "main.c", 0), fnmatch("?x[!a]", "axb", 0));
    char *words[] = {"program", "-a", "-b", "value", "-x", "rest", NULL};
    int option;
    while ((option = getopt(6, words, ":ab:")) != -1)
        printf("%c %s\n", option, optarg ? optarg : "-");
    printf("%s\n", words[optind]);
    return 0;
}
