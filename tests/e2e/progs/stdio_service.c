/* stdio_service.c - a service in the manner of inetd: the connection is standard input and output, and all
 * it knows is printf, fgets, fread and fwrite. Speaks first. "N" and N bytes are sent back; an end of
 * file is answered with how many messages there were. */
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    char line[64];
    int count = 0;
    printf("hello, how many bytes?\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        size_t size = strtoul(line, NULL, 10);
        char *body = malloc(size + 1);
        if (!body || fread(body, 1, size, stdin) != size)
            return 1;
        if (fwrite(body, 1, size, stdout) != size || fflush(stdout))
            return 1;
        free(body);
        count++;
    }
    printf("goodbye after %d\n", count);
    return ferror(stdin) ? 1 : 0;
}
