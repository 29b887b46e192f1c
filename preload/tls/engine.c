/* engine.c - the table behind the one exported symbol. Runs nothing by itself: OpenSSL is first touched
 * when the core makes a handshake or prepares a context. */
#include "engine.h"

#include "context.h"

__attribute__((visibility("default"))) struct mtlswrap_engine mtlswrap_engine = {
    .abi = MTLSWRAP_ENGINE_ABI,
    .record = &record_engine_user,
    .handshake = &handshake_api,
    .log = NULL,
    .freeze = context_freeze,
};
