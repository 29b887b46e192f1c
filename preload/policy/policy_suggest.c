/* policy_suggest.c - "did you mean": the nearest of a list of words. Runs only after a mistake. */
#include "policy_table.h"

#include <string.h>

enum { WORD_MAX = 64 };

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Damerau's distance (a swap of neighbours counts one), blind to case. */
static size_t distance(const char *a, const char *b) {
    size_t rows[3][WORD_MAX + 1];
    size_t la = strlen(a), lb = strlen(b);
    if (la > WORD_MAX || lb > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *now = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = up[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            best = up[j] + 1 < best ? up[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]) &&
                up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[la % 3][lb];
}

const char *policy_suggest(const char *found, const char *(*candidate)(const void *, size_t),
                           const void *arg) {
    const char *best = NULL;
    size_t len = strlen(found), limit = len < 4 ? 1 : len / 3;
    for (size_t i = 0;; i++) {
        const char *c = candidate(arg, i);
        if (!c)
            return best;
        size_t d = distance(found, c);
        if (d <= limit) {
            best = c;
            limit = d ? d - 1 : 0;
            if (d == 0)
                return best;
        }
    }
}
