/* slimctx.h - a library context for handshakes that knows only the algorithms that handshakes need.
 *
 * OpenSSL looks through every algorithm of a context each time it decodes a peer's public key; with all of
 * the default provider's that was a third of a mutual handshake's time. */
#ifndef MTLSWRAP_SLIMCTX_H
#define MTLSWRAP_SLIMCTX_H

#include <openssl/types.h>

/* Made on first use; lives as long as the process. The whole of libctx.h's when it cannot be made; NULL
 * only when that is. */
__attribute__((warn_unused_result)) OSSL_LIB_CTX *slimctx(void);

#endif
