/* libctx.c - makes the private library context. The only place that initialises OpenSSL: no
 * configuration file is read and no atexit handler installed, because the program may go on using its
 * connections from exit handlers of its own. Nothing is ever freed here for the same reason. */
#include "libctx.h"

#include <pthread.h>
#include <stddef.h>

#include <openssl/crypto.h>
#include <openssl/provider.h>

/* Immutable once `once` has run, hence no lock. */
static OSSL_LIB_CTX *context;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Whoever initialises first decides for good about the configuration file and about atexit, so this runs when
 * the object is loaded, before any other call into OpenSSL can. */
__attribute__((constructor)) static void initialise(void) {
    (void)!OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

static void create(void) {
    OSSL_LIB_CTX *made = OSSL_LIB_CTX_new();
    if (!made)
        return;
    if (!OSSL_PROVIDER_load(made, "default")) {
        OSSL_LIB_CTX_free(made);
        return;
    }
    context = made;
}

OSSL_LIB_CTX *engine_libctx(void) {
    (void)pthread_once(&once, create);
    return context;
}
