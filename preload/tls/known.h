/* known.h - what known.c has to be told to stand in for OpenSSL. */
#ifndef MTLSWRAP_KNOWN_H
#define MTLSWRAP_KNOWN_H

#include <openssl/ssl.h>

/* Until it is told NULL, this thread makes tickets of ssl's session and of none else. */
void known_issuing(const SSL *ssl);

#endif
