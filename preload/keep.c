/* keep.c - room for what start-up copies. Static, because most small programs would otherwise set up a heap
 * for it. */
#include "keep.h"

#include <stddef.h>
#include <string.h>

static char room[1024];
static size_t used; /* only the constructors and what they call write it, hence no lock */

char *keep(const char *text) {
    size_t n = strlen(text) + 1;
    if (n > sizeof room - used)
        return strdup(text);
    char *copy = memcpy(room + used, text, n);
    used += n;
    return copy;
}
