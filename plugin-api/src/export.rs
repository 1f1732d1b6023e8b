//! The one macro: makes a crate's `cdylib` a plugin.

/// Exports `$handler` as this library's plugin, under the id that its key-value pairs are kept by: choose a reverse
/// domain name and never change it. The plugin's version is the calling crate's.
///
/// `schema` names the file with the JSON Schema of the settings, from the crate's root. hookyard holds the settings of a
/// configuration against it before anything of the plugin runs. [`crate::testkit::assert_schema`] keeps it true.
///
/// `needs_isolation` says that the library wants a process for itself, so that nobody has it run inside the daemon
/// (`isolation = "inline"`). Say it where it brings a runtime of its own, or anything that keeps locks or signals by process:
/// SQLite above all, of which two copies in one process damage the database that both have open.
///
/// ```
/// # use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
/// # struct Sumo;
/// # impl Handler for Sumo {
/// #     type Settings = serde_json::Value;
/// #     fn create(_: serde_json::Value, _: &Host<'_>) -> Result<Self, CreateError> { Ok(Self) }
/// #     fn handle(&self, _: &Event<'_>, _: &Cx<'_>) -> Result<Outcome, Failure> { Ok(Outcome::done()) }
/// # }
/// hookyard_plugin::export!(Sumo, id = "com.example.sumo");
/// ```
///
/// With all: `hookyard_plugin::export!(Sumo, id = "com.example.sumo", schema = "settings.schema.json", needs_isolation);`
#[macro_export]
macro_rules! export {
    (@plugin $handler:ty, $id:literal, $schema:expr, $flags:expr) => {
        const _: () = assert!(
            $crate::note::is_id($id),
            "a plugin's id is a reverse domain name in lower case, such as com.example.sumo"
        );
        $crate::export!(@note IDENTITY, concat!(
            "{\"id\":\"", $id, "\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\",\"abi\":\"1.0\"}"
        ));

        /// The plugin's descriptor, for hookyard.
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C" fn hookyard_plugin_v1() -> *const $crate::abi::Plugin {
            static PLUGIN: $crate::abi::Plugin =
                $crate::ffi::descriptor::<$handler>($id, env!("CARGO_PKG_VERSION"), $schema).and_flags($flags);
            &raw const PLUGIN
        }
    };
    (@note $kind:ident, $text:expr) => {
        const _: () = {
            const TEXT: &str = $text;
            #[used]
            #[cfg_attr(target_os = "linux", unsafe(link_section = ".note.hookyard"))]
            static NOTE: $crate::note::Note<{ TEXT.len() }> = $crate::note::Note::new($crate::note::$kind, TEXT);
        };
    };
    (@flags) => { 0 };
    (@flags needs_isolation) => { $crate::abi::F_NEEDS_ISOLATION };
    ($handler:ty, id = $id:literal $(, $flag:ident)? $(,)?) => {
        $crate::export!(@plugin $handler, $id, "", $crate::export!(@flags $($flag)?));
    };
    ($handler:ty, id = $id:literal, schema = $schema:literal $(, $flag:ident)? $(,)?) => {
        $crate::export!(
            @plugin $handler,
            $id,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $schema)),
            $crate::export!(@flags $($flag)?)
        );
        $crate::export!(@note SETTINGS, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $schema)));
    };
}
