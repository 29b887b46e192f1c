/* json.h - just enough to print JSON that every reader takes. */
#ifndef MTLSWRAP_JSON_H
#define MTLSWRAP_JSON_H

#include <stdio.h>

/* A quoted and escaped string; null for NULL. Bytes that are no UTF-8 become U+FFFD. */
void json_string(FILE *out, const char *s);

#endif
