/* secrets.h - the way of the traffic keys from OpenSSL to the record engine, by public interfaces only. */
#ifndef MTLSWRAP_SECRETS_H
#define MTLSWRAP_SECRETS_H

#include "state.h"

/* The record engine's name of the agreed suite (enum record_cipher), 0: none. */
__attribute__((warn_unused_result)) uint8_t secrets_cipher(const struct handshake *h);

/* Fills rx and tx for the first application record each way. 0, or < 0. */
__attribute__((warn_unused_result)) int secrets_export(const struct handshake *h,
                                                       struct handshake_result *out);

#endif
