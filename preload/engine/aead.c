/* aead.c - which back end seals and opens. Decided once per process; does no cryptography itself. */
#include "aead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

/* Immutable once `once` has run, hence no lock. */
static const struct aead *for_gcm = &aead_evp;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void) {
#ifdef __x86_64__
    static const char forced[] = "ipsecmb-";
    const char *wish = getenv("MTLSWRAP_AEAD");
    const char *variant = NULL;
    if (wish && strcmp(wish, "evp") == 0)
        return;
    if (wish && strncmp(wish, forced, sizeof forced - 1) == 0)
        variant = wish + sizeof forced - 1;
    if (aead_ipsecmb_select(variant))
        for_gcm = &aead_ipsecmb;
#endif
}

const struct aead *aead_for(uint8_t cipher) {
    (void)pthread_once(&once, choose);
    return cipher == RECORD_CHACHA20_POLY1305 ? &aead_evp : for_gcm;
}
