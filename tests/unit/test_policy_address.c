/* test_policy_address.c - addresses are read and written as the C library does it. */
#include "../../preload/policy/policy_table.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static bool libc_reads(const char *text, uint8_t out[16]) {
    uint8_t v4[4];
    if (inet_pton(AF_INET, text, v4) != 1)
        return inet_pton(AF_INET6, text, out) == 1;
    memset(out, 0, 10);
    memset(out + 10, 0xFF, 2);
    memcpy(out + 12, v4, 4);
    return true;
}

static void compare(const char *text) {
    uint8_t wanted[16];
    struct policy_address a;
    bool good = libc_reads(text, wanted);
    cr_assert_eq(policy_value_address(text, false, &a), good, "%s", text);
    cr_assert(!good || !memcmp(a.byte, wanted, sizeof wanted), "%s", text);
    if (!good || strchr(text, ':'))
        return;
    char back[POLICY_ADDRESS_TEXT];
    policy_address_text(&a, back);
    cr_assert_str_eq(back, text);
}

Test(policy_address, as_the_library) {
    static const char *const odd[] = {
        "",          "1",         "1.2.3",     "1.2.3.4.",  "1.2.3.4.5", "01.2.3.4", "1.2.3.00",
        "0.0.0.0",   "1.2.3.256", "1.2.3.4 ",  " 1.2.3.4",  "1..2.3",    ".1.2.3",   "1.2.3.-4",
        "1.2.3.0x4", "::",        "::1.2.3.4", "1:2:3:4::", ":1.2.3.4",  "a.b.c.d",  "255.255.255.255"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        compare(odd[i]);
    srand(7);
    for (int n = 0; n < 200000; n++) {
        char text[20];
        int len = 1 + rand() % 15;
        for (int i = 0; i < len; i++)
            text[i] = "0012345..9.25.1"[rand() % 15];
        text[len] = '\0';
        compare(text);
    }
}

Test(policy_address, prefixes) {
    static const char *const same[] = {"127.0.0.0/8", "0.0.0.0/0", "10.1.2.0/24", "fd00::/8", "::/0"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct policy_address a;
        char back[POLICY_ADDRESS_TEXT];
        cr_assert(policy_value_address(same[i], true, &a), "%s", same[i]);
        policy_address_text(&a, back);
        cr_expect_str_eq(back, same[i]);
    }
}
