/* engine.h - the one symbol that the heavy object exports, for use inside of it. */
#ifndef MTLSWRAP_ENGINE_H
#define MTLSWRAP_ENGINE_H

#include "handshake.h"

extern struct mtlswrap_engine mtlswrap_engine;
extern const struct handshake_api handshake_api;

#endif
