/* The table that hookyard calls, and its functions for Go. */
#include "bridge.h"

#include <stdio.h>

#include "_cgo_export.h"

#define ID "{{id}}"
#define VERSION "0.1.0"
#define SETTINGS                                                                                                  \
    "{\"type\":\"object\",\"required\":[\"letters\"],\"properties\":{"                                            \
    "\"greeting\":{\"type\":\"string\",\"description\":\"What a letter begins with.\"},"                          \
    "\"letters\":{\"type\":\"string\",\"description\":\"The folder that letters are written to.\"}}}"

HOOKYARD_IDENTITY(ID, VERSION);
HOOKYARD_SETTINGS(SETTINGS);

static hookyard_bytes bytes(const char *text, size_t len)
{
    hookyard_bytes out;
    out.ptr = (const uint8_t *)text;
    out.len = len;
    return out;
}

hookyard_status bridge_step_begin(const hookyard_host *host, hookyard_call *call, const char *step, size_t step_len,
                                  uint32_t *state, hookyard_bytes *key)
{
    hookyard_bytes memo;
    hookyard_status status = host->step_begin(call, bytes(step, step_len), state, &memo);
    return status == HOOKYARD_OK ? host->step_key(call, bytes(step, step_len), key) : status;
}

hookyard_status bridge_step_end(const hookyard_host *host, hookyard_call *call, const char *step, size_t step_len,
                                const char *memo, size_t memo_len)
{
    return host->step_end(call, bytes(step, step_len), bytes(memo, memo_len));
}

void bridge_explain(const hookyard_host *host, hookyard_call *call, const char *code, size_t code_len,
                    const char *message, size_t message_len)
{
    hookyard_detail detail = { 0 };
    detail.size = sizeof detail;
    detail.code = bytes(code, code_len);
    detail.message = bytes(message, message_len);
    host->explain(call, &detail);
}

void bridge_tell(char *err, size_t err_cap, const char *sentence) { snprintf(err, err_cap, "%s", sentence); }

static hookyard_status create(const hookyard_host *host, hookyard_ctx *ctx, hookyard_bytes config_json,
                              void **instance, char *err, size_t err_cap)
{
    (void)ctx;
    if (!HOOKYARD_HAS(host, hookyard_host, step_key) || host->step_begin == NULL || host->step_end == NULL
        || host->step_key == NULL || host->explain == NULL) {
        bridge_tell(err, err_cap, "this hookyard offers no steps: update it");
        return HOOKYARD_E_UNSUPPORTED;
    }
    *instance = (void *)goCreate((hookyard_host *)host, config_json, err, err_cap);
    return *instance == NULL ? HOOKYARD_E_CONFIG : HOOKYARD_OK;
}

static hookyard_outcome handle(void *instance, hookyard_call *call, const hookyard_event *event)
{
    return goHandle((uintptr_t)instance, call, (hookyard_event *)event);
}

static void destroy(void *instance) { goDestroy((uintptr_t)instance); }

static const hookyard_plugin plugin = {
    sizeof(hookyard_plugin), HOOKYARD_ABI_MAJOR, HOOKYARD_ABI_MINOR,
    0, /* the oldest host that it works with */
    0, /* reserved */
    HOOKYARD_F_NEEDS_ISOLATION, /* Go's runtime wants a process of its own */
    HOOKYARD_LIT(ID), HOOKYARD_LIT(VERSION), HOOKYARD_LIT("go"), HOOKYARD_LIT(SETTINGS),
    create, handle, destroy, NULL, NULL,
};

HOOKYARD_EXPORT const hookyard_plugin *hookyard_plugin_v1(void) { return &plugin; }
