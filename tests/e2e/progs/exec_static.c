/* exec_static.c - built statically: a program that cannot be preloaded. Says which of the descriptors named
 * it has, and writes a word to standard output. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        printf("%s %s\n", argv[i], fcntl(atoi(argv[i]), F_GETFD) < 0 ? "away" : "there");
    return 0;
}
