//! The one macro: makes a crate's `cdylib` a plugin.

/// Exports `$handler` as this library's plugin, under the id that its key-value pairs are kept by: choose a reverse
/// domain name and never change it. The plugin's version is the calling crate's.
/// The crate's documentation shows it in use: `hookyard_plugin::export!(Sumo, id = "com.hookyard.sumo");`
#[macro_export]
macro_rules! export {
    ($handler:ty, id = $id:literal) => {
        /// The plugin's descriptor, for hookyard.
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C" fn hookyard_plugin_v1() -> *const $crate::abi::Plugin {
            static PLUGIN: $crate::abi::Plugin =
                $crate::ffi::descriptor::<$handler>($id, env!("CARGO_PKG_VERSION"));
            &raw const PLUGIN
        }
    };
}
