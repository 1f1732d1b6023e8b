/* Says that it is serial, and rejects where it is called twice at once. */
#define _POSIX_C_SOURCE 199309L
#include "hookyard_plugin.h"

#include <time.h>

static volatile int inside;

static hookyard_status create(const hookyard_host *host, hookyard_ctx *ctx, hookyard_bytes config_json,
                              void **instance, char *err, size_t err_cap)
{
    (void)host; (void)ctx; (void)config_json; (void)instance; (void)err; (void)err_cap;
    return HOOKYARD_OK;
}

static hookyard_outcome handle(void *instance, hookyard_call *call, const hookyard_event *event)
{
    struct timespec nap = { 0, 20 * 1000 * 1000 };
    int before = inside;
    (void)instance; (void)call; (void)event;
    inside = before + 1;
    nanosleep(&nap, NULL);
    if (before != 0 || inside != 1) return HOOKYARD_REJECT;
    inside = 0;
    return HOOKYARD_DONE;
}

static void destroy(void *instance) { (void)instance; }

static const hookyard_plugin plugin = {
    sizeof(hookyard_plugin), HOOKYARD_ABI_MAJOR, HOOKYARD_ABI_MINOR, 0, 0, HOOKYARD_F_SERIAL,
    HOOKYARD_LIT("com.hookyard.test.serial"), HOOKYARD_LIT("0.1.0"), { NULL, 0 }, { NULL, 0 },
    create, handle, destroy, NULL, NULL,
};

const hookyard_plugin *hookyard_plugin_v1(void) { return &plugin; }
