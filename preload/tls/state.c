/* state.c - ties a handshake to its SSL object, so that callbacks find it. */
#include "state.h"

#include <pthread.h>

#include <openssl/ssl.h>

static int slot_index = -1; /* immutable after once */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void) {
    slot_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

bool state_attach(SSL *ssl, struct handshake *h) {
    (void)pthread_once(&once, start);
    return slot_index >= 0 && SSL_set_ex_data(ssl, slot_index, h) == 1;
}

struct handshake *state_of(const SSL *ssl) {
    return slot_index >= 0 && ssl ? SSL_get_ex_data(ssl, slot_index) : NULL;
}
