//! What is exported implements nothing.

//~ `Greeter` is not a hookyard handler
//~ write `impl hookyard_plugin::Handler for Greeter`

struct Greeter;

hookyard_plugin::export!(Greeter, id = "com.example.greeter");

fn main() {}
