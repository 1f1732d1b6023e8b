/* hookyard_plugin.h: the plugin ABI of hookyard, major 1, minor 0.
 *
 * A plugin is a shared library that exports one function, hookyard_plugin_v1(). It returns a static descriptor
 * (hookyard_plugin). hookyard loads the library in a child process of its own (or, where the operator says so and its
 * flags allow it, into the daemon), calls create() once for each configured handler, handle() once for each attempt at a
 * delivery, and destroy() at the end. What the plugin may ask of hookyard comes in as a table of functions
 * (hookyard_host). C99; nothing but stddef.h and stdint.h.
 *
 * The rules:
 *  R1  Every struct that may grow starts with its size in bytes as its builder knew it. A reader uses what both sides
 *      know and takes the rest as zero.
 *  R2  Structs are only appended to. Nothing is reordered, retyped, reused or given another meaning.
 *  R3  Reserved fields are 0, and are checked to be 0.
 *  R4  A NULL function pointer means "not offered".
 *  R5  Enums from host to plugin grow only when the plugin's abi_minor says that it knows; the other way at any time.
 *  R6  A pointer from the host is valid only as long as the comment beside it says. hookyard_bytes.ptr may be NULL only
 *      when len is 0; nothing is NUL-terminated. Times are Unix milliseconds. Nobody frees the other side's memory.
 *  R7  Nothing unwinds across the boundary, in either direction: catch exceptions and panics.
 *  R8  Host functions may be called from any thread while the call lives; log with call NULL until destroy() returns.
 *      destroy() joins the plugin's own threads.
 *  R9  Consecutive calls of handle() come on different threads, and several at once (unless HOOKYARD_F_SERIAL).
 *  R10 Host functions never call back into the plugin.
 *  R11 A plugin leaves signals, fork, exit, setenv, chdir, umask and the global locale alone, and writes nothing to
 *      stdout or stderr (a child's is caught, and logged as a warning).
 *  R12 A new major is a new symbol; a host carries the newest and the one before it.
 */
#ifndef HOOKYARD_PLUGIN_H
#define HOOKYARD_PLUGIN_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#if defined(_WIN32)
# define HOOKYARD_EXPORT __declspec(dllexport)
#else
# define HOOKYARD_EXPORT __attribute__((visibility("default")))
#endif

#define HOOKYARD_ABI_MAJOR 1u /* also in the symbol's name: hookyard_plugin_v1 */
#define HOOKYARD_ABI_MINOR 0u /* one more for each append */

/* ---- frozen for ever, since they stand in arrays: no size field ------------------------------------------------- */

/* Borrowed bytes. UTF-8 where a comment says so. */
typedef struct hookyard_bytes { const uint8_t *ptr; size_t len; } hookyard_bytes;

/* A header, or a field of a log line: both UTF-8. */
typedef struct hookyard_pair { hookyard_bytes key, val; } hookyard_pair;

/* The host's own, opaque to the plugin and never to be dereferenced. */
typedef struct hookyard_ctx  hookyard_ctx;  /* lives from create() until destroy() has returned */
typedef struct hookyard_call hookyard_call; /* lives for one call of handle() */

/* ---- what became of a call across the boundary, in either direction --------------------------------------------- */
typedef int32_t hookyard_status;
enum {
    HOOKYARD_OK            = 0,
    HOOKYARD_E_INVALID     = -1, /* an argument breaks the contract */
    HOOKYARD_E_NOT_FOUND   = -2,
    HOOKYARD_E_TOO_LARGE   = -3,
    HOOKYARD_E_CANCELLED   = -4, /* the deadline has passed, or the host is stopping */
    HOOKYARD_E_IO          = -5, /* the host could not do it; its log says why */
    HOOKYARD_E_UNSUPPORTED = -6,
    HOOKYARD_E_CONFLICT    = -7, /* kv_put: the version was another one */
    HOOKYARD_E_PANIC       = -8, /* caught at the plugin's boundary */
    HOOKYARD_E_CONFIG      = -9  /* the settings are wrong; err says how */
};

/* ---- what became of an event. 0 is no outcome, on purpose: zeroed memory is never "paid" ------------------------ */
typedef int32_t hookyard_outcome;
enum {
    HOOKYARD_DONE   = 1, /* finished: never deliver again */
    HOOKYARD_RETRY  = 2, /* again after detail.retry_after_ms, or by the handler's schedule where that is 0 */
    HOOKYARD_REJECT = 3, /* a permanent failure: a dead letter, for a person to look at */
    HOOKYARD_IGNORE = 4  /* not for this handler: counted and kept, not an error */
};
/* Anything else (0, negative, unknown), and a crash, counts as RETRY and as a breach of contract; never as DONE. */

/* Levels of a log line. */
enum { HOOKYARD_TRACE = 0, HOOKYARD_DEBUG = 1, HOOKYARD_INFO = 2, HOOKYARD_WARN = 3, HOOKYARD_ERROR = 4 };

/* Kinds of a metric. */
enum { HOOKYARD_COUNTER = 0, HOOKYARD_GAUGE = 1, HOOKYARD_HISTOGRAM = 2 };

/* How a step stood when it was begun. */
enum {
    HOOKYARD_STEP_RUN    = 0, /* never begun: do it */
    HOOKYARD_STEP_DONE   = 1, /* finished before: *memo holds what step_end recorded; do not do it again */
    HOOKYARD_STEP_UNSURE = 2  /* begun before and never ended: ask the far side, with step_key */
};

/* One event, from host to plugin: read only, valid until handle() returns. */
typedef struct hookyard_event {
    uint32_t size;
    uint32_t attempt;                   /* 1 for the first */
    uint64_t received_unix_ms;
    hookyard_bytes event_id;            /* UTF-8; the same over all attempts */
    hookyard_bytes source, topic, rule; /* UTF-8; topic is the event's type, such as checkout.session.completed */
    hookyard_bytes content_type;        /* UTF-8 */
    hookyard_bytes body;                /* the very bytes received */
    const hookyard_pair *headers;       /* names in lower case */
    size_t header_count;
} hookyard_event;

/* What the plugin says beside its outcome. Copied before explain() returns. */
typedef struct hookyard_detail {
    uint32_t size;
    uint32_t reserved0;      /* 0 */
    uint64_t retry_after_ms; /* with RETRY; 0 leaves it to the handler's schedule */
    hookyard_bytes code;     /* UTF-8; a short word for machines, such as card_declined */
    hookyard_bytes message;  /* UTF-8; a sentence for people; no personal data: it is stored and shown */
    hookyard_bytes result;   /* JSON kept with the attempt, or empty */
} hookyard_detail;

/* ---- what the host offers. Every function is thread-safe and never unwinds; each may be NULL (R4) ---------------- */
typedef struct hookyard_host {
    uint32_t size;
    uint16_t abi_major, abi_minor;

    /* Not 0 where a line of this level would be kept: ask before formatting one. */
    int32_t (*log_enabled)(hookyard_ctx *ctx, uint32_t level);

    /* One line, with fields. call may be NULL; with it, the line is kept with the attempt. */
    void (*log)(hookyard_ctx *ctx, hookyard_call *call, uint32_t level, hookyard_bytes message,
                const hookyard_pair *fields, size_t field_count);

    void (*metric)(hookyard_ctx *ctx, uint32_t kind, hookyard_bytes name, double value,
                   const hookyard_pair *labels, size_t label_count);

    /* Milliseconds left for this call; 0: stop now (the deadline has passed, or the host is stopping). */
    uint64_t (*remaining_ms)(hookyard_call *call);

    /* Says more about the outcome that handle() is about to return. The last one counts. */
    hookyard_status (*explain)(hookyard_call *call, const hookyard_detail *detail);

    /* Steps: what a retry must not do again. Kept for this event and this handler; on disk before they return.
     * step_begin sets *state, and *memo where it is DONE (valid until handle() returns). E_CANCELLED when no time is
     * left: nothing was begun. step_key is the step's idempotency key for the far side: the same over retries,
     * restarts and reloads (valid until handle() returns). */
    hookyard_status (*step_begin)(hookyard_call *call, hookyard_bytes step, uint32_t *state, hookyard_bytes *memo);
    hookyard_status (*step_end)(hookyard_call *call, hookyard_bytes step, hookyard_bytes memo);
    hookyard_status (*step_key)(hookyard_call *call, hookyard_bytes step, hookyard_bytes *idempotency_key);

    /* Key-value pairs that outlive the event, one namespace for each plugin id. A version is 1 for the first write.
     * *val is valid until handle() returns. expect_version: 0 = there must be none, UINT64_MAX = whatever stands
     * there. On disk before kv_put returns; E_CONFLICT changed nothing. */
    hookyard_status (*kv_get)(hookyard_ctx *ctx, hookyard_call *call, hookyard_bytes key, hookyard_bytes *val,
                              uint64_t *version);
    hookyard_status (*kv_put)(hookyard_ctx *ctx, hookyard_call *call, hookyard_bytes key, hookyard_bytes val,
                              uint64_t expect_version);

    /* A secret of the handler's configuration, by its name there. While create() runs call is NULL, and *val is valid
     * until create() returns; later it needs a call, and *val is valid until handle() returns. */
    hookyard_status (*secret)(hookyard_ctx *ctx, hookyard_call *call, hookyard_bytes name, hookyard_bytes *val);

    /* A table of more functions by its id, such as "hookyard.http/1"; NULL where it is not offered. */
    const void *(*extension)(hookyard_ctx *ctx, hookyard_bytes id);

    /* ---- 1.0 ends here: append below ---- */
} hookyard_host;

/* ---- what the plugin offers ------------------------------------------------------------------------------------- */
enum {
    HOOKYARD_F_SERIAL          = 1 << 0, /* never call handle() of one instance from two threads at once */
    HOOKYARD_F_PANIC_ABORTS    = 1 << 1, /* built without unwinding: a panic ends the process */
    HOOKYARD_F_NEEDS_ISOLATION = 1 << 2  /* one process for it alone: it brings a runtime of its own (Go, JVM), or what
                                          * locks by process (two copies of SQLite in one damage a database) */
};

typedef struct hookyard_plugin {
    uint32_t size;
    uint16_t abi_major, abi_minor; /* of the header that it was built with */
    uint16_t min_host_minor;       /* the oldest host that it can work with */
    uint16_t reserved0;            /* 0 */
    uint32_t flags;                /* HOOKYARD_F_*; other bits are 0 */

    /* UTF-8; they live as long as the library. id: reverse domain name, such as com.acme.sumo; the namespace of the
     * key-value pairs, never to change. config_schema: JSON Schema of the settings, or empty. */
    hookyard_bytes id, version, build_info, config_schema;

    /* Makes an instance from the handler's settings (a JSON object). host and ctx live until destroy() has returned.
     * On failure: a status, and a sentence in err: at most err_cap bytes with the NUL that ends it. */
    hookyard_status (*create)(const hookyard_host *host, hookyard_ctx *ctx, hookyard_bytes config_json,
                              void **instance, char *err, size_t err_cap);

    /* Works on one event and may block until remaining_ms() is 0. */
    hookyard_outcome (*handle)(void *instance, hookyard_call *call, const hookyard_event *event);

    /* Called once, after the last handle() has returned. */
    void (*destroy)(void *instance);

    /* Looks at settings without any effect outside. May be NULL. */
    hookyard_status (*check_config)(hookyard_bytes config_json, char *err, size_t err_cap);

    /* A table of more functions by its id. May be NULL. */
    const void *(*extension)(void *instance, hookyard_bytes id);

    /* ---- 1.0 ends here: append below ---- */
} hookyard_plugin;

/* The one exported symbol. A function, since dlsym promises only those, and Go can export nothing else. */
typedef const hookyard_plugin *(*hookyard_plugin_fn)(void);
HOOKYARD_EXPORT const hookyard_plugin *hookyard_plugin_v1(void);

/* Does the struct that the other side built have this field? */
#define HOOKYARD_HAS(p, type, field) ((p)->size >= offsetof(type, field) + sizeof((p)->field))

/* A string literal as hookyard_bytes, for initialisers. */
#define HOOKYARD_LIT(s) { (const uint8_t *)(s), sizeof(s) - 1 }

/* ---- the extension "hookyard.http/1": HTTP requests that hookyard makes ------------------------------------------
 * For plugins that bring no TLS and no pool of their own, or may not use the network:
 *
 *     const hookyard_http *http = host->extension(ctx, id);   (id: HOOKYARD_HTTP_1)
 *
 * NULL where this hookyard does not offer it. The table lives until destroy() has returned. An extension is versioned by
 * its id, apart from the ABI's minor: its structs are only appended to (R1, R2); another meaning is another id.
 */
#define HOOKYARD_HTTP_1 "hookyard.http/1"

/* What request() returns beside OK, E_INVALID (the URL, the method or a header breaks the contract, or the header is
 * hookyard's to write: nothing was sent), E_TOO_LARGE (the request is above a limit: nothing was sent), E_CANCELLED (the
 * call's time is over: the far side may have the request) and E_IO (the daemon is going). Of this extension alone. */
enum {
    /* Nothing was sent. */
    HOOKYARD_HTTP_E_REFUSED          = -32, /* the handler's `allow` does not list it, or its address is of the inside */
    HOOKYARD_HTTP_E_RESOLVE          = -33, /* the name is unknown, or no name server answered */
    HOOKYARD_HTTP_E_CONNECT          = -34, /* no connection */
    HOOKYARD_HTTP_E_TLS              = -35, /* the certificate is not believed, or TLS failed otherwise */
    HOOKYARD_HTTP_E_BUSY             = -36, /* the handler has too many requests under way */
    /* The far side may have the request, and may have done what it asks. */
    HOOKYARD_HTTP_E_TIMEOUT          = -37, /* timeout_ms is over */
    HOOKYARD_HTTP_E_BROKEN           = -38, /* the connection broke before the answer was whole, or it is no HTTP */
    HOOKYARD_HTTP_E_ANSWER_TOO_LARGE = -39  /* the answer is above a limit; it was not kept */
};

/* From plugin to host: copied before request() returns. */
typedef struct hookyard_http_request {
    uint32_t size;
    uint32_t reserved0;           /* 0 */
    uint64_t timeout_ms;          /* for the whole request; 0: until the call's deadline, which ends it in any case */
    hookyard_bytes method;        /* UTF-8, such as POST; not CONNECT and not TRACE */
    hookyard_bytes url;           /* UTF-8, https://host[:port]/path?query; 8 KiB at most; no name or password in it */
    const hookyard_pair *headers; /* 100 at most, 64 KiB together; not Host, Content-Length nor the connection's own */
    size_t header_count;
    hookyard_bytes body;          /* 1 MiB at most */
} hookyard_http_request;

/* The plugin sets size and leaves the rest to the host, which writes as much as both know. All of it is valid until
 * handle() returns. */
typedef struct hookyard_http_response {
    uint32_t size;
    uint32_t status;              /* 200 and so on, whatever it is; 0 without an answer */
    const hookyard_pair *headers; /* in the order received, names in lower case; what is no UTF-8 in them is replaced */
    size_t header_count;
    hookyard_bytes body;          /* as it came; 4 MiB at most */
    hookyard_bytes error;         /* UTF-8; without an answer: a sentence for people, and nothing of the URL but its host */
} hookyard_http_response;

typedef struct hookyard_http {
    uint32_t size;
    uint32_t reserved0; /* 0 */

    /* Makes one request and waits for the whole answer. OK: there is one, whatever its status; no redirect is followed.
     * Needs a running call; may be called from any of its threads, several at once. Nothing is retried: a request that
     * must not be done twice carries a key of step_key in the header that the far side reads. */
    hookyard_status (*request)(hookyard_ctx *ctx, hookyard_call *call, const hookyard_http_request *request,
                               hookyard_http_response *response);

    /* ---- hookyard.http/1 begins with this: append below ---- */
} hookyard_http;

/* ---- what the library says of itself without being run ----------------------------------------------------------
 * Optional, and the same as in the descriptor. With it `hookyard plugin inspect` names a library before it is trusted,
 * and a handler's settings are held against their schema before anything of the library runs. Each is an ELF note of
 * the owner "hookyard": it stays through strip and --gc-sections. At file scope, with string literals:
 *
 *     HOOKYARD_IDENTITY("com.example.sumo", "1.4.0");
 *     HOOKYARD_SETTINGS("{\"type\":\"object\",\"properties\":{\"endpoint\":{\"type\":\"string\"}}}");
 */
#define HOOKYARD_NOTE_IDENTITY 1u /* a JSON object of id, version and abi */
#define HOOKYARD_NOTE_SETTINGS 2u /* the JSON Schema of the settings */

#if defined(__ELF__)
# define HOOKYARD_NOTE(name, kind, text)                                                                    \
    static const struct {                                                                                   \
        uint32_t owner_bytes, text_bytes, type;                                                             \
        char owner[12], body[sizeof(text)];                                                                 \
    } name __attribute__((section(".note.hookyard"), used, aligned(4))) = { 9u, (uint32_t)sizeof(text), kind, "hookyard", text }
#else
# define HOOKYARD_NOTE(name, kind, text) struct hookyard_no_note
#endif
#define HOOKYARD_IDENTITY(id, version)            \
    HOOKYARD_NOTE(hookyard_note_identity, HOOKYARD_NOTE_IDENTITY, \
                  "{\"id\":\"" id "\",\"version\":\"" version "\",\"abi\":\"1.0\"}")
#define HOOKYARD_SETTINGS(schema) HOOKYARD_NOTE(hookyard_note_settings, HOOKYARD_NOTE_SETTINGS, schema)

#ifdef __cplusplus
}
#endif
#endif
