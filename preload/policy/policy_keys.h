/* policy_keys.h - one line of a kind's key table. Between policy_keys.c and policy_store.c only. */
#ifndef MTLSWRAP_POLICY_KEYS_H
#define MTLSWRAP_POLICY_KEYS_H

#include "policy_table.h"

enum policy_key_flags { KEY_REPEATS = 1, KEY_NEGATED = 2 };
enum policy_key_base { BASE_OBJECT, BASE_PORT, BASE_TLS, BASE_PORT_TLS };

/* Without pointers, which the loader would relocate at every start of a wrapped program. */
struct policy_key {
    char pattern[44]; /* "#" is a port number, a "*" at the end anything; empty: the end of the table */
    enum policy_value type : 8;
    unsigned offset : 16; /* of the member that takes the value, in the base */
    unsigned flags : 8;
    enum policy_key_base base : 8;
};

/* Checks value and puts it where k says. r->key is the key as written; rest what "*" stood for. */
void policy_store(struct policy_reading *r, const struct policy_key *k, struct policy_port *port,
                  const char *rest, const char *value);

#endif
