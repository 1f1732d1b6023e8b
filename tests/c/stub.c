/* The smallest plugin, with one thing wrong: which, the command line says (-DOUTCOME=0, -DMAJOR=2, -DSIZE=64,
 * -DFLAGS=..., -DSLOW=SECONDS, -DNO_SYMBOL, -DNO_HANDLE, -DID=..., -DNULL_DESCRIPTOR, -DABORT). */
#ifdef SLOW
#define _POSIX_C_SOURCE 199309L
#include <time.h>
#endif
#include "hookyard_plugin.h"

#ifdef ABORT
#include <stdlib.h>
#endif

#ifndef OUTCOME
#define OUTCOME HOOKYARD_DONE
#endif
#ifndef MAJOR
#define MAJOR HOOKYARD_ABI_MAJOR
#endif
#ifndef SIZE
#define SIZE sizeof(hookyard_plugin)
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef ID
#define ID "com.hookyard.test.stub"
#endif
#ifdef NO_HANDLE
#define HANDLE NULL
#else
#define HANDLE handle
#endif

static hookyard_status create(const hookyard_host *host, hookyard_ctx *ctx, hookyard_bytes config_json,
                              void **instance, char *err, size_t err_cap)
{
#ifdef SLOW
    struct timespec nap = { SLOW, 0 };
    nanosleep(&nap, NULL);
#endif
    (void)host; (void)ctx; (void)config_json; (void)instance; (void)err; (void)err_cap;
    return HOOKYARD_OK;
}

hookyard_outcome handle(void *instance, hookyard_call *call, const hookyard_event *event);
hookyard_outcome handle(void *instance, hookyard_call *call, const hookyard_event *event)
{
    (void)instance; (void)call; (void)event;
#ifdef ABORT
    abort();
#endif
    return OUTCOME;
}

static void destroy(void *instance) { (void)instance; }

static const hookyard_plugin plugin = {
    SIZE, MAJOR, HOOKYARD_ABI_MINOR, 0, 0, FLAGS,
    HOOKYARD_LIT(ID), HOOKYARD_LIT("0.1.0"), { NULL, 0 }, { NULL, 0 },
    create, HANDLE, destroy, NULL, NULL,
};

#ifdef NULL_DESCRIPTOR
const hookyard_plugin *hookyard_plugin_v1(void) { return plugin.size == 0 ? &plugin : NULL; }
#elif defined(NO_SYMBOL)
const hookyard_plugin *hookyard_plugin_v2(void);
const hookyard_plugin *hookyard_plugin_v2(void) { return &plugin; }
#else
const hookyard_plugin *hookyard_plugin_v1(void) { return &plugin; }
#endif
