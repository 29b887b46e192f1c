/* libctx.h - the one private OpenSSL library context of this object.
 *
 * Everything here that calls OpenSSL passes this context, never NULL: the program's own
 * OpenSSL settings, providers and openssl.cnf must not reach us, nor ours the program.
 */
#ifndef MTLSWRAP_LIBCTX_H
#define MTLSWRAP_LIBCTX_H

#include <openssl/types.h>

/* Made on first use, by whichever thread comes first; lives as long as the process. Holds the default
 * provider only. NULL when OpenSSL cannot be initialised (out of memory). */
__attribute__((warn_unused_result)) OSSL_LIB_CTX *engine_libctx(void);

#endif
