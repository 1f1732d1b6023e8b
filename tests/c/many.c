/* Asks for a pair on THREADS threads at once where the event's type is "many", and is done where E_IO was said to exactly
 * REFUSED of them. First it always asks by the call before, which has ended, and rejects where that is not refused. */
#include "hookyard_plugin.h"

#include <pthread.h>
#include <string.h>

struct asked {
    hookyard_call *call;
    hookyard_status status;
};

static const hookyard_host *host;
static hookyard_ctx *ctx;
static hookyard_call *before;

static hookyard_status ask(hookyard_call *call)
{
    hookyard_bytes val;
    uint64_t version;
    const hookyard_bytes key = HOOKYARD_LIT("key");
    return host->kv_get(ctx, call, key, &val, &version);
}

static void *asker(void *arg)
{
    struct asked *asked = arg;
    asked->status = ask(asked->call);
    return NULL;
}

static hookyard_status create(const hookyard_host *table, hookyard_ctx *own, hookyard_bytes config_json,
                              void **instance, char *err, size_t err_cap)
{
    (void)config_json; (void)instance; (void)err; (void)err_cap;
    host = table;
    ctx = own;
    return HOOKYARD_OK;
}

static hookyard_outcome handle(void *instance, hookyard_call *call, const hookyard_event *event)
{
    static struct asked asked[THREADS];
    pthread_t threads[THREADS];
    int number, refused = 0;
    (void)instance;
    if (before != NULL && ask(before) != HOOKYARD_E_INVALID) return HOOKYARD_REJECT;
    before = call;
    if (event->topic.len != 4 || memcmp(event->topic.ptr, "many", 4) != 0) return HOOKYARD_DONE;
    for (number = 0; number < THREADS; number++) {
        asked[number].call = call;
        if (pthread_create(&threads[number], NULL, asker, &asked[number]) != 0) return HOOKYARD_RETRY;
    }
    for (number = 0; number < THREADS; number++) {
        pthread_join(threads[number], NULL);
        refused += asked[number].status == HOOKYARD_E_IO;
    }
    return refused == REFUSED ? HOOKYARD_DONE : HOOKYARD_REJECT;
}

static void destroy(void *instance) { (void)instance; }

static const hookyard_plugin plugin = {
    sizeof(hookyard_plugin), HOOKYARD_ABI_MAJOR, HOOKYARD_ABI_MINOR, 0, 0, HOOKYARD_F_SERIAL,
    HOOKYARD_LIT("com.hookyard.test.many"), HOOKYARD_LIT("0.1.0"), { NULL, 0 }, { NULL, 0 },
    create, handle, destroy, NULL, NULL,
};

const hookyard_plugin *hookyard_plugin_v1(void) { return &plugin; }
