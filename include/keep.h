/* keep.h - copies of strings that must outlive the environment they were found in. */
#ifndef MTLSWRAP_KEEP_H
#define MTLSWRAP_KEEP_H

/* A copy for ever; NULL when memory is out. Only before main. */
char *keep(const char *text);

#endif
