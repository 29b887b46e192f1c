/* loader.h - asks the dynamic loader itself whether it would preload an object. */
#ifndef MTLSWRAP_LOADER_H
#define MTLSWRAP_LOADER_H

#include <stdbool.h>
#include <stddef.h>

/* Has loader (PT_INTERP) list what it would load for image with library preloaded; no code of the program
 * runs. False when library would not be among it, with the loader's own words, or ours, in reason. */
bool loader_takes(const char *loader, const char *image, const char *library, char *reason, size_t size);

#endif
