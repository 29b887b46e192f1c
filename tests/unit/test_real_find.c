/* test_real_find.c - the next definitions that real_find reads are those that the loader finds. */
#include "../../preload/real_find.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stddef.h>

/* Behind the hooks: several versions, weak, of another library, of none. */
static const char *const names[] = {
#define HOOK(name, result, parameters) #name,
#define TWIN(name) #name,
#include "hooks.def"
#undef HOOK
#undef TWIN
    "pthread_cond_wait",
    "pthread_create",
    "nanosleep",
    "fmemopen",
    "sched_setaffinity",
    "dlinfo",
    "glob",
    "SSL_read",
    "sqrt",
    "_dl_allocate_tls",
    "no_such_function",
};

Test(real_find, agrees_with_the_loader) {
    size_t found_some = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *found, *wanted = dlsym(RTLD_NEXT, names[i]);
        if (!real_find(names[i], &found))
            continue;
        cr_expect_eq(found, wanted, "%s: found %p, the loader %p", names[i], found, wanted);
        found_some += found != NULL;
    }
    cr_assert_gt(found_some, 100);
}

/* What a resolver function chooses is not for us to say, nor what is no function. */
Test(real_find, leaves_the_rest_to_the_loader) {
    static const char *const odd[] = {"memcpy", "strlen", "environ", "stdout"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        void *found;
        cr_expect_not(real_find(odd[i], &found), "%s", odd[i]);
    }
}

Test(real_find, knows_its_own_object) {
    const struct link_map *self = real_find_self();
    cr_assert_not_null(self);
    cr_assert_eq(self->l_ld, _DYNAMIC);
}
