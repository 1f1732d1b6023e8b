//! A hookyard plugin: writes a letter for each event, once. Begin your own in `handle`.
const std = @import("std");
const h = @import("build/hookyard.zig");

const id = "{{id}}";
const version = "0.1.0";
const schema =
    \\{"type":"object","required":["letters"],"properties":{
    \\"greeting":{"type":"string","description":"What a letter begins with."},
    \\"letters":{"type":"string","description":"The folder that letters are written to."}}}
;

/// What the library says of itself without being run: the header's HOOKYARD_NOTE.
fn Note(comptime text: []const u8) type {
    return extern struct {
        owner_bytes: u32 align(4) = 9,
        text_bytes: u32 = text.len,
        kind: u32,
        owner: [12]u8 = "hookyard\x00\x00\x00\x00".*,
        text: [text.len]u8 = text[0..text.len].*,
    };
}
const identity_text = "{\"id\":\"" ++ id ++ "\",\"version\":\"" ++ version ++ "\",\"abi\":\"1.0\"}";
const identity: Note(identity_text) linksection(".note.hookyard") = .{ .kind = 1 };
const settings_schema: Note(schema) linksection(".note.hookyard") = .{ .kind = 2 };
comptime {
    @export(&identity, .{ .name = "hookyard_note_identity", .visibility = .hidden });
    @export(&settings_schema, .{ .name = "hookyard_note_settings", .visibility = .hidden });
}

const Settings = struct { greeting: []const u8 = "Dear", letters: []const u8 };

const Instance = struct {
    host: *const h.hookyard_host,
    settings: std.json.Parsed(Settings),
};

const allocator = std.heap.c_allocator;

fn lend(text: []const u8) h.hookyard_bytes {
    return .{ .ptr = text.ptr, .len = text.len };
}

fn slice(bytes: h.hookyard_bytes) []const u8 {
    return if (bytes.len == 0) "" else bytes.ptr[0..bytes.len];
}

/// Called once. Opens what the plugin needs; a failure keeps the plugin that ran before.
fn create(host: [*c]const h.hookyard_host, ctx: ?*h.hookyard_ctx, config: h.hookyard_bytes, instance: [*c]?*anyopaque, err: [*c]u8, err_cap: usize) callconv(.c) h.hookyard_status {
    _ = ctx;
    const settings = std.json.parseFromSlice(Settings, allocator, slice(config), .{ .allocate = .alloc_always }) catch |failed| {
        _ = std.fmt.bufPrintSentinel(err[0..err_cap], "the settings are wrong: {s}", .{@errorName(failed)}, 0) catch {};
        return h.HOOKYARD_E_CONFIG;
    };
    const made = allocator.create(Instance) catch return h.HOOKYARD_E_IO;
    made.* = .{ .host = host, .settings = settings };
    instance.* = made;
    return h.HOOKYARD_OK;
}

fn say(self: *const Instance, call: ?*h.hookyard_call, outcome: h.hookyard_outcome, code: []const u8, message: []const u8) h.hookyard_outcome {
    var detail = std.mem.zeroes(h.hookyard_detail);
    detail.size = @sizeOf(h.hookyard_detail);
    detail.code = lend(code);
    detail.message = lend(message);
    _ = self.host.explain.?(call, &detail);
    return outcome;
}

/// Called for each attempt at a delivery, on several threads at once.
///   HOOKYARD_DONE    finished: never delivered again
///   HOOKYARD_IGNORE  not for this plugin: counted and kept
///   HOOKYARD_REJECT  never: a dead letter, for a person to look at
///   HOOKYARD_RETRY   not now: tried again by the handler's schedule; so is anything else, and a crash
fn handle(instance: ?*anyopaque, call: ?*h.hookyard_call, event: [*c]const h.hookyard_event) callconv(.c) h.hookyard_outcome {
    const self: *const Instance = @ptrCast(@alignCast(instance.?));
    var state: u32 = 0;
    var memo: h.hookyard_bytes = undefined;
    var key: h.hookyard_bytes = undefined;
    // A step is done once. Where a crash left it half done it is done again, so make that harmless: the step's key is
    // always the same, and the same key is the same file.
    if (self.host.step_begin.?(call, lend("letter"), &state, &memo) != h.HOOKYARD_OK or
        self.host.step_key.?(call, lend("letter"), &key) != h.HOOKYARD_OK)
        return say(self, call, h.HOOKYARD_RETRY, "host", "the step could not be begun");
    if (state == h.HOOKYARD_STEP_DONE) return h.HOOKYARD_DONE;
    if (!writeLetter(self, slice(key), slice(event.*.topic)))
        return say(self, call, h.HOOKYARD_RETRY, "letter", "the letter could not be written");
    if (self.host.step_end.?(call, lend("letter"), lend("\"written\"")) != h.HOOKYARD_OK)
        return say(self, call, h.HOOKYARD_RETRY, "host", "the step could not be recorded");
    return say(self, call, h.HOOKYARD_DONE, "", "the letter is written");
}

fn writeLetter(self: *const Instance, key: []const u8, topic: []const u8) bool {
    var buffer: [4096]u8 = undefined;
    const path = std.fmt.bufPrintSentinel(&buffer, "{s}/{s}.txt", .{ self.settings.value.letters, key }, 0) catch return false;
    const letter = std.c.fopen(path, "w") orelse return false;
    const text = std.fmt.bufPrint(buffer[2048..], "{s}: {s} happened.\n", .{ self.settings.value.greeting, topic }) catch "";
    const written = text.len > 0 and std.c.fwrite(text.ptr, 1, text.len, letter) == text.len;
    return std.c.fclose(letter) == 0 and written;
}

/// Called once, after the last handle has returned.
fn destroy(instance: ?*anyopaque) callconv(.c) void {
    const self: *Instance = @ptrCast(@alignCast(instance.?));
    self.settings.deinit();
    allocator.destroy(self);
}

const plugin = h.hookyard_plugin{
    .size = @sizeOf(h.hookyard_plugin),
    .abi_major = h.HOOKYARD_ABI_MAJOR,
    .abi_minor = h.HOOKYARD_ABI_MINOR,
    .min_host_minor = 0,
    .reserved0 = 0,
    // A panic ends the process: Zig does not unwind.
    .flags = h.HOOKYARD_F_PANIC_ABORTS,
    .id = lend(id),
    .version = lend(version),
    .build_info = lend("zig"),
    .config_schema = lend(schema),
    .create = create,
    .handle = handle,
    .destroy = destroy,
    .check_config = null,
    .extension = null,
};

export fn hookyard_plugin_v1() *const h.hookyard_plugin {
    return &plugin;
}
